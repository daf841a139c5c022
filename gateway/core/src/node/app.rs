//! The app's side: sockets, frames, their numbers, and what the package `call` asks for.

use reveille_trace::{Draft, Kind};
use reveille_wire::jsonrtc::{self, Bad, BadKind, Frame, FrameType, Inbound, MessageState, close};

use super::entry::{Dirty, Promise};
use super::outgoing::app_credentials;
use super::{Node, Socket};
use crate::headers;
use crate::io::{Output, SocketId};
use crate::package;
use crate::record::{Device, PLATFORMS, Phase, SessionId};
use crate::session::{Link, Order};
use crate::timer::{Name, Owner};

/// Frames that an app may leave unacknowledged.
const MOST_UNACKNOWLEDGED: usize = 256;

impl Node {
    pub(super) fn on_opened(&mut self, socket: SocketId, user: String, app: String) {
        let heard_us = self.now.mono_us;
        self.sockets.insert(
            socket,
            Socket { user, app, session: None, bad_texts: 0, refused: 0, heard_us },
        );
        self.arm(Name::Idle, Owner::Socket(socket), self.config.idle_limit_ms.0);
    }

    pub(super) fn on_binary(&mut self, socket: SocketId) {
        self.close(socket, close::BINARY, "text frames only");
        self.on_closed(socket, None);
    }

    /// How long a socket may be silent: three ping intervals of its app, which pings faster while
    /// it has a call.
    fn idle_limit_ms(&self, socket: SocketId) -> u64 {
        let session = self.sockets.get(&socket).and_then(|known| known.session.as_ref());
        let entry = session.and_then(|id| self.entries.get(id));
        let busy = entry.is_some_and(|entry| {
            entry.calls.values().any(|call| !matches!(call.record.phase, Phase::Held))
        });
        let (idle_ms, busy_ms) = self.config.idle_limit_ms;
        if busy { busy_ms } else { idle_ms }
    }

    /// A socket that is silent for three ping intervals is dead, whatever TCP believes.
    pub(super) fn on_idle(&mut self, socket: SocketId) {
        let Some(known) = self.sockets.get(&socket) else { return };
        let due_us = known.heard_us + self.idle_limit_ms(socket) * 1_000;
        if due_us > self.now.mono_us {
            // Its last call ended meanwhile.
            self.timers.set(Name::Idle, Owner::Socket(socket), due_us);
            return;
        }
        self.trace(Draft::new(Kind::Note).with("text", "socket silent: taken for lost"));
        self.close(socket, close::NODE_STOPS, "silent for too long");
        self.on_closed(socket, None);
    }

    /// Asks the driver to close a socket; what follows from it is the caller's to say.
    pub(super) fn close(&mut self, socket: SocketId, code: u16, reason: &'static str) {
        if self.sockets.contains_key(&socket) {
            self.out.push(Output::Close { socket, code, reason });
        }
    }

    pub(super) fn on_text(&mut self, socket: SocketId, text: &str) {
        let Some(known) = self.sockets.get_mut(&socket) else { return };
        known.heard_us = self.now.mono_us;
        let session = known.session.clone();
        let limit_ms = self.idle_limit_ms(socket);
        self.arm(Name::Idle, Owner::Socket(socket), limit_ms);
        if let Some(session) = &session {
            self.timers.clear(Name::StartSilence, &Owner::Session(session.clone()));
        }
        match jsonrtc::read(text) {
            Ok(Inbound::Ping) => {
                self.out.push(Output::Text { socket, text: "pong".to_owned() });
            }
            Ok(Inbound::Pong) => {}
            Ok(Inbound::Frame(frame)) => match session {
                Some(session) if self.config.ask_sleep_after_ms > 0 => {
                    self.arm_ask_sleep(&session);
                    self.on_frame(&session, socket, &frame);
                }
                Some(session) => self.on_frame(&session, socket, &frame),
                None => self.on_first_frame(socket, &frame),
            },
            Err(bad) => self.on_bad_text(socket, session, &bad),
        }
    }

