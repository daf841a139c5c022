//! SIP over TLS as a peer sees it that dials us.

use futures_util::SinkExt as _;
use reveille_gateway_core::io::Transport;
use reveille_gateway_driver::tls::{Identity, TlsSettings};
use reveille_trace::Kind;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::certificates::Authority;
use super::{OPTIONS, Rig, head, speak_tls, watch};

/// How many handshakes one address may have under way.
const HALF_OPEN: usize = 128;

#[tokio::test]
async fn sip_over_tls_is_answered_and_kept_alive() {
    let authority = Authority::new();
    let rig = Rig::new(|it| speak_tls(it, authority.sign("localhost"))).await;
    let stream = rig.dial(&rig.running.tls[0]).await;
    let mut stream = rig.in_time(authority.connect(stream, None)).await.expect("let in");
    stream.write_all(OPTIONS.as_bytes()).await.expect("sent");
    let answer = rig.in_time(head(&mut stream)).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("\r\nVia: SIP/2.0/TLS 127.0.0.1:9;"), "{answer}");
    stream.write_all(b"\r\n\r\n").await.expect("sent");
    let mut pong = [0; 2];
    rig.in_time(stream.read_exact(&mut pong)).await.expect("a pong");
    assert_eq!(&pong, b"\r\n");
}

#[tokio::test]
async fn who_calls_by_sips_is_answered_with_a_sips_contact() {
    let authority = Authority::new();
    let rig = Rig::new(|it| {
        speak_tls(it, authority.sign("localhost"));
        let at = "gateway.example.com:5061".to_owned();
        it.core.advertised_by.insert(Transport::Tls, at);
    })
    .await;
    let mut app = rig.app().await;
    rig.answer(&mut app).await;
    for (sequence, uri, wanted) in [
        (2, "sips:bob@example.com", "@gateway.example.com:5061>"),
        (3, "sip:bob@gateway.example.com:5061", "@gateway.example.com:5061;transport=tls>"),
    ] {
        let stream = rig.dial(&rig.running.tls[0]).await;
        let mut stream = rig.in_time(authority.connect(stream, None)).await.expect("let in");
        let scheme = uri.split(':').next().expect("a scheme");
        let invite = OPTIONS
            .replacen("OPTIONS sip:example.com", &format!("INVITE {uri}"), 1)
            .replace("1 OPTIONS", "1 INVITE")
            .replace("z9hG4bKa", &format!("z9hG4bK{scheme}"))
            .replace("c1", scheme)
            .replace("Content-Length", "Contact: <sips:alice@127.0.0.1:9>\r\nContent-Length");
        stream.write_all(invite.as_bytes()).await.expect("sent");
        assert!(rig.in_time(head(&mut stream)).await.starts_with("SIP/2.0 100 "));
        let start = rig.answer(&mut app).await;
        let control = &start["control"];
        let ringing = json!({"control": {"type": "response", "package_type": "call",
            "sequence": sequence, "session_id": control["session_id"],
            "subsession_id": control["subsession_id"], "message_state": "subsequent",
            "correlation_id": control["correlation_id"]}, "header": {"action": "start"}});
        app.send(Message::text(ringing.to_string())).await.expect("sent");
        let answer = rig.in_time(head(&mut stream)).await;
        assert!(answer.starts_with("SIP/2.0 180 "), "{answer}");
        let contact = answer.lines().find(|line| line.starts_with("Contact:")).expect("one");
        assert!(contact.starts_with(&format!("Contact: <{scheme}:")), "{contact}");
        assert!(contact.ends_with(wanted), "{contact}");
    }
}

