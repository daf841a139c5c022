//! Pushes that carry the message or call itself, and what of it is never said to a push service.

use reveille_gateway_core::config::{Config, HeaderRule};
use reveille_gateway_core::tenancy::Share;
use serde_json::{Value, json};

use super::rig::{Rig, config};

/// Pushes of the application by these providers carry what they are for.
fn carrying(providers: &[&str]) -> Config {
    let mut config = config();
    let carried = providers.iter().map(|&it| it.to_owned()).collect();
    let share = Share { carried, ..Share::default() };
    config.tenancy.apps.insert("app".to_owned(), share);
    config.headers.push(HeaderRule {
        app: None,
        member: "customer".to_owned(),
        header: "X-Customer".to_owned(),
        to_sip: true,
        to_app: true,
    });
    config
}

fn carried(rig: &Rig) -> Vec<Value> {
    let payloads = rig.pushes.iter().map(|push| &push.payload.incoming);
    payloads.map(|it| serde_json::to_value(it).expect("JSON")).collect()
}

const SDP: &str = "v=0\r\ns=secret of the media\r\n";

#[test]
fn a_push_carries_its_message_where_that_is_wished_and_the_app_is_given_it_once_all_the_same() {
    let mut rig = Rig::new(carrying(&["webhook"]));
    let session = rig.asleep();
    rig.message("note");
    let wanted = json!({"package_type": "messaging",
        "header": {"action": "send", "initiator": "alice@example.com",
            "target": "bob@example.com", "content_type": "text/plain"},
        "payload": {"content": "hello of note"}});
    assert_eq!(carried(&rig), std::slice::from_ref(&wanted));
    let named = rig.pushes[0].payload.subsession_id.clone().expect("a subsession");
    rig.resume(2, &session, 2);
    let given = rig.frames(2, "send");
    assert_eq!(given.len(), 1, "once");
    assert_eq!(given[0]["control"]["subsession_id"], named.as_str(), "and to be known again");
    assert_eq!(
        (&given[0]["header"], &given[0]["payload"]),
        (&wanted["header"], &wanted["payload"])
    );
    rig.answer(2, &given[0], 3, 200);
    rig.resume(3, &session, 3);
    assert_eq!(rig.frames(3, "send").len(), 0, "and not again");
}

#[test]
fn by_default_and_by_other_providers_nothing_is_carried() {
    for config in [config(), carrying(&[]), carrying(&["fcm"])] {
        let mut rig = Rig::new(config);
        rig.asleep();
        rig.message("note");
        assert_eq!(carried(&rig), [Value::Null]);
    }
}

#[test]
fn of_a_call_everything_is_carried_but_its_sdp() {
    let mut rig = Rig::new(carrying(&["webhook"]));
    rig.asleep();
    rig.request("INVITE", "one", "X-Customer: 7\r\nContent-Type: application/sdp\r\n", SDP);
    assert_eq!(
        carried(&rig),
        [json!({"package_type": "call", "header": {"action": "start", "customer": "7",
            "initiator": "alice@example.com", "target": "bob@example.com"}})]
    );
    assert!(!rig.pushes[0].payload.to_json().contains("secret of the media"));
}

#[test]
fn of_who_asks_for_privacy_nothing_is_carried() {
    for (method, body) in [("MESSAGE", "psst"), ("INVITE", SDP)] {
        let mut rig = Rig::new(carrying(&["webhook"]));
        rig.asleep();
        let fields = "Privacy: id\r\nX-Customer: 7\r\nContent-Type: text/plain\r\n";
        rig.request(method, "one", fields, body);
        assert_eq!(carried(&rig), [Value::Null], "{method}");
    }
}

#[test]
fn the_call_that_waits_goes_before_the_message_as_in_the_names() {
    let mut rig = Rig::new(carrying(&["webhook"]));
    rig.asleep();
    rig.message("note");
    rig.request("INVITE", "one", "Content-Type: application/sdp\r\n", SDP);
    let kinds: Vec<_> = carried(&rig).into_iter().map(|it| it["package_type"].clone()).collect();
    assert_eq!(kinds, [json!("messaging"), json!("call")]);
}
