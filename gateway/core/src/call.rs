//! One call of a session, from accepted or placed to over: the SIP messages of our side of it, built
//! from its record and its INVITE. After the ACK it is the dialog (RFC 3261 section 12).

use std::borrow::Cow;

use reveille_wire::jsonrtc::Frame;
use reveille_wire::sip::Message;
use serde_json::Value;

use crate::dialog::TRICKLE;
use crate::io::{Flow, Transport};
use crate::record::{CallRecord, Dialog, Exchange, Phase, Raw, Side};
use crate::session_timer;
use crate::transaction::TransactionKey;

/// Where we are reached, and what we take, as Contact and Allow say it; a failure says neither.
pub(crate) type Us<'a> = (&'a str, &'a str);

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    pub(crate) invite: Message,
    pub(crate) key: TransactionKey,
    pub(crate) call_id: String,
    pub(crate) from_tag: String,
    /// Current interval of the repeated 2xx, in milliseconds.
    pub(crate) repeat_ms: u64,
    /// Outgoing: the dialogs that provisional responses made. They may die with the process: the
    /// network repeats what matters of them.
    pub(crate) early: Vec<Early>,
    /// Outgoing: the registrar's secret was shown; it is not shown twice for one refusal.
    pub(crate) authorised: bool,
    /// Outgoing: the app gave credentials, which stay in the INVITE.
    pub(crate) has_own_credentials: bool,
    /// Outgoing: targets that did not take it.
    pub(crate) tried: Vec<Flow>,
    /// Outgoing: it was placed again with a longer session timer.
    pub(crate) slowed: bool,
    /// The UPDATE of the peer that the app has yet to answer.
    pub(crate) update: Option<Update>,
}

/// A dialog that a provisional response made (RFC 3261 section 12.1).
#[derive(Debug, Clone)]
pub(crate) struct Early {
    pub(crate) dialog: Dialog,
    /// The last RSeq taken (RFC 3262 section 4); 0 before the first.
    pub(crate) rseq: u32,
    /// The reliable provisional that has no PRACK yet.
    pub(crate) owed: bool,
    /// How often that provisional came again.
    pub(crate) repeats: u8,
    /// What the app was last told of it: status and SDP.
    pub(crate) told: Option<(u16, Vec<u8>)>,
}

/// Branches of a forked call that are followed.
const MOST_EARLY: usize = 8;

/// Repetitions of a reliable provisional, at T1 doubling, after which the gateway acknowledges it
/// in the place of an app that does not.
const MOST_REPEATS: u8 = 3;

/// What a provisional response meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) is_news: bool,
    /// It wants a PRACK.
    pub(crate) is_reliable: bool,
}

/// The RSeq of a provisional that was sent reliably (RFC 3262 section 3).
fn reliable(response: &Message) -> Option<u32> {
    let required = response.values("Require");
    let is_reliable = required.iter().any(|tag| tag.eq_ignore_ascii_case("100rel"));
    let rseq = response.header("RSeq")?.trim().parse().ok().filter(|rseq| *rseq > 0)?;
    is_reliable.then_some(rseq)
}

/// An UPDATE that was given to the app (RFC 3311).
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) key: TransactionKey,
    pub(crate) request: Message,
    pub(crate) correlation: String,
}

impl Call {
    /// Reads the INVITE of a record. `None`: the bytes are no INVITE of ours, which only a foreign
    /// hand in the fabric can cause.
    pub(crate) fn new(record: CallRecord) -> Option<Self> {
        let invite = Message::parse(&record.invite.0).ok()?;
        let key = TransactionKey::of(&invite)?;
        let call_id = invite.call_id().ok()?.to_owned();
        let from_tag = invite.from().ok()?.tag().unwrap_or_default().to_owned();
        Some(Self {
            record,
            invite,
            key,
            call_id,
            from_tag,
            repeat_ms: 0,
            early: Vec::new(),
            authorised: false,
            has_own_credentials: false,
            tried: Vec::new(),
            slowed: false,
            update: None,
        })
    }

    pub(crate) const fn is_undecided(&self) -> bool {
        matches!(self.record.phase, Phase::Held | Phase::Offered { .. })
    }

    /// True between the app's 180 and its decision.
    pub(crate) const fn is_rung(&self) -> bool {
        matches!(self.record.phase, Phase::Offered { rung_wall_us: Some(_), .. })
    }

    /// The correlation id of the `start` that the app has, if it was given one.
    pub(crate) fn correlation(&self) -> Option<&str> {
        match &self.record.phase {
            Phase::Offered { correlation, .. }
            | Phase::Placed { correlation, .. }
            | Phase::Answered { correlation, .. } => Some(correlation),
            Phase::Decided { correlation, .. } => correlation.as_deref(),
            Phase::Held | Phase::Confirmed { .. } => None,
        }
    }

