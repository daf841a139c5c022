//! Messages for apps, and what subscribers are told (requirements of several areas).

use super::texts::Text;
use super::view::{Framed, Sleep, View};
use super::{Outcome, broken, each};

/// RFC 3261 17.1.2.2: timer F, and a second for the way.
const UNANSWERED_US: u64 = 33_000_000;
/// How long an app that is back may wait for what was kept for it.
const GIVEN_US: u64 = 1_000_000;
/// The latest that what a process has lost is sent again.
const AFTER_CRASH_US: u64 = 12_000_000;

/// A MESSAGE gets one final response: 202, and then the app that comes is given it, or what the app
/// said of it; never 408, and for a sleeper no refusal that its app did not speak.
pub(super) fn answered_or_stored(view: &View<'_>) -> Outcome {
    each(&view.texts, |text| {
        let Some(first) = text.said.first() else { return Outcome::Silent };
        let mark = &text.mark;
        let Some((answer, status)) = text.answer() else {
            let heard_us = view.end().map_or(0, |end| end.t_us.saturating_sub(first.t_us));
            if heard_us < UNANSWERED_US || view.is_disturbed() {
                return Outcome::Silent;
            }
            return broken(format!("the message {mark} has no final response"), first.seq);
        };
        let others = text.said.iter().filter_map(|said| Some((said, said.answer_to("MESSAGE")?)));
        let other = others.into_iter().find(|(_, other)| *other >= 200 && *other != status);
        if let Some((said, other)) = other {
            return broken(
                format!("the message {mark} was answered {status} and {other}"),
                said.seq,
            );
        }
        match status {
            202 => stored(view, text, answer.seq),
            408 => broken(format!("the message {mark} was answered 408"), answer.seq),
            _ => {
                let by_app = text.given(view).any(|send| {
                    view.frames.iter().any(|f| f.seq < answer.seq && f.answers_send(send))
                });
                let asleep = view.sleeps_at(&text.to, first.seq) && matches!(status, 404 | 480);
                if by_app {
                    Outcome::Met
                } else if status < 300 {
                    broken(
                        format!("{mark} was answered {status}, and no app had taken it"),
                        answer.seq,
                    )
                } else if asleep {
                    broken(
                        format!("{mark} is for a sleeper, and was refused with {status}"),
                        answer.seq,
                    )
                } else {
                    Outcome::Silent
                }
            }
        }
    })
}

/// After 202 an app that comes, or is there, is given the message, unless its time has passed.
fn stored(view: &View<'_>, text: &Text, answered: u64) -> Outcome {
    if text.given(view).next().is_some() {
        return Outcome::Met;
    }
    let apps = view.apps(&text.to);
    let ends_us = text.life_us.zip(text.said.first()).map(|(life, said)| said.t_us + life);
    let heard_us = view.end().map_or(0, |end| end.t_us);
    let came = view.frames.iter().find(|f| {
        let is_back = !f.sent && f.is("connect", "response") && apps.contains(&f.actor.as_str());
        let in_time = ends_us.is_none_or(|ends| f.t_us < ends);
        is_back && in_time && f.seq > answered
    });
    match came {
        Some(came) if heard_us.saturating_sub(came.t_us) > GIVEN_US => {
            let (app, mark) = (&came.actor, &text.mark);
            broken(format!("{app} came back and was not given {mark}, which was stored"), came.seq)
        }
        _ => Outcome::Met,
    }
}

/// An app is given a message under one subsession, and again only by the identical frame.
pub(super) fn given_once(view: &View<'_>) -> Outcome {
    each(&view.texts, |text| {
        let mut given: Vec<&Framed> = Vec::new();
        for frame in text.given(view) {
            if given.iter().any(|before| before.json != frame.json) {
                let (app, mark) = (&frame.actor, &text.mark);
                return broken(
                    format!("{app} has the message {mark} and is given it again"),
                    frame.seq,
                );
            }
            given.push(frame);
        }
        if given.is_empty() { Outcome::Silent } else { Outcome::Met }
    })
}

/// No push names a message that nobody is to be woken for.
pub(super) fn no_push_for_quiet(view: &View<'_>) -> Outcome {
    let quiet = view.texts.iter().filter(|text| text.is_quiet);
    each(quiet, |text| {
        let asleep = text.said.first().is_some_and(|first| view.sleeps_at(&text.to, first.seq));
        match view.pushes.iter().find(|push| push.says("call_id") == text.id) {
            Some(push) => broken(format!("{} is quiet and was pushed for", text.mark), push.seq),
            None if asleep => Outcome::Met,
            None => Outcome::Silent,
        }
    })
}

