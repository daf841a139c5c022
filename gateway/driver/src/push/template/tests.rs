use proptest::prelude::*;
use serde_json::json;

use super::super::{Application, PROVIDERS};
use super::*;

fn form(provider: &str) -> Form {
    PROVIDERS.iter().find(|(name, _)| *name == provider).expect("an entry").1.form
}

fn app(provider: &str) -> Application {
    Application {
        provider: provider.to_owned(),
        id: "com.example".to_owned(),
        ..Application::default()
    }
}

fn written(body: &str) -> Written {
    Written { body: Some(body.to_owned()), ..Written::default() }
}

/// A push for a call of somebody whose name is as bad as it gets.
fn request() -> PushRequest {
    PushRequest {
        id: reveille_gateway_core::io::PushId { wake: 1, attempt: 1 },
        provider: String::new(),
        session: reveille_gateway_core::record::SessionId::from("s1"),
        application: "com.example".to_owned(),
        token: "t\"/?#".to_owned(),
        platform: None,
        payload: WakePayload {
            session_id: "s1".to_owned(),
            event: "call".to_owned(),
            call_id: None,
            subsession_id: Some("u1".to_owned()),
            initiator: Some("a\",\"x\":\"${token}\\\u{1}\u{1F600}\r\n".to_owned()),
            target: None,
            ttl_s: Some(30),
            incoming: None,
        },
        ttl_ms: 30_000,
        deadline_us: 0,
    }
}

fn filled(text: &str) -> Value {
    let node: Node = serde_json::from_str(text).expect("sound");
    serde_json::from_slice(&body(&node, &request(), |_, _| true)).expect("JSON")
}

#[test]
fn values_keep_their_types_and_what_has_none_is_left_out() {
    let text = r#"{"a": "${ttl}", "b": "in ${ttl} s", "c": "${target}", "d": ["${target}", 1, null],
        "e": "${target|nobody}", "f": "<${target}>", "g": "$${ttl}", "h": {"i": [true, "${event}"]},
        "j": "${payload}"}"#;
    let name = request().payload.initiator;
    let wanted = json!({"a": 30, "b": "in 30 s", "d": [1, null], "e": "nobody", "f": "<>",
        "g": "${ttl}", "h": {"i": [true, "call"]}, "j": {"session_id": "s1", "event": "call",
        "subsession_id": "u1", "initiator": name, "ttl_s": 30}});
    assert_eq!(filled(text), wanted);
}

