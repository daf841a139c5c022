//! Message formats: what is sent without a template, and what templates make of it.

use std::sync::Arc;

use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_gateway_driver::config::{self, Secrets};
use reveille_gateway_driver::push::{Application, PROVIDERS, Push, PushSettings};
use reveille_host::Host;
use serde_json::{Value, json};

use crate::server::{Server, reply};
use crate::{P256, RSA, host, request, send};

/// The applications of a configuration.
pub(super) fn applications(text: &str) -> Vec<Application> {
    let account = json!({"type": "service_account", "project_id": "project-1",
        "private_key_id": "key-1", "private_key": RSA, "client_email": "push@project-1.example",
        "token_uri": "http://127.0.0.1:9/token"});
    let file = |path: &str| match path {
        "p256" => Ok(P256.to_owned()),
        "account" => Ok(account.to_string()),
        _ => Ok("sesame".to_owned()),
    };
    let secrets = Secrets { environment: &|_| None, file: &file };
    config::read("gateway.toml", text, &secrets).expect("sound").push.applications
}

/// The provider of the one application of a configuration.
pub(super) fn plugin_of(host: &Host, text: &str) -> Arc<dyn Push> {
    let applications = applications(text);
    let name = &applications[0].provider;
    let (_, provider) = PROVIDERS.iter().find(|(known, _)| known == name).expect("an entry");
    (provider.make)(host, &PushSettings { applications, ..PushSettings::default() })
}

const HEAD: &str = "[[application]]\napp = \"phone\"\nid = \"com.example.phone\"\n";
const APNS: &str = "provider = \"apns\"\nteam-id = \"DEF123GHIJ\"\nkey-id = \"ABC123DEFG\"\n\
    credential-file = \"p256\"\n";
const FCM: &str = "provider = \"fcm\"\ncredential-file = \"account\"\n";
const WEBPUSH: &str = "provider = \"webpush\"\ncredential-file = \"p256\"\n\
    contact = \"mailto:push@example.com\"\n";

fn webhook(url: &str) -> String {
    format!("provider = \"webhook\"\nurl = \"{url}\"\ncredential-file = \"key\"\n")
}

fn message(request: PushRequest) -> PushRequest {
    let mut message = request;
    message.payload.event = "message".to_owned();
    message
}

#[test]
fn without_a_template_payloads_are_what_they_always_were() {
    let (host, _) = host();
    let call = request(&host, "device");
    let ids = r#""session_id":"s1","event":"call","call_id":"c1","subsession_id":"u1","initiator":"alice@example.com","ttl_s":30"#;
    let of_message = ids.replace("\"call\"", "\"message\"");
    let alert = |title: &str| {
        format!(
            "{{\"alert\":{{\"body\":\"alice@example.com\",\"title\":\"{title}\"}},\"sound\":\"default\"}}"
        )
    };
    let data = r#"{"call_id":"c1","event":"call","initiator":"alice@example.com","session_id":"s1","subsession_id":"u1","ttl_s":"30"}"#;
    let url = webhook("http://push.example.com/");
    let loud = format!("{APNS}push-type = \"alert\"\n");
    for (keys, request, wanted) in [
        (
            &*url,
            call.clone(),
            format!(
                "{{\"session_id\":\"s1\",\"application\":\"com.example.phone\",\"token\":\"device\",\"payload\":{{{ids}}}}}"
            ),
        ),
        (APNS, call.clone(), format!("{{\"aps\":{{}},{ids}}}")),
        (&*loud, call.clone(), format!("{{\"aps\":{},{ids}}}", alert("Incoming call"))),
        (APNS, message(call.clone()), format!("{{\"aps\":{},{of_message}}}", alert("New message"))),
        (WEBPUSH, call.clone(), format!("{{{ids}}}")),
        (
            FCM,
            call,
            format!(
                "{{\"message\":{{\"android\":{{\"priority\":\"HIGH\",\"ttl\":\"29s\"}},\"data\":{data},\"token\":\"device\"}}}}"
            ),
        ),
    ] {
        let plugin = plugin_of(&host, &format!("{HEAD}{keys}"));
        let body = String::from_utf8(plugin.body(&request)).expect("text");
        assert_eq!(body.replace("\"30s\"", "\"29s\""), wanted);
    }
}

