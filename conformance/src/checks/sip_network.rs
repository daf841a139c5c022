//! The gateway as a user agent of the network: calls that apps place.

use std::collections::{BTreeMap, BTreeSet};

use reveille_trace::Kind;

use super::placed::Placed;
use super::view::{Said, View};
use super::{Outcome, broken, each};
use crate::cast::scan::param;

/// 64·T1: so long an answer goes on without its ACK.
const UNHEARD_US: u64 = 32_000_000;
/// How close a call that is placed and one that is given count as the same instant.
const INSTANT_US: u64 = 1_000_000;

/// No app is put to sleep while the call that it placed waits for its answer, and a 2xx to such a
/// call has its ACK.
pub(super) fn own_call_is_kept(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        if let Some(granted) = put_to_sleep(view, placed) {
            let (app, mark) = (&placed.app, &placed.mark);
            return broken(format!("{app} was put to sleep while its call {mark} waits"), granted);
        }
        let Some(leg) = placed.leg(view) else { return Outcome::Silent };
        let answer = leg.said.iter().find(|said| said.says("INVITE", 200..=299));
        let Some(answer) = answer else { return Outcome::Silent };
        let ack = leg.said.iter().find(|s| s.hears("ACK") && s.seq > answer.seq);
        let heard_us = view.end().map_or(0, |end| end.t_us.saturating_sub(answer.t_us));
        match ack {
            Some(_) => Outcome::Met,
            None if heard_us < UNHEARD_US => Outcome::Silent,
            None => broken(format!("{} was answered, and no ACK came", placed.mark), answer.seq),
        }
    })
}

/// The grant of sleep that came while the call was neither answered nor given up.
fn put_to_sleep(view: &View<'_>, placed: &Placed) -> Option<u64> {
    let ended = placed.outcome(view).map_or(u64::MAX, |told| told.seq);
    let open = placed.seq..placed.gave_up(view).map_or(u64::MAX, |f| f.seq).min(ended);
    let mine = |f: &&super::view::Framed| f.actor == placed.app && open.contains(&f.seq);
    let mut frames = view.frames.iter().filter(mine);
    let asked = frames.find(|f| f.sent && f.is("hibernate", "request"))?;
    let answer = frames.find(|f| f.seq > asked.seq && f.answers("hibernate"))?;
    (answer.code() == 200).then_some(answer.seq)
}

/// A call that an app places while one is given to it comes to an end, and so does the other.
pub(super) fn both_complete(view: &View<'_>) -> Outcome {
    each(&view.placed, |placed| {
        let given = view.frames.iter().filter(|f| {
            f.is_start() && f.actor == placed.app && f.t_us.abs_diff(placed.t_us) <= INSTANT_US
        });
        each(given, |start| {
            let mark = start.mark();
            let call = view.calls.iter().find(|call| call.mark == mark);
            let decided = call.is_some_and(|call| call.finals().next().is_some());
            let gone = placed.withdrew(view).is_some() || is_killed(view, placed);
            if placed.outcome(view).is_none() && !gone {
                return broken(format!("nothing came of the call {}", placed.mark), placed.seq);
            }
            if decided {
                Outcome::Met
            } else {
                broken(format!("nothing came of {mark}"), start.seq)
            }
        })
    })
}

/// True if the app was killed after it placed the call.
pub(super) fn is_killed(view: &View<'_>, placed: &Placed) -> bool {
    view.events.iter().any(|event| {
        (event.actor == placed.app && event.seq > placed.seq)
            && event.kind == Kind::AppState
            && matches!(event.text("state"), Some("killed" | "failed" | "closed"))
    })
}

/// Requests of the gateway have a branch of their own for each transaction, which only CANCEL and
/// ACK share with their INVITE.
pub(super) fn branches_are_unique(view: &View<'_>) -> Outcome {
    let strangers = view.events.iter().filter(|event| event.actor != "gateway");
    let said: Vec<_> = strangers
        .filter(|event| matches!(event.kind, Kind::SipSent | Kind::SipReceived))
        .filter_map(Said::of)
        .filter(|said| said.message.method().is_some())
        .collect();
    let origin = |said: &Said| {
        let via = said.message.all("via").last()?.to_owned();
        param(&via, "branch")
    };
    // Who sends a request with one Via made it.
    let own = said.iter().filter(|said| said.sent && said.message.all("via").count() == 1);
    let own: BTreeSet<_> = own.filter_map(origin).collect();
    let mut seen: BTreeMap<String, (String, Option<u32>, &str)> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for one in said.iter().filter(|said| !said.sent) {
        let branch = origin(one).unwrap_or_default();
        if own.contains(&branch) {
            continue;
        }
        if !branch.starts_with("z9hG4bK") {
            return broken(format!("the branch {branch:?} lacks the magic cookie"), one.seq);
        }
        let method = match one.message.method() {
            Some("ACK" | "CANCEL") => "INVITE",
            method => method.unwrap_or_default(),
        };
        let of = (one.message.call_id().to_owned(), one.message.cseq_number(), method);
        let known = seen.entry(branch).or_insert_with(|| of.clone());
        if *known != of {
            return broken("two transactions of the gateway have one branch", one.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}
