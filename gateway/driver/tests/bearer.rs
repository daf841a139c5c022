//! Bearer tokens at the upgrade, over the loopback of this machine: by the header and, as browsers
//! must, by a subprotocol; beside HTTP Basic, and refused by name.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reveille_gateway_core::config::{Config, Secret, User};
use reveille_gateway_driver::bearer::{Bearer, BearerKey};
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::{Gateway, Running};
use reveille_host::{Host, within};
use reveille_trace::{Kind, Recorder};
use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const LIMIT: Duration = Duration::from_secs(10);
const SECRET: &str = "a secret of at least thirty-two bytes";
const PROTOCOL: &str = "webrtc.oracle.com";

struct Rig {
    host: Host,
    running: Running,
    recorder: Recorder,
}

fn hs256() -> BearerKey {
    BearerKey::hs256(&Secret(SECRET.to_owned())).expect("long enough")
}

async fn rig(key: Option<BearerKey>) -> Rig {
    let host = reveille_host::real::host();
    let mut core = Config::new("example.com", "127.0.0.1:5060");
    core.users.extend(["bob", "alice"].map(|name| User {
        aor: format!("{name}@example.com"),
        username: name.to_owned(),
        secret: Secret("sesame".to_owned()),
    }));
    let mut settings = Settings::new(core);
    let (issuer, audience) = ("https://id".to_owned(), "reveille".to_owned());
    settings.bearer = key.map(|key| Bearer { issuer, audience, key });
    let recorder = Recorder::keeping();
    let running = Gateway::start(host.clone(), settings, recorder.clone()).await;
    Rig { host, running: running.expect("the gateway starts"), recorder }
}

type Refused = (u16, Vec<String>, String);

impl Rig {
    /// Asks for an upgrade with these headers; the status, challenges and body that refuse it.
    async fn ask(&self, headers: &[(&'static str, &str)]) -> Result<(), Refused> {
        let at = self.running.ws.expect("a WebSocket port").to_string();
        let stream = self.host.net.dial(&at).await.expect("it listens");
        let mut request = format!("ws://{at}/chat").into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("a header"));
        }
        let work = tokio_tungstenite::client_async(request, stream);
        let came = within(&*self.host.clock, LIMIT, work).await.expect("within ten seconds");
        match came {
            Ok((_closed, response)) => {
                let echoed: Vec<_> =
                    response.headers().get_all("Sec-WebSocket-Protocol").iter().collect();
                assert_eq!(echoed, [PROTOCOL], "nothing else is echoed");
                Ok(())
            }
            Err(Error::Http(response)) => {
                let challenges = response.headers().get_all("WWW-Authenticate").iter();
                let challenges = challenges.map(|value| value.to_str().expect("text").to_owned());
                let body = response.body().clone().unwrap_or_default();
                let body = String::from_utf8(body).expect("text");
                Err((response.status().as_u16(), challenges.collect(), body))
            }
            Err(other) => panic!("neither let in nor refused: {other}"),
        }
    }

    async fn by_header(&self, token: &str) -> Result<(), Refused> {
        let shown = format!("Bearer {token}");
        let headers = [("Sec-WebSocket-Protocol", PROTOCOL), ("Authorization", &shown)];
        self.ask(&headers).await
    }

    async fn by_protocol(&self, token: &str) -> Result<(), Refused> {
        let offered = format!("{PROTOCOL}, bearer.{token}");
        self.ask(&[("Sec-WebSocket-Protocol", &offered)]).await
    }

    fn claims(&self) -> Value {
        let now_s = self.host.clock.now().wall.as_secs();
        json!({ "iss": "https://id", "aud": "reveille", "sub": "bob", "exp": now_s + 300 })
    }

    /// The users of so many sockets that were opened.
    async fn opened(&self, count: usize) -> Vec<String> {
        let users = async {
            loop {
                let events = self.recorder.events();
                let opened = events.iter().filter(|event| event.kind == Kind::WsOpened);
                let users: Vec<_> = opened.filter_map(|event| event.text("user")).collect();
                if users.len() >= count {
                    return users.into_iter().map(str::to_owned).collect();
                }
                tokio::task::yield_now().await;
            }
        };
        within(&*self.host.clock, LIMIT, users).await.expect("within ten seconds")
    }
}

fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn signed_by_secret(secret: &str, claims: &Value) -> String {
    let input = unsigned("HS256", claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, input.as_bytes()));
    format!("{input}.{signature}")
}

