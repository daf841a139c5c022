//! The rows of the package `call` for calls that apps place (their changes are in `jsonrtc_change`).

use std::collections::BTreeSet;

use reveille_trace::Kind;

use super::placed::Placed;
use super::sip_network::is_killed;
use super::view::{Call, Framed, Said, View};
use super::{Outcome, broken, each};
use crate::cast::scan::uri;

/// What follows within this time is not missed yet when a play ends.
const SOON_US: u64 = 2_000_000;

/// True if so much of the play is left after this time that what is missing is missing.
fn is_settled(view: &View<'_>, t_us: u64) -> bool {
    view.end().is_some_and(|end| end.t_us.saturating_sub(t_us) >= SOON_US)
}

/// True if nothing of the world came between the app and its call before it was decided.
fn is_calm(view: &View<'_>, placed: &Placed) -> bool {
    let until = placed.outcome(view).map_or(u64::MAX, |told| told.seq);
    let lost = view.events.iter().any(|event| {
        event.kind == Kind::WsClosed
            && event.actor == placed.app
            && (placed.seq..until).contains(&event.seq)
    });
    !lost && !view.is_disturbed() && placed.withdrew(view).is_none()
}

fn sdp(frame: &Framed) -> &str {
    frame.json["payload"]["sdp"].as_str().unwrap_or_default()
}

fn same_sdp(frame: &Framed, said: &Said) -> bool {
    sdp(frame).as_bytes() == said.message.body
}

/// A `start` reaches whom it names once, with its offer and from its user.
pub(super) fn start_becomes_invite(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let mark = &placed.mark;
        let taken = placed.outcome(view).is_some_and(|told| told.code() == 200);
        let gone = placed.withdrew(view).is_some() || is_killed(view, placed);
        let Some(leg) = placed.leg(view) else {
            return match placed.outcome(view) {
                None if gone || !is_settled(view, placed.t_us) => Outcome::Silent,
                Some(_) if !taken => Outcome::Silent,
                _ => broken(format!("{mark} was placed and reached nobody"), placed.seq),
            };
        };
        let Some(invite) = leg.invite() else { return Outcome::Silent };
        if view.called.iter().filter(|call| call.mark == *mark).count() > 1 {
            return broken(format!("{mark} was placed once and became two calls"), invite.seq);
        }
        if invite.message.body != placed.sdp.as_bytes() {
            return broken(format!("{mark} reached {} with another offer", leg.caller), invite.seq);
        }
        let from = uri(invite.message.header("from").unwrap_or_default());
        let address = from.trim_start_matches("sip:");
        if !view.apps(address).contains(&placed.app.as_str()) {
            return broken(format!("{mark} is a call of {address}, not of its app"), invite.seq);
        }
        Outcome::Met
    })
}

/// 180 and 183 reach the app, each once, a 183 with its SDP.
pub(super) fn progress_is_told(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let Some(leg) = placed.leg(view).filter(|_| is_calm(view, placed)) else {
            return Outcome::Silent;
        };
        each([180, 183], |status| {
            let said = leg.said.iter().find(|said| said.says("INVITE", status..=status));
            let Some(said) = said else { return Outcome::Silent };
            let told: Vec<_> =
                placed.told(view).filter(|f| f.code() == u64::from(status)).collect();
            match told[..] {
                [one] if same_sdp(one, said) => Outcome::Met,
                [_] => broken(format!("the SDP of the {status} is another one"), told[0].seq),
                [] if !is_settled(view, said.t_us) => Outcome::Silent,
                [] => broken(format!("the app was not told of the {status}"), said.seq),
                [_, again, ..] => broken(format!("the {status} was told again"), again.seq),
            }
        })
    })
}

