use hyper::HeaderMap;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::super::keys::unsigned;
use super::*;

/// RFC 8292 section 2.4. ring signs with chance of its own, so what is signed is compared, and the
/// example's signature verified over it.
#[test]
fn the_example_of_rfc_8292_is_what_would_be_signed() {
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQi\
                 LCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDqu\
                 ptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA";
    let key = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmCl\
               BPs";
    let endpoint = "https://push.example.net/p/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV".parse();
    let aud = origin(&endpoint.expect("a URL"));
    let claims = Claims { aud, exp: 1_453_523_768, sub: "mailto:push@example.com" };
    let input = unsigned(&HEADER, &claims);
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    assert_eq!(input, signed);
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes(key))
        .verify(input.as_bytes(), &bytes(signature))
        .expect("the example's signature");
}

#[test]
fn an_origin_names_a_port_only_if_it_is_not_the_usual_one() {
    for (url, wanted) in [
        ("https://Push.example.net/a?b", "https://push.example.net"),
        ("https://push.example.net:443/", "https://push.example.net"),
        ("https://push.example.net:8443/", "https://push.example.net:8443"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
    ] {
        assert_eq!(origin(&url.parse().expect("a URL")), wanted);
    }
}

#[test]
fn a_token_that_is_no_subscription_is_told_from_one() {
    let point = URL_SAFE_NO_PAD.encode([&[4][..], &[7; 64]].concat());
    let token = |endpoint: &str, point: &str, auth: &str| {
        format!(
            r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{point}","auth":"{auth}"}}}}"#
        )
    };
    let (auth, padded) = ("AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA==");
    let say = |token: &str, private| subscription(token, private).map(|_| ()).err();
    assert_eq!(say(&token("https://push.example.net/x", &point, auth), false), None);
    assert_eq!(say(&token("https://push.example.net/x", &point, padded), false), None);
    assert_eq!(say(&token("http://127.0.0.1:9/x", &point, auth), true), None);
    let long = format!("https://push.example.net/{}", "x".repeat(MOST_ENDPOINT));
    for (token, wanted) in [
        (String::new(), "no PushSubscription"),
        ("{\"endpoint\":\"https://a/\"}".to_owned(), "no PushSubscription"),
        (token("push", &point, auth), "no https: URL"),
        (token("http://push.example.net/x", &point, auth), "no https: URL"),
        (token("file:///etc/passwd", &point, auth), "endpoint is no"),
        (token("https://a@b/", &point, auth), "no https: URL"),
        (token(&long, &point, auth), "endpoint is no URL"),
        (token("https://push.example.net/x", "AAAA", auth), "keys are no"),
        (token("https://push.example.net/x", &point, "AAAA"), "keys are no"),
        (token("https://push.example.net/x", &point, "!"), "keys are no"),
    ] {
        let said = say(&token, false).expect(&token);
        assert!(said.contains(wanted), "{token}: {said}");
    }
}

#[test]
fn every_answer_has_its_meaning() {
    let word = |status: u16, retry_after: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert("retry-after", value.parse().expect("a header"));
        }
        match classify(&Answer::new(status, headers, "")) {
            PushOutcome::Accepted => "accepted".to_owned(),
            PushOutcome::Refused { .. } => "refused".to_owned(),
            PushOutcome::Failed { .. } => "failed".to_owned(),
            PushOutcome::Transient { retry_after_ms, .. } => format!("{retry_after_ms:?}"),
        }
    };
    for (status, wanted) in [
        (200, "accepted"),
        (201, "accepted"),
        (202, "accepted"),
        (307, "failed"),
        (400, "failed"),
        (401, "failed"),
        (403, "failed"),
        (404, "refused"),
        (410, "refused"),
        (413, "failed"),
        (429, "None"),
        (500, "None"),
        (503, "None"),
    ] {
        assert_eq!(word(status, None), wanted, "{status}");
    }
    let page = Answer::new(200, HeaderMap::new(), "<html>");
    assert!(matches!(classify(&page), PushOutcome::Transient { .. }), "some proxy's");
    assert_eq!(word(429, Some("5")), "Some(5000)");
    assert_eq!(word(503, Some("9")), "Some(9000)");
}
