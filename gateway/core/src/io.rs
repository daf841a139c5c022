//! What goes into the core and what comes out of it. The driver translates between these and the
//! world; nothing else connects the two.

use std::sync::Arc;

use reveille_trace::Draft;
use reveille_wire::sip;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::record::{CallRecord, MessageRecord, SessionId, SessionRecord};

/// A transport of SIP (RFC 3261 section 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams: unreliable, so transactions retransmit.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
    /// Messages of a WebSocket (RFC 7118).
    Ws,
    /// Messages of a WebSocket inside TLS.
    Wss,
}

impl Transport {
    /// The name in a Via header.
    #[must_use]
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The parameter of a URI that asks for this transport; UDP is the default. `ws` stands for both
    /// kinds of WebSocket (RFC 7118 section 5.2).
    #[must_use]
    pub const fn uri_param(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }

    /// The port of a URI that names none (RFC 3261 section 19.1.2, RFC 7118 section 5.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// True if the transport itself retransmits.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// True if nobody on the way can read or change what is said.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// True if a connection can be made anew from this end: a WebSocket is opened by its client.
    #[must_use]
    pub const fn is_dialled(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

/// The path a SIP message takes: which local socket, which peer, and which connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// What carries it.
    pub transport: Transport,
    /// `address:port` of our socket.
    pub local: String,
    /// `address:port` of the peer.
    pub peer: String,
    /// The connection, as the driver numbers it. `None`: UDP, or "dial `peer`, or reuse a
    /// connection to it"; also after a restart, when every old number is void.
    pub connection: Option<u64>,
}

impl Flow {
    /// The way back to the sender of `request` when this way is gone (RFC 3261 section 18.2.2): for
    /// a stream, a new connection to where the Via says that the sender listens.
    #[must_use]
    pub(crate) fn return_of(&self, request: &sip::Message) -> Self {
        match request.via() {
            Ok(via) => self.return_to(&via),
            Err(_) => Self { connection: None, ..self.clone() },
        }
    }

    /// The same, to the sender whose Via this is.
    pub(crate) fn return_to(&self, via: &sip::Via) -> Self {
        let mut flow = Self { connection: None, ..self.clone() };
        if flow.transport.is_dialled() {
            // Over TLS the name in the Via is dialled: it is the one that a certificate can prove.
            let received = via.received.as_deref().filter(|_| !flow.transport.is_secure());
            let host = received.unwrap_or(&via.host);
            let port = via.port.unwrap_or(flow.transport.default_port());
            flow.peer = format!("{host}:{port}");
        }
        flow
    }
}

/// A WebSocket connection, as the driver numbers it; never used twice by one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// One attempt to wake one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PushId {
    /// The wake, numbered by the core within this process.
    pub wake: u64,
    /// The attempt within the wake, from 1.
    pub attempt: u32,
}

