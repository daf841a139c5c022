//! What the callers saw.

use std::collections::BTreeSet;

use reveille_trace::Kind;

use super::Outcome;
use super::view::{Said, View};

fn broken(actual: String, at: u64) -> Outcome {
    Outcome::Broken { actual, at: Some(at) }
}

/// Decides for each call; the first that is broken decides for all.
fn each(view: &View<'_>, decide: impl Fn(&str, &[Said]) -> Outcome) -> Outcome {
    let mut outcome = Outcome::Silent;
    for ((_, mark), said) in &view.calls {
        match decide(mark, said) {
            Outcome::Silent => {}
            Outcome::Met => outcome = Outcome::Met,
            wrong @ Outcome::Broken { .. } => return wrong,
        }
    }
    outcome
}

fn finals(said: &[Said]) -> Vec<(&Said, u16)> {
    let all = said.iter().filter_map(|said| Some((said, said.answer_to("INVITE")?)));
    all.filter(|(_, status)| *status >= 200).collect()
}

pub(super) fn no_call_dropped(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let accepted = said.iter().find(|said| said.answer_to("INVITE") == Some(100));
        match (accepted, finals(said).is_empty()) {
            (None, _) => Outcome::Silent,
            (Some(_), false) => Outcome::Met,
            (Some(at), true) => broken(format!("{mark} had 100 and no final response"), at.seq),
        }
    })
}

pub(super) fn trying_in_time(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let Some(asked) = said.iter().find(|said| said.asks("INVITE")) else {
            return Outcome::Silent;
        };
        let first = said.iter().find(|said| said.answer_to("INVITE").is_some());
        match first {
            None => broken(format!("{mark} heard nothing"), asked.seq),
            Some(first) if first.answer_to("INVITE") >= Some(200) => Outcome::Silent,
            Some(first) if first.answer_to("INVITE") != Some(100) => {
                broken(format!("{mark} heard {:?} first", first.answer_to("INVITE")), first.seq)
            }
            Some(first) if first.t_us.saturating_sub(asked.t_us) > 200_000 => {
                let late_ms = first.t_us.saturating_sub(asked.t_us) / 1_000;
                broken(format!("{mark} had its 100 after {late_ms} ms"), first.seq)
            }
            Some(_) => Outcome::Met,
        }
    })
}

/// Each 100 and each push of the gateway comes after a store that was asked for after the INVITE.
pub(super) fn durable_first(view: &View<'_>) -> Outcome {
    let mut outcome = Outcome::Silent;
    for (index, invite) in view.events.iter().enumerate() {
        let is_invite = invite.actor == "gateway"
            && invite.kind == Kind::SipReceived
            && invite.bytes().starts_with(b"INVITE ");
        if !is_invite {
            continue;
        }
        let later = &view.events[index + 1..];
        let promised = later.iter().find(|event| {
            event.actor == "gateway"
                && (event.kind == Kind::PushSent
                    || (event.kind == Kind::SipSent
                        && event.corr == invite.corr
                        && event.bytes().starts_with(b"SIP/2.0 1")))
        });
        let Some(promised) = promised else { continue };
        let stored = later
            .iter()
            .find(|event| event.actor == "gateway" && event.kind == Kind::Stored)
            .is_some_and(|stored| stored.seq < promised.seq);
        let again = view.events[..index].iter().any(|event| {
            event.actor == "gateway" && event.kind == Kind::SipReceived && event.corr == invite.corr
        });
        if !stored && !again {
            let what = promised.kind.name();
            return broken(format!("{what} left before the record was stored"), promised.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

pub(super) fn no_ringback_before_alert(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let ringing = said.iter().find(|said| said.answer_to("INVITE") == Some(180));
        let Some(ringing) = ringing else { return Outcome::Silent };
        let starts = view.frames.iter().filter(|frame| frame.is_start() && frame.mark() == mark);
        if starts.into_iter().any(|start| start.seq < ringing.seq) {
            Outcome::Met
        } else {
            broken(format!("{mark} heard 180 and no app had the call"), ringing.seq)
        }
    })
}

pub(super) fn one_to_tag(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let tagged = |said: &&Said| {
            said.answer_to("INVITE").is_some_and(|status| status > 100 && status != 482)
        };
        let tags: BTreeSet<_> = said.iter().filter(tagged).map(Said::to_tag).collect();
        match tags.len() {
            0 => Outcome::Silent,
            1 => Outcome::Met,
            _ => {
                let last = said.iter().rfind(tagged).map_or(0, |said| said.seq);
                broken(format!("{mark} heard the To tags {tags:?}"), last)
            }
        }
    })
}

