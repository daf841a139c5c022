use reveille_reports::format::coverage::write;
use reveille_trace::{Met, Phase, Run};

use crate::sample::{HOSTILE, case, of, sure};

fn met(fault: &str, phase: Phase, times: u64) -> Met {
    Met { fault: fault.to_owned(), phase, times }
}

fn run(met: Vec<Met>) -> Run {
    let mut one = case("crash/store", &[], vec![sure()]);
    one.met = met;
    of(vec![one, case("asleep/plain-wake", &[], vec![sure()])])
}

#[test]
fn the_table_shows_what_met_what_and_names_its_gaps() {
    let rows = vec![
        met("crash", Phase::Held, 3),
        met("crash", Phase::Talking, 1),
        met("push refuse", Phase::Push, 12),
        met("crash", Phase::Held, 1),
    ];
    insta::assert_snapshot!(write(&run(rows), 100));
}

#[test]
fn nothing_struck_is_all_gaps() {
    let text = write(&run(Vec::new()), 100);
    assert!(text.contains("Kinds that never struck: crash, crash-at, power-loss"), "{text}");
    assert!(text.contains("Phases that no fault met: awake, asleep, held"), "{text}");
}

#[test]
fn a_kind_of_a_stranger_does_nothing_to_a_screen() {
    let text =
        write(&run(vec![met(HOSTILE, Phase::After, u64::MAX), met("x", Phase::After, 1)]), 40);
    assert!(text.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{text}");
}
