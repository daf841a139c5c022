//! What a caller sees while the app he calls sleeps.

use std::collections::BTreeSet;

use reveille_trace::{Event, Kind};

use super::view::{Call, Said, View};
use super::{Outcome, broken, each, push_common};

/// How long non-100 provisionals may be apart, and reliable ones (RFC 3261 13.3.1.1, RFC 3262 3).
const GAP_US: (u64, u64) = (60_000_000, 150_000_000);

/// A call that is not decided at once hears its 100 in time. (A datagram may overtake it.)
pub(super) fn trying_in_time(view: &View<'_>) -> Outcome {
    let limit_us = if view.over_sockets { 500_000 } else { 200_000 };
    each(&view.calls, |call| {
        let mark = &call.mark;
        let Some(asked) = call.invite() else { return Outcome::Silent };
        let mut said = call.said.iter();
        let first = said.find_map(|said| Some((said, said.answer_to("INVITE")?)));
        let trying = call.accepted();
        let late_us = trying.map_or(u64::MAX, |said| said.t_us.saturating_sub(asked.t_us));
        match (first, trying) {
            (_, Some(_)) if late_us <= limit_us => Outcome::Met,
            // The 100 may be lost with the gateway that sent it, and the INVITE with one that is down.
            (Some((first, _)), _) if view.is_parted_between(&call.caller, 0, first.seq) => {
                Outcome::Silent
            }
            (Some((_, 200..)), _) => Outcome::Silent,
            (_, Some(trying)) => {
                broken(format!("{mark} had its 100 after {} ms", late_us / 1_000), trying.seq)
            }
            (Some((first, status)), None) => {
                broken(format!("{mark} heard {status} and no 100"), first.seq)
            }
            // A stream that broke before the gateway said a word took the INVITE with it.
            (None, None)
                if asked.is_by_stream() && view.is_parted_between(&call.caller, 0, u64::MAX) =>
            {
                Outcome::Silent
            }
            (None, None) => broken(format!("{mark} heard nothing"), asked.seq),
        }
    })
}

/// The first provisional and the first push of a call leave after a store that was asked for after
/// its INVITE.
pub(super) fn durable_first(view: &View<'_>) -> Outcome {
    let own: Vec<_> = view.events.iter().filter(|event| event.actor == "gateway").collect();
    let mut outcome = Outcome::Silent;
    for (index, invite) in own.iter().enumerate() {
        let of_call = |event: &Event| event.corr.is_some() && event.corr == invite.corr;
        let is_sip = |event: &Event| event.kind == Kind::SipReceived && of_call(event);
        let is_first = !own[..index].iter().any(|event| is_sip(event));
        if !is_sip(invite) || !is_first || !invite.bytes().starts_with(b"INVITE ") {
            continue;
        }
        let later = &own[index + 1..];
        let promises = |event: &Event| {
            event.kind == Kind::PushSent
                || (event.kind == Kind::SipSent && event.bytes().starts_with(b"SIP/2.0 1"))
        };
        let promised = later.iter().position(|event| of_call(event) && promises(event));
        let Some(promised) = promised else { continue };
        if later[..promised].iter().any(|event| event.kind == Kind::HostStarted) {
            // It promises from what it found on its disk; no event tells when that was written.
            continue;
        }
        if !stored(&later[..promised]) {
            let what = later[promised].kind.name();
            return broken(
                format!("{what} left before the record was stored"),
                later[promised].seq,
            );
        }
        outcome = Outcome::Met;
    }
    outcome
}

/// True if one of these events is the end of a store that began among them.
pub(super) fn stored(events: &[&Event]) -> bool {
    events.iter().enumerate().any(|(index, asked)| {
        asked.kind == Kind::StoreAsked
            && events[index..].iter().any(|done| {
                done.kind == Kind::Stored
                    && done.text("session") == asked.text("session")
                    && done.int("token") >= asked.int("token")
            })
    })
}

