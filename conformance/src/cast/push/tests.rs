//! The service as a whole: over a real connection, with requests that keep every rule.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use reveille_host::BoxStream;
use reveille_trace::Recorder;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, ReadHalf};
use tokio_rustls::TlsConnector;

use super::connection::Executor;
use super::*;

pub(super) const GOOD: &str =
    r#"{"session_id":"S1","application":"demo","token":"t","payload":{"a":1}}"#;

type Send = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

struct Bench {
    host: Host,
    recorder: Recorder,
    service: Arc<Service>,
    to: String,
    devices: String,
}

impl Bench {
    async fn new(settings: Settings, answers: &[Answer]) -> Self {
        let host = reveille_host::real::host();
        let requests = host.net.listen("127.0.0.1:0").await.unwrap();
        let phones = host.net.listen("127.0.0.1:0").await.unwrap();
        let (to, devices) = (requests.local_addr().unwrap(), phones.local_addr().unwrap());
        let recorder = Recorder::keeping();
        let state = State { script: Script::of_any(answers.to_vec()), ..State::default() };
        let service = Arc::new(Service {
            host: host.clone(),
            scribe: Scribe::new(recorder.clone(), "push"),
            judges: Judges::new(&settings).unwrap(),
            state: Mutex::new(state),
        });
        let own = service.clone();
        let tls = settings.tls.as_ref().map(|tls| tls::acceptor(tls, &host).unwrap());
        let accept = async move { drop(accept(own, requests, tls).await) };
        host.tasks.spawn("accept", Box::pin(accept));
        host.tasks.spawn("phones", Box::pin(phones::accept(service.clone(), phones)));
        let (to, devices) = (to.to_string(), devices.to_string());
        Self { host, recorder, service, to, devices }
    }

    async fn connect(&self) -> Send {
        let stream = self.host.net.dial(&self.to).await.unwrap();
        self.shake(stream).await
    }

    async fn shake(&self, stream: BoxStream) -> Send {
        let executor = Executor(self.host.tasks.clone());
        let built = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
        let (send, connection) = built.unwrap();
        self.host.tasks.spawn("connection", Box::pin(async move { drop(connection.await) }));
        send
    }

    async fn post(&self, body: &'static str) -> u16 {
        self.connect().await.send_request(request("/", body)).await.unwrap().status().as_u16()
    }

    async fn phone(&self, token: &str) -> Lines<BufReader<ReadHalf<BoxStream>>> {
        self.phone_that_says(&json!({"token": token})).await
    }

    async fn phone_that_says(&self, hello: &Value) -> Lines<BufReader<ReadHalf<BoxStream>>> {
        let (read, mut write) = tokio::io::split(self.host.net.dial(&self.devices).await.unwrap());
        let line = format!("{hello}\n");
        write.write_all(line.as_bytes()).await.unwrap();
        // The channel stays open as long as the phone reads.
        self.host.tasks.spawn(
            "write",
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(write);
            }),
        );
        BufReader::new(read).lines()
    }

    fn count(&self, kind: Kind) -> usize {
        self.recorder.events().iter().filter(|event| event.kind == kind).count()
    }
}

fn request(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("http://push{path}")).body(Full::new(Bytes::from(body))).unwrap()
}

/// Makes a request of what the rules' tests give to a judge.
fn sent(asked: Asked) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(asked.body));
    *request.method_mut() = asked.method;
    *request.uri_mut() = format!("http://push{}", asked.path).parse().unwrap();
    *request.headers_mut() = asked.headers;
    request
}

pub(super) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

async fn text(response: Response<Incoming>) -> Value {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or_default()
}

