use reveille_gateway_core::io::{Change, PushOutcome};
use serde_json::json;

use crate::rig::{Rig, config, udp};

#[test]
fn an_awake_app_decides_what_the_sender_hears() {
    for (code, heard) in [(200, 200), (202, 202), (488, 488), (603, 603), (408, 480), (401, 480)] {
        let mut rig = Rig::new(config());
        rig.connect(1);
        rig.message("m1");
        let sends = rig.frames(1, "send");
        assert_eq!(rig.given(1), ["hello of m1"]);
        let (header, control) = (&sends[0]["header"], &sends[0]["control"]);
        assert_eq!(control["package_type"], "messaging");
        assert_eq!(header["initiator"], "alice@example.com");
        assert_eq!(header["target"], "bob@example.com");
        assert_eq!(header["content_type"], "text/plain");
        assert_eq!(control["subsession_id"].as_str().map(str::len), Some(36), "a UUID");
        assert_eq!(rig.statuses("m1"), [0_u16; 0], "the app has not decided");
        rig.answer(1, &sends[0], 2, code);
        assert_eq!(rig.statuses("m1"), [heard], "the app said {code}");
        rig.message("m1");
        assert_eq!(rig.statuses("m1"), [heard, heard], "repeated, not delivered again");
        assert_eq!(rig.given(1).len(), 1);
        assert!(rig.pushes.is_empty());
    }
}

#[test]
fn a_message_for_a_sleeper_is_stored_before_the_push_and_answered_202_in_time() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.hold_commits = true;
    rig.message("m1");
    assert!(rig.pushes.is_empty(), "nothing leaves before the record");
    rig.wait_ms(5_000);
    assert_eq!(rig.statuses("m1"), [100], "100 promises nothing, 202 would");
    rig.hold_commits = false;
    rig.commit_all();
    assert_eq!(rig.statuses("m1"), [100, 202]);
    let payload = &rig.pushes[0].payload;
    assert_eq!((payload.event.as_str(), payload.call_id.as_deref()), ("message", Some("m1")));
    assert_eq!(payload.initiator.as_deref(), Some("alice@example.com"));
    rig.push_outcome(PushOutcome::Accepted);
    rig.wait_ms(600_000);
    assert_eq!(rig.pushes.len(), 1, "the wake budget ended, the message stays");
    rig.resume(2, &session, 2);
    assert_eq!(rig.given(2), ["hello of m1"]);
    let subsession = rig.frames(2, "send")[0]["control"]["subsession_id"].clone();
    assert_eq!(payload_subsession(&rig), subsession, "the push named it");
    rig.close(2, None);
    rig.resume(3, &session, 3);
    assert_eq!(rig.given(3), [""; 0], "delivered once: the app confirmed it");
    rig.wait_ms(1_000);
    assert!(rig.disk.messages.is_empty(), "nothing is left of it");
}

fn payload_subsession(rig: &Rig) -> serde_json::Value {
    json!(rig.pushes[0].payload.subsession_id)
}

#[test]
fn a_sleeper_that_comes_in_time_makes_it_200() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.message("m1");
    rig.wait_ms(1_000);
    rig.resume(2, &session, 2);
    let send = rig.frames(2, "send").remove(0);
    rig.answer(2, &send, 3, 200);
    assert_eq!(rig.statuses("m1"), [200]);
    rig.wait_ms(10_000);
    assert_eq!(rig.statuses("m1"), [200], "and no 202 after it");
}

#[test]
fn without_a_wait_the_sender_hears_202_as_soon_as_the_message_is_stored() {
    let mut settings = config();
    settings.message_wait_ms = 0;
    let mut rig = Rig::new(settings);
    rig.asleep();
    rig.hold_commits = true;
    rig.message("m1");
    assert_eq!(rig.statuses("m1"), [0_u16; 0]);
    rig.commit_all();
    assert_eq!(rig.statuses("m1"), [202]);
}

