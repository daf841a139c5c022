use std::fmt::{self, Display, Formatter};

use reveille_trace::{Finding, Observed, Verdict};

use super::Unshrinkable;

/// What finds that a play was not what it should be, not that a gateway was not.
const NO_CHECKS: [&str; 3] = ["harness", "script", "faults"];

/// The check that fails, and must go on to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The one of a requirement, by its id.
    Requirement(String),
    /// A line of the scenario, by its text.
    Expect(String),
}

impl Check {
    /// The one of this name; else the first requirement that fails, a MUST before all others; else the
    /// first expectation that fails.
    pub(super) fn of(verdict: &Verdict, named: Option<&str>) -> Result<Self, Unshrinkable> {
        let failed = |f: &&Finding| {
            f.observed == Observed::Fail && !NO_CHECKS.contains(&f.requirement.as_str())
        };
        let mut failed: Vec<_> = verdict.findings.iter().filter(failed).collect();
        failed.sort_by_key(|f| (f.requirement == "expect", f.level != "MUST"));
        let found = match named {
            Some(name) => failed.iter().find(|f| name == f.requirement || name == f.expected),
            None => failed.first(),
        };
        if let Some(found) = found.filter(|_| verdict.observed != Observed::Error) {
            return Ok(Self::found(found));
        }
        let names: Vec<_> = failed.iter().map(|f| Self::found(f).to_string()).collect();
        match named {
            Some(wanted) if !failed.is_empty() => Err(Unshrinkable::OtherCheck {
                wanted: wanted.to_owned(),
                failed: names.join(", "),
            }),
            _ => {
                Err(Unshrinkable::NoFailure(format!("its verdict is {}", verdict.observed.name())))
            }
        }
    }

    fn found(finding: &Finding) -> Self {
        match finding.requirement.as_str() {
            "expect" => Self::Expect(finding.expected.clone()),
            id => Self::Requirement(id.to_owned()),
        }
    }

    /// Whether it fails there, and nothing of the harness broke.
    #[must_use]
    pub fn fails(&self, verdict: &Verdict) -> bool {
        let this = |f: &Finding| f.observed == Observed::Fail && Self::found(f) == *self;
        verdict.observed != Observed::Error && verdict.findings.iter().any(this)
    }
}

impl Display for Check {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requirement(id) => into.write_str(id),
            Self::Expect(text) => write!(into, "`{text}`"),
        }
    }
}