/// Of several calls that were answered 100 and neither cancelled nor refused, all reach the app.
pub(super) fn all_delivered(view: &View<'_>) -> Outcome {
    let live: Vec<_> = view
        .calls
        .iter()
        .filter(|(_, said)| said.iter().any(|said| said.answer_to("INVITE") == Some(100)))
        .filter(|(_, said)| !said.iter().any(|said| said.asks("CANCEL")))
        .collect();
    let given = |mark: &str| view.frames.iter().any(|f| f.is_start() && f.mark() == mark);
    if live.len() < 2 || !live.iter().any(|((_, mark), _)| given(mark)) {
        return Outcome::Silent;
    }
    match live.iter().find(|((_, mark), _)| !given(mark)) {
        None => Outcome::Met,
        Some(((_, mark), said)) => {
            broken(format!("{mark} was accepted and never given to the app"), said[0].seq)
        }
    }
}

pub(super) fn answer_after_app(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let Some(answer) = said.iter().find(|said| said.answer_to("INVITE") == Some(200)) else {
            return Outcome::Silent;
        };
        let starts: Vec<_> =
            view.frames.iter().filter(|frame| frame.is_start() && frame.mark() == mark).collect();
        let decided = view.frames.iter().any(|frame| {
            frame.sent
                && frame.seq < answer.seq
                && frame.text("control", "message_state") == "final"
                && starts.iter().any(|start| {
                    start.text("control", "subsession_id") == frame.text("control", "subsession_id")
                })
        });
        if decided {
            Outcome::Met
        } else {
            broken(format!("{mark} heard 200 and no app had answered"), answer.seq)
        }
    })
}

/// After a 200 the dialog is there: a BYE is not answered 481, and a 200 that stays without its
/// ACK goes again.
pub(super) fn dialog_is_known(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let unknown = said.iter().find(|said| said.answer_to("BYE") == Some(481));
        if let Some(unknown) = unknown {
            return broken(format!("{mark} was answered, and its BYE meets 481"), unknown.seq);
        }
        let answers = said.iter().filter(|said| said.answer_to("INVITE") == Some(200)).count();
        let acked = said.iter().any(|said| said.asks("ACK"));
        match (answers, acked) {
            (0, _) => Outcome::Silent,
            (1, false) => {
                broken(format!("{mark} never acknowledged, and heard 200 once"), said[0].seq)
            }
            _ => Outcome::Met,
        }
    })
}

pub(super) fn no_ring_after_cancel(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let ended = said.iter().find(|said| said.answer_to("INVITE") == Some(487));
        let Some(ended) = ended else { return Outcome::Silent };
        let mut starts = view
            .frames
            .iter()
            .filter(|frame| frame.is_start() && frame.mark() == mark && frame.seq > ended.seq);
        match starts.next() {
            None => Outcome::Met,
            Some(ghost) => {
                broken(format!("{mark} was cancelled, and the app was given it later"), ghost.seq)
            }
        }
    })
}

pub(super) fn one_final(view: &View<'_>) -> Outcome {
    each(view, |mark, said| {
        let finals = finals(said);
        let statuses: BTreeSet<_> = finals.iter().map(|(_, status)| *status).collect();
        match statuses.len() {
            0 => Outcome::Silent,
            1 => Outcome::Met,
            _ => {
                let last = finals.last().map_or(0, |(said, _)| said.seq);
                broken(format!("{mark} heard the finals {statuses:?}"), last)
            }
        }
    })
}
