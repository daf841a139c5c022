//! A call is stored and its phone is being woken. Meanwhile peers send everything that a fault or
//! ill will can make of sound messages, over every port. Nothing panics, everybody else is served,
//! and the call is still there for the phone.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use reveille_gateway_driver::pace::Pace;

use super::*;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Numbers from a seed, so that a failure comes again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % most.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }

    fn of<'a>(&mut self, all: &'a [Vec<u8>]) -> &'a [u8] {
        &all[self.below(all.len())]
    }

    /// One of the seeds, changed in one to three places.
    fn mutant(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.of(seeds).to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let end = (at + self.below(40)).min(bytes.len());
            match self.below(9) {
                0 => bytes.insert(at, self.byte()),
                1 if !bytes.is_empty() => bytes[at] = self.byte(),
                2 => drop(bytes.drain(at..end)),
                3 => bytes.extend_from_within(at..end),
                4 => bytes.truncate(end),
                5 => drop(bytes.splice(at..end, self.of(seeds).iter().copied())),
                6 => drop(bytes.splice(at..at, b"\r\n".repeat(self.below(4)))),
                7 => drop(bytes.splice(at..at, b"9".repeat(self.below(30)))),
                _ => drop(bytes.splice(at..at, b"[{\"<;, ".repeat(self.below(900)))),
            }
        }
        bytes
    }
}

fn golden(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wire/golden").join(folder);
    let files = fs::read_dir(folder).expect("the folder of goldens");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "sip" || it == "json"));
    paths.sort();
    assert!(paths.len() >= 10, "enough to begin with");
    paths.iter().map(|path| fs::read(path).expect("a golden message")).collect()
}