#[test]
fn messages_and_calls_are_given_in_the_order_in_which_they_came() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.message("m1");
    rig.request("INVITE", "c2", "", "");
    rig.message("m3");
    rig.resume(2, &session, 2);
    let actions: Vec<_> = rig.texts.iter().filter(|(to, _)| *to == 2).collect();
    let named = |text: &&(u64, serde_json::Value)| {
        let action = text.1["header"]["action"].as_str().unwrap_or_default().to_owned();
        (action, text.1["control"]["sequence"].as_u64())
    };
    let actions: Vec<_> = actions.into_iter().map(|text| named(&text)).collect();
    let wanted = [("connect", None), ("send", Some(3)), ("start", Some(4)), ("send", Some(5))];
    assert_eq!(actions, wanted.map(|(action, number)| (action.to_owned(), number)));
}

#[test]
fn a_burst_of_messages_is_one_push_and_a_call_among_them_has_its_own() {
    let mut rig = Rig::new(config());
    rig.asleep();
    for n in 0..20 {
        rig.message(&format!("m{n}"));
        if n == 0 {
            rig.push_outcome(PushOutcome::Accepted);
        }
        rig.wait_ms(1_000);
    }
    assert_eq!(rig.pushes.len(), 1, "one wake budget, one push");
    rig.request("INVITE", "c", "", "");
    assert_eq!(rig.pushes.len(), 2, "at once: what woke for a message holds up no call");
    assert_eq!(rig.pushes[1].payload.event, "call");
    assert_eq!(rig.pushes[1].payload.call_id.as_deref(), Some("c"));
    rig.push_outcome(PushOutcome::Accepted);
    rig.message("m20");
    assert_eq!(rig.pushes.len(), 2);
}

#[test]
fn a_call_that_ends_does_not_end_the_wake_of_a_message() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("INVITE", "c", "", "");
    let transient = PushOutcome::Transient { why: "503".to_owned(), retry_after_ms: None };
    rig.push_outcome(transient);
    rig.message("m1");
    rig.request("CANCEL", "c", "", "");
    rig.wait_ms(2_000);
    assert_eq!(rig.pushes.len(), 2);
    assert_eq!(rig.pushes[1].payload.event, "message");
}

#[test]
fn a_dead_token_ends_calls_but_a_message_waits_for_the_app_to_come_by_itself() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.message("m1");
    rig.push_outcome(PushOutcome::refused("410".to_owned()));
    rig.message("m2");
    rig.wait_ms(5_000);
    assert_eq!(rig.statuses("m1"), [100, 202]);
    assert_eq!(rig.statuses("m2"), [100, 202]);
    assert_eq!(rig.pushes.len(), 1);
    rig.resume(2, &session, 2);
    assert_eq!(rig.given(2), ["hello of m1", "hello of m2"]);
}

#[test]
fn stored_messages_survive_a_kill_and_are_not_stored_twice() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.message("m1");
    rig.restart();
    assert_eq!(rig.pushes.len(), 2, "the wake goes on");
    rig.message("m1");
    assert_eq!(rig.statuses("m1"), [0_u16; 0], "a repetition of what is on record");
    rig.wait_ms(5_000);
    assert_eq!(rig.statuses("m1"), [100, 202]);
    rig.restart();
    assert_eq!(rig.statuses("m1"), [100, 202, 202], "the crash may have swallowed it");
    rig.request_by("other", "MESSAGE", "m1", "Content-Type: text/plain\r\n", "hello of m1");
    assert_eq!(rig.statuses("m1"), [100, 202, 202, 202], "by another way, the same answer");
    assert_eq!(rig.disk.messages.len(), 1);
    rig.wait_ms(600_000);
    rig.restart();
    assert_eq!(rig.statuses("m1").len(), 4, "its sender is long gone");
    assert_eq!(rig.pushes.len(), 3, "and so is the wake budget");
    rig.resume(2, &session, 2);
    assert_eq!(rig.given(2), ["hello of m1"]);
}

