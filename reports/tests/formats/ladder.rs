use reveille_reports::format::ladder::{MOST_ROWS, compact, draw};
use reveille_trace::{Draft, Kind};

use crate::sample::{HOSTILE, RTC, SIP, Stage, crash, rtc, sip};

fn row<'a>(ladder: &'a str, label: &str) -> &'a str {
    let found = ladder.lines().find(|line| line.contains(label));
    found.unwrap_or_else(|| panic!("no row `{label}` in\n{ladder}"))
}

#[test]
fn a_crash_is_drawn() {
    insta::assert_snapshot!("crash", draw(&crash(), 100));
}

#[test]
fn a_black_box_is_drawn_from_the_side_of_the_cast() {
    insta::assert_snapshot!("black_box", draw(&crash().without_actor("gateway"), 100));
}

#[test]
fn an_event_has_the_rows_around_it() {
    insta::assert_snapshot!("around", compact(&crash(), Some(24), 6, 100));
    let last = compact(&crash(), None, 2, 100);
    assert!(last.contains("404 (INVITE)") && !last.contains('>'), "{last}");
}

#[test]
fn a_ladder_is_ascii_and_keeps_its_width() {
    let mut stage = Stage::default();
    stage.passes(SIP, HOSTILE, "gateway", HOSTILE.as_bytes());
    stage.passes(RTC, "gateway", "bob", HOSTILE.as_bytes());
    stage.passes(RTC, "gateway", "bob", rtc("request", "\u{202e}\u{1b}[1m", "").as_bytes());
    stage.note("bob", Draft::new(Kind::AppState).with("state", HOSTILE));
    stage.note("bob", Draft::new(Kind::WsRefused).with("what", HOSTILE));
    stage.note("world", Draft::new(Kind::Step).with("verb", HOSTILE).with("on", HOSTILE));
    stage.note("world", Draft::new(Kind::FaultStruck).with("fault", HOSTILE).with("on", HOSTILE));
    stage.note("world", Draft::new(Kind::Scenario).with("id", HOSTILE).with("title", HOSTILE));
    for (trace, width) in [(stage.trace(), 80), (crash(), 90), (stage.trace(), 120)] {
        let ladder = draw(&trace, width);
        assert!(ladder.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{ladder}");
        assert!(ladder.lines().all(|line| line.len() <= width), "{ladder}");
    }
}

#[test]
fn a_message_that_comes_again_at_once_is_counted() {
    let mut stage = Stage::default();
    let invite = sip("INVITE sip:bob@example.com SIP/2.0", "1 INVITE", "");
    stage.passes(SIP, "alice", "gateway", &invite);
    for _ in 0..3 {
        stage.now_ms += 500;
        stage.sends(Kind::SipSent, "alice", &invite);
    }
    // A network that doubles a datagram.
    let bye = sip("BYE sip:bob@example.com SIP/2.0", "2 BYE", "");
    stage.passes(SIP, "alice", "gateway", &bye);
    stage.sends(Kind::SipReceived, "gateway", &bye);
    let ladder = draw(&stage.trace(), 100);
    assert!(row(&ladder, "INVITE x3 until 1.510").contains("x "), "{ladder}");
    assert!(!row(&ladder, "- INVITE -").contains('x'), "{ladder}");
    assert!(row(&ladder, "BYE again").contains('>'), "{ladder}");
}

#[test]
fn what_was_sent_twice_and_lost_once_is_one_arrow_and_one_loss() {
    let mut stage = Stage::default();
    let text = rtc("request", "start", "");
    stage.passes(RTC, "gateway", "bob", text.as_bytes());
    stage.at(900).sends(Kind::RtcSent, "gateway", text.as_bytes());
    let ladder = draw(&stage.trace(), 100);
    let rows: Vec<_> = ladder.lines().filter(|line| line.contains(" start ")).collect();
    assert_eq!(rows.len(), 2, "{ladder}");
    assert!(rows[0].contains('>') && rows[1].contains('x') && !rows[1].contains('>'), "{ladder}");
}

#[test]
fn what_one_node_hands_to_another_is_not_lost() {
    let mut stage = Stage::default();
    let invite = sip("INVITE sip:bob@example.com SIP/2.0", "1 INVITE", "");
    stage.passes(SIP, "alice", "gateway", &invite);
    let onward = sip("INVITE sip:bob@example.com SIP/2.0", "1 INVITE", "\r\nVia: one");
    stage.passes(SIP, "gateway", "gateway", &onward);
    let ladder = draw(&stage.trace(), 100);
    assert!(row(&ladder, "[handed on: INVITE]").starts_with("     0.010"), "{ladder}");
    assert!(!ladder.contains("x-") && !ladder.contains("[got"), "{ladder}");
}

#[test]
fn a_message_that_took_long_says_so() {
    let mut stage = Stage::default();
    let text = rtc("message", "shutdown", "");
    stage.sends(Kind::RtcSent, "gateway", text.as_bytes());
    stage.at(1_234).sends(Kind::RtcReceived, "bob", text.as_bytes());
    assert!(draw(&stage.trace(), 100).contains("shutdown +1.234 s"));
}

#[test]
fn a_push_goes_its_way_or_is_dropped() {
    let mut stage = Stage::default();
    stage.passes([Kind::PushSent, Kind::PushReceived], "gateway", "push", b"{}");
    stage.note("push", Draft::new(Kind::PushAnswered).with("status", 200));
    stage.note("bob", Draft::new(Kind::PushArrived).raw("{}").with("token", "t1"));
    stage.note("carol", Draft::new(Kind::PushArrived).raw("[]").with("token", "t2"));
    stage.note("push", Draft::new(Kind::PushDropped).with("token", "t1"));
    stage.note("push", Draft::new(Kind::Stall).with("stall_us", 45_600));
    insta::assert_snapshot!("push", draw(&stage.trace(), 90));
}

#[test]
fn refreshes_after_the_first_registration_are_one_row() {
    let mut stage = Stage::default();
    for round in 0..4_u64 {
        stage.at(round * 60_000);
        for (from, to, start) in [
            ("gateway", "registrar", "REGISTER sip:example.com SIP/2.0"),
            ("registrar", "gateway", "SIP/2.0 401 Unauthorized"),
            ("gateway", "registrar", "REGISTER sip:example.com SIP/2.0"),
            ("registrar", "gateway", "SIP/2.0 200 OK"),
        ] {
            let cseq = format!("{} REGISTER", stage.now_ms);
            stage.passes(SIP, from, to, &sip(start, &cseq, ""));
        }
        stage.passes(RTC, "bob", "gateway", rtc("request", "ping", "").as_bytes());
        if round == 2 {
            stage.note("gateway", Draft::new(Kind::HostCrashed));
        }
    }
    let ladder = draw(&stage.trace(), 100);
    // The first one, and the one after the crash.
    assert_eq!(ladder.matches("401").count(), 2, "{ladder}");
    assert_eq!(ladder.matches("REGISTER (4 messages)").count(), 2, "{ladder}");
    assert_eq!(ladder.matches("... 59.9 s idle").count(), 3, "{ladder}");
}

#[test]
fn a_long_ladder_says_what_it_folded() {
    let mut stage = Stage::default();
    for number in 0..1_000 {
        let cseq = format!("{number} OPTIONS");
        stage.passes(SIP, "alice", "gateway", &sip("OPTIONS sip:b SIP/2.0", &cseq, ""));
    }
    let ladder = draw(&stage.trace(), 100);
    let drawn = ladder.matches("- OPTIONS -").count();
    assert_eq!(drawn, MOST_ROWS - 1);
    let folded = format!("... folded {0} rows: {0} OPTIONS", 1_000 - drawn);
    assert!(ladder.contains(&folded), "{ladder}");
}

#[test]
fn more_actors_than_fit_share_lanes_and_keep_their_names() {
    let mut stage = Stage::default();
    for number in 0..40 {
        let caller = format!("caller{number:02}");
        let text = sip("INVITE sip:b SIP/2.0", &format!("{number} INVITE"), "");
        stage.passes(SIP, &caller, "gateway", &text);
    }
    let ladder = draw(&stage.trace(), 100);
    assert!(row(&ladder, "seconds").contains("caller00 +39"), "{ladder}");
    assert!(row(&ladder, "INVITE caller17").contains('>'), "{ladder}");
}

/// Every event is a row, is in a counted fold, or is counted in the last line.
#[test]
fn no_event_goes_missing() {
    let ladder = draw(&crash(), 100);
    let last = ladder.lines().last().unwrap_or_default();
    assert_eq!(last, "Not drawn: 1 hop, 3 host.started, 1 scenario.");
    let empty = draw(&Stage::default().trace(), 100);
    assert!(empty.starts_with("crash/store"), "{empty}");
}

#[test]
fn where_there_are_several_calls_each_message_names_its_own() {
    let mut stage = Stage::default();
    for (call, at) in [("call-1", 0), ("call-2", 10)] {
        let invite = Draft::new(Kind::SipSent).corr(call);
        let text = sip("INVITE sip:b SIP/2.0", &format!("{at} INVITE"), "");
        stage.at(at).note("alice", invite.raw(text));
    }
    let text = sip("REGISTER sip:example.com SIP/2.0", "1 REGISTER", "");
    stage.passes(SIP, "gateway", "registrar", &text);
    let ladder = draw(&stage.trace(), 100);
    assert_eq!(ladder.matches("INVITE c1").count(), 2, "{ladder}");
    assert!(ladder.contains("REGISTER -"), "{ladder}");
    let one = draw(&crash(), 100);
    assert!(one.contains("- INVITE -"), "{one}");
}

#[test]
fn pings_and_pongs_are_one_row_until_something_else_happens() {
    let mut stage = Stage::default();
    let rounds = |stage: &mut Stage| {
        for _ in 0..6 {
            stage.now_ms += 10_000;
            stage.passes(RTC, "bob", "gateway", b"ping");
            stage.passes(RTC, "gateway", "bob", b"pong");
        }
    };
    rounds(&mut stage);
    stage.passes(RTC, "gateway", "bob", rtc("request", "start", "").as_bytes());
    rounds(&mut stage);
    stage.sends(Kind::RtcSent, "bob", b"ping");
    let ladder = draw(&stage.trace(), 100);
    assert_eq!(ladder.matches("ping, pong x12 until").count(), 2, "{ladder}");
    // A ping into the void is no keep-alive.
    assert!(row(&ladder, " ping -").contains('x'), "{ladder}");
    assert_eq!(ladder.matches("idle").count(), 1, "{ladder}");
}

#[test]
fn of_two_sent_the_lost_one_is_the_one_that_got_no_answer() {
    let invite = sip("INVITE sip:b SIP/2.0", "1 INVITE", "");
    let mut stage = Stage::default();
    stage.sends(Kind::SipSent, "alice", &invite);
    stage.note("gateway", Draft::new(Kind::HostStarted).with("generation", 1));
    stage.at(500).passes(SIP, "alice", "gateway", &invite);
    let ladder = draw(&stage.trace(), 100);
    let rows: Vec<_> = ladder.lines().filter(|line| line.contains(" INVITE ")).collect();
    assert!(rows[0].contains('x') && !rows[1].contains('x'), "{ladder}");
    // Both arrive, each later than the next was sent.
    let mut stage = Stage::default();
    stage.sends(Kind::SipSent, "alice", &invite);
    stage.at(500).sends(Kind::SipSent, "alice", &invite);
    stage.at(700).sends(Kind::SipReceived, "gateway", &invite);
    stage.at(1_300).sends(Kind::SipReceived, "gateway", &invite);
    let ladder = draw(&stage.trace(), 100);
    assert!(ladder.contains("INVITE +0.700 s") && ladder.contains("INVITE +0.800 s"), "{ladder}");
}

#[test]
fn most_of_the_rows_around_an_event_are_those_that_led_to_it() {
    let crashed = crash().events.iter().find(|event| event.kind == Kind::HostCrashed).unwrap().seq;
    let ladder = compact(&crash(), Some(crashed), 4, 100);
    let marked = ladder.lines().position(|line| line.starts_with('>')).unwrap();
    // The names of the lanes, what was left out, and two rows.
    assert_eq!(marked, 4, "{ladder}");
    assert!(row(&ladder, "[crashed]").starts_with('>'), "{ladder}");
    assert!(row(&ladder, "INVITE x2").contains('x'), "{ladder}");
}

#[test]
fn a_note_is_no_wider_than_two_lanes() {
    let mut stage = Stage::default();
    stage.passes(SIP, "alice", "gateway", &sip("BYE sip:b SIP/2.0", "1 BYE", ""));
    stage.passes(RTC, "gateway", "bob", rtc("request", "start", "").as_bytes());
    stage.note("gateway", Draft::new(Kind::HostStarted).with("generation", 1));
    stage.note("bob", Draft::new(Kind::AppCallEnded).with("why", "w".repeat(90)));
    let ladder = draw(&stage.trace(), 100);
    assert!(row(&ladder, "[ended: www").contains('|'), "{ladder}");
}
