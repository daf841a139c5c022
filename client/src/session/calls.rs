//! The calls of a session: those that came, those that were placed, and what either side wants
//! changed in one that stands.

use std::collections::BTreeMap;

use reveille_wire::jsonrtc::{Frame, FrameType, MessageState};

use super::{Heard, Session};
use crate::state::{Event, IncomingCall};

/// What the gateway writes as initiator when the other side takes a change back.
const CHANGE_CANCELLED: &str = "##re-invite_cancel@server##";
/// The code for a change that meets another.
const GLARE: u16 = 491;

#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Of the `start` that began it.
    correlation: Option<String>,
    initiator: String,
    target: String,
    is_placed: bool,
    answered: bool,
    /// What we want changed: the correlation of our `start`, and whether it is an UPDATE.
    ours: Option<(String, bool)>,
    /// What the other side wants changed: the correlation of its `start`.
    theirs: Option<String>,
}

impl Call {
    /// Follows the `start`s of ours that were given other numbers.
    pub(super) fn rename(&mut self, renamed: &BTreeMap<String, String>) {
        let ours = self.ours.as_mut().map(|(correlation, _)| correlation);
        for correlation in ours.into_iter().chain(&mut self.correlation) {
            if let Some(new) = renamed.get(correlation) {
                correlation.clone_from(new);
            }
        }
    }
}

impl Session {
    /// Places a call.
    pub(crate) fn place(&mut self, subsession: &str, target: &str, sdp: &str) -> String {
        let call = Call {
            correlation: Some(self.next_correlation()),
            initiator: self.settings.user.clone(),
            target: target.to_owned(),
            is_placed: true,
            answered: false,
            ours: None,
            theirs: None,
        };
        let mut frame = Frame::request("call", "start");
        frame.control.subsession_id = Some(subsession.to_owned());
        frame.header.initiator = Some(call.initiator.clone());
        frame.header.target = Some(call.target.clone());
        frame.payload.insert("sdp".to_owned(), sdp.into());
        self.calls.insert(subsession.to_owned(), call);
        self.number(frame)
    }

    /// Asks for a change of a call that stands: by re-INVITE, or by UPDATE.
    pub(crate) fn change(&mut self, subsession: &str, sdp: &str, update: bool) -> Option<String> {
        let mut frame = self.about(subsession, Frame::request("call", "start"))?;
        frame.control.correlation_id = None;
        frame.header.sip_method = update.then(|| "UPDATE".to_owned());
        frame.payload.insert("sdp".to_owned(), sdp.into());
        let correlation = self.next_correlation();
        let call = self.calls.get_mut(subsession).filter(|call| call.answered)?;
        call.ours = Some((correlation, update));
        Some(self.number(frame))
    }

    /// The correlation id that [`Session::number`] gives to the next frame that has none.
    fn next_correlation(&self) -> String {
        format!("c{}", self.saved.last_out + 1)
    }

    fn about(&self, subsession: &str, mut frame: Frame) -> Option<Frame> {
        let call = self.calls.get(subsession)?;
        frame.control.subsession_id = Some(subsession.to_owned());
        frame.control.correlation_id.clone_from(&call.correlation);
        frame.header.initiator = Some(call.initiator.clone());
        frame.header.target = Some(call.target.clone());
        Some(frame)
    }

    pub(crate) fn ring(&mut self, subsession: &str) -> Option<String> {
        let frame = Frame::response("call", "start", MessageState::Subsequent);
        let frame = self.about(subsession, frame)?;
        Some(self.number(frame))
    }

    /// Answers a call, or what the other side wants changed in it.
    pub(crate) fn answer(&mut self, subsession: &str, sdp: &str) -> Option<String> {
        let frame = Frame::response("call", "start", MessageState::Final);
        let mut frame = self.about(subsession, frame)?;
        frame.payload.insert("sdp".to_owned(), sdp.into());
        let call = self.calls.get_mut(subsession)?;
        if let Some(theirs) = call.theirs.take() {
            frame.control.correlation_id = Some(theirs);
        }
        call.answered = true;
        Some(self.number(frame))
    }

    /// Declines a call, or what the other side wants changed in it.
    pub(crate) fn decline(&mut self, subsession: &str, code: u16, reason: &str) -> Option<String> {
        let mut frame = self.about(subsession, Frame::error("call", "start", code, reason))?;
        match self.calls.get_mut(subsession)?.theirs.take() {
            Some(theirs) => frame.control.correlation_id = Some(theirs),
            None => drop(self.calls.remove(subsession)),
        }
        Some(self.number(frame))
    }

    pub(crate) fn hang_up(&mut self, subsession: &str) -> Option<String> {
        let mut frame = self.about(subsession, Frame::message("call", "shutdown"))?;
        if self.calls.remove(subsession)?.answered {
            frame.control.correlation_id = None;
        }
        Some(self.number(frame))
    }

