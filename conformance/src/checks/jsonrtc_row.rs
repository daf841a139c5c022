//! Single exchanges of the protocol between app and gateway.

use super::view::{Framed, View};
use super::{Outcome, broken, each};

/// A `send` of an app is answered once: a 2xx by what the one written to said, and what that one
/// refused by its status. After a crash the gateway may not know.
pub(super) fn sent_is_answered(view: &View<'_>) -> Outcome {
    let sent = view.frames.iter().filter(|f| f.sent && f.is("send", "request"));
    each(sent, |send| {
        let mark = send.message_mark();
        // One that came out of its turn was refused for that, and came again.
        let number = &send.json["control"]["sequence"];
        let came = view.frames.iter().filter(|f| {
            (f.sent && f.actor == send.actor && f.subsession() == send.subsession())
                && f.is("send", "request")
                && f.json["control"]["sequence"] == *number
        });
        let again = came.count() > 1;
        let told = view.frames.iter().filter(|f| is_of(f, send) && !(again && f.code() == 400));
        let told: Vec<_> = told.collect();
        let Some(first) = told.first() else { return Outcome::Silent };
        if let Some(other) = told.iter().find(|other| other.json != first.json) {
            return broken(format!("the send {mark} was answered twice"), other.seq);
        }
        let said = view.written.iter().filter(|written| written.mark == mark);
        let said: Vec<_> = said.flat_map(|written| &written.said).collect();
        let status = said.iter().filter(|said| said.says("MESSAGE", 200..=699));
        let status = status.filter_map(|said| said.message.status()).next_back();
        match status {
            Some(status) if u64::from(status) == first.code() => Outcome::Met,
            _ if view.is_disturbed() && first.code() >= 300 => Outcome::Silent,
            Some(status) => broken(
                format!("{mark} was answered {status}, and its app told {}", first.code()),
                first.seq,
            ),
            None if first.code() < 300 => broken(
                format!("{mark} reached nobody, and its app was told {}", first.code()),
                first.seq,
            ),
            None => Outcome::Silent,
        }
    })
}

/// True for an answer of the gateway's to this `send`.
fn is_of(frame: &Framed, send: &Framed) -> bool {
    frame.answers("send")
        && (frame.actor == send.actor && frame.seq > send.seq)
        && frame.subsession() == send.subsession()
}
