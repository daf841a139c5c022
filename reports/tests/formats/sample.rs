//! A run of four scenarios, and the traces that go with it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reveille_trace::{
    Case, Draft, Event, Finding, Kind, Manifest, Observed, PlannedFault, RUN_SCHEMA, Recorder, Run,
    SCHEMA, Span, Trace, Verdict,
};

/// What a peer sends to whoever reads reports: terminal and XML syntax, a turned writing direction,
/// characters that XML forbids.
pub(crate) const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;x\u{7}]]></failure>&\"'\u{202e}evil\u{fffe}\u{0}\u{9b}31m\r\nPASS \u{200b}";

pub(crate) fn sip(start: &str, cseq: &str, more: &str) -> Vec<u8> {
    let call = "Call-ID: call-1\r\nContent-Length: 0";
    let text = format!(
        "{start}\r\nFrom: <sip:c1@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCSeq: \
         {cseq}\r\n{call}{more}\r\n\r\n"
    );
    text.into_bytes()
}

pub(crate) fn rtc(kind: &str, action: &str, more: &str) -> String {
    format!(
        r#"{{"control":{{"package_type":"call","type":"{kind}"{more}}},"header":{{"action":"{action}","initiator":"c1@example.com"}}}}"#
    )
}

/// A stage on which a test lets things happen.
#[derive(Default)]
pub(crate) struct Stage {
    recorder: Option<Recorder>,
    pub(crate) now_ms: u64,
}

impl Stage {
    pub(crate) fn note(&mut self, actor: &str, draft: Draft) -> u64 {
        let recorder = self.recorder.get_or_insert_with(Recorder::keeping);
        recorder.record(actor, self.now_ms * 1_000, draft)
    }

    pub(crate) fn at(&mut self, now_ms: u64) -> &mut Self {
        self.now_ms = now_ms;
        self
    }

    /// A message from one to the other that arrives 10 ms later.
    pub(crate) fn passes(&mut self, kinds: [Kind; 2], from: &str, to: &str, bytes: &[u8]) {
        self.sends(kinds[0], from, bytes);
        self.now_ms += 10;
        self.sends(kinds[1], to, bytes);
    }

    pub(crate) fn sends(&mut self, kind: Kind, actor: &str, bytes: &[u8]) -> u64 {
        self.note(actor, Draft::new(kind).corr("call-1").raw(bytes).with("socket", 1))
    }

    pub(crate) fn trace(&self) -> Trace {
        let events: Vec<Event> = self.recorder.as_ref().map(Recorder::events).unwrap_or_default();
        let manifest = Manifest {
            schema: SCHEMA,
            scenario: "crash/store".to_owned(),
            world: "turmoil".to_owned(),
            ..Manifest::default()
        };
        Trace { manifest, events }
    }
}

pub(crate) const SIP: [Kind; 2] = [Kind::SipSent, Kind::SipReceived];
pub(crate) const RTC: [Kind; 2] = [Kind::RtcSent, Kind::RtcReceived];

/// A gateway that crashes after its 100: INVITE comes again, is lost twice, and the call with it.
pub(crate) fn crash() -> Trace {
    let mut stage = Stage::default();
    let title = "The gateway crashes with a call in its hands";
    stage.note("world", Draft::new(Kind::Scenario).with("id", "crash/store").with("title", title));
    for actor in ["gateway", "alice", "bob"] {
        stage.note(actor, Draft::new(Kind::HostStarted).with("generation", 0));
    }
    stage.at(20).note("gateway", Draft::new(Kind::WsOpened).with("socket", 1).with("user", "bob"));
    stage.at(30).note("bob", Draft::new(Kind::WsOpened).with("socket", 1));
    stage.passes(RTC, "bob", "gateway", rtc("request", "connect", "").as_bytes());
    stage.note("bob", Draft::new(Kind::AppState).with("state", "connected"));
    let closed = || Draft::new(Kind::WsClosed).with("socket", 1).with("code", 4001);
    stage.at(60).note("bob", closed().with("by", "app"));
    stage.note("bob", Draft::new(Kind::AppState).with("state", "hibernated"));
    stage.at(70).note("gateway", closed().with("by", "peer"));
    let step = Draft::new(Kind::Step).with("step", 0).with("verb", "call").with("on", "alice");
    stage.at(8_100).note("world", step.with("call", "c1"));
    let invite = sip("INVITE sip:bob@example.com SIP/2.0", "1 INVITE", "");
    stage.passes(SIP, "alice", "gateway", &invite);
    stage.note("gateway", Draft::new(Kind::Hop).with("hop", 1));
    stage.passes(SIP, "gateway", "alice", &sip("SIP/2.0 100 Trying", "1 INVITE", ""));
    stage.note("gateway", Draft::new(Kind::FaultStruck).with("fault", "crash-at"));
    stage.note("gateway", Draft::new(Kind::HostCrashed).with("goodbye", false));
    for at in [8_600, 9_600] {
        stage.at(at).sends(Kind::SipSent, "alice", &invite);
    }
    stage.at(9_700).note("gateway", Draft::new(Kind::HostStarted).with("generation", 1));
    let hostile = format!("rsip cannot read it: {HOSTILE}");
    stage.note("alice", Draft::new(Kind::Note).with("text", hostile));
    let gone = sip("SIP/2.0 404 Not Found", "1 INVITE", "\r\nReason: \u{1b}[31m");
    stage.at(11_700).passes(SIP, "gateway", "alice", &gone);
    stage.trace()
}

