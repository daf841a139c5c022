//! The requirements, as data: one file for each area under `conformance/requirements/`.

use std::sync::LazyLock;

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
    /// `both + hook` is seen over sockets only by a hook of the target.
    pub seen_in: String,
}

const FILES: &[(&str, &str)] = &[
    ("jsonrtc-call", include_str!("../requirements/jsonrtc-call.toml")),
    ("jsonrtc-session", include_str!("../requirements/jsonrtc-session.toml")),
    ("patent", include_str!("../requirements/patent.toml")),
    ("push-apns", include_str!("../requirements/push-apns.toml")),
    ("push-common", include_str!("../requirements/push-common.toml")),
    ("push-fcm", include_str!("../requirements/push-fcm.toml")),
    ("push-webpush", include_str!("../requirements/push-webpush.toml")),
    ("security-general", include_str!("../requirements/security-general.toml")),
    ("session-sleep", include_str!("../requirements/session-sleep.toml")),
    ("sip-end", include_str!("../requirements/sip-end.toml")),
    ("sip-hold", include_str!("../requirements/sip-hold.toml")),
    ("sip-keepalive", include_str!("../requirements/sip-keepalive.toml")),
    ("sip-network", include_str!("../requirements/sip-network.toml")),
    ("sip-other", include_str!("../requirements/sip-other.toml")),
    ("sip-wake", include_str!("../requirements/sip-wake.toml")),
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
    use crate::checks::CHECKS;

    #[test]
    fn every_requirement_has_one_check_and_every_check_its_requirement() {
        let ids: Vec<_> = all().iter().map(|requirement| requirement.id.as_str()).collect();
        let unique: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "an id stands once");
        let checked: BTreeSet<_> = CHECKS.iter().map(|check| check.requirement).collect();
        assert_eq!(checked.len(), CHECKS.len(), "a requirement has one check");
        assert_eq!(checked, unique);
    }

    #[test]
    fn a_check_that_needs_the_gateways_events_says_so_in_its_requirement() {
        for check in CHECKS {
            let seen_in = find(check.requirement).map(|row| row.seen_in.as_str());
            let inside = matches!(seen_in, Some("sim" | "both + hook"));
            assert_eq!(check.sim, inside, "{}: {seen_in:?}", check.requirement);
        }
    }

    #[test]
    fn every_file_is_listed_and_its_area_has_a_file_of_checks() {
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
            let name = format!("{}.rs", area.replace('-', "_"));
            assert!(checks.contains(&name), "src/checks/{name} is missing");
            let group = format!("{}.", area.replace('-', "."));
            let rows = toml::from_str::<File>(text).expect("it was read before").requirement;
            for row in rows {
                assert!(row.id.starts_with(&group), "{} stands in {area}.toml", row.id);
                let known = ["blocker", "major", "minor"].contains(&row.severity.as_str());
                assert!(known, "{} has the severity {}", row.id, row.severity);
            }
        }
    }
}
