//! Sections that say who is who and who may what: certificates, tenants, headers, the operator, keys,
//! tokens.

use super::{assert_faults, each_is_refused, load};

#[test]
fn what_tls_lacks_is_said_with_its_line_and_remedy() {
    each_is_refused(&[
        (
            "[sip]\ntls = \"0.0.0.0:5061\"",
            "gateway.toml:2: sip.tls: TLS needs a certificate; write certificate-file",
        ),
        ("[sip]\nwss = \"0.0.0.0:443\"", "gateway.toml:2: sip.wss: TLS needs a certificate; write"),
        ("[sip]\norigins = [\"here\"]", "gateway.toml:2: sip.origins: `here` is no origin; write"),
        (
            "[sip]\ncertificate-file = \"/etc/reveille/sip.pem\"",
            "gateway.toml:2: sip.certificate-file: a certificate needs its key; write key-file",
        ),
        (
            "[websocket]\nkey-file = \"/etc/reveille/sip.key\"",
            "gateway.toml:2: websocket.key-file: a key needs its certificate; write certificate-file",
        ),
        (
            "[sip]\ncertificate-file = \"/missing\"\nkey-file = \"/etc/reveille/sip.key\"",
            "gateway.toml:2: sip.certificate-file: `/missing`: entity not found; write the path",
        ),
        (
            "[sip]\ncertificate-file = \"/text\"\nkey-file = \"/etc/reveille/sip.key\"",
            "gateway.toml:2: sip.certificate-file: no certificate in PEM; write a PEM file that",
        ),
        (
            "[sip]\ncertificate-file = \"/etc/reveille/sip.pem\"\nkey-file = \"/text\"",
            "gateway.toml:3: sip.key-file: no private key in PEM (PKCS#8, SEC1 or PKCS#1); write",
        ),
        (
            "[sip]\ncertificate-file = \"/etc/reveille/sip.pem\"\nkey-file = \"/other.key\"",
            "gateway.toml:3: sip.key-file: certificate and key do not go together: ",
        ),
        (
            "[sip]\nclient-ca-file = \"/text\"",
            "gateway.toml:2: sip.client-ca-file: no certificate in PEM; write a PEM file",
        ),
        (
            "[registrar]\nuri = \"sip:a\"\naddress = \"a:1\"\nfallbacks = [\"b:1\", \"c\"]",
            "gateway.toml:4: registrar.fallbacks: `c` is no host:port; write one",
        ),
        (
            "[registrar]\nuri = \"sip:a\"\naddress = \"192.0.2.1\"",
            "gateway.toml:3: registrar.address: `192.0.2.1` is no host:port; write one",
        ),
        (
            "[registrar]\nuri = \"sip:a\"\naddress = \"a.b\"\nresolver = \"here\"",
            "gateway.toml:4: registrar.resolver: `here` is no address:port; write one like",
        ),
        (
            "[registrar]\nuri = \"sip:a\"\naddress = \"a.b\"",
            "gateway.toml:3: registrar.address: a domain needs a DNS server, and /etc/resolv.conf \
                names none: no line `nameserver` with an address; write a port behind",
        ),
        (
            "[registrar]\nuri = \"sip:a\"\naddress = \"a.b\"\nresolver = \"127.0.0.1:53\"\n\
                fallbacks = [\"b:1\"]",
            "gateway.toml:5: registrar.fallbacks: a domain has its own fallbacks by SRV; write",
        ),
        (
            "[registrar]\nuri = \"sips:a\"\naddress = \"a:1\"",
            "gateway.toml:2: registrar.uri: sips: goes by TLS only",
        ),
    ]);
}

/// Two applications at one webhook; `PAD` is where a test changes the second.
const TWO: &str = "[[tenant]]\nname = \"acme\"\n[[application]]\napp = \"phone\"\n\
    provider = \"webhook\"\nid = \"com.example.phone\"\nurl = \"http://p/\"\n\
    tenant = \"acme\"\n[application.limits]\nsessions = 5\n[[application]]\napp = \"pad\"\n\
    provider = \"webhook\"\nid = \"com.example.pad\"\nurl = \"http://p/\"\n";

