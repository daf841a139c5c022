//! `reveille check`, `list` and `explain`.

use std::path::Path;

use crate::{reveille, scenario, write};

const TORTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/tests/torture");

#[test]
fn check_tells_all_mistakes_of_a_file_with_their_places() {
    let place = tempfile::tempdir().expect("a folder");
    let good = scenario("", "{ must = \"alice.final(c1) == 200\" },");
    write(place.path(), "good.toml", &good);
    write(
        place.path(),
        "bad.toml",
        &good.replace("{ sleep", "{ slep").replace("\"alice\", to", "\"alcie\", to"),
    );
    let said = reveille(place.path(), &["check", "good.toml"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "good.toml: right, 2 steps and 1 expectation\n")
    );
    let said = reveille(place.path(), &["check", "good.toml", "bad.toml"]);
    assert_eq!(said.code, 1);
    for part in ["bad.toml:11:5", "did you mean `sleep`?", "bad.toml:12:", "did you mean `alice`?"]
    {
        assert!(said.out.contains(part), "{part} is missing:\n{}", said.out);
    }
    assert_eq!(reveille(place.path(), &["check", "missing.toml", "bad.toml"]).code, 2);
}

#[test]
fn check_judges_single_messages() {
    let here = Path::new(TORTURE);
    let said = reveille(here, &["check", "--as", "sip", "wsinv.sip"]);
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.starts_with("wsinv.sip: acceptable: INVITE"), "{}", said.out);
    let said = reveille(here, &["check", "--as", "sip", "badinv01.sip"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("line 7, offset ") && said.out.contains("RFC 3261"), "{}", said.out);
    let place = tempfile::tempdir().expect("a folder");
    write(place.path(), "frame.json", "{\"control\":{\"type\":\"shout\"}}");
    let said = reveille(place.path(), &["check", "--as", "jsonrtc", "frame.json"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("control.type"), "{}", said.out);
}

#[test]
fn explain_knows_every_kind_of_name() {
    let here = Path::new(TORTURE);
    for (id, part) in [
        ("sip.hold.concurrent-callers-all-kept", "wake/two-calls-at-once"),
        ("sip.hold.concurrent-callers-all-kept", "its check, by a stranger"),
        ("session.hibernate.loss", "decided   D-27 (JsonRTC 4.5)"),
        ("session.hibernate.loss", "a_lost_connection_has_its_grace_and_then_sleeps"),
        ("patent.flow.start-sent", "checks of jsonrtc.session.held-call-is-start"),
        (
            "push.model.templates-proxy-batches",
            "a_template_carries_the_message_where_it_fits_and_says_so",
        ),
        ("D-24", "sip.end.hold-expiry-480-once (check)"),
        ("d-24", "a decision of this project"),
        ("wake/plain", "reveille run wake/plain"),
        ("scenario.unknown-key", "sleep"),
        ("inconclusive", "never took effect"),
        ("70", "a defect in Reveille"),
        ("exit", "nothing was selected"),
    ] {
        let said = reveille(here, &["explain", id]);
        assert_eq!(said.code, 0, "{id}");
        assert!(said.out.contains(part), "{id}:\n{}", said.out);
    }
    assert_eq!(reveille(here, &["explain", "nothing-of-this-name"]).code, 4);
}

#[test]
fn list_names_every_scenario_and_every_requirement() {
    let here = Path::new(TORTURE);
    let said = reveille(here, &["list"]);
    assert_eq!(said.code, 0);
    for (id, _) in reveille_scenarios::shipped() {
        assert!(said.out.lines().any(|line| line.starts_with(id)), "{id} is not listed");
    }
    let said = reveille(here, &["list", "requirements"]);
    let all = reveille_conformance::requirement::all();
    for row in all {
        let line = said.out.lines().find(|line| line.split(' ').next() == Some(row.id.as_str()));
        let line = line.unwrap_or_else(|| panic!("{} is missing", row.id));
        assert!(line.contains(" check") || row.check().is_none(), "{line}");
        assert_eq!(line.ends_with(" open"), row.open.is_some(), "{line}");
        assert!(line.contains(row.level.name()), "{line}");
    }
    let long = said.out.lines().find(|line| line.chars().count() > 100);
    assert_eq!(long, None, "it fits 100 columns");
    assert!(said.out.contains(&format!("\n{} requirements\n", all.len())), "the totals");
    let counts = said.out.lines().filter_map(|line| {
        let (count, what) = line.trim_start().split_once("  ")?;
        ["decided", "held", "open"].iter().any(|way| what.starts_with(way)).then_some(count)
    });
    let sum: usize = counts.filter_map(|count| count.parse::<usize>().ok()).sum();
    assert_eq!(sum, all.len(), "each counts once");
}