    /// The status of a final response that was decided; an outgoing call has one when it is
    /// confirmed.
    pub(crate) const fn decided(&self) -> Option<u16> {
        match self.record.phase {
            Phase::Decided { status, .. } => Some(status),
            Phase::Confirmed { .. } => Some(200),
            Phase::Held | Phase::Offered { .. } | Phase::Placed { .. } | Phase::Answered { .. } => {
                None
            }
        }
    }

    /// A response to the INVITE (RFC 3261 section 8.2.6); all but 100 carry our To tag, and those
    /// that make a dialog our Contact.
    pub(crate) fn response(&self, status: u16, reason: &str, (contact, allow): Us<'_>) -> Message {
        let tag = (status > 100).then_some(self.record.local_tag.as_str());
        let mut response = self.invite.reply(status, reason, tag);
        if status > 100 && status < 300 {
            response.push("Contact", format!("<{}>", self.contact(contact)));
            response.push("Allow", allow);
            response.push("Supported", "timer, gruu");
            if self.invite.values("Recv-Info").contains(&TRICKLE) {
                response.push("Recv-Info", TRICKLE);
            }
        }
        response
    }

    /// The answer of the app as a 200; `timer_s` is the longest session timer.
    pub(crate) fn answer(&self, sdp: &str, us: Us<'_>, timer_s: u32) -> Message {
        let mut response = self.response(200, "OK", us);
        for (name, value) in session_timer::answer(&self.invite, timer_s) {
            response.push(name, value);
        }
        response.set_body("application/sdp", sdp.as_bytes());
        response
    }

    /// The `start` that gives the app this call.
    pub(crate) fn start(&self, aor: &str) -> Frame {
        let mut frame = self.named(Frame::request("call", "start"), aor);
        frame.control.correlation_id = self.correlation().map(ToOwned::to_owned);
        if let Some(sdp) = self.offer() {
            frame.payload.insert("sdp".to_owned(), Value::String(sdp));
        }
        frame
    }

    /// A message of package `call` about this call.
    pub(crate) fn message(&self, action: &str, aor: &str) -> Frame {
        let mut frame = self.named(Frame::message("call", action), aor);
        frame.control.correlation_id = self.correlation().map(ToOwned::to_owned);
        frame
    }

    /// Says which call a frame is about. Initiator is who placed the call, in every frame of it.
    pub(crate) fn named(&self, mut frame: Frame, aor: &str) -> Frame {
        frame.control.subsession_id = Some(self.record.subsession.clone());
        let target = match self.record.side {
            Side::Incoming => aor.to_owned(),
            Side::Outgoing => self.invite.to().map(|to| to.uri.aor()).unwrap_or_default(),
        };
        frame.header.initiator = Some(self.initiator());
        frame.header.target = Some(target);
        frame
    }

