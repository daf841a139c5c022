//! REFER (RFC 3515): an app is asked to call somebody, as package `refer`. Whether it does is its
//! own affair, and so is what comes of it: who referred it is told that it was asked, and no more.

use reveille_wire::jsonrtc::{Frame, FrameType, MessageState};
use reveille_wire::sip::{Message, Method, NameAddr};

use super::Node;
use super::entry::{Asked, Dirty, Entry, Promise};
use super::forward::sender_of;
use super::knocks::Knock;
use crate::dice;
use crate::message::{code_of, identity};
use crate::record::{Dialog, SessionId};
use crate::transaction::TransactionKey;

pub(super) const PACKAGE: &str = "refer";

/// Longest Refer-To and Referred-By, in bytes.
const MOST_BYTES: usize = 1_024;

impl Node {
    pub(super) fn on_refer(&mut self, key: &TransactionKey, request: &Message) {
        if !self.config.refer {
            self.reply(key, request, 405, &[("Allow", self.config.allow().to_owned())]);
            return;
        }
        let taken = refer_to(request).and_then(|_| self.place_of(request));
        let (session, call) = match taken {
            Ok(place) => place,
            Err(status) => return self.reply(key, request, status, &[]),
        };
        if self.draining {
            self.reply(key, request, 503, &[("Retry-After", "5".to_owned())]);
        } else if let Err(status) = self.may_refer(&session, call.as_deref(), request) {
            self.reply(key, request, status, &[]);
        } else if self.knock(&session, call.as_deref(), key, request) {
            let is_here = |it: &Entry| it.session.attached().is_some();
            if self.entries.get(&session).is_some_and(is_here) {
                self.give_refer(&session, key);
            }
        }
    }

    /// The same REFER by another path is merged (RFC 3261 section 8.2.2.2); one in a dialog that is
    /// not up has nothing to be reported by.
    fn may_refer(
        &mut self,
        session: &SessionId,
        call: Option<&str>,
        request: &Message,
    ) -> Result<(), u16> {
        if call.is_none() && !self.is_reachable(session) {
            return Err(480);
        }
        let entry = self.entries.get_mut(session).ok_or(480_u16)?;
        let is_same = |other: &Message| {
            other.method() == Some(&Method::REFER) && identity(other) == identity(request)
        };
        if entry.knocks.values().any(|knock| is_same(&knock.request)) {
            return Err(482);
        }
        let Some(call) = call else { return Ok(()) };
        let is_up = entry.calls.get_mut(call).is_some_and(|call| call.stands().is_some());
        if is_up { Ok(()) } else { Err(500) }
    }

    /// The request goes to the app under an id that follows from it: should it come once more after
    /// a crash, the app knows it again.
    pub(super) fn give_refer(&mut self, session: &SessionId, key: &TransactionKey) {
        let Some(entry) = self.entries.get(session) else { return };
        let Some(knock) = entry.knocks.get(key) else { return };
        let request = &knock.request;
        let mut frame = Frame::request(PACKAGE, "start");
        frame.control.subsession_id = Some(dice::uuid_of(identity(request)));
        frame.header.initiator = request.from().map(|from| from.uri.aor()).ok();
        frame.header.target = Some(entry.session.record.aor.clone());
        let extra = &mut frame.header.extra;
        extra.insert("refer_to".to_owned(), refer_to(request).unwrap_or_default().into());
        let by = request.header("Referred-By").filter(|by| by.len() <= MOST_BYTES);
        for (name, value) in [("referred_by", by), ("call", knock.call.as_deref())] {
            if let Some(value) = value {
                extra.insert(name.to_owned(), value.into());
            }
        }
        let correlation = self.give(session, frame);
        let entry = self.entries.get_mut(session);
        if let Some(knock) = entry.and_then(|entry| entry.knocks.get_mut(key)) {
            knock.given = correlation;
        }
    }