#[test]
fn a_message_given_to_a_socket_that_dies_is_pushed_and_replayed_as_the_same_frame() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1);
    rig.message("m1");
    let sent = rig.frames(1, "send");
    rig.close(1, None);
    assert_eq!(rig.pushes[0].payload.event, "message");
    rig.restart();
    rig.resume(2, &session, 1);
    assert_eq!(rig.frames(2, "send"), sent);
    rig.answer(2, &sent[0], 2, 200);
    assert_eq!(rig.statuses("m1"), [200]);
}

#[test]
fn a_session_is_not_put_to_sleep_over_a_message_it_has_not_confirmed() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1);
    rig.message("m1");
    let hibernate = |sequence: u64, ack: u64| {
        json!({"control": {"type": "request", "sequence": sequence, "ack_sequence": ack,
            "session_id": session}, "header": {"action": "hibernate"}})
    };
    rig.say(1, &hibernate(2, 1));
    assert_eq!(rig.frames(1, "hibernate")[0]["header"]["error_code"], 491);
    rig.say(1, &hibernate(3, 2));
    assert_eq!(rig.frames(1, "hibernate")[1]["header"]["response_code"], 200);
}

#[test]
fn nobody_is_woken_for_a_quiet_message_and_it_comes_with_the_next() {
    let kinds = [
        "Content-Type: text/plain\r\nPriority: Non-Urgent\r\n",
        "Content-Type: application/im-iscomposing+xml\r\n",
        "Content-Type: message/imdn+xml; charset=utf-8\r\n",
    ];
    for fields in kinds {
        let mut rig = Rig::new(config());
        let session = rig.asleep();
        rig.request("MESSAGE", "quiet", fields, "quiet");
        rig.wait_ms(5_000);
        assert_eq!(rig.statuses("quiet"), [100, 202], "{fields}");
        rig.restart();
        rig.wait_ms(20_000);
        assert!(rig.pushes.is_empty(), "{fields}");
        rig.message("m1");
        assert_eq!(rig.pushes[0].payload.call_id.as_deref(), Some("m1"));
        rig.resume(2, &session, 2);
        assert_eq!(rig.given(2), ["quiet", "hello of m1"], "{fields}");
        let mut rig = Rig::new(config());
        rig.asleep();
        rig.request("MESSAGE", "quiet", fields, "quiet");
        rig.message("m1");
        assert_eq!(rig.pushes.len(), 1, "a quiet one before it delays nothing: {fields}");
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_what_would_be() {
    let table = [
        ("Content-Type: image/png\r\n", "x".to_owned(), 415, "Accept"),
        ("", "no type".to_owned(), 415, "Accept"),
        (
            "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n",
            "x".to_owned(),
            415,
            "Accept-Encoding",
        ),
        ("Content-Type: text/plain\r\n", "x".repeat(8_193), 413, ""),
        ("Content-Type: text/plain\r\nRequire: foo\r\n", "x".to_owned(), 420, "Unsupported"),
    ];
    for (fields, body, status, header) in table {
        let mut rig = Rig::new(config());
        rig.asleep();
        rig.request("MESSAGE", "m", fields, &body);
        assert_eq!(rig.statuses("m"), [status], "{fields}");
        let answer = rig.sip.last().expect("an answer");
        assert_eq!(answer.header(header).is_some(), !header.is_empty(), "{fields}");
        assert!(rig.pushes.is_empty() && rig.disk.messages.is_empty(), "{fields}");
    }
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("MESSAGE", "empty", "", "");
    let binary = "Content-Type: application/im-iscomposing+xml\r\nContent-Encoding: identity\r\n";
    rig.request("MESSAGE", "xml", binary, &"x".repeat(8_192));
    assert_eq!(rig.disk.messages.len(), 2);
}

#[test]
fn the_message_beyond_the_bound_is_told_when_to_come_again() {
    let mut settings = config();
    settings.most_messages = 2;
    let mut rig = Rig::new(settings);
    let session = rig.asleep();
    for call in ["m1", "m2", "m3"] {
        rig.message(call);
    }
    assert_eq!(rig.statuses("m3"), [503]);
    assert!(rig.sip.last().is_some_and(|answer| answer.header("Retry-After").is_some()));
    rig.resume(2, &session, 2);
    for (number, send) in rig.frames(2, "send").iter().enumerate() {
        rig.answer(2, send, 3 + number as u64, 200);
    }
    for call in ["m4", "m5"] {
        rig.message(call);
    }
    assert_eq!(rig.given(2).len(), 4, "what is delivered takes no room");
    for (number, send) in rig.frames(2, "send").iter().skip(2).enumerate() {
        rig.answer(2, send, 5 + number as u64, 200);
    }
    rig.wait_ms(1_000);
    assert_eq!(rig.disk.messages.len(), 2, "and no more of it is remembered than may wait");
    rig.wait_ms(38_000);
    assert_eq!(rig.disk.messages.len(), 0);
}

#[test]
fn what_is_dropped_is_counted_and_nobody_who_waits_is_left_without_an_answer() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.message("m1");
    rig.wait_ms(3_500_000);
    rig.message("m2");
    rig.wait_ms(101_000);
    assert!(rig.disk.sessions.is_empty(), "the sleep is over");
    assert_eq!(rig.statuses("m2"), [100, 202]);
    assert!(rig.disk.messages.is_empty());
    assert_eq!(rig.notes.len(), 2, "{:?}", rig.notes);
    assert!(rig.notes[1].contains("its session ended"), "{:?}", rig.notes);

    let mut rig = Rig::new(config());
    rig.connect(1);
    rig.message("m1");
    rig.close(1, Some(1000));
    assert_eq!(rig.statuses("m1"), [480], "nothing was promised yet");
    assert_eq!(rig.notes.len(), 1);
    rig.message("m2");
    assert_eq!(rig.statuses("m2"), [480], "nobody is there");
}

#[test]
fn a_message_is_kept_for_a_week_at_most() {
    let mut settings = config();
    settings.ttl_s = (2_000_000, 60, 2_000_000);
    let mut rig = Rig::new(settings);
    let session = rig.connect(1);
    let hibernate = json!({"control": {"type": "request", "sequence": 2, "session_id": session},
        "header": {"action": "hibernate"}});
    rig.say(1, &hibernate);
    rig.close(1, Some(4001));
    rig.message("m1");
    rig.wait_ms(604_799_000);
    rig.restart();
    assert_eq!(rig.disk.messages.len(), 1);
    rig.wait_ms(2_000);
    assert!(rig.disk.messages.is_empty());
    assert!(rig.notes[0].contains("longest time"), "{:?}", rig.notes);
}

#[test]
fn a_fresh_connect_of_the_same_device_is_given_the_stored_messages() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.message("m1");
    let fresh = rig.connect(2);
    assert_eq!(rig.given(2), ["hello of m1"]);
    assert!(rig.disk.messages.keys().all(|(owner, _)| owner.as_str() == fresh));
    let send = rig.frames(2, "send").remove(0);
    rig.answer(2, &send, 2, 200);
    assert_eq!(rig.statuses("m1"), [200]);
}

