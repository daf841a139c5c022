//! What is wrong with a file is found, shown and explained. Each rule has its file in `bad/`, which
//! breaks that rule alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme};
use reveille_scenarios::{CODES, Report, read, read_against};

/// A line `#:repeat 1000 text` stands for a thousand lines of that text.
fn unfolded(text: &str) -> String {
    let lines = text.lines().map(|line| match line.strip_prefix("#:repeat ") {
        Some(rest) => {
            let (times, line) = rest.split_once(' ').expect("a count and a line");
            format!("{line}\n").repeat(times.parse().expect("a count"))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

fn fixtures() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let tomls = paths.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    tomls
        .map(|path| {
            let code = path.file_stem().and_then(|stem| stem.to_str()).expect("a code").to_owned();
            (code, unfolded(&fs::read_to_string(path).expect("text")))
        })
        .collect()
}

/// The plain lines, then the drawing, in letters only.
fn rendered(report: &Report) -> String {
    let mut drawing = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .with_width(100)
        .with_links(false)
        .render_report(&mut drawing, &report.overview())
        .expect("a string takes all");
    let lines: Vec<_> = drawing.lines().map(str::trim_end).collect();
    format!("{report}\n\n{}\n", lines.join("\n"))
}

/// Only the file that breaks the rule is held against a list of requirements.
fn judged(code: &str, text: &str) -> Report {
    let id = format!("bad/{code}");
    match code {
        "scenario.unknown-requirement" => read_against(&id, text, &["patent.step.order"]),
        _ => read(&id, text),
    }
    .expect_err(code)
}

#[test]
fn each_rule_has_its_file_and_each_file_its_rule() {
    let rules: Vec<_> = CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let mut sorted = rules.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), rules.len(), "a code stands in the table twice");
    assert_eq!(sorted, fixtures().into_keys().collect::<Vec<_>>());
}

#[test]
fn each_explanation_gives_the_rule_and_an_example() {
    for (code, text) in CODES {
        assert!(code.starts_with("scenario."), "{code}");
        assert!(text.contains(". "), "{code} has one sentence only");
        assert!(text.matches('`').count() >= 2, "{code} has no example");
        assert!(!text.contains("  ") && text.ends_with('.'), "{code}: {text}");
    }
}

#[test]
fn each_file_breaks_its_rule_alone_and_is_shown() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bad");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (code, text) in fixtures() {
        let report = judged(&code, &text);
        let found: BTreeSet<_> = report.problems.iter().map(|p| p.code).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [code.as_str()], "{report}");
        settings.bind(|| insta::assert_snapshot!(code.as_str(), rendered(&report)));
    }
}

#[test]
fn each_problem_says_what_to_write() {
    for (code, text) in fixtures() {
        for problem in judged(&code, &text).problems {
            let helped = problem.help.is_some() || problem.code == "scenario.not-toml";
            assert!(helped, "{code}: {}", problem.message);
        }
    }
}

/// Ten mistakes of ten kinds, and the line and column of each.
#[test]
fn ten_mistakes_are_found_in_one_pass() {
    let text = r#"schema = 2
title = ""
colour = "red"
covers = ["Order"]
[world]
wake-budget = 30
[actors]
alice = { kind = "sip-ua" }
bob = { kind = "fone" }
carol = { kind = "phone" }
[script]
steps = [
  { call = "c1", from = "alcie", to = "carol" },
  { sleep = "carol", resume = "carol" },
  { cancel = "c2" },
]
expect = [
  { must = "carol.dropped(c1)" },
]
"#;
    let report = read("wake/ten", text).unwrap_err();
    let found = report.problems.iter().map(|p| (p.code, p.place(text))).collect::<Vec<_>>();
    let wanted = vec![
        ("scenario.unknown-schema", (1, 10)),
        ("scenario.empty-title", (2, 9)),
        ("scenario.unknown-key", (3, 1)),
        ("scenario.not-a-requirement", (4, 11)),
        ("scenario.not-a-duration", (6, 15)),
        ("scenario.unknown-word", (9, 16)),
        ("scenario.unknown-actor", (13, 25)),
        ("scenario.one-verb", (14, 31)),
        ("scenario.unknown-call", (15, 14)),
        ("scenario.wrong-sight", (18, 19)),
    ];
    assert_eq!(found, wanted, "{report}");
}

