//! The requirements, as data: one file for each area under `conformance/requirements/`.

use serde::Deserialize;

/// How strongly a requirement is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// A failure is a failure of the gateway.
    Must,
    /// A failure is advice.
    Should,
    /// A failure is a remark.
    May,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Requirement {
    /// Words, never a position; never reused and never renamed.
    pub id: String,
    /// How strongly it is meant.
    pub level: Level,
    /// What should be seen, in one sentence.
    pub text: String,
    /// The document and section it comes from; `derived` where the project drew it.
    pub source: String,
    /// `blocker`, `major` or `minor`.
    pub severity: String,
    /// `sim` needs virtual time or the gateway's own events; `both` is seen over sockets too.
    pub seen_in: String,
}

const FILES: &[(&str, &str)] = &[
    ("jsonrtc-session", include_str!("../requirements/jsonrtc-session.toml")),
    ("patent", include_str!("../requirements/patent.toml")),
    ("push-common", include_str!("../requirements/push-common.toml")),
    ("session-sleep", include_str!("../requirements/session-sleep.toml")),
    ("sip-end", include_str!("../requirements/sip-end.toml")),
    ("sip-hold", include_str!("../requirements/sip-hold.toml")),
    ("sip-keepalive", include_str!("../requirements/sip-keepalive.toml")),
    ("sip-wake", include_str!("../requirements/sip-wake.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requirement: Vec<Requirement>,
}

/// Every requirement, by area and in the order of its file.
#[must_use]
pub fn all() -> Vec<Requirement> {
    let read = |(area, text): &(&str, &str)| {
        let file = toml::from_str::<File>(text);
        file.unwrap_or_else(|error| panic!("requirements/{area}.toml: {error}")).requirement
    };
    FILES.iter().flat_map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::checks::CHECKS;

    #[test]
    fn every_requirement_has_one_check_and_every_check_its_requirement() {
        let ids: Vec<_> = all().into_iter().map(|requirement| requirement.id).collect();
        let unique: BTreeSet<_> = ids.iter().map(String::as_str).collect();
        assert_eq!(unique.len(), ids.len(), "an id stands once");
        let checked: BTreeSet<_> = CHECKS.iter().map(|check| check.requirement).collect();
        assert_eq!(checked.len(), CHECKS.len(), "a requirement has one check");
        assert_eq!(checked, unique);
    }

    #[test]
    fn a_check_that_needs_the_gateways_events_says_so_in_its_requirement() {
        for check in CHECKS.iter().filter(|check| check.sim) {
            let requirement = all().into_iter().find(|row| row.id == check.requirement);
            assert_eq!(requirement.map(|row| row.seen_in), Some("sim".to_owned()));
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements");
        let files = std::fs::read_dir(folder).expect("the folder");
        assert_eq!(files.count(), FILES.len());
    }
}