/// What the world tells the core.
#[derive(Debug, Clone)]
pub enum Input {
    /// Everything the fabric holds for this node; the first input of a process, exactly once.
    Started {
        /// Live sessions and their calls.
        sessions: Vec<SessionRecord>,
        /// Every call on record.
        calls: Vec<CallRecord>,
        /// Every message on record.
        messages: Vec<MessageRecord>,
    },
    /// A SIP message that parsed and passed validation.
    Sip {
        /// Where it came from.
        flow: Flow,
        /// The message, its raw bytes kept.
        message: Box<sip::Message>,
    },
    /// A SIP message could not be sent: the connection is gone and no other could be made, or the
    /// queue is full.
    SipUnsent {
        /// Where it was to go.
        flow: Flow,
    },
    /// A connection that was dialled is gone, or a flow that was to be kept alive is dead: nothing
    /// from the peer reaches us by it any more.
    FlowLost {
        /// The flow, as the core named it.
        flow: Flow,
    },
    /// Where the registrar is to be reached from now on, best first (RFC 3263 section 4): what the
    /// driver found out takes the place of the configuration.
    Targets {
        /// At least one flow; none is no news.
        flows: Vec<Flow>,
    },
    /// A WebSocket was upgraded; the driver has checked HTTP Basic, path and subprotocol.
    SocketOpened {
        /// Its number.
        socket: SocketId,
        /// The user whose secret was shown: the `username` of the configuration.
        user: String,
        /// The last segment of the path.
        app: String,
    },
    /// A text message came in on a WebSocket.
    SocketText {
        /// On which.
        socket: SocketId,
        /// The text, at most 64 KiB.
        text: String,
    },
    /// A binary message came in on a WebSocket.
    SocketBinary {
        /// On which.
        socket: SocketId,
    },
    /// A WebSocket is gone.
    SocketClosed {
        /// Which.
        socket: SocketId,
        /// The code of the peer's close frame; `None` if the connection just ended.
        code: Option<u16>,
    },
    /// Everything stored for this session up to and including `token` is durable.
    Stored {
        /// The session.
        session: SessionId,
        /// The highest durable token.
        token: u64,
    },
    /// Another node owns the session now: the fabric refused a write, or says so unasked.
    Fenced {
        /// The session.
        session: SessionId,
        /// The epoch under which this node owned it: if it has come back since, it stays.
        epoch: u64,
    },
    /// What came of [`Output::Claim`].
    Claimed {
        /// Which claim.
        claim: u64,
        /// What the fabric says.
        outcome: Claimed,
    },
    /// Sessions whose node is dead. The fabric has made this one their owner.
    Adopted(Records),
    /// What came of a push attempt.
    Pushed {
        /// Which attempt.
        push: PushId,
        /// What came of it.
        outcome: PushOutcome,
    },
    /// The operator wishes that this app sleeps; it is asked, if it could.
    AskSleep {
        /// The session.
        session: SessionId,
    },
    /// The deadline that [`Node::next_deadline_us`](crate::node::Node::next_deadline_us) named has
    /// come, or the driver woke for no reason; both are fine.
    Tick,
    /// The node is asked to stop: refuse new work, say goodbye (close 1012).
    Drain,
    /// The operator ends a session.
    EndSession {
        /// Which.
        session: SessionId,
    },
    /// The configuration was read anew. What cannot change while the node runs stays as it was:
    /// name, address, registrar and the timers of transactions.
    Configure(Arc<Config>),
}

/// Records that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Sessions by id.
    pub sessions: Vec<SessionRecord>,
    /// Calls by session and arrival.
    pub calls: Vec<CallRecord>,
    /// Messages by session and arrival.
    pub messages: Vec<MessageRecord>,
}

/// What names a session that this node does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Its id.
    Session(SessionId),
    /// The user part of its Contact.
    Contact(String),
    /// The SIP Call-ID of a call of its.
    Call(String),
    /// Its user and the token of its device.
    Device {
        /// The user.
        user: String,
        /// The token.
        token: String,
    },
    /// Its address of record; of several sessions the one that was stored last.
    Address(String),
}

/// Asks the fabric whose a session is, and takes it if it may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Comes back in [`Input::Claimed`].
    pub claim: u64,
    /// What names the session; the first that is on record counts.
    pub keys: Vec<Key>,
    /// The user whose app is here, for which its session is taken from a living node as well.
    /// `None`: it is taken only from a node whose lease has run out.
    pub for_user: Option<String>,
}

/// What the fabric says to a [`Claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// No such session is on record.
    Nobody,
    /// It is this node's already.
    Ours,
    /// It is that of another user than the one it was claimed for.
    Stranger,
    /// A node that lives owns it.
    Elsewhere {
        /// `host:port` at which that node takes SIP from other nodes.
        address: String,
    },
    /// It is ours from now on, under a higher epoch; these are its records.
    Adopted(Records),
}

