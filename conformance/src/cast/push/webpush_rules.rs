//! Each rule of Web Push broken once, what may be done up to the limits, and RFC 8292's example.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::super::forge::{asked, encode, es256, hold_all, secret, set};
use super::super::jwt::POINT;
use super::sealed::{derive, point};
use super::*;

pub(in super::super) const TOKEN: &str = "JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV";
const ORIGIN: &str = "https://push.example.net";
const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(in super::super) fn names() -> Vec<&'static str> {
    RULES.iter().map(|rule| rule.name).collect()
}
/// Private keys, as their octet: the browser's, the VAPID key, the sender's, another one.
const BROWSER: u8 = 3;
const VAPID: u8 = 4;
const SENDER: u8 = 5;
const OTHER: u8 = 6;
const AUTH: [u8; 16] = [9; 16];

pub(in super::super) fn settings() -> Settings {
    let subscription = Subscription {
        private_key: encode([BROWSER; 32]),
        auth: encode(AUTH),
        vapid_key: encode(point(&secret(VAPID))),
    };
    let subscriptions = [(TOKEN.to_owned(), subscription)].into();
    Settings { origin: ORIGIN.to_owned(), subscriptions }
}

struct Fixed;
impl Entropy for Fixed {
    fn fill(&self, into: &mut [u8]) {
        into.fill(7);
    }
}

/// Seals as a sender does (RFC 8291 3 and 4); `padded` is plaintext, delimiter and padding.
fn seal(sender: u8, salt: u8, padded: &[u8]) -> Vec<u8> {
    let (sender, browser, salt) = (secret(sender), secret(BROWSER), [salt; 16]);
    let theirs = browser.public_key();
    let shared = p256::ecdh::diffie_hellman(sender.to_nonzero_scalar(), theirs.as_affine());
    let info = [b"WebPush: info\0".as_slice(), &point(&browser), &point(&sender)].concat();
    let mut input = [0; 32];
    derive(&AUTH, shared.raw_secret_bytes(), &info, &mut input).unwrap();
    let (mut key, mut nonce) = ([0; 16], [0; 12]);
    derive(&salt, &input, b"Content-Encoding: aes128gcm\0", &mut key).unwrap();
    derive(&salt, &input, b"Content-Encoding: nonce\0", &mut nonce).unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let mut sealed = padded.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).unwrap();
    let point = point(&sender);
    [salt.as_slice(), &4096_u32.to_be_bytes(), &[65], &point, &sealed].concat()
}

fn message() -> Vec<u8> {
    [json!({"session_id": "S1"}).to_string().as_bytes(), b"\x02\0\0"].concat()
}

fn credentials(key: u8, shown: u8, claims: &Value) -> String {
    let token = es256(&secret(key), &json!({"typ": "JWT", "alg": "ES256"}), claims);
    format!("vapid t={token}, k={}", encode(point(&secret(shown))))
}

fn claims(wall: Duration) -> Value {
    json!({"aud": ORIGIN, "exp": wall.as_secs() + 3_600, "sub": "mailto:push@example.com"})
}

pub(in super::super) fn healthy(wall: Duration) -> Asked {
    let own = credentials(VAPID, VAPID, &claims(wall));
    let headers = [
        ("authorization", own.as_str()),
        ("ttl", "30"),
        ("urgency", "high"),
        ("topic", "call-1"),
        ("content-encoding", "aes128gcm"),
    ];
    asked(&format!("/webpush/{TOKEN}"), &headers, seal(SENDER, 1, &message()), wall)
}

fn judged(doctor: impl FnOnce(&mut Asked)) -> Result<Granted, Refusal> {
    let mut asked = healthy(NOW);
    doctor(&mut asked);
    WebPush::new(settings()).unwrap().judge(asked, &Fixed)
}

fn with(name: &'static str, value: Option<&str>) -> Result<Granted, Refusal> {
    judged(|asked| set(asked, name, value))
}

