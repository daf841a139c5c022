//! The registrar: takes every binding for an hour.

use tokio::net::UdpSocket;

/// Answers every REGISTER with 200.
pub(crate) async fn serve(address: String) {
    let socket = UdpSocket::bind(&address).await.expect("the port is free");
    let mut bytes = vec![0; 4_096];
    while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
        let text = String::from_utf8_lossy(&bytes[..length]);
        let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
        for line in text.split("\r\n").skip(1) {
            let name = line.split(':').next().unwrap_or_default();
            if matches!(name, "Via" | "From" | "To" | "Call-ID" | "CSeq" | "Contact") {
                answer.push_str(line);
                answer.push_str(if name == "To" { ";tag=r\r\n" } else { "\r\n" });
            }
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        // A datagram that does not leave is one that the network lost: the gateway asks again.
        let _lost: bool = socket.send_to(answer.as_bytes(), peer).await.is_err();
    }
}
