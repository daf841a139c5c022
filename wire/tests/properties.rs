//! What is built reads back, what is read is written back, and nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;
use reveille_wire::jsonrtc::{self, Frame, FrameType, Inbound, MessageState, judge_text};
use reveille_wire::push::{MAX_PAYLOAD, WakePayload};
use reveille_wire::sip::{Bounds, Framer, Message, Method, NameAddr, Uri, Via, judge_datagram};

const SEED: &[u8] = include_bytes!("../golden/sip/ok-two-contacts-two-vias.sip");
const OTHER: &[u8] = include_bytes!("../golden/sip/ok-quoted-display.sip");

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9.!%*_+~-]{0,20}"
}

fn message() -> impl Strategy<Value = Message> {
    let value = "[ -~]{0,60}";
    let headers = vec((token(), value), 0..12);
    (token(), "[a-z]{1,8}", headers, vec(any::<u8>(), 0..80)).prop_map(
        |(method, user, all, body)| {
            let method = Method::parse(&method).expect("a token");
            let mut message = Message::request(method, format!("sip:{user}@example.com"));
            for (name, value) in all {
                // Its value would have to be a number for the message to be read.
                if !name.eq_ignore_ascii_case("content-length") && !name.eq_ignore_ascii_case("l") {
                    message.push(&name, value);
                }
            }
            message.set_body("application/octet-stream", body);
            message
        },
    )
}

const FRAME: &str = include_str!("../golden/jsonrtc/start-request.json");

/// A request as our own code would build one.
fn request() -> impl Strategy<Value = Message> {
    let method = proptest::sample::select(vec![
        Method::INVITE,
        Method::REGISTER,
        Method::OPTIONS,
        Method::MESSAGE,
        Method::BYE,
        Method::ACK,
    ]);
    let name = "[ -~äß\u{4e2d}]{0,20}";
    let parts = ("[a-z0-9.]{1,12}", "[a-z]{1,9}\\.example", proptest::option::of(any::<u16>()));
    let subject = "[ -~]{0,40}";
    (method, name, parts, token(), 0..1_u32 << 31, 0..=255_u8, subject, vec(any::<u8>(), 0..60))
        .prop_map(|(method, name, (user, host, port), tag, cseq, hops, subject, body)| {
            let target = format!("sip:{user}@{host}");
            let own = Uri::parse(&target).expect("a URI");
            let mut from = NameAddr::new(own).with_tag(&tag);
            from.display = Some(name);
            let cseq = format!("{cseq} {method}");
            let via = Via::new("UDP", host, port, format!("z9hG4bK{tag}")).to_string();
            let mut message = Message::request(method, target.as_str())
                .with("Via", via)
                .with("Max-Forwards", hops.to_string())
                .with("From", from.to_string())
                .with("To", format!("<{target}>"))
                .with("Call-ID", format!("{tag}@here"))
                .with("CSeq", cseq)
                .with("Contact", format!("<{target}>"))
                .with("Subject", subject);
            message.set_body("application/sdp", body);
            message
        })
}

