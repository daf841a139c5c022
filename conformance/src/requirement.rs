//! The requirements, as data: one file for each area under `conformance/requirements/`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::checks::{CHECKS, Check};

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

impl Level {
    /// The word on disk and in findings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Requirement {
    /// Words, never a position; never reused and never renamed.
    pub id: String,
    /// How strongly it is meant.
    pub level: Level,
    /// What should be seen, in one sentence: as much of it as its check decides.
    pub text: String,
    /// The document and section it comes from; `derived` where the project drew it.
    pub source: String,
    /// `blocker`, `major` or `minor`.
    pub severity: String,
    /// `sim` needs virtual time or the gateway's own events; `both` is seen over sockets too;
    /// `both + hook` is seen over sockets only by a hook of the target. Empty without a check.
    #[serde(default)]
    pub seen_in: String,
    /// Decisions of the project that it states: `D-24`.
    #[serde(default)]
    pub decision: Vec<String>,
    /// Requirements whose checks decide this one with them.
    #[serde(default)]
    pub checks: Vec<String>,
    /// Shipped scenarios whose expectations hold it.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// Tests that hold it: a file of the workspace and the name of a test in it, `a/b.rs: name`.
    #[serde(default)]
    pub tests: Vec<String>,
    /// Why nothing holds it yet.
    pub open: Option<String>,
}

impl Requirement {
    /// The check that decides it in each run, if it has one.
    #[must_use]
    pub fn check(&self) -> Option<&'static Check> {
        CHECKS.iter().find(|check| check.requirement == self.id)
    }

    /// The area: its id without the last word.
    #[must_use]
    pub fn area(&self) -> &str {
        self.id.rsplit_once('.').map_or(self.id.as_str(), |(area, _)| area)
    }

    /// True if something holds it: a check, a check of another requirement, a scenario or a test.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.check().is_some()
            || !(self.checks.is_empty() && self.scenarios.is_empty() && self.tests.is_empty())
    }
}

/// One decision of the project, where the sources of the protocol are silent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// `D-24`.
    pub id: String,
    /// The sections of the description of JsonRTC that it stands in.
    pub section: String,
    /// What was decided.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionFile {
    decision: Vec<Decided>,
}

static DECISIONS: LazyLock<Vec<Decided>> = LazyLock::new(|| {
    let file = toml::from_str::<DecisionFile>(include_str!("../decisions.toml"));
    file.unwrap_or_else(|error| panic!("decisions.toml: {error}")).decision
});

/// Every decision, in order.
#[must_use]
pub fn decisions() -> &'static [Decided] {
    &DECISIONS
}