    /// The Contact as the request wants it: who calls by sips: is answered by sips:, which asks for
    /// TLS by itself (RFC 3261 section 12.1.1, RFC 5630 section 3.1.3).
    fn contact<'a>(&self, contact: &'a str) -> Cow<'a, str> {
        let by_sips =
            self.invite.uri().is_some_and(|uri| uri.to_ascii_lowercase().starts_with("sips:"));
        match contact.strip_prefix("sip:") {
            Some(rest) if by_sips => {
                Cow::Owned(format!("sips:{}", rest.trim_end_matches(Transport::Tls.uri_param())))
            }
            _ => Cow::Borrowed(contact),
        }
    }

    /// The caller, `user@host` where the From is a SIP URI.
    pub(crate) fn initiator(&self) -> String {
        self.invite.from().map(|from| from.uri.aor()).unwrap_or_default()
    }

    fn offer(&self) -> Option<String> {
        let body = String::from_utf8_lossy(&self.invite.body);
        (!body.is_empty()).then(|| body.into_owned())
    }

    /// True if `request` belongs to the dialog (early or confirmed) of this call, by Call-ID and
    /// tags alone: some callers keep sending to the URI that they first called.
    pub(crate) fn owns(&self, request: &Message) -> bool {
        let tag = |side: Option<&str>| side.unwrap_or_default().to_owned();
        let to = request.to().map(|to| tag(to.tag())).unwrap_or_default();
        let from = request.from().map(|from| tag(from.tag())).unwrap_or_default();
        match (self.record.side, &self.record.phase) {
            (_, Phase::Answered { dialog, .. } | Phase::Confirmed { dialog, .. }) => {
                dialog.is_of(&to, &from)
            }
            (Side::Incoming, _) => to == self.record.local_tag && from == self.from_tag,
            (Side::Outgoing, _) => self.early.iter().any(|early| early.dialog.is_of(&to, &from)),
        }
    }

    /// Takes a provisional response to our INVITE. `None`: it came before, or out of order (RFC 3262
    /// section 4), or from more branches than are followed.
    pub(crate) fn hear(&mut self, invite: &Message, response: &Message) -> Option<Heard> {
        let said = (response.status()?, response.body.clone());
        let dialog = Dialog::outgoing(invite, response);
        let known = self.early.iter().position(|e| e.dialog.remote_tag == dialog.remote_tag);
        let at = match known {
            Some(at) => at,
            None if self.early.len() >= MOST_EARLY => return None,
            None => {
                self.early.push(Early { dialog, rseq: 0, owed: false, repeats: 0, told: None });
                self.early.len() - 1
            }
        };
        let early = &mut self.early[at];
        let rseq = reliable(response);
        if let Some(rseq) = rseq {
            if early.rseq == rseq && early.owed {
                early.repeats += 1;
                let patience_over = early.repeats >= MOST_REPEATS;
                return patience_over.then_some(Heard { is_news: false, is_reliable: true });
            }
            if early.rseq != 0 && rseq != early.rseq.wrapping_add(1) {
                return None;
            }
            (early.rseq, early.owed, early.repeats) = (rseq, true, 0);
        }
        let is_news = early.told.as_ref() != Some(&said);
        early.told = Some(said);
        Some(Heard { is_news, is_reliable: rseq.is_some() })
    }

    /// A number of our side that was used for a request sent once more.
    pub(crate) fn spend(&mut self, number: u32) {
        for early in &mut self.early {
            early.dialog.local_cseq = early.dialog.local_cseq.max(number);
        }
        if let Some(dialog) = self.confirmed() {
            dialog.local_cseq = dialog.local_cseq.max(number);
        }
    }

    /// The dialog of an answered call.
    pub(crate) fn dialog(&self) -> Option<Dialog> {
        match &self.record.phase {
            Phase::Answered { dialog, .. } | Phase::Confirmed { dialog, .. } => {
                Some((**dialog).clone())
            }
            Phase::Decided { .. } => Some(Dialog::incoming(&self.invite, &self.record.local_tag)),
            Phase::Held | Phase::Offered { .. } | Phase::Placed { .. } => None,
        }
    }

    /// The dialog of a confirmed call, to be changed.
    pub(crate) const fn confirmed(&mut self) -> Option<&mut Dialog> {
        match &mut self.record.phase {
            Phase::Confirmed { dialog, .. } => Some(dialog),
            _ => None,
        }
    }

    /// The dialog of an answered call, to be changed.
    pub(crate) const fn stands(&mut self) -> Option<&mut Dialog> {
        match &mut self.record.phase {
            Phase::Answered { dialog, .. } | Phase::Confirmed { dialog, .. } => Some(dialog),
            _ => None,
        }
    }

    /// The re-INVITE under way.
    pub(crate) fn exchange(&self) -> Option<&Exchange> {
        match &self.record.phase {
            Phase::Confirmed { exchange, .. } => exchange.as_deref(),
            _ => None,
        }
    }

    /// The final response that is repeated until its ACK: of the call, or of a re-INVITE.
    pub(crate) fn repeated(&self) -> Option<(&Flow, &Raw, u64)> {
        match &self.record.phase {
            Phase::Decided { response, at_wall_us, .. } => {
                Some((&self.record.flow, response, *at_wall_us))
            }
            Phase::Confirmed { exchange: Some(exchange), .. } => match &**exchange {
                Exchange::Peer { flow, decided: Some(decided), .. } => {
                    Some((flow, &decided.response, decided.at_wall_us))
                }
                Exchange::Peer { decided: None, .. } | Exchange::App { .. } => None,
            },
            _ => None,
        }
    }

    /// True if something waits for what the app says, so that an app that is away is woken.
    pub(crate) fn awaits_app(&self) -> bool {
        match &self.record.phase {
            Phase::Held | Phase::Offered { .. } | Phase::Answered { .. } => true,
            Phase::Confirmed { exchange, .. } => match exchange.as_deref() {
                Some(Exchange::Peer { decided, .. }) => decided.is_none(),
                Some(Exchange::App { answered, .. }) => *answered,
                None => false,
            },
            Phase::Decided { .. } | Phase::Placed { .. } => false,
        }
    }

    /// True if the server transaction with this key still lacks its final response.
    pub(crate) fn owes(&self, key: &TransactionKey) -> bool {
        if *key == self.key && self.record.side == Side::Incoming && self.is_undecided() {
            return true;
        }
        match self.exchange() {
            Some(Exchange::Peer { invite, decided: None, .. }) => Message::parse(&invite.0)
                .is_ok_and(|i| TransactionKey::of(&i).as_ref() == Some(key)),
            _ => false,
        }
    }

    /// The way back to the caller when the way it came is gone.
    pub(crate) fn return_flow(&self) -> Flow {
        if self.record.side == Side::Outgoing {
            return Flow { connection: None, ..self.record.flow.clone() };
        }
        self.record.flow.return_of(&self.invite)
    }

    /// Marks the final response as decided.
    pub(crate) fn decide(&mut self, status: u16, response: Vec<u8>, at_wall_us: u64) {
        let correlation = self.correlation().map(ToOwned::to_owned);
        let response = Raw(response);
        let hung_up = false;
        self.record.phase = Phase::Decided { status, response, at_wall_us, correlation, hung_up };
    }
}
