use std::sync::Arc;

use reveille_trace::Recorder;

use super::super::sip::Transport;
use super::*;

fn settings(port: u16, transport: Transport) -> Settings {
    Settings {
        listen: "127.0.0.1:0".to_owned(),
        advertise: "127.0.0.1".to_owned(),
        gateway: format!("127.0.0.1:{port}"),
        transport,
        domain: settings::default_domain(),
        calls: Vec::new(),
        conduct: Conduct::default(),
        early: Early::default(),
    }
}

fn call() -> Command {
    call_with(false)
}

fn call_with(late_offer: bool) -> Command {
    Command::Call(Call {
        mark: "c1".to_owned(),
        to: "sip:bob@example.com".to_owned(),
        hang_up_after_ms: Some(0),
        in_dialog: InDialog::Contact,
        lost_answers: 0,
        late_offer,
    })
}

/// A callee in the raw: answers each datagram by what `script` says to its method.
async fn callee(
    socket: Arc<dyn reveille_host::Udp>,
    script: fn(&str, usize) -> &'static [u16],
    heard: mpsc::Sender<String>,
) {
    let mut buffer = vec![0; 65536];
    let mut seen = 0;
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let message = scan(&buffer[..length]).unwrap();
        let method = message.method().unwrap().to_owned();
        let is_sdp = message.body.starts_with(b"v=0");
        let with = if is_sdp { " with SDP" } else { "" };
        heard.send(format!("{}{with}", message.start)).await.unwrap();
        seen += 1;
        for status in script(&method, seen) {
            let contact = ("Contact", "<sip:there@127.0.0.1>".to_owned());
            let bytes = response(&message, *status, "there", &[contact]);
            // 487 answers the INVITE, though CANCEL brought it about.
            let text = String::from_utf8(bytes).unwrap();
            let bytes = match *status {
                487 => text.replace("CSeq: 1 CANCEL", "CSeq: 1 INVITE").into_bytes(),
                _ => text.into_bytes(),
            };
            socket.send_to(&bytes, from).await.unwrap();
        }
    }
}

fn play(
    script: fn(&str, usize) -> &'static [u16],
    commands: Vec<Command>,
    expected: usize,
) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = reveille_host::real::host();
        let socket = host.net.udp("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let (heard, mut hear) = mpsc::channel(64);
        host.tasks.spawn("callee", Box::pin(callee(socket, script, heard)));
        let (send, receive) = mpsc::channel(8);
        for command in commands {
            send.send(command).await.unwrap();
        }
        drop(send);
        let scribe = Scribe::new(Recorder::keeping(), "alice");
        run(host, scribe, settings(port, Transport::Udp), receive).await.unwrap();
        let mut lines = Vec::new();
        while lines.len() < expected {
            lines.push(hear.recv().await.unwrap());
        }
        lines
    })
}

#[test]
fn a_call_is_answered_acknowledged_and_hung_up() {
    let script = |method: &str, _| match method {
        "INVITE" => &[100, 183, 180, 200][..],
        "BYE" => &[200],
        _ => &[],
    };
    let lines = play(script, vec![call()], 3);
    assert_eq!(
        lines,
        [
            "INVITE sip:bob@example.com SIP/2.0 with SDP",
            "ACK sip:there@127.0.0.1 SIP/2.0",
            "BYE sip:there@127.0.0.1 SIP/2.0",
        ]
    );
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let script = |method: &str, _| match method {
        "INVITE" | "BYE" => &[200][..],
        _ => &[],
    };
    let lines = play(script, vec![call_with(true)], 3);
    assert_eq!(
        lines,
        [
            "INVITE sip:bob@example.com SIP/2.0",
            "ACK sip:there@127.0.0.1 SIP/2.0 with SDP",
            "BYE sip:there@127.0.0.1 SIP/2.0",
        ]
    );
}

#[test]
fn a_cancel_waits_for_a_provisional_and_silence_is_filled_with_retransmissions() {
    // The first INVITE is ignored; the one sent again by timer A gets its 100.
    let script = |method: &str, seen| match (method, seen) {
        ("INVITE", 2) => &[100][..],
        ("CANCEL", _) => &[200, 487],
        _ => &[],
    };
    let lines = play(script, vec![call(), Command::Cancel("c1".to_owned())], 4);
    let methods: Vec<_> = lines.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["INVITE", "INVITE", "CANCEL", "ACK"]);
}

#[test]
fn a_message_goes_again_until_its_final_response_and_no_longer() {
    let script = |_: &str, seen| match seen {
        1 => &[][..],
        2 => &[100],
        _ => &[202],
    };
    let (mark, to) = ("m1".to_owned(), "sip:bob@example.com".to_owned());
    let message = Message { mark, to, content: Content::Text, non_urgent: false, expires_s: None };
    let lines = play(script, vec![Command::Message(message)], 3);
    assert_eq!(lines, ["MESSAGE sip:bob@example.com SIP/2.0"; 3]);
}

/// A subscriber in the raw: the 200 and the NOTIFY that it hears.
async fn subscribe(port: u16) -> Vec<String> {
    let host = reveille_host::real::host();
    let socket = host.net.udp("127.0.0.1:0").await.unwrap();
    let here = socket.local_addr().unwrap();
    let text = format!(
        "SUBSCRIBE sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK1\r\n\
         From: <sip:bob@example.com>;tag=1\r\nTo: <sip:alice@example.com>\r\nCall-ID: s\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:tok@{here}>\r\nEvent: message-summary\r\n\
         Expires: 600\r\nContent-Length: 0\r\n\r\n"
    );
    let to = ([127, 0, 0, 1], port).into();
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 65536]);
    while heard.len() < 2 {
        if heard.is_empty() {
            socket.send_to(text.as_bytes(), to).await.unwrap();
        }
        let soon = Duration::from_millis(100);
        let Some(Ok((length, from))) =
            reveille_host::within(&*host.clock, soon, socket.recv_from(&mut buffer)).await
        else {
            continue;
        };
        let message = scan(&buffer[..length]).unwrap();
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if message.method() == Some("NOTIFY") {
            socket.send_to(&response(&message, 200, "1", &[]), from).await.unwrap();
        }
    }
    heard
}

#[test]
fn a_subscriber_is_told_at_once_how_many_messages_wait() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = reveille_host::real::host();
        let taken = host.net.udp("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let own = Settings { listen: taken.to_string(), ..settings(9, Transport::Udp) };
        let (send, receive) = mpsc::channel(8);
        let (subscriber, messages, ends) = ("bob".to_owned(), 3, false);
        send.send(Command::Notify(Notice { subscriber, messages, ends })).await.unwrap();
        let scribe = Scribe::new(Recorder::keeping(), "alice");
        host.tasks.spawn(
            "alice",
            Box::pin(async move {
                run(reveille_host::real::host(), scribe, own, receive).await.unwrap();
            }),
        );
        let heard = subscribe(taken.port()).await;
        assert!(heard[0].starts_with("SIP/2.0 200 ") && heard[0].contains("Expires: 600"));
        assert!(heard[1].starts_with("NOTIFY sip:tok@") && heard[1].contains("Voice-Message: 3/0"));
        drop(send);
    });
}
