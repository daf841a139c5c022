use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::push::PushType;
use crate::push::test_keys as keys;

mod sections;

/// A certificate and its key.
fn pair() -> &'static (String, String) {
    static PAIR: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    PAIR.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

pub(crate) fn load(text: &str) -> Result<Settings, Vec<ConfigError>> {
    let environment = |name: &str| (name != "UNSET").then(|| "from-env".to_owned());
    let file = |path: &str| match path {
        "/missing" => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        "/etc/reveille/database" => Ok("open sesame\n".to_owned()),
        "/etc/reveille/2026-11.key" => Ok(format!("{}=\n", "E".repeat(43))),
        "/etc/reveille/push-ca.pem"
        | "/etc/reveille/admin.crt"
        | "/etc/reveille/peers-ca.pem"
        | "/etc/reveille/registrar-ca.pem" => Ok(keys::CERTIFICATE.to_owned()),
        "/etc/reveille/sip.pem" | "/etc/reveille/web.pem" => Ok(pair().0.clone()),
        "/etc/reveille/sip.key" | "/etc/reveille/web.key" => Ok(pair().1.clone()),
        "/other.key" => Ok(keys::P256.to_owned()),
        "/etc/reveille/bearer.pem" => Ok(keys::P256_PUBLIC.to_owned()),
        "/etc/reveille/apns.p8" | "/etc/reveille/vapid.pem" | "/etc/reveille/admin.key" => {
            Ok(keys::P256.to_owned())
        }
        "/etc/reveille/fcm.json" => {
            Ok(keys::service_account("https://oauth2.googleapis.com/token"))
        }
        "/etc/reveille/proxy.secret" => Ok("gateway:sesame-of-the-proxy\n".to_owned()),
        "/etc/reveille/admin.token" => Ok("a-token-of-the-operator\n".to_owned()),
        _ => Ok("from-file\n".to_owned()),
    };
    read("gateway.toml", text, &Secrets { environment: &environment, file: &file })
}

#[test]
fn the_example_parses_to_the_defaults() {
    let empty = load("").expect("every section has defaults");
    let example = load(print_config()).expect("the example is sound");
    assert_eq!(format!("{example:?}"), format!("{empty:?}"));
}

#[test]
fn what_the_example_comments_out_parses_as_well() {
    let all: String = print_config()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let settings = load(&all).expect("the whole example is sound");
    assert_eq!(settings.core.users[0].secret.0, "from-file", "the line's end is cut");
    let credential = settings.push.applications[0].credential.as_ref().expect("a credential");
    assert_eq!(credential.0, "from-env");
    assert_eq!(settings.core.registrar.expect("a registrar").expires_s, 3_600);
}

fn each_is_refused(table: &[(&str, &str)]) {
    for (text, begin) in table {
        let errors = load(text).expect_err(text);
        let said = errors[0].to_string();
        assert!(said.starts_with(begin), "{text:?} gives\n  {said}\nnot\n  {begin}");
    }
}

