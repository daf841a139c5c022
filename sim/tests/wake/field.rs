//! What happens in the field: pushes that are refused, lost, late or doubled, apps that never come,
//! die or lose their network, a registrar that forgets, a caller who changes his mind.

use std::time::Duration;

use reveille_conformance::cast::{caller, phone, push, registrar};
use reveille_conformance::checks::judge;
use reveille_conformance::player::{Step, Verb, When};
use reveille_scenarios::What;
use reveille_trace::{Kind, Observed, Trace};

use crate::play::{Plan, alice, asleep, bob, call, heard, play, responses, sight};

/// Plays, lets every check decide, and gives the trace and the final responses that alice heard.
fn played(plan: &Plan) -> (Trace, Vec<u16>) {
    let played = play(plan);
    assert_eq!(played.outcome, Ok(()));
    for finding in judge(&played.trace, &[]) {
        assert_eq!(finding.observed, Observed::Pass, "{finding:?}");
    }
    let statuses = responses(&played.trace).into_iter().map(|(status, _)| status);
    let mut finals: Vec<_> = statuses.filter(|status| *status >= 200).collect();
    finals.dedup();
    (played.trace, finals)
}

fn pushes(trace: &Trace) -> usize {
    trace.events.iter().filter(|event| event.kind == Kind::PushReceived).count()
}

fn alerts(trace: &Trace) -> usize {
    trace.events.iter().filter(|event| event.kind == Kind::AppAlerted).count()
}

fn with_push(answers: &[push::Answer]) -> Plan {
    let mut plan = Plan::plain(5);
    plan.cast.push.answers = answers.to_vec();
    plan
}

#[test]
fn sleep_by_close_code_is_sleep() {
    let mut plan = Plan::plain(5);
    plan.steps[0] = bob(When::Now, phone::Command::Sleep(phone::SleepBy::Close));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 1, 1));
}

#[test]
fn an_app_that_never_comes_is_480_at_the_budget() {
    let mut plan = Plan::plain(5);
    plan.steps.insert(1, bob(asleep(), phone::Command::IgnorePushes(true)));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![480], 1, 0));
    let at = |status: &str| {
        let is_it = |e: &&reveille_trace::Event| {
            e.actor == "alice" && String::from_utf8_lossy(e.bytes()).starts_with(status)
        };
        trace.events.iter().find(is_it).expect("it was heard").t_us
    };
    let held_ms = (at("SIP/2.0 480") - at("SIP/2.0 100")) / 1_000;
    assert!((29_900..30_200).contains(&held_ms), "held for {held_ms} ms");
}

#[test]
fn a_refused_push_ends_the_hold_at_once() {
    let (trace, finals) = played(&with_push(&[push::Answer::Refuse { status: 410 }]));
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![480], 1, 0));
}

#[test]
fn a_push_service_that_fails_for_a_moment_is_asked_again() {
    let busy = push::Answer::Refuse { status: 503 };
    let (trace, finals) = played(&with_push(&[busy, busy]));
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 3, 1));
}

#[test]
fn a_push_request_that_times_out_is_tried_again() {
    let (trace, finals) = played(&with_push(&[push::Answer::Hang]));
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 2, 1));
}

#[test]
fn an_accepted_push_that_is_lost_is_480_at_the_budget() {
    let (trace, finals) = played(&with_push(&[push::Answer::Drop]));
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![480], 1, 0));
}

#[test]
fn a_push_delivered_twice_rings_once() {
    let (trace, finals) = played(&with_push(&[push::Answer::Duplicate]));
    assert_eq!((finals, alerts(&trace)), (vec![200], 1));
}

#[test]
fn an_invite_sent_again_and_again_is_one_call() {
    let again = || alice(When::Seen(heard(183)), caller::Command::Retransmit("c1".to_owned()));
    let (trace, finals) = played(&Plan::plain(5).step(again()).step(again()));
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 1, 1));
}

#[test]
fn an_invite_that_crosses_the_request_to_sleep_is_answered() {
    for wait_ms in [0, 5, 10, 15, 20, 25, 30, 40] {
        let mut plan = Plan::plain(5);
        let wait = When::Wait(Duration::from_millis(wait_ms));
        plan.steps[1] = alice(wait, caller::Command::Call(call("c1")));
        let (trace, finals) = played(&plan);
        assert_eq!((finals, alerts(&trace)), (vec![200], 1), "{wait_ms} ms after the request");
    }
}

#[test]
fn a_declined_call_is_declined_at_the_caller() {
    let plan = Plan::plain(5).conduct(phone::Conduct::Decline { status: 603 });
    let (trace, finals) = played(&plan);
    assert_eq!((finals, alerts(&trace)), (vec![603], 1));
}

#[test]
fn a_cancel_before_the_wake_means_no_ring() {
    let mut plan = with_push(&[push::Answer::Delay { delay_ms: 2_000 }]);
    plan = plan.step(alice(When::Seen(heard(100)), caller::Command::Cancel("c1".to_owned())));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, alerts(&trace)), (vec![487], 0));
}

#[test]
fn a_cancel_while_it_rings_stops_the_ring() {
    let plan = Plan::plain(5)
        .conduct(phone::Conduct::Ring)
        .step(alice(When::Seen(heard(180)), caller::Command::Cancel("c1".to_owned())));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, alerts(&trace)), (vec![487], 1));
    assert!(trace.events.iter().any(|event| event.kind == Kind::AppCallEnded));
}

#[test]
fn an_app_killed_while_it_rings_is_woken_again() {
    let slow = phone::Conduct::Answer { after_ms: 2_000 };
    let killed = bob(When::Seen(sight("bob", What::Alerted)), phone::Command::Kill);
    let (trace, finals) = played(&Plan::plain(5).conduct(slow).step(killed));
    assert_eq!((finals, pushes(&trace)), (vec![200], 2));
}

#[test]
fn a_registrar_that_forgets_is_told_again_while_the_phone_sleeps() {
    let mut plan = Plan::plain(5);
    if let Some(registrar) = &mut plan.settings.core.registrar {
        registrar.expires_s = 60;
    }
    let forget = Step { when: asleep(), verb: Verb::Registrar(registrar::Command::Forget) };
    plan.steps.insert(1, forget);
    plan.steps[2].when = When::Wait(Duration::from_secs(60));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 1, 1));
    let granted = trace.events.iter().filter(|event| {
        let text = String::from_utf8_lossy(event.bytes()).into_owned();
        event.actor == "registrar" && event.kind == Kind::SipSent && text.starts_with("SIP/2.0 200")
    });
    assert!(granted.count() >= 2, "registered before and after");
}

#[test]
fn a_registration_is_outlived_by_a_long_sleep() {
    let mut plan = Plan::plain(5);
    if let Some(registrar) = &mut plan.settings.core.registrar {
        registrar.expires_s = 60;
    }
    plan.steps.insert(1, Step { when: asleep(), verb: Verb::Pause(String::new()) });
    plan.steps[2].when = When::Wait(Duration::from_secs(150));
    let (trace, finals) = played(&plan);
    assert_eq!((finals, pushes(&trace), alerts(&trace)), (vec![200], 1, 1));
    let lapsed = trace.events.iter().find(|event| event.text("text") == Some("binding-lapsed"));
    assert_eq!(lapsed, None, "the binding is never absent");
}
