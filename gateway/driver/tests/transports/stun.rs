//! STUN on the SIP port over UDP: answered as keep-alive, and asked of the registrar.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::io::Transport;
use reveille_host::{Udp, within};
use reveille_trace::Kind;

use super::{OPTIONS, Rig, ok, register_at};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A Binding message without attributes.
fn binding(kind: u16, transaction: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), &[0, 0][..], &COOKIE, transaction].concat()
}

/// The answer that says that a request came from this IPv4 address.
fn mapped(request: &[u8], address: [u8; 4], port: u16) -> Vec<u8> {
    let mut answer = binding(0x0101, &request[8..20]);
    answer[3] = 12;
    let port = port ^ 0x2112;
    let ip: Vec<u8> = address.iter().zip(COOKIE).map(|(byte, mask)| byte ^ mask).collect();
    answer.extend([&[0, 0x20, 0, 8, 0, 1], &port.to_be_bytes()[..], &ip].concat());
    answer
}

async fn hear(rig: &Rig, socket: &Arc<dyn Udp>) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4_096];
    let (length, from) = rig.in_time(socket.recv_from(&mut buffer)).await.expect("a datagram");
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn a_binding_request_is_answered_with_its_source_and_is_no_sip() {
    let rig = Rig::new(|_| {}).await;
    let socket = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    let own = socket.local_addr().expect("an address").port();
    let request = binding(1, b"twelve bytes");
    socket.send_to(&request, rig.running.udp[0]).await.expect("sent");
    assert_eq!(hear(&rig, &socket).await.0, mapped(&request, [127, 0, 0, 1], own));
    // Neither an answer that nobody asked for nor an indication is answered.
    for kind in [0x0101, 0x0011] {
        let unasked = binding(kind, b"twelve bytes");
        socket.send_to(&unasked, rig.running.udp[0]).await.expect("sent");
    }
    let options = OPTIONS.replace("TLS", "UDP");
    socket.send_to(options.as_bytes(), rig.running.udp[0]).await.expect("sent");
    assert!(hear(&rig, &socket).await.0.starts_with(b"SIP/2.0 200 "));
    assert_eq!(rig.sip(Kind::SipBroken), [""; 0]);
    assert_eq!(rig.sip(Kind::SipSent).len(), 1, "STUN stands in no trace");
}

#[tokio::test]
async fn who_floods_by_stun_gets_a_bounded_number_of_answers() {
    let rig = Rig::new(|_| {}).await;
    let socket = rig.host.net.udp("127.0.0.1:0").await.expect("a socket");
    let (mut heard, mut buffer) = (0, [0; 64]);
    for wave in 0..100_u32 {
        // Each wave is answered before the next one comes, so that none is lost on the way.
        for one in 0..40_u32 {
            let transaction = [&wave.to_be_bytes()[..], &one.to_be_bytes(), b"four"].concat();
            let request = binding(1, &transaction);
            socket.send_to(&request, rig.running.udp[0]).await.expect("sent");
        }
        let (before, limit) = (heard, Duration::from_millis(200));
        while heard < before + 40
            && within(&*rig.host.clock, limit, socket.recv_from(&mut buffer)).await.is_some()
        {
            heard += 1;
        }
        if heard == before {
            assert!((1_000..=2_000).contains(&heard), "a thousand in a second: {heard}");
            return;
        }
    }
    panic!("all {heard} are answered");
}

#[tokio::test]
async fn the_registrar_is_asked_and_another_mapped_address_ends_the_flow() {
    let host = reveille_host::real::host();
    let registrar = host.net.udp("127.0.0.1:0").await.expect("a socket");
    let at = registrar.local_addr().expect("an address");
    let rig = Rig::new(|it| {
        register_at(it, Transport::Udp, &at);
        it.core.stun = true;
    })
    .await;
    let mut app = rig.app().await;
    let (register, from) = hear(&rig, &registrar).await;
    let register = String::from_utf8(register).expect("text");
    let answer = ok(&register, "Require: outbound\r\nFlow-Timer: 1\r\n");
    registrar.send_to(answer.as_bytes(), from).await.expect("sent");
    rig.answer(&mut app).await;
    for port in [7, 7, 8] {
        let (request, asked_from) = hear(&rig, &registrar).await;
        assert_eq!((request.len(), &request[..2], &request[4..8]), (20, &[0, 1][..], &COOKIE[..]));
        assert_eq!(asked_from, from, "by the socket that SIP leaves by");
        registrar.send_to(&mapped(&request, [192, 0, 2, 1], port), from).await.expect("sent");
    }
    let mut buffer = [0; 64];
    let quiet = within(&*host.clock, Duration::from_secs(2), registrar.recv_from(&mut buffer));
    assert!(quiet.await.is_none(), "the flow is given up, and the next one is due in 30 s");
}
