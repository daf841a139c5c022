//! What a sound file means.

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_scenarios::{
    Actor, App, Content, Early, Expect, Head, Message, Need, OnCall, Place, Point, Proxy, PushFate,
    Scenario, Service, Sight, Step, Sweep, SweepFault, Transport, Verb, Wanted, Weather, What,
    World, read, shipped,
};

/// Three actors, the steps and expectations given.
fn file(steps: &[&str], expects: &[&str]) -> String {
    let lines = |all: &[&str]| all.iter().map(|l| format!("  {{ {l} }},\n")).collect::<String>();
    format!(
        "schema = 1\ntitle = \"T\"\n[actors]\nalice = {{ kind = \"sip-ua\" }}\n\
         bob = {{ kind = \"phone\" }}\ncarol = {{ kind = \"phone\" }}\n[script]\nsteps = [\n{}]\n\
         expect = [\n{}]\n",
        lines(steps),
        lines(expects)
    )
}

fn sound(text: &str) -> Scenario {
    read("wake/test", text).unwrap_or_else(|report| panic!("{report}"))
}

const CALL: &str = r#"call = "c1", from = "alice", to = "bob""#;

/// The verb of a step that stands after a call.
fn verb(step: &str) -> Verb {
    sound(&file(&[CALL, step], &[r#"must = "bob.alerted(c1)""#]))
        .steps
        .pop()
        .expect("two steps")
        .verb
}

/// What an expectation wants.
fn wanted(predicate: &str) -> Wanted {
    let line = format!("must = \"{predicate}\"");
    sound(&file(&[CALL], &[&line])).expects.pop().expect("one").wanted
}

fn sight(actor: &str, what: What, about: Option<&str>) -> Sight {
    let (actor, about) = (Some(actor.to_owned()), about.map(str::to_owned));
    Sight { actor, what, about, numbers: None, text: None }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn every_shipped_file_reads() {
    assert!(shipped().iter().any(|(id, _)| *id == "wake/plain"));
    assert!(shipped().is_sorted());
    for (id, text) in shipped() {
        let scenario = read(id, text).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(&scenario.id, id);
    }
}

/// Where the hosts of the file below stand.
fn places() -> BTreeMap<String, Place> {
    let place = |ahead_ms, nat: Option<u64>| Place { ahead_ms, nat: nat.map(seconds) };
    let places = [
        ("alice", place(0, Some(30))),
        ("bob", place(3_600_000, Some(60))),
        ("gateway", place(-5_000, None)),
    ];
    places.map(|(name, place)| (name.to_owned(), place)).into()
}

const EVERY_KEY: &str = r#"schema = 1
id = "crash/all"
title = "Everything at once"
covers = ["patent.step.order"]
needs = ["sim"]
[world]
wake-budget = "1.5m"
ring-deadline = "40s"
registration = "1h"
late-offer = "refused"
payload = "carries"
proxy = ["challenges", "records-route"]
gateway-clock = "-5s"
[actors]
alice = { kind = "sip-ua", transport = "tcp", early = "reliable-media", decline = 486, nat = "30s" }
bob = { kind = "phone", app = "plain", decline = 486, nat = "60s", clock = "+1h" }
carol = { kind = "phone", ring = true }
dave = { kind = "phone", app = "sdk", push = "fcm", answer-after = "2s" }
erin = { kind = "phone" }
[run]
seeds = 12
[script]
steps = [
  { at = "1s", sleep = "bob" },
]
expect = [
  { may = "push.sent(bob)", after = "bob.state(hibernated)", within = "20s", why = "it may" },
]
[sweep]
fault = "power-loss"
on = "gateway"
points = ["spawn", "store"]
"#;

#[test]
fn every_key_of_a_file_has_its_place() {
    let phone = |app, on_call| {
        let (push, device) = (Service::Webhook, None);
        Actor::Phone { app, push, on_call, device }
    };
    let sip_ua = |transport, on_call, early| Actor::SipUa { transport, on_call, early };
    let dave = Actor::Phone {
        app: App::Sdk,
        push: Service::Fcm,
        on_call: OnCall::Answer(seconds(2)),
        device: None,
    };
    let actors = [
        ("alice", sip_ua(Transport::Tcp, OnCall::Decline(486), Early::ReliableMedia)),
        ("bob", phone(App::Plain, OnCall::Decline(486))),
        ("carol", phone(App::Sdk, OnCall::Ring)),
        ("dave", dave),
        ("erin", phone(App::Sdk, OnCall::Answer(millis(500)))),
    ];
    let hibernated =
        Sight { text: Some("hibernated".to_owned()), ..sight("bob", What::State, None) };
    let wanted = Scenario {
        id: "crash/all".to_owned(),
        title: "Everything at once".to_owned(),
        covers: vec!["patent.step.order".to_owned()],
        needs: vec![Need::Sim],
        world: World {
            wake_budget: Some(seconds(90)),
            ring_deadline: Some(seconds(40)),
            nodes: None,
            registration: Some(seconds(3600)),
            late_offer: Some(false),
            payload_carries: true,
            proxy: Proxy { challenges: true, records_route: true },
        },
        actors: actors.map(|(name, actor)| (name.to_owned(), actor)).into(),
        places: places(),
        steps: vec![Step {
            head: Head::At(seconds(1)),
            verb: Verb::Sleep { phone: "bob".to_owned(), by_close: false },
            line: 24,
        }],
        expects: vec![Expect {
            level: "MAY".to_owned(),
            text: "push.sent(bob) after bob.state(hibernated) within 20s".to_owned(),
            wanted: Wanted::Seen(sight("push", What::PushSent, Some("bob"))),
            after: Some(hibernated),
            within: Some(seconds(20)),
            why: Some("it may".to_owned()),
            line: 27,
        }],
        sweep: Some(Sweep {
            fault: SweepFault::PowerLoss,
            on: "gateway".to_owned(),
            down: seconds(1),
            points: vec![Point::Spawn, Point::Store],
        }),
        seeds: 12,
    };
    assert_eq!(read("crash/all", EVERY_KEY).unwrap_or_else(|report| panic!("{report}")), wanted);
}

#[test]
fn what_is_absent_has_its_default() {
    let scenario = sound(&file(&[CALL], &[r#"must = "bob.alerted(c1)""#]));
    assert_eq!(scenario.seeds, 1);
    assert_eq!(scenario.world, World::default());
    assert_eq!(scenario.sweep, None);
    let (transport, on_call) = (Transport::Udp, OnCall::Answer(millis(500)));
    let alice = Actor::SipUa { transport, on_call, early: Early::Ringing };
    assert_eq!(scenario.actors["alice"], alice);
    assert_eq!(scenario.steps[0].head, Head::Now);
    let [step] = &scenario.steps[..] else { panic!("one step") };
    let call = Verb::Call {
        mark: "c1".to_owned(),
        from: "alice".to_owned(),
        to: "bob".to_owned(),
        hang_up_after: None,
        lost_answers: 0,
        late_offer: false,
        to_request_uri: false,
    };
    assert_eq!(step.verb, call);
}

#[test]
fn a_scenario_may_cover_without_expecting() {
    let text = file(&[CALL], &[]).replace("[actors]", "covers = [\"a.b\"]\n[actors]");
    assert_eq!(sound(&text).expects, []);
}

#[test]
fn every_verb_reads() {
    let (bob, c1) = (|| "bob".to_owned(), || "c1".to_owned());
    let gateway = || "gateway".to_owned();
    let push = |fate, times| Verb::Push { service: Service::Webhook, fate, times };
    let refused = PushFate::Refused { status: 410, retry_after: None };
    let call = Verb::Call {
        mark: "c2".to_owned(),
        from: "alice".to_owned(),
        to: "carol".to_owned(),
        hang_up_after: Some(seconds(1)),
        lost_answers: 2,
        late_offer: true,
        to_request_uri: true,
    };
    let placed = Verb::Call {
        mark: "c2".to_owned(),
        from: "bob".to_owned(),
        to: "alice".to_owned(),
        hang_up_after: Some(seconds(1)),
        lost_answers: 0,
        late_offer: false,
        to_request_uri: false,
    };
    let on_call = |on_call| Verb::SetOnCall { who: bob(), on_call };
    let early = |early| Verb::SetEarly { who: "alice".to_owned(), early };
    let by = |name: &str| Some(name.to_owned());
    let verbs = BTreeMap::from([
        (r#"sleep = "bob", close-code = 4001"#, Verb::Sleep { phone: bob(), by_close: true }),
        (r#"resume = "bob""#, Verb::Resume { phone: bob() }),
        (
            r#"call = "c2", from = "alice", to = "carol", hang-up-after = "1s", lost-answers = 2, offer = "late", in-dialog = "request-uri""#,
            call,
        ),
        (r#"call = "c2", from = "bob", to = "alice", hang-up-after = "1s""#, placed),
        (r#"cancel = "c1""#, Verb::Cancel { mark: c1(), by: None }),
        (r#"cancel = "c1", by = "alice""#, Verb::Cancel { mark: c1(), by: by("alice") }),
        (r#"hangup = "c1""#, Verb::HangUp { who: c1(), by: None }),
        (r#"hangup = "c1", by = "bob""#, Verb::HangUp { who: c1(), by: by("bob") }),
        (r#"hangup = "bob""#, Verb::HangUp { who: bob(), by: None }),
        (r#"hangup = "alice""#, Verb::HangUp { who: "alice".to_owned(), by: None }),
        (
            r#"renegotiate = "c1""#,
            Verb::Renegotiate { mark: c1(), by: None, update: false, stale: false },
        ),
        (
            r#"renegotiate = "c1", by = "bob", method = "update""#,
            Verb::Renegotiate { mark: c1(), by: by("bob"), update: true, stale: false },
        ),
        (
            r#"renegotiate = "c1", cseq = "lower""#,
            Verb::Renegotiate { mark: c1(), by: None, update: false, stale: true },
        ),
        (r#"info = "c1", by = "alice""#, Verb::Info { mark: c1(), by: by("alice") }),
        (r#"retransmit = "c1""#, Verb::Retransmit { mark: c1() }),
        (r#"set = "bob", pushes = "ignored""#, Verb::SetPushes { phone: bob(), ignored: true }),
        (r#"set = "bob", pushes = "heeded""#, Verb::SetPushes { phone: bob(), ignored: false }),
        (r#"set = "bob", answer-after = "0s""#, on_call(OnCall::Answer(seconds(0)))),
        (r#"set = "bob", decline = 300"#, on_call(OnCall::Decline(300))),
        (r#"set = "bob", ring = true"#, on_call(OnCall::Ring)),
        (r#"set = "alice", early = "ringing""#, early(Early::Ringing)),
        (r#"set = "alice", early = "reliable-ringing""#, early(Early::ReliableRinging)),
        (r#"set = "alice", early = "media""#, early(Early::Media)),
        (r#"set = "alice", early = "reliable-media""#, early(Early::ReliableMedia)),
        (r#"set = "alice", early = "silence""#, early(Early::Silence)),
        (r#"crash = "bob.app""#, Verb::KillApp { phone: bob() }),
        (r#"drop = "bob.websocket""#, Verb::DropWebSocket { phone: bob() }),
        (r#"refuse = "push.webhook", status = 410"#, push(refused, 1)),
        (r#"drop = "push.webhook", what = "request""#, push(PushFate::RequestDropped, 1)),
        (r#"drop = "push.webhook", what = "delivery""#, push(PushFate::DeliveryDropped, 1)),
        (r#"drop = "push.webhook", times = 3"#, push(PushFate::DeliveryDropped, 3)),
        (r#"duplicate = "push.webhook""#, push(PushFate::Duplicated, 1)),
        (r#"delay = "push.webhook", by = "3s""#, push(PushFate::Delayed(seconds(3)), 1)),
        (r#"crash = "gateway""#, Verb::Crash { host: gateway(), down: seconds(1) }),
        (r#"crash = "gateway", down = "2s""#, Verb::Crash { host: gateway(), down: seconds(2) }),
        (r#"power-loss = "gateway""#, Verb::PowerLoss { host: gateway(), down: seconds(1) }),
        (r#"restart = "gateway""#, Verb::Restart { host: gateway(), down: seconds(1) }),
        (
            r#"partition = "gateway--bob", lasts = "3s""#,
            Verb::Partition { a: gateway(), b: bob(), lasts: seconds(3) },
        ),
        (r#"note = "now""#, Verb::Note { text: "now".to_owned() }),
    ]);
    for (step, wanted) in verbs {
        assert_eq!(verb(step), wanted, "{step}");
    }
}

#[test]
fn every_fault_of_the_world_reads() {
    let (gateway, bob) = (|| "gateway".to_owned(), || "bob".to_owned());
    let storm = |weather| Verb::Storm { a: bob(), b: gateway(), weather, lasts: seconds(10) };
    let rough = Weather {
        delay: millis(200),
        jitter: millis(50),
        loss: 100,
        duplicate: 50,
        reorder: 5,
        bandwidth: Some(32_500),
    };
    let lossy = Weather { loss: 900, ..Weather::default() };
    let verbs = [
        (
            r#"cut = "bob->gateway", lasts = "3s""#,
            Verb::Cut { from: bob(), to: gateway(), lasts: seconds(3) },
        ),
        (
            r#"storm = "bob--gateway", lasts = "10s", delay = "200ms", jitter = "50ms", loss = "10%", duplicate = "5%", reorder = "0.5%", bandwidth = "32.5kbit/s""#,
            storm(rough),
        ),
        (r#"storm = "bob--gateway", lasts = "10s", loss = "90%""#, storm(lossy)),
        (r#"outage = "bob", lasts = "20s""#, Verb::Outage { host: bob(), lasts: seconds(20) }),
        (r#"move = "bob""#, Verb::Move { who: bob() }),
        (r#"rebind = "bob""#, Verb::Rebind { who: bob() }),
        (r#"clock = "gateway", by = "-30s""#, Verb::Clock { host: gateway(), by_ms: -30_000 }),
        (r#"clock = "bob", by = "+1.5m""#, Verb::Clock { host: bob(), by_ms: 90_000 }),
        (r#"clock = "bob", by = "1s""#, Verb::Clock { host: bob(), by_ms: 1_000 }),
    ];
    for (step, wanted) in verbs {
        assert_eq!(verb(step), wanted, "{step}");
    }
}

#[test]
fn every_verb_beside_calls_reads() {
    let bob = || "bob".to_owned();
    let message = |from: &str, to: &str, content, non_urgent, expires| {
        let (mark, from, to) = ("m1".to_owned(), from.to_owned(), to.to_owned());
        Verb::Message(Message { mark, from, to, content, non_urgent, expires })
    };
    let notify = |messages, ends| {
        let (phone, by) = (bob(), "alice".to_owned());
        Verb::Notify { phone, by, messages, ends }
    };
    let verbs = [
        (
            r#"message = "m1", from = "alice", to = "bob""#,
            message("alice", "bob", Content::Text, false, None),
        ),
        (
            r#"message = "m1", from = "alice", to = "bob", content = "imdn", priority = "non-urgent", expires = "30s""#,
            message("alice", "bob", Content::Imdn, true, Some(seconds(30))),
        ),
        (
            r#"message = "m1", from = "bob", to = "alice""#,
            message("bob", "alice", Content::Text, false, None),
        ),
        (
            r#"subscribe = "bob", to = "alice""#,
            Verb::Subscribe { phone: bob(), to: "alice".to_owned() },
        ),
        (r#"notify = "bob", by = "alice", messages = 3"#, notify(3, false)),
        (r#"notify = "bob", by = "alice", messages = 0, state = "terminated""#, notify(0, true)),
    ];
    for (step, wanted) in verbs {
        assert_eq!(verb(step), wanted, "{step}");
    }
}

#[test]
fn every_head_reads() {
    let step = |head: &str| {
        let step = format!("{head}, sleep = \"bob\"");
        let scenario = sound(&file(&[CALL, &step], &[r#"must = "bob.alerted(c1)""#]));
        scenario.steps[1].head.clone()
    };
    assert_eq!(step(r#"at = "10s""#), Head::At(seconds(10)));
    assert_eq!(step(r#"wait = "0.5s""#), Head::Wait(millis(500)));
    let trying = Sight { numbers: Some((100, 100)), ..sight("alice", What::Received, Some("c1")) };
    assert_eq!(step(r#"when = "alice.received(c1, 100)""#), Head::When(trying));
}

#[test]
fn every_sight_reads() {
    let numbered = |sight: Sight, low, high| Sight { numbers: Some((low, high)), ..sight };
    let (alice, push) = ("alice", "push");
    let sights = [
        ("alice.sent(c1)", sight(alice, What::Sent, Some("c1"))),
        ("alice.received(c1)", sight(alice, What::Received, Some("c1"))),
        ("alice.received()", sight(alice, What::Received, None)),
        (
            "alice.received( c1 , 180 )",
            numbered(sight(alice, What::Received, Some("c1")), 180, 180),
        ),
        ("alice.final(c1)", numbered(sight(alice, What::Received, Some("c1")), 200, 699)),
        ("alice.final()", numbered(sight(alice, What::Received, None), 200, 699)),
        ("alice.final(c1, 486)", numbered(sight(alice, What::Received, Some("c1")), 486, 486)),
        ("bob.delivered(c1)", sight("bob", What::Delivered, Some("c1"))),
        ("bob.alerted(c1)", sight("bob", What::Alerted, Some("c1"))),
        ("bob.ended(c1)", sight("bob", What::Ended, Some("c1"))),
        ("bob.sent(c1)", sight("bob", What::Sent, Some("c1"))),
        ("bob.final(c1)", numbered(sight("bob", What::Received, Some("c1")), 200, 699)),
        ("bob.received(c1, 183)", numbered(sight("bob", What::Received, Some("c1")), 183, 183)),
        ("bob.confirmed(c1)", sight("bob", What::Confirmed, Some("c1"))),
        ("bob.renegotiated(c1)", sight("bob", What::Renegotiated, Some("c1"))),
        ("bob.withdrawn(c1)", sight("bob", What::Withdrawn, Some("c1"))),
        ("bob.changed(c1, 200)", numbered(sight("bob", What::Changed, Some("c1")), 200, 200)),
        ("alice.alerted(c1)", sight(alice, What::Alerted, Some("c1"))),
        ("alice.confirmed(c1)", sight(alice, What::Confirmed, Some("c1"))),
        ("alice.renegotiated(c1)", sight(alice, What::Renegotiated, Some("c1"))),
        ("alice.changed(c1)", sight(alice, What::Changed, Some("c1"))),
        ("alice.ended(c1)", sight(alice, What::Ended, Some("c1"))),
        ("alice.delivered(c1)", sight(alice, What::Delivered, Some("c1"))),
        ("alice.subscribed(bob)", sight(alice, What::Subscribed, Some("bob"))),
        ("bob.subscribed(alice)", sight("bob", What::Subscribed, Some(alice))),
        ("bob.notified(alice, 3)", numbered(sight("bob", What::Notified, Some(alice)), 3, 3)),
        ("bob.state()", sight("bob", What::State, None)),
        ("push.sent(bob)", sight(push, What::PushSent, Some("bob"))),
        (
            "push.answered(bob, 503)",
            numbered(sight(push, What::PushAnswered, Some("bob")), 503, 503),
        ),
        ("push.dropped(bob)", sight(push, What::PushDropped, Some("bob"))),
        // The fact is the phone's own.
        ("push.arrived(bob)", sight("bob", What::PushArrived, Some("bob"))),
        ("push.held(bob)", sight("bob", What::PushHeld, Some("bob"))),
        ("push.arrived()", Sight { actor: None, ..sight("", What::PushArrived, None) }),
        (
            "registrar.registered(200)",
            numbered(sight("registrar", What::Registered, None), 200, 200),
        ),
    ];
    for (text, sight) in sights {
        assert_eq!(wanted(text), Wanted::Seen(sight.clone()), "{text}");
        assert_eq!(wanted(&sight.to_string()), Wanted::Seen(sight.clone()), "{sight}");
        assert_eq!(wanted(&format!("never {text}")), Wanted::Never(sight), "{text}");
    }
    for state in ["connected", "reconnecting", "hibernated", "failed", "closed", "killed"] {
        let text = Some(state.to_owned());
        let sight = Sight { text, ..sight("bob", What::State, None) };
        assert_eq!(wanted(&format!("bob.state({state})")), Wanted::Seen(sight));
    }
}

#[test]
fn every_form_reads() {
    let sent = || sight("push", What::PushSent, Some("bob"));
    let last = || Sight { numbers: Some((200, 699)), ..sight("alice", What::Received, Some("c1")) };
    assert_eq!(wanted("count(push.sent(bob)) == 1"), Wanted::Count(sent(), 1, 1));
    assert_eq!(wanted("count( push.sent(bob) )<=2"), Wanted::Count(sent(), 0, 2));
    assert_eq!(wanted("count(push.sent(bob)) >= 3"), Wanted::Count(sent(), 3, usize::MAX));
    assert_eq!(wanted("alice.final(c1) == 200"), Wanted::FirstIn(last(), vec![200]));
    assert_eq!(wanted("alice.final(c1) in [200, 480]"), Wanted::FirstIn(last(), vec![200, 480]));
}

#[test]
fn escapes_do_not_move_the_place_of_a_mistake() {
    let place = |value: &str| {
        let text = file(&[CALL], &[&format!("must = {value}")]);
        let report = read("wake/test", &text).unwrap_err();
        let [problem] = &report.problems[..] else { panic!("{report}") };
        text[problem.span.clone()].to_owned()
    };
    assert_eq!(place(r#""bob.alertde(c1)""#), "alertde");
    assert_eq!(place(r"'bob.alertde(c1)'"), "alertde");
    assert_eq!(place(r#""bob.\u0061lertde(c1)""#), r#""bob.\u0061lertde(c1)""#);
    assert_eq!(place(r#""""bob.alertde(c1)""""#), r#""""bob.alertde(c1)""""#);
}

#[test]
fn nodes_are_hosts_and_an_actor_turns_to_one_of_them() {
    let steps = [CALL, r#"set = "bob", node = 2"#, r#"crash = "gateway-2""#];
    let one = file(&steps, &[r#"must = "bob.alerted(c1)""#]);
    let two = one.replace("[actors]", "[world]\nnodes = 2\n[actors]");
    let scenario = sound(&two);
    assert_eq!((scenario.world.nodes, scenario.needs), (Some(2), vec![Need::Sim]));
    let turned = Verb::SetNode { who: "bob".to_owned(), node: 2 };
    let crashed = Verb::Crash { host: "gateway-2".to_owned(), down: seconds(1) };
    let verbs: Vec<_> = scenario.steps.into_iter().skip(1).map(|step| step.verb).collect();
    assert_eq!(verbs, [turned, crashed]);
    let problems = read("wake/test", &one).expect_err("there is one node").problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    let help = problems[0].help.as_deref();
    assert_eq!(help, Some("write `nodes = 2` in `[world]`, or another node"));
    let both = two.replace("node = 2", "node = 2, ring = true");
    let told = read("wake/test", &both).expect_err("one thing at a time").to_string();
    assert!(told.contains("this step sets both `node` and `ring`"), "{told}");
}