/// Before a 180 an app had said that it shows the call.
pub(super) fn no_ringback_before_alert(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let ringing = call.said.iter().find(|said| said.answer_to("INVITE") == Some(180));
        let Some(ringing) = ringing else {
            // A call that was held to its end without a ring.
            let silent = call.accepted().is_some() && call.finals().next().is_some();
            return if silent { Outcome::Met } else { Outcome::Silent };
        };
        let alerted = view.starts(mark).any(|start| {
            view.frames.iter().any(|frame| {
                (start.seq..ringing.seq).contains(&frame.seq)
                    && (frame.sent && frame.actor == start.actor)
                    && frame.is("start", "response")
                    && frame.subsession() == start.subsession()
            })
        });
        if alerted {
            Outcome::Met
        } else {
            broken(format!("{mark} heard 180, and no app had said that it rings"), ringing.seq)
        }
    })
}

pub(super) fn provisionals(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| match one_to_tag(call) {
        wrong @ Outcome::Broken { .. } => wrong,
        tags => match held(view, call) {
            Outcome::Silent => tags,
            held => held,
        },
    })
}

fn one_to_tag(call: &Call) -> Outcome {
    // A merged request (482) is another transaction.
    let tagged =
        |said: &&Said| said.answer_to("INVITE").is_some_and(|status| status > 100 && status != 482);
    let tags: BTreeSet<_> = call.said.iter().filter(tagged).map(Said::to_tag).collect();
    match tags.len() {
        0 => Outcome::Silent,
        1 => Outcome::Met,
        _ => {
            let last = call.said.iter().rfind(tagged).map_or(0, |said| said.seq);
            broken(format!("{} heard the To tags {tags:?}", call.mark), last)
        }
    }
}

/// From the 100 until the call is given, answered, cancelled, or the trace ends: what is heard, and
/// with which gaps.
fn held(view: &View<'_>, call: &Call) -> Outcome {
    let mark = &call.mark;
    let Some(accepted) = call.accepted() else { return Outcome::Silent };
    let ends = [
        view.starts(mark).next().map(|start| (start.seq, start.t_us)),
        call.finals().next().map(|(said, _)| (said.seq, said.t_us)),
        call.cancel().map(|said| (said.seq, said.t_us)),
        view.end().map(|event| (event.seq, event.t_us)),
    ];
    let end = ends.into_iter().flatten().min().unwrap_or_default();
    let mut last = (accepted.seq, accepted.t_us);
    let mut gap_us = GAP_US.0;
    for said in call.said.iter().filter(|said| said.seq < end.0) {
        let Some(status @ 101..=199) = said.answer_to("INVITE") else { continue };
        if status == 180 {
            // Another requirement speaks of it.
            continue;
        }
        if !matches!(status, 182 | 183) || !said.message.body.is_empty() {
            let what = if said.message.body.is_empty() { "" } else { " with a body" };
            return broken(format!("{mark} is held and heard {status}{what}"), said.seq);
        }
        if said.message.header("rseq").is_some() {
            gap_us = GAP_US.1;
        }
        if said.t_us.saturating_sub(last.1) > gap_us {
            return gap(mark, said.t_us.saturating_sub(last.1), said.seq);
        }
        last = (said.seq, said.t_us);
    }
    let rest_us = end.1.saturating_sub(last.1);
    if rest_us > gap_us { gap(mark, rest_us, last.0) } else { Outcome::Met }
}

fn gap(mark: &str, gap_us: u64, at: u64) -> Outcome {
    broken(format!("{mark} is held and heard nothing for {} s", gap_us / 1_000_000), at)
}

/// When an app is given one call, every other call for the same user that was accepted by then
/// reaches an app too, unless its caller cancels it or the app goes away before.
pub(super) fn all_delivered(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for start in view.frames.iter().filter(|frame| frame.is_start()) {
        let mark = start.mark();
        let Some(given) = view.calls.iter().find(|call| call.mark == mark) else { continue };
        for other in view.calls.iter().filter(|other| other.mark != mark) {
            if other.callee() != given.callee() || !other.is_open_at(start.seq) {
                continue;
            }
            let ended = other.finals().next().map_or(u64::MAX, |(said, _)| said.seq);
            let gone = view.events.iter().any(|event| {
                let leaves = matches!(event.kind, Kind::WsClosed)
                    || (event.kind == Kind::AppState && event.text("state") == Some("killed"));
                leaves && event.actor == start.actor && (start.seq..ended).contains(&event.seq)
            });
            if view.starts(&other.mark).next().is_some() {
                outcome = Outcome::Met;
            } else if other.cancel().is_none() && !gone {
                let at = other.accepted().map_or(start.seq, |said| said.seq);
                return broken(format!("{} was accepted and never given", other.mark), at);
            }
        }
    }
    outcome
}