    /// A frame of the package `call`.
    pub(super) fn on_call(&mut self, action: &str, frame: &Frame, heard: &mut Heard) {
        let Some(subsession) = frame.control.subsession_id.as_deref() else { return };
        match (action, frame.control.kind) {
            ("start", FrameType::Request) => self.on_start(subsession, frame, heard),
            ("start", FrameType::Response) => self.on_answer(subsession, frame, heard),
            ("prack", _) => {}
            (_, FrameType::Error) => self.on_error(subsession, frame, heard),
            ("shutdown", _) => self.on_shutdown(subsession, frame, heard),
            ("complete", _) => {
                let of = &frame.control.correlation_id;
                let begun = self.calls.get(subsession).is_none_or(|call| call.correlation == *of);
                if begun || of.is_none() {
                    let subsession_id = subsession.to_owned();
                    heard.events.push(Event::CallEstablished { subsession_id });
                }
            }
            _ => {}
        }
    }

    fn on_start(&mut self, subsession: &str, frame: &Frame, heard: &mut Heard) {
        let of = frame.control.correlation_id.clone();
        if self.calls.get(subsession).is_some_and(|call| call.correlation != of) {
            self.on_change(subsession, frame, heard);
            return;
        }
        let initiator = frame.header.initiator.clone().unwrap_or_default();
        let target = frame.header.target.clone().unwrap_or_default();
        let call = Call {
            correlation: of,
            initiator: initiator.clone(),
            target: target.clone(),
            is_placed: false,
            answered: false,
            ours: None,
            theirs: None,
        };
        self.calls.insert(subsession.to_owned(), call);
        let (subsession_id, sdp) = (subsession.to_owned(), frame.sdp().map(ToOwned::to_owned));
        heard.events.push(Event::Incoming(IncomingCall { subsession_id, initiator, target, sdp }));
    }

    /// A `start` in a call that we have. One that meets a change of ours is glare.
    fn on_change(&mut self, subsession: &str, frame: &Frame, heard: &mut Heard) {
        let Some(call) = self.calls.get_mut(subsession) else { return };
        call.theirs = Some(frame.control.correlation_id.clone().unwrap_or_default());
        if call.ours.is_some() {
            heard.say.extend(self.decline(subsession, GLARE, "Glare"));
            return;
        }
        let is_update = frame.header.sip_method.as_deref() == Some("UPDATE");
        let (subsession_id, sdp) = (subsession.to_owned(), frame.sdp().map(ToOwned::to_owned));
        heard.events.push(Event::ChangeAsked { subsession_id, sdp, is_update });
    }

    /// What became of a `start` of ours.
    fn on_answer(&mut self, subsession: &str, frame: &Frame, heard: &mut Heard) {
        let (subsession_id, sdp) = (subsession.to_owned(), frame.sdp().map(ToOwned::to_owned));
        let of = frame.control.correlation_id.clone();
        let Some(call) = self.calls.get_mut(subsession) else { return };
        if let Some((_, is_update)) = call.ours.take_if(|ours| Some(&ours.0) == of.as_ref()) {
            heard.events.push(Event::Changed { subsession_id, sdp });
            if !is_update {
                heard.say.extend(self.say_of(subsession, Frame::message("call", "complete"), of));
            }
        } else if call.is_placed && !call.answered && call.correlation == of {
            let is_final = frame.control.message_state == Some(MessageState::Final);
            match (is_final, frame.header.response_code) {
                (true, _) => {
                    call.answered = true;
                    heard.events.push(Event::Answered { subsession_id, sdp });
                    let complete = Frame::message("call", "complete");
                    heard.say.extend(self.say_of(subsession, complete, of));
                }
                (false, Some(180)) => heard.events.push(Event::Ringing { subsession_id }),
                (false, Some(183)) => {
                    heard.events.push(Event::Progress { subsession_id, sdp });
                    // Every 183, reliable or not, as the product's library does.
                    let prack = Frame::request("call", "prack");
                    heard.say.extend(self.say_of(subsession, prack, of));
                }
                (false, _) => {}
            }
        }
    }

    /// A frame that belongs to a transaction that began before.
    fn say_of(&mut self, subsession: &str, frame: Frame, of: Option<String>) -> Option<String> {
        let mut frame = self.about(subsession, frame)?;
        frame.control.correlation_id = of;
        Some(self.number(frame))
    }

    fn on_error(&mut self, subsession: &str, frame: &Frame, heard: &mut Heard) {
        let of = frame.control.correlation_id.as_ref();
        let code = frame.header.error_code.unwrap_or(480);
        let reason = frame.header.reason.clone().unwrap_or_default();
        let subsession_id = subsession.to_owned();
        let Some(call) = self.calls.get_mut(subsession) else { return };
        if call.ours.take_if(|ours| Some(&ours.0) == of).is_some() {
            heard.events.push(Event::ChangeRefused { subsession_id, code, reason });
        } else if call.is_placed && !call.answered {
            self.calls.remove(subsession);
            heard.events.push(Event::Refused { subsession_id, code, reason });
        } else {
            self.calls.remove(subsession);
            heard.events.push(Event::CallEnded { subsession_id, why: reason });
        }
    }

    fn on_shutdown(&mut self, subsession: &str, frame: &Frame, heard: &mut Heard) {
        let subsession_id = subsession.to_owned();
        if frame.header.initiator.as_deref() == Some(CHANGE_CANCELLED) {
            if let Some(call) = self.calls.get_mut(subsession) {
                call.theirs = None;
                heard.events.push(Event::ChangeCancelled { subsession_id });
            }
        } else if self.calls.remove(subsession).is_some() {
            heard.events.push(Event::CallEnded { subsession_id, why: "hung up".to_owned() });
        }
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
