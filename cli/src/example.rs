//! Example configurations of the cast: together with the gateway's own they make one call ring on
//! one phone of this machine.

pub(crate) const REGISTRAR: &str = r#"# A SIP registrar that challenges (digest, MD5).
listen = "127.0.0.1:5070"
domain = "example.com"
# Shortest and longest binding, and the life of a nonce, in seconds.
min-expires-s = 60
max-expires-s = 3600
nonce-lifetime-s = 86400

[[user]]
username = "bob"
secret = "a secret of bob"
"#;

pub(crate) const PUSH: &str = r#"# A push service: requests by HTTP/2 on one port, phones on the other.
listen = "127.0.0.1:9090"
devices = "127.0.0.1:9091"
# What becomes of the first requests; later ones are accepted. Any of these, in order; a reason that a
# service documents waits for a request to that service:
# answer = ["accept", { refuse = { status = 503, retry-after-s = 5 } }, "hang", "drop", "duplicate",
#           { delay = { delay-ms = 2000 } }, "reorder", "go-away", "refuse-stream", "page", "endless",
#           { reason = { name = "Unregistered", age-s = 3600 } },
#           { reason = { name = "QUOTA_EXCEEDED", retry-after-s = 5 } }]

# A path that is none of those below is a plain webhook. What follows is held against its service's
# documents, if it is written here. Requests by TLS, by HTTP/2 or HTTP/1.1:
# [tls]
# listen = "127.0.0.1:9443"
# certificates = "-----BEGIN CERTIFICATE-----..."
# private-key = "-----BEGIN PRIVATE KEY-----..."

# Apple's service, /3/device/<token>. A key stays with one provider token for renew-min-s at least; 0
# lets a sender that was killed make another one.
# [apns]
# team-id = "TEAM123456"
# topics = ["com.example.phone"]
# token-bytes = 32
# renew-min-s = 1200
# [apns.keys]
# KEY1234567 = "-----BEGIN PUBLIC KEY-----..."

# Google's service, /v1/projects/<project>/messages:send, and its token endpoint /token, whose URL is
# the audience of assertions.
# [fcm]
# project = "project-1"
# client-email = "push@project-1.example"
# public-key = "-----BEGIN PUBLIC KEY-----..."
# token-uri = "https://push.example.com:9443/token"
# bearer-life-s = 3599
# foreign-tokens = []

# A browser's service, /webpush/<token>. A subscription has the browser's secrets, and the application
# server's key that it was made with, in base64url without padding.
# [webpush]
# origin = "https://push.example.com:9443"
# [webpush.subscriptions.token-of-bob]
# private-key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"
# auth = "CQkJCQkJCQkJCQkJCQkJCQ"
# vapid-key = "BBB_HkQp88fCaoC_emhXOZWiDNwQyKqVcdYAYNGuwHmVRMITAsccRwar_4ZWOEgA4FucEhSKpMFjtrf4oi5TgU0"
"#;

pub(crate) const PHONE: &str = r#"# A phone whose app goes to sleep whenever it can, and answers.
gateway = "127.0.0.1:8080"
# The last segment names the application in the gateway's configuration.
path = "/ws/webrtc/phone"
address = "bob@example.com"
user = "bob"
secret = "a secret of bob"
# The push service's port for phones, and this phone's token there.
push = "127.0.0.1:9091"
token = "token-of-bob"
app-id = "com.example.phone"
# The house's own client ("sdk"), or a second, handwritten app ("plain").
app = "sdk"
resleeps = true
# Or { decline = { status = 603 } }, or "ring".
conduct = { answer = { after-ms = 1000 } }
"#;

pub(crate) const CALLER: &str = r#"# A caller: places its calls and ends.
listen = "127.0.0.1:5080"
advertise = "127.0.0.1"
gateway = "127.0.0.1:5060"
transport = "udp"

[[call]]
mark = "c1"
to = "sip:bob@example.com"
hang-up-after-ms = 3000
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use reveille_conformance::cast::{caller, phone, push, registrar};

    #[test]
    fn the_set_on_loopback_is_what_is_printed() {
        let file = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/loopback");
            std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap()
        };
        let cast = [("registrar", REGISTRAR), ("push", PUSH), ("phone", PHONE), ("caller", CALLER)];
        for (name, printed) in cast {
            assert_eq!(file(name), printed, "{name}");
        }
        let secrets = reveille_gateway_driver::config::Secrets {
            environment: &|_| None,
            file: &|name| std::fs::read_to_string(name),
        };
        let gateway = reveille_gateway_driver::config::read("gateway", &file("gateway"), &secrets);
        let core = gateway.map(|settings| settings.core);
        let phone: phone::Settings = toml::from_str(PHONE).unwrap();
        assert_eq!(core.expect("it is right").users[0].aor, phone.address);
    }

    #[test]
    fn every_example_is_a_configuration() {
        toml::from_str::<registrar::Settings>(REGISTRAR).unwrap();
        toml::from_str::<push::Settings>(PUSH).unwrap();
        toml::from_str::<phone::Settings>(PHONE).unwrap();
        assert_eq!(toml::from_str::<caller::Settings>(CALLER).unwrap().calls.len(), 1);
    }

    #[test]
    fn what_the_push_service_can_be_told_is_right_as_it_is_shown() {
        // Keys and tables, and not the sentences about them.
        let is_shown = |line: &&str| {
            line.starts_with(['[', ' '])
                || line.split(" = ").next().is_some_and(|w| !w.contains(' '))
        };
        let shown = PUSH.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_shown);
        let shown: String = shown.flat_map(|line| [line, "\n"]).collect();
        let settings: push::Settings = toml::from_str(&shown).unwrap();
        assert_eq!(settings.answers.len(), 13);
        assert!(settings.tls.is_some() && settings.apns.is_some() && settings.fcm.is_some());
        assert_eq!(settings.webpush.unwrap().subscriptions.len(), 1);
    }
}