#[test]
fn tenants_and_limits_are_read() {
    let text = format!(
        "[limits]\npushes-per-second = 9\n{TWO}[[user]]\naor = \"a@example.com\"\n\
        username = \"a\"\nsecret = \"x\"\ntenant = \"acme\"\n[[tenant]]\nname = \"other\"\n\
        [tenant.limits]\nsleepers = 3\n"
    );
    let tenancy = load(&text).expect("sound").core.tenancy;
    assert_eq!(tenancy.limits.pushes_per_second, Some(9));
    assert_eq!(tenancy.tenants["other"].sleepers, Some(3));
    assert_eq!(tenancy.apps["phone"].limits.sessions, Some(5));
    assert_eq!((tenancy.tenant_of("phone"), tenancy.tenant_of("pad")), (Some("acme"), None));
    assert!(tenancy.may_use("a", "phone") && !tenancy.may_use("a", "pad"));
}

#[test]
fn applications_that_cannot_be_told_apart_and_unknown_tenants_are_refused() {
    let more = |text: &str| format!("{TWO}{text}");
    let changed = |from: &str, to: &str| TWO.replacen(from, to, 1);
    let fcm = "[[application]]\napp = \"phone\"\nprovider = \"fcm\"\nid = \"i\"\n\
        credential-file = \"/etc/reveille/fcm.json\"\n";
    for (text, fault) in [
        (
            changed("\"pad\"", "\"phone\""),
            "12: application.app: this application stands above with the",
        ),
        (
            changed("com.example.pad", "com.example.phone"),
            "14: application.id: application `phone` has this id with the same provider; write",
        ),
        (
            changed("com.example.pad", "phone"),
            "14: application.id: application `phone` is named like",
        ),
        (
            changed("tenant = \"acme\"", "tenant = \"x\""),
            "8: application.tenant: there is no tenant `x`",
        ),
        (more("tenant = \"y\"\n"), "16: application.tenant: there is no tenant `y`; write it as"),
        (more(fcm), "16: application.tenant: this application stands above with another tenant"),
        (more("[[tenant]]\nname = \"acme\"\n"), "17: tenant.name: this tenant stands twice"),
        (more("[[tenant]]\nname = \"a b\"\n"), "17: tenant.name: no name; write 1 to 64 letters"),
        (
            changed("sessions = 5", "sessions = 0"),
            "10: application.limits.sessions: 0 is out of range",
        ),
        (
            more("[application.limits]\nsleepers = 0\n"),
            "17: application.limits.sleepers: 0 is out of range; write 1 to 10000000, or leave",
        ),
        (
            more("[application.limits]\nsleeper = 1\n"),
            "17: application.limits.sleeper: there is no `sleeper`; did you mean `sleepers`?",
        ),
        (more("[limits]\nconnections = \"x\"\n"), "17: limits.connections: invalid type: string"),
        (
            changed("tenant = \"acme\"\n", "") + fcm + "[application.limits]\nsessions = 6\n",
            "15: application.limits: this application stands above with other limits",
        ),
    ] {
        assert_faults(&text, &[fault]);
    }
    let several =
        more("[application.limits]\nsleeper = 1\nconnectons = \"x\"\n[[tenant]]\nname = 3\n");
    assert_faults(
        &several,
        &[
            "17: application.limits.sleeper: there is no `sleeper`",
            "18: application.limits.connectons: there is no `connectons`",
            "20: tenant.name: invalid type: integer `3`, expected a string",
        ],
    );
    let twice = format!("{TWO}{fcm}tenant = \"acme\"\n");
    assert_eq!(load(&twice).expect("two ways to wake one").core.tenancy.apps["phone"].ids.len(), 2);
}

#[test]
fn a_header_rule_that_routes_or_goes_nowhere_is_refused() {
    for (text, begins) in [
        (
            "[[header]]\nmember = \"a\"\nsip = \"Route\"",
            "gateway.toml:3: header.sip: `Route` is the gateway's own; choose a header that routes",
        ),
        (
            "[[header]]\nmember = \"a\"\nsip = \"X-A\"\ndirection = \"up\"",
            "gateway.toml:4: header.direction: `up` is no direction; write both, to-sip or to-app",
        ),
    ] {
        let errors = load(text).expect_err(text);
        assert!(errors[0].to_string().starts_with(begins), "{}", errors[0]);
    }
}