const FILES: &[(&str, &str)] = &[
    ("cluster-fabric", include_str!("../requirements/cluster-fabric.toml")),
    ("jsonrtc-call", include_str!("../requirements/jsonrtc-call.toml")),
    ("jsonrtc-register", include_str!("../requirements/jsonrtc-register.toml")),
    ("jsonrtc-resume", include_str!("../requirements/jsonrtc-resume.toml")),
    ("jsonrtc-row", include_str!("../requirements/jsonrtc-row.toml")),
    ("jsonrtc-session", include_str!("../requirements/jsonrtc-session.toml")),
    ("jsonrtc-wire", include_str!("../requirements/jsonrtc-wire.toml")),
    ("patent", include_str!("../requirements/patent.toml")),
    ("push-apns", include_str!("../requirements/push-apns.toml")),
    ("push-common", include_str!("../requirements/push-common.toml")),
    ("push-fcm", include_str!("../requirements/push-fcm.toml")),
    ("push-model", include_str!("../requirements/push-model.toml")),
    ("push-webpush", include_str!("../requirements/push-webpush.toml")),
    ("sdk", include_str!("../requirements/sdk.toml")),
    ("security-general", include_str!("../requirements/security-general.toml")),
    ("session-hibernate", include_str!("../requirements/session-hibernate.toml")),
    ("session-sleep", include_str!("../requirements/session-sleep.toml")),
    ("sip-end", include_str!("../requirements/sip-end.toml")),
    ("sip-hold", include_str!("../requirements/sip-hold.toml")),
    ("sip-keepalive", include_str!("../requirements/sip-keepalive.toml")),
    ("sip-network", include_str!("../requirements/sip-network.toml")),
    ("sip-other", include_str!("../requirements/sip-other.toml")),
    ("sip-register", include_str!("../requirements/sip-register.toml")),
    ("sip-wake", include_str!("../requirements/sip-wake.toml")),
    ("ws-transport", include_str!("../requirements/ws-transport.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requirement: Vec<Requirement>,
}

static ALL: LazyLock<Vec<Requirement>> = LazyLock::new(|| {
    let read = |(area, text): &(&str, &str)| {
        let file = toml::from_str::<File>(text);
        file.unwrap_or_else(|error| panic!("requirements/{area}.toml: {error}")).requirement
    };
    FILES.iter().flat_map(read).collect()
});

/// Every requirement, by area and in the order of its file.
#[must_use]
pub fn all() -> &'static [Requirement] {
    &ALL
}

/// The requirement of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Requirement> {
    all().iter().find(|requirement| requirement.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_its_requirement_and_every_requirement_is_held_or_open() {
        let ids: BTreeSet<_> = all().iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids.len(), all().len(), "an id stands once");
        let checked: BTreeSet<_> = CHECKS.iter().map(|check| check.requirement).collect();
        assert_eq!(checked.len(), CHECKS.len(), "a requirement has one check");
        assert_eq!(checked.difference(&ids).next(), None, "a check without a requirement");
        for row in all() {
            assert!(row.is_held() != row.open.is_some(), "{}: held, or open with a reason", row.id);
            let by = |id: &String| checked.contains(id.as_str()) && *id != row.id;
            assert!(row.checks.iter().all(by), "{}: a check that is none", row.id);
        }
    }

    #[test]
    fn a_check_that_needs_the_gateways_events_says_so_in_its_requirement() {
        for row in all() {
            match row.check() {
                Some(check) => {
                    let inside = matches!(row.seen_in.as_str(), "sim" | "both + hook");
                    assert_eq!(check.sim, inside, "{}: {}", row.id, row.seen_in);
                }
                None => assert_eq!(row.seen_in, "", "{} is seen by no check", row.id),
            }
        }
    }

    #[test]
    fn every_decision_is_stated_and_never_as_if_a_standard_said_it() {
        let numbers: Vec<_> = decisions().iter().map(|it| it.id.clone()).collect();
        let wanted: Vec<_> = (1..=48).map(|number| format!("D-{number:02}")).collect();
        assert_eq!(numbers, wanted);
        let stated: BTreeSet<_> = all().iter().flat_map(|row| &row.decision).collect();
        assert_eq!(stated, wanted.iter().collect(), "each is stated by a requirement");
        for row in all().iter().filter(|row| !row.decision.is_empty()) {
            let said = row.source.contains("a decision of this project");
            assert!(said, "{} hides whose decision it is: {}", row.id, row.source);
        }
    }

    #[test]
    fn every_claim_step_and_function_of_the_patent_is_there() {
        let count = |area: &str| all().iter().filter(|row| row.area() == area).count();
        let counts = ["patent.claim", "patent.flow", "patent.step", "patent.text", "sdk.function"];
        assert_eq!(counts.map(count), [12, 16, 10, 18, 8]);
    }

    #[test]
    fn every_file_is_listed_and_each_area_with_a_check_has_a_file_of_checks() {
        let files = |folder: &str| {
            let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
            let entries = std::fs::read_dir(folder).expect("the folder");
            let name = |entry: std::io::Result<std::fs::DirEntry>| {
                entry.expect("an entry").file_name().into_string().expect("a plain name")
            };
            entries.map(name).collect::<BTreeSet<_>>()
        };
        let listed: BTreeSet<_> = FILES.iter().map(|(area, _)| format!("{area}.toml")).collect();
        assert_eq!(files("requirements"), listed);
        let checks = files("src/checks");
        for (area, text) in FILES {
            let group = format!("{}.", area.replace('-', "."));
            let rows = toml::from_str::<File>(text).expect("it was read before").requirement;
            let name = format!("{}.rs", area.replace('-', "_"));
            let checked = rows.iter().any(|row| row.check().is_some());
            assert!(!checked || checks.contains(&name), "src/checks/{name} is missing");
            for row in rows {
                assert!(row.id.starts_with(&group), "{} stands in {area}.toml", row.id);
                let known = ["blocker", "major", "minor"].contains(&row.severity.as_str());
                assert!(known, "{} has the severity {}", row.id, row.severity);
            }
        }
    }
}