#[test]
fn no_name_opens_a_member_a_variable_or_a_header() {
    let name = request().payload.initiator.expect("a name");
    let whole = filled(r#"{"who": "${initiator}", "said": "by ${initiator}."}"#);
    assert_eq!(whole, json!({"who": name, "said": format!("by {name}.")}));
    let written = Written {
        url: Some("https://push.example.com/${token}?by=${initiator}".to_owned()),
        headers: [("X-By".to_owned(), "${initiator}".to_owned())].into(),
        ..written("{\"s\": \"${session_id}\", \"a\": \"${application}\"}")
    };
    let template = Template::read(&written, &form("webhook"), &app("webhook")).expect("sound");
    let url = template.url(&request()).expect("a URL");
    let by = "a%22%2C%22x%22%3A%22%24%7Btoken%7D%5C%01%F0%9F%98%80%0D%0A";
    assert_eq!(url, format!("https://push.example.com/t%22%2F%3F%23?by={by}"));
    let headers = template.headers(&request(), None);
    let value = "a\",\"x\":\"${token}\\%01%F0%9F%98%80%0D%0A".to_owned();
    assert_eq!(headers, [("x-by", value, false)]);
}

#[test]
fn members_stand_in_the_order_of_the_template() {
    let node: Node =
        serde_json::from_str(r#"{"z": 1, "a": "${event}", "m": {"y": 1, "b": 2}}"#).expect("sound");
    let text = body(&node, &request(), |_, _| true);
    assert_eq!(text, br#"{"z":1,"a":"call","m":{"y":1,"b":2}}"#);
}

#[test]
fn the_template_of_a_platform_comes_first_then_that_of_an_event() {
    let of = |platform: Option<&str>, event: Option<&str>, mark: &str| {
        let body = format!("{{\"mark\": \"{mark}\", \"wake\": \"${{payload}}\"}}");
        let (platform, event) = (platform.map(ToOwned::to_owned), event.map(ToOwned::to_owned));
        let written = Written { platform, event, ..written(&body) };
        Template::read(&written, &form("fcm"), &app("fcm")).expect("sound")
    };
    let mut templates = Templates::default();
    assert!(templates.add(of(None, None, "any")));
    assert!(templates.add(of(None, Some("call"), "call")));
    assert!(templates.add(of(Some("ios"), None, "ios")));
    assert!(templates.add(of(Some("ios"), Some("message"), "note")));
    assert!(!templates.add(of(Some("ios"), None, "again")));
    for (platform, event, wanted) in [
        (None, "call", "call"),
        (None, "message", "any"),
        (Some("android"), "call", "call"),
        (Some("android"), "message", "any"),
        (Some("ios"), "call", "ios"),
        (Some("ios"), "message", "note"),
        (Some("ios"), "refresh", "ios"),
    ] {
        let mut push = request();
        (push.platform, push.payload.event) = (platform.map(ToOwned::to_owned), event.to_owned());
        let node = templates.body_of(&push).expect("a template");
        assert_eq!(value(node, &push, &push.payload)["mark"], wanted, "{platform:?} {event}");
    }
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_what_to_write() {
    let sound = "{\"s\": \"${session_id}\", \"a\": \"${application}\", \"t\": \"${token}\"}";
    let long =
        format!("{{\"x\": \"{}\", \"aps\": {{}}, \"s\": \"${{session_id}}\"}}", "x".repeat(4_096));
    for (provider, body, begin) in [
        (
            "webhook",
            "{\"a\": \"${sesion}\"}",
            "there is no variable `sesion`; write one of: session_id, ",
        ),
        ("webhook", "{\"a\": \"${ttl\"}", "`${ttl` is not closed; write `}` behind it"),
        ("webhook", "{\"a\": ${ttl}}", "no JSON: expected value at line 1 column 7; write like"),
        ("webhook", "{\"a\": 1, \"a\": 2}", "`a` stands twice; write it once"),
        ("webhook", "{\"${event}\": 1}", "the name `${event}` varies; write variables into values"),
        ("webhook", "{\"a\": \"x${payload}\"}", "${payload} is an object; write it alone"),
        (
            "webhook",
            "{\"a\": \"${credential}\"}",
            "the credential is not for phones; write it into",
        ),
        (
            "webhook",
            "{\"s\": \"${session_id}\"}",
            "nothing in it is ${application}; write a member",
        ),
        (
            "webhook",
            "{\"a\": \"${application}\"}",
            "nothing in it is ${session_id}; write a member",
        ),
        ("apns", "{\"s\": \"${session_id}\"}", "there is no object `aps`; write a member \"aps\""),
        ("apns", "{\"aps\": {}}", "nothing in it is ${session_id}; write a member \"session_id\""),
        ("apns", &long, "4184 bytes before any name is in it; write at most 4096"),
        ("webpush", &long, "4184 bytes before any name is in it; write at most 3993"),
        ("fcm", "\"${payload}\"", "no message; write an object like {\"data\": \"${payload}\"}"),
        ("fcm", "{\"token\": \"t\"}", "the gateway writes `token` around it; leave it out"),
    ] {
        let lacks = Template::read(&written(body), &form(provider), &app(provider));
        let lacks = lacks.expect_err(body);
        assert!(lacks[0].0 == "body" && lacks[0].1.starts_with(begin), "{body}: {lacks:?}");
    }
    let (url, headers) = (Some("http://p/".to_owned()), BTreeMap::new());
    let stray = Written { url, headers, ..written("{\"aps\": {}, \"s\": \"${session_id}\"}") };
    let lacks = Template::read(&stray, &form("apns"), &app("apns")).expect_err("no webhook");
    assert_eq!(lacks[0], ("url", "only webhook has it, not apns; leave it out".to_owned()));
    for (provider, platform, what) in [
        ("webhook", "symbian", "there is no platform `symbian`; write one of: ios, android, web"),
        ("apns", "ios", "apns serves one platform; leave it out"),
    ] {
        let platform = Some(platform.to_owned());
        let odd = Written { platform, ..written("{\"aps\": {}, \"wake\": \"${payload}\"}") };
        let lacks = Template::read(&odd, &form(provider), &app(provider)).expect_err(what);
        assert_eq!(lacks[0], ("platform", what.to_owned()));
    }
    let odd = Written { event: Some("ring".to_owned()), ..written(sound) };
    let lacks = Template::read(&odd, &form("webhook"), &app("webhook")).expect_err("no event");
    assert!(
        lacks[0].1.starts_with("there is no event `ring`; write one of: call, message, notify"),
        "{lacks:?}"
    );
    let empty = Template::read(&Written::default(), &form("webhook"), &app("webhook"));
    assert!(empty.expect_err("nothing")[0].1.starts_with("the template says nothing; write body"));
}

#[test]
fn a_template_leads_nowhere_else_and_holds_no_secret() {
    let read = |url: Option<&str>, header: Option<(&str, &str)>| {
        let headers = header.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let body = "{\"s\": \"${session_id}\", \"a\": \"${application}\", \"t\": \"${token}\"}";
        let url = url.map(ToOwned::to_owned);
        let written = Written { url, headers: headers.into_iter().collect(), ..written(body) };
        Template::read(&written, &form("webhook"), &app("webhook")).map_err(|mut it| it.remove(0))
    };
    for url in [
        "https://${token}/",
        "https://push.example.com${token}/",
        "https://push.example.com:${token}/",
        "${token}",
        "push.example.com/x",
        "https://push.example.com/a b",
        "https://push.example.com/${credential}",
        "https://push.example.com/${payload}",
    ] {
        let (key, what) = read(Some(url), None).expect_err(url);
        assert!(key == "url" && what.contains("; write "), "{url}: {what}");
    }
    for (header, begin) in [
        (("Host", "x"), "`Host`: the gateway writes it; leave it out"),
        (("a b", "x"), "`a b`: no name of a header; write letters"),
        (("X-A", "\n"), "`X-A`: no value of a header; write visible"),
        (("X-A", "${payload}"), "`X-A`: ${payload} is an object; write it"),
        (("X-A", "${tok}"), "`X-A`: there is no variable `tok`; write one"),
        (("Authorization", "key=sesame"), "`Authorization`: no secret belongs into a template;"),
        (("X-A", "${credential}"), "`X-A`: there is no credential; write credential-file"),
    ] {
        let (key, what) = read(None, Some(header)).expect_err(header.0);
        assert!(key == "headers" && what.starts_with(begin), "{what}");
    }
    let odd = Application {
        credential: Some(reveille_gateway_core::config::Secret("two\nlines".to_owned())),
        ..app("webhook")
    };
    let headers = BTreeMap::from([("X-A".to_owned(), "${credential}".to_owned())]);
    let shown = Written { headers, ..written("{\"s\": \"${session_id}\"}") };
    let (_, what) = &Template::read(&shown, &form("webhook"), &odd).expect_err("no header")[0];
    assert!(what.starts_with("`X-A`: no header can show the credential; write"), "{what}");
    let long = "x".repeat(2_048);
    let (key, what) = read(Some(&format!("https://p/{long}")), None).expect_err("a long URL");
    assert_eq!((key, &*what), ("url", "2058 bytes; write at most 2048"));
    let (_, what) = read(None, Some(("X-A", &format!("{long}y")))).expect_err("a long header");
    assert_eq!(what, "`X-A`: 2049 bytes; write at most 2048");
    assert!(read(Some("https://push.example.com/?to=${token}"), Some(("X-A", "1"))).is_ok());
}

proptest! {
    #[test]
    fn no_template_panics_and_what_is_taken_fills_in_for_anybody(
        text in "([\\[\\]{}\":,$|é-]|[$][{]initiator[}]|[$][{]target[|]x[}]|[a-z0-9 _]){0,30}",
        framed in any::<bool>(),
        url in "(https://p/)?([$][{]token[}]|[a-z/?=-]|[$|{}é]){0,12}",
        header in "([$][{]initiator[|]x[}]|[a-z =-]|[$|{}\\x00é]){0,12}",
        name in ".{0,20}",
    ) {
        let frame = "{\"p\": \"${payload}\", \"a\": \"${application}\", \"t\": \"${token}\", \"x\": \"\"}";
        let body = if framed { frame.replace("\"\"", &format!("\"{text}\"")) } else { text };
        let headers = BTreeMap::from([("X-A".to_owned(), header)]);
        let (body, url) = (Some(body), Some(url));
        let written = Written { body, url, headers, ..Written::default() };
        let app = Application {
            credential: Some(reveille_gateway_core::config::Secret("key".to_owned())),
            ..app("webhook")
        };
        let mut push = request();
        push.payload.initiator = Some(name.clone());
        push.token = name;
        match Template::read(&written, &form("webhook"), &app) {
            Ok(template) => {
                let node = template.body().expect("a body");
                let text = self::body(node, &push, |_, length| length <= 4_096);
                prop_assert!(serde_json::from_slice::<Value>(&text).is_ok());
                prop_assert!(template.url(&push).expect("a URL").parse::<hyper::Uri>().is_ok());
                for (_, value, _) in template.headers(&push, Some("key")) {
                    prop_assert!(hyper::header::HeaderValue::try_from(value).is_ok());
                }
            }
            Err(lacks) => prop_assert!(lacks.iter().all(|(_, what)| !what.is_empty())),
        }
    }

    #[test]
    fn whoever_calls_the_members_are_those_of_the_template(name in ".{0,40}", token in ".{0,40}") {
        let mut push = request();
        (push.payload.initiator, push.token) = (Some(name.clone()), token.clone());
        let node: Node = serde_json::from_str(r#"{"a": "${initiator}", "b": "<${token}>"}"#)
            .expect("sound");
        let text = body(&node, &push, |_, _| true);
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        prop_assert_eq!(value, json!({"a": name, "b": format!("<{token}>")}));
    }
}