pub(crate) fn finding(requirement: &str, level: &str, observed: Observed) -> Finding {
    let bad = observed != Observed::Pass;
    let last = crash().events.len() as u64 - 1;
    Finding {
        requirement: requirement.to_owned(),
        level: level.to_owned(),
        observed,
        expected: "the caller hears 200 within 32.0 s of its INVITE".to_owned(),
        actual: if bad { "404 at 11.710 s".to_owned() } else { String::new() },
        evidence: bad.then_some(Span { first: last, last }),
    }
}

pub(crate) fn case(scenario: &str, cell: &[(&str, &str)], findings: Vec<Finding>) -> Case {
    let cell: BTreeMap<_, _> =
        cell.iter().map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned())).collect();
    let mut name = scenario.to_owned();
    for (axis, value) in &cell {
        name.push_str(&format!("/{axis}={value}"));
    }
    Case {
        scenario: scenario.to_owned(),
        title: "The gateway crashes with a call in its hands".to_owned(),
        cell,
        replay: format!("reveille run {name} --seed 1"),
        verdict: Verdict::of(&name, 1, findings, "d1".to_owned(), 11_710_000),
        faults: Vec::new(),
        met: Vec::new(),
        events: None,
        seeds: None,
    }
}

pub(crate) fn of(cases: Vec<Case>) -> Run {
    Run {
        schema: RUN_SCHEMA,
        reveille: "0.1.0".to_owned(),
        world: "turmoil".to_owned(),
        seed: 1,
        selection: Vec::new(),
        started: "2026-11-20T10:15:00Z".to_owned(),
        shards: None,
        cases,
    }
}

pub(crate) fn sure() -> Finding {
    finding("accepted-call-is-answered", "MUST", Observed::Pass)
}

/// One of each verdict, a sweep, advice, and hostile text wherever there is text.
pub(crate) fn run() -> Run {
    let lost = finding("accepted-call-is-answered", "MUST", Observed::Fail);
    let unseen = Finding {
        actual: "the fault never struck".to_owned(),
        evidence: None,
        ..finding("expect", "MUST", Observed::Inconclusive)
    };
    let broken =
        Finding { actual: HOSTILE.to_owned(), ..finding("expect", "MUST", Observed::Error) };
    let advice = finding("retry-after-is-heeded", "SHOULD", Observed::Fail);
    let mut void = case("push/refused", &[], vec![unseen]);
    void.faults =
        vec![PlannedFault { fault: "push-refuse".to_owned(), on: "push".to_owned(), struck: 0 }];
    let mut hostile = case("sip/hostile", &[("from", HOSTILE)], vec![sure(), broken]);
    hostile.title = HOSTILE.to_owned();
    of(vec![
        case("asleep/plain-wake", &[], vec![sure(), advice]),
        case("crash/store", &[("at", "1")], vec![sure()]),
        case("crash/store", &[("at", "2")], vec![lost, sure()]),
        case("crash/store", &[("at", "3")], vec![sure()]),
        void,
        hostile,
    ])
}

/// The crash's trace for the case that failed, none for the others.
pub(crate) fn traces(case: &Case) -> Option<Cow<'static, Trace>> {
    (case.verdict.observed == Observed::Fail).then(|| Cow::Owned(crash()))
}