/// Messages for one sleep of an app are one push, unless that one failed; a call has its own.
pub(super) fn burst_is_collapsed(view: &View<'_>) -> Outcome {
    let budget_us = view.budget_us().unwrap_or(30_000_000);
    each(&view.sleeps, |sleep| {
        let during = sleep.from..sleep.until;
        let is_text = |id: &str| view.texts.iter().any(|text| text.id == id && !text.is_quiet);
        let its = view.texts.iter().filter(|text| {
            let sent = text.said.first().is_some_and(|first| during.contains(&first.seq));
            sent && !text.is_quiet && view.apps(&text.to).contains(&sleep.actor.as_str())
        });
        let sent = its.count();
        let mut before: Option<u64> = None;
        for push in view.pushes.iter().filter(|push| during.contains(&push.seq)) {
            let of_app = view.token_of(&sleep.actor) == Some(push.token.as_str());
            if !of_app || !is_text(push.says("call_id")) || !push.is_accepted() {
                continue;
            }
            let soon = before.is_some_and(|before| push.t_us.saturating_sub(before) < budget_us);
            if soon && !view.is_struck_between(sleep.from, push.seq) {
                return broken("a burst of messages was pushed for twice", push.seq);
            }
            before = Some(push.t_us);
        }
        let calls = view.calls.iter().filter(|call| {
            call.accepted().is_some_and(|accepted| during.contains(&accepted.seq))
                && view.apps(call.callee()).contains(&sleep.actor.as_str())
        });
        let lonely = calls.into_iter().find(|call| {
            let over = call.finals().next().is_some_and(|(said, _)| said.seq < sleep.until);
            // The app may be on its way for the message already.
            let accepted_us = call.accepted().map_or(u64::MAX, |said| said.t_us);
            let left_us = view.opened_us(sleep).saturating_sub(accepted_us);
            !over && left_us > GIVEN_US && view.pushes_for(call).next().is_none()
        });
        match lonely {
            Some(call) if sent > 0 && !view.is_disturbed() => {
                let at = call.accepted().map_or(sleep.from, |said| said.seq);
                broken(format!("{} was left to the push of a message", call.mark), at)
            }
            _ if sent > 1 && before.is_some() => Outcome::Met,
            _ => Outcome::Silent,
        }
    })
}

/// A NOTIFY for a sleeper is answered 200 or 480, and the app that comes back is told the last state
/// of each notifier, once.
pub(super) fn notices_are_coalesced(view: &View<'_>) -> Outcome {
    let refused = view.notices.iter().find(|notice| {
        let asleep = view.sleeps_at(&notice.to, notice.seq);
        asleep && notice.answer.is_some_and(|(_, status)| !matches!(status, 200 | 480 | 481))
    });
    if let Some(refused) = refused {
        let status = refused.answer.map_or(0, |(_, status)| status);
        return broken(format!("a NOTIFY for a sleeper was answered {status}"), refused.seq);
    }
    each(&view.sleeps, |sleep| {
        each(view.notifiers(), |notifier| last_is_told(view, sleep, notifier))
    })
}

fn last_is_told(view: &View<'_>, sleep: &Sleep, notifier: &str) -> Outcome {
    let during = sleep.from..sleep.until;
    let its = view.notices.iter().filter(|notice| {
        let of_app = view.apps(&notice.to).contains(&sleep.actor.as_str());
        let taken = notice.answer.is_some_and(|(at, status)| status == 200 && during.contains(&at));
        notice.by == notifier && of_app && taken && during.contains(&notice.seq)
    });
    let kept: Vec<_> = its.collect();
    let Some(last) = kept.last() else { return Outcome::Silent };
    let back = view.frames.iter().find(|f| {
        !f.sent && f.actor == sleep.actor && f.seq > sleep.until && f.is("connect", "response")
    });
    let Some(back) = back else { return Outcome::Silent };
    let mut told = view
        .frames
        .iter()
        .filter(|f| f.actor == sleep.actor && f.seq > sleep.until && f.is_notice_of(notifier));
    match told.next() {
        Some(first) if first.waiting() == last.waiting => Outcome::Met,
        Some(first) => {
            // One that came since may be told in its place.
            let later = view.notices.iter().any(|notice| {
                notice.by == notifier && notice.seq > last.seq && notice.waiting == first.waiting()
            });
            if later {
                return Outcome::Met;
            }
            let (waits, said) = (last.waiting, first.waiting());
            broken(
                format!("{waits} messages wait at {notifier}, and the app was told {said}"),
                first.seq,
            )
        }
        None => {
            let heard_us = view.end().map_or(0, |end| end.t_us.saturating_sub(back.t_us));
            let patience = if view.is_disturbed() { AFTER_CRASH_US } else { GIVEN_US };
            if heard_us <= patience {
                return Outcome::Silent;
            }
            broken(format!("what {notifier} told the sleeper was kept and not given"), back.seq)
        }
    }
}

/// A push for a NOTIFY, if there is one, is of low priority.
pub(super) fn summary_is_no_emergency(view: &View<'_>) -> Outcome {
    each(&view.notices, |notice| {
        let asleep = view.sleeps_at(&notice.to, notice.seq);
        let push = view.pushes.iter().find(|push| push.says("call_id") == notice.id);
        match push {
            Some(push) if push.says("event") == "call" || push.says("priority") == "high" => {
                broken("a NOTIFY was pushed for as if somebody called", push.seq)
            }
            Some(_) => Outcome::Met,
            None if asleep && notice.answer.is_some() => Outcome::Met,
            None => Outcome::Silent,
        }
    })
}
