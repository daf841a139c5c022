use super::line::Line;
use super::{devices, faults};
use crate::read::ANSWER_AFTER;
use crate::scenario::{Actor, App, Early, OnCall, Place, Transport};
use crate::service::Service;

pub(super) fn actor(actor: &Actor, place: Place) -> String {
    let mut line = Line::default();
    match actor {
        Actor::Phone { app, push, on_call, device } => {
            line.word("kind", "phone");
            match app {
                App::Sdk => {}
                App::Plain => line.word("app", "plain"),
            }
            // A system brings its own service, and says so where another one wakes it.
            let usual = device.map_or(Service::default(), |device| {
                device.os.services().first().copied().unwrap_or_default()
            });
            line.word_if("push", (*push != usual).then(|| push.name()));
            if let Some(device) = device {
                devices::device(&mut line, device);
            }
            unless_default(&mut line, *on_call);
        }
        Actor::SipUa { transport, on_call, early } => {
            line.word("kind", "sip-ua");
            match transport {
                Transport::Udp => {}
                Transport::Tcp => line.word("transport", "tcp"),
            }
            unless_default(&mut line, *on_call);
            line.word_if("early", (*early != Early::default()).then(|| early_word(*early)));
        }
    }
    faults::place(&mut line, place);
    line.inline()
}

fn unless_default(line: &mut Line, conduct: OnCall) {
    if conduct != OnCall::Answer(ANSWER_AFTER) {
        on_call(line, conduct);
    }
}

pub(super) fn on_call(line: &mut Line, conduct: OnCall) {
    match conduct {
        OnCall::Answer(after) => line.time("answer-after", after),
        OnCall::Decline(status) => line.number("decline", status),
        OnCall::Ring => line.truth("ring"),
    }
}

pub(super) const fn early_word(early: Early) -> &'static str {
    match early {
        Early::Ringing => "ringing",
        Early::ReliableRinging => "reliable-ringing",
        Early::Media => "media",
        Early::ReliableMedia => "reliable-media",
        Early::Silence => "silence",
    }
}
