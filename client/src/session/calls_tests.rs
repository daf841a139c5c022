use super::super::tests::{connected, parse, start};
use super::*;
use serde_json::{Value, json};

const OFFER: &str = "v=0\r\nm=audio 1 RTP/AVP 0\r\n";

/// A frame of the gateway about call `one`, of the transaction `of`.
fn from_gateway(kind: &str, action: &str, of: &str, more: &Value) -> String {
    let mut frame = json!({"control": {"type": kind, "package_type": "call", "session_id": "S1",
        "subsession_id": "one", "sequence": 9, "ack_sequence": 1, "correlation_id": of},
        "header": {"action": action, "initiator": "bob@example.com"}, "payload": {}});
    for (part, members) in more.as_object().unwrap() {
        for (name, value) in members.as_object().unwrap() {
            frame[part][name] = value.clone();
        }
    }
    frame.to_string()
}

fn answered(code: u16, state: &str, sdp: &str) -> String {
    let payload = if sdp.is_empty() { json!({}) } else { json!({"sdp": sdp}) };
    from_gateway(
        "response",
        "start",
        "c2",
        &json!({"control": {"message_state": state},
        "header": {"response_code": code}, "payload": payload}),
    )
}

/// A session with the placed call `one`, which is answered and completed.
fn talking() -> Session {
    let mut session = connected();
    session.place("one", "alice@example.com", OFFER);
    session.hear(&answered(200, "final", "v=0"));
    session
}

#[test]
fn a_placed_call_is_heard_of_and_its_answer_completed() {
    let mut session = connected();
    let start = parse(&session.place("one", "alice@example.com", OFFER));
    assert_eq!(start["control"]["type"], "request");
    assert_eq!(start["control"]["correlation_id"], "c2");
    assert_eq!(start["header"]["target"], "alice@example.com");
    assert_eq!(start["payload"]["sdp"], OFFER);
    let rings = session.hear(&answered(180, "subsequent", ""));
    assert_eq!(rings.events, [Event::Ringing { subsession_id: "one".to_owned() }]);
    assert_eq!(rings.say, [] as [&str; 0]);
    let early = session.hear(&answered(183, "subsequent", "v=0"));
    assert!(matches!(&early.events[0], Event::Progress { sdp: Some(sdp), .. } if sdp == "v=0"));
    let prack = parse(&early.say[0]);
    assert_eq!(prack["header"]["action"], "prack");
    assert_eq!(prack["control"]["type"], "request");
    assert_eq!(prack["control"]["correlation_id"], "c2");
    let taken = session.hear(&answered(200, "final", "v=0"));
    assert!(matches!(taken.events[0], Event::Answered { .. }));
    let complete = parse(&taken.say[0]);
    assert_eq!(complete["header"]["action"], "complete");
    assert_eq!(complete["control"]["correlation_id"], "c2");
    assert_eq!(complete["control"]["sequence"], 4);
    let again = session.hear(&answered(200, "final", "v=0"));
    assert!(again.say.is_empty() && again.events.is_empty(), "{again:?}");
}

#[test]
fn a_refused_call_is_told_with_its_code_and_is_gone() {
    let mut session = connected();
    session.place("one", "alice@example.com", OFFER);
    let busy = json!({"header": {"error_code": 486, "reason": "Busy Here"}});
    let heard = session.hear(&from_gateway("error", "start", "c2", &busy));
    assert!(matches!(heard.events[0], Event::Refused { code: 486, .. }), "{heard:?}");
    assert!(!session.is_busy());
}

#[test]
fn before_the_answer_a_shutdown_is_of_the_start_and_after_it_of_its_own() {
    let mut session = connected();
    session.place("one", "alice@example.com", OFFER);
    let gives_up = parse(&session.hang_up("one").unwrap());
    assert_eq!(gives_up["control"]["correlation_id"], "c2");
    let ends = json!({"header": {"error_code": 487, "reason": "Request Terminated"}});
    let heard = session.hear(&from_gateway("error", "start", "c2", &ends));
    assert_eq!(heard.events, [], "it is over already");
    let bye = parse(&talking().hang_up("one").unwrap());
    assert_eq!(bye["control"]["correlation_id"], "c4");
}

