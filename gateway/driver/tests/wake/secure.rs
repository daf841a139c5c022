//! The same call where nothing is said in clear: SIP over TLS, and the app by wss.

use std::sync::Arc;

use reveille_gateway_core::config::Secret;
use reveille_gateway_driver::tls::Identity;
use reveille_host::{BoxStream, within};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::{LIMIT, Rig};

/// Shakes hands with the gateway, which must prove to be `localhost`.
pub(super) async fn wrap(connector: &TlsConnector, stream: BoxStream) -> BoxStream {
    let name = ServerName::try_from("localhost").expect("a name");
    Box::new(connector.connect(name, stream).await.expect("a handshake"))
}

/// A certificate for `localhost` that nobody signed, and a client that trusts it.
fn identity() -> (Identity, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let (chain, key) = (made.cert.pem(), Secret(made.signing_key.serialize_pem()));
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Identity { chain, key }, TlsConnector::from(Arc::new(config)))
}

/// The next response with this status; what comes before it is passed over.
async fn response(stream: &mut BoxStream, status: &str) -> String {
    loop {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            text.push(char::from(stream.read_u8().await.expect("more")));
        }
        let mut lines = text.lines();
        let length = lines.find_map(|line| line.strip_prefix("Content-Length: ")).expect("one");
        let mut body = vec![0; length.parse().expect("a number")];
        stream.read_exact(&mut body).await.expect("the body");
        text.push_str(&String::from_utf8(body).expect("text"));
        if text.starts_with(&format!("SIP/2.0 {status} ")) {
            return text;
        }
    }
}

#[tokio::test]
async fn a_call_over_tls_wakes_an_app_that_comes_by_wss() {
    let mut rig = Rig::new().await;
    let (identity, connector) = identity();
    rig.settings.tls = vec!["127.0.0.1:0".to_owned()];
    rig.settings.secure.sip = Some(identity.clone());
    rig.settings.secure.websocket = Some(identity);
    rig.secure = Some(connector.clone());
    let running = rig.start().await;
    let session = rig.asleep(&running).await;

    let stream = rig.host.net.dial(&running.tls[0].to_string()).await.expect("it listens");
    let mut stream = rig.in_time("a handshake", wrap(&connector, stream)).await;
    let invite = "INVITE sips:bob@example.com SIP/2.0\r\n\
        Via: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKs;rport\r\nMax-Forwards: 70\r\n\
        From: <sips:alice@example.com>;tag=f\r\nTo: <sips:bob@example.com>\r\nCall-ID: s1\r\n\
        CSeq: 1 INVITE\r\nContact: <sips:alice@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(invite.as_bytes()).await.expect("sent");
    rig.in_time("the call is accepted", response(&mut stream, "100")).await;
    let push = within(&*rig.host.clock, LIMIT, rig.pushes.recv()).await.flatten().expect("a push");
    assert_eq!(push["session_id"].as_str(), Some(&*session));

    let _app = rig.take_call(&running, &session).await;
    let text = rig.in_time("the caller is answered", response(&mut stream, "200")).await;
    assert!(text.contains("\r\nVia: SIP/2.0/TLS "), "{text}");
    assert!(text.contains("\r\nContact: <sips:"), "{text}");
    assert!(text.ends_with("v=0\r\n"), "with the app's SDP: {text}");
}

#[tokio::test]
async fn the_port_of_apps_speaks_tls_only_once_it_has_a_certificate() {
    let mut rig = Rig::new().await;
    rig.settings.secure.websocket = Some(identity().0);
    let running = rig.start().await;
    let at = running.ws.expect("a port").to_string();
    let mut stream = rig.host.net.dial(&at).await.expect("it listens");
    stream.write_all(b"GET /chat HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut got = Vec::new();
    let end = rig.in_time("it ends", stream.read_to_end(&mut got)).await;
    assert!(end.is_err() || !got.starts_with(b"HTTP"), "nothing is said in clear: {got:?}");
}
