use std::collections::BTreeSet;

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use reveille_reports::format::junit::write;
use reveille_reports::no_traces;
use reveille_trace::{Case, Observed};

use crate::sample::{HOSTILE, case, crash, finding, of, run, sure, traces};

fn read(cases: Vec<Case>) -> Report {
    let xml = write(&of(cases), &no_traces).unwrap_or_default();
    Report::deserialize_from_str(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
}

#[test]
fn a_run_is_told_to_ci() {
    insta::assert_snapshot!("junit", write(&run(), &traces).unwrap());
}

#[test]
fn counts_are_those_of_the_summary() {
    let (report, summary) = (read(run().cases), run().summary());
    assert_eq!(report.tests, summary.cases());
    assert_eq!(report.failures, summary.failed);
    assert_eq!(report.errors, summary.inconclusive + summary.errors);
    let of_suites: usize = report.test_suites.iter().map(|suite| suite.test_cases.len()).sum();
    assert_eq!(of_suites, summary.cases());
    let names: Vec<_> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(names, ["asleep", "crash", "push", "sip"]);
}

#[test]
fn each_verdict_has_its_type() {
    let types = read(run().cases).test_suites.into_iter().flat_map(|s| s.test_cases);
    let types = types.filter_map(|case| match case.status {
        TestCaseStatus::NonSuccess { kind, ty, message, .. } => {
            assert!(message.is_some_and(|message| message.starts_with("accepted-call")
                || message.starts_with("expect MUST: expected the caller")));
            Some((kind == NonSuccessKind::Failure, ty.map(|ty| ty.as_str().to_owned())))
        }
        _ => None,
    });
    let want = [(true, "fail"), (false, "inconclusive"), (false, "error")];
    let want = want.map(|(failure, ty)| (failure, Some(format!("reveille.{ty}"))));
    assert_eq!(types.collect::<Vec<_>>(), want);
}

#[test]
fn no_character_is_one_that_xml_forbids() {
    let mut bad =
        case(HOSTILE, &[("x", HOSTILE)], vec![finding(HOSTILE, HOSTILE, Observed::Error)]);
    bad.replay = HOSTILE.to_owned();
    let xml = write(&of(vec![bad.clone()]), &no_traces).unwrap();
    let allowed = |c: char| {
        matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
            && !matches!(c, '\u{200b}' | '\u{202e}')
    };
    assert_eq!(xml.chars().find(|c| !allowed(*c)), None, "{xml}");
    assert!(!xml.contains("]]>") && !xml.contains("\nPASS"), "{xml}");
    assert_eq!(read(vec![bad]).errors, 1);
}

#[test]
fn names_are_never_empty_and_pairs_are_unique() {
    let mut again = case("a/b", &[("at", "1")], vec![sure()]);
    again.verdict.seed = 2;
    let nameless = case("", &[], vec![sure()]);
    let cell = || case("a/b", &[("at", "1")], vec![sure()]);
    let report = read(vec![nameless, case("a/b", &[], vec![sure()]), cell(), again, cell()]);
    let mut pairs = BTreeSet::new();
    for test in report.test_suites.iter().flat_map(|suite| &suite.test_cases) {
        let class = test.classname.as_ref().map(|class| class.as_str().to_owned()).unwrap();
        assert!(!class.is_empty() && !test.name.as_str().is_empty());
        pairs.insert(format!("{class} | {}", test.name.as_str()));
    }
    let want = [
        "a/b | at=1 seed 1",
        "a/b | at=1 seed 1 #2",
        "a/b | at=1 seed 2",
        "a/b | plays seed 1",
        "unnamed | plays seed 1",
    ];
    assert_eq!(pairs.into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn a_message_is_one_line_of_300_characters_and_an_output_below_64_kb() {
    let mut long = finding("expect", "MUST", Observed::Fail);
    long.actual = "\u{fffe} y".repeat(5_000);
    let bad = case("a/b", &[], vec![long.clone(), long]);
    let trace = |_: &Case| {
        let mut trace = crash();
        let events = trace.events.clone();
        for _ in 0..200 {
            trace.events.extend(events.iter().cloned());
        }
        (0..).zip(&mut trace.events).for_each(|(seq, event)| event.seq = seq);
        Some(std::borrow::Cow::Owned(trace))
    };
    let report = Report::deserialize_from_str(&write(&of(vec![bad]), &trace).unwrap()).unwrap();
    let test = &report.test_suites[0].test_cases[0];
    let TestCaseStatus::NonSuccess { message: Some(message), .. } = &test.status else {
        panic!("it failed");
    };
    assert!(message.as_str().len() == 300 && !message.as_str().contains('\n'), "{message:?}");
    assert!(message.as_str().ends_with(" (and 1 more finding)"), "{message:?}");
    let output = test.system_out.as_ref().unwrap().as_str();
    assert!(output.len() < 64_000 && output.contains("... folded "));
}