#[tokio::test]
async fn with_a_client_authority_nobody_else_is_let_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let rig = Rig::new(|it| {
        speak_tls(it, authority.sign("localhost"));
        it.secure.client_ca = Some(authority.pem.clone());
    })
    .await;
    let (known, unknown) = (authority.sign("peer.example.com"), stranger.sign("peer.example.com"));
    for (own, let_in) in [(None, false), (Some(&unknown), false), (Some(&known), true)] {
        let stream = rig.dial(&rig.running.tls[0]).await;
        // In TLS 1.3 the client is done before the server has seen its certificate.
        let answered = async {
            let mut stream = authority.connect(stream, own).await?;
            stream.write_all(OPTIONS.as_bytes()).await?;
            stream.read_u8().await
        };
        assert_eq!(rig.in_time(answered).await.is_ok(), let_in);
    }
    assert_eq!(rig.sip(Kind::SipReceived).len(), 1, "SIP of one peer only");
}

#[tokio::test]
async fn what_is_no_tls_is_closed_and_the_peer_knows_its_server() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let rig = Rig::new(|it| speak_tls(it, authority.sign("localhost"))).await;
    let mut stream = rig.dial(&rig.running.tls[0]).await;
    stream.write_all(OPTIONS.as_bytes()).await.expect("sent");
    let mut got = Vec::new();
    let _reset: bool = rig.in_time(stream.read_to_end(&mut got)).await.is_err();
    assert!(got.len() < 16 && !got.starts_with(b"SIP"), "an alert at most: {got:?}");
    let stream = rig.dial(&rig.running.tls[0]).await;
    let refused = rig.in_time(stranger.connect(stream, None)).await;
    assert!(refused.is_err(), "another authority");
    assert!(rig.sip(Kind::SipReceived).is_empty());
}

#[tokio::test]
async fn half_open_handshakes_are_bounded_in_number_and_time() {
    let authority = Authority::new();
    let rig = Rig::new(|it| {
        speak_tls(it, authority.sign("localhost"));
        watch(it);
    })
    .await;
    let at = rig.running.tls[0];
    let stream = rig.dial(&at).await;
    let mut standing = rig.in_time(authority.connect(stream, None)).await.expect("let in");
    let mut silent = Vec::new();
    for _ in 0..HALF_OPEN {
        let mut stream = rig.dial(&at).await;
        stream.write_all(&[0x16]).await.expect("the begin of a handshake");
        silent.push(stream);
    }
    // Accepted in order, so all of them are inside by now.
    let stream = rig.dial(&at).await;
    let refused = rig.in_time(authority.connect(stream, None)).await;
    assert!(refused.is_err(), "one too many");
    let counted = "reveille_handshakes_refused_total{port=\"sip\"}";
    assert_eq!(rig.counted(counted).await, 1);
    standing.write_all(OPTIONS.as_bytes()).await.expect("sent");
    let answer = rig.in_time(head(&mut standing)).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "who stands is served: {answer}");
    for mut stream in silent {
        let end = rig.in_time(stream.read(&mut [0; 16])).await;
        assert!(matches!(end, Ok(0) | Err(_)), "given up after 5 s: {end:?}");
    }
    let stream = rig.dial(&at).await;
    rig.in_time(authority.connect(stream, None)).await.expect("there is room again");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_from_then_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let rig = Rig::new(|it| speak_tls(it, old.sign("localhost"))).await;
    let (at, mut secure) = (rig.running.tls[0], TlsSettings::default());
    let identity = new.sign("localhost");
    let broken = Identity { chain: identity.chain.clone(), key: old.sign("localhost").key };
    secure.sip = Some(broken);
    let refused = rig.running.certificates.replace(&secure).expect_err("no pair");
    assert!(refused.contains("do not go together"), "{refused}");
    let stream = rig.dial(&at).await;
    rig.in_time(old.connect(stream, None)).await.expect("the old one stays in force");
    secure.sip = Some(identity);
    rig.running.certificates.replace(&secure).expect("sound");
    let stream = rig.dial(&at).await;
    assert!(rig.in_time(old.connect(stream, None)).await.is_err(), "the old authority");
    let stream = rig.dial(&at).await;
    rig.in_time(new.connect(stream, None)).await.expect("the new one");
}
