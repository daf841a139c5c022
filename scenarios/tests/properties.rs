//! Whatever stands in a file, reading it ends with a scenario or with problems that lie in it.

use proptest::prelude::*;
use reveille_scenarios::{CODES, read};

const PLAIN: &str = include_str!("../wake/plain.toml");

/// Every table, verb and form at once.
const RICH: &str = r#"schema = 1
title = "Grüße"
needs = ["sim"]
[world]
wake-budget = "30s"
[actors]
alice = { kind = "sip-ua", transport = "tcp" }
bob = { kind = "phone", app = "plain", decline = 603 }
carol = { kind = "phone", push = "apns" }
dora = { kind = "phone", os = "android", bucket = "rare", cold-start = "4s" }
[run]
seeds = 3
[script]
steps = [
  { sleep = "bob", close-code = 4001 },
  { at = "1s", call = "c1", from = "alice", to = "bob", lost-answers = 1 },
  { when = "alice.received(c1, 180)", crash = "gateway", down = "2s" },
  { wait = "1.5s", drop = "push.webhook", what = "request", times = 2 },
  { refuse = "push.apns", reason = "Unregistered", age = "1h", retry-after = "5s" },
  { break = "push.apns", how = "goaway" },
  { partition = "gateway--push", lasts = "3s" },
  { set = "bob", pushes = "ignored" },
  { hangup = "bob" },
  { message = "m1", from = "alice", to = "bob", content = "imdn" },
  { retransmit = "m1" },
  { doze = "dora", depth = "deep", lasts = "2h" },
  { misbehave = "dora", how = "crashes", times = 2 },
  { subscribe = "bob", to = "alice" },
  { notify = "bob", by = "alice", messages = 3 },
]
expect = [
  { must = "alice.final(c1) in [200, 480]", after = "alice.sent(c1)", within = "20s" },
  { should = "count(push.sent(bob)) <= 2", why = "one is enough" },
  { may = "never push.arrived(bob)" },
]
[sweep]
fault = "crash"
on = "gateway"
points = ["store", "send"]
"#;

/// Pieces that a scenario is made of, and what breaks them.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    "=",
    ".",
    "\n",
    "\\",
    "#",
    "(",
    ")",
    "é",
    "\u{0}",
    "--",
    "call",
    "never ",
    "count(",
    "9999999999999999999999",
    "\"\"\"",
    "[script]\n",
    "1s",
];

fn judge(text: &str) -> Result<(), TestCaseError> {
    let broken = toml::de::DeTable::parse(text).is_err();
    let report = match read("wake/plain", text) {
        Err(report) => report,
        Ok(_) if broken => return Err(TestCaseError::fail("broken syntax was overlooked")),
        Ok(_) => return Ok(()),
    };
    let told = report.problems.iter().any(|p| p.code == "scenario.not-toml");
    prop_assert_eq!(told, broken);
    prop_assert!(!report.problems.is_empty());
    prop_assert!(report.problems.len() <= 1001);
    for problem in &report.problems {
        prop_assert!(CODES.iter().any(|(code, _)| *code == problem.code));
        prop_assert!(text.get(problem.span.clone()).is_some(), "{:?}", problem.span);
        let (line, column) = problem.place(text);
        prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1);
        prop_assert!(column >= 1 && column <= text.chars().count() + 1);
    }
    let sorted = report.problems.is_sorted_by_key(|p| p.span.start);
    prop_assert!(sorted || report.problems.len() > 1000);
    prop_assert_eq!(report.to_string().lines().count(), report.problems.len());
    Ok(())
}

/// The nearest boundary of a character.
fn boundary(text: &str, at: usize) -> usize {
    (at % (text.len() + 1)..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .expect("the end is one")
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC*") {
        judge(&text)?;
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        judge(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_mixture_of_pieces_is_judged(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60),
    ) {
        judge(&pieces.concat())?;
    }

    #[test]
    fn any_predicate_is_judged(predicate in "(never |count\\()?[a-z]{1,5}[.(),=<>in \\[\\]0-9a-z]{0,24}") {
        judge(&RICH.replace("count(push.sent(bob)) <= 2", &predicate))?;
    }

    #[test]
    fn a_good_file_with_parts_cut_moved_and_added_is_judged(
        rich in any::<bool>(),
        edits in proptest::collection::vec(
            (any::<usize>(), 0..40_usize, proptest::sample::select(&PIECES[..]), any::<bool>()),
            1..6,
        ),
    ) {
        let mut text = if rich { RICH } else { PLAIN }.to_owned();
        for (at, length, piece, copy) in edits {
            let start = boundary(&text, at);
            let end = boundary(&text, (start + length).min(text.len()));
            let cut = text[start..end].to_owned();
            text.replace_range(start..end, piece);
            if copy {
                let at = boundary(&text, at / 7);
                text.insert_str(at, &cut);
            }
        }
        judge(&text)?;
    }

    /// Each line is left out once, and each is there twice once.
    #[test]
    fn a_good_file_without_a_line_or_with_one_twice_is_judged(
        line in 0..35_usize, twice in any::<bool>(),
    ) {
        let lines = RICH.lines().enumerate().flat_map(|(at, text)| {
            let times = if at != line { 1 } else if twice { 2 } else { 0 };
            std::iter::repeat_n(text, times)
        });
        judge(&lines.collect::<Vec<_>>().join("\n"))?;
    }
}

#[test]
fn the_good_files_are_good() {
    for text in [PLAIN, RICH] {
        read("wake/plain", text).unwrap_or_else(|report| panic!("{report}"));
    }
}

#[test]
fn depth_has_a_bound() {
    let dotted = vec!["a"; 60_000].join(".");
    let nested = format!("a = {}1{}\n", "{ a = ".repeat(20_000), " }".repeat(20_000));
    let both = format!("a = {}1\n", format!("{{ {} = ", vec!["a"; 79].join(".")).repeat(79));
    for text in [format!("{dotted} = 1\n"), format!("[{dotted}]\n"), nested, both] {
        assert!(read("wake/plain", &text).is_err());
    }
}
