//! Ports behind TLS, and certificates that are renewed while they serve.

use std::net::SocketAddr;
use std::sync::Arc;

use reveille_host::BoxStream;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::{PLAIN, Reply, Rig, TOKEN};

type Private = TlsStream<BoxStream>;

/// Writes a new certificate and its key; the certificate.
fn renew(folder: &TempDir) -> CertificateDer<'static> {
    renew_as(folder, "admin")
}

fn renew_as(folder: &TempDir, port: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write(&format!("{port}.crt"), made.cert.pem());
    write(&format!("{port}.key"), made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// Shakes hands; `None` if the server is not whom this certificate names.
async fn shake(rig: &Rig, at: SocketAddr, trusted: &CertificateDer<'static>) -> Option<Private> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = rig.host.net.dial(&at.to_string()).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    rig.in_time("TLS", connector.connect(name, stream)).await.ok()
}

/// Asks over TLS; `None` if the server is not whom this certificate names.
async fn ask(rig: &Rig, trusted: &CertificateDer<'static>) -> Option<Reply> {
    let mut stream = shake(rig, rig.running.admin.expect("a port"), trusted).await?;
    let text = format!(
        "GET /admin/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(text.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // The server may end the stream without a farewell; what counts is the answer.
    let _abrupt: bool = rig.in_time("it", stream.read_to_end(&mut answer)).await.is_err();
    Some(Reply::read(&String::from_utf8(answer).expect("text")))
}

#[tokio::test]
async fn the_port_speaks_tls_and_takes_a_renewed_certificate_at_a_reload() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = renew(&folder);
    let files = folder.path().display();
    let own = format!(
        "[admin]\ncertificate-file = \"{files}/admin.crt\"\nkey-file = \"{files}/admin.key\""
    );
    let rig = Rig::start(&PLAIN.replace("[admin]", &own)).await;
    assert_eq!(ask(&rig, &old).await.expect("its own certificate").status, 200);
    let plain = rig.raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!plain.await.contains("HTTP/1.1 200"), "plain HTTP is not understood");

    let new = renew(&folder);
    assert!(ask(&rig, &new).await.is_none(), "not before the reload");
    let told = rig.running.operator().reload().await.expect("sound");
    assert_eq!(told.changed, ["admin.certificate-file", "admin.key-file"]);
    assert_eq!(ask(&rig, &new).await.expect("the new certificate").status, 200);
    assert!(ask(&rig, &old).await.is_none());
}

/// A gateway whose SIP port and apps' port have certificates of this folder.
async fn private_ports(folder: &TempDir) -> Rig {
    let files = folder.path().display();
    let own = |port: &str| {
        format!("certificate-file = \"{files}/{port}.crt\"\nkey-file = \"{files}/{port}.key\"\n")
    };
    let sip = format!("[sip]\ntls = \"127.0.0.1:0\"\n{}", own("sip"));
    let web = format!("[websocket]\n{}", own("web"));
    Rig::start(&PLAIN.replace("[sip]\n", &sip).replace("[websocket]\n", &web)).await
}

const OPTIONS: &str = "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;\
    branch=z9hG4bKa\r\nMax-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=f\r\n\
    To: <sip:example.com>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn ports_show_renewed_certificates_after_a_reload_and_who_is_inside_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = [renew_as(&folder, "sip"), renew_as(&folder, "web")];
    let rig = private_ports(&folder).await;
    let ports = [rig.running.tls[0], rig.running.ws.expect("a port")];
    let [mut standing, _web] = [
        shake(&rig, ports[0], &old[0]).await.expect("its own certificate"),
        shake(&rig, ports[1], &old[1]).await.expect("its own certificate"),
    ];
    let new = [renew_as(&folder, "sip"), renew_as(&folder, "web")];
    for at in 0..2 {
        assert!(shake(&rig, ports[at], &new[at]).await.is_none(), "not before the reload");
    }
    let told = rig.running.operator().reload().await.expect("sound");
    let keys = ["sip.key-file", "sip.certificate-file", "websocket.key-file"];
    assert_eq!(told.changed[..3], keys);
    assert_eq!(told.changed[3..], ["websocket.certificate-file"]);
    for at in 0..2 {
        assert!(shake(&rig, ports[at], &new[at]).await.is_some(), "the new one");
        assert!(shake(&rig, ports[at], &old[at]).await.is_none(), "no longer the old one");
    }
    standing.write_all(OPTIONS.as_bytes()).await.expect("sent");
    let mut status = [0; 12];
    rig.in_time("an answer", standing.read_exact(&mut status)).await.expect("it stands");
    assert_eq!(&status, b"SIP/2.0 200 ");
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_and_the_old_one_stays_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = [renew_as(&folder, "sip"), renew_as(&folder, "web")];
    let rig = private_ports(&folder).await;
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    renew_as(&folder, "sip");
    std::fs::write(folder.path().join("web.key"), key).expect("written");
    let refused = rig.running.operator().reload().await.expect_err("no pair").to_string();
    assert!(refused.contains("websocket.key-file"), "{refused}");
    assert!(refused.contains("do not go together"), "{refused}");
    let ports = [rig.running.tls[0], rig.running.ws.expect("a port")];
    for at in 0..2 {
        assert!(shake(&rig, ports[at], &old[at]).await.is_some(), "all of the old one holds");
    }
}

#[tokio::test]
async fn the_page_says_when_each_certificate_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    renew_as(&folder, "web");
    let end = |year| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let write = |name, text| std::fs::write(folder.path().join(name), text).expect("written");
        write("sip.crt", certificate.pem());
        write("sip.key", key.serialize_pem());
    };
    end(2035);
    let rig = private_ports(&folder).await;
    let name = "reveille_certificate_expiry_time_seconds";
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value(name, &[("port", "sip")]), Some(2_051_222_400.0));
    assert!(page.value(name, &[("port", "websocket")]).is_some());
    assert_eq!(page.value(name, &[("port", "admin")]), None, "it has none");
    end(2020);
    rig.running.operator().reload().await.expect("expired, but sound");
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value(name, &[("port", "sip")]), Some(1_577_836_800.0));
}