#[tokio::test]
async fn a_webhook_is_asked_as_its_template_says() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let keys = webhook(&format!("{}/usual", server.url));
    let text = format!(
        "{HEAD}{keys}[[application.template]]\nevent = \"call\"\n\
        url = \"{}/call/${{application}}?to=${{token}}\"\nbody = '''\n{{\n\
        \"wake\": {{\"session\": \"${{session_id}}\", \"for\": \"${{ttl}}\"}},\n\
        \"text\": \"${{initiator}} calls\"\n}}'''\n\
        [application.template.headers]\nX-Api-Key = \"key=${{credential}}\"\nX-Event = \"${{event}}\"\n",
        server.url
    );
    let plugin = plugin_of(&host, &text);
    let call = request(&host, "de/v?ice");
    assert_eq!(send(&*plugin, &call).await, PushOutcome::Accepted);
    assert_eq!(send(&*plugin, &message(call)).await, PushOutcome::Accepted);
    let [mut call, mut message] = server.seen().try_into().expect("two requests");
    assert_eq!(call.path, "/call/com.example.phone");
    assert_eq!(call.query, "to=de%2Fv%3Fice");
    let wake = json!({"session": "s1", "for": 30});
    assert_eq!(call.json(), json!({"wake": wake, "text": "alice@example.com calls"}));
    assert_eq!(call.take("x-api-key"), "key=sesame");
    assert_eq!(call.take("x-event"), "call");
    assert_eq!(call.headers.get("authorization"), None, "the template shows the credential");
    assert_eq!(message.path, "/usual");
    assert_eq!(message.take("authorization"), "Bearer sesame");
    assert_eq!(message.json()["payload"]["event"], "message", "no template is for it");
}

#[test]
fn a_template_carries_the_message_where_it_fits_and_says_so() {
    let (host, _) = host();
    let mut push = message(request(&host, "device"));
    let carrying = |length: usize| {
        let incoming = json!({"package_type": "messaging", "header": {"action": "send"},
            "payload": {"content": "x".repeat(length)}});
        serde_json::from_value(incoming).expect("a message")
    };
    let head = format!("{HEAD}{WEBPUSH}carry-message = true\n[[application.template]]\n");
    let form =
        "body = '{\"s\": \"${session_id}\", \"m\": \"${message}\", \"a\": \"${initiator}\"}'\n";
    let plugin = plugin_of(&host, &format!("{head}{form}"));
    push.payload.incoming = Some(carrying(9));
    let body: Value = serde_json::from_slice(&plugin.body(&push)).expect("JSON");
    let wanted = json!({"package_type": "messaging", "header": {"action": "send"},
        "payload": {"content": "xxxxxxxxx"}});
    assert_eq!((&body["m"], plugin.carries(&push)), (&wanted, true));
    push.payload.incoming = Some(carrying(3_950));
    let body: Value = serde_json::from_slice(&plugin.body(&push)).expect("JSON");
    assert_eq!(body, json!({"s": "s1", "a": "alice@example.com"}), "left out, and nothing else is");
    let other = "body = '{\"s\": \"${session_id}\"}'\n";
    assert!(!plugin_of(&host, &format!("{head}{other}")).carries(&push), "it does not ask for it");
    assert!(plugin_of(&host, &format!("{HEAD}{WEBPUSH}")).carries(&push), "the gateway's own does");
}

#[tokio::test]
async fn a_platform_has_its_own_form() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let form = |platform: &str| {
        format!(
            "[[application.template]]\nplatform = \"{platform}\"\nurl = \"{}/{platform}\"\n\
            body = '{{\"a\": \"${{application}}\", \"t\": \"${{token}}\", \"on\": \"${{platform}}\", \
            \"wake\": \"${{payload}}\"}}'\n",
            server.url
        )
    };
    let keys = webhook(&format!("{}/any", server.url));
    let text = format!("{HEAD}{keys}{}{}", form("ios"), form("android"));
    let plugin = plugin_of(&host, &text);
    for platform in [Some("ios"), Some("android"), Some("web"), None] {
        let platform = platform.map(ToOwned::to_owned);
        let call = PushRequest { platform, ..request(&host, "device") };
        assert_eq!(send(&*plugin, &call).await, PushOutcome::Accepted);
    }
    let seen = server.seen();
    let paths: Vec<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/ios", "/android", "/any", "/any"]);
    assert_eq!((&seen[0].json()["on"], &seen[1].json()["on"]), (&json!("ios"), &json!("android")));
}

