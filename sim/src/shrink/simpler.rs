//! Verbs with less to say.

use std::time::Duration;

use reveille_scenarios::{Content, Message, PushFate, Verb, Weather};

use super::DOWN;

/// The verb with one argument less, for each that it can do without.
pub(super) fn simpler(verb: &Verb) -> Vec<Verb> {
    let mut all = Vec::new();
    let mut edit = |change: &dyn Fn(&mut Verb)| {
        let mut changed = verb.clone();
        change(&mut changed);
        if changed != *verb {
            all.push(changed);
        }
    };
    match verb {
        Verb::Sleep { by_close: _, phone: _ } => edit(&|v| {
            if let Verb::Sleep { by_close, .. } = v {
                *by_close = false;
            }
        }),
        Verb::Call { .. } => calls(&mut edit),
        Verb::Cancel { by: _, mark: _ }
        | Verb::HangUp { by: _, who: _ }
        | Verb::Info { by: _, mark: _ } => {
            edit(&by_who_placed_it);
        }
        Verb::Renegotiate { mark: _, by: _, update: _, stale: _ } => {
            edit(&by_who_placed_it);
            edit(&|v| {
                if let Verb::Renegotiate { update, .. } = v {
                    *update = false;
                }
            });
            edit(&|v| {
                if let Verb::Renegotiate { stale, .. } = v {
                    *stale = false;
                }
            });
        }
        Verb::Message(Message {
            mark: _,
            from: _,
            to: _,
            content: _,
            non_urgent: _,
            expires: _,
        }) => messages(&mut edit),
        Verb::Notify { phone: _, by: _, messages: _, ends: _ } => {
            edit(&|v| {
                if let Verb::Notify { ends, .. } = v {
                    *ends = false;
                }
            });
            edit(&|v| {
                if let Verb::Notify { messages, .. } = v {
                    *messages = 1;
                }
            });
        }
        Verb::Push { service: _, fate: _, times: _ } => pushes(&mut edit),
        Verb::Crash { down: _, host: _ }
        | Verb::PowerLoss { down: _, host: _ }
        | Verb::Restart { down: _, host: _ } => edit(&|v| {
            if let Verb::Crash { down, .. }
            | Verb::PowerLoss { down, .. }
            | Verb::Restart { down, .. } = v
            {
                *down = DOWN;
            }
        }),
        Verb::Storm { a: _, b: _, weather: _, lasts: _ } => storms(&mut edit),
        Verb::Resume { phone: _ }
        | Verb::Subscribe { phone: _, to: _ }
        | Verb::Retransmit { mark: _ }
        | Verb::SetPushes { phone: _, ignored: _ }
        | Verb::SetOnCall { who: _, on_call: _ }
        | Verb::SetEarly { who: _, early: _ }
        | Verb::SetNode { who: _, node: _ }
        | Verb::KillApp { phone: _ }
        | Verb::DropWebSocket { phone: _ }
        | Verb::Partition { a: _, b: _, lasts: _ }
        | Verb::Cut { from: _, to: _, lasts: _ }
        | Verb::Outage { host: _, lasts: _ }
        | Verb::Move { who: _ }
        | Verb::Rebind { who: _ }
        | Verb::Clock { host: _, by_ms: _ }
        | Verb::Device { phone: _, act: _ }
        | Verb::Note { text: _ } => {}
    }
    all
}

/// A storm with one trouble less.
fn storms(edit: &mut impl FnMut(&dyn Fn(&mut Verb))) {
    let calm: [fn(&mut Weather); 6] = [
        |it| it.delay = Duration::ZERO,
        |it| it.jitter = Duration::ZERO,
        |it| it.loss = 0,
        |it| it.duplicate = 0,
        |it| it.reorder = 0,
        |it| it.bandwidth = None,
    ];
    for calm in calm {
        edit(&|v| {
            if let Verb::Storm { weather, .. } = v {
                calm(weather);
            }
        });
    }
}

fn calls(edit: &mut impl FnMut(&dyn Fn(&mut Verb))) {
    edit(&|v| {
        if let Verb::Call { hang_up_after, lost_answers, late_offer, to_request_uri, .. } = v {
            (*hang_up_after, *lost_answers) = (None, 0);
            (*late_offer, *to_request_uri) = (false, false);
        }
    });
    edit(&|v| {
        if let Verb::Call { hang_up_after, .. } = v {
            *hang_up_after = None;
        }
    });
    edit(&|v| {
        if let Verb::Call { lost_answers, .. } = v {
            *lost_answers = 0;
        }
    });
    edit(&|v| {
        if let Verb::Call { lost_answers, .. } = v {
            *lost_answers = (*lost_answers).min(1);
        }
    });
    edit(&|v| {
        if let Verb::Call { late_offer, .. } = v {
            *late_offer = false;
        }
    });
    edit(&|v| {
        if let Verb::Call { to_request_uri, .. } = v {
            *to_request_uri = false;
        }
    });
}

fn messages(edit: &mut impl FnMut(&dyn Fn(&mut Verb))) {
    edit(&|v| {
        if let Verb::Message(m) = v {
            m.content = Content::default();
        }
    });
    edit(&|v| {
        if let Verb::Message(m) = v {
            m.non_urgent = false;
        }
    });
    edit(&|v| {
        if let Verb::Message(m) = v {
            m.expires = None;
        }
    });
}

fn pushes(edit: &mut impl FnMut(&dyn Fn(&mut Verb))) {
    edit(&|v| {
        if let Verb::Push { times, .. } = v {
            *times = 1;
        }
    });
    edit(&|v| {
        if let Verb::Push { fate, .. } = v {
            match fate {
                PushFate::Refused { retry_after, status: _ } => *retry_after = None,
                PushFate::Answered { retry_after, age, reason: _ } => {
                    (*retry_after, *age) = (None, Duration::ZERO);
                }
                PushFate::RequestDropped
                | PushFate::DeliveryDropped
                | PushFate::Duplicated
                | PushFate::Delayed(_)
                | PushFate::Broken(_) => {}
            }
        }
    });
}

fn by_who_placed_it(verb: &mut Verb) {
    if let Verb::Cancel { by, .. }
    | Verb::HangUp { by, .. }
    | Verb::Info { by, .. }
    | Verb::Renegotiate { by, .. } = verb
    {
        *by = None;
    }
}
