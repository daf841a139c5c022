//! Push services behind an HTTP proxy: a small one of the test's own, over real sockets.

use std::sync::{Arc, Mutex};

use reveille_gateway_core::config::Secret;
use reveille_gateway_driver::push::{Application, Proxy, Web};
use reveille_host::{BoxStream, Host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, reply};
use crate::{P256, host, plugin, request, send, word};

/// What a proxy was asked: whole heads.
type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that says this to CONNECT and, if that is 200, makes the tunnel; `host:port`.
async fn proxy(host: &Host, says: &str) -> (String, Heads) {
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    let (heads, says) = (Heads::default(), says.to_owned());
    let (seen, own) = (Arc::clone(&heads), host.clone());
    let accept = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let work = serve(own.clone(), stream, says.clone(), Arc::clone(&seen));
            own.tasks.spawn("proxy-connection", Box::pin(work));
        }
    };
    host.tasks.spawn("proxy", Box::pin(accept));
    (at, heads)
}

async fn serve(host: Host, mut stream: BoxStream, says: String, heads: Heads) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("text");
    let to = head.split(' ').nth(1).expect("a target").to_owned();
    heads.lock().expect("no panic").push(head);
    stream.write_all(says.as_bytes()).await.expect("written");
    if says.starts_with("HTTP/1.1 200") {
        let mut service = host.net.dial(&to).await.expect("the service listens");
        let _ended: bool = tokio::io::copy_bidirectional(&mut stream, &mut service).await.is_err();
    }
}

fn app(url: &str, ca: Option<String>, at: &str, credential: Option<&str>) -> Application {
    let credential = credential.map(|text| Secret(text.to_owned()));
    Application {
        app: "phone".to_owned(),
        provider: "webhook".to_owned(),
        id: "com.example.phone".to_owned(),
        url: url.to_owned(),
        ca,
        proxy: Some(Proxy { at: at.to_owned(), credential }),
        ..Application::default()
    }
}

const YES: &str = "HTTP/1.1 200 Connection established\r\nVia: 1.1 small\r\n\r\n";

#[tokio::test]
async fn pushes_go_through_a_tunnel_that_the_proxy_cannot_look_into() {
    let (host, _) = host();
    let server = Server::tls(&host, |_| reply(200)).await;
    let (at, heads) = proxy(&host, YES).await;
    let app = app(&server.url, server.certificate.clone(), &at, Some("gateway:sesame"));
    assert!(!format!("{app:?}").contains("sesame"), "{app:?}");
    let plugin = plugin(&host, app);
    for _ in 0..2 {
        assert_eq!(word(&send(&*plugin, &request(&host, "device")).await), "accepted");
    }
    let authority = server.url.trim_start_matches("https://");
    let wanted = format!(
        "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\
        Proxy-Authorization: Basic Z2F0ZXdheTpzZXNhbWU=\r\n\r\n"
    );
    assert_eq!(*heads.lock().expect("no panic"), [wanted], "one tunnel, which is kept");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(!seen[0].headers.contains_key("proxy-authorization"), "{seen:?}");
    assert_eq!(seen[0].json()["token"], "device");
}

#[tokio::test]
async fn http_without_tls_takes_the_tunnel_as_well_and_shows_nothing_without_a_credential() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let (at, heads) = proxy(&host, YES).await;
    let plugin = plugin(&host, app(&server.url, None, &at, None));
    assert_eq!(word(&send(&*plugin, &request(&host, "device")).await), "accepted");
    let authority = server.url.trim_start_matches("http://");
    let wanted = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    assert_eq!(*heads.lock().expect("no panic"), [wanted]);
}

/// What comes of a push through a proxy that says this.
async fn through(says: &str) -> String {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let (at, _) = proxy(&host, says).await;
    let plugin = plugin(&host, app(&server.url, None, &at, Some("gateway:sesame")));
    let outcome = send(&*plugin, &request(&host, "device")).await;
    assert!(server.seen().is_empty(), "nothing goes another way");
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("sesame"), "{shown}");
    format!("{}: {shown}", word(&outcome))
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_with_who_must_mend_it() {
    for (says, begins, holds) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            "failed",
            "407 Proxy Authentication Required: mend proxy-credential-file",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "failed", "403 Forbidden: it must allow CONNECT"),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "transient", "the proxy: HTTP/1.0 502 Bad Gateway"),
        ("SSH-2.0-none\r\n\r\n", "transient", "the proxy speaks no HTTP/1"),
        ("HTTP/1.1 100 Continue\r\n\r\n", "transient", "the proxy: HTTP/1.1 100 Continue"),
    ] {
        let said = through(says).await;
        assert!(said.starts_with(begins) && said.contains(holds), "{said}");
    }
}

#[tokio::test]
async fn a_proxy_that_never_ends_or_is_not_there_is_transient() {
    let (host, _) = host();
    let (at, _) = proxy(&host, &format!("HTTP/1.1 200 OK{}", "x".repeat(9_000))).await;
    let chatty = plugin(&host, app("http://127.0.0.1:9/", None, &at, None));
    let outcome = format!("{:?}", send(&*chatty, &request(&host, "device")).await);
    assert!(outcome.contains("Transient") && outcome.contains("longer than 8192"), "{outcome}");
    let listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let gone = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let plugin = plugin(&host, app("http://127.0.0.1:9/", None, &gone, None));
    let outcome = format!("{:?}", send(&*plugin, &request(&host, "device")).await);
    assert!(outcome.contains("Transient") && outcome.contains("the proxy"), "{outcome}");
}

#[tokio::test]
async fn a_client_leads_a_proxy_to_no_address_of_somebodys_inside() {
    let (host, _) = host();
    let (at, heads) = proxy(&host, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let plugin = plugin(
        &host,
        Application {
            provider: "webpush".to_owned(),
            credential: Some(Secret(P256.to_owned())),
            web: Web { contact: "mailto:push@example.com".to_owned(), private_endpoints: false },
            ..app("", None, &at, None)
        },
    );
    for (endpoint, wanted) in [
        ("https://127.0.0.1:9/x", "refused"),
        ("https://localhost:9/x", "refused"),
        ("https://[::1]/x", "refused"),
        ("https://push.example.net/x", "failed"),
    ] {
        let token = crate::webpush::token(endpoint);
        assert_eq!(word(&send(&*plugin, &request(&host, &token)).await), wanted, "{endpoint}");
    }
    let heads = heads.lock().expect("no panic");
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(heads[0].starts_with("CONNECT push.example.net:443 HTTP/1.1\r\n"), "{heads:?}");
}
