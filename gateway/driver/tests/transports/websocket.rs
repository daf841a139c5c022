//! SIP in WebSockets (RFC 7118), as a peer sees it that connects.

use futures_util::{SinkExt as _, StreamExt as _};
use reveille_host::BoxStream;
use reveille_trace::Kind;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::certificates::Authority;
use super::{OPTIONS, Rig, speak_tls, watch};

type Socket = WebSocketStream<BoxStream>;

async fn rig() -> Rig {
    Rig::new(|it| it.sip_ws = vec!["127.0.0.1:0".to_owned()]).await
}

/// Upgrades with these offers; what is agreed on comes back.
async fn upgrade(
    rig: &Rig,
    stream: BoxStream,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, String), Error> {
    let mut request = "ws://gateway.example.com/any".into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    let work = tokio_tungstenite::client_async(request, stream);
    let (socket, response) = rig.in_time(work).await?;
    let agreed = response.headers()["Sec-WebSocket-Protocol"].to_str().expect("text").to_owned();
    Ok((socket, agreed))
}

const SIP: (&str, &str) = ("Sec-WebSocket-Protocol", "chat, sip");

async fn open(rig: &Rig) -> Socket {
    let stream = rig.dial(&rig.running.sip_ws[0]).await;
    upgrade(rig, stream, &[SIP]).await.expect("let in").0
}

/// A request over WebSocket, without the Content-Length that it may leave out.
fn options(transport: &str) -> String {
    let text =
        OPTIONS.replace("SIP/2.0/TLS 127.0.0.1:9", &format!("SIP/2.0/{transport} a.invalid"));
    text.replace("Content-Length: 0\r\n", "")
}

async fn hear(rig: &Rig, socket: &mut Socket) -> Message {
    rig.in_time(socket.next()).await.expect("a message").expect("sound")
}

async fn hear_sip(rig: &Rig, socket: &mut Socket) -> String {
    hear(rig, socket).await.into_text().expect("text").as_str().to_owned()
}

#[tokio::test]
async fn only_the_subprotocol_sip_is_let_in_and_it_is_agreed_on() {
    let rig = Rig::new(|it| {
        it.sip_ws = vec!["127.0.0.1:0".to_owned()];
        it.sip_origins = vec!["https://app.example.com".to_owned()];
    })
    .await;
    let at = rig.running.sip_ws[0];
    let origin = ("Origin", "https://app.example.com");
    for (headers, status) in [
        (&[("Sec-WebSocket-Protocol", "SIP"), origin][..], 400),
        (&[("Sec-WebSocket-Protocol", "webrtc.oracle.com"), origin], 400),
        (&[origin], 400),
        (&[SIP], 403),
        (&[SIP, ("Origin", "https://evil.example.com")], 403),
    ] {
        let refused = upgrade(&rig, rig.dial(&at).await, headers).await;
        let Err(Error::Http(response)) = refused else { panic!("{headers:?} is let in") };
        assert_eq!(response.status(), status, "{headers:?}");
        assert!(!response.headers().contains_key("Sec-WebSocket-Protocol"));
    }
    let (_, agreed) = upgrade(&rig, rig.dial(&at).await, &[SIP, origin]).await.expect("let in");
    assert_eq!(agreed, "sip");
}

#[tokio::test]
async fn text_and_binary_and_fragments_are_messages_and_answered_by_the_connection() {
    let rig = rig().await;
    let (mut socket, mut other) = (open(&rig).await, open(&rig).await);
    let text = options("WS");
    socket.send(Message::text(text.as_str())).await.expect("sent");
    let answer = hear_sip(&rig, &mut socket).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let via = answer.lines().find(|line| line.starts_with("Via:")).expect("a Via");
    assert!(via.starts_with("Via: SIP/2.0/WS a.invalid;"), "{via}");
    let rport = via.split("rport=").nth(1).expect("it was asked for");
    assert!(rport.starts_with(|c: char| c.is_ascii_digit()), "{via}");

    let binary = text.replace("z9hG4bKa", "z9hG4bKb").into_bytes();
    other.send(Message::binary(binary)).await.expect("sent");
    assert!(hear_sip(&rig, &mut other).await.starts_with("SIP/2.0 200 "));

    let text = text.replace("z9hG4bKa", "z9hG4bKc");
    let last = text.len() - 1;
    for (at, byte) in text.bytes().enumerate() {
        let data = if at == 0 { Data::Text } else { Data::Continue };
        let opcode = OpCode::Data(data);
        let header = FrameHeader { is_final: at == last, opcode, ..FrameHeader::default() };
        let frame = Message::Frame(Frame::from_payload(header, vec![byte].into()));
        socket.feed(frame).await.expect("fed");
        if at == last / 2 {
            socket.feed(Message::Ping(b"between"[..].into())).await.expect("fed");
        }
    }
    socket.flush().await.expect("sent");
    assert_eq!(hear(&rig, &mut socket).await, Message::Pong(b"between"[..].into()));
    assert!(hear_sip(&rig, &mut socket).await.starts_with("SIP/2.0 200 "));
    assert_eq!(rig.sip(Kind::SipReceived).len(), 3);
}