#[tokio::test]
async fn a_token_of_any_length_does_not_make_a_url_or_a_header_of_any_length() {
    let (host, _) = host();
    for key in ["url = \"http://127.0.0.1:9/${token}\"", "headers = { X-To = \"${token}\" }"] {
        let text = format!(
            "{HEAD}{}[[application.template]]\n{key}\n\
            body = '{{\"s\": \"${{session_id}}\", \"a\": \"${{application}}\"}}'\n",
            webhook("http://127.0.0.1:9/")
        );
        let request = request(&host, &"t".repeat(9_000));
        let outcome = send(&*plugin_of(&host, &text), &request).await;
        assert!(matches!(&outcome, PushOutcome::Refused { why, .. } if why.contains("too long")));
    }
}

/// The body that a template gives for a call.
fn templated(keys: &str, template: &str, request: &PushRequest) -> Vec<u8> {
    let (host, _) = host();
    let text = format!("{HEAD}{keys}[[application.template]]\nbody = '''{template}'''\n");
    plugin_of(&host, &text).body(request)
}

#[test]
fn providers_add_what_their_services_ask_for() {
    let call = request(&host().0, "device");
    let read = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).expect("JSON");
    let template = r#"{"data": {"s": "${session_id}", "n": "${ttl}", "t": "${target}", "o": {"a": 1}},
        "android": {"priority": "NORMAL", "ttl": "9s", "collapse_key": "wake"}, "notification": {"title": "${initiator}"}}"#;
    let mut body = read(templated(FCM, template, &call));
    let ttl = body["message"]["android"]["ttl"].take();
    assert!(ttl == "29s" || ttl == "30s", "no longer than the call waits: {ttl}");
    assert_eq!(
        body,
        json!({"message": {"token": "device", "notification": {"title": "alice@example.com"},
            "data": {"s": "s1", "n": "30", "o": "{\"a\":1}"},
            "android": {"priority": "NORMAL", "collapse_key": "wake", "ttl": null}}})
    );
    let template =
        r#"{"aps": {"alert": {"title": "Ring", "body": "${initiator}"}}, "wake": "${payload}"}"#;
    let body = read(templated(APNS, template, &call));
    let aps = json!({"alert": {"title": "Ring", "body": "alice@example.com"}});
    assert_eq!((&body["aps"], &body["wake"]["session_id"]), (&aps, &json!("s1")));
    let body = read(templated(WEBPUSH, r#"["${event}", "${session_id}"]"#, &call));
    assert_eq!(body, json!(["call", "s1"]));
}

#[test]
fn a_long_name_is_cut_until_the_template_fits_and_the_session_stays() {
    let mut call = request(&host().0, "device");
    call.payload.initiator = Some("\u{1}".repeat(8_000));
    call.payload.call_id = Some("c".repeat(5_000));
    let names =
        r#""a": "${initiator}", "b": "${initiator}", "c": "${call_id}", "s": "${session_id}""#;
    let url = webhook("http://push.example.com/");
    for (keys, members, most) in [
        (&*url, "\"i\": \"${application}\", \"t\": \"${token}\"", 4_096 + "device".len()),
        (APNS, "\"aps\": {}", 4_096),
        (WEBPUSH, "\"x\": 1", 3_993),
        (FCM, "\"data\": {\"n\": \"${initiator}\"}", 4_096),
    ] {
        let body = templated(keys, &format!("{{{members}, {names}}}"), &call);
        assert!(body.len() <= most, "{} bytes of {keys}", body.len());
        let text = String::from_utf8(body).expect("text");
        assert!(text.contains("\"s\":\"s1\""), "{text}");
    }
}
