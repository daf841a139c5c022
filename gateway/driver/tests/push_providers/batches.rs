//! Several pushes in one request to a webhook.

use std::sync::Arc;

use reveille_gateway_core::io::{PushOutcome, PushRequest};
use reveille_gateway_driver::push::Push;
use reveille_host::Host;
use serde_json::json;

use crate::server::{Seen, Server, reply};
use crate::templates::plugin_of;
use crate::{host, request, word};

fn webhook(host: &Host, server: &Server) -> Arc<dyn Push> {
    let text = "[[application]]\napp = \"phone\"\nid = \"com.example.phone\"\nprovider = \"webhook\"\n\
        batch-size = 9\nurl = ";
    plugin_of(host, &format!("{text}\"{}/\"\n", server.url))
}

/// What becomes of a push to each of these tokens.
async fn send_all(plugin: &dyn Push, host: &Host, tokens: &[&str]) -> Vec<String> {
    let requests: Vec<PushRequest> = tokens.iter().map(|token| request(host, token)).collect();
    let bodies = requests.iter().map(|request| plugin.body(request)).collect();
    plugin.send_all(&requests, bodies).await.iter().map(word).collect()
}

/// The tokens of each request, in the order of their coming.
fn asked(server: &Server) -> Vec<serde_json::Value> {
    let tokens = |seen: Seen| match seen.json() {
        serde_json::Value::Array(all) => all.iter().map(|one| one["token"].clone()).collect(),
        one => one["token"].clone(),
    };
    server.seen().into_iter().map(tokens).collect()
}

#[tokio::test]
async fn pushes_that_leave_together_are_a_list_of_what_each_is_alone() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(202)).await;
    let plugin = webhook(&host, &server);
    assert_eq!(send_all(&*plugin, &host, &["a", "b", "c"]).await, ["accepted"; 3]);
    assert_eq!(send_all(&*plugin, &host, &["d"]).await, ["accepted"]);
    let [list, alone] = server.seen().try_into().expect("two requests");
    assert_eq!(list.json().as_array().expect("a list").len(), 3);
    for (nth, token) in ["a", "b", "c"].into_iter().enumerate() {
        let wanted: serde_json::Value =
            serde_json::from_slice(&plugin.body(&request(&host, token))).expect("JSON");
        assert_eq!(list.json()[nth], wanted);
    }
    assert_eq!(alone.json()["token"], "d", "one alone is no list");
}

#[tokio::test]
async fn each_has_what_the_answer_says_of_it() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| {
        let results = json!({"results": [{"status": 200}, {"status": 410, "reason": "gone"},
            {"status": 503, "retry_after": 7}, {"status": 429}]});
        (200, None, results.to_string())
    })
    .await;
    let plugin = webhook(&host, &server);
    let wanted = ["accepted", "refused", "transient 7000", "transient"];
    assert_eq!(send_all(&*plugin, &host, &["a", "b", "c", "d"]).await, wanted);
    assert_eq!(send_all(&*plugin, &host, &["a", "b"]).await, ["transient"; 2], "four for two");
    let five = ["a", "b", "c", "d", "e"];
    assert_eq!(send_all(&*plugin, &host, &five).await, ["transient"; 5], "four for five");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn of_an_answer_that_is_not_to_be_read_none_is_taken_for_accepted() {
    let (host, _) = host();
    for body in ["{\"results\": 7}".to_owned(), "x".repeat(20_000)] {
        let server = Server::plain(&host, move |_| (200, None, body.clone())).await;
        let plugin = webhook(&host, &server);
        assert_eq!(send_all(&*plugin, &host, &["a", "b"]).await, ["transient"; 2]);
    }
    let (status, retry_after) = (503, Some(3));
    let server = Server::plain(&host, move |_| (status, retry_after, String::new())).await;
    let plugin = webhook(&host, &server);
    assert_eq!(send_all(&*plugin, &host, &["a", "b"]).await, ["transient 3000"; 2]);
    assert_eq!(asked(&server), [json!(["a", "b"])], "the core's schedule asks again");
}

#[tokio::test]
async fn a_list_that_is_refused_is_asked_for_one_by_one() {
    let (host, _) = host();
    let server = Server::plain(&host, |seen| match seen.json()["token"].as_str() {
        None => reply(413),
        Some("b") => reply(410),
        Some(_) => reply(200),
    })
    .await;
    let plugin = webhook(&host, &server);
    let outcomes = send_all(&*plugin, &host, &["a", "b", "c"]).await;
    assert_eq!(outcomes, ["accepted", "refused", "accepted"], "no token dies for another's sake");
    let mut asked = asked(&server);
    assert_eq!(asked.remove(0), json!(["a", "b", "c"]));
    asked.sort_by_key(ToString::to_string);
    assert_eq!(asked, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_batch_of_a_stranger_is_refused_for_each() {
    let (host, _) = host();
    let server = Server::plain(&host, |_| reply(200)).await;
    let plugin = webhook(&host, &server);
    let stranger = PushRequest { application: "other".to_owned(), ..request(&host, "t") };
    let requests = [stranger.clone(), stranger];
    let bodies = requests.iter().map(|request| plugin.body(request)).collect();
    let outcomes = plugin.send_all(&requests, bodies).await;
    let is_refused = |outcome: &PushOutcome| matches!(outcome, PushOutcome::Refused { .. });
    assert!(outcomes.len() == 2 && outcomes.iter().all(is_refused), "{outcomes:?}");
    assert!(server.seen().is_empty());
}
