//! Messages and subscriptions of the app when a target of the network does not take them, and what
//! they are made of at a place of another transport (RFC 3263 section 4.3, RFC 3261 section 18.1.1).

use reveille_gateway_core::io::{Flow, Input, SocketId, Transport};
use reveille_wire::sip::Message;
use serde_json::{Value, json};

use crate::rig::{Rig, udp, with_registrar};

fn place(transport: Transport, peer: &str) -> Flow {
    let (local, peer) = (String::new(), peer.to_owned());
    Flow { transport, local, peer, connection: None }
}

/// An app at a network of two places.
fn two(first: Transport, second: Transport) -> Rig {
    let mut config = with_registrar();
    config.registrar.as_mut().expect("one").flow = place(first, "192.0.2.5:5060");
    config.registrar_others.push(place(second, "192.0.2.6:5060"));
    let mut rig = Rig::new(config);
    rig.connect(1);
    rig
}

fn ask(rig: &mut Rig, method: &str, sequence: u64, content: &str) {
    let (package, action) = match method {
        "MESSAGE" => ("messaging", "send"),
        _ => ("message_notification", "start"),
    };
    let frame: Value = json!({
        "control": {"type": "request", "package_type": package, "sequence": sequence,
            "subsession_id": format!("u{sequence}"), "correlation_id": format!("c{sequence}")},
        "header": {"action": action, "target": "alice@example.com"},
        "payload": {"content": content},
    });
    rig.say(1, &frame);
}

/// Requests of this method with their ways.
fn sent(rig: &Rig, method: &str) -> Vec<(Message, Flow)> {
    let all = rig.sip.iter().zip(&rig.ways);
    let is_it = |(m, _): &(&Message, &Flow)| m.method().is_some_and(|m| m.as_str() == method);
    all.filter(is_it).map(|(m, way)| (m.clone(), way.clone())).collect()
}

fn codes(rig: &Rig) -> Vec<u64> {
    let frames = rig.texts.iter().map(|(_, frame)| frame);
    let errors = frames.filter(|frame| frame["control"]["type"] == "error");
    errors.filter_map(|frame| frame["header"]["error_code"].as_u64()).collect()
}

#[derive(Debug, Clone, Copy)]
enum How {
    Refuses,
    Unreached,
    Silent,
    Lost,
}

fn fail(rig: &mut Rig, method: &str, how: How) {
    let (request, flow) = sent(rig, method).pop().expect("a request");
    match how {
        How::Refuses => {
            let answer = request.reply(503, "", Some("p")).with("Retry-After", "600");
            rig.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
        }
        How::Unreached => rig.feed(Input::SipUnsent { flow }),
        How::Lost => rig.feed(Input::FlowLost { flow }),
        How::Silent => {
            for _ in 0..32 {
                rig.wait_ms(1_000);
                rig.feed(Input::SocketText { socket: SocketId(1), text: "ping".to_owned() });
            }
        }
    }
}

#[test]
fn what_the_first_target_does_not_take_goes_to_the_second_as_the_same_request() {
    for method in ["MESSAGE", "SUBSCRIBE"] {
        for how in [How::Refuses, How::Unreached, How::Silent, How::Lost] {
            let mut rig = two(Transport::Udp, Transport::Udp);
            ask(&mut rig, method, 2, "hello");
            let (first, _) = sent(&rig, method).pop().expect("one");
            fail(&mut rig, method, how);
            let (again, way) = sent(&rig, method).pop().expect("another");
            assert_eq!(way.peer, "192.0.2.6:5060", "{method} {how:?}");
            let branch = |message: &Message| message.via().expect("a Via").branch;
            assert_ne!(branch(&again), branch(&first), "another transaction");
            for name in ["Call-ID", "CSeq", "From", "To"] {
                assert_eq!(again.header(name), first.header(name), "the same request");
            }
            assert!(codes(&rig).is_empty(), "the app hears nothing of it");
            let answer = again.reply(200, "", Some("p"));
            rig.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
            assert!(codes(&rig).is_empty());
            let told = rig.texts.last().expect("a frame").1["header"]["response_code"].as_u64();
            assert!(told == Some(200) || matches!(how, How::Silent), "{told:?}");
        }
    }
}