#[test]
fn a_body_that_is_no_text_reaches_the_app_as_base64() {
    let mut rig = Rig::new(config());
    rig.connect(1);
    let text = "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\
        Max-Forwards: 70\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\n";
    let bytes = [text.as_bytes(), &[0xff, 0xfe]].concat();
    let message = Box::new(reveille_wire::sip::Message::parse(&bytes).expect("well-formed"));
    rig.feed(reveille_gateway_core::io::Input::Sip { flow: udp(), message });
    let send = &rig.frames(1, "send")[0];
    assert_eq!(send["payload"]["content"], "//4=");
    assert_eq!(send["header"]["content_transfer_encoding"], "base64");
}

#[test]
fn the_number_of_a_message_is_durable_before_the_app_sees_it() {
    let mut rig = Rig::new(config());
    rig.connect(1);
    rig.hold_commits = true;
    rig.message("m1");
    assert_eq!(rig.given(1), [""; 0]);
    assert_eq!(rig.commits.len(), 1, "record and number in one commit");
    let puts = |change: &&Change| matches!(change, Change::PutMessage(_));
    assert!(rig.commits[0].changes.iter().any(|change| puts(&change)));
    rig.commit_all();
    assert_eq!(rig.given(1).len(), 1);
}

#[test]
fn a_late_hundred_leaves_once_for_any_request_that_waits() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.message("m1");
    rig.wait_ms(3_499);
    rig.message("m1");
    assert_eq!(rig.statuses("m1"), [0_u16; 0], "RFC 4320 4.1");
    rig.wait_ms(1);
    assert_eq!(rig.statuses("m1"), [100]);
    rig.message("m1");
    assert_eq!(rig.statuses("m1"), [100, 100], "repeated to who repeats");
}