    /// The app's answer, if its final one is in time.
    pub(crate) fn on_refer_answer(&mut self, session: &SessionId, frame: &Frame) {
        let is_provisional = frame.control.message_state == Some(MessageState::Subsequent)
            || frame.header.response_code.is_some_and(|code| code < 200);
        if is_provisional && frame.control.kind != FrameType::Error {
            return;
        }
        let of = frame.control.correlation_id.as_deref();
        let Some(entry) = self.entries.get(session) else { return };
        let mut knocks = entry.knocks.iter();
        let found = knocks.find(|(_, it)| it.given.is_some() && it.given.as_deref() == of);
        let Some(key) = found.map(|(key, _)| key.clone()) else { return };
        let Some(knock) = self.take_knock(session, &key) else { return };
        match code_of(frame) {
            200..=299 => self.accept_refer(session, &key, knock.call.as_deref(), &knock.request),
            code => self.reply(&key, &knock.request, code, &[]),
        }
    }

    /// 202, and the one NOTIFY that RFC 3515 section 2.4.5 asks for at least, unless the other side
    /// does without (RFC 4488).
    fn accept_refer(
        &mut self,
        session: &SessionId,
        key: &TransactionKey,
        call: Option<&str>,
        request: &Message,
    ) {
        let Some(flow) = self.servers.get(key).map(|(_, flow)| flow.clone()) else { return };
        let flow = sender_of(request).unwrap_or(flow);
        let tag = self.dice.hex(8);
        let contact = format!("<{}>", self.contact_of(session, flow.transport, false));
        let mut response = request.reply(202, "Accepted", Some(&tag)).with("Contact", &contact);
        let has_none = request.header("Refer-Sub").is_some_and(|it| it.trim() == "false");
        if has_none {
            response.push("Refer-Sub", "false");
        }
        self.promise(session, Promise::Reply { key: key.clone(), bytes: response.to_bytes() });
        if has_none {
            return;
        }
        let branch = format!("z9hG4bK{}", self.dice.hex(8));
        let via = self.via(flow.transport, &branch);
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let call_id = request.call_id().unwrap_or_default();
        let entry = self.entries.get_mut(session);
        let standing = entry.and_then(|entry| entry.calls.get_mut(call?)?.stands());
        let (notify, event) = match standing {
            Some(dialog) => {
                (dialog.request(Method::NOTIFY, call_id, &via), format!("refer;id={number}"))
            }
            None => {
                let mut dialog = Dialog::incoming(request, &tag);
                (dialog.request(Method::NOTIFY, call_id, &via), "refer".to_owned())
            }
        };
        let mut notify = notify
            .with("Contact", contact)
            .with("Event", event)
            .with("Subscription-State", "terminated;reason=noresource");
        notify.set_body("message/sipfrag;version=2.0", b"SIP/2.0 100 Trying\r\n");
        if let Some(call) = call {
            self.put_call(session, call, Dirty::Soon);
        }
        let subsession = dice::uuid_of(identity(request));
        self.ask_within(session, call.unwrap_or(&subsession), flow, notify, Asked::Info);
    }

    /// A REFER was answered without the app, which is not to call any more.
    pub(super) fn withdraw(&mut self, session: &SessionId, knock: &Knock) {
        let is_over = self.entries.get(session).is_none_or(|entry| entry.over);
        let Some(correlation) = knock.given.clone().filter(|_| !is_over) else { return };
        let mut frame = Frame::message(PACKAGE, "shutdown");
        frame.control.subsession_id = Some(dice::uuid_of(identity(&knock.request)));
        frame.control.correlation_id = Some(correlation);
        self.give(session, frame);
    }
}

/// The URI that is to be called.
///
/// # Errors
/// The status that says what is wrong with it.
fn refer_to(request: &Message) -> Result<String, u16> {
    let mut all = request.headers("Refer-To");
    let (one, more) = (all.next().ok_or(400_u16)?, all.next());
    if more.is_some() || one.len() > MOST_BYTES {
        return Err(400);
    }
    let uri = NameAddr::parse(one).map_err(|_| 400_u16)?.uri;
    let is_callable = ["sip", "sips", "tel"].contains(&uri.scheme.as_str());
    if is_callable { Ok(uri.to_string()) } else { Err(416) }
}
