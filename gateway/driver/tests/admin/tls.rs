//! The operator's port behind TLS, and a certificate that is renewed.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::rig::{PLAIN, Reply, Rig, TOKEN};

/// Writes a new certificate and its key; the certificate.
fn renew(folder: &TempDir) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("admin.crt", made.cert.pem());
    write("admin.key", made.signing_key.serialize_pem());
    made.cert.der().clone()
}

/// Asks over TLS; `None` if the server is not whom this certificate names.
async fn ask(rig: &Rig, trusted: &CertificateDer<'static>) -> Option<Reply> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let at = rig.running.admin.expect("a port").to_string();
    let stream = rig.host.net.dial(&at).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = rig.in_time("TLS", connector.connect(name, stream)).await.ok()?;
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
