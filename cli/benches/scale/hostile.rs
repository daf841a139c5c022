//! Peers of ill will: what each kind costs the gateway's memory while it lasts, and what is left when
//! its transactions are over.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::gateway::{Gateway, Ports};
use super::phone;

/// Until transactions over UDP are over (Timers H and J, 32 s) and slow heads are cut off.
const AFTER: Duration = Duration::from_secs(36);
/// Requests of a flood. They are sent in bursts, so that most of them are read.
const FLOOD: u32 = 300_000;
const BURST: u32 = 100;
const SLOW: usize = 2_000;

pub(crate) async fn run() {
    let ports = Ports { registrar: None, ..Ports::free() };
    let gateway = Gateway::start("redb", ports, 100);
    let mut phones = phone::asleep(&gateway.ports.web, 0, 100, 100).await;
    println!("\nmemory of the gateway under attack, with 100 sleepers that nobody attacks");
    let before = gateway.resident();
    println!("  before: {:.1} MB", megabytes(before));
    tell(&gateway, "300,000 OPTIONS, each a transaction of its own", |gateway| {
        flood(gateway, "OPTIONS");
    });
    tell(&gateway, "300,000 INVITEs for nobody, never acknowledged", |gateway| {
        flood(gateway, "INVITE");
    });
    tell(&gateway, "300,000 datagrams of noise", noise);
    let mut held = Vec::new();
    tell(&gateway, "2,000 WebSocket handshakes that stop half way", |gateway| held = slow(gateway));
    tell(&gateway, "2,000 heads without an end", headers);
    tokio::time::sleep(AFTER).await;
    drop(held);
    println!("  36 s later: {:.1} MB", megabytes(gateway.resident()));
    let mut found = 0;
    for phone in &mut phones {
        found += usize::from(phone.is_known().await.unwrap_or(false));
    }
    println!("  sleepers that are still there: {found} of {}", phones.len());
}

fn tell(gateway: &Gateway, what: &str, attack: impl FnOnce(&Gateway)) {
    attack(gateway);
    println!("  {what}: {:.1} MB", megabytes(gateway.resident()));
}

fn flood(gateway: &Gateway, method: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let from = socket.local_addr().expect("an address");
    each_burst(|number| {
        let text = format!(
            "{method} sip:nobody{number}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{number}\r\n\
             From: <sip:m@example.com>;tag=m{number}\r\nTo: <sip:nobody@example.com>\r\n\
             Call-ID: {method}{number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:m@{from}>\r\nContent-Length: 0\r\n\r\n"
        );
        // A datagram that the kernel has no room for is lost, as in life.
        let _lost: bool = socket.send_to(text.as_bytes(), &gateway.ports.sip).is_err();
    });
}

fn noise(gateway: &Gateway) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    each_burst(|number| {
        let bytes = number.to_be_bytes().repeat(300);
        let _lost: bool = socket.send_to(&bytes, &gateway.ports.sip).is_err();
    });
}

fn each_burst(mut send: impl FnMut(u32)) {
    for burst in 0..FLOOD / BURST {
        for number in 0..BURST {
            send(burst * BURST + number);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn slow(gateway: &Gateway) -> Vec<TcpStream> {
    let half = b"GET /ws/webrtc/phone HTTP/1.1\r\nHost: example.com\r\nUpgrade: web";
    (0..SLOW)
        .filter_map(|_| {
            let mut stream = TcpStream::connect(&gateway.ports.web).ok()?;
            stream.write_all(half).ok()?;
            Some(stream)
        })
        .collect()
}

/// Each sends what it can until it is cut off.
fn headers(gateway: &Gateway) {
    let line = [b'x'; 4_096];
    for _ in 0..SLOW {
        let Ok(mut stream) = TcpStream::connect(&gateway.ports.web) else { continue };
        let _cut_off: bool = stream.write_all(b"GET / HTTP/1.1\r\nx: ").is_err();
        let _cut_off: bool = (0..64).any(|_| stream.write_all(&line).is_err());
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