#[tokio::test]
async fn a_bad_message_is_answered_and_the_connection_goes_on() {
    let rig = rig().await;
    let mut socket = open(&rig).await;
    let text = options("WS");
    let whole = text.trim_end().to_owned() + "\r\nContent-Length: 0\r\n\r\n";
    for (bad, wanted) in [
        (format!("{whole}{whole}"), "400 Bad Request (RFC 7118 5, offset "),
        (text.replace("1 OPTIONS", "1 INVITE"), "400 Bad Request (RFC 3261 8.1.1.5, offset "),
        (text.replacen("SIP/2.0\r", "SIP/9.0\r", 1), "505 "),
    ] {
        socket.send(Message::text(bad)).await.expect("sent");
        let answer = hear_sip(&rig, &mut socket).await;
        assert!(answer.starts_with(&format!("SIP/2.0 {wanted}")), "{answer}");
    }
    socket.send(Message::text("\r\n\r\n")).await.expect("sent");
    assert_eq!(hear_sip(&rig, &mut socket).await, "\r\n", "keep-alive as over TCP");
    socket.send(Message::text(text.replace("z9hG4bKa", "z9hG4bKb"))).await.expect("sent");
    assert!(hear_sip(&rig, &mut socket).await.starts_with("SIP/2.0 200 "));
    assert_eq!(rig.sip(Kind::SipBroken).len(), 3);
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection_with_their_code() {
    let rig = rig().await;
    // A masked text frame of one byte that is no UTF-8.
    let no_text = [0x81, 0x81, 0, 0, 0, 0, 0xff];
    // A frame that says to have 65,536 bytes, and one that has no mask.
    let too_long = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (raw, wanted) in [(&no_text[..], 1007), (&too_long, 1009), (&[0x81, 0x00], 1002)] {
        let mut socket = open(&rig).await;
        socket.get_mut().write_all(raw).await.expect("sent");
        let Message::Close(Some(frame)) = hear(&rig, &mut socket).await else { panic!("no close") };
        assert_eq!(u16::from(frame.code), wanted);
    }
    let mut socket = open(&rig).await;
    rig.running.stop();
    let Message::Close(Some(frame)) = hear(&rig, &mut socket).await else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1001, "an orderly end says so");
}

#[tokio::test]
async fn inside_tls_it_is_wss() {
    let authority = Authority::new();
    let rig = Rig::new(|it| {
        speak_tls(it, authority.sign("localhost"));
        it.sip_wss = vec!["127.0.0.1:0".to_owned()];
        watch(it);
    })
    .await;
    let stream = rig.dial(&rig.running.sip_wss[0]).await;
    let stream = rig.in_time(authority.connect(stream, None)).await.expect("a handshake");
    let (mut socket, _) = upgrade(&rig, Box::new(stream), &[SIP]).await.expect("let in");
    socket.send(Message::text(options("WSS"))).await.expect("sent");
    let answer = hear_sip(&rig, &mut socket).await;
    assert!(answer.contains("\r\nVia: SIP/2.0/WSS a.invalid;"), "{answer}");
    let events = rig.recorder.events();
    let received = events.iter().find(|event| event.kind == Kind::SipReceived).expect("one");
    assert_eq!(received.text("transport"), Some("WSS"));
    let asked =
        "reveille_sip_requests_total{direction=\"in\",method=\"OPTIONS\",transport=\"wss\"}";
    let told = "reveille_sip_responses_total{direction=\"out\",class=\"2xx\",transport=\"wss\"}";
    assert_eq!((rig.counted(asked).await, rig.counted(told).await), (1, 1));
    let mut plain = rig.dial(&rig.running.sip_wss[0]).await;
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut got = Vec::new();
    let _reset: bool = rig.in_time(plain.read_to_end(&mut got)).await.is_err();
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
}