#[test]
fn a_change_of_ours_is_completed_unless_it_is_an_update() {
    for update in [false, true] {
        let mut session = talking();
        let start = parse(&session.change("one", OFFER, update).unwrap());
        assert_eq!(start["control"]["subsession_id"], "one");
        assert_eq!(start["control"]["correlation_id"], "c4");
        let method = if update { json!("UPDATE") } else { Value::Null };
        assert_eq!(start["header"]["sip_method"], method);
        let taken = answered(200, "final", "v=0").replace("\"c2\"", "\"c4\"");
        let heard = session.hear(&taken);
        assert!(matches!(heard.events[0], Event::Changed { .. }));
        let completes = heard.say.iter().filter(|text| text.contains("complete"));
        assert_eq!(completes.count(), usize::from(!update));
        assert!(session.is_busy(), "the call goes on");
    }
    assert!(connected().change("one", OFFER, false).is_none(), "there is no such call");
}

#[test]
fn a_change_of_theirs_is_answered_under_its_own_correlation_and_ends_no_call() {
    let asked = from_gateway("request", "start", "s7", &json!({"payload": {"sdp": "v=0"}}));
    let mut session = talking();
    let heard = session.hear(&asked);
    assert!(matches!(heard.events[0], Event::ChangeAsked { is_update: false, .. }), "{heard:?}");
    let answer = parse(&session.answer("one", OFFER).unwrap());
    assert_eq!(answer["control"]["correlation_id"], "s7");
    session.hear(&asked.replace("s7", "s8"));
    let refusal = parse(&session.decline("one", 488, "no video").unwrap());
    assert_eq!(refusal["control"]["correlation_id"], "s8");
    session.hear(&asked.replace("s7", "s9"));
    let cancelled = json!({"header": {"initiator": "##re-invite_cancel@server##"}});
    let heard = session.hear(&from_gateway("message", "shutdown", "s9", &cancelled));
    assert!(matches!(heard.events[0], Event::ChangeCancelled { .. }));
    assert!(session.is_busy(), "the call goes on");
}

#[test]
fn two_changes_at_once_are_glare() {
    let mut session = talking();
    session.change("one", OFFER, false);
    let asked = from_gateway("request", "start", "s7", &json!({"payload": {"sdp": "v=0"}}));
    let heard = session.hear(&asked);
    assert_eq!(heard.events, []);
    let glare = parse(&heard.say[0]);
    assert_eq!(glare["header"]["error_code"], 491);
    assert_eq!(glare["control"]["correlation_id"], "s7");
    let refused = json!({"header": {"error_code": 491, "reason": "Glare"}});
    let heard = session.hear(&from_gateway("error", "start", "c4", &refused));
    assert!(matches!(heard.events[0], Event::ChangeRefused { code: 491, .. }));
    assert!(session.is_busy(), "the call goes on");
}

#[test]
fn a_start_that_comes_again_is_the_call_and_no_change() {
    let mut session = connected();
    session.hear(&start(2, "one"));
    let again = session.hear(&start(2, "one"));
    assert!(matches!(again.events[0], Event::Incoming(_)));
}

#[test]
fn what_was_said_of_a_placed_call_before_the_resume_keeps_its_correlation() {
    let mut session = connected();
    let saved = session.saved().clone();
    session = Session::new(super::super::tests::settings(), Some(saved));
    session.open();
    session.place("one", "alice@example.com", OFFER);
    session.hang_up("one");
    session.place("two", "alice@example.com", OFFER);
    let resumed = json!({"control": {"type": "response", "session_id": "S1"},
        "header": {"action": "connect", "sslr": 5, "response_code": 200}});
    let said: Vec<_> = session.hear(&resumed.to_string()).say.iter().map(|t| parse(t)).collect();
    let correlations = said.iter().map(|frame| frame["control"]["correlation_id"].clone());
    assert_eq!(correlations.collect::<Vec<_>>(), ["c6", "c6", "c8"]);
    assert_eq!(parse(&session.hang_up("two").unwrap())["control"]["correlation_id"], "c8");
}