#[test]
fn every_error_names_line_key_and_remedy() {
    let user = "[[user]]\naor = \"a@example.com\"\nusername = \"a\"\nsecret = \"x\"\n";
    let table: &[(&str, &str)] = &[
        ("[node\n", "gateway.toml:1: "),
        (
            "[node]\nnam = \"x\"",
            "gateway.toml:2: node.nam: there is no `nam`; did you mean `name`? write one of: name, \
                domains, advertised",
        ),
        ("\n[call]\nwake-budget = 30", "gateway.toml:3: call.wake-budget: invalid type: integer"),
        (
            "[call]\nwake-budget = \"30\"",
            "gateway.toml:2: call.wake-budget: `30` is no time; write",
        ),
        (
            "[call]\nwake-budget = \"4s\"",
            "gateway.toml:2: call.wake-budget: 4s is out of range; write \"5s\" to \"150s\"",
        ),
        (
            "[call]\nwake-budget = \"151s\"",
            "gateway.toml:2: call.wake-budget: 151s is out of range",
        ),
        (
            "[call]\nwake-budget = \"61s\"\nhold-code = \"none\"",
            "gateway.toml:3: call.hold-code: \"none\" needs",
        ),
        ("[call]\nhold-code = 180", "gateway.toml:2: call.hold-code: no such hold code; write 183"),
        ("[node]\ndomains = []", "gateway.toml:2: node.domains: nobody can be called"),
        (
            "[node]\nadvertised = \"here\"",
            "gateway.toml:2: node.advertised: `here` is no host:port",
        ),
        ("[sip]\nudp = \"5060\"", "gateway.toml:2: sip.udp: `5060` is no address:port"),
        (
            "[fabric]\nengine = \"paper\"",
            "gateway.toml:2: fabric.engine: no engine `paper`; write one of: \"memory\"",
        ),
        ("[push]\nattempts = [\"3s\", \"1s\"]", "gateway.toml:2: push.attempts: attempts must be"),
        ("[message]\nwait = \"21s\"", "gateway.toml:2: message.wait: 21s is out of range"),
        (
            "[message]\nmost-bytes = 9000",
            "gateway.toml:2: message.most-bytes: 9000 is out of range; write 1 to 8192",
        ),
        ("[session]\nttl-max = \"30s\"", "gateway.toml:2: session.ttl-max: 30s is out of range"),
        ("[[user]]\nusername = \"a\"", "gateway.toml:1: user: missing field `aor`"),
        (
            "[[user]]\naor = \"a\"\nusername = \"a\"\nsecret = \"x\"",
            "gateway.toml:2: user.aor: no address of record",
        ),
        (
            "[[user]]\naor = \"a@example.com\"\nusername = \"a\"",
            "gateway.toml:1: user.secret: a user needs a secret",
        ),
        (
            "[[user]]\naor = \"a@example.com\"\nusername = \"a\"\nsecret-env = \"UNSET\"",
            "gateway.toml:4: user.secret-env: the environment variable `UNSET` is not set",
        ),
        (
            "[[user]]\naor = \"a@example.com\"\nusername = \"a\"\nsecret-file = \"/missing\"",
            "gateway.toml:4: user.secret-file: `/missing`: ",
        ),
        (
            "[[user]]\naor = \"a@b\"\nusername = \"a\"\nsecret = \"x\"",
            "gateway.toml:2: user.aor: nobody can call this user: `b` is not among node.domains",
        ),
        (
            "[registrar]\nuri = \"x\"\naddress = \"r:5060\"",
            "gateway.toml:2: registrar.uri: no sip: URI",
        ),
        (
            "[registrar]\nuri = \"sip:x\"\naddress = \"r:5060\"\ntransport = \"sctp\"",
            "gateway.toml:4: registrar.transport: no such transport",
        ),
        (
            "[[application]]\napp = \"a\"\nprovider = \"p\"\nid = \"i\"\nurl = \"http://p/\"",
            "gateway.toml:3: application.provider: no provider `p`",
        ),
        (
            "[[application]]\napp = \"a\"\nprovider = \"webhook\"\nid = \"i\"\nurl = \"p\"",
            "gateway.toml:5: application.url: no http:// or https:// URL; write one like",
        ),
        (
            "[[application]]\napp = \"a\"\nprovider = \"webhook\"\nid = \"i\"",
            "gateway.toml:1: application.url: webhook needs it; write one like",
        ),
    ];
    each_is_refused(table);
    let twice = load(&format!("{user}{user}")).expect_err("one name twice");
    assert_eq!((twice[0].line, twice[0].key.as_str()), (7, "user.username"));
}

