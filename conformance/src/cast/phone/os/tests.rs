//! Each rule of each system, without a world.

use super::*;
use crate::cast::push::{Manner, PushKind};

const VOIP: Manner = Manner { urgent: true, kind: PushKind::Voip };
const ALERT: Manner = Manner { urgent: true, kind: PushKind::Alert };
const QUIET: Manner = Manner { urgent: false, kind: PushKind::Background };
const HIGH: Manner = Manner { urgent: true, kind: PushKind::Data };
const NORMAL: Manner = Manner { urgent: false, kind: PushKind::Data };

/// A phone, the time, and whether the app has a call. The least of each range is drawn.
struct Bench {
    os: Os,
    now: Duration,
    busy: bool,
}

fn bench(system: System) -> Bench {
    with(system, Bucket::Active, Permission::Granted)
}

fn with(system: System, bucket: Bucket, permission: Permission) -> Bench {
    let os = Os::new(Settings { system, bucket, permission, cold_start_ms: None });
    Bench { os, now: Duration::from_secs(100), busy: false }
}

/// As a trace would have it: what arrived, what was held and why, and the rest.
fn words(outputs: Vec<Output>) -> Vec<String> {
    let word = |output| match output {
        Output::Arrived(payload) => format!("arrived {payload}"),
        Output::Held { payload, why, fate } => format!("held {payload} {why} {}", fate.name()),
        Output::Launch => "launch".to_owned(),
        Output::End => "end".to_owned(),
        Output::Changed(what, state) => format!("{what} {state}"),
        Output::Struck(fault, on) => format!("struck {fault} {on}"),
    };
    outputs.into_iter().map(word).collect()
}

impl Bench {
    fn take(&mut self, input: Input) -> Vec<String> {
        words(self.os.handle(self.now, self.busy, input, &mut |range| *range.start()))
    }

    fn order(&mut self, order: Order) -> Vec<String> {
        self.take(Input::Order(order))
    }

    fn push(&mut self, payload: &str, manner: Manner) -> Vec<String> {
        self.push_for(payload, manner, None)
    }

    fn push_for(&mut self, payload: &str, manner: Manner, life_s: Option<u64>) -> Vec<String> {
        let until = life_s.map(|life| self.now + Duration::from_secs(life));
        self.take(Input::Push(Parcel { payload: payload.to_owned(), manner, until }))
    }

