//! The gateway over the loopback of this machine: upgrades and their refusals, SIP good and bad,
//! and an orderly end.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::{Gateway, Running};
use reveille_host::{BoxStream, Host, within};
use reveille_trace::{Kind, Recorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

const LIMIT: Duration = Duration::from_secs(10);

struct Rig {
    host: Host,
    running: Running,
    recorder: Recorder,
}

async fn rig() -> Rig {
    let host = reveille_host::real::host();
    let mut core = Config::new("example.com", "127.0.0.1:5060");
    core.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("sesame".to_owned()),
    });
    let recorder = Recorder::keeping();
    let running = Gateway::start(host.clone(), Settings::new(core), recorder.clone());
    let running = running.await.expect("the gateway starts");
    Rig { host, running, recorder }
}

type Socket = WebSocketStream<BoxStream>;

impl Rig {
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        within(&*self.host.clock, LIMIT, work).await.expect("within ten seconds")
    }

    async fn upgrade(&self, path: &str, protocol: &str, secret: &str) -> Result<Socket, Error> {
        let at = self.running.ws.expect("a WebSocket port").to_string();
        let stream = self.host.net.dial(&at).await.expect("it listens");
        let mut request = format!("ws://{at}{path}").into_client_request().expect("a request");
        let basic = format!("Basic {}", STANDARD.encode(format!("bob:{secret}")));
        let headers = request.headers_mut();
        headers.insert("Authorization", basic.parse().expect("a header"));
        headers.insert("Sec-WebSocket-Protocol", protocol.parse().expect("a header"));
        let work = tokio_tungstenite::client_async(request, stream);
        let (socket, response) = self.in_time(work).await?;
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "webrtc.oracle.com");
        Ok(socket)
    }

    async fn open(&self) -> Socket {
        self.upgrade("/ws/webrtc/phone", "webrtc.oracle.com", "sesame").await.expect("let in")
    }

    fn seen(&self, kind: Kind) -> usize {
        self.recorder.events().iter().filter(|event| event.kind == kind).count()
    }

    /// The close code that the gateway sends.
    async fn close_code(&self, socket: &mut Socket) -> Option<u16> {
        self.in_time(async {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(frame) = message {
                    // Our half of the handshake, which the gateway waits for.
                    let _gone: bool = socket.flush().await.is_err();
                    return frame.map(|frame| frame.code.into());
                }
            }
            None
        })
        .await
    }
}

const OPTIONS: &str = "OPTIONS sip:example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n\
    From: <sip:alice@example.com>;tag=1\r\nTo: <sip:example.com>\r\nCall-ID: c1\r\n\
    CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn upgrades_are_refused_with_a_status_and_recorded() {
    let rig = rig().await;
    for (path, protocol, secret, wanted) in [
        ("/other", "webrtc.oracle.com", "sesame", 404),
        ("/chat", "chat", "sesame", 400),
        ("/chat", "webrtc.oracle.com", "wrong", 401),
    ] {
        match rig.upgrade(path, protocol, secret).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), wanted);
                let challenged = response.headers().contains_key("WWW-Authenticate");
                assert_eq!(challenged, wanted == 401);
            }
            other => panic!("{path} should be refused: {:?}", other.err()),
        }
    }
    drop(rig.upgrade("/chat", "webrtc.oracle.com", "sesame").await.expect("let in"));
    assert_eq!(rig.seen(Kind::WsRefused), 3);
}

/// What an HTTP client that is no WebSocket client gets back.
async fn http(rig: &Rig, text: &[u8]) -> String {
    let at = rig.running.ws.expect("a WebSocket port").to_string();
    let mut stream = rig.host.net.dial(&at).await.expect("it listens");
    rig.in_time(stream.write_all(text)).await.expect("sent");
    let mut got = String::new();
    rig.in_time(stream.read_to_string(&mut got)).await.expect("an orderly end");
    rig.in_time(stream.write_all(b"more")).await.expect("heard out, not reset");
    got
}

