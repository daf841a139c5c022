//! A registrar that we dial over TLS must prove its name, and another takes its place if it cannot.

use futures_util::SinkExt as _;
use reveille_gateway_core::io::{Flow, Transport};
use reveille_host::BoxStream;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::certificates::{Authority, acceptor};
use super::{Rig, head, ok, register_at};

/// A gateway whose registrar has a certificate for `name`, and is known by `known`; what the app is
/// answered once the registrar has taken its session, if it could.
async fn registered(name: &str, server_name: Option<&str>, is_known: bool) -> (Rig, u64, String) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let host = reveille_host::real::host();
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let rig = Rig::new(|it| {
        register_at(it, Transport::Tls, &at);
        it.secure.peer_ca = Some(if is_known { authority.pem.clone() } else { stranger.pem });
        it.secure.peer_names =
            server_name.map(|name| (at.to_string(), name.to_owned())).into_iter().collect();
    })
    .await;
    let acceptor = acceptor(&authority.sign(name));
    let mut app = rig.app().await;
    let register = async {
        let (stream, _) = listener.accept().await.expect("dialled");
        let mut stream: TlsStream<BoxStream> = acceptor.accept(stream).await.ok()?;
        let register = head(&mut stream).await;
        stream.write_all(ok(&register, "").as_bytes()).await.expect("sent");
        Some((stream, register))
    };
    let register = rig.in_time(register).await;
    let answer = rig.answer(&mut app).await;
    let code = answer["header"]["response_code"].as_u64();
    let code = code.or_else(|| answer["header"]["error_code"].as_u64()).unwrap_or_default();
    (rig, code, register.map(|(_, text)| text).unwrap_or_default())
}

#[tokio::test]
async fn a_registrar_that_proves_its_address_is_used_over_tls() {
    let (_rig, code, register) = registered("127.0.0.1", None, true).await;
    assert_eq!(code, 200);
    assert!(register.contains("\r\nVia: SIP/2.0/TLS 127.0.0.1:5060;rport;branch="), "{register}");
    assert!(register.contains("@127.0.0.1:5060;transport=tls;ob>"), "{register}");
}

#[tokio::test]
async fn a_registrar_may_prove_the_name_that_the_operator_wrote() {
    let (_rig, code, _) = registered("example.com", Some("example.com"), true).await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn a_registrar_of_another_name_or_authority_hears_nothing() {
    for (name, server_name, is_known) in [
        ("example.com", None, true),
        ("127.0.0.1", Some("example.com"), true),
        ("127.0.0.1", None, false),
    ] {
        let (_rig, code, register) = registered(name, server_name, is_known).await;
        assert_eq!((code, register.as_str()), (480, ""), "{name} {server_name:?} {is_known}");
    }
}

#[tokio::test]
async fn where_the_first_cannot_prove_its_name_the_next_one_is_used() {
    let authority = Authority::new();
    let host = reveille_host::real::host();
    let mut first = host.net.listen("127.0.0.1:0").await.expect("a port");
    let mut second = host.net.listen("127.0.0.1:0").await.expect("a port");
    let [one, two] = [&first, &second].map(|it| it.local_addr().expect("an address").to_string());
    let rig = Rig::new(|it| {
        register_at(it, Transport::Tls, &one);
        let (local, peer) = (String::new(), two);
        let other = Flow { transport: Transport::Tls, local, peer, connection: None };
        it.core.registrar_others.push(other);
        it.secure.peer_ca = Some(authority.pem.clone());
    })
    .await;
    let impostor = acceptor(&Authority::new().sign("127.0.0.1"));
    let sound = acceptor(&authority.sign("127.0.0.1"));
    let mut app = rig.app().await;
    let (stream, _) = rig.in_time(first.accept()).await.expect("dialled");
    assert!(rig.in_time(impostor.accept(stream)).await.is_err(), "it is not believed");
    let (stream, _) = rig.in_time(second.accept()).await.expect("dialled");
    let mut stream = rig.in_time(sound.accept(stream)).await.expect("a handshake");
    let register = rig.in_time(head(&mut stream)).await;
    stream.write_all(ok(&register, "").as_bytes()).await.expect("sent");
    assert_eq!(rig.answer(&mut app).await["header"]["response_code"], 200);
}

#[tokio::test]
async fn a_call_is_placed_at_the_next_place_once_the_first_is_gone() {
    let host = reveille_host::real::host();
    let mut first = host.net.listen("127.0.0.1:0").await.expect("a port");
    let mut second = host.net.listen("127.0.0.1:0").await.expect("a port");
    let [one, two] = [&first, &second].map(|it| it.local_addr().expect("an address").to_string());
    let rig = Rig::new(|it| {
        register_at(it, Transport::Tcp, &one);
        let (local, peer) = (String::new(), two);
        let other = Flow { transport: Transport::Tcp, local, peer, connection: None };
        it.core.registrar_others.push(other);
    })
    .await;
    let mut app = rig.app().await;
    let (mut stream, _) = rig.in_time(first.accept()).await.expect("dialled");
    let register = rig.in_time(head(&mut stream)).await;
    stream.write_all(ok(&register, "").as_bytes()).await.expect("sent");
    assert_eq!(rig.answer(&mut app).await["header"]["response_code"], 200);
    drop((first, stream));
    let start = json!({"control": {"type": "request", "package_type": "call", "sequence": 2,
        "subsession_id": "s", "correlation_id": "c2"},
        "header": {"action": "start", "target": "alice@example.com"}, "payload": {"sdp": "v=0\r\n"}});
    app.send(Message::text(start.to_string())).await.expect("sent");
    let (mut stream, _) = rig.in_time(second.accept()).await.expect("dialled");
    let invite = rig.in_time(head(&mut stream)).await;
    assert!(invite.starts_with("INVITE sip:alice@example.com SIP/2.0\r\n"), "{invite}");
    let busy = ok(&invite, "").replacen("200 OK", "486 Busy Here", 1);
    stream.write_all(busy.as_bytes()).await.expect("sent");
    assert_eq!(rig.answer(&mut app).await["header"]["error_code"], 486);
}