/// An app's `prack` is answered; it is a PRACK where the provisional was reliable, which the app is
/// told of, and none where it was not (D-08).
pub(super) fn prack_is_answered(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let Some(leg) = placed.leg(view).filter(|_| is_calm(view, placed)) else {
            return Outcome::Silent;
        };
        let asked: Vec<_> =
            placed.frames(view).filter(|f| f.sent && f.is("prack", "request")).collect();
        let answered = placed.frames(view).filter(|f| f.answers("prack")).count();
        if let Some(last) = asked.last().filter(|last| is_settled(view, last.t_us))
            && answered < asked.len()
        {
            return broken("a prack was not answered", last.seq);
        }
        let told = placed.told(view).find(|f| f.code() == 183);
        let marked = told.is_some_and(|f| f.json["header"]["reliable"] == true);
        let early = leg.said.iter().find(|said| said.says("INVITE", 180..=183));
        let Some(early) = early else { return Outcome::Silent };
        let prack = leg.said.iter().find(|said| said.hears("PRACK"));
        let rseq = early.message.header("rseq");
        match (rseq, prack) {
            (None, None) if marked => broken("a 183 is called reliable and was not", early.seq),
            (None, None) if asked.is_empty() => Outcome::Silent,
            (None, None) => Outcome::Met,
            (None, Some(prack)) => broken("a PRACK for what was not reliable", prack.seq),
            (Some(_), None) => broken("a reliable provisional had no PRACK", early.seq),
            (Some(_), Some(_)) if told.is_some() && !marked => {
                broken("the app was not told that the 183 is reliable", early.seq)
            }
            (Some(rseq), Some(prack)) => {
                let cseq = early.message.header("cseq").unwrap_or_default();
                let of = format!("{rseq} {cseq}");
                match prack.message.header("rack") == Some(&of) {
                    true => Outcome::Met,
                    false => broken("a PRACK names another provisional", prack.seq),
                }
            }
        }
    })
}

/// An app hears of an answer that was given, with its SDP, and of a refusal by its status; what it
/// was told has failed stands at nobody.
pub(super) fn outcome_is_told(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let mark = &placed.mark;
        let said = placed.leg(view).map(|leg| leg.said.as_slice()).unwrap_or_default();
        let answer = said.iter().find(|said| said.says("INVITE", 200..=299));
        let refusal = said.iter().find(|said| said.says("INVITE", 300..=699));
        let gone = placed.withdrew(view).is_some() || is_killed(view, placed);
        let Some(told) = placed.outcome(view) else {
            return match answer.or(refusal).filter(|said| is_settled(view, said.t_us)) {
                Some(said) if !gone => {
                    broken(format!("{mark} was decided, and its app was not told"), said.seq)
                }
                _ => Outcome::Silent,
            };
        };
        match (told.code(), answer, refusal) {
            (200, None, _) => broken(format!("{mark} is called answered and was not"), told.seq),
            (200, Some(answer), _) if answer.seq > told.seq => {
                broken(format!("{mark} was called answered before it was"), told.seq)
            }
            (200, Some(answer), _) if !same_sdp(told, answer) => {
                broken(format!("{mark} was answered with another SDP"), told.seq)
            }
            (200, ..) => Outcome::Met,
            (code, Some(answer), _) => {
                let ended = said.iter().any(|said| said.hears("BYE") || said.asks("BYE"));
                if ended || !is_settled(view, told.t_us.max(answer.t_us)) {
                    return Outcome::Met;
                }
                broken(format!("{mark} ended with {code} for its app, and stands"), told.seq)
            }
            (code, None, Some(refusal)) if !gone => {
                // 500 would end the app's session (D-13).
                let status = refusal.message.status().map_or(0, |s| if s == 500 { 480 } else { s });
                if u64::from(status) == code {
                    return Outcome::Met;
                }
                broken(format!("{mark} was refused with {status}, and told as {code}"), told.seq)
            }
            (_, None, _) => Outcome::Met,
        }
    })
}

/// After the app's `complete` the one called has an ACK, and needs to send nothing again for it.
pub(super) fn complete_becomes_ack(view: &View<'_>) -> Outcome {
    let limit_us = if view.over_sockets { 500_000 } else { 200_000 };
    each(&view.placed, |placed| {
        let Some(leg) = placed.leg(view) else { return Outcome::Silent };
        let complete = placed.frames(view).find(|f| {
            f.sent
                && f.is("complete", "message")
                && f.text("control", "correlation_id") == placed.correlation
        });
        let Some(complete) = complete else { return Outcome::Silent };
        let ack = leg.said.iter().find(|said| said.hears("ACK") && said.seq > complete.seq);
        let late_us = ack.map_or(0, |ack| ack.t_us.saturating_sub(complete.t_us));
        if ack.is_some() && late_us > limit_us && !view.is_disturbed() {
            let ms = late_us / 1_000;
            return broken(format!("{} has its ACK {ms} ms late", placed.mark), complete.seq);
        }
        if ack.is_some() {
            return Outcome::Met;
        }
        if !is_settled(view, complete.t_us) || view.is_struck_between(complete.seq, u64::MAX) {
            return Outcome::Silent;
        }
        broken(format!("{} was completed, and no ACK came", placed.mark), complete.seq)
    })
}