/// The codes of a file and their lines.
fn found(text: &str) -> Vec<(&'static str, usize)> {
    let report = read("wake/broken", text).expect_err("it is broken");
    report.problems.iter().map(|p| (p.code, p.place(text).0)).collect()
}

#[test]
fn broken_syntax_hides_nothing_else_and_invents_nothing() {
    let text = r#"schema = 1
title = "A line cannot be read"
[actors]
alice = { kind = "sip-ua" }
bob = { kind = "phone" }
[script]
steps = [
  { sleep = "bob" },
  { call = "c1", from = "alcie", to = "bob", hang-up-after = 1 },
  { cancel = "c1" },
  { sleep = "bbo" },
]
"#;
    let (toml, actor) = ("scenario.not-toml", "scenario.unknown-actor");
    let time = ("scenario.not-a-duration", 9);
    let purpose = ("scenario.no-purpose", 6);
    assert_eq!(found(text), [purpose, (actor, 9), time, (actor, 11)]);
    // Who is not read is not called unknown, and what is not seen is not called missing.
    let no_bob = text.replace("bob = { kind", "bob { kind");
    assert_eq!(found(&no_bob), [(toml, 5), time]);
    // The line itself is judged by its syntax alone.
    let bad_bob = text.replace("\"phone\"", "phone\"");
    assert_eq!(found(&bad_bob), [(toml, 5), time]);
    // A call that is not read is not called unknown either; actors are.
    let no_call = text.replace("call = \"c1\", from", "call \"c1\", from");
    let found = found(&no_call);
    assert!(found.iter().all(|(code, line)| (*code, *line) == (actor, 11) || *code == toml));
    assert!(found.contains(&(actor, 11)), "{found:?}");
}

#[test]
fn many_broken_lines_are_judged_by_their_syntax_alone() {
    let lines = (0..20).map(|n| format!("p{n} = {{ kind = phone\" }}\n"));
    let text = format!("schema = 1\ntitle = \"T\"\n[actors]\n{}", lines.collect::<String>());
    let found = found(&text);
    assert!(found.iter().all(|(code, _)| *code == "scenario.not-toml"), "{found:?}");
    assert_eq!(found.iter().map(|(_, line)| *line).collect::<BTreeSet<_>>().len(), 20);
}

#[test]
fn a_column_counts_characters() {
    let text = "title = \"Grüße\"\n\"größe\" = 1\n";
    let report = read("wake/short", text).unwrap_err();
    let key = report.problems.iter().find(|p| p.code == "scenario.unknown-key").unwrap();
    assert_eq!(key.place(text), (2, 1));
    let text = "note = { ü = 1 }; x\n";
    let report = read("wake/short", text).unwrap_err();
    let stop = report.problems.iter().find(|p| p.code == "scenario.not-toml").unwrap();
    assert_eq!(stop.place(text), (1, 10), "{report}");
}

#[test]
fn the_plain_form_has_a_line_for_each_problem() {
    let report = read("wake/none", "schema = 3\ntitle = 7\n").unwrap_err();
    let line = "wake/none.toml:2:9: scenario.wrong-type: `title` is not text; \
                write `title = \"A call is answered\"`";
    assert!(report.to_string().lines().any(|l| l == line), "{report}");
    assert_eq!(report.to_string().lines().count(), report.problems.len());
}

#[test]
fn endless_problems_are_cut() {
    let text = "x = 1\n".repeat(40_000);
    let report = read("wake/none", &text).unwrap_err();
    assert_eq!(report.problems.len(), 1001);
    let last = report.problems.last().unwrap();
    assert_eq!(last.code, "scenario.too-many");
}

#[test]
fn the_headline_counts() {
    let report = read("wake/none", "schema = 3\ntitle = 7\n").unwrap_err();
    let n = report.problems.len();
    assert_eq!(report.overview().to_string(), format!("wake/none.toml has {n} problems"));
}
