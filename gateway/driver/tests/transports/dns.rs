//! A registrar that is named by its domain, and a DNS server that loses, forges and cuts off.

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_gateway_core::io::Transport;
use reveille_gateway_driver::dns::{Data, Domain, Kind, Record, Resolve, Stub, Table};
use reveille_host::{Host, Udp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::certificates::{Authority, acceptor};
use super::{LIMIT, Rig, head, ok, register_at};

const GOOD: [u8; 2] = [0x81, 0x80];
const CUT: [u8; 2] = [0x83, 0x80];
const FAILED: [u8; 2] = [0x81, 0x82];

/// The answer to a query with one record, whose name jumps to the question.
fn reply(query: &[u8], flags: [u8; 2], value: &[u8]) -> Vec<u8> {
    let mut raw = query.to_vec();
    raw[2..4].copy_from_slice(&flags);
    let Some(kind) = query.len().checked_sub(4).filter(|_| flags == GOOD && !value.is_empty())
    else {
        return raw;
    };
    raw[7] = 1;
    raw.extend([0xc0, 12]);
    raw.extend(&query[kind..]);
    raw.extend([0, 0, 0, 60, 0, u8::try_from(value.len()).expect("short")]);
    raw.extend(value);
    raw
}

async fn query(server: &Arc<dyn Udp>) -> (Vec<u8>, std::net::SocketAddr) {
    let mut buffer = [0; 512];
    let (length, from) = server.recv_from(&mut buffer).await.expect("a query");
    (buffer[..length].to_vec(), from)
}

async fn server(host: &Host) -> (Arc<dyn Udp>, Stub) {
    let socket = host.net.udp("127.0.0.1:0").await.expect("a socket");
    let stub = Stub::new(host.clone(), socket.local_addr().expect("an address"));
    (socket, stub)
}

fn address(ip: [u8; 4]) -> Result<Vec<Record>, String> {
    Ok(vec![Record { ttl_s: 60, data: Data::Address(ip.into()) }])
}

#[tokio::test]
async fn a_lost_query_is_repeated_and_a_forged_answer_is_not_believed() {
    let host = reveille_host::real::host();
    let ((socket, stub), forger) = (server(&host).await, server(&host).await.0);
    let play = async {
        let (first, _) = query(&socket).await;
        let (again, from) = query(&socket).await;
        assert_eq!(first[12..], again[12..], "the same question");
        // Another port with the right number, then the right port with another number.
        forger.send_to(&reply(&again, GOOD, &[192, 0, 2, 66]), from).await.expect("sent");
        let mut other = again.clone();
        other[0] ^= 1;
        socket.send_to(&reply(&other, GOOD, &[192, 0, 2, 67]), from).await.expect("sent");
        socket.send_to(&reply(&again, GOOD, &[192, 0, 2, 1]), from).await.expect("sent");
    };
    let work = async { tokio::join!(stub.lookup("sip.example.com", Kind::A), play) };
    let (found, ()) = reveille_host::within(&*host.clock, LIMIT, work).await.expect("in time");
    assert_eq!(found, address([192, 0, 2, 1]));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_over_tcp() {
    let host = reveille_host::real::host();
    let (socket, stub) = server(&host).await;
    let at = socket.local_addr().expect("an address").to_string();
    let mut listener = host.net.listen(&at).await.expect("the same port");
    let play = async {
        let (asked, from) = query(&socket).await;
        socket.send_to(&reply(&asked, CUT, &[]), from).await.expect("sent");
        let (mut stream, _) = listener.accept().await.expect("dialled");
        let mut again = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut again).await.expect("the query");
        assert_eq!(again, asked);
        let answer = reply(&again, GOOD, &[192, 0, 2, 1]);
        stream.write_u16(u16::try_from(answer.len()).expect("short")).await.expect("sent");
        stream.write_all(&answer).await.expect("sent");
    };
    let work = async { tokio::join!(stub.lookup("sip.example.com", Kind::A), play) };
    let (found, ()) = reveille_host::within(&*host.clock, LIMIT, work).await.expect("in time");
    assert_eq!(found, address([192, 0, 2, 1]));
}

#[tokio::test]
async fn a_server_that_fails_or_says_nothing_is_told_by_name() {
    let host = reveille_host::real::host();
    let (socket, stub) = server(&host).await;
    let play = async {
        let (asked, from) = query(&socket).await;
        socket.send_to(&reply(&asked, FAILED, &[]), from).await.expect("sent");
    };
    let work = async { tokio::join!(stub.lookup("sip.example.com", Kind::A), play) };
    let (found, ()) = reveille_host::within(&*host.clock, LIMIT, work).await.expect("in time");
    assert_eq!(found, Err("sip.example.com: the DNS server answers RCODE 2".to_owned()));
    let work = stub.lookup("sip.example.com", Kind::A);
    let found = reveille_host::within(&*host.clock, LIMIT, work).await.expect("after three tries");
    assert!(found.is_err_and(|why| why.ends_with("does not answer")));
}

#[tokio::test]
async fn a_gateway_asks_dns_before_it_registers() {
    let host = reveille_host::real::host();
    let (socket, _) = server(&host).await;
    let registrar = host.net.udp("127.0.0.1:0").await.expect("a socket");
    let port = registrar.local_addr().expect("an address").port();
    let dns_server = socket.local_addr().expect("an address");
    let serve = async move {
        loop {
            let (asked, from) = query(&socket).await;
            let value = match asked[asked.len() - 3] {
                1 => vec![127, 0, 0, 1],
                33 => [&[0, 1, 0, 1][..], &port.to_be_bytes(), b"\x03sip\x07example\x03com\0"]
                    .concat(),
                _ => Vec::new(),
            };
            socket.send_to(&reply(&asked, GOOD, &value), from).await.expect("sent");
        }
    };
    host.tasks.spawn("dns-server", Box::pin(serve));
    let rig = Rig::new(|it| {
        register_at(it, Transport::Udp, &"example.com:5060");
        let [name, proves] = ["example.com", "example.com"].map(str::to_owned);
        it.registrar_domain = Some(Domain { name, transport: None, secure: false, proves });
        it.dns_server = Some(dns_server);
    })
    .await;
    let mut app = rig.app().await;
    let mut buffer = [0; 4_096];
    let (length, from) = rig.in_time(registrar.recv_from(&mut buffer)).await.expect("a REGISTER");
    let register = String::from_utf8_lossy(&buffer[..length]).into_owned();
    registrar.send_to(ok(&register, "").as_bytes(), from).await.expect("sent");
    assert_eq!(rig.answer(&mut app).await["header"]["response_code"], 200);
}

#[tokio::test]
async fn over_tls_the_domain_is_proved_and_not_the_host_that_dns_names() {
    for (name, wanted) in [("example.com", 200), ("sip.provider.example", 480)] {
        let authority = Authority::new();
        let host = reveille_host::real::host();
        let mut listener = host.net.listen("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let target = "sip.provider.example".to_owned();
        let data = Data::Srv { priority: 1, weight: 1, port, target };
        let srv = ("_sips._tcp.example.com".to_owned(), Kind::Srv);
        let table = Table(BTreeMap::from([
            (srv, vec![Record { ttl_s: 60, data }]),
            (("sip.provider.example".to_owned(), Kind::A), address([127, 0, 0, 1]).expect("one")),
        ]));
        let rig = Rig::new(|it| {
            register_at(it, Transport::Tls, &"example.com:5061");
            let [name, proves] = ["example.com", "example.com"].map(str::to_owned);
            it.registrar_domain = Some(Domain { name, transport: None, secure: true, proves });
            it.resolve = Some(Arc::new(table));
            it.secure.peer_ca = Some(authority.pem.clone());
        })
        .await;
        let mut app = rig.app().await;
        let acceptor = acceptor(&authority.sign(name));
        let serve = async {
            let (stream, _) = listener.accept().await.expect("dialled");
            let mut stream = acceptor.accept(stream).await.ok()?;
            let register = head(&mut stream).await;
            stream.write_all(ok(&register, "").as_bytes()).await.expect("sent");
            Some(stream)
        };
        let _stream = rig.in_time(serve).await;
        let answer = rig.answer(&mut app).await;
        let header = &answer["header"];
        let code = header["response_code"].as_u64().or_else(|| header["error_code"].as_u64());
        assert_eq!(code, Some(wanted), "{answer}");
    }
}