    /// Text that is no JSON object is suffered twice (D-02). An object that is no frame is refused
    /// like a frame: its number is taken, or the app could never go on.
    fn on_bad_text(&mut self, socket: SocketId, session: Option<SessionId>, bad: &Bad) {
        let Some(known) = self.sockets.get_mut(&socket) else { return };
        if bad.kind == BadKind::NotJson {
            known.bad_texts += 1;
            if known.bad_texts >= 3 {
                self.close(socket, close::NOT_TEXT, "third text that is no frame");
                self.on_closed(socket, None);
                return;
            }
        }
        let what = bad.to_string();
        match session {
            Some(session) if bad.echo.sequence.is_some() => {
                self.on_numbered(&session, socket, &echoed(bad), |node, frame| {
                    node.refuse_frame(&session, frame, 400, &what);
                });
            }
            Some(session) if self.is_heard(&session, socket) => {
                self.refuse_frame(&session, &echoed(bad), 400, &what);
            }
            None if bad.kind == BadKind::Invalid => {
                let mut error = Frame::error("register", "connect", 400, &what);
                error.control.correlation_id.clone_from(&bad.echo.correlation_id);
                self.out.push(Output::Text { socket, text: error.to_text() });
            }
            Some(_) | None => {}
        }
    }

    /// True if the app may be answered through this socket: it is the session's, the session
    /// exists for the app, and the app listens. If it does not, the socket is closed; session and
    /// calls stay, and the app may come back and say what it has.
    fn is_heard(&mut self, session: &SessionId, socket: SocketId) -> bool {
        let Some(entry) = self.entries.get(session) else { return false };
        if entry.joining.is_some() || entry.session.socket() != Some(socket) {
            return false;
        }
        let deaf = entry.session.record.unacknowledged.len() >= MOST_UNACKNOWLEDGED;
        if deaf {
            self.close(socket, close::DEAF, "acknowledge what you were sent");
            self.on_closed(socket, None);
        }
        !deaf
    }

    /// Without a session only a connect makes sense.
    fn on_first_frame(&mut self, socket: SocketId, frame: &Frame) {
        if self.waits_behind_connect(socket, frame) {
            return;
        }
        if !is_connect(frame) {
            let mut error = Frame::error("register", "connect", 400, "connect first");
            error.control.correlation_id.clone_from(&frame.control.correlation_id);
            self.out.push(Output::Text { socket, text: error.to_text() });
            return;
        }
        if !self.ask_for_session(socket, frame) {
            self.on_connect_frame(socket, frame);
        }
    }

    /// A connect: to a session that is here, or to a fresh one.
    pub(super) fn on_connect_frame(&mut self, socket: SocketId, frame: &Frame) {
        let asked = frame.control.session_id.clone().map(SessionId::from);
        if let Some(session) = asked.as_ref().filter(|_| !planted!(self.config, ForgetsSleepers)) {
            self.unfold(session);
        }
        let known = asked.filter(|id| self.entries.get(id).is_some_and(|entry| entry.is_live()));
        match known {
            Some(session) => self.on_resume(&session, socket, frame),
            None => self.on_connect(socket, frame),
        }
    }

    /// The session that an app asks for is another user's.
    pub(super) fn refuse_stranger(&mut self, socket: SocketId, frame: &Frame) {
        let mut error = Frame::error("register", "connect", 403, "Forbidden");
        error.control.correlation_id.clone_from(&frame.control.correlation_id);
        self.out.push(Output::Text { socket, text: error.to_text() });
        self.close(socket, close::WRONG_USER, "session of another user");
        self.forget_socket(socket);
    }

    /// The app comes back to its session.
    fn on_resume(&mut self, session: &SessionId, socket: SocketId, frame: &Frame) {
        let known = &self.sockets[&socket];
        let record = &self.entries[session].session.record;
        let is_own =
            record.user == known.user && self.config.tenancy.are_together(&record.app, &known.app);
        if !is_own {
            self.refuse_stranger(socket, frame);
            return;
        }
        if let Some(old) = self.entries[session].session.socket() {
            self.close(old, close::HANDOVER, "resumed on another socket");
            self.forget_socket(old);
        }
        self.attach(session, socket);
        self.take_device(session, frame);
        self.answer_resume(session, socket, frame);
        self.deliver(session, socket, frame);
    }

    fn attach(&mut self, session: &SessionId, socket: SocketId) {
        if let Some(known) = self.sockets.get_mut(&socket) {
            known.session = Some(session.clone());
        }
        self.end_wake(session);
        self.awake(session);
        if let Some(entry) = self.entries.get_mut(session) {
            entry.session.link = Link::Attached(socket);
        }
        self.arm_ask_sleep(session);
        self.trace_state(session, "resumed");
    }

