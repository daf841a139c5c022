//! A dead node's sleepers keep their place in the network.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use reveille_gateway_core::config::{Cluster, Config, Registrar, Secret, User};
use reveille_gateway_core::io::{Input, Output, Records};
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::{SessionId, SessionRecord};
use reveille_trace::Timestamp;
use reveille_wire::sip::Message;

use super::pair::{Pair, address, udp};

/// Sleepers, of whom the first ten have so many milliseconds left upstream.
const SLEEPERS: usize = 500;
const LEFT_MS: u64 = 4_000;

fn survivor() -> Node {
    let mut config = Config::new("example.com", &address(1));
    config.node = "node-1".to_owned();
    config.cluster = Some(Cluster { address: address(1) });
    config.registrar = Some(Registrar {
        uri: "sip:example.com".to_owned(),
        flow: udp("192.0.2.2:5060"),
        expires_s: 3_600,
    });
    config.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret("secret".to_owned()),
    });
    Node::new(Arc::new(config), [3; 32])
}

fn sleepers(now: Timestamp) -> Vec<SessionRecord> {
    let mut pair = Pair::new();
    let session = pair.asleep();
    let one = |number: usize| {
        let left_ms = if number < 10 { LEFT_MS } else { 1_800_000 };
        SessionRecord {
            id: SessionId::from(format!("{number:032x}")),
            contact: format!("{number:032x}"),
            epoch: 2,
            owner: "node-1".to_owned(),
            registered_until_wall_us: now.wall_us + left_ms * 1_000,
            ..pair.record(&session).clone()
        }
    };
    (0..SLEEPERS).map(one).collect()
}

#[test]
fn bindings_that_are_about_to_lapse_go_first_and_the_others_are_spread() {
    let mut now = Timestamp { mono_us: 1, wall_us: 1_900_000_000_000_000 };
    let mut node = survivor();
    let sessions = sleepers(now);
    let mut inputs = VecDeque::from([
        Input::Started { sessions: Vec::new(), calls: Vec::new(), messages: Vec::new() },
        Input::Adopted(Records { sessions, ..Records::default() }),
    ]);
    let mut first_us: BTreeMap<String, u64> = BTreeMap::new();
    let end_us = now.mono_us + 11_000_000;
    while now.mono_us < end_us {
        let input = inputs.pop_front().unwrap_or(Input::Tick);
        let mut out = Vec::new();
        node.handle(now, input, &mut out);
        for output in out {
            let Output::Sip { bytes, .. } = output else { continue };
            let register = Message::parse(&bytes).expect("a REGISTER");
            let contact = register.header("Contact").expect("a Contact");
            let token = contact["<sip:".len()..][..32].to_owned();
            first_us.entry(token).or_insert(now.mono_us);
        }
        if !inputs.is_empty() {
            continue;
        }
        let due_us = node.next_deadline_us().unwrap_or(end_us).max(now.mono_us);
        now = now.plus_us(due_us - now.mono_us);
    }
    assert_eq!(first_us.len(), SLEEPERS, "each has its place again within the spread");
    for (number, at_us) in first_us.values().enumerate().take(10) {
        assert!(
            *at_us <= 1 + LEFT_MS * 1_000 / 2,
            "{number} lapses: its REGISTER left at {at_us} us"
        );
    }
    let late = first_us.values().skip(10).filter(|at_us| **at_us > 5_000_000).count();
    assert!((SLEEPERS / 3..SLEEPERS * 2 / 3).contains(&late), "{late} in the second half");
}