#[test]
fn the_operators_port_is_judged() {
    let table: &[(&str, &str)] = &[
        ("listen = \"8090\"", "2: admin.listen: `8090` is no address:port; write one like \"127."),
        ("token = \"x\"", "1: admin: missing field `listen`; write it like: listen = \"127.0.0."),
        ("listen = \"0.0.0.0:8090\"", "2: admin.listen: others reach this address, so it needs a"),
        (
            "listen = \"127.0.0.1:8090\"\ntoken = \"sesame\"",
            "3: admin.token: no token; write at least 16 visible ASCII characters",
        ),
        (
            "listen = \"127.0.0.1:8090\"\ntoken-env = \"UNSET\"",
            "3: admin.token-env: the environment variable `UNSET` is not set",
        ),
        (
            "listen = \"0.0.0.0:8090\"\ntoken-file = \"/missing\"",
            "3: admin.token-file: `/missing`: entity not found",
        ),
        (
            "listen = \"127.0.0.1:8090\"\nkey-file = \"/etc/reveille/admin.key\"",
            "3: admin.key-file: TLS needs both; write certificate-file as well",
        ),
        (
            "listen = \"[::1]:8090\"\ncertificate-file = \"/etc/reveille/admin.key\"\n\
                key-file = \"/etc/reveille/admin.key\"",
            "3: admin.certificate-file: no certificate in PEM; write a file that begins",
        ),
        (
            "listen = \"127.0.0.1:8090\"\ncertificate-file = \"/etc/reveille/admin.crt\"\n\
                key-file = \"/etc/reveille/admin.crt\"",
            "4: admin.key-file: no private key in PEM; write a file that begins",
        ),
    ];
    for (text, begin) in table {
        assert_faults(&format!("[admin]\n{text}\n"), &[begin]);
    }
    let open = "[admin]\nlisten = \"0.0.0.0:8090\"\ntoken-file = \"/etc/reveille/admin.token\"\n";
    let settings = load(open).expect("sound");
    assert!(!format!("{settings:?}").contains("a-token"), "the token is never shown");
}

#[test]
fn keys_of_the_fabric_are_read_in_order_and_refused_by_id() {
    let fabric = |keys: &str| load(&format!("[fabric]\npath = \"f\"\nkeys = [{keys}]\n"));
    let key = |id: &str| format!("{{ id = \"{id}\", file = \"/etc/reveille/2026-11.key\" }}");
    let sound = fabric(&format!("{}, {}", key("new"), key("old"))).expect("two keys");
    let ids: Vec<_> = sound.fabric.sealing.keys.iter().map(crate::fabric::SealKey::id).collect();
    assert_eq!(ids, ["new", "old"]);
    assert!(!format!("{sound:?}").contains("[16, "), "no key is shown");
    for (keys, begin) in [
        (format!("{}, {}", key("a"), key("a")), "`a` stands twice; give each key an id of its"),
        (key("a b"), "`a b`: no id of a key; write 1 to 32 letters"),
        ("{ id = \"a\" }".to_owned(), "`a`: a key stands elsewhere; write file, the path"),
        ("{ id = \"a\", file = \"/missing\" }".to_owned(), "`a`: `/missing`: entity not found"),
        ("{ id = \"a\", env = \"UNSET\" }".to_owned(), "`a`: the environment variable `UNSET`"),
        ("{ id = \"a\", env = \"KEY\" }".to_owned(), "`a`: no key; write 32 bytes in base64"),
        (vec![key("a"); 17].join(", "), "more than 16 keys; take out those that seal nothing"),
    ] {
        let said = fabric(&keys).expect_err(&keys)[0].to_string();
        assert!(said.starts_with(&format!("gateway.toml:3: fabric.keys: {begin}")), "{said}");
    }
}