/// Undecided calls of one app at most, if the target declares no other number.
const MOST_PENDING: u64 = 64;

/// No more calls than that are taken for an app at once; one beyond is told when to come again.
pub(super) fn pending_are_bounded(view: &View<'_>) -> Outcome {
    let of_app = view.target("most-pending").unwrap_or(MOST_PENDING);
    let of_app = usize::try_from(of_app).unwrap_or(usize::MAX);
    each(&view.calls, |call| {
        let mark = &call.mark;
        let others = |seq: u64| {
            let its = view.calls.iter().filter(|other| other.callee() == call.callee());
            its.filter(|other| other.is_open_at(seq)).count()
        };
        let most = of_app.saturating_mul(view.apps(call.callee()).len().max(1));
        let busy = call.finals().next().filter(|(_, status)| *status == 503);
        match (call.accepted(), busy) {
            (Some(accepted), _) if others(accepted.seq) >= most => {
                broken(format!("{mark} was taken beside {most} undecided calls"), accepted.seq)
            }
            (None, Some((said, _))) if others(said.seq) >= most => {
                match said.message.header("retry-after") {
                    Some(_) => Outcome::Met,
                    None => broken(format!("{mark} heard 503 without Retry-After"), said.seq),
                }
            }
            _ => Outcome::Silent,
        }
    })
}

/// An INVITE that comes again while it is undecided meets the last provisional again, and makes
/// neither a second call nor a second push.
pub(super) fn repeats_provisional(view: &View<'_>) -> Outcome {
    each(&view.calls, |call| {
        let mark = &call.mark;
        let mut heard = None;
        let mut outcome = Outcome::Silent;
        for (index, said) in call.said.iter().enumerate() {
            // The furthest, for a datagram may overtake another.
            let now = said.answer_to("INVITE");
            heard = now.filter(|now| heard.is_none_or(|last| rank(*now) >= rank(last))).or(heard);
            let Some(last @ ..200) = heard else { continue };
            if !said.asks("INVITE") || call.cancel().is_some_and(|cancel| cancel.seq < said.seq) {
                continue;
            }
            let in_time =
                |s: &&Said| view.is_disturbed() || s.t_us.saturating_sub(said.t_us) <= 1_000_000;
            let next = call.said[index..].iter().filter(in_time);
            let next: Vec<_> = next.filter_map(|next| next.answer_to("INVITE")).collect();
            let twice = |at: &u16| next.iter().filter(|other| *other == at).count() > 1;
            if next.contains(&last) || next.iter().any(|at| rank(*at) >= rank(last) && twice(at)) {
                outcome = Outcome::Met;
                continue;
            }
            if next.first() >= Some(&200) {
                // It may have been decided when the copy came.
                continue;
            }
            let what = next.first().map_or("nothing".to_owned(), u16::to_string);
            return broken(format!("{mark} asked again and heard {what} after {last}"), said.seq);
        }
        if outcome == Outcome::Met { one_of_each(view, call) } else { outcome }
    })
}

/// 100, then the provisionals of a hold, then ringing, then the end.
const fn rank(status: u16) -> u8 {
    match status {
        ..=100 => 0,
        180 => 2,
        200.. => 3,
        _ => 1,
    }
}

fn one_of_each(view: &View<'_>, call: &Call) -> Outcome {
    let mark = &call.mark;
    let ids: BTreeSet<_> = view.starts(mark).map(|f| (&f.actor, f.subsession())).collect();
    let apps: BTreeSet<_> = ids.iter().map(|(actor, _)| *actor).collect();
    if ids.len() > apps.len() {
        let at = view.starts(mark).last().map_or(0, |start| start.seq);
        return broken(format!("{mark} was sent again and became two calls"), at);
    }
    push_common::second_push(view, call).map_or(Outcome::Met, |push| {
        broken(format!("{mark} was sent again and pushed for again"), push.seq)
    })
}