    /// What happens by itself in so many milliseconds.
    fn pass(&mut self, ms: u64) -> Vec<String> {
        let until = self.now + Duration::from_millis(ms);
        let mut all = Vec::new();
        while let Some(due) = self.os.due().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            all.extend(self.take(Input::Tick));
        }
        self.now = until;
        all
    }

    /// Sleeps, and has its app killed.
    fn killed(mut self) -> Self {
        self.take(Input::Slept);
        self.take(Input::Ended);
        self
    }

    fn dozing(mut self, deep: bool) -> Self {
        self.take(Input::Slept);
        self.order(Order::Doze { deep, lasts_ms: 10 * 3_600_000 });
        self
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_sleeping_app_starts_warm_and_a_killed_one_cold() {
    for (system, cold_ms, warm_ms) in [
        (System::Ios, *ios::COLD_MS.start(), *ios::WARM_MS.start()),
        (System::Android, *android::COLD_MS.start(), *android::WARM_MS.start()),
    ] {
        let mut warm = bench(system);
        warm.take(Input::Slept);
        assert_eq!(warm.push("a", HIGH), ["arrived a", "app starting"]);
        assert_eq!(warm.push("b", HIGH), ["arrived b"], "one start is enough");
        assert_eq!(warm.pass(warm_ms - 1), NOTHING);
        assert_eq!(warm.pass(1), ["launch"]);
        assert_eq!(warm.push("c", HIGH), ["arrived c"], "it runs");
        let mut cold = bench(system).killed();
        cold.push("a", HIGH);
        assert_eq!(cold.pass(cold_ms - 1), NOTHING);
        assert_eq!(cold.pass(1), ["launch"]);
    }
}

#[test]
fn a_start_takes_as_long_as_it_is_told_and_half_as_long_again_in_low_power_mode() {
    let slow = Settings {
        system: System::Android,
        bucket: Bucket::Active,
        permission: Permission::Granted,
        cold_start_ms: Some(4_000),
    };
    let mut phone = Bench { os: Os::new(slow), ..bench(System::Android) }.killed();
    assert_eq!(phone.order(Order::LowPower), ["struck low-power os", "low-power on"]);
    assert_eq!(phone.order(Order::LowPower), NOTHING, "it is on");
    phone.push("a", HIGH);
    assert_eq!(phone.pass(5_999), NOTHING);
    assert_eq!(phone.pass(1), ["launch"]);
}

#[test]
fn a_force_stopped_android_gets_nothing_until_its_user_opens_it() {
    let mut phone = bench(System::Android);
    let stopped = ["struck force-stop app", "end", "app stopped"];
    assert_eq!(phone.order(Order::ForceStop), stopped);
    assert_eq!(phone.order(Order::ForceStop), NOTHING);
    assert_eq!(phone.push("a", HIGH), ["held a force-stopped never"]);
    assert_eq!(phone.order(Order::Foreground), ["app foreground", "app starting"]);
    phone.pass(10_000);
    assert_eq!(phone.push("b", HIGH), ["arrived b"]);
}

#[test]
fn doze_lets_high_priority_pass_and_keeps_the_rest_for_the_window() {
    for (deep, first_window_ms) in [(false, 300_000), (true, 3_600_000)] {
        let mut phone = bench(System::Android).dozing(deep);
        assert_eq!(phone.push("call", HIGH), ["arrived call", "app starting"]);
        assert_eq!(phone.pass(1_000), ["launch"]);
        phone.take(Input::Slept);
        assert_eq!(phone.push("text", NORMAL), ["held text doze later"]);
        assert_eq!(phone.push_for("old", NORMAL, Some(10)), ["held old doze later"]);
        assert_eq!(phone.pass(first_window_ms - 1_001), NOTHING);
        let opened = ["doze window", "arrived text", "app starting", "held old expired never"];
        assert_eq!(phone.pass(1), opened);
        assert_eq!(phone.push("more", NORMAL), ["arrived more"], "a window is open");
    }
}

#[test]
fn doze_ends_when_the_phone_is_touched() {
    let mut phone = bench(System::Android).dozing(true);
    phone.push("text", NORMAL);
    let ended = ["screen on", "doze off", "arrived text", "app starting", "app foreground"];
    assert_eq!(phone.order(Order::Unlock), ended);
}

#[test]
fn an_app_loses_its_connection_in_doze_unless_it_has_a_call() {
    let doze = Order::Doze { deep: false, lasts_ms: 3_600_000 };
    let mut phone = bench(System::Android);
    let begun = ["screen off", "app background", "struck doze os", "doze light"];
    assert_eq!(phone.order(doze), [&begun[..], &["end", "app suspended"]].concat());
    assert_eq!(phone.order(doze), NOTHING, "it dozes");
    let mut calling = bench(System::Android);
    calling.busy = true;
    assert_eq!(calling.order(doze), begun);
    assert_eq!(calling.pass(5_000), NOTHING);
    calling.busy = false;
    assert_eq!(calling.pass(1_000), ["end", "app suspended"]);
}

#[test]
fn a_high_priority_message_opens_the_network_of_a_dozing_phone_for_five_minutes() {
    let mut phone = bench(System::Android).dozing(true);
    phone.push("call", HIGH);
    assert_eq!(phone.pass(100), ["launch"]);
    assert_eq!(phone.pass(android::ALLOWANCE_MS - 1), NOTHING);
    assert_eq!(phone.pass(1), ["end", "app suspended"]);
}

#[test]
fn a_bucket_limits_what_passes_doze_in_a_day() {
    let table = [
        (Bucket::Active, None),
        (Bucket::WorkingSet, None),
        (Bucket::Frequent, Some(10)),
        (Bucket::Rare, Some(5)),
        (Bucket::Restricted, Some(5)),
    ];
    for (bucket, quota) in table {
        let mut phone = with(System::Android, bucket, Permission::Granted).dozing(true);
        let arrived = (0..12).take_while(|_| phone.push("a", HIGH)[0] == "arrived a").count();
        assert_eq!(arrived, quota.unwrap_or(12), "{bucket:?}");
        if quota.is_some() {
            assert_eq!(phone.push("b", HIGH), ["held b quota later"]);
            phone.now += Duration::from_millis(android::DAY_MS);
            assert_eq!(phone.push("c", HIGH)[0], "arrived c", "another day, {bucket:?}");
        }
    }
}

#[test]
fn what_was_too_much_for_its_bucket_counts_as_normal_when_it_is_given() {
    let mut phone = with(System::Android, Bucket::Rare, Permission::Granted).dozing(true);
    let passing =
        |phone: &mut Bench| (0..12).take_while(|_| phone.push("a", HIGH)[0] == "arrived a").count();
    assert_eq!(passing(&mut phone), 5);
    phone.now += Duration::from_millis(android::DAY_MS);
    assert!(phone.order(Order::Unlock).contains(&"arrived a".to_owned()), "it waited");
    phone.order(Order::Doze { deep: true, lasts_ms: 3_600_000 });
    assert_eq!(passing(&mut phone), 5, "and is none of this day's");
}

#[test]
fn a_voip_push_starts_an_app_that_its_user_ended_and_needs_no_permission() {
    let mut phone = with(System::Ios, Bucket::Active, Permission::Denied);
    phone.order(Order::ForceStop);
    assert_eq!(phone.push("call", VOIP), ["arrived call", "app starting"]);
    assert_eq!(phone.pass(*ios::COLD_MS.start()), ["call-reported yes", "launch"]);
    assert_eq!(phone.push("other", VOIP), ["arrived other", "call-reported yes"]);
}

#[test]
fn an_app_that_reports_no_call_is_ended_and_after_three_times_started_no_more() {
    let mut phone = bench(System::Ios).killed();
    let how = Misstep::ReportsNothing;
    phone.order(Order::Misbehave { how, times: 3 });
    for said in ["violated", "violated", "silenced"] {
        phone.push("call", VOIP);
        let told = format!("voip-pushes {said}");
        let ended = ["struck reports-nothing app", "app gone", told.as_str()];
        assert_eq!(phone.pass(10_000), ended);
    }
    assert_eq!(phone.push("call", VOIP), ["held call calls-unreported never"]);
    assert_eq!(phone.push("text", ALERT), ["arrived text", "notification shown"]);
}

#[test]
fn a_running_app_that_reports_no_call_is_ended_at_once() {
    let mut phone = bench(System::Ios);
    phone.order(Order::Misbehave { how: Misstep::ReportsNothing, times: 1 });
    let told =
        ["arrived call", "struck reports-nothing app", "app gone", "voip-pushes violated", "end"];
    assert_eq!(phone.push("call", VOIP), told);
    assert!(!phone.os.holds_app());
}

#[test]
fn an_alert_wants_permission_and_starts_nothing() {
    for (permission, told) in [
        (Permission::Granted, &["arrived a", "notification shown"][..]),
        (Permission::Denied, &["held a permission never"]),
        (Permission::Unasked, &["held a permission never"]),
    ] {
        let mut phone = with(System::Ios, Bucket::Active, permission);
        assert_eq!(phone.push("front", ALERT), ["arrived front"], "the app shows it itself");
        phone.take(Input::Slept);
        assert_eq!(phone.push("a", ALERT), told);
    }
}

#[test]
fn the_dialog_is_shown_when_the_app_comes_to_the_front_and_never_after_a_no() {
    let mut phone = with(System::Ios, Bucket::Active, Permission::Unasked);
    phone.order(Order::Background);
    phone.order(Order::Foreground);
    assert_eq!(phone.pass(*ios::DIALOG_MS.start()), ["permission granted"]);
    let mut denied = with(System::Ios, Bucket::Active, Permission::Denied);
    denied.order(Order::Foreground);
    assert_eq!(denied.pass(60_000), NOTHING);
}

#[test]
fn what_shows_nothing_waits_in_low_power_mode_and_is_lost_to_an_ended_app() {
    let mut phone = bench(System::Ios);
    phone.take(Input::Slept);
    phone.order(Order::LowPower);
    assert_eq!(phone.push("a", QUIET), ["held a low-power later"]);
    assert_eq!(phone.push("call", VOIP), ["arrived call", "app starting"]);
    let mut ended = bench(System::Ios);
    ended.order(Order::ForceStop);
    assert_eq!(ended.push("a", QUIET), ["held a force-stopped never"]);
}

#[test]
fn an_app_in_the_background_is_suspended_on_ios_only_and_not_in_a_call() {
    for system in [System::Android, System::Web] {
        let mut phone = bench(system);
        assert_eq!(phone.order(Order::Background), ["app background"]);
        assert_eq!(phone.pass(600_000), NOTHING, "{system:?}");
    }
    let mut phone = bench(System::Ios);
    phone.order(Order::Background);
    phone.busy = true;
    assert_eq!(phone.pass(ios::BACKGROUND_MS + 5_000), NOTHING);
    phone.busy = false;
    assert_eq!(phone.pass(1_000), ["end", "app suspended"]);
    let mut back = bench(System::Ios);
    back.order(Order::Lock);
    back.order(Order::Unlock);
    assert_eq!(back.pass(600_000), NOTHING, "it is in front again");
}

#[test]
fn a_closed_page_is_opened_by_a_tap_and_a_closed_browser_by_its_user() {
    let mut page = bench(System::Web).killed();
    assert_eq!(page.push("a", HIGH), ["arrived a", "notification shown", "app starting"]);
    let least = web::WORKER_MS.start() + web::TAP_MS.start() + web::COLD_MS.start();
    assert_eq!(page.pass(least - 1), NOTHING);
    assert_eq!(page.pass(1), ["launch"]);
    let mut tab = bench(System::Web);
    tab.take(Input::Slept);
    assert_eq!(tab.push("a", HIGH), ["arrived a", "app starting"], "the page is there");
    let mut browser = bench(System::Web);
    browser.order(Order::ForceStop);
    assert_eq!(browser.push("a", HIGH), ["held a browser-closed later"]);
    assert_eq!(browser.push_for("b", HIGH, Some(1)), ["held b browser-closed later"]);
    browser.pass(5_000);
    let opened = ["app foreground", "app starting", "arrived a", "held b expired never"];
    assert_eq!(browser.order(Order::Foreground), opened);
    let mut denied = with(System::Web, Bucket::Active, Permission::Denied);
    denied.take(Input::Slept);
    assert_eq!(denied.push("a", HIGH), ["held a permission never"]);
}

#[test]
fn an_app_goes_wrong_as_often_as_it_is_told() {
    let mut phone = bench(System::Android).killed();
    for (how, times) in
        [(Misstep::FailsToStart, 1), (Misstep::ConnectsLate, 1), (Misstep::Crashes, 1)]
    {
        assert_eq!(phone.order(Order::Misbehave { how, times }), NOTHING);
    }
    phone.push("a", HIGH);
    assert_eq!(phone.pass(20_000), ["struck fails-to-start app", "app gone"]);
    assert_eq!(phone.push("b", HIGH), ["arrived b", "app starting"]);
    assert_eq!(phone.pass(20_000), ["launch"]);
    assert_eq!(phone.take(Input::Connected), ["struck crashes app", "end", "app gone"]);
    phone.push("c", HIGH);
    assert_eq!(phone.pass(20_000), ["launch"]);
    assert_eq!(phone.take(Input::Connected), NOTHING);
}

#[test]
fn an_app_that_connects_late_does_so_once() {
    let mut phone = bench(System::Android);
    phone.take(Input::Slept);
    phone.order(Order::Misbehave { how: Misstep::ConnectsLate, times: 1 });
    let begun = ["arrived a", "struck connects-late app", "app starting"];
    assert_eq!(phone.push("a", HIGH), begun);
    assert_eq!(phone.pass(7_000), NOTHING);
    assert_eq!(phone.pass(*android::WARM_MS.start()), ["launch"]);
}

#[test]
fn airplane_mode_is_told_and_ends() {
    let mut phone = bench(System::Ios);
    let airplane = Order::Airplane { lasts_ms: 30_000 };
    assert_eq!(phone.order(airplane), ["struck airplane radio", "airplane on"]);
    assert_eq!(phone.order(airplane), NOTHING, "it is on");
    assert_eq!(phone.pass(29_999), NOTHING);
    assert_eq!(phone.pass(1), ["airplane off"]);
}

#[test]
fn no_more_waits_than_the_system_keeps() {
    let mut phone = bench(System::Android).dozing(true);
    for _ in 0..WAITING {
        assert_eq!(phone.push("a", NORMAL), ["held a doze later"]);
    }
    assert_eq!(phone.push("b", NORMAL), ["held b doze later", "held a crowded never"]);
}

#[test]
fn a_start_that_is_cut_short_owes_no_report() {
    let mut phone = bench(System::Ios).killed();
    phone.push("call", VOIP);
    phone.take(Input::Ended);
    assert_eq!(phone.pass(20_000), NOTHING);
    phone.order(Order::Foreground);
    assert_eq!(phone.pass(20_000), ["launch"]);
}

#[test]
fn every_fault_that_can_be_planned_is_told_by_its_name() {
    let how = Misstep::Crashes;
    let orders = [
        Order::ForceStop,
        Order::Airplane { lasts_ms: 1 },
        Order::Doze { deep: true, lasts_ms: 1 },
        Order::LowPower,
        Order::Misbehave { how, times: 1 },
    ];
    for order in orders {
        let mut phone = bench(System::Android);
        let mut told = phone.order(order);
        told.extend(phone.take(Input::Connected));
        let (fault, part, _) = order.fault().expect("a fault");
        assert!(told.contains(&format!("struck {fault} {part}")), "{order:?}: {told:?}");
    }
}