/// An app that hangs up before the answer cancels the call, and hears that it is over; after the
/// answer it sends BYE.
pub(super) fn shutdown_ends_call(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let mark = &placed.mark;
        let Some(end) = placed.gave_up(view).filter(|f| is_settled(view, f.t_us)) else {
            return Outcome::Silent;
        };
        let Some(leg) = placed.leg(view) else { return Outcome::Silent };
        let answered = leg.said.iter().any(|said| said.says("INVITE", 200..=299));
        let refused = leg.said.iter().any(|said| said.says("INVITE", 300..=699));
        let heard = |method: &str| leg.said.iter().any(|said| said.hears(method));
        if answered && !heard("BYE") && !leg.said.iter().any(|said| said.asks("BYE")) {
            return broken(format!("{mark} was hung up, and no BYE came"), end.seq);
        }
        if !answered && !refused && !heard("CANCEL") {
            return broken(format!("{mark} was given up, and no CANCEL came"), end.seq);
        }
        let before = end.text("control", "correlation_id") == placed.correlation;
        if before && placed.outcome(view).is_none() && !is_killed(view, placed) {
            return broken(format!("{mark} was given up, and its app heard no end"), end.seq);
        }
        Outcome::Met
    })
}

/// A BYE of the one called is answered 200, and ends the call for the app.
pub(super) fn bye_ends_call(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let Some(leg) = placed.leg(view) else { return Outcome::Silent };
        let bye = leg.said.iter().find(|said| said.asks("BYE") && is_settled(view, said.t_us));
        let Some(bye) = bye else { return Outcome::Silent };
        let crossed = leg.said.iter().any(|said| said.hears("BYE"));
        let known = leg.said.iter().any(|said| said.answer_to("BYE") == Some(200));
        let told = placed.frames(view).any(|f| !f.sent && is_end(f));
        let by_app = placed.gave_up(view).is_some();
        if !known && !crossed && !view.is_struck_between(0, u64::MAX) {
            return broken(format!("the BYE of {} was not answered 200", placed.mark), bye.seq);
        }
        if !told && !by_app && !is_killed(view, placed) && !is_away(view, placed) {
            return broken(format!("{} ended, and its app was not told", placed.mark), bye.seq);
        }
        Outcome::Met
    })
}

fn is_end(frame: &Framed) -> bool {
    frame.text("header", "action") == "shutdown"
        && frame.text("header", "initiator") != super::jsonrtc_change::TAKEN_BACK
}

/// True if the app has no socket when the play ends.
fn is_away(view: &View<'_>, placed: &Placed) -> bool {
    let mut own = view.events.iter().filter(|event| event.actor == placed.app);
    let last = own.rfind(|e| matches!(e.kind, Kind::WsOpened | Kind::WsClosed));
    last.is_none_or(|event| event.kind == Kind::WsClosed)
}

/// A `shutdown` ends its call, and the app's socket stands (D-35).
pub(super) fn shutdown_keeps_session(view: &View<'_>) -> Outcome {
    let ends = view.frames.iter().filter(|f| is_end(f));
    each(ends, |end| {
        let closed = view.events.iter().find(|event| {
            event.kind == Kind::WsClosed && event.actor == end.actor && event.seq > end.seq
        });
        match closed.filter(|closed| closed.t_us.saturating_sub(end.t_us) <= 1_000_000) {
            Some(closed)
                if closed.int("code") == Some(1000) && closed.text("by") != Some("app") =>
            {
                broken("the socket was closed with the call", closed.seq)
            }
            _ => Outcome::Met,
        }
    })
}

/// The marks of calls that a SIP user agent is in.
pub(super) fn legs<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a Call> {
    let marks: BTreeSet<_> = view.placed.iter().map(|placed| placed.mark.as_str()).collect();
    let called = view.called.iter().filter(move |call| marks.contains(call.mark.as_str()));
    view.calls.iter().chain(called)
}
