//! A check decides the same without the gateway's own events.

use reveille_conformance::checks::{CHECKS, judge};
use reveille_trace::Trace;

/// True if a check needs the gateway's own events.
pub(crate) fn is_inside(requirement: &str) -> bool {
    CHECKS.iter().any(|check| check.sim && check.requirement == requirement)
}

/// What the checks decide with the gateway's own events and without, where that is not the same.
pub(crate) fn difference(trace: &Trace) -> Option<String> {
    let mut seeing = judge(trace, &[]);
    seeing.retain(|finding| !is_inside(&finding.requirement));
    let blind = judge(&trace.without_actor("gateway"), &[]);
    (seeing != blind).then(|| format!("seeing: {seeing:#?}\nblindfolded: {blind:#?}"))
}
