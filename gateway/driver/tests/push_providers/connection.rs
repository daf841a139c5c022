//! What all providers share: who is trusted, and what a broken connection means.

use std::time::Duration;

use reveille_gateway_driver::push::{Application, Push};
use reveille_host::{BoxStream, Host, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, reply};
use crate::{host, plugin, request, send, word};

fn webhook(url: &str, ca: Option<String>) -> Application {
    Application {
        app: "phone".to_owned(),
        provider: "webhook".to_owned(),
        id: "com.example.phone".to_owned(),
        url: url.to_owned(),
        ca,
        ..Application::default()
    }
}

async fn why(plugin: &dyn Push, host: &Host) -> String {
    format!("{:?}", send(plugin, &request(host, "t")).await)
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_name_and_time() {
    let (host, clock) = host();
    let server = Server::tls(&host, |_| reply(200)).await;
    let ca = server.certificate.clone();
    let trusted = plugin(&host, webhook(&server.url, ca.clone()));
    assert_eq!(word(&send(&*trusted, &request(&host, "t")).await), "accepted");

    let public = plugin(&host, webhook(&server.url, None));
    assert!(why(&*public, &host).await.contains("UnknownIssuer"));
    let other = server.url.replace("localhost", "127.0.0.1");
    let misnamed = plugin(&host, webhook(&other, ca.clone()));
    let said = why(&*misnamed, &host).await;
    assert!(said.contains("not valid for name"), "{said}");
    // The host's clock decides, not the machine's.
    clock.set(Duration::from_secs(86_400 * 365 * 3_000));
    let late = plugin(&host, webhook(&server.url, ca));
    let said = why(&*late, &host).await;
    assert!(said.contains("expired"), "{said}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn pushes_that_come_together_share_one_connection() {
    let (host, _) = host();
    let server = Server::tls(&host, |_| reply(200)).await;
    let plugin = plugin(&host, webhook(&server.url, server.certificate.clone()));
    let (a, b, c, d) = tokio::join!(
        why(&*plugin, &host),
        why(&*plugin, &host),
        why(&*plugin, &host),
        why(&*plugin, &host),
    );
    assert_eq!([a, b, c, d], ["Accepted"; 4].map(ToOwned::to_owned));
    assert_eq!(server.connections(), 1);
}

/// A frame of HTTP/2 (RFC 9113 section 4.1) of at most 255 octets.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// Reads what a client sends up to its first HEADERS, and says SETTINGS.
async fn until_headers(stream: &mut BoxStream) {
    stream.write_all(&frame(4, 0, 0, &[])).await.expect("written");
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("the preface");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        stream.read_exact(&mut payload).await.expect("its payload");
        if head[3] == 1 {
            return;
        }
    }
}

/// A server that does this to the first request of its first two connections, then refuses to
/// accept; how many connections it had.
async fn breaking(
    host: &Host,
    then: Vec<Vec<u8>>,
) -> (String, tokio::sync::oneshot::Receiver<usize>) {
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = async move {
        let mut count = 0;
        for answer in then {
            let Ok((mut stream, _)) = listener.accept().await else { break };
            count += 1;
            until_headers(&mut stream).await;
            stream.write_all(&answer).await.expect("written");
            stream.shutdown().await.expect("closed");
            let mut rest = Vec::new();
            let _reset: bool = stream.read_to_end(&mut rest).await.is_err();
        }
        drop(listener);
        let _nobody_waits: bool = tell.send(count).is_err();
    };
    host.tasks.spawn("breaking", Box::pin(work));
    (url, told)
}

/// What a server says within seconds: one that still waits for a connection has failed its test.
async fn in_time<T>(host: &Host, work: impl Future<Output = T>) -> T {
    within(&*host.clock, Duration::from_secs(5), work).await.expect("in time")
}

/// HEADERS that end stream 1 with status 200: index 8 of HPACK's static table.
fn ok() -> Vec<u8> {
    frame(1, 5, 1, &[0x88])
}

fn go_away(last: u32) -> Vec<u8> {
    let payload = [&last.to_be_bytes()[..], &[0; 4], b"{\"reason\":\"Shutdown\"}"].concat();
    frame(7, 0, 0, &payload)
}

#[tokio::test]
async fn what_was_surely_not_processed_is_sent_again_at_once() {
    let refused = frame(3, 0, 1, &7_u32.to_be_bytes());
    for broken in [go_away(0), refused] {
        let (host, _) = host();
        let (url, count) = breaking(&host, vec![broken.clone(), broken.clone(), ok()]).await;
        let plugin = plugin(&host, webhook(&url, None));
        assert_eq!(why(&*plugin, &host).await, "Accepted");
        assert_eq!(in_time(&host, count).await, Ok(3));
    }
}

#[tokio::test]
async fn a_service_that_goes_away_for_ever_is_left_after_three_tries_and_its_reason_told() {
    let (host, _) = host();
    let (url, count) = breaking(&host, vec![go_away(0); 3]).await;
    let plugin = plugin(&host, webhook(&url, None));
    let said = why(&*plugin, &host).await;
    assert!(said.starts_with("Transient") && said.contains("Shutdown"), "{said}");
    assert_eq!(in_time(&host, count).await, Ok(3));
}

#[tokio::test]
async fn what_may_have_been_processed_is_not_sent_again_here() {
    let reset = frame(3, 0, 1, &8_u32.to_be_bytes());
    for broken in [Vec::new(), go_away(1), reset] {
        let (host, _) = host();
        let (url, _) = breaking(&host, vec![broken.clone(), ok()]).await;
        let plugin = plugin(&host, webhook(&url, None));
        let said = why(&*plugin, &host).await;
        assert!(said.starts_with("Transient"), "{said}");
        assert_eq!(why(&*plugin, &host).await, "Accepted", "the second is for the next attempt");
    }
}

#[tokio::test]
async fn a_call_waits_for_no_stream_of_another_push() {
    let (host, _) = host();
    let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let work = async move {
        // One stream at a time (SETTINGS_MAX_CONCURRENT_STREAMS), and the first is never answered.
        let (mut slow, _) = listener.accept().await.expect("a connection");
        slow.write_all(&frame(4, 0, 0, &[0, 3, 0, 0, 0, 1])).await.expect("written");
        until_headers(&mut slow).await;
        let (mut quick, _) = listener.accept().await.expect("another connection");
        until_headers(&mut quick).await;
        quick.write_all(&ok()).await.expect("written");
        std::future::pending::<()>().await;
    };
    host.tasks.spawn("slow", Box::pin(work));
    let plugin = plugin(&host, webhook(&url, None));
    let mut refresh = request(&host, "t");
    refresh.payload.event = "refresh".to_owned();
    let refreshes = async {
        tokio::join!(send(&*plugin, &refresh), send(&*plugin, &refresh));
    };
    let call = async {
        let call = request(&host, "t");
        in_time(&host, send(&*plugin, &call)).await
    };
    let mut refreshes = std::pin::pin!(refreshes);
    let mut call = std::pin::pin!(call);
    let first = std::future::poll_fn(|context| {
        let over = refreshes.as_mut().poll(context).is_ready();
        call.as_mut().poll(context).map(|outcome| (over, word(&outcome)))
    });
    assert_eq!(first.await, (false, "accepted".to_owned()));
}