    /// `sslr` and `ack_sequence` tell what is on disk, or wait until it is.
    fn answer_resume(&mut self, session: &SessionId, socket: SocketId, frame: &Frame) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let pending = entry.pending().len();
        let last_in = entry.session.record.last_in;
        let is_durable = entry.gate.durable_in() >= last_in;
        let mut answer = Frame::response("register", "connect", MessageState::Final);
        answer.control.correlation_id.clone_from(&frame.control.correlation_id);
        answer.header.initiator = Some(entry.session.record.aor.clone());
        answer.header.response_code = Some(200);
        answer.header.sslr = Some(last_in);
        answer.header.extra.insert("pending".to_owned(), pending.into());
        let text = entry.session.stamp(answer, last_in);
        // Among several nodes the answer rests on a commit, which says that the session is ours still.
        let rests = !is_durable || self.config.cluster.is_some();
        entry.mark(if rests { Dirty::Urgent } else { Dirty::Lazy });
        self.promise(session, Promise::Text { socket, text, hop: None });
    }

    /// Replay, then what was never offered, then live traffic (D-42).
    fn deliver(&mut self, session: &SessionId, socket: SocketId, frame: &Frame) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        if let Some(cslr) = frame.header.cslr {
            entry.session.acknowledge(cslr);
            self.note_delivered(session);
        }
        let Some(entry) = self.entries.get_mut(session) else { return };
        let replay = entry.session.replay();
        let held = frame.subsessions();
        let offered: Vec<_> = entry
            .pending()
            .into_iter()
            .filter(|call| entry.must_offer(call, held.as_deref()))
            .collect();
        let replay = if planted!(self.config, ReplaysNothing) { Vec::new() } else { replay };
        for text in replay {
            self.promise(session, Promise::Text { socket, text, hop: None });
        }
        let mut offered = offered;
        if planted!(self.config, ForgetsSecondPending) {
            offered.truncate(1);
        }
        self.add_defective_offers(session, &mut offered);
        self.offer_in_order(session, &offered);
        let waiting = self.entries.get(session).is_some_and(super::entry::Entry::has_pending);
        if waiting {
            let owner = Owner::Session(session.clone());
            self.arm(Name::StartSilence, owner, self.config.start_silence_ms);
        }
    }

    #[cfg(feature = "mutants")]
    fn add_defective_offers(&self, session: &SessionId, offered: &mut Vec<String>) {
        let twice = planted!(self.config, DeliversTwiceAfterResume);
        let ghosts = planted!(self.config, RingsAfterCancel);
        for (subsession, call) in &self.entries[session].calls {
            let wanted = (twice && call.is_undecided()) || (ghosts && call.decided() == Some(487));
            if wanted && !offered.contains(subsession) {
                offered.push(subsession.clone());
            }
        }
    }

    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "the defective twin reads the node")]
    const fn add_defective_offers(&self, _: &SessionId, _: &mut Vec<String>) {}

    /// A fresh session. It exists for the app once the registrar took it and its record is stored.
    fn on_connect(&mut self, socket: SocketId, frame: &Frame) {
        let Some(known) = self.sockets.get(&socket) else { return };
        let (user, app) = (known.user.clone(), known.app.clone());
        let live = self.count();
        if self.draining || live >= self.config.most_sessions || self.config.user(&user).is_none() {
            let mut error = Frame::error("register", "connect", 480, "no room for a session");
            error.control.correlation_id.clone_from(&frame.control.correlation_id);
            self.out.push(Output::Text { socket, text: error.to_text() });
            return;
        }
        if let Some(reason) = self.no_room(&app) {
            let mut error = Frame::error("register", "connect", 480, &reason);
            error.control.correlation_id.clone_from(&frame.control.correlation_id);
            self.out.push(Output::Text { socket, text: error.to_text() });
            return;
        }
        let first_in = frame.control.sequence.unwrap_or(1);
        let session = self.begin_session(socket, &user, &app, first_in);
        if let Some(entry) = self.entries.get_mut(&session) {
            entry.joining = Some(super::entry::Joining {
                socket,
                correlation: frame.control.correlation_id.clone(),
                credentials: frame.header.authorization.as_ref().and_then(app_credentials),
            });
        }
        self.take_device(&session, frame);
        if let Some(known) = self.sockets.get_mut(&socket) {
            known.session = Some(session.clone());
        }
        self.register(&session);
    }

    /// The token and what goes with it, where the frame brings one (D-09).
    fn take_device(&mut self, session: &SessionId, frame: &Frame) {
        let Some(token) = frame.device_token() else { return };
        let text = |name: &str| {
            let capability = frame.payload.get("capability")?;
            capability.get(name)?.as_str().map(ToOwned::to_owned)
        };
        let provider = text("push_provider").unwrap_or_else(|| "webhook".to_owned());
        let Some(entry) = self.entries.get_mut(session) else { return };
        let application = text("app_id").unwrap_or_else(|| entry.session.record.app.clone());
        let platform = text("platform").filter(|word| PLATFORMS.contains(&word.as_str()));
        let (token, since_wall_us) = (token.to_owned(), self.now.wall_us);
        let usable = true;
        let device = Device { token, provider, application, usable, since_wall_us, platform };
        // That a known token was given again may be lost: the older time only ends it sooner.
        let known = entry.session.record.device.replace(device.clone());
        let is_new = known.is_none_or(|known| Device { since_wall_us, ..known } != device);
        // A session that the registrar has yet to take is not on record: it may come to nothing.
        if entry.joining.is_none() {
            self.touch(session, if is_new { Dirty::Urgent } else { Dirty::Lazy });
        }
    }

    pub(super) fn on_frame(&mut self, session: &SessionId, socket: SocketId, frame: &Frame) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        if entry.joining.is_some() || entry.session.socket() != Some(socket) {
            return;
        }
        let is_ack = frame.control.kind == FrameType::Acknowledgement;
        let acked = frame.control.ack_sequence.or(frame.control.sequence.filter(|_| is_ack));
        if acked.is_some_and(|sequence| entry.session.acknowledge(sequence)) {
            self.touch(session, Dirty::Lazy);
            self.note_delivered(session);
        }
        if !is_ack {
            self.on_numbered(session, socket, frame, |node, frame| {
                node.on_new_frame(session, frame);
            });
        }
    }

    /// Takes the number of what the app sent, and does what it asks for if it is the one due.
    fn on_numbered(
        &mut self,
        session: &SessionId,
        socket: SocketId,
        frame: &Frame,
        work: impl FnOnce(&mut Self, &Frame),
    ) {
        if !self.is_heard(session, socket) {
            return;
        }
        let Some(sequence) = frame.control.sequence else {
            self.refuse_frame(session, frame, 400, "a frame needs control.sequence");
            return;
        };
        let Some(entry) = self.entries.get_mut(session) else { return };
        match entry.session.take(sequence) {
            Order::Duplicate => self.acknowledge(session),
            Order::Gap => self.refuse_frame(session, frame, 400, "sequence gap"),
            Order::Next => {
                let untold = entry.session.untold;
                self.touch(session, Dirty::Lazy);
                work(self, frame);
                if untold >= self.config.acknowledge_after.0 || whim!(self, EarlyAcknowledgement) {
                    self.acknowledge(session);
                }
            }
        }
    }

    fn on_new_frame(&mut self, session: &SessionId, frame: &Frame) {
        if package::take(self, session, frame) {
            return;
        }
        let short = |text: &str| text.chars().take(40).collect::<String>();
        let action = short(frame.header.action.as_deref().unwrap_or_default());
        let package = short(&frame.control.package);
        let what = format!("no action \"{action}\" of package \"{package}\" here");
        self.refuse_frame(session, frame, 404, &what);
    }

    pub(crate) fn on_start_answer(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(&subsession));
        match (frame.control.kind, call) {
            (FrameType::Request, _) => self.on_start_request(session, frame),
            (_, None) => self.refuse_frame(session, frame, 404, "no such call"),
            (_, Some(call)) if !call.is_undecided() => {
                // What is neither answers a call that has ended meanwhile.
                let _ours: bool = self.on_renegotiation_answer(session, &subsession, frame);
            }
            (FrameType::Error, Some(call)) => {
                let code = frame.header.error_code.filter(|code| (300..700).contains(code));
                let code = code.filter(|code| ![401, 407].contains(code)).unwrap_or(480);
                let late_offer = code == 403 && call.invite.body.is_empty();
                let code = if late_offer { 488 } else { code };
                let reason = reveille_wire::sip::Message::reason_phrase(code);
                let response = call.response(code, reason, ("", ""));
                self.decide(session, &subsession, &response);
            }
            (_, Some(_)) if !frame.is_final() => {
                self.ring(session, &subsession);
                self.early_media(session, &subsession, frame.sdp().unwrap_or_default());
            }
            (_, Some(call)) => {
                let Some(sdp) = frame.sdp().filter(|sdp| !sdp.is_empty()) else {
                    self.refuse_frame(session, frame, 400, "a final start needs payload.sdp");
                    return;
                };
                if !call.is_undecided() {
                    return;
                }
                let contact = self.contact_in(session, call);
                let us = (contact.as_str(), self.config.allow());
                let mut response = call.answer(sdp, us, self.config.session_timer_s);
                let app = &self.entries[session].session.record.app;
                headers::to_sip(&self.config.headers, app, frame, &mut response);
                if planted!(self.config, SwallowsAnswerAfterWake)
                    && self.entries[session].woken_us.is_some()
                {
                    return;
                }
                self.decide(session, &subsession, &response);
            }
        }
    }

    /// The app ends a call: an answered one by BYE once its ACK is there, one that still rings by
    /// 603.
    pub(crate) fn on_shutdown(&mut self, session: &SessionId, frame: &Frame) {
        let subsession = frame.control.subsession_id.clone().unwrap_or_default();
        let call = self.entries.get(session).and_then(|entry| entry.calls.get(&subsession));
        let Some(call) = call else { return };
        match call.record.phase {
            Phase::Held | Phase::Offered { .. } => {
                self.refuse_call(session, &subsession, 603, "Decline", false);
            }
            Phase::Decided { status: 200, .. } => self.hang_up_later(session, &subsession),
            Phase::Confirmed { .. } => self.hang_up(session, &subsession),
            Phase::Placed { .. } => self.cancel_placed(session, &subsession),
            Phase::Answered { .. } => self.hang_up_answered(session, &subsession),
            Phase::Decided { .. } => {}
        }
    }

    /// Sends a numbered frame, durable before it leaves.
    pub(crate) fn send(&mut self, session: &SessionId, frame: Frame) {
        let defect = planted!(self.config, RepeatsSequence);
        let Some(entry) = self.entries.get_mut(session) else { return };
        let (_, text) = entry.session.number(frame, defect);
        let socket = entry.session.socket();
        self.touch(session, Dirty::Urgent);
        if let Some(socket) = socket {
            self.promise(session, Promise::Text { socket, text, hop: None });
        }
    }

    pub(crate) fn refuse_frame(
        &mut self,
        session: &SessionId,
        frame: &Frame,
        code: u16,
        reason: &str,
    ) {
        let action = frame.header.action.as_deref().unwrap_or_default();
        let mut error = Frame::error(&frame.control.package, action, code, reason);
        error.control.correlation_id.clone_from(&frame.control.correlation_id);
        error.control.subsession_id.clone_from(&frame.control.subsession_id);
        self.send(session, error);
    }

    /// An acknowledgement of its own: it carries no number and rests on what it confirms.
    pub(super) fn acknowledge(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let Some(socket) = entry.session.socket() else { return };
        let last_in = entry.session.record.last_in;
        entry.session.untold = 0;
        let text = entry.session.stamp(Frame::acknowledgement(last_in), last_in);
        if planted!(self.config, AcknowledgesBeforeStored) {
            self.out.push(Output::Text { socket, text });
            return;
        }
        if entry.gate.durable_in() < last_in {
            entry.mark(Dirty::Soon);
        }
        self.promise(session, Promise::Text { socket, text, hop: None });
    }

    /// A second passed since something changed that nobody waited for.
    pub(super) fn on_acknowledge_due(&mut self, session: &SessionId) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        if entry.dirty == Dirty::Lazy && !planted!(self.config, AcknowledgesBeforeStored) {
            entry.mark(Dirty::Soon);
            self.touched.insert(session.clone());
        }
        if self.entries.get(session).is_some_and(|entry| entry.session.untold > 0) {
            self.acknowledge(session);
        }
    }

    pub(super) fn forget_socket(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
        self.timers.clear(Name::Idle, &Owner::Socket(socket));
    }
}