/// Every `section.key`, as the parser itself names them.
pub(crate) fn known_keys() -> Vec<String> {
    let named = |text: &str| -> Vec<String> {
        let errors = load(text).expect_err("there is no such key");
        let told = errors.iter().find(|error| error.what.contains("`zzzzzzzz`")).expect(text);
        let (_, names) = told.what.split_once("write one of: ").expect("names");
        names.split(", ").map(ToOwned::to_owned).collect()
    };
    let of = |section: String| {
        let many = matches!(&*section, "user" | "application" | "tenant" | "header" | "ice");
        let header = if many { format!("[[{section}]]") } else { format!("[{section}]") };
        let keys = named(&format!("{header}\nzzzzzzzz = 1\n"));
        keys.into_iter().map(|key| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    named("zzzzzzzz = 1\n").into_iter().flat_map(of).collect()
}

/// The text of the example's other providers.
fn others() -> String {
    let inside = print_config().lines().filter_map(|line| line.strip_prefix("#   "));
    inside.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_other_providers_of_the_example_are_sound() {
    let settings = load(&others()).expect("every block is sound");
    let [apns, fcm, webpush] = &settings.push.applications[..] else { panic!("three blocks") };
    assert_eq!((apns.provider.as_str(), apns.apple.push_type), ("apns", PushType::Voip));
    assert_eq!((&*apns.apple.team_id, &*apns.apple.key_id), ("DEF123GHIJ", "ABC123DEFG"));
    assert!(fcm.credential.is_some());
    assert_eq!(webpush.web.contact, "mailto:push@example.com");
    let shown = format!("{settings:?}");
    let secret = keys::P256.lines().nth(1).expect("a line of the key");
    assert!(!shown.contains(secret) && !shown.contains("private_key"), "{shown}");
}

#[test]
fn what_a_provider_lacks_is_said_with_its_line_and_remedy() {
    let change = |from: &str, to: &str| {
        let text = others();
        assert!(text.contains(from), "{from} stands in the example");
        load(&text.replacen(from, to, 1)).expect_err(to)[0].to_string()
    };
    let table: &[(&str, &str, &str)] = &[
        ("id = \"com", "id = \"com/", "gateway.toml:4: application.id: no bundle id; write"),
        ("DEF123GHIJ", "", "gateway.toml:5: application.team-id: apns needs it; write"),
        ("ABC123DEFG", "a b", "gateway.toml:6: application.key-id: apns needs it; write"),
        (
            "apns.p8",
            "fcm.json",
            "gateway.toml:7: application.credential-file: no private key; write PKCS#8",
        ),
        (
            "/etc/reveille/apns.p8",
            "/missing",
            "gateway.toml:7: application.credential-file: `/miss",
        ),
        ("\"voip\"", "\"background\"", "gateway.toml:8: application.push-type: `background` rings"),
        ("\"https://api.s", "\"api.s", "gateway.toml:9: application.url: no http:// or https://"),
        (
            "fcm.json",
            "apns.p8",
            "gateway.toml:14: application.credential-file: no service account (line 1, column",
        ),
        (
            "\"https://fcm.googleapis.com\"",
            "\"https://fcm.googleapis.com\"\ncontact = \"x\"",
            "gateway.toml:16: application.contact: only webpush has it, not fcm; leave it out",
        ),
        ("vapid.pem", "fcm.json", "gateway.toml:20: application.credential-file: no private key"),
        ("mailto:", "tel:", "gateway.toml:21: application.contact: no contact for push services"),
        (
            "private-endpoints = false",
            "url = \"https://push\"",
            "gateway.toml:22: application.url: each subscription names its own",
        ),
        (
            "private-endpoints = false",
            "ca-file = \"/missing\"",
            "gateway.toml:22: application.ca-file: `/missing`: ",
        ),
        (
            "private-endpoints = false",
            "ca-file = \"/etc/reveille/apns.p8\"",
            "gateway.toml:22: application.ca-file: no certificate in PEM; write",
        ),
    ];
    for (from, to, begin) in table {
        let said = change(from, to);
        assert!(said.starts_with(begin), "{from} -> {to} gives\n  {said}\nnot\n  {begin}");
    }
}

#[test]
fn all_errors_come_at_once_and_no_secret_is_shown() {
    let text = "[call]\nwake-budget = \"1s\"\n[sip]\ntcp = \"x\"\n[[user]]\naor = \"a@example.com\"\n\
        username = \"a\"\nsecret = \"sesame\"\n";
    let errors = load(text).expect_err("two errors");
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 4]);
    let sound = load("[[user]]\naor = \"a@Example.COM\"\nusername = \"a\"\nsecret = \"sesame\"")
        .expect("sound");
    assert_eq!(sound.core.users[0].aor, "a@example.com");
    assert!(!format!("{sound:?}").contains("sesame"));
}

/// Every fault of one file.
fn faults(text: &str) -> Vec<String> {
    let errors = load(text).expect_err(text);
    errors.iter().map(|error| error.to_string().replace("gateway.toml:", "")).collect()
}

fn assert_faults(text: &str, wanted: &[&str]) {
    let found = faults(text);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found}\nnot\n{wanted}");
    }
}

