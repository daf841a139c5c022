//! A REGISTER that is too large for a datagram, to a registrar that is reached by UDP.

use reveille_gateway_core::io::Transport;
use tokio::io::AsyncWriteExt as _;

use super::{Rig, head, ok, register_at};

/// The 401 to a request; the credentials repeat its nonce.
fn challenge(request: &str) -> String {
    let more = format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"{}\"\r\n", "n".repeat(1_400));
    ok(request, &more).replacen("200 OK", "401 Unauthorized", 1)
}

#[tokio::test]
async fn it_comes_by_tcp_where_somebody_listens_and_by_udp_where_nobody_does() {
    for listens in [true, false] {
        let host = reveille_host::real::host();
        let registrar = host.net.udp("127.0.0.1:0").await.expect("a socket");
        let at = registrar.local_addr().expect("an address").to_string();
        let listener = if listens { host.net.listen(&at).await.ok() } else { None };
        let rig = Rig::new(|it| register_at(it, Transport::Udp, &at)).await;
        let mut app = rig.app().await;
        let mut buffer = [0; 4_096];
        let (length, from) = rig.in_time(registrar.recv_from(&mut buffer)).await.expect("one");
        let small = String::from_utf8_lossy(&buffer[..length]).into_owned();
        registrar.send_to(challenge(&small).as_bytes(), from).await.expect("sent");
        let large = match listener {
            Some(mut listener) => {
                let (mut stream, _) = rig.in_time(listener.accept()).await.expect("dialled");
                let large = rig.in_time(head(&mut stream)).await;
                assert!(large.contains("\r\nVia: SIP/2.0/TCP "), "{large}");
                stream.write_all(ok(&large, "").as_bytes()).await.expect("sent");
                large
            }
            None => {
                let got = rig.in_time(registrar.recv_from(&mut buffer)).await.expect("another");
                let large = String::from_utf8_lossy(&buffer[..got.0]).into_owned();
                assert!(large.contains("\r\nVia: SIP/2.0/UDP "), "{large}");
                registrar.send_to(ok(&large, "").as_bytes(), got.1).await.expect("sent");
                large
            }
        };
        assert!(large.len() > 1_300 && large.contains("\r\nAuthorization: "), "{large}");
        let answer = rig.answer(&mut app).await;
        assert_eq!(answer["header"]["response_code"], 200, "{answer}");
    }
}
