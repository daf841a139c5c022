//! Push services in a file: whose phone is woken by which, and what becomes of requests.

use std::time::Duration;

use reveille_scenarios::{Actor, Break, PushFate, Report, Scenario, Service, Verb, read};

/// A phone for each service, and one step before a call.
fn file(step: &str) -> Result<Scenario, Report> {
    let text = format!(
        r#"schema = 1
title = "T"
[actors]
alice = {{ kind = "sip-ua" }}
anna = {{ kind = "phone", push = "apns" }}
bob = {{ kind = "phone" }}
flora = {{ kind = "phone", push = "fcm" }}
walter = {{ kind = "phone", push = "webpush" }}
[script]
steps = [
  {{ {step} }},
  {{ call = "c1", from = "alice", to = "bob" }},
]
expect = [
  {{ must = "bob.alerted(c1)" }},
]
"#
    );
    read("push/test", &text)
}

fn sound(step: &str) -> Scenario {
    file(step).unwrap_or_else(|report| panic!("{report}"))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn each_phone_is_woken_by_the_service_that_it_names() {
    let actors = sound(r#"sleep = "bob""#).actors;
    let of = |name: &str| match &actors[name] {
        Actor::Phone { push, .. } => *push,
        Actor::SipUa { .. } => panic!("{name} is no phone"),
    };
    let all = ["bob", "anna", "flora", "walter"].map(of);
    assert_eq!(all, [Service::Webhook, Service::Apns, Service::Fcm, Service::WebPush]);
}

#[test]
fn every_verb_on_a_service_reads() {
    let answered = |reason, retry_after, age| PushFate::Answered { reason, retry_after, age };
    let refused = |status, retry_after| PushFate::Refused { status, retry_after };
    let table = [
        ("refuse = \"push.webhook\", status = 410", Service::Webhook, refused(410, None)),
        (
            "refuse = \"push.webpush\", status = 429, retry-after = \"5s\"",
            Service::WebPush,
            refused(429, Some(seconds(5))),
        ),
        (
            "refuse = \"push.apns\", reason = \"Unregistered\", age = \"1h\"",
            Service::Apns,
            answered("Unregistered", None, seconds(3_600)),
        ),
        (
            "refuse = \"push.fcm\", reason = \"QUOTA_EXCEEDED\", retry-after = \"8s\"",
            Service::Fcm,
            answered("QUOTA_EXCEEDED", Some(seconds(8)), seconds(0)),
        ),
        (
            "refuse = \"push.oauth\", reason = \"temporarily_unavailable\"",
            Service::OAuth,
            answered("temporarily_unavailable", None, seconds(0)),
        ),
        ("refuse = \"push.oauth\", status = 500", Service::OAuth, refused(500, None)),
        ("drop = \"push.apns\"", Service::Apns, PushFate::DeliveryDropped),
        ("drop = \"push.fcm\", what = \"request\"", Service::Fcm, PushFate::RequestDropped),
        ("duplicate = \"push.webpush\"", Service::WebPush, PushFate::Duplicated),
        ("delay = \"push.apns\", by = \"3s\"", Service::Apns, PushFate::Delayed(seconds(3))),
        ("break = \"push.fcm\", how = \"page\"", Service::Fcm, PushFate::Broken(Break::Page)),
        (
            "break = \"push.webpush\", how = \"endless\"",
            Service::WebPush,
            PushFate::Broken(Break::Endless),
        ),
        ("break = \"push.apns\", how = \"goaway\"", Service::Apns, PushFate::Broken(Break::GoAway)),
        (
            "break = \"push.apns\", how = \"refused-stream\"",
            Service::Apns,
            PushFate::Broken(Break::RefusedStream),
        ),
    ];
    for (step, service, fate) in table {
        let verb = sound(&format!("{step}, times = 2")).steps.swap_remove(0).verb;
        assert_eq!(verb, Verb::Push { service, fate, times: 2 }, "{step}");
    }
}

#[test]
fn every_reason_of_every_service_reads() {
    let mut reasons = 0;
    for service in Service::ALL {
        for reason in service.reasons() {
            sound(&format!("refuse = \"push.{}\", reason = \"{reason}\"", service.name()));
            reasons += 1;
        }
    }
    assert_eq!(reasons, 52);
}

/// What is wrong with a step, as code and help.
fn wrong(step: &str) -> Vec<(&'static str, String)> {
    let report = file(step).expect_err(step);
    report.problems.into_iter().map(|p| (p.code, p.help.unwrap_or_default())).collect()
}

#[test]
fn what_a_service_cannot_do_is_said() {
    let table = [
        ("drop = \"push.oauth\"", "wrong-target", "`push.webpush`"),
        ("refuse = \"push.pigeon\", status = 410", "wrong-target", "`push.oauth`"),
        ("refuse = \"push.apns\", reason = \"Unregisterd\"", "unknown-word", "`Unregistered`?"),
        ("refuse = \"push.fcm\", reason = \"Unregistered\"", "unknown-word", "`UNREGISTERED`"),
        (
            "refuse = \"push.apns\", reason = \"Shutdown\", age = \"1s\"",
            "unknown-key",
            "leave `age`",
        ),
        ("refuse = \"push.apns\", status = 410, age = \"1s\"", "unknown-key", "leave `age`"),
        ("refuse = \"push.apns\"", "missing-key", "status = 410"),
        (
            "refuse = \"push.apns\", status = 429, retry-after = \"1500ms\"",
            "out-of-range",
            "\"2s\"",
        ),
        ("break = \"push.apns\"", "missing-key", "how = \"page\""),
        ("break = \"push.apns\", how = \"goway\"", "unknown-word", "`goaway`?"),
    ];
    for (step, code, help) in table {
        let found = wrong(step);
        let [(is, says)] = found.as_slice() else { panic!("{step}: {found:?}") };
        assert_eq!(*is, format!("scenario.{code}"), "{step}");
        assert!(says.contains(help), "{step}: {says}");
    }
    // A service without named reasons: the key goes, and a status is missing.
    let found = wrong("refuse = \"push.webpush\", reason = \"410\"");
    let codes: Vec<_> = found.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["scenario.missing-key", "scenario.unknown-key"]);
}
