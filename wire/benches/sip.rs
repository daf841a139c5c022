//! What reading and building a SIP message costs: an INVITE of about 900 bytes with an SDP.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use reveille_wire::sip::{Message, Method};

fn invite() -> Vec<u8> {
    let sdp = "v=0\r\no=alice 2890844526 2890844526 IN IP4 192.0.2.1\r\ns=c1\r\nc=IN IP4 192.0.2.1\r\n\
               t=0 0\r\nm=audio 49170 RTP/AVP 0 8 97\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
               a=rtpmap:97 iLBC/8000\r\na=sendrecv\r\na=ptime:20\r\n\
               a=candidate:1 1 UDP 2130706431 192.0.2.1 49170 typ host\r\na=rtcp-mux\r\n";
    let mut message = Message::request(Method::INVITE, "sip:bob@biloxi.example.com")
        .with("Via", "SIP/2.0/UDP client.atlanta.example.com:5060;branch=z9hG4bK74bf9;rport")
        .with("Max-Forwards", "70")
        .with("Record-Route", "<sip:ss1.atlanta.example.com;lr>")
        .with("From", "\"Alice\" <sip:alice@atlanta.example.com>;tag=9fxced76sl")
        .with("To", "\"Bob\" <sip:bob@biloxi.example.com>")
        .with("Call-ID", "3848276298220188511@atlanta.example.com")
        .with("CSeq", "1 INVITE")
        .with("Contact", "<sip:alice@client.atlanta.example.com;transport=udp>")
        .with("Allow", "INVITE, ACK, CANCEL, OPTIONS, BYE")
        .with("Supported", "replaces, timer")
        .with("User-Agent", "benchmark")
        .with("P-Asserted-Identity", "<sip:alice@atlanta.example.com>");
    message.set_body("application/sdp", sdp.as_bytes());
    message.to_bytes()
}

fn typed(bytes: &[u8]) -> Option<u32> {
    let message = Message::parse(bytes).ok()?;
    let via = message.via().ok()?;
    let (from, to) = (message.from().ok()?, message.to().ok()?);
    black_box((via, from, to, message.call_id().ok()?));
    Some(message.cseq().ok()?.number)
}

fn bench(c: &mut Criterion) {
    let bytes = invite();
    let name = |what: &str| format!("{what} a {}-byte INVITE", bytes.len());
    c.bench_function(&name("read"), |b| b.iter(|| Message::parse(black_box(&bytes))));
    let with_views = name("read, with Via, From, To, CSeq, Call-ID typed,");
    c.bench_function(&with_views, |b| b.iter(|| typed(black_box(&bytes))));
    let message = Message::parse(&bytes).expect("well-formed");
    c.bench_function(&name("validate"), |b| b.iter(|| black_box(&message).validate()));
    c.bench_function(&name("write"), |b| b.iter(|| black_box(&message).to_bytes()));
    c.bench_function("build a 180 to it", |b| {
        b.iter(|| black_box(&message).reply(180, "Ringing", Some("tag")).to_bytes());
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
