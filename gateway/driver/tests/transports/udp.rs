//! Responses over UDP (RFC 3581 section 4).

use super::{OPTIONS, Rig};

#[tokio::test]
async fn a_response_leaves_by_the_port_that_its_request_came_to() {
    let any = || "127.0.0.1:0".to_owned();
    let rig = Rig::new(|it| it.udp = vec![any(), any(), any()]).await;
    let socket = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    let own = socket.local_addr().expect("an address").port();
    for (index, port) in rig.running.udp.iter().enumerate() {
        let text = OPTIONS.replace("TLS", "UDP").replace("z9hG4bKa", &format!("z9hG4bK{index}"));
        socket.send_to(text.as_bytes(), *port).await.expect("sent");
        let mut buffer = [0; 4_096];
        let (length, from) = rig.in_time(socket.recv_from(&mut buffer)).await.expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..length]);
        assert_eq!(from, *port, "{answer}");
        assert!(
            answer.contains(&format!(";received=127.0.0.1;rport={own}"))
                || answer.contains(&format!("rport={own};received=127.0.0.1")),
            "{answer}"
        );
    }
}