#[test]
fn scripted_answers_come_in_order_and_a_phone_gets_what_was_accepted() {
    run(async {
        let script =
            [Answer::Refuse { status: 503, retry_after_s: None }, Answer::Drop, Answer::Duplicate];
        let bench = Bench::new(Settings::default(), &script).await;
        assert_eq!(bench.post(r#"{"session_id":"S1","application":"demo"}"#).await, 400);
        assert_eq!(bench.post(GOOD).await, 503);
        assert_eq!(bench.post(GOOD).await, 200);
        assert_eq!(bench.post(GOOD).await, 200);
        let mut lines = bench.phone("t").await;
        for _ in 0..2 {
            assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("{\"a\":1}"));
        }
        assert_eq!(bench.count(Kind::PushDropped), 1);
        assert_eq!(bench.count(Kind::PushReceived), 4);
    });
}

#[test]
fn a_phone_that_asks_for_it_is_told_how_a_push_is_to_be_treated() {
    run(async {
        let bench = Bench::new(Settings::default(), &[]).await;
        assert_eq!(bench.post(GOOD).await, 200);
        let mut lines = bench.phone_that_says(&json!({"token": "t", "labels": true})).await;
        let line = lines.next_line().await.unwrap().unwrap();
        let told = Some(("{\"a\":1}".to_owned(), Manner::data(true), None));
        assert_eq!(read_labelled(&line), told);
    });
}

#[test]
fn a_reordered_push_arrives_after_the_next_one() {
    run(async {
        let bench = Bench::new(Settings::default(), &[Answer::Reorder]).await;
        assert_eq!(bench.post(GOOD).await, 200);
        let second = r#"{"session_id":"S1","application":"demo","token":"t","payload":{"a":2}}"#;
        assert_eq!(bench.post(second).await, 200);
        let mut lines = bench.phone("t").await;
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("{\"a\":2}"));
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("{\"a\":1}"));
    });
}

#[test]
fn a_refused_stream_may_be_sent_again_and_goaway_ends_the_connection_after_the_answer() {
    run(async {
        let script = [Answer::RefuseStream, Answer::GoAway];
        let bench = Bench::new(Settings::default(), &script).await;
        let mut send = bench.connect().await;
        let refused = send.send_request(request("/", GOOD)).await.unwrap_err();
        let source = std::error::Error::source(&refused).unwrap().downcast_ref::<h2::Error>();
        assert_eq!(source.and_then(h2::Error::reason), Some(h2::Reason::REFUSED_STREAM));
        assert_eq!(send.send_request(request("/", GOOD)).await.unwrap().status(), 200);
        // The connection takes no further request; a new one does.
        let mut open = true;
        for _ in 0..10_000 {
            open = open && send.ready().await.is_ok();
            tokio::task::yield_now().await;
        }
        assert!(!open, "the connection outlives GOAWAY");
        assert_eq!(bench.post(GOOD).await, 200);
        assert_eq!(bench.count(Kind::PushReceived), 3);
    });
}

fn every_service() -> Settings {
    Settings {
        apns: Some(apns::tests::settings()),
        fcm: Some(fcm::tests::settings()),
        webpush: Some(webpush::tests::settings()),
        ..Settings::default()
    }
}

/// The status, the JSON body and the headers of one request.
async fn ask(bench: &Bench, request: Request<Full<Bytes>>) -> (u16, Value, HeaderMap) {
    let response = bench.connect().await.send_request(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, text(response).await, headers)
}

#[test]
fn a_push_to_each_provider_reaches_the_phone() {
    run(async {
        let bench = Bench::new(every_service(), &[]).await;
        let now = bench.host.clock.now();
        let apns = apns::tests::healthy(now.wall, now.mono);
        let (status, _, headers) = ask(&bench, sent(apns.clone())).await;
        assert_eq!((status, headers.get("apns-id")), (200, apns.headers.get("apns-id")));
        let (status, given, _) = ask(&bench, sent(oauth::tests::healthy(now.wall))).await;
        assert_eq!((status, &given["token_type"]), (200, &json!("Bearer")));
        let bearer = given["access_token"].as_str().unwrap();
        let (status, answer, _) = ask(&bench, sent(fcm::tests::healthy(now.wall, bearer))).await;
        assert_eq!(status, 200);
        assert!(answer["name"].as_str().unwrap().starts_with("projects/demo/messages/"));
        let (status, _, headers) = ask(&bench, sent(webpush::tests::healthy(now.wall))).await;
        assert_eq!(status, 201);
        assert!(headers.contains_key("location"));

        let arrived = |token: String| {
            let bench = &bench;
            async move { bench.phone(&token).await.next_line().await.unwrap().unwrap() }
        };
        let session = |line: String| asked::session(&line);
        assert_eq!(session(arrived(apns::tests::TOKEN.to_owned()).await).as_deref(), Some("S1"));
        assert_eq!(session(arrived(fcm::tests::TOKEN.to_owned()).await).as_deref(), Some("S1"));
        let handed = webpush::tests::settings().handed_out(webpush::tests::TOKEN).unwrap();
        assert_eq!(session(arrived(handed.clone()).await).as_deref(), Some("S1"));
        let events = bench.recorder.events();
        let received: Vec<_> = events.iter().filter(|e| e.kind == Kind::PushReceived).collect();
        let providers: Vec<_> = received.iter().map(|e| e.text("provider").unwrap()).collect();
        assert_eq!(providers, ["apns", "fcm", "webpush"]);
        assert!(received.iter().all(|event| event.text("session") == Some("S1")));
        assert_eq!(received[2].text("token"), Some(handed.as_str()));
        // The trace shows what the browser reads.
        let plain: Value = serde_json::from_slice(received[2].bytes()).unwrap();
        assert_eq!(plain["session_id"], "S1");
    });
}