#[test]
fn keys_types_and_values_are_refused_in_one_pass() {
    assert_faults(
        "[nod]\nname = \"x\"\n[call]\nwake-budgt = \"3s\"\nmost-pending = \"x\"\n\
            hold-code = true\nring-deadline = \"1s\"\n[[user]]\nusername = \"a\"\n[[user]]\n\
            aor = \"x\"\nusername = \"b\"\nsecret = \"y\"\n[registrar]\nuri = 3\n\
            [fabric]\nengine = \"q\"\n",
        &[
            "1: nod: there is no `nod`; did you mean `node`? write one of: node, sip, ",
            "4: call.wake-budgt: there is no `wake-budgt`; did you mean `wake-budget`? write",
            "5: call.most-pending: invalid type: string \"x\", expected usize; write it like: \
                most-pending = 64",
            "6: call.hold-code: no such hold code; write it like: hold-code = 183",
            "7: call.ring-deadline: 1s is out of range; write \"5s\" to",
            "8: user: missing field `aor`; write it like: aor = \"bob@example.com\"",
            "11: user.aor: no address of record; write \"user@domain\"",
            "15: registrar.uri: invalid type: integer `3`, expected a string; write it like: \
                uri = \"sip:example.com\"",
            "17: fabric.engine: no engine `q`; write one of: \"memory\", \"postgres\", \"redb\"",
        ],
    );
    assert_faults(
        "zzz = 3\nnode = 3\nuser = 7\n[push]\nattempts = [\"0s\", 3]\n[session]\n\
            most-sessions = -1\nacknowledge-frames = 0\nttl-min = 3.5\n",
        &[
            "1: zzz: there is no `zzz`; write one of: node, ",
            "2: node: invalid type: integer `3`, expected struct Node; write it like: [node]",
            "3: user: invalid type: integer `7`, expected a sequence; write it like: [[user]]",
            "5: push.attempts: invalid type: integer `3`, expected a string; write it like: ",
            "7: session.most-sessions: invalid value: integer `-1`, expected usize; write it like: ",
            "8: session.acknowledge-frames: 0 is out of range; write 1 to 1000",
            "9: session.ttl-min: invalid type: floating point `3.5`, expected a string; write",
        ],
    );
}

#[test]
fn text_that_is_no_toml_is_refused_at_every_line_of_it() {
    assert_faults(
        "[node]\nname = \n[sip]\nudp = \"x\n[call\n[session]\ngrace = \"1s\"\ngrace = \"2s\"\n",
        &[
            "2: node.name: string values must be quoted",
            "4: sip.udp: invalid basic string, expected `\"`; write it like: udp = \"0.0.0.0:5060\"",
            "5: unclosed table, expected `]`",
            "8: session.grace: it stands twice; write it once",
        ],
    );
}

#[test]
fn what_is_missing_at_the_end_is_told_of_the_last_line() {
    for text in ["[node]\nname\n", "[node]\n\"\"\"name\n"] {
        assert!(faults(text).iter().all(|fault| fault.starts_with("2: ")), "{:?}", faults(text));
    }
}

#[test]
fn values_of_the_right_type_can_be_wrong_as_well() {
    assert_faults(
        "[node]\nname = \"\"\ndomains = [\"a b\"]\n[websocket]\ndefault-app = \"a/b\"\n\
            origins = [\"app.example.com\"]\n[fabric]\npath = \"\"\n[[user]]\naor = \"a@example.com\"\n\
            username = \"a\"\nsecret = \"\"\n[[application]]\napp = \"a b\"\n\
            provider = \"webhook\"\nid = \"i\"\nurl = \"http://p/\"\n\
            credential-file = \"/missing\"\n",
        &[
            "2: node.name: a node needs a name; write one like \"node-1\"",
            "3: node.domains: `a b` is no domain; write one like \"example.com\"",
            "5: websocket.default-app: no application; write 1 to 64 letters",
            "6: websocket.origins: `app.example.com` is no origin; write one like \"https://",
            "8: fabric.path: no file; write a path like \"reveille.redb\"",
            "12: user.secret: the secret is empty; write at least one character",
            "14: application.app: no application; write 1 to 64 letters",
            "18: application.credential-file: `/missing`: entity not found; write the path of a",
        ],
    );
}

#[test]
fn a_file_full_of_faults_ends_at_some_point() {
    let text: String = (0..10_000).map(|n| format!("key-{n} = {n}\n")).collect();
    assert_eq!(faults(&text).len(), 50);
}

proptest! {
    #[test]
    fn no_text_panics_and_every_fault_has_its_line(
        edits in vec((any::<prop::sample::Index>(), "[\\[\\]\"=.,#a-z0-9\\né-]{0,6}", 0..12_usize), 0..8),
    ) {
        let mut text = print_config().replace("\n#", "\n");
        for (at, put, cut) in edits {
            let places: Vec<_> = text.char_indices().map(|(place, _)| place).collect();
            let nth = at.index(places.len());
            let end = places.get(nth + cut).copied().unwrap_or(text.len());
            text.replace_range(places[nth]..end, &put);
        }
        let lines = text.lines().count();
        for error in load(&text).err().unwrap_or_default() {
            prop_assert!((1..=lines.max(1)).contains(&error.line), "{error}");
            prop_assert!(!error.what.is_empty());
        }
    }
}