fn frame() -> impl Strategy<Value = Frame> {
    let id = || proptest::option::of(".{0,20}");
    let key = || proptest::option::of("\\PC{0,20}");
    let number = || proptest::option::of(any::<u64>());
    (0..5_usize, token(), key(), id(), number(), number(), id(), any::<Option<bool>>()).prop_map(
        |(kind, action, session, reason, sequence, ack, correlation, last)| {
            let mut frame = match kind {
                0 => Frame::request("call", &action),
                1 => Frame::response("call", &action, MessageState::Subsequent),
                2 => Frame::message("register", &action),
                3 => Frame::acknowledgement(7),
                _ => Frame::error("call", &action, 480, "no"),
            };
            frame.control.version = Some("1.0".to_owned());
            frame.control.session_id = session;
            frame.control.sequence = sequence;
            frame.control.ack_sequence = ack;
            frame.control.correlation_id = correlation;
            if frame.control.kind != FrameType::Acknowledgement {
                frame.header.reason = reason;
                frame.header.reliable = last;
                frame.payload.insert("sdp".to_owned(), "v=0\r\n".into());
            }
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_sip_message_that_was_built_reads_back(message in message()) {
        let bytes = message.to_bytes();
        let back = Message::parse(&bytes).expect("what we build is well-formed");
        prop_assert_eq!(back.to_bytes(), bytes);
        prop_assert_eq!(back.start, message.start);
        prop_assert_eq!(back.body, message.body);
    }

    #[test]
    fn no_bytes_make_the_sip_reader_panic(bytes in vec(any::<u8>(), 0..400)) {
        let judgement = judge_datagram(&bytes);
        prop_assert!(judgement.is_refused());
        std::hint::black_box(judgement.to_string());
    }

    #[test]
    fn a_request_that_was_built_is_never_refused_nor_is_its_reply(
        request in request(), status in 100..700_u16,
    ) {
        let judgement = judge_datagram(&request.to_bytes());
        prop_assert!(!judgement.is_refused(), "{judgement}");
        let reply = request.reply(status, Message::reason_phrase(status), Some("r1"));
        let judgement = judge_datagram(&reply.to_bytes());
        prop_assert!(!judgement.is_refused(), "{judgement}");
    }

    #[test]
    fn no_mutation_makes_the_sip_reader_panic(
        at in 0..SEED.len(), with in vec(any::<u8>(), 0..6), cut in 0..8_usize,
    ) {
        for golden in [SEED, OTHER] {
            let mut bytes = golden.to_vec();
            let at = at.min(bytes.len());
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, with.iter().copied());
            let judgement = judge_datagram(&bytes);
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            for refusal in &judgement.refusals {
                prop_assert!(refusal.offset <= bytes.len() && refusal.line <= lines, "{refusal}");
            }
            for remark in &judgement.remarks {
                prop_assert!(remark.offset <= bytes.len() && remark.line <= lines, "{remark}");
            }
            let sound = Message::parse(&bytes).and_then(|message| message.validate());
            prop_assert!(sound.is_ok() || judgement.is_refused(), "{judgement}");
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert!(bytes.windows(4).any(|w| w == b"\r\n\r\n"));
                std::hint::black_box((message.vias().is_ok(), message.contacts().is_ok()));
            }
            let mut framer = Framer::new(Bounds::default());
            framer.push(&bytes);
            while let Ok(Some(_)) = framer.next() {}
        }
    }

    #[test]
    fn how_a_stream_is_chunked_changes_nothing(sizes in vec(1..200_usize, 1..30)) {
        let stream = [SEED, b"\r\n\r\n", OTHER, SEED].concat();
        let frames = |sizes: &[usize]| {
            let (mut framer, mut at, mut frames) = (Framer::new(Bounds::default()), 0, Vec::new());
            for size in sizes.iter().cycle() {
                let end = (at + size).min(stream.len());
                framer.push(&stream[at..end]);
                while let Some(frame) = framer.next().expect("well-formed") {
                    frames.push(frame);
                }
                at = end;
                if at == stream.len() {
                    return frames;
                }
            }
            frames
        };
        prop_assert_eq!(frames(&sizes), frames(&[stream.len()]));
    }

    #[test]
    fn a_frame_that_was_built_reads_back(frame in frame()) {
        let text = frame.to_text();
        let judgement = judge_text(text.as_bytes());
        prop_assert!(!judgement.is_refused(), "{judgement}");
        match jsonrtc::read(&text) {
            Ok(Inbound::Frame(back)) => prop_assert_eq!(*back, frame),
            other => prop_assert!(false, "{text}: {other:?}"),
        }
    }

    #[test]
    fn no_text_makes_the_frame_reader_panic(text in ".{0,300}") {
        let sound = jsonrtc::read(&text).is_ok();
        prop_assert_eq!(judge_text(text.as_bytes()).is_refused(), !sound);
    }

    #[test]
    fn no_bytes_make_the_judge_of_frames_panic(
        bytes in vec(any::<u8>(), 0..300), at in 0..FRAME.len(), cut in 0..8_usize,
    ) {
        let mut near = FRAME.as_bytes().to_vec();
        near.splice(at..(at + cut).min(FRAME.len()), bytes.iter().take(6).copied());
        for text in [&bytes, &near] {
            let judgement = judge_text(text);
            for refusal in &judgement.refusals {
                prop_assert!(refusal.offset <= text.len(), "{refusal}");
            }
            std::hint::black_box(judgement.to_string());
        }
    }

    #[test]
    fn a_payload_is_json_within_bounds_whatever_the_caller_is_called(
        name in ".{0,3000}", call in "[a-z0-9@.]{1,100}",
    ) {
        let payload = WakePayload {
            session_id: "0123456789abcdef0123456789abcdef".to_owned(),
            event: "call".to_owned(),
            call_id: Some(call.clone()),
            subsession_id: Some("7b0c".to_owned()),
            initiator: Some(name.clone()),
            target: Some(name),
            ttl_s: Some(30),
            incoming: None,
        };
        let text = payload.to_json();
        prop_assert!(text.len() <= MAX_PAYLOAD);
        let back = WakePayload::from_json(text.as_bytes()).expect("valid JSON");
        prop_assert_eq!(back.session_id, payload.session_id);
        prop_assert_eq!(back.call_id, Some(call));
    }
}

#[test]
fn what_rsip_reads_it_reads_the_same() {
    use rsip::prelude::*;
    for (index, call) in ["plain", "with.dots-and_lines", "a%b*c"].into_iter().enumerate() {
        let text = format!(
            "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{index}\r\n\
             From: <sip:alice@example.com>;tag=t{index}\r\nTo: <sip:bob@example.com>\r\n\
             Call-ID: {call}\r\nCSeq: {index} INVITE\r\nContact: <sip:alice@192.0.2.1>\r\n\
             Content-Length: 3\r\n\r\nv=0"
        );
        let theirs = rsip::Request::try_from(text.as_bytes()).expect("rsip reads it");
        let ours = Message::parse(text.as_bytes()).expect("so do we");
        let via = theirs.via_header().expect("a Via").typed().expect("typed");
        let branch = via.branch().map(ToString::to_string);
        assert_eq!(ours.via().expect("a Via").branch, branch);
        let from = theirs.from_header().expect("a From").typed().expect("typed");
        assert_eq!(
            ours.from().expect("a From").tag(),
            from.tag().map(|tag| tag.value().to_owned()).as_deref()
        );
        let cseq = theirs.cseq_header().expect("a CSeq").typed().expect("typed");
        assert_eq!(ours.cseq().expect("a CSeq").number, cseq.seq);
        assert_eq!(ours.call_id(), Ok(theirs.call_id_header().expect("one").value()));
        assert_eq!(ours.body, theirs.body);
    }
}

#[test]
fn a_lone_crlf_is_the_answer_to_a_ping_once_it_is_asked_for() {
    let mut framer = Framer::new(Bounds::default());
    for _ in 0..2 {
        framer.push(b"\r\n");
        assert_eq!(framer.next(), Ok(None));
        assert!(framer.take_pong());
    }
    assert!(!framer.take_pong(), "taken");
    framer.push(b"\r\n\r\n");
    assert!(!framer.take_pong(), "a ping");
    assert_eq!(framer.next(), Ok(Some(reveille_wire::sip::Frame::Ping)));
}
