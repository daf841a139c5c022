//! What either side wants changed in a call that stands: re-INVITE, UPDATE, and their `start`s.

use super::jsonrtc_call::legs;
use super::view::{Call, Framed, Said, View};
use super::{Outcome, broken, each};

/// What an app reads as initiator when a change is taken back.
pub(super) const TAKEN_BACK: &str = "##re-invite_cancel@server##";

fn correlation(frame: &Framed) -> &str {
    frame.text("control", "correlation_id")
}

/// What the SIP side of a call said of the call that this frame is about.
fn leg_of<'a>(view: &'a View<'_>, frame: &Framed) -> Option<&'a Call> {
    let same = |f: &&Framed| f.actor == frame.actor && f.subsession() == frame.subsession();
    let first = view.frames.iter().filter(same).find(|f| f.is("start", "request") && !f.is_change);
    let mark = first?.mark();
    legs(view).find(|call| call.mark == mark)
}

/// The change that the SIP side asked for, and this `start` brings.
fn cause<'a>(leg: &'a Call, start: &Framed) -> Option<&'a Said> {
    let sdp = start.json["payload"]["sdp"].as_str().unwrap_or_default();
    leg.changes.iter().find(|said| {
        (said.asks("INVITE") || said.asks("UPDATE"))
            && said.seq < start.seq
            && said.message.body == sdp.as_bytes()
    })
}

fn asked<'a>(view: &'a View<'_>, sent: bool) -> impl Iterator<Item = &'a Framed> {
    view.frames.iter().filter(move |f| f.is_change && f.sent == sent)
}

/// A re-INVITE or an UPDATE reaches the app as a `start` of the same call, with its offer and under
/// a correlation of its own; an UPDATE says so and has no `complete` (D-11).
pub(super) fn change_is_start(view: &View<'_>) -> Outcome {
    each(asked(view, false), |start| {
        let Some(leg) = leg_of(view, start) else { return Outcome::Silent };
        let Some(cause) = cause(leg, start) else {
            return broken("an app was asked for a change that nobody wants", start.seq);
        };
        let is_update = cause.message.method() == Some("UPDATE");
        if is_update != (start.text("header", "sip_method") == "UPDATE") {
            return broken("re-INVITE and UPDATE cannot be told apart", start.seq);
        }
        let completed = view.frames.iter().find(|f| {
            (!f.sent && f.actor == start.actor && f.subsession() == start.subsession())
                && f.is("complete", "message")
                && correlation(f) == correlation(start)
        });
        match completed.filter(|_| is_update) {
            Some(complete) => broken("an UPDATE was completed", complete.seq),
            None => Outcome::Met,
        }
    })
}

/// Who asked for a change hears of its acceptance only after the other side accepted it.
pub(super) fn change_is_answered(view: &View<'_>) -> Outcome {
    let by_sip = each(legs(view), |leg| {
        let taken = leg.changes.iter().filter(|said| {
            !said.sent && matches!(said.message.status(), Some(200..=299)) && !said.is_of("CANCEL")
        });
        each(taken, |taken| {
            let start = asked(view, false).filter(|start| start.seq < taken.seq).find(|start| {
                leg_of(view, start).is_some_and(|of| of.mark == leg.mark)
                    && cause(leg, start).is_some_and(|cause| {
                        cause.message.header("cseq") == taken.message.header("cseq")
                    })
            });
            // A change without an offer asks nothing of the app.
            let Some(start) = start else { return Outcome::Silent };
            let agreed = view.frames.iter().any(|f| {
                (f.sent && f.actor == start.actor && f.seq < taken.seq)
                    && f.text("control", "message_state") == "final"
                    && correlation(f) == correlation(start)
            });
            match agreed {
                true => Outcome::Met,
                false => broken("a change was accepted that the app had not accepted", taken.seq),
            }
        })
    });
    let by_app = each(asked(view, true), |start| {
        let told = view.frames.iter().find(|f| {
            f.answers("start") && f.actor == start.actor && correlation(f) == correlation(start)
        });
        let (Some(leg), Some(told)) = (leg_of(view, start), told) else { return Outcome::Silent };
        let accepted = leg.changes.iter().any(|said| {
            said.sent && matches!(said.message.status(), Some(200..=299)) && said.seq < told.seq
        });
        match told.code() {
            200 if !accepted => broken("an app's change was called accepted and was not", told.seq),
            _ => Outcome::Met,
        }
    });
    match (by_sip, by_app) {
        (wrong @ Outcome::Broken { .. }, _) | (_, wrong @ Outcome::Broken { .. }) => wrong,
        (Outcome::Silent, other) | (other, _) => other,
    }
}

/// A change in a call that stands is never answered by what ends the call: 408 or 481.
pub(super) fn change_leaves_call(view: &View<'_>) -> Outcome {
    each(legs(view), |leg| {
        let ended = leg.said.iter().find(|s| s.asks("BYE") || s.hears("BYE"));
        let hung_up = view.starts(&leg.mark).filter_map(|start| {
            let mut said = view.frames.iter().filter(|f| f.sent && f.actor == start.actor);
            said.find(|f| {
                f.subsession() == start.subsession() && f.text("header", "action") == "shutdown"
            })
        });
        let ended = ended.map(|bye| bye.seq).into_iter().chain(hung_up.map(|f| f.seq)).min();
        let ended = ended.unwrap_or(u64::MAX);
        let finals = leg.changes.iter().filter(|said| {
            !said.sent && !said.is_of("CANCEL") && said.message.status() >= Some(200)
        });
        each(finals.filter(|said| said.seq < ended), |said| match said.message.status() {
            Some(status @ (408 | 481)) => {
                broken(format!("{} stands, and a change of it hears {status}", leg.mark), said.seq)
            }
            _ => Outcome::Met,
        })
    })
}

/// A re-INVITE that is taken back is answered 487, and its app is told that the call goes on.
pub(super) fn change_is_taken_back(view: &View<'_>) -> Outcome {
    each(legs(view), |leg| {
        let cancels = leg.changes.iter().filter(|said| said.asks("CANCEL"));
        each(cancels, |cancel| {
            let number = cancel.message.cseq_number();
            let of = |said: &&Said| !said.sent && said.message.cseq_number() == number;
            let mut ends = leg.changes.iter().filter(of).filter(|said| said.is_of("INVITE"));
            let end = ends.rfind(|said| said.message.status() >= Some(200));
            let Some(end) = end else {
                return broken("a re-INVITE was taken back and has no final", cancel.seq);
            };
            if end.message.status() != Some(487) {
                // The answer crossed it.
                return Outcome::Silent;
            }
            let given = asked(view, false).find(|start| {
                leg_of(view, start).is_some_and(|of| of.mark == leg.mark)
                    && cause(leg, start).is_some_and(|c| c.message.cseq_number() == number)
            });
            let Some(given) = given else { return Outcome::Met };
            let told = view.frames.iter().find(|f| {
                (!f.sent && f.actor == given.actor && f.subsession() == given.subsession())
                    && f.seq > given.seq
                    && f.text("header", "action") == "shutdown"
            });
            match told.map(|told| (told, told.text("header", "initiator"))) {
                Some((_, TAKEN_BACK)) => Outcome::Met,
                Some((told, _)) => broken("a change was taken back, and the call ended", told.seq),
                None => broken("the app was not told that a change was taken back", cancel.seq),
            }
        })
    })
}