#[test]
fn a_call_right_after_the_push_of_a_message_does_not_wait_for_it() {
    for accepted in [false, true] {
        let mut rig = Rig::new(config());
        rig.asleep();
        rig.message("m1");
        if accepted {
            rig.push_outcome(PushOutcome::Accepted);
        }
        rig.wait_ms(100);
        rig.request("INVITE", "c", "", "");
        let events: Vec<_> = rig.pushes.iter().map(|push| push.payload.event.as_str()).collect();
        assert_eq!(events, ["message", "call"]);
    }
}

#[test]
fn what_a_replaced_session_was_given_and_did_not_confirm_is_given_to_its_successor() {
    let mut rig = Rig::new(config());
    rig.connect(1);
    rig.message("m1");
    rig.message("m2");
    let sends = rig.frames(1, "send");
    rig.answer(1, &sends[0], 2, 200);
    rig.connect(2);
    assert_eq!(rig.given(2), ["hello of m2"], "m1 is delivered");
    rig.message("m1");
    assert_eq!(rig.statuses("m1"), [200, 200]);
}

#[test]
fn a_socket_found_dead_long_after_it_was_given_a_message_still_means_a_push() {
    let mut rig = Rig::new(config());
    let session = rig.connect(1);
    rig.message("m1");
    rig.wait_ms(29_000);
    rig.feed(reveille_gateway_core::io::Input::SocketText {
        socket: reveille_gateway_core::io::SocketId(1),
        text: "ping".to_owned(),
    });
    rig.wait_ms(30_000);
    assert_eq!(rig.pushes.len(), 1, "the wake budget counts from the loss");
    rig.resume(2, &session, 1);
    assert_eq!(rig.given(2), ["hello of m1"]);
}

#[test]
fn a_message_that_its_sender_limits_is_not_given_after_its_time() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.request("MESSAGE", "m1", "Content-Type: text/plain\r\nExpires: 60\r\n", "soon");
    rig.request("MESSAGE", "m2", "Content-Type: text/plain\r\nExpires: 2\r\n", "sooner");
    rig.wait_ms(2_000);
    assert_eq!(rig.statuses("m2"), [480], "it was promised nothing yet");
    rig.wait_ms(3_000);
    assert_eq!(rig.statuses("m1"), [100, 202]);
    rig.restart();
    rig.wait_ms(55_000);
    assert_eq!(rig.notes.len(), 2, "{:?}", rig.notes);
    rig.resume(2, &session, 2);
    assert_eq!(rig.given(2), [""; 0]);
}