/// Proves that the gateway has read what came before, and lives.
async fn still_there(rig: &Rig, running: &Running, peer: &dyn Udp, number: usize) {
    let text = format!(
        "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKo{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:o@example.com>;tag=1\r\nTo: <sip:example.com>\r\n\
         Call-ID: alive-{number}-\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    peer.send_to(text.as_bytes(), running.udp[0]).await.expect("sent");
    let answered = async {
        let mut buffer = vec![0; 65_535];
        loop {
            let (length, _) = peer.recv_from(&mut buffer).await.expect("received");
            let text = String::from_utf8_lossy(&buffer[..length]);
            if text.contains(&format!("alive-{number}-")) {
                return assert!(text.starts_with("SIP/2.0 200 "), "{text}");
            }
        }
    };
    rig.in_time("the gateway lives", answered).await;
}

async fn datagrams(rig: &Rig, running: &Running, chance: &mut Chance) {
    let seeds = golden("sip");
    let peer = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    for seed in &seeds {
        peer.send_to(seed, running.udp[0]).await.expect("sent");
    }
    for number in 0..400 {
        let mut bytes = chance.mutant(&seeds);
        bytes.truncate(60_000);
        peer.send_to(&bytes, running.udp[0]).await.expect("sent");
        if number % 8 == 0 {
            still_there(rig, running, &*peer, number).await;
        }
    }
    still_there(rig, running, &*peer, 400).await;
}

/// Says something to a port and hangs up.
async fn say_and_leave(rig: &Rig, at: std::net::SocketAddr, bytes: &[u8]) {
    let mut stream = rig.host.net.dial(&at.to_string()).await.expect("it listens");
    // The gateway may have had enough before it has heard everything.
    let _cut: bool = stream.write_all(bytes).await.is_err();
    leave(rig, stream).await;
}

/// Hangs up without a word, and waits until the gateway has read everything and hung up as well.
async fn leave(rig: &Rig, mut stream: BoxStream) {
    let _gone: bool = stream.shutdown().await.is_err();
    let mut rest = Vec::new();
    let _reset: bool = rig.in_time("it ends", stream.read_to_end(&mut rest)).await.is_err();
}

async fn streams(rig: &Rig, running: &Running, chance: &mut Chance) {
    let seeds = golden("sip");
    for _ in 0..100 {
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(4) {
            bytes.extend(chance.mutant(&seeds));
        }
        say_and_leave(rig, running.tcp[0], &bytes).await;
    }
}

async fn heads(rig: &Rig, running: &Running, chance: &mut Chance) {
    let head = |path: &str, more: &str| {
        let basic = STANDARD.encode("eve:sesame");
        format!(
            "GET {path} HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: webrtc.oracle.com\r\nAuthorization: Basic {basic}\r\n{more}\r\n"
        )
        .into_bytes()
    };
    let seeds = [head("/chat", ""), head("/ws/webrtc/phone", "Origin: http://x\r\n")];
    for _ in 0..200 {
        say_and_leave(rig, running.ws.expect("a port"), &chance.mutant(&seeds)).await;
    }
}

/// Says something on a WebSocket as text, binary or raw bytes; false once the socket is over.
async fn say_anything(app: &mut App, bytes: &[u8], how: usize) -> bool {
    match how {
        0 => app.socket.get_mut().write_all(bytes).await.is_ok(),
        1 => app.socket.send(Message::binary(bytes.to_vec())).await.is_ok(),
        _ => app.socket.send(Message::text(&*String::from_utf8_lossy(bytes))).await.is_ok(),
    }
}

/// Frames of a user who has no call: sockets without a session, and sessions of her own.
async fn frames(rig: &Rig, running: &Running, chance: &mut Chance) {
    let seeds = golden("jsonrtc");
    for _ in 0..60 {
        let mut app = rig.app_of(running, "eve").await;
        for _ in 0..6 {
            let how = chance.below(12);
            if !say_anything(&mut app, &chance.mutant(&seeds), how).await {
                break;
            }
        }
        leave(rig, app.socket.into_inner()).await;
    }
}

/// Frames of the very session that has the call, from a phone that has lost its mind.
async fn frames_in_session(rig: &Rig, running: &Running, session: &str, chance: &mut Chance) {
    let mut seeds = golden("jsonrtc");
    let odd = json!({"control": {"type": "request"}, "header": {"action": "fly"}, "payload": {}});
    seeds.push(odd.to_string().into_bytes());
    for _ in 0..20 {
        let mut app = rig.app(running).await;
        app.say(&json!({"control": {"type": "request", "session_id": session},
            "header": {"action": "connect", "subsessions": []}}))
            .await;
        let resumed = rig.in_time("it is resumed", app.hear("connect")).await;
        let mut last = resumed["header"]["sslr"].as_u64().expect("a number");
        for _ in 0..12 {
            let mut frame: Value =
                serde_json::from_slice(chance.of(&seeds)).expect("a golden frame is JSON");
            frame["control"]["session_id"] = json!(session);
            frame["control"]["sequence"] = json!(last + 1);
            let text = frame.to_string().into_bytes();
            // Every third as it is: a sound frame that makes no sense here.
            let bytes = if chance.below(3) == 0 { text } else { chance.mutant(&[text]) };
            let back: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            last =
                back["control"]["sequence"].as_u64().filter(|it| *it == last + 1).unwrap_or(last);
            if !say_anything(&mut app, &bytes, 2).await {
                break;
            }
        }
        leave(rig, app.socket.into_inner()).await;
    }
}

#[tokio::test]
async fn whatever_peers_send_the_stored_call_reaches_its_phone() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        before(info);
    }));
    let mut rig = Rig::new().await;
    // Whoever attacks here comes often, all as one user.
    rig.settings.pace = Pace { per_ip: 100_000, per_user: 100_000 };
    let running = rig.start().await;
    let session = rig.asleep(&running).await;
    rig.invite(&running).await;
    rig.in_time("the call is accepted", rig.status("100")).await;
    let pushed = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten();
    assert_eq!(pushed.expect("a push")["session_id"], session.as_str());

    let mut chance = Chance(0x5EED_0001);
    datagrams(&rig, &running, &mut chance).await;
    streams(&rig, &running, &mut chance).await;
    heads(&rig, &running, &mut chance).await;
    frames(&rig, &running, &mut chance).await;
    frames_in_session(&rig, &running, &session, &mut chance).await;

    rig.answer(&running, &session).await;
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "nothing panicked");
    let count = |kind| rig.recorder.events().iter().filter(|event| event.kind == kind).count();
    // 51 of the sound messages are the proofs of life.
    for (kind, least) in [
        (Kind::SipBroken, 400),
        (Kind::SipReceived, 70),
        (Kind::WsRefused, 150),
        (Kind::WsOpened, 80),
        (Kind::RtcReceived, 300),
    ] {
        assert!(count(kind) >= least, "{kind:?} only {} times: a tame peer", count(kind));
    }
}