fn claiming(name: &str, value: Value) -> Result<Granted, Refusal> {
    let mut claims = claims(NOW);
    claims[name] = value;
    with("authorization", Some(&credentials(VAPID, VAPID, &claims)))
}

fn body(body: Vec<u8>) -> Result<Granted, Refusal> {
    judged(|asked| asked.body = body.into())
}

/// The answer to a second message, sealed by this key with this salt.
fn second(sender: u8, salt: u8) -> Result<Granted, Refusal> {
    let webpush = WebPush::new(settings()).unwrap();
    webpush.judge(healthy(NOW), &Fixed).map_err(|refusal| refusal.what).unwrap();
    let mut asked = healthy(NOW);
    asked.body = seal(sender, salt, b"another\x02").into();
    webpush.judge(asked, &Fixed)
}

fn doctored(at: usize, value: u8) -> Result<Granted, Refusal> {
    judged(|asked| {
        let mut body = asked.body.to_vec();
        body[at] = value;
        asked.body = body.into();
    })
}

fn plaintext(bytes: usize) -> Vec<u8> {
    let mut padded = vec![b'x'; bytes];
    padded.push(2);
    padded
}

#[test]
fn each_rule_broken_once_gives_its_documented_answer() {
    let now = NOW.as_secs();
    let sealed = seal(SENDER, 1, &message());
    let rows = [
        ("method", "webpush.405", judged(|asked| asked.method = Method::GET)),
        ("subscription", "webpush.404", judged(|asked| asked.path = "/webpush/x".to_owned())),
        ("vapid-present", "webpush.401", with("authorization", None)),
        ("vapid-present", "webpush.401", with("authorization", Some("Bearer x"))),
        ("vapid-well-formed", "webpush.403", with("authorization", Some("vapid t=a.b.c"))),
        ("vapid-well-formed", "webpush.403", with("authorization", Some("vapid t=a.b.c, k=AA"))),
        ("vapid-key-of-subscription", "webpush.403", {
            with("authorization", Some(&credentials(OTHER, OTHER, &claims(NOW))))
        }),
        ("vapid-signed", "webpush.403", {
            with("authorization", Some(&credentials(OTHER, VAPID, &claims(NOW))))
        }),
        ("vapid-audience", "webpush.403", claiming("aud", json!("https://push.example.net/"))),
        ("vapid-expires", "webpush.403", claiming("exp", json!(now + 24 * 3_600 + 1))),
        ("vapid-expires", "webpush.403", claiming("exp", json!(now))),
        ("vapid-expires", "webpush.403", claiming("exp", Value::Null)),
        ("vapid-contact", "webpush.403", claiming("sub", json!("push@example.com"))),
        ("ttl", "webpush.400", with("ttl", None)),
        ("ttl", "webpush.400", with("ttl", Some("30s"))),
        ("urgency", "webpush.400", with("urgency", Some("High"))),
        ("topic", "webpush.400", with("topic", Some(&"x".repeat(33)))),
        ("topic", "webpush.400", with("topic", Some("call+1"))),
        ("body-size", "webpush.413", body(vec![0; 4_097])),
        ("content-encoding", "webpush.415", with("content-encoding", None)),
        ("content-encoding", "webpush.415", with("content-encoding", Some("aesgcm"))),
        ("record", "webpush.400", body(sealed[..85].to_vec())),
        ("record", "webpush.400", doctored(20, 64)),
        ("record", "webpush.400", doctored(18, 0)),
        ("record", "webpush.400", doctored(21, 5)),
        ("vapid-key-for-nothing-else", "webpush.400", body(seal(VAPID, 1, &message()))),
        ("fresh-salt-and-key", "webpush.400", second(SENDER, 2)),
        ("fresh-salt-and-key", "webpush.400", second(OTHER, 1)),
        ("decrypts", "webpush.400", doctored(0, 2)),
        ("decrypts", "webpush.400", doctored(21 + POINT, sealed[21 + POINT] ^ 1)),
        ("decrypts", "webpush.400", body(seal(SENDER, 1, b"first of two\x01"))),
        ("decrypts", "webpush.400", body(seal(SENDER, 1, &[0; 9]))),
        ("body-size", "webpush.413", body(seal(SENDER, 1, &plaintext(3_994)))),
    ];
    hold_all(RULES, rows);
}