#[test]
fn whose_tokens_are_taken_is_read_and_refused_by_key() {
    let text = |more: &str| format!("[bearer]\nissuer = \"i\"\naudience = \"a\"\n{more}\n");
    let es256 = "algorithm = \"ES256\"\nkey-file = \"/etc/reveille/bearer.pem\"";
    let bearer = load(&text(es256)).expect("sound").bearer.expect("tokens are taken");
    assert_eq!((bearer.issuer.as_str(), bearer.audience.as_str()), ("i", "a"));
    for (more, wanted) in [
        ("algorithm = \"none\"", "4: bearer.algorithm: `none` is no algorithm here; write"),
        ("algorithm = \"ES256\"", "1: bearer.key-file: ES256 needs it; write the path"),
        (
            "algorithm = \"ES256\"\nkey-file = \"/etc/reveille/vapid.pem\"",
            "5: bearer.key-file: no public key of P-256; write one in PEM",
        ),
        (
            "algorithm = \"ES256\"\nkey-file = \"/missing\"",
            "5: bearer.key-file: `/missing`: entity not found; write the path",
        ),
        (
            "algorithm = \"ES256\"\nsecret-env = \"X\"",
            "4: bearer.algorithm: ES256 has a public key and no secret; leave",
        ),
        ("algorithm = \"HS256\"", "1: bearer.secret-file: HS256 needs it; write the path"),
        (
            "algorithm = \"HS256\"\nsecret-env = \"X\"",
            "5: bearer.secret-env: the secret is too short (RFC 7518 3.2); write at least 32",
        ),
        (
            "algorithm = \"HS256\"\nsecret-env = \"UNSET\"",
            "5: bearer.secret-env: the environment variable `UNSET` is not set",
        ),
        (
            "algorithm = \"HS256\"\nkey-file = \"/etc/reveille/bearer.pem\"",
            "5: bearer.key-file: HS256 has a secret and no public key; write",
        ),
    ] {
        assert_faults(&text(more), &[wanted]);
    }
    assert_faults(
        &text(es256).replace("\"i\"", "\"\"").replace("\"a\"", "\"\""),
        &["2: bearer.issuer: it is empty; write", "3: bearer.audience: it is empty; write"],
    );
}

#[test]
fn a_template_that_is_none_is_refused_by_its_table_and_key() {
    let app = "[[application]]\napp = \"phone\"\nprovider = \"webpush\"\nid = \"i\"\n\
        credential-file = \"/etc/reveille/vapid.pem\"\ncontact = \"mailto:a@example.com\"\n";
    let other = app.replace("phone", "pad").replace("\"i\"", "\"j\"");
    // What looks like a table and a key inside of the text is none.
    let odd = "[[application.template]]\nbody = '''\n{\"s\": \"${session_id}\", \"a\":\n[1]\n,\n\
        \"b\": \"event = 1\"}'''\nevent = \"ring\"\n";
    assert_faults(
        &format!(
            "{app}{odd}[[application.template]]\nbody = '{{\"s\": ${{ttl}}}}'\n{other}\
            [[application.template]]\nurl = \"http://p/\"\nbody = '\"${{payload}}\"'\n"
        ),
        &[
            "13: application.template.event: there is no event `ring`; write one of: c",
            "15: application.template.body: no JSON: expected value at line 1 column 7; write like",
            "23: application.template.url: only webhook has it, not webpush; leave it out",
        ],
    );
    let message = "[[application.template]]\nbody = '[\"${session_id}\", \"${message}\"]'\n";
    assert_faults(
        &format!("{app}{message}"),
        &[
            "8: application.template.body: no payload carries ${message}; write carry-message = true",
        ],
    );
    assert!(load(&format!("{app}carry-message = true\n{message}")).is_ok());
    let twice = "[[application.template]]\nbody = '\"${payload}\"'\n".repeat(2);
    assert_faults(
        &format!("{app}{twice}"),
        &["9: application.template.event: this application has a template for it above; write"],
    );
    let stray = "[[application.template]]\nbody = '\"${payload}\"'\nbdy = \"x\"\n";
    assert_faults(
        &format!("{app}{stray}"),
        &[
            "9: application.template.bdy: there is no `bdy`; did you mean `body`? write one of: platform,",
        ],
    );
}