/// Resumes the session and hears its call.
async fn resumed(rig: &Rig, running: &Running, session: &str) -> (App, u64) {
    let mut app = rig.app(running).await;
    app.say(&json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "subsessions": []}}))
        .await;
    let answer = rig.in_time("the session is resumed", app.hear("connect")).await;
    rig.in_time("the call is delivered", app.hear("start")).await;
    (app, answer["header"]["sslr"].as_u64().expect("a number"))
}

#[tokio::test]
async fn each_bad_frame_has_its_error_or_its_close_and_the_call_survives_them_all() {
    let mut rig = Rig::new().await;
    let running = rig.start().await;
    let session = rig.asleep(&running).await;
    rig.invite(&running).await;
    rig.in_time("the call is accepted", rig.status("100")).await;
    let pushed = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten();
    assert_eq!(pushed.expect("a push")["session_id"], session.as_str());

    let (mut app, last) = resumed(&rig, &running, &session).await;
    let control = |number: u64| json!({"type": "request", "sequence": last + number});
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let wrong_type = json!({"control": control(1), "header": {"action": "hibernate", "ttl": "x"}});
    let unknown = json!({"control": control(2), "header": {"action": "fly"}});
    let gap = json!({"control": control(9), "header": {"action": "hibernate"}});
    for (text, code, reason) in [
        ("{".to_owned(), 400, "line 1 column 1: "),
        (deep, 400, "line 1 column 33: nested more than 32 deep"),
        (wrong_type.to_string(), 400, "header.ttl: not a whole number"),
        (unknown.to_string(), 404, "no action \"fly\" of package \"register\" here"),
        (gap.to_string(), 400, "sequence gap"),
    ] {
        app.socket.send(Message::text(text)).await.expect("sent");
        let error = rig.in_time("an error", app.hear_error()).await;
        assert_eq!(error["header"]["error_code"], code, "{error}");
        let said = error["header"]["reason"].as_str().expect("a reason");
        assert!(said.starts_with(reason), "{error}");
    }
    // The third text that is no JSON object.
    app.socket.send(Message::text("}")).await.expect("sent");
    assert_eq!(rig.in_time("a close", app.close_code()).await, Some(1007));

    let large = "x".repeat(64 * 1_024 + 1);
    for (raw, code) in [
        // Binary; a text that is no UTF-8; reserved bits; a frame that is not masked.
        (&[0x82, 0x81, 0, 0, 0, 0, 1][..], 1003),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0xf1, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (&[0x81, 0x01, b'x'], 1002),
    ] {
        let (mut app, _) = resumed(&rig, &running, &session).await;
        app.socket.get_mut().write_all(raw).await.expect("sent");
        assert_eq!(rig.in_time("a close", app.close_code()).await, Some(code), "{raw:?}");
    }
    let (mut app, _) = resumed(&rig, &running, &session).await;
    app.socket.send(Message::text(large)).await.expect("sent");
    assert_eq!(rig.in_time("a close", app.close_code()).await, Some(1009));

    rig.answer(&running, &session).await;
}