#[test]
fn healthy_requests_pass_up_to_every_limit() {
    let granted = judged(|_| {}).map_err(|refusal| refusal.what).unwrap();
    let Parcel { token, until, payload, replaces, manner } = granted.parcel;
    assert_eq!(manner, Manner::data(true));
    let handed = settings().handed_out(TOKEN).unwrap();
    assert_eq!((token, until), (handed, Some(NOW + Duration::from_secs(30))));
    assert_eq!((payload.as_str(), replaces.as_deref()), (r#"{"session_id":"S1"}"#, Some("call-1")));
    let now = NOW.as_secs();
    let passes = [
        body(seal(SENDER, 1, &plaintext(3_993))),
        claiming("exp", json!(now + 24 * 3_600)),
        claiming("sub", json!("https://example.com/contact")),
        with("topic", Some(&"x".repeat(32))),
        with("urgency", None),
        with("ttl", Some("0")),
        second(OTHER, 2),
    ];
    for (at, judged) in passes.into_iter().enumerate() {
        judged.unwrap_or_else(|refusal| panic!("{at}: {}", refusal.what));
    }
}

#[test]
fn the_same_message_may_be_sent_again() {
    let webpush = WebPush::new(settings()).unwrap();
    for _ in 0..2 {
        assert!(webpush.judge(healthy(NOW), &Fixed).is_ok());
    }
}

/// RFC 8292 2.4 and 3.
#[test]
fn the_example_of_rfc_8292_verifies() {
    let example = "t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5\
        uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDqupt\
        FOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wj\
        xsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";
    let (jwt, key) = vapid(example).unwrap();
    assert_eq!(jwt.verify(&Key::from_point(&key).unwrap()), Ok(()));
    assert_eq!(jwt.text("aud"), Some("https://push.example.net"));
    assert_eq!(jwt.seconds("exp"), Ok(1_453_523_768));
    let (forged, _) = vapid(&example.replacen("i3CY", "i3CZ", 1)).unwrap();
    assert!(forged.verify(&Key::from_point(&key).unwrap()).is_err());
}

#[test]
fn a_drawn_subscription_can_be_handed_out() {
    let drawn = Subscription::draw(&Fixed, &encode(point(&secret(VAPID))));
    assert_eq!(base64url(&drawn.p256dh().unwrap()).unwrap().len(), POINT);
    let subscriptions = [("t".to_owned(), drawn)].into();
    let settings = Settings { origin: ORIGIN.to_owned(), subscriptions };
    assert_eq!(settings.endpoint("t"), "https://push.example.net/webpush/t");
    let handed: Value = serde_json::from_str(&settings.handed_out("t").unwrap()).unwrap();
    assert_eq!(handed["endpoint"], settings.endpoint("t"));
    assert_eq!(handed["keys"]["auth"], encode([7; 16]));
    assert_eq!(settings.handed_out("other"), None);
    assert!(WebPush::new(settings).is_ok());
}

#[test]
fn a_phone_may_call_itself_by_its_subscription_however_it_is_written() {
    let webpush = WebPush::new(settings()).unwrap();
    let handed = settings().handed_out(TOKEN);
    let written = format!("{{ \"keys\": {{}}, \"endpoint\": \"{}\" }}", settings().endpoint(TOKEN));
    assert_eq!(webpush.named(&written), handed);
    assert_eq!(webpush.named(TOKEN), handed);
    assert_eq!(webpush.named("{\"endpoint\": \"https://other.example/webpush/t\"}"), None);
}
