//! The flow to the registrar: pinged, and replaced once it is dead.

use reveille_gateway_core::io::Transport;
use reveille_host::{BoxStream, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{LIMIT, Rig, head, ok, register_at};

const GRANTED: &str = "Require: outbound\r\nFlow-Timer: 1\r\n";

/// A registrar that takes REGISTERs over streams.
struct Registrar {
    listener: Box<dyn reveille_host::Listener>,
}

impl Registrar {
    async fn new() -> (Self, String) {
        let host = reveille_host::real::host();
        let listener = host.net.listen("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address").to_string();
        (Self { listener }, at)
    }

    /// The next connection, and its REGISTER once that is answered.
    async fn take(&mut self, more: &str) -> (BoxStream, String) {
        let (mut stream, _) = self.listener.accept().await.expect("dialled");
        let register = head(&mut stream).await;
        stream.write_all(ok(&register, more).as_bytes()).await.expect("sent");
        (stream, register)
    }
}

async fn ping(stream: &mut BoxStream) {
    let mut ping = [0; 4];
    stream.read_exact(&mut ping).await.expect("a ping");
    assert_eq!(&ping, b"\r\n\r\n");
}

#[tokio::test]
async fn a_flow_is_pinged_as_often_as_the_registrar_says_and_pongs_are_no_pings() {
    let (mut registrar, at) = Registrar::new().await;
    let rig = Rig::new(|it| register_at(it, Transport::Tcp, &at)).await;
    let mut app = rig.app().await;
    let (mut stream, _) = rig.in_time(registrar.take(GRANTED)).await;
    rig.answer(&mut app).await;
    let begin = rig.host.clock.now().mono;
    for _ in 0..3 {
        rig.in_time(ping(&mut stream)).await;
        stream.write_all(b"\r\n").await.expect("a pong");
    }
    let each = (rig.host.clock.now().mono - begin) / 3;
    assert!((700..1_500).contains(&each.as_millis()), "80 to 100 % of a second: {each:?}");
    // Four bytes more are the next ping and no answer to two pongs.
    rig.in_time(ping(&mut stream)).await;
}

#[tokio::test]
async fn a_flow_without_a_pong_is_closed_after_ten_seconds() {
    let (mut registrar, at) = Registrar::new().await;
    let rig = Rig::new(|it| register_at(it, Transport::Tcp, &at)).await;
    let mut app = rig.app().await;
    let (mut stream, _) = rig.in_time(registrar.take(GRANTED)).await;
    rig.answer(&mut app).await;
    rig.in_time(ping(&mut stream)).await;
    let begin = rig.host.clock.now().mono;
    let end = within(&*rig.host.clock, 2 * LIMIT, stream.read(&mut [0; 16])).await;
    assert!(matches!(end, Some(Ok(0))), "not pinged again: {end:?}");
    let waited = (rig.host.clock.now().mono - begin).as_secs();
    assert!((9..12).contains(&waited), "after {waited} s");
}