/// True if the frame asks for a session.
pub(super) fn is_connect(frame: &Frame) -> bool {
    frame.control.kind == FrameType::Request
        && frame.control.package == "register"
        && frame.header.action.as_deref() == Some("connect")
}

/// As much of a frame as its error has to repeat.
fn echoed(bad: &Bad) -> Frame {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let (package, action) = (or(&bad.echo.package, "register"), or(&bad.echo.action, "notify"));
    let mut frame = Frame::message(&package, &action);
    frame.control.sequence = bad.echo.sequence;
    frame.control.correlation_id.clone_from(&bad.echo.correlation_id);
    frame.control.subsession_id.clone_from(&bad.echo.subsession_id);
    frame
}

impl super::entry::Entry {
    /// True if a pending call must be given to the app anew: it was never offered, or the app,
    /// which says what it still holds, lost a `start` that it had acknowledged (D-48). A `start`
    /// that is still unacknowledged goes with the replay.
    fn must_offer(&self, subsession: &str, held: Option<&[String]>) -> bool {
        match self.calls.get(subsession).map(|call| &call.record.phase) {
            Some(Phase::Held) => true,
            Some(Phase::Offered { sequence, .. }) => {
                let replayed =
                    self.session.record.unacknowledged.iter().any(|f| f.sequence == *sequence);
                let lost = held.is_some_and(|held| !held.iter().any(|id| id == subsession));
                lost && !replayed
            }
            Some(_) | None => false,
        }
    }
}
