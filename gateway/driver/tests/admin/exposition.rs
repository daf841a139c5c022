//! A strict reader of the text format of Prometheus 0.0.4, and what the gateway's page must be.

use std::collections::{BTreeMap, BTreeSet};

use super::rig::{PLAIN, Rig};

/// A page that was read.
#[derive(Debug, Default)]
pub(super) struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
}

impl Page {
    /// Reads a page, or says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let (mut page, mut helped, mut family) = (Self::default(), None, String::new());
        if !text.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
                is_name(name).then_some(()).ok_or(format!("no name: {line}"))?;
                (!help.is_empty()).then_some(()).ok_or(format!("empty help: {line}"))?;
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
                (helped.take().as_deref() == Some(name)).then_some(()).ok_or("HELP before TYPE")?;
                ["counter", "gauge", "histogram"].contains(&kind).then_some(()).ok_or(line)?;
                name.to_owned().clone_into(&mut family);
                let twice = page.types.insert(family.clone(), kind.to_owned()).is_some();
                (!twice).then_some(()).ok_or(format!("twice: {line}"))?;
            } else {
                page.sample(line, &family)?;
            }
        }
        page.check()?;
        Ok(page)
    }

    fn sample(&mut self, line: &str, family: &str) -> Result<(), String> {
        let (left, value) = line.rsplit_once(' ').ok_or(format!("no value: {line}"))?;
        let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
        let (name, labels) = match left.split_once('{') {
            None => (left, Vec::new()),
            Some((name, rest)) => {
                let inner = rest.strip_suffix('}').ok_or(format!("no end of labels: {line}"))?;
                (name, labels(inner).ok_or(format!("no labels: {line}"))?)
            }
        };
        let kind = self.types.get(family).ok_or(format!("no TYPE before: {line}"))?;
        let suffixes: &[&str] =
            if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let belongs = suffixes.iter().any(|suffix| format!("{family}{suffix}") == name);
        belongs.then_some(()).ok_or(format!("not of {family}: {line}"))?;
        let twice = self.samples.insert((name.to_owned(), labels), value).is_some();
        if twice { Err(format!("twice: {line}")) } else { Ok(()) }
    }

    /// What the conventions ask for, beyond the grammar.
    fn check(&self) -> Result<(), String> {
        for (name, kind) in &self.types {
            name.starts_with("reveille_").then_some(()).ok_or(format!("no prefix: {name}"))?;
            if (kind == "counter") != name.ends_with("_total") {
                return Err(format!("{name} is a {kind}"));
            }
            if kind == "histogram" {
                self.check_histogram(name)?;
            }
        }
        Ok(())
    }

    fn check_histogram(&self, name: &str) -> Result<(), String> {
        let bucket = format!("{name}_bucket");
        let mut ends: Vec<(f64, f64)> = Vec::new();
        for ((_, labels), count) in self.samples.iter().filter(|((of, _), _)| *of == bucket) {
            let [(label, end)] = labels.as_slice() else {
                return Err(format!("{name}: {labels:?}"));
            };
            assert_eq!(label, "le");
            let end = if end == "+Inf" { f64::INFINITY } else { end.parse().expect("a bound") };
            ends.push((end, *count));
        }
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let rises = ends.windows(2).all(|pair| pair[0].1 <= pair[1].1);
        let last = ends.last().filter(|last| last.0.is_infinite()).map(|last| last.1);
        let sound = rises && last == self.value(&format!("{name}_count"), &[]);
        sound.then_some(()).ok_or(format!("{name} does not add up: {ends:?}"))
    }

    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | ':'))
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

/// Labels between the braces, each name once.
fn labels(mut rest: &str) -> Option<Vec<(String, String)>> {
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    _ => return None,
                }),
                (_, c) => value.push(c),
            }
        };
        if !is_name(name) || name.contains(':') || !names.insert(name.to_owned()) {
            return None;
        }
        found.push((name.to_owned(), value));
        rest = &after[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?;
        }
    }
    Some(found)
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP reveille_a_total A.\n# TYPE reveille_a_total counter\n\
        reveille_a_total{b=\"c\\\"d\"} 1\n";
    assert!(Page::read(good).is_ok());
    for (from, to) in [
        ("# HELP reveille_a_total A.\n", ""),
        ("# TYPE reveille_a_total counter\n", ""),
        ("counter", "summary"),
        ("} 1", "} x"),
        ("} 1\n", "} 1"),
        ("\\\"", "\\x"),
        ("{b=\"c\\\"d\"}", "{b=\"c\",b=\"d\"}"),
        ("{b", "{0b"),
        ("reveille_a_total{", "reveille_b_total{"),
        ("_total", ""),
        ("reveille_", ""),
    ] {
        assert!(Page::read(&good.replace(from, to)).is_err(), "{from} -> {to}");
    }
}