#[test]
fn the_push_of_a_message_is_of_use_while_the_message_is_and_that_of_a_call_while_it_waits() {
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.message("m1");
    let push = &rig.pushes[0];
    assert_eq!((push.ttl_ms, push.payload.ttl_s), (3_600_000, Some(3_600)), "the sleep");
    assert_eq!(push.deadline_us, rig.now.mono_us + 3_600_000_000);
    rig.request("INVITE", "c", "", "");
    assert_eq!(rig.pushes[1].payload.ttl_s, Some(30), "the wake budget");
    let mut rig = Rig::new(config());
    rig.asleep();
    rig.request("MESSAGE", "m1", "Content-Type: text/plain\r\nExpires: 60\r\n", "soon");
    assert_eq!(rig.pushes[0].payload.ttl_s, Some(60));
}

#[test]
fn a_session_that_another_node_took_says_nothing_more() {
    let mut rig = Rig::new(config());
    let session = rig.asleep();
    rig.message("m1");
    let session = reveille_gateway_core::record::SessionId::from(session);
    rig.feed(reveille_gateway_core::io::Input::Fenced { session, epoch: 1 });
    rig.wait_ms(60_000);
    assert_eq!(rig.statuses("m1"), [0_u16; 0]);
}

#[test]
fn an_answer_whose_connection_is_gone_goes_by_a_new_one() {
    let mut rig = Rig::new(config());
    rig.asleep();
    let text = "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\n\
        Record-Route: <sip:p;lr>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    let message = Box::new(reveille_wire::sip::Message::parse(text.as_bytes()).expect("sound"));
    let peer = "192.0.2.1:34567".to_owned();
    let transport = reveille_gateway_core::io::Transport::Tcp;
    let flow = reveille_gateway_core::io::Flow { transport, peer, connection: Some(7), ..udp() };
    rig.feed(reveille_gateway_core::io::Input::Sip { flow: flow.clone(), message });
    rig.wait_ms(5_000);
    assert_eq!(rig.statuses("x"), [100, 202]);
    assert!(rig.sip[1].header("Record-Route").is_none(), "it makes no dialog");
    assert_eq!(rig.ways[1], flow);
    rig.feed(reveille_gateway_core::io::Input::SipUnsent { flow });
    assert_eq!(rig.statuses("x"), [100, 202, 202]);
    let way = &rig.ways[2];
    assert_eq!((way.peer.as_str(), way.connection), ("192.0.2.1:5060", None));
    rig.feed(reveille_gateway_core::io::Input::SipUnsent { flow: way.clone() });
    assert_eq!(rig.statuses("x").len(), 3, "and no further");
}

#[test]
fn a_message_within_a_call_goes_to_the_app_of_that_call_and_within_none_to_nobody() {
    let mut rig = Rig::new(config());
    rig.connect(1);
    rig.request("INVITE", "c", "", "");
    let start = rig.frames(1, "start").remove(0);
    let answer = json!({
        "control": {"type": "response", "package_type": "call", "sequence": 2,
            "message_state": "final", "correlation_id": start["control"]["correlation_id"],
            "subsession_id": start["control"]["subsession_id"]},
        "header": {"action": "start"}, "payload": {"sdp": "v=0\r\n"}});
    rig.say(1, &answer);
    let tagged = rig.sip.last().and_then(|it| it.to().ok()).expect("a 200");
    let tag = tagged.tag().expect("a tag").to_owned();
    for (tag, status) in [("other", 481), (tag.as_str(), 200)] {
        let text = format!(
            "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{tag}\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>;tag={tag}\r\n\
             Call-ID: c\r\nCSeq: 2 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        let message = reveille_wire::sip::Message::parse(text.as_bytes()).expect("sound");
        rig.feed(reveille_gateway_core::io::Input::Sip { flow: udp(), message: Box::new(message) });
        if let Some(send) = rig.frames(1, "send").pop() {
            rig.answer(1, &send, 3, 200);
        }
        assert_eq!(rig.statuses("c").pop(), Some(status));
    }
}
