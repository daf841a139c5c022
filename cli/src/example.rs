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
# What becomes of the first requests; later ones are accepted. One of:
# answer = ["accept", { refuse = { status = 503 } }, "hang", "drop", "duplicate",
#           { delay = { delay-ms = 2000 } }]
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
        let answers = r#"answer = ["accept", { refuse = { status = 503 } }, "hang", "drop",
            "duplicate", { delay = { delay-ms = 2000 } }]"#;
        assert_eq!(toml::from_str::<push::Settings>(answers).unwrap().answers.len(), 6);
    }
}
