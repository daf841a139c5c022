//! The callers: one UDP socket, a call for each Call-ID.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::oneshot;

const SDP: &str = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

/// RFC 3261, Appendix A.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// What became of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    /// From INVITE to the final response.
    pub(crate) answered: Duration,
    /// From INVITE to 100.
    pub(crate) trying: Duration,
}

struct Call {
    user: String,
    begun: Instant,
    trying: Option<Instant>,
    outcome: Option<Outcome>,
    /// The gateway's tag, once a BYE was sent.
    tag: Option<String>,
    done: oneshot::Sender<Outcome>,
}

pub(crate) struct Caller {
    socket: UdpSocket,
    gateway: String,
    local: String,
    calls: RefCell<BTreeMap<String, Call>>,
    placed: RefCell<u64>,
    /// INVITEs that were sent again.
    pub(crate) repeated: Cell<u64>,
}

impl Caller {
    pub(crate) async fn start(gateway: &str) -> Rc<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let local = socket.local_addr().expect("an address").to_string();
        let caller = Rc::new(Self {
            socket,
            gateway: gateway.to_owned(),
            local,
            calls: RefCell::default(),
            placed: RefCell::new(0),
            repeated: Cell::new(0),
        });
        tokio::task::spawn_local(Rc::clone(&caller).hear());
        caller
    }

    /// Calls a user; comes back when the call is hung up, or failed.
    pub(crate) async fn call(&self, user: &str) -> Option<Outcome> {
        let number = {
            let mut placed = self.placed.borrow_mut();
            *placed += 1;
            *placed
        };
        let (done, outcome) = oneshot::channel();
        let call = Call {
            user: user.to_owned(),
            begun: Instant::now(),
            trying: None,
            outcome: None,
            tag: None,
            done,
        };
        let id = format!("c{number}");
        self.calls.borrow_mut().insert(id.clone(), call);
        self.send("INVITE", &id, user, "", 1, SDP).await;
        self.until_over(&id, user, outcome).await
    }

    /// Repeats what was not answered at T1 doubling to T2, as a caller over UDP does.
    async fn until_over(
        &self,
        id: &str,
        user: &str,
        mut outcome: oneshot::Receiver<Outcome>,
    ) -> Option<Outcome> {
        let mut wait = T1;
        loop {
            match tokio::time::timeout(wait, &mut outcome).await {
                Ok(outcome) => return outcome.ok(),
                Err(_late) => wait = (wait * 2).min(T2),
            }
            let (heard, hung_up) = {
                let calls = self.calls.borrow();
                let call = calls.get(id)?;
                (call.trying.is_some() || call.outcome.is_some(), call.tag.clone())
            };
            match hung_up {
                Some(tag) => self.send("BYE", id, user, &tag, 2, "").await,
                None if !heard => self.send("INVITE", id, user, "", 1, SDP).await,
                None => {}
            }
            self.repeated.set(self.repeated.get() + u64::from(!heard));
        }
    }

    async fn send(&self, method: &str, id: &str, user: &str, tag: &str, cseq: u32, body: &str) {
        let local = &self.local;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let branch = if method == "ACK" || method == "BYE" { method } else { "i" };
        let text = format!(
            "{method} sip:{user}@example.com SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{id}{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a{id}\r\n\
             To: <sip:{user}@example.com>{tag}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:alice@{local}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // A full socket loses the datagram, as a network would; the count of calls tells.
        let _lost: bool = self.socket.send_to(text.as_bytes(), &self.gateway).await.is_err();
    }

    async fn hear(self: Rc<Self>) {
        let mut bytes = vec![0; 4_096];
        while let Ok((length, _)) = self.socket.recv_from(&mut bytes).await {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.take(&text).await;
        }
    }

    async fn take(&self, text: &str) {
        let header = |name: &str| {
            let (_, rest) = text.split_once(name)?;
            rest.split("\r\n").next()
        };
        let (Some(id), Some(cseq)) = (header("\r\nCall-ID: "), header("\r\nCSeq: ")) else {
            return;
        };
        let status: u16 = text.get(8..11).and_then(|code| code.parse().ok()).unwrap_or(0);
        let to = header("\r\nTo: ").unwrap_or_default();
        let tag = to.find(";tag=").map(|at| to[at..].to_owned()).unwrap_or_default();
        let user = {
            let mut calls = self.calls.borrow_mut();
            let Some(call) = calls.get_mut(id) else { return };
            if cseq.ends_with("BYE") {
                if let Some(call) = calls.remove(id)
                    && let Some(outcome) = call.outcome
                {
                    // Fails only when the bench is over.
                    let _over: bool = call.done.send(outcome).is_err();
                }
                return;
            }
            if status == 100 {
                call.trying.get_or_insert_with(Instant::now);
            }
            if status < 200 || call.outcome.is_some() {
                return;
            }
            let trying = call.trying.unwrap_or(call.begun).duration_since(call.begun);
            call.outcome = Some(Outcome { status, answered: call.begun.elapsed(), trying });
            call.tag = (status < 300).then(|| tag.clone());
            call.user.clone()
        };
        if status < 300 {
            self.send("ACK", id, &user, &tag, 1, "").await;
            self.send("BYE", id, &user, &tag, 2, "").await;
        } else {
            let call = self.calls.borrow_mut().remove(id);
            if let Some(call) = call
                && let Some(outcome) = call.outcome
            {
                let _over: bool = call.done.send(outcome).is_err();
            }
        }
    }
}