#[test]
fn once_every_target_failed_the_app_is_told() {
    for method in ["MESSAGE", "SUBSCRIBE"] {
        for (how, code) in [(How::Refuses, 503), (How::Unreached, 408), (How::Silent, 408)] {
            let mut rig = two(Transport::Udp, Transport::Udp);
            ask(&mut rig, method, 2, "hello");
            fail(&mut rig, method, how);
            fail(&mut rig, method, how);
            assert_eq!(codes(&rig), [code], "{method} {how:?}");
            let count = sent(&rig, method).len();
            rig.wait_ms(5_000);
            assert_eq!(sent(&rig, method).len(), count, "no third");
        }
    }
}

#[test]
fn an_app_does_not_wait_for_a_third_silent_target() {
    let mut config = with_registrar();
    for peer in ["192.0.2.6:5060", "192.0.2.7:5060"] {
        config.registrar_others.push(place(Transport::Udp, peer));
    }
    let mut rig = Rig::new(config);
    rig.connect(1);
    ask(&mut rig, "MESSAGE", 2, "hello");
    fail(&mut rig, "MESSAGE", How::Silent);
    assert!(codes(&rig).is_empty());
    fail(&mut rig, "MESSAGE", How::Silent);
    assert_eq!(codes(&rig), [408], "twice 64*T1");
}

#[test]
fn a_challenge_is_answered_where_it_came_from_and_shown_to_nobody_else() {
    let challenge = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\"";
    let refuse = |rig: &mut Rig| {
        let (request, _) = sent(rig, "SUBSCRIBE").pop().expect("one");
        let answer = request.reply(407, "", Some("p")).with("Proxy-Authenticate", challenge);
        rig.feed(Input::Sip { flow: udp(), message: Box::new(answer) });
        sent(rig, "SUBSCRIBE").pop().expect("another")
    };
    let mut rig = two(Transport::Udp, Transport::Udp);
    ask(&mut rig, "SUBSCRIBE", 2, "");
    let (shown, _) = refuse(&mut rig);
    assert!(shown.header("Proxy-Authorization").is_some());
    fail(&mut rig, "SUBSCRIBE", How::Refuses);
    let (bare, way) = sent(&rig, "SUBSCRIBE").pop().expect("another");
    assert!(bare.header("Proxy-Authorization").is_none());
    assert_eq!((way.peer.as_str(), bare.header("CSeq")), ("192.0.2.6:5060", Some("2 SUBSCRIBE")));
    let (shown, way) = refuse(&mut rig);
    assert!(shown.header("Proxy-Authorization").is_some());
    assert_eq!((way.peer.as_str(), shown.header("CSeq")), ("192.0.2.6:5060", Some("3 SUBSCRIBE")));
}

#[test]
fn via_contact_and_size_follow_the_transport_of_the_place_in_use() {
    let mut rig = two(Transport::Tcp, Transport::Udp);
    let long = "x".repeat(1_000);
    ask(&mut rig, "MESSAGE", 2, &long);
    assert_eq!(sent(&rig, "MESSAGE").len(), 1, "over a stream it may be as long");
    ask(&mut rig, "SUBSCRIBE", 3, "");
    let (first, _) = sent(&rig, "SUBSCRIBE").pop().expect("one");
    assert!(first.header("Via").expect("a Via").starts_with("SIP/2.0/TCP "));
    assert!(first.header("Contact").expect("a Contact").ends_with(";transport=tcp>"));

    let flow = place(Transport::Tcp, "192.0.2.5:5060");
    rig.feed(Input::SipUnsent { flow });
    let (again, way) = sent(&rig, "SUBSCRIBE").pop().expect("another");
    assert_eq!(way, place(Transport::Udp, "192.0.2.6:5060"));
    assert!(again.header("Via").expect("a Via").starts_with("SIP/2.0/UDP "));
    assert!(!again.header("Contact").expect("a Contact").contains("transport"));
    assert_eq!(sent(&rig, "MESSAGE").len(), 1, "RFC 3428: it may not go by UDP");
    assert_eq!(codes(&rig), [408]);
    ask(&mut rig, "MESSAGE", 4, &long);
    assert_eq!(codes(&rig), [408, 413], "nor may the next one");
    ask(&mut rig, "MESSAGE", 5, "short");
    let (short, way) = sent(&rig, "MESSAGE").pop().expect("a short one");
    assert_eq!(way, place(Transport::Udp, "192.0.2.6:5060"));
    assert!(short.header("Via").expect("a Via").starts_with("SIP/2.0/UDP "));
}