/// SIP connections that one address may have.
const MOST: usize = 1_024;

#[tokio::test]
async fn who_is_one_too_many_is_counted_at_every_port_of_sip() {
    let authority = Authority::new();
    let rig = Rig::new(|it| {
        speak_tls(it, authority.sign("localhost"));
        it.tcp = vec!["127.0.0.1:0".to_owned()];
        it.sip_ws = vec!["127.0.0.1:0".to_owned()];
        it.sip_wss = vec!["127.0.0.1:0".to_owned()];
        watch(it);
    })
    .await;
    let running = &rig.running;
    let mut held = Vec::new();
    for _ in 0..MOST {
        held.push(rig.dial(&running.tcp[0]).await);
    }
    let ports = [running.tcp[0], running.tls[0], running.sip_ws[0], running.sip_wss[0]];
    let refused = "reveille_connections_refused_total{port=\"sip\"}";
    for (at, before) in ports.iter().zip(0..) {
        assert_eq!(rig.counted(refused).await, before);
        // Connections at one port are accepted in order: all that are held are inside by now.
        let mut stream = rig.dial(at).await;
        let _reset: bool = rig.in_time(stream.read_to_end(&mut Vec::new())).await.is_err();
        assert_eq!(rig.counted(refused).await, before + 1, "{at}");
    }
}

#[tokio::test]
async fn a_call_is_taken_and_ended_by_the_connection_that_it_came_by() {
    let rig = rig().await;
    let mut app = rig.app().await;
    rig.answer(&mut app).await;
    let (mut socket, mut other) = (open(&rig).await, open(&rig).await);
    let contact = "Contact: <sip:alice@a.invalid;transport=ws>\r\n\r\n";
    let invite = options("WS")
        .replacen("OPTIONS sip:", "INVITE sip:bob@", 1)
        .replace("1 OPTIONS", "1 INVITE");
    let invite = format!("{}\r\n{contact}", invite.trim_end());
    socket.send(Message::text(invite)).await.expect("sent");
    let start = rig.answer(&mut app).await;
    let mut control = start["control"].clone();
    for (name, value) in
        [("type", json!("response")), ("sequence", json!(2)), ("message_state", json!("final"))]
    {
        control[name] = value;
    }
    let answer = json!({"control": control, "header": {"action": "start"},
        "payload": {"sdp": "v=0\r\n"}});
    app.send(Message::text(answer.to_string())).await.expect("sent");
    let mut answer = hear_sip(&rig, &mut socket).await;
    while !answer.starts_with("SIP/2.0 200 ") {
        answer = hear_sip(&rig, &mut socket).await;
    }
    let line = |name: &str| answer.lines().find(|line| line.starts_with(name)).expect("a line");
    assert!(line("Contact:").ends_with("@127.0.0.1:5060;transport=ws>"), "{answer}");
    let ack = format!(
        "ACK sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bKk\r\n\
         Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\n{}\r\nCall-ID: c1\r\n\
         CSeq: 1 ACK\r\n\r\n",
        line("To:")
    );
    socket.send(Message::text(ack)).await.expect("sent");
    let shutdown = json!({"control": {"type": "request", "package_type": "call", "sequence": 3,
        "session_id": control["session_id"], "subsession_id": control["subsession_id"],
        "correlation_id": "c9"}, "header": {"action": "shutdown"}});
    app.send(Message::text(shutdown.to_string())).await.expect("sent");
    let bye = hear_sip(&rig, &mut socket).await;
    assert!(bye.starts_with("BYE sip:alice@a.invalid;transport=ws SIP/2.0\r\n"), "{bye}");
    assert!(bye.contains("\r\nVia: SIP/2.0/WS 127.0.0.1:5060;rport;branch="), "{bye}");
    other.send(Message::text("\r\n\r\n")).await.expect("sent");
    assert_eq!(hear_sip(&rig, &mut other).await, "\r\n", "nothing of the call came here");
}