#[test]
fn a_batch_that_cannot_be_one_is_refused() {
    let app =
        "[[application]]\napp = \"a\"\nprovider = \"webhook\"\nid = \"i\"\nurl = \"http://p/\"\n";
    let body =
        "body = '{\"s\": \"${session_id}\", \"a\": \"${application}\", \"t\": \"${token}\"}'\n";
    for (keys, wanted) in [
        ("batch-size = 0", "6: application.batch-size: 0 is out of range; write 1 to 100"),
        ("batch-size = 101", "6: application.batch-size: 101 is out of range; write 1 to 100"),
        (
            "batch-linger = \"9ms\"",
            "6: application.batch-linger: there is nothing to wait for; write",
        ),
        (
            "batch-size = 2\nbatch-linger = \"2s\"",
            "7: application.batch-linger: out of range; write \"0ms\" to \"1s\"",
        ),
        (
            "batch-size = 2\n[[application.template]]\nurl = \"http://p/${token}\"",
            "8: application.template.url: pushes that leave together share URL and headers; write",
        ),
        (
            "batch-size = 2\n[[application.template]]\nheaders = { X-To = \"${target}\" }",
            "8: application.template.headers: pushes that leave together share URL and headers;",
        ),
    ] {
        let body = if keys.contains("template") { body } else { "" };
        assert_faults(&format!("{app}{keys}\n{body}"), &[wanted]);
    }
    let stray = app.replace("webhook\"", "fcm\"\ncredential-file = \"/etc/reveille/fcm.json\"");
    assert_faults(
        &format!("{stray}batch-size = 2\n"),
        &["7: application.batch-size: only webhook has it, not fcm; leave it out"],
    );
    let shared = "batch-size = 2\n[[application.template]]\nurl = \"http://p/${event}\"\n";
    assert_eq!(
        load(&format!("{app}{shared}{body}")).expect("sound").push.applications[0].batch.size,
        2
    );
}

#[test]
fn a_proxy_is_read_with_its_secret_and_judged() {
    let app =
        "[[application]]\napp = \"a\"\nprovider = \"webhook\"\nid = \"i\"\nurl = \"http://p/\"\n";
    let sound = "proxy = \"proxy:3128\"\nproxy-credential-file = \"/etc/reveille/proxy.secret\"\n";
    let settings = load(&format!("{app}{sound}")).expect("sound");
    let proxy = settings.push.applications[0].proxy.as_ref().expect("a proxy");
    let secret = proxy.credential.as_ref().map(|secret| secret.0.as_str());
    assert_eq!((proxy.at.as_str(), secret), ("proxy:3128", Some("gateway:sesame-of-the-proxy")));
    assert!(!format!("{settings:?}").contains("sesame"), "no secret is shown");
    for (keys, wanted) in [
        ("proxy = \"proxy\"", "6: application.proxy: `proxy` is no host:port; write one like"),
        (
            "proxy = \"http://proxy:1\"",
            "6: application.proxy: `http://proxy:1` is no host:port; write",
        ),
        (
            "proxy-credential-env = \"X\"",
            "6: application.proxy-credential-env: there is no proxy to show it to; write proxy",
        ),
        (
            "proxy = \"proxy:1\"\nproxy-credential-env = \"UNSET\"",
            "7: application.proxy-credential-env: the environment variable `UNSET` is not set",
        ),
        (
            "proxy = \"proxy:1\"\nproxy-credential-file = \"/other\"",
            "7: application.proxy-credential-file: no user:password; write both with a colon",
        ),
    ] {
        assert_faults(&format!("{app}{keys}\n"), &[wanted]);
    }
}

