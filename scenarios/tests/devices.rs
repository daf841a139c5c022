//! Phones with an operating system in a file.

use std::time::Duration;

use reveille_scenarios::{
    Actor, Bucket, Device, DeviceAct, Misstep, Os, Permission, Report, Scenario, Service, Verb,
    read,
};

/// Three phones, one of each system, a fourth without one, and one step before a call.
fn file(bob: &str, step: &str) -> Result<Scenario, Report> {
    let text = format!(
        r#"schema = 1
title = "T"
[actors]
alice = {{ kind = "sip-ua" }}
anna = {{ kind = "phone", os = "ios" }}
bob = {{ kind = "phone", {bob} }}
carol = {{ kind = "phone" }}
walter = {{ kind = "phone", os = "web" }}
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
    read("phone/test", &text)
}

const ANDROID: &str = r#"os = "android""#;

#[test]
fn what_a_system_brings_reads_and_the_rest_has_its_default() {
    let device = |os, bucket, permission, cold_start| Device { os, bucket, permission, cold_start };
    let plain = |os| device(os, Bucket::Active, Permission::Granted, None);
    let seconds = |n| Some(Duration::from_secs(n));
    let rows = [
        (ANDROID, Service::Fcm, plain(Os::Android)),
        (
            r#"os = "android", push = "webpush", bucket = "working-set", cold-start = "4s""#,
            Service::WebPush,
            device(Os::Android, Bucket::WorkingSet, Permission::Granted, seconds(4)),
        ),
        (
            r#"os = "ios", permission = "unasked""#,
            Service::Apns,
            device(Os::Ios, Bucket::Active, Permission::Unasked, None),
        ),
        (
            r#"os = "web", permission = "denied""#,
            Service::WebPush,
            device(Os::Web, Bucket::Active, Permission::Denied, None),
        ),
    ];
    for (said, service, wanted) in rows {
        let scenario = file(said, r#"sleep = "bob""#).unwrap_or_else(|report| panic!("{report}"));
        let Actor::Phone { push, device, .. } = &scenario.actors["bob"] else { panic!("a phone") };
        assert_eq!((*push, *device), (service, Some(wanted)), "{said}");
        let Actor::Phone { device: none, .. } = &scenario.actors["carol"] else {
            panic!("a phone")
        };
        assert_eq!(*none, None);
    }
    for bucket in ["active", "frequent", "rare", "restricted"] {
        let said = format!("{ANDROID}, bucket = \"{bucket}\"");
        file(&said, r#"sleep = "bob""#).unwrap_or_else(|report| panic!("{report}"));
    }
}

#[test]
fn every_verb_on_a_phone_with_a_system_reads() {
    let lasts = Duration::from_secs(30);
    let misbehave = |how, times| DeviceAct::Misbehave { how, times };
    let rows = [
        (r#"background = "bob""#, DeviceAct::Background),
        (r#"foreground = "bob""#, DeviceAct::Foreground),
        (r#"force-stop = "bob""#, DeviceAct::ForceStop),
        (r#"lock = "bob""#, DeviceAct::Lock),
        (r#"unlock = "bob""#, DeviceAct::Unlock),
        (r#"airplane = "bob", lasts = "30s""#, DeviceAct::Airplane { lasts }),
        (r#"doze = "bob", depth = "deep", lasts = "30s""#, DeviceAct::Doze { deep: true, lasts }),
        (r#"doze = "bob", depth = "light", lasts = "30s""#, DeviceAct::Doze { deep: false, lasts }),
        (r#"low-power = "bob""#, DeviceAct::LowPower),
        (r#"misbehave = "bob", how = "fails-to-start""#, misbehave(Misstep::FailsToStart, 1)),
        (
            r#"misbehave = "bob", how = "connects-late", times = 2"#,
            misbehave(Misstep::ConnectsLate, 2),
        ),
        (r#"misbehave = "bob", how = "crashes""#, misbehave(Misstep::Crashes, 1)),
    ];
    for (step, act) in rows {
        let scenario = file(ANDROID, step).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(scenario.steps[0].verb, Verb::Device { phone: "bob".to_owned(), act }, "{step}");
    }
    let step = r#"misbehave = "anna", how = "reports-nothing""#;
    let scenario = file(ANDROID, step).unwrap_or_else(|report| panic!("{report}"));
    let act = misbehave(Misstep::ReportsNothing, 1);
    assert_eq!(scenario.steps[0].verb, Verb::Device { phone: "anna".to_owned(), act });
}

#[test]
fn what_a_system_does_not_know_is_said() {
    let sleep = r#"sleep = "bob""#;
    let table = [
        (
            ANDROID,
            r#"doze = "carol", depth = "deep", lasts = "1h""#,
            "wrong-os",
            "os = \"android\"",
        ),
        (ANDROID, r#"doze = "anna", depth = "deep", lasts = "1h""#, "wrong-os", "`android`"),
        (ANDROID, r#"misbehave = "bob", how = "reports-nothing""#, "wrong-os", "`ios`"),
        (ANDROID, r#"force-stop = "alice""#, "wrong-actor", "`bob`"),
        (ANDROID, r#"doze = "bob", lasts = "1h""#, "missing-key", "depth = \"deep\""),
        (ANDROID, r#"doze = "bob", depth = "deep""#, "missing-key", "lasts = \"2h\""),
        (ANDROID, r#"doze = "bob", depth = "depe", lasts = "1h""#, "unknown-word", "`deep`?"),
        (ANDROID, r#"airplane = "bob""#, "missing-key", "lasts = \"30s\""),
        (ANDROID, r#"lock = "bob", lasts = "1s""#, "unknown-key", "`airplane`"),
        (ANDROID, r#"misbehave = "bob""#, "missing-key", "how = \"fails-to-start\""),
        (r#"os = "andriod""#, sleep, "unknown-word", "`android`?"),
        (r#"os = "android", permission = "denied""#, sleep, "wrong-os", "`ios` and `web`"),
        (r#"os = "ios", bucket = "rare""#, sleep, "wrong-os", "`android`"),
        (r#"os = "ios", push = "fcm""#, sleep, "wrong-os", "`apns`"),
        (r#"bucket = "rare""#, sleep, "wrong-os", "os = \"android\""),
        (r#"os = "ios", cold-start = "2m""#, sleep, "out-of-range", "0s to 60s"),
    ];
    for (bob, step, code, help) in table {
        let report = file(bob, step).expect_err(step);
        let found: Vec<_> = report.problems.iter().map(|p| (p.code, p.help.as_deref())).collect();
        let [(is, Some(says))] = found.as_slice() else { panic!("{bob} {step}: {found:?}") };
        assert_eq!(*is, format!("scenario.{code}"), "{bob} {step}");
        assert!(says.contains(help), "{bob} {step}: {says}");
    }
}