/// What came of one push attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// The service took it. That is not a wake.
    Accepted,
    /// The service says that the token is dead, or that the request can never succeed.
    Refused {
        /// The service's words.
        why: String,
        /// Wall time since when the token is dead, where the service tells it: a token that the app
        /// gave later is not.
        dead_since_us: Option<u64>,
    },
    /// The request cannot succeed before somebody mends its sender: a credential, a topic, a clock.
    /// The token is not to blame and stays.
    Failed {
        /// What is to be mended.
        why: String,
    },
    /// The service, or the way to it, failed for now.
    Transient {
        /// What went wrong.
        why: String,
        /// The service asked to wait this long, in milliseconds.
        retry_after_ms: Option<u64>,
    },
}

impl PushOutcome {
    /// A refusal that tells no time.
    #[must_use]
    pub const fn refused(why: String) -> Self {
        Self::Refused { why, dead_since_us: None }
    }
}

/// What a push plugin is asked to send: always all three items of the patent's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// Which attempt; comes back in [`Input::Pushed`].
    pub id: PushId,
    /// The provider's entry in the table of plugins, such as `webhook`.
    pub provider: String,
    /// Session to wake.
    pub session: SessionId,
    /// Identifying information of the application at the push service.
    pub application: String,
    /// The device token.
    pub token: String,
    /// What the device runs, if its app said so: one of [`PLATFORMS`](crate::record::PLATFORMS).
    pub platform: Option<String>,
    /// The wake payload.
    pub payload: reveille_wire::push::WakePayload,
    /// Milliseconds that the push may still be of use: for a call the rest of the wake budget, for a
    /// message that of its life.
    pub ttl_ms: u64,
    /// Monotonic time at which it ceases to be of use, however long it waits in a queue.
    pub deadline_us: u64,
}

/// One change of what the fabric holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes the session's record.
    PutSession(Box<SessionRecord>),
    /// Removes the session's record, and all its calls and messages.
    DropSession,
    /// Writes a call's record.
    PutCall(Box<CallRecord>),
    /// Removes a call's record.
    DropCall {
        /// The call, by its subsession.
        subsession: String,
    },
    /// Writes a message's record.
    PutMessage(Box<MessageRecord>),
    /// Removes a message's record.
    DropMessage {
        /// The message, by its subsession.
        subsession: String,
    },
}

/// Changes of one session that become durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The session.
    pub session: SessionId,
    /// Rises by one with each commit of a session; comes back in [`Input::Stored`].
    pub token: u64,
    /// The fencing epoch under which this node owns the session. The fabric refuses a commit
    /// whose epoch is lower than the one it holds.
    pub epoch: u64,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// True if somebody waits for it: a wake goes before a refresh.
    pub urgent: bool,
}

/// What the core asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a SIP message.
    Sip {
        /// Which way. `local` may be empty: the driver's first socket of that transport.
        flow: Flow,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Keep the flow alive from now on (RFC 5626 section 4.4), and answer [`Input::FlowLost`] if it
    /// dies; said again with each success, so that bounds may change.
    KeepAlive {
        /// The flow.
        flow: Flow,
        /// Least and most milliseconds between two pings.
        every_ms: (u64, u64),
    },
    /// Send a text on a WebSocket.
    Text {
        /// Which.
        socket: SocketId,
        /// The text.
        text: String,
    },
    /// Close a WebSocket with a close frame, after everything sent before.
    Close {
        /// Which.
        socket: SocketId,
        /// The close code.
        code: u16,
        /// A short reason, under 123 bytes.
        reason: &'static str,
    },
    /// Make these changes durable, then answer [`Input::Stored`].
    Store(Commit),
    /// Ask the fabric whose a session is, then answer [`Input::Claimed`].
    Claim(Claim),
    /// Ask a push service to wake a device, then answer [`Input::Pushed`].
    Notify(Box<PushRequest>),
    /// Record an event.
    Trace(Draft),
}

/// Takes outputs as they arise.
pub trait Sink {
    /// Takes one.
    fn put(&mut self, output: Output);

    /// True if each commit and each deadline is to be traced, and not only what happens to calls and
    /// sessions.
    fn hears_all(&self) -> bool {
        true
    }
}

impl Sink for Vec<Output> {
    fn put(&mut self, output: Output) {
        self.push(output);
    }
}