#[tokio::test]
async fn whatever_is_no_upgrade_gets_an_http_answer_that_says_what_to_send() {
    let rig = rig().await;
    let get = "GET /chat HTTP/1.1\r\nHost: gw\r\n\r\n";
    let body = format!(
        "POST /chat HTTP/1.1\r\nHost: gw\r\nContent-Length: 90000\r\n\r\n{}",
        "x".repeat(90_000)
    );
    let endless = format!("GET /chat HTTP/1.1\r\nX: {}", "x".repeat(90_000));
    let long = format!("GET /chat HTTP/1.1\r\nHost: gw\r\nX: {}\r\n\r\n", "x".repeat(17_000));
    let cases: &[(&str, &str, &[&str])] = &[
        (get, "426 Upgrade Required", &["upgrade: websocket", "sec-websocket-version: 13"]),
        (&get.replace("/chat", "/"), "404 Not Found", &["ask for /ws/webrtc/{application}"]),
        (&body, "405 Method Not Allowed", &["allow: GET"]),
        (&endless, "431 Request Header Fields Too Large", &["send less"]),
        (&long, "431 Request Header Fields Too Large", &["send less"]),
        (&get.replace("1.1", "1.0"), "505 HTTP Version Not Supported", &["HTTP/1.1"]),
        ("\u{16}\u{3}\u{1}\u{2}", "400 Bad Request", &["offset 0: this is TLS"]),
        ("nonsense\r\n\r\n", "400 Bad Request", &["line 1: ", "RFC 9112 3"]),
    ];
    for (text, status, said) in cases {
        let got = http(&rig, text.as_bytes()).await;
        assert!(got.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{got}");
        let (head, body) = got.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{got}");
        assert!(head.contains("close") && body.ends_with('\n'), "{got}");
        for part in *said {
            assert!(got.contains(part), "{got} lacks {part}");
        }
    }
    let refused: Vec<_> = rig
        .recorder
        .events()
        .iter()
        .filter(|e| e.kind == Kind::WsRefused)
        .filter_map(|e| e.int("status"))
        .collect();
    assert_eq!(refused, [426, 404, 405, 431, 431, 505, 400, 400]);
    drop(rig.open().await);
}

#[tokio::test]
async fn whoever_finds_the_port_full_is_told_503() {
    let mut settings = Settings::new(Config::new("example.com", "127.0.0.1:5060"));
    settings.most_sockets_per_ip = 1;
    let host = reveille_host::real::host();
    let recorder = Recorder::keeping();
    let running =
        Gateway::start(host.clone(), settings, recorder.clone()).await.expect("it starts");
    let rig = Rig { host, running, recorder };
    let at = rig.running.ws.expect("a WebSocket port").to_string();
    let _inside = rig.host.net.dial(&at).await.expect("it listens");
    let mut second = rig.host.net.dial(&at).await.expect("it listens");
    let mut got = String::new();
    rig.in_time(second.read_to_string(&mut got)).await.expect("an orderly end");
    assert!(got.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{got}");
    assert!(got.contains("retry-after: 5"), "{got}");
}

#[tokio::test]
async fn ping_is_answered_and_hostile_frames_close_with_their_codes() {
    let rig = rig().await;
    let mut socket = rig.open().await;
    socket.send(Message::text("ping")).await.expect("sent");
    let pong = rig.in_time(socket.next()).await.expect("an answer").expect("sound");
    assert_eq!(pong, Message::text("pong"));
    socket.send(Message::binary(vec![1])).await.expect("sent");
    assert_eq!(rig.close_code(&mut socket).await, Some(1003));

    let mut socket = rig.open().await;
    socket.send(Message::text("x".repeat(64 * 1_024 + 1))).await.expect("sent");
    assert_eq!(rig.close_code(&mut socket).await, Some(1009));

    let mut socket = rig.open().await;
    // A masked text frame of one byte that is no UTF-8.
    let raw = [0x81, 0x81, 0, 0, 0, 0, 0xff];
    socket.get_mut().write_all(&raw).await.expect("sent");
    assert_eq!(rig.close_code(&mut socket).await, Some(1007));
}

#[tokio::test]
async fn sip_is_answered_over_udp_and_bad_sip_by_rule() {
    let rig = rig().await;
    let socket = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    let mut buffer = [0; 4_096];
    let mut ask = async |text: &str| {
        socket.send_to(text.as_bytes(), rig.running.udp[0]).await.expect("sent");
        let got = rig.in_time(socket.recv_from(&mut buffer)).await.expect("an answer");
        String::from_utf8(buffer[..got.0].to_vec()).expect("text")
    };
    assert!(ask(OPTIONS).await.starts_with("SIP/2.0 200 "));
    let bad = ask(&OPTIONS.replace("1 OPTIONS", "1 INVITE")).await;
    assert!(bad.starts_with("SIP/2.0 400 Bad Request (RFC 3261 8.1.1.5, offset 182: "), "{bad}");
    let version = ask(&OPTIONS.replacen("SIP/2.0\r", "SIP/9.0\r", 1)).await;
    assert!(version.starts_with("SIP/2.0 505 "), "{version}");
    assert!(
        ask(&OPTIONS.replace("z9hG4bKa", "z9hG4bKb")).await.starts_with("SIP/2.0 200 "),
        "alive"
    );
    assert_eq!(rig.seen(Kind::SipBroken), 2);
    assert_eq!(rig.seen(Kind::SipReceived), 2);
}

#[tokio::test]
async fn sip_over_tcp_is_framed_kept_alive_and_closed_when_lost() {
    let rig = rig().await;
    let at = rig.running.tcp[0].to_string();
    let mut stream = rig.host.net.dial(&at).await.expect("it listens");
    let text = OPTIONS.replace("/UDP", "/TCP");
    let (first, second) = text.split_at(40);
    stream.write_all(first.as_bytes()).await.expect("sent");
    stream.write_all(format!("{second}\r\n\r\n").as_bytes()).await.expect("sent");
    let mut got = Vec::new();
    // The answer to the ping may come before or after the core's.
    let complete = |got: &[u8]| {
        got.starts_with(b"\r\nSIP") && got.ends_with(b"\r\n\r\n")
            || got.starts_with(b"SIP") && got.ends_with(b"\r\n\r\n\r\n")
    };
    while !complete(&got) {
        let mut byte = [0];
        rig.in_time(stream.read_exact(&mut byte)).await.expect("more");
        got.push(byte[0]);
    }
    assert!(String::from_utf8_lossy(&got).contains("SIP/2.0 200 "));
    stream.write_all(b"nonsense\r\n\r\n").await.expect("sent");
    let end = rig.in_time(stream.read(&mut [0; 16])).await;
    assert!(matches!(end, Ok(0)), "the stream has lost its frames and is closed: {end:?}");
}

#[tokio::test]
async fn a_stream_whose_framing_breaks_is_answered_400_if_it_says_to_whom_and_closed() {
    let rig = rig().await;
    let text = OPTIONS.replace("/UDP", "/TCP");
    let length = text.find("Content-Length").expect("a length");
    let rest = "x".repeat(100_000);
    for (bad, wanted) in [
        (
            text.replace("Content-Length: 0\r\n", ""),
            format!("RFC 3261 18.3, offset {}: ", length - 2),
        ),
        (
            text.replace("Length: 0", "Length: zero"),
            format!("RFC 3261 20.14, offset {}: ", length + 16),
        ),
        (text.replace("Length: 0", "Length: 99999999"), "RFC 3261 18.3, offset 65535: ".to_owned()),
        (text.replace("To: ", "To "), String::new()),
        (text.replacen("OPTIONS", "ACK", 1).replace("Length: 0", "Length: zero"), String::new()),
    ] {
        let mut stream = rig.host.net.dial(&rig.running.tcp[0].to_string()).await.expect("dialled");
        // What follows the fault, and is never read as SIP, must not cost the answer.
        let sent = format!("{bad}{rest}");
        rig.in_time(stream.write_all(sent.as_bytes())).await.expect("sent");
        let mut got = String::new();
        rig.in_time(stream.read_to_string(&mut got)).await.expect("an orderly end");
        rig.in_time(stream.write_all(b"more")).await.expect("heard out, not reset");
        if wanted.is_empty() {
            assert_eq!(got, "");
            continue;
        }
        let begin = format!("SIP/2.0 400 Bad Request ({wanted}");
        assert!(got.starts_with(&begin), "{got}\nnot\n{begin}");
        assert!(got.contains("\r\nCall-ID: c1\r\n") && got.ends_with("\r\n\r\n"), "{got}");
    }
    assert_eq!(rig.seen(Kind::SipBroken), 5);
    assert_eq!(rig.seen(Kind::SipReceived), 0);
}

#[tokio::test]
async fn over_udp_nothing_but_a_request_is_answered() {
    let rig = rig().await;
    let socket = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    let bad = OPTIONS.replace("1 OPTIONS", "1 INVITE");
    let silent = [
        bad.replacen("OPTIONS", "ACK", 1),
        bad.replacen("OPTIONS sip:example.com SIP/2.0", "SIP/2.0 999 No", 1),
        bad.replace("Call-ID: c1\r\n", ""),
        "nonsense\r\n\r\n".to_owned(),
        "\u{0}\u{1}".repeat(600),
    ];
    for text in &silent {
        socket.send_to(text.as_bytes(), rig.running.udp[0]).await.expect("sent");
    }
    socket.send_to(OPTIONS.as_bytes(), rig.running.udp[0]).await.expect("sent");
    let mut buffer = [0; 4_096];
    let (length, _) = rig.in_time(socket.recv_from(&mut buffer)).await.expect("an answer");
    let first = String::from_utf8_lossy(&buffer[..length]);
    assert!(first.starts_with("SIP/2.0 200 "), "the others were not answered: {first}");
    assert_eq!(rig.seen(Kind::SipBroken), silent.len());
}

#[tokio::test]
async fn stop_says_1012_and_ends_and_frees_the_ports() {
    let rig = rig().await;
    let mut socket = rig.open().await;
    let udp = rig.running.udp[0].to_string();
    rig.running.stop();
    assert_eq!(rig.close_code(&mut socket).await, Some(1012));
    let Rig { host, running, .. } = rig;
    let ended = within(&*host.clock, LIMIT, running.stopped()).await;
    assert_eq!(ended, Some(Ok(())));
    let free = within(&*host.clock, LIMIT, async {
        while host.net.udp(&udp).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    assert!(free.await.is_some(), "the port is free again");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_key() {
    let rig = rig().await;
    let mut settings = Settings::new(Config::new("example.com", "127.0.0.1:5060"));
    settings.udp = vec![rig.running.udp[0].to_string()];
    let error = Gateway::start(rig.host.clone(), settings, Recorder::passing()).await.err();
    let said = error.expect("the port is taken").to_string();
    assert!(said.starts_with("sip.udp = \"127.0.0.1:"), "{said}");
}