#[expect(clippy::disallowed_methods, reason = "ring signs with no randomness but its own")]
fn signed_by_key(claims: &Value) -> String {
    let input = unsigned("ES256", claims);
    let der = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("keys/p256.pem")).expect("a key");
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der(), &random).expect("a pair");
    let signature = pair.sign(&random, input.as_bytes()).expect("signed");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_token_of_either_algorithm_is_taken_by_header_and_by_subprotocol() {
    let public = BearerKey::es256(include_str!("keys/p256-public.pem")).expect("a key");
    for (key, is_hs256) in [(hs256(), true), (public, false)] {
        let rig = rig(Some(key)).await;
        let claims = rig.claims();
        let (good, other) = (signed_by_secret(SECRET, &claims), signed_by_key(&claims));
        let (good, other) = if is_hs256 { (good, other) } else { (other, good) };
        assert_eq!(rig.by_header(&good).await, Ok(()));
        assert_eq!(rig.by_protocol(&good).await, Ok(()));
        assert_eq!(rig.by_protocol(&URL_SAFE_NO_PAD.encode(&good)).await, Ok(()));
        assert_eq!(rig.opened(3).await, ["bob", "bob", "bob"]);
        let (status, challenges, body) = rig.by_header(&other).await.expect_err("refused");
        let what = "the token is not signed by the algorithm that is taken here (alg)";
        assert_eq!((status, body.trim_end()), (401, what));
        let error = format!("error=\"invalid_token\", error_description=\"{what}\"");
        assert_eq!(
            challenges,
            [
                "Basic realm=\"reveille\", charset=\"UTF-8\"".to_owned(),
                format!("Bearer realm=\"reveille\", {error}"),
            ]
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_named_by_either_way_and_shown_nowhere() {
    let rig = rig(Some(hs256())).await;
    let with = |name: &str, value: Value| {
        let mut claims = rig.claims();
        claims[name] = value;
        signed_by_secret(SECRET, &claims)
    };
    let now_s = rig.host.clock.now().wall.as_secs();
    let long = with("jti", json!("x".repeat(4_096)));
    for (token, wanted) in [
        (with("exp", json!(now_s - 61)), "the token has expired (exp); ask for a new one"),
        (with("nbf", json!(now_s + 200)), "the token is not valid yet (nbf)"),
        (with("iss", json!("https://evil")), "the token is not of the issuer that is taken here"),
        (with("aud", json!("other")), "the token is not for this gateway (aud)"),
        (with("sub", json!("eve")), "the token names no user of this gateway (sub)"),
        (signed_by_secret(&SECRET.replace('a', "b"), &rig.claims()), "the signature is not the"),
        (format!("{}.", unsigned("none", &rig.claims())), "the token is not signed by the algor"),
        (long, "the token is longer than 4096 bytes"),
        ("sesame".to_owned(), "this is no signed JWT"),
    ] {
        for refused in [rig.by_header(&token).await, rig.by_protocol(&token).await] {
            let (status, challenges, body) = refused.expect_err(wanted);
            assert_eq!((status, body.starts_with(wanted)), (401, true), "{body}");
            assert!(
                challenges[1].contains(&format!("error_description=\"{wanted}")),
                "{challenges:?}"
            );
        }
        let shown = format!("{:?}", rig.recorder.events());
        assert!(!shown.contains(&token), "no trace shows a token");
    }
    assert_eq!(rig.by_header(&with("exp", json!(now_s - 50))).await, Ok(()), "within the leeway");
}

#[tokio::test]
async fn basic_still_stands_and_credentials_are_shown_once() {
    let rig = rig(Some(hs256())).await;
    let token = signed_by_secret(SECRET, &rig.claims());
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let (right, wrong) = (basic("alice:sesame"), basic("alice:simsim"));
    let with_token = format!("{PROTOCOL}, bearer.{token}");
    let twice = format!("{with_token}, bearer.{token}");
    let bearer = format!("Bearer {token}");
    let ask = async |protocol: &str, shown: &[&str]| {
        let mut headers = vec![("Sec-WebSocket-Protocol", protocol)];
        headers.extend(shown.iter().map(|shown| ("Authorization", *shown)));
        rig.ask(&headers).await.map_err(|(status, challenges, _)| {
            assert_eq!(challenges[0], "Basic realm=\"reveille\", charset=\"UTF-8\"");
            (status, challenges[1].replace("Bearer realm=\"reveille\"", ""))
        })
    };
    assert_eq!(ask(PROTOCOL, &[&right]).await, Ok(()));
    assert_eq!(rig.opened(1).await, ["alice"]);
    let none = Err((401, String::new()));
    assert_eq!(ask(PROTOCOL, &[&wrong]).await, none, "no word about a token that was not shown");
    assert_eq!(ask(PROTOCOL, &[]).await, none);
    for (protocol, shown) in [
        (with_token.as_str(), &[right.as_str()][..]),
        (&with_token, &[bearer.as_str()]),
        (&twice, &[]),
        (PROTOCOL, &[bearer.as_str(), bearer.as_str()]),
    ] {
        let (status, said) = ask(protocol, shown).await.expect_err("shown twice");
        assert_eq!(
            (status, said.starts_with(", error=\"invalid_request\"")),
            (401, true),
            "{said}"
        );
    }
    let (status, _, _) = rig
        .ask(&[("Sec-WebSocket-Protocol", &format!("bearer.{token}"))])
        .await
        .expect_err("webrtc.oracle.com is not offered");
    assert_eq!(status, 400);
}

#[tokio::test]
async fn without_the_section_no_token_is_taken() {
    let rig = rig(None).await;
    let token = signed_by_secret(SECRET, &rig.claims());
    for refused in [rig.by_header(&token).await, rig.by_protocol(&token).await] {
        let (status, challenges, _) = refused.expect_err("refused");
        assert_eq!(
            (status, challenges),
            (401, vec!["Basic realm=\"reveille\", charset=\"UTF-8\"".to_owned()])
        );
    }
}