#[test]
fn what_an_ice_server_lacks_is_said_with_its_line_and_remedy() {
    let turn = "[[ice]]\nurls = [\"turn:turn.example.com\"]\n";
    let odd = |rest: &str| format!("{turn}{rest}");
    for (text, begin) in [
        ("[[ice]]\nurls = []".to_owned(), "gateway.toml:2: ice.urls: an entry has 1 to 8; write"),
        (
            "[[ice]]\nurls = [\"https://turn.example.com\"]".to_owned(),
            "gateway.toml:2: ice.urls: `https://turn.example.com` is no STUN or TURN URI",
        ),
        (odd(""), "gateway.toml:2: ice.urls: TURN lets nobody in unnamed (RFC 8656); write secret"),
        (odd("username = \"u\""), "gateway.toml:3: ice.username: a name needs its password; write"),
        (odd("secret = \"s\"\nttl = \"59s\""), "gateway.toml:4: ice.ttl: out of range; write"),
        (
            odd("secret = \"s\"\nusername = \"u\"\nttl = \"1h\""),
            "gateway.toml:5: ice.ttl: a fixed name does not end; leave out ttl",
        ),
        (odd("secret-file = \"/missing\""), "gateway.toml:3: ice.secret-file: `/missing`: entity"),
        (odd("secret = \"s\"\napp = \"a/b\""), "gateway.toml:4: ice.app: `a/b` is no application"),
        (
            "[[ice]]\nurls = [\"stun:stun.example.com\"]\nsecret = \"s\"".to_owned(),
            "gateway.toml:2: ice.urls: STUN asks for no secret; leave it out",
        ),
        (
            "[[ice]]\nurls = [\"stun:stun.example.com\"]\n".repeat(17),
            "gateway.toml:34: ice.urls: more than 16 sections; write fewer",
        ),
    ] {
        each_is_refused(&[(&text, begin)]);
    }
    let sound = load(&odd("secret-env = \"TURN\"\nttl = \"2h\"")).expect("sound");
    let shown = format!("{:?}", sound.core.ice);
    assert!(shown.contains("ttl_s: 7200") && !shown.contains("from-env"), "{shown}");
}

#[test]
fn rates_of_connects_and_who_is_pushed_for_have_their_bounds() {
    each_is_refused(&[
        (
            "[websocket]\nconnects-per-second-per-ip = 0",
            "gateway.toml:2: websocket.connects-per-second-per-ip: 0 is out of range; write 1 to",
        ),
        (
            "[websocket]\nconnects-per-second-per-user = 1000001",
            "gateway.toml:2: websocket.connects-per-second-per-user: 1000001 is out of range",
        ),
        (
            "[session]\npush-on-disconnect = \"web\"",
            "gateway.toml:2: session.push-on-disconnect: `web` is nobody; write \"native\", \"all\"",
        ),
    ]);
}

#[test]
fn nodes_that_share_a_fabric_are_told_apart_and_reach_each_other() {
    let text = |node: &str, fabric: &str, more: &str| {
        format!("[node]\n{node}\n[fabric]\nengine = \"postgres\"\n{fabric}\n{more}\n")
    };
    let node = "name = \"n7\"\nadvertised = \"192.0.2.7:5060\"";
    let fabric = "database = \"host=/run/postgresql\"\nclear = true";
    let sound = load(&text(node, fabric, "")).expect("sound").fabric.member.expect("a member");
    assert_eq!((sound.node.as_str(), sound.address.as_str()), ("n7", "192.0.2.7:5060"));
    assert_eq!(sound.lease_ms, 10_000);
    let more = "[cluster]\naddress = \"10.0.0.7:5060\"\nlease = \"4s\"";
    let other = load(&text(node, fabric, more)).expect("sound").fabric.member.expect("a member");
    assert_eq!((other.address.as_str(), other.lease_ms), ("10.0.0.7:5060", 4_000));
    let far = "database = \"host=10.0.0.9\"\nclear = true";
    let keyless = "database = \"host=localhost\"\n";
    for (text, wanted) in [
        (text("", fabric, ""), "1: node.name: nodes that share a fabric need names of their own"),
        (text(node, far, ""), "6: fabric.database: it is spoken to without TLS, so host must be"),
        (
            text(node, keyless, ""),
            "4: fabric.keys: a database has no key beside it; write the same",
        ),
        (text(node, fabric, "[sip]\ntcp = \"\""), "9: sip.tcp: the other nodes hand requests on"),
        (text(node, fabric, "[cluster]\nlease = \"2s\""), "9: cluster.lease: 2s is out of range"),
        (text(node, fabric, "[cluster]\naddress = \"x\""), "9: cluster.address: `x` is no host:p"),
        (
            "[cluster]\naddress = \"10.0.0.7:5060\"\n".to_owned(),
            "2: cluster.address: engine `redb` belongs to one node; leave address out, or write",
        ),
        (
            text(node, &format!("{fabric}\npassword-env = \"UNSET\""), ""),
            "8: fabric.password-env: the environment variable `UNSET` is not set; set it",
        ),
    ] {
        let said = load(&text).expect_err(&text)[0].to_string();
        assert!(said.starts_with(&format!("gateway.toml:{wanted}")), "{said}");
    }
}