impl Rig {
    pub(super) async fn metrics(&self) -> (Page, String) {
        let reply = self.ask("GET", "/metrics").await;
        assert_eq!(reply.status, 200);
        assert!(reply.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
        let page = Page::read(&reply.body).unwrap_or_else(|why| panic!("{why}\n{}", reply.body));
        (page, reply.body)
    }

    /// The page once it has this sample.
    async fn metrics_with(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> (Page, String) {
        let work = async {
            loop {
                let (page, text) = self.metrics().await;
                if page.value(name, labels) == Some(value) {
                    return (page, text);
                }
            }
        };
        self.in_time(name, work).await
    }
}

#[tokio::test]
async fn a_wake_is_counted_from_end_to_end_and_nobody_is_named() {
    let mut rig = Rig::start(PLAIN).await;
    let (before, _) = rig.metrics().await;
    let all = [("direction", "in"), ("method", "INVITE"), ("transport", "udp")];
    assert_eq!(before.value("reveille_sip_requests_total", &all), Some(0.0), "zero, not absent");
    assert_eq!(before.value("reveille_sleepers", &[]), Some(0.0));

    let session = rig.asleep("bob", "device-token-of-bob").await;
    let refused = rig.upgrade("/ws/webrtc/phone", "bob", "wrong").await.err();
    assert_eq!(refused, Some(401));
    rig.call("bob", "mark-of-the-call").await;
    let pushed = rig.pushes.recv();
    let pushed = reveille_host::within(&*rig.host.clock, std::time::Duration::from_secs(9), pushed);
    assert_eq!(pushed.await.flatten().as_deref(), Some("Bearer secret credential"));
    let push = [("app", "phone"), ("provider", "webhook"), ("outcome", "accepted")];
    let (held, _) = rig.metrics_with("reveille_push_attempts_total", &push, 1.0).await;
    assert_eq!(held.value("reveille_pending_calls", &[]), Some(1.0));
    let asleep = [("app", "phone"), ("state", "hibernated")];
    assert_eq!(held.value("reveille_sessions", &asleep), Some(1.0));

    let mut app = rig.app("bob").await;
    app.say(&serde_json::json!({"control": {"type": "request", "session_id": session},
        "header": {"action": "connect", "cslr": 2, "subsessions": []}}))
        .await;
    rig.in_time("the call is delivered", app.hear("start")).await;
    rig.caller.send_to(b"OPTIONS sip:x SIP/2.0\r\n\r\n", rig.running.udp[0]).await.expect("sent");
    let malformed = [("transport", "udp")];
    let (page, text) = rig.metrics_with("reveille_sip_malformed_total", &malformed, 1.0).await;
    for (name, labels, wanted) in [
        ("reveille_sip_requests_total", &all[..], 1.0),
        ("reveille_push_attempts_total", &push, 1.0),
        ("reveille_push_duration_seconds_count", &[], 1.0),
        ("reveille_push_batch_pushes_count", &[], 1.0),
        ("reveille_push_circuits_open", &push[..2], 0.0),
        ("reveille_pushes_waiting", &[("provider", "webhook"), ("class", "call")], 0.0),
        ("reveille_wakes_total", &[("app", "phone")], 1.0),
        ("reveille_wake_push_to_attach_seconds_count", &[], 1.0),
        ("reveille_wake_attach_to_start_seconds_count", &[], 1.0),
        ("reveille_upgrades_total", &[("app", "phone")], 2.0),
        ("reveille_upgrades_refused_total", &[("status", "401")], 1.0),
        ("reveille_websockets", &[], 1.0),
        ("reveille_sessions", &[("app", "phone"), ("state", "active")], 1.0),
        ("reveille_draining", &[], 0.0),
    ] {
        assert_eq!(page.value(name, labels), Some(wanted), "{name}{labels:?}\n{text}");
    }
    let class = |class| [("direction", "out"), ("class", class), ("transport", "udp")];
    assert!(page.value("reveille_sip_responses_total", &class("1xx")) >= Some(2.0), "{text}");
    let batches = page.value("reveille_commit_batches_total", &[]).expect("counted");
    assert_eq!(page.value("reveille_commit_duration_seconds_count", &[]), Some(batches));
    assert!(
        batches >= 3.0 && page.value("reveille_commit_batch_commits_sum", &[]) >= Some(batches)
    );
    let alone = page.value("reveille_commit_batch_commits_bucket", &[("le", "1")]);
    assert!(alone >= Some(1.0), "the first commit has nobody to wait with");
    assert!(page.value("reveille_frames_total", &[("direction", "in")]) >= Some(3.0));
    assert!(page.value("reveille_resident_memory_bytes", &[]) > Some(1_000_000.0));
    assert!(page.value("reveille_start_time_seconds", &[]) > Some(1_700_000_000.0));
    for secret in ["bob", "alice", "secret", "device-token", "mark-of", &*session] {
        assert!(!text.contains(secret), "{secret} stands in\n{text}");
    }
}

#[tokio::test]
async fn names_that_clients_choose_are_never_labels() {
    let (nobody_wakes, _) = PLAIN.split_once("[[application]]").expect("an application");
    let rig = Rig::start(nobody_wakes).await;
    let path = "/ws/webrtc/chosen-by-a-client";
    let app = rig.upgrade(path, "bob", "secret of bob").await;
    assert!(app.is_ok(), "without applications every name is served");
    let (page, text) = rig.metrics().await;
    assert_eq!(page.value("reveille_upgrades_total", &[("app", "other")]), Some(1.0));
    assert!(!text.contains("chosen"), "{text}");
}

#[tokio::test]
async fn a_push_service_that_is_away_is_seen_by_its_circuit() {
    let text = PLAIN.replace("http://PUSH/hook/secret-path", "http://127.0.0.1:1/");
    let rig = Rig::start(&format!("{text}[push]\ncircuit-failures = 1\n")).await;
    rig.asleep("bob", "device-token").await;
    rig.call("bob", "a-call").await;
    let way = [("app", "phone"), ("provider", "webhook")];
    let (page, _) = rig.metrics_with("reveille_push_circuit_openings_total", &way, 1.0).await;
    assert_eq!(page.value("reveille_push_circuits_open", &way), Some(1.0));
    let view = rig.get("/admin/v1/providers").await;
    assert_eq!(view["items"][0]["credentials"][0]["circuit"], "open", "{view}");
    rig.write("circuit-failures = 1", "circuit-failures = 0");
    rig.running.operator().reload().await.expect("sound");
    let view = rig.get("/admin/v1/providers").await;
    assert_eq!(view["items"][0]["credentials"][0]["circuit"], "closed", "a reload begins anew");
}

#[tokio::test]
async fn a_call_outlives_a_circuit_that_is_open() {
    let text = PLAIN.replace("/hook/secret-path", "/away-first");
    let push = "[push]\ncircuit-failures = 1\ncircuit-open = \"500ms\"\n\
        attempts = [\"0s\", \"100ms\", \"200ms\"]\n";
    let mut rig = Rig::start(&format!("{text}{push}")).await;
    rig.asleep("bob", "device-token").await;
    rig.call("bob", "a-call").await;
    let labels = |outcome| [("app", "phone"), ("provider", "webhook"), ("outcome", outcome)];
    let name = "reveille_push_attempts_total";
    let (page, text) = rig.metrics_with(name, &labels("accepted"), 1.0).await;
    // The service's own failure, and the attempt at 100 ms, which did not leave.
    assert_eq!(page.value(name, &labels("transient")), Some(2.0), "{text}");
    assert_eq!(page.value("reveille_push_circuits_open", &labels("")[..2]), Some(0.0));
    assert!(rig.pushes.try_recv().is_ok() && rig.pushes.try_recv().is_ok());
    assert!(rig.pushes.try_recv().is_err(), "two of three attempts left");
}

#[tokio::test]
async fn a_message_that_its_push_has_no_room_for_is_counted_and_the_push_leaves() {
    let mut rig = Rig::start(&format!("{PLAIN}carry-message = true\n")).await;
    rig.asleep("bob", "tok").await;
    rig.asleep("eve", "tok-of-eve").await;
    let own = rig.caller.local_addr().expect("an address");
    for (user, length) in [("bob", 100), ("eve", 5_000)] {
        let body = "x".repeat(length);
        let text = format!(
            "MESSAGE sip:{user}@example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP {own};branch=z9hG4bK{user};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.com>;tag=f\r\nTo: <sip:{user}@example.com>\r\n\
             Call-ID: {user}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        rig.caller.send_to(text.as_bytes(), rig.running.udp[0]).await.expect("sent");
        let clock = std::sync::Arc::clone(&rig.host.clock);
        let pushed = rig.pushes.recv();
        let pushed = reveille_host::within(&*clock, std::time::Duration::from_secs(9), pushed);
        assert!(pushed.await.flatten().is_some(), "{user} is woken");
    }
    let of = [("app", "phone"), ("provider", "webhook")];
    let name = "reveille_push_messages_left_out_total";
    let (page, _) = rig.metrics().await;
    assert_eq!(page.value(name, &of), Some(1.0), "that of eve");
}
