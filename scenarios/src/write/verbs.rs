use std::time::Duration;

use super::line::Line;
use super::people::{early_word, on_call};
use super::{devices, faults};
use crate::message::{Content, Message};
use crate::read::DOWN;
use crate::scenario::{Break, PushFate, Verb};
use crate::service::Service;

/// A verb and its arguments.
pub(super) fn verb(line: &mut Line, verb: &Verb) {
    match verb {
        Verb::Sleep { phone, by_close } => {
            line.word("sleep", phone);
            line.number_if("close-code", by_close.then_some(4001));
        }
        Verb::Resume { phone } => line.word("resume", phone),
        Verb::Call { .. } => call(line, verb),
        Verb::Cancel { mark, by } => done_by(line, "cancel", mark, by.as_ref()),
        Verb::HangUp { who, by } => done_by(line, "hangup", who, by.as_ref()),
        Verb::Renegotiate { mark, by, update, stale } => {
            done_by(line, "renegotiate", mark, by.as_ref());
            line.word_if("method", update.then_some("update"));
            line.word_if("cseq", stale.then_some("lower"));
        }
        Verb::Info { mark, by } => done_by(line, "info", mark, by.as_ref()),
        Verb::Message(said) => message(line, said),
        Verb::Subscribe { phone, to } => {
            line.word("subscribe", phone);
            line.word("to", to);
        }
        Verb::Notify { phone, by, messages, ends } => {
            line.word("notify", phone);
            line.word("by", by);
            line.number("messages", *messages);
            line.word_if("state", ends.then_some("terminated"));
        }
        Verb::Retransmit { mark } => line.word("retransmit", mark),
        Verb::SetPushes { phone, ignored } => {
            line.word("set", phone);
            line.word("pushes", if *ignored { "ignored" } else { "heeded" });
        }
        Verb::SetOnCall { who, on_call: conduct } => {
            line.word("set", who);
            on_call(line, *conduct);
        }
        Verb::SetEarly { who, early } => {
            line.word("set", who);
            line.word("early", early_word(*early));
        }
        Verb::SetNode { who, node } => {
            line.word("set", who);
            line.number("node", *node);
        }
        Verb::KillApp { phone } => line.word("crash", &format!("{phone}.app")),
        Verb::DropWebSocket { phone } => line.word("drop", &format!("{phone}.websocket")),
        Verb::Push { service, fate, times } => push(line, *service, *fate, *times),
        Verb::Crash { host, down } => strike(line, "crash", host, *down),
        Verb::PowerLoss { host, down } => strike(line, "power-loss", host, *down),
        Verb::Restart { host, down } => strike(line, "restart", host, *down),
        Verb::Partition { .. }
        | Verb::Cut { .. }
        | Verb::Storm { .. }
        | Verb::Outage { .. }
        | Verb::Move { .. }
        | Verb::Rebind { .. }
        | Verb::Clock { .. } => faults::fault(line, verb),
        Verb::Device { phone, act } => devices::act(line, phone, act),
        Verb::Note { text } => line.word("note", text),
    }
}

fn call(line: &mut Line, verb: &Verb) {
    let Verb::Call { mark, from, to, hang_up_after, lost_answers, late_offer, to_request_uri } =
        verb
    else {
        return;
    };
    line.word("call", mark);
    line.word("from", from);
    line.word("to", to);
    line.word_if("offer", late_offer.then_some("late"));
    line.word_if("in-dialog", to_request_uri.then_some("request-uri"));
    line.number_if("lost-answers", (*lost_answers != 0).then_some(u64::from(*lost_answers)));
    line.time_if("hang-up-after", *hang_up_after);
}

fn done_by(line: &mut Line, verb: &str, mark: &str, by: Option<&String>) {
    line.word(verb, mark);
    line.word_if("by", by.map(String::as_str));
}

fn message(line: &mut Line, message: &Message) {
    let Message { mark, from, to, content, non_urgent, expires } = message;
    line.word("message", mark);
    line.word("from", from);
    line.word("to", to);
    match content {
        Content::Text => {}
        Content::IsComposing => line.word("content", "is-composing"),
        Content::Imdn => line.word("content", "imdn"),
    }
    line.word_if("priority", non_urgent.then_some("non-urgent"));
    line.time_if("expires", *expires);
}

fn push(line: &mut Line, service: Service, fate: PushFate, times: u32) {
    let place = format!("push.{}", service.name());
    match fate {
        PushFate::Refused { status, retry_after } => {
            line.word("refuse", &place);
            line.number("status", status);
            line.time_if("retry-after", retry_after);
        }
        PushFate::Answered { reason, retry_after, age } => {
            line.word("refuse", &place);
            line.word("reason", reason);
            line.time_if("retry-after", retry_after);
            line.time_unless("age", age, Duration::ZERO);
        }
        PushFate::RequestDropped => {
            line.word("drop", &place);
            line.word("what", "request");
        }
        PushFate::DeliveryDropped => line.word("drop", &place),
        PushFate::Duplicated => line.word("duplicate", &place),
        PushFate::Delayed(by) => {
            line.word("delay", &place);
            line.time("by", by);
        }
        PushFate::Broken(how) => {
            line.word("break", &place);
            line.word(
                "how",
                match how {
                    Break::Page => "page",
                    Break::Endless => "endless",
                    Break::GoAway => "goaway",
                    Break::RefusedStream => "refused-stream",
                },
            );
        }
    }
    line.number_if("times", (times != 1).then_some(u64::from(times)));
}

fn strike(line: &mut Line, verb: &str, host: &str, down: Duration) {
    line.word(verb, host);
    line.time_unless("down", down, DOWN);
}