#[test]
fn every_documented_answer_is_given_on_demand() {
    run(async {
        let reasons: Vec<_> =
            DOCUMENTED.iter().map(|of| Answer::reason(of.name).unwrap()).collect();
        let bench = Bench::new(every_service(), &reasons).await;
        let now = bench.host.clock.now();
        // One provider token for all, as APNs wants it.
        let apns = apns::tests::healthy(now.wall, now.mono);
        let mut seen = BTreeMap::new();
        for of in DOCUMENTED {
            let asked = match of.provider {
                Provider::Apns => apns.clone(),
                Provider::OAuth => oauth::tests::healthy(now.wall),
                Provider::WebPush => webpush::tests::healthy(now.wall),
                Provider::Fcm => {
                    let bearer = bench.bearer();
                    fcm::tests::healthy(now.wall, &bearer)
                }
                Provider::Webhook => panic!("{} is of no provider", of.name),
            };
            let (status, body, _) = ask(&bench, sent(asked)).await;
            assert_eq!(status, of.status, "{}", of.name);
            seen.insert(of.name, body);
        }
        assert_eq!(seen["BadDeviceToken"], json!({"reason": "BadDeviceToken"}));
        assert!(seen["Unregistered"]["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
        assert_eq!(seen["UNREGISTERED"]["error"]["status"], "NOT_FOUND");
        assert_eq!(seen["UNREGISTERED"]["error"]["details"][0]["errorCode"], "UNREGISTERED");
        assert_eq!(seen["UNAUTHENTICATED"]["error"]["details"], Value::Null);
        let blamed = &seen["INVALID_REGISTRATION"]["error"]["details"][1];
        assert_eq!(blamed["fieldViolations"][0]["field"], "message.token");
        assert_eq!(seen["invalid_grant"]["error"], "invalid_grant");
        assert!(bench.service.state().script.is_empty());
    });
}

impl Bench {
    /// A bearer that no scripted answer stands before.
    fn bearer(&self) -> String {
        let fcm = self.service.judges.fcm.as_ref().unwrap();
        let given = fcm.oauth.give(self.host.clock.now().mono, &*self.host.entropy);
        let body = futures_util::FutureExt::now_or_never(given.into_body().collect());
        let body: Value = serde_json::from_slice(&body.unwrap().unwrap().to_bytes()).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_scripted_reason_carries_its_age_and_retry_after() {
    run(async {
        let text = r#"answer = [{ reason = { name = "Unregistered", age-s = 3600 } },
            { reason = { name = "QUOTA_EXCEEDED", retry-after-s = 5 } }, "reorder", "go-away",
            "refuse-stream"]"#;
        let script = toml::from_str::<Settings>(text).unwrap().answers;
        assert_eq!(script.len(), 5);
        let bench = Bench::new(every_service(), &script[..2]).await;
        let now = bench.host.clock.now();
        // The second answer is FCM's: it does not wait behind that of APNs.
        let (status, _, headers) =
            ask(&bench, sent(fcm::tests::healthy(now.wall, &bench.bearer()))).await;
        assert_eq!((status, headers["retry-after"].to_str().unwrap()), (429, "5"));
        let (status, body, _) = ask(&bench, sent(apns::tests::healthy(now.wall, now.mono))).await;
        let since = Duration::from_millis(body["timestamp"].as_u64().unwrap());
        assert_eq!(status, 410);
        assert!((now.wall - since).as_secs().abs_diff(3600) < 10);
        let unknown = toml::from_str::<Settings>("answer = [{ reason = { name = \"Bad\" } }]");
        assert!(unknown.unwrap_err().to_string().contains("BadDeviceToken"));
    });
}

#[test]
fn what_waits_ends_with_its_time_and_gives_way_to_one_of_the_same_topic() {
    let parcel = |payload: &str, until: Option<u64>, replaces: Option<&str>| Parcel {
        token: "t".to_owned(),
        payload: payload.to_owned(),
        until: until.map(Duration::from_secs),
        replaces: replaces.map(str::to_owned),
        manner: Manner::data(true),
    };
    let mut phones = phones::Phones::default();
    phones.deliver(parcel("now or never", Some(10), None));
    phones.deliver(parcel("late", Some(20), None));
    phones.deliver(parcel("kept", None, Some("call")));
    phones.deliver(parcel("newer", Some(40), Some("call")));
    let mut got = phones.enrol("t", Duration::from_secs(30));
    assert_eq!(got.try_recv().unwrap().payload, "newer");
    assert!(got.try_recv().is_err());
}

#[test]
fn a_provider_without_settings_is_not_served() {
    run(async {
        let bench = Bench::new(Settings::default(), &[]).await;
        for path in ["/3/device/ab", "/v1/projects/demo/messages:send", "/token", "/webpush/t"] {
            assert_eq!(ask(&bench, request(path, GOOD)).await.0, 404, "{path}");
        }
        assert_eq!(bench.post(GOOD).await, 200);
    });
}

/// Shakes hands with the TLS port, offering these protocols.
async fn dial_tls(bench: &Bench, root: CertificateDer<'static>, offers: &[&[u8]]) -> BoxStream {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    let stream = bench.host.net.dial(&bench.to).await.unwrap();
    let name = "push".try_into().unwrap();
    Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap())
}

#[test]
fn tls_speaks_http_2_and_http_1_1_with_who_offers_no_better() {
    run(async {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["push".to_owned()]).unwrap();
        let tls = Tls {
            listen: String::new(),
            certificates: cert.pem(),
            private_key: signing_key.serialize_pem(),
        };
        let settings = Settings { tls: Some(tls), ..Settings::default() };
        let bench = Bench::new(settings, &[]).await;
        let two = dial_tls(&bench, cert.der().clone(), &[b"h2", b"http/1.1"]).await;
        let mut send = bench.shake(two).await;
        assert_eq!(send.send_request(request("/", GOOD)).await.unwrap().status(), 200);
        let one = dial_tls(&bench, cert.der().clone(), &[b"http/1.1"]).await;
        let (mut send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(one)).await.unwrap();
        bench.host.tasks.spawn("one", Box::pin(async move { drop(connection.await) }));
        assert_eq!(send.send_request(request("/", GOOD)).await.unwrap().status(), 200);
    });
}

#[test]
fn a_key_that_is_none_is_named() {
    let mut settings = every_service();
    settings.apns.as_mut().unwrap().keys.insert("ID".to_owned(), "none".to_owned());
    assert!(Judges::new(&settings).err().unwrap().starts_with("apns.keys.ID: the public key"));
    let mut settings = every_service();
    let apns = settings.apns.as_ref().unwrap().keys.values().next().unwrap().clone();
    settings.fcm.as_mut().unwrap().public_key = apns;
    assert!(Judges::new(&settings).err().unwrap().starts_with("fcm.public-key: P-256"));
    let mut settings = every_service();
    let subscriptions = &mut settings.webpush.as_mut().unwrap().subscriptions;
    subscriptions.get_mut(webpush::tests::TOKEN).unwrap().auth = "AA".to_owned();
    assert!(Judges::new(&settings).err().unwrap().ends_with("auth: write 16 octets"));
}
