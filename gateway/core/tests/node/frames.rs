//! Frames that are out of order, or none.

use reveille_gateway_core::io::{Input, SocketId};
use serde_json::json;

use super::rig::{Rig, config};

#[test]
fn a_gap_in_the_apps_numbers_is_an_error_and_a_duplicate_is_dropped() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 4, "session_id": session},
        "header": {"action": "hibernate"}}),
    );
    assert_eq!(rig.last_text(1)["header"]["reason"], "sequence gap");
    assert_eq!(rig.last_text(1)["control"]["ack_sequence"], 1);
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1, "session_id": session},
        "header": {"action": "hibernate"}}),
    );
    assert_eq!(rig.last_text(1)["control"]["type"], "acknowledgement");
}

#[test]
fn third_text_that_is_no_frame_closes_the_socket() {
    let mut rig = Rig::new(config());
    rig.connect(1, "bob", "tok");
    for _ in 0..3 {
        rig.feed(Input::SocketText { socket: SocketId(1), text: "{".to_owned() });
    }
    assert_eq!(rig.last_text(1)["header"]["error_code"], 400);
    assert_eq!(rig.closes, [(1, 1007)]);
}

#[test]
fn a_frame_with_a_wrong_member_is_refused_by_name_and_the_session_goes_on() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    for (number, frame, code, reason) in [
        (
            2,
            json!({"header": {"action": "hibernate", "ttl": "long"}}),
            400,
            "header.ttl: not a whole",
        ),
        (3, json!({"header": {"action": 7}}), 400, "header.action: not a string"),
        (4, json!({"header": []}), 400, "header: not an object"),
        (5, json!({"payload": 1}), 400, "payload: not an object"),
        (6, json!({"header": {"action": "fly"}}), 404, "no action \"fly\" of package \"register\""),
        (7, json!({"header": {"error_code": 7}}), 400, "header.error_code: not a status"),
    ] {
        let mut frame = frame;
        frame["control"] = json!({"type": "request", "sequence": number, "session_id": session,
            "correlation_id": format!("c{number}"), "ack_sequence": number - 1});
        rig.say(1, &frame);
        let answer = rig.last_text(1);
        assert_eq!(
            (&answer["control"]["type"], &answer["header"]["error_code"]),
            (&json!("error"), &json!(code))
        );
        let said = answer["header"]["reason"].as_str().expect("a reason");
        assert!(said.starts_with(reason), "{said}");
        assert_eq!(answer["control"]["correlation_id"], format!("c{number}"));
        assert_eq!(answer["control"]["ack_sequence"], number, "taken, so that the next is no gap");
    }
    assert!(rig.closes.is_empty(), "each of them was JSON");
    let again = json!({"control": {"type": 1, "sequence": 7}});
    rig.say(1, &again);
    assert_eq!(rig.last_text(1)["control"]["type"], "acknowledgement", "a duplicate");
    rig.say(1, &json!({"header": {}}));
    assert_eq!(
        rig.last_text(1)["header"]["reason"].as_str().map(|it| it.starts_with("control: ")),
        Some(true)
    );
}

#[test]
fn a_first_frame_that_is_none_is_told_why() {
    let mut rig = Rig::new(config());
    rig.open(1, "bob");
    rig.say(
        1,
        &json!({"control": {"type": "request", "sequence": 1, "correlation_id": "c1",
            "version": "2.0"}, "header": {"action": "connect"}}),
    );
    let answer = rig.last_text(1);
    assert_eq!(answer["header"]["error_code"], 400);
    assert_eq!(answer["control"]["correlation_id"], "c1");
    let said = answer["header"]["reason"].as_str().expect("a reason");
    assert!(said.starts_with("control.version: \"2.0\": this side speaks 1.0"), "{said}");
}

#[test]
fn an_app_that_never_acknowledges_is_closed_and_its_call_is_still_there() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1, "bob", "tok");
    rig.request("INVITE", "one", "");
    let mut sequence = 1;
    while rig.closes.is_empty() {
        sequence += 1;
        assert!(sequence < 1_000, "it is closed at last");
        rig.say(
            1,
            &json!({"control": {"type": "request", "sequence": sequence, "session_id": session},
                "header": {"action": "fly"}}),
        );
    }
    assert_eq!(rig.closes, [(1, 1008)]);
    // 256 in all: the answer to the connect, the start, and the errors.
    assert_eq!(sequence, 256);
    rig.resume(2, "bob", &session, &json!({"cslr": 1}));
    let start = rig.starts(2)[0].clone();
    rig.say(
        2,
        &json!({"control": {"type": "acknowledgement", "ack_sequence": 256, "session_id": session}}),
    );
    rig.answer(2, &start, 256);
    assert_eq!(rig.statuses("one"), [100, 183, 200], "held between the two sockets");
}

/// A second after a frame that nothing answers the app hears that it was taken, also where the work
/// of that frame was stored at once (D-15).
#[test]
fn a_refusal_by_the_app_is_acknowledged_within_a_second() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("INVITE", "one", "");
    rig.resume(2, "bob", &session, &json!({}));
    let start = rig.starts(2)[0].clone();
    let before = rig.texts.len();
    rig.say(
        2,
        &json!({"control": {"type": "error", "package_type": "call", "sequence": 3,
            "session_id": session, "subsession_id": start["control"]["subsession_id"],
            "correlation_id": start["control"]["correlation_id"]},
            "header": {"action": "start", "error_code": 603}}),
    );
    assert_eq!(rig.statuses("one").last(), Some(&603));
    rig.wait_ms(999);
    assert_eq!(rig.texts.len(), before);
    rig.wait_ms(1);
    let told = rig.last_text(2);
    assert_eq!(told["control"]["type"], "acknowledgement");
    assert_eq!(told["control"]["ack_sequence"], 3);
}
