//! What is played for the doctor.

use std::time::Duration;

use reveille_conformance::cast::{caller, phone, push};
use reveille_conformance::player::{Step, Verb, What, When};

use crate::play::{Plan, alice, asleep, bob, call, heard, sight};

fn wait(ms: u64) -> When {
    When::Wait(Duration::from_millis(ms))
}

fn pause(when: When) -> Step {
    Step { when, verb: Verb::Pause }
}

fn alerted() -> When {
    When::Seen(sight("bob", What::Alerted))
}

fn with_push(answers: &[push::Answer]) -> Plan {
    let mut plan = Plan::plain(5);
    plan.cast.push.answers = answers.to_vec();
    plan
}

fn cancel(when: When) -> Step {
    alice(when, caller::Command::Cancel("c1".to_owned()))
}

pub(super) fn plain() -> Plan {
    Plan::plain(5)
}

/// They talk for longer than an answer may wait for its copy.
pub(super) fn long_talk() -> Plan {
    let mut plan = Plan::plain(5);
    let talk = caller::Call { hang_up_after_ms: Some(8_000), ..call("c1") };
    plan.steps[1] = alice(asleep(), caller::Command::Call(talk));
    plan.step(pause(wait(9_000)))
}

/// The second call comes when the first one is held.
pub(super) fn in_turn() -> Plan {
    Plan::plain(5).step(alice(When::Seen(heard(100)), caller::Command::Call(call("c2"))))
}

pub(super) fn cancelled() -> Plan {
    Plan::plain(5).conduct(phone::Conduct::Ring).step(cancel(When::Seen(heard(180))))
}

/// The CANCEL leaves when the answer is on its way.
pub(super) fn cancelled_too_late() -> Plan {
    Plan::plain(5).step(pause(alerted())).step(cancel(wait(505)))
}

pub(super) fn repeated() -> Plan {
    let again = caller::Command::Retransmit("c1".to_owned());
    Plan::plain(5).step(alice(When::Seen(heard(183)), again))
}

pub(super) fn refused() -> Plan {
    with_push(&[push::Answer::Refuse { status: 410 }])
}

pub(super) fn busy() -> Plan {
    with_push(&[push::Answer::Refuse { status: 503 }])
}

pub(super) fn pushed_in_vain() -> Plan {
    with_push(&[push::Answer::Drop])
}

/// The user opens the app while its push is delayed.
pub(super) fn opened_early() -> Plan {
    let plan = with_push(&[push::Answer::Delay { delay_ms: 3_000 }]);
    plan.step(bob(When::Seen(heard(183)), phone::Command::Open))
}

/// The call crosses the request to sleep.
pub(super) fn crossing() -> Plan {
    let mut plan = Plan::plain(5);
    plan.steps[1].when = wait(10);
    plan
}

/// The app wants to sleep while it rings.
pub(super) fn sleepy_ringing() -> Plan {
    let mut plan = Plan::plain(5).conduct(phone::Conduct::Answer { after_ms: 2_000 });
    plan.steps = vec![
        alice(When::Now, caller::Command::Call(call("c1"))),
        bob(alerted(), phone::Command::Sleep(phone::SleepBy::Hibernate)),
    ];
    plan
}

/// Nobody wakes for the longest budget.
pub(super) fn held_long() -> Plan {
    let mut plan = Plan::plain(5);
    plan.settings.core.wake_budget_ms = 150_000;
    plan.steps.insert(1, bob(asleep(), phone::Command::IgnorePushes(true)));
    plan.step(pause(wait(100_000)))
}

/// The registration outlives several of its lives in sleep.
pub(super) fn slept_long() -> Plan {
    let mut plan = Plan::plain(5);
    if let Some(registrar) = &mut plan.settings.core.registrar {
        registrar.expires_s = 60;
    }
    plan.steps.insert(1, pause(asleep()));
    plan.steps[2].when = wait(150_000);
    plan
}
