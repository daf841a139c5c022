//! What a new configuration changes: what is taken while the gateway runs, and what waits for its
//! next start.

use reveille_gateway_core::config::Secret;
use reveille_gateway_core::ice::{Access, IceServer};
use serde::Serialize;

use crate::config::Settings;
use crate::push::Application;
use crate::tls::Identity;

/// What came of reading the configuration anew. Keys are named as they are written:
/// `section.key`, and `user` or `application` for whole tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Keys whose new values hold now.
    pub changed: Vec<&'static str>,
    /// Keys whose new values hold after a restart; the old ones hold until then.
    pub needs_restart: Vec<&'static str>,
}

/// A key of the configuration, by what it sets.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// True if it can change while the gateway runs.
    pub(super) is_live: bool,
    pub(super) differs: fn(&Settings, &Settings) -> bool,
    /// Takes the value back from the old settings.
    pub(super) keep: fn(&mut Settings, &Settings),
}

macro_rules! keys {
    ($($kind:ident $name:literal $($field:tt).+;)+) => {
        &[$(Key {
            name: $name,
            is_live: keys!(@$kind),
            differs: |old, new| old.$($field).+ != new.$($field).+,
            keep: |new, old| new.$($field).+.clone_from(&old.$($field).+),
        },)+]
    };
    (@live) => { true };
    (@restart) => { false };
}

/// Keys whose values can be compared as they are.
const PLAIN: &[Key] = keys! {
    restart "node.name" core.node;
    live "node.domains" core.domains;
    restart "node.advertised" core.advertised;
    restart "sip.udp" udp;
    restart "sip.tcp" tcp;
    restart "sip.tls" tls;
    restart "sip.ws" sip_ws;
    restart "sip.wss" sip_wss;
    restart "sip.origins" sip_origins;
    live "sip.client-ca-file" secure.client_ca;
    restart "node.advertised-tls" core.advertised_by;
    restart "sip.t1" core.timers.t1_ms;
    restart "sip.t2" core.timers.t2_ms;
    restart "sip.t4" core.timers.t4_ms;
    restart "websocket.listen" websocket;
    live "websocket.default-app" default_app;
    live "websocket.origins" origins;
    live "websocket.most-sockets" most_sockets;
    live "websocket.most-sockets-per-ip" most_sockets_per_ip;
    live "websocket.connects-per-second-per-ip" pace.per_ip;
    live "websocket.connects-per-second-per-user" pace.per_user;
    live "websocket.idle-limit" core.idle_limit_ms.0;
    live "websocket.busy-limit" core.idle_limit_ms.1;
    live "websocket.close-wait" core.close_wait_ms;
    restart "fabric.engine" fabric.engine;
    restart "fabric.path" fabric.path;
    restart "fabric.database" fabric.database;
    restart "fabric.keys" fabric.sealing.keys;
    restart "fabric.clear" fabric.sealing.clear;
    live "bearer" bearer;
    live "push.connect-limit" push.connect_limit;
    live "push.request-limit" push.request_limit;
    live "push.most-in-flight" push.most_in_flight;
    live "push.circuit-failures" push.circuit.failures;
    live "push.circuit-open" push.circuit.open;
    live "push.attempts" core.push_attempts_ms;
    live "limits" core.tenancy.limits;
    live "tenant" core.tenancy.tenants;
    live "call.wake-budget" core.wake_budget_ms;
    live "call.hold-code" core.hold_code;
    live "call.provisional-every" core.provisional_every_ms;
    live "call.ring-deadline" core.ring_deadline_ms;
    live "call.no-answer" core.no_answer_ms;
    live "call.complete-wait" core.complete_ms;
    live "call.update-wait" core.update_ms;
    live "call.refer" core.refer;
    live "call.session-timer" core.session_timer_s;
    live "call.start-silence" core.start_silence_ms;
    live "call.most-pending" core.most_pending;
    live "call.late-offer" core.late_offer;
    live "message.wait" core.message_wait_ms;
    live "message.most-stored" core.most_messages;
    live "message.most-bytes" core.most_message_bytes;
    live "message.notify-wakes" core.notify_wakes;
    live "header" core.headers;
    live "session.grace" core.grace_ms;
    live "session.push-on-disconnect" core.push_on_loss;
    live "session.ttl-default" core.ttl_s.0;
    live "session.ttl-min" core.ttl_s.1;
    live "session.ttl-max" core.ttl_s.2;
    live "session.most-sessions" core.most_sessions;
    live "session.sleep-without-token" core.sleep_without_token;
    live "session.ask-sleep-after" core.ask_sleep_after_ms;
    live "session.acknowledge-frames" core.acknowledge_after.0;
    live "session.acknowledge-after" core.acknowledge_after.1;
};

/// Tables, and what holds secrets. `admin.listen` stands before what is kept with it.
const OTHERS: &[Key] = &[
    Key {
        name: "registrar",
        is_live: false,
        differs: |old, new| {
            format!("{:?}", old.core.registrar) != format!("{:?}", new.core.registrar)
                || old.core.registrar_others != new.core.registrar_others
                || old.core.stun != new.core.stun
                || old.registrar_domain != new.registrar_domain
                || old.dns_server != new.dns_server
                || old.secure.peer_ca != new.secure.peer_ca
                || old.secure.peer_names != new.secure.peer_names
        },
        keep: |new, old| {
            new.core.registrar.clone_from(&old.core.registrar);
            new.core.registrar_others.clone_from(&old.core.registrar_others);
            new.core.stun = old.core.stun;
            new.registrar_domain.clone_from(&old.registrar_domain);
            new.dns_server = old.dns_server;
            new.secure.peer_ca.clone_from(&old.secure.peer_ca);
            new.secure.peer_names.clone_from(&old.secure.peer_names);
        },
    },
    Key {
        name: "fabric.password",
        is_live: false,
        differs: |old, new| password(old) != password(new),
        keep: |new, old| new.fabric.password.clone_from(&old.fabric.password),
    },
    Key {
        name: "cluster",
        is_live: false,
        differs: |old, new| old.fabric.member != new.fabric.member,
        keep: |new, old| new.fabric.member.clone_from(&old.fabric.member),
    },
    Key {
        name: "sip.key-file",
        is_live: true,
        differs: |old, new| key_of(old.secure.sip.as_ref()) != key_of(new.secure.sip.as_ref()),
        keep: |new, old| new.secure.sip.clone_from(&old.secure.sip),
    },
    Key {
        name: "sip.certificate-file",
        is_live: true,
        differs: |old, new| chain_of(old.secure.sip.as_ref()) != chain_of(new.secure.sip.as_ref()),
        keep: |new, old| new.secure.sip.clone_from(&old.secure.sip),
    },
    Key {
        name: "websocket.key-file",
        is_live: true,
        differs: |old, new| {
            key_of(old.secure.websocket.as_ref()) != key_of(new.secure.websocket.as_ref())
        },
        keep: |new, old| new.secure.websocket.clone_from(&old.secure.websocket),
    },
    Key {
        name: "websocket.certificate-file",
        is_live: true,
        differs: |old, new| {
            chain_of(old.secure.websocket.as_ref()) != chain_of(new.secure.websocket.as_ref())
        },
        keep: |new, old| new.secure.websocket.clone_from(&old.secure.websocket),
    },
    Key {
        name: "ice",
        is_live: true,
        differs: |old, new| shown(&old.core.ice) != shown(&new.core.ice),
        keep: |new, old| new.core.ice.clone_from(&old.core.ice),
    },
    Key {
        name: "user",
        is_live: true,
        differs: |old, new| {
            users(old) != users(new) || old.core.tenancy.users != new.core.tenancy.users
        },
        keep: |new, old| new.core.users.clone_from(&old.core.users),
    },
    Key {
        name: "application",
        is_live: true,
        differs: |old, new| {
            !are_same(&old.push.applications, &new.push.applications)
                || old.core.tenancy.apps != new.core.tenancy.apps
        },
        keep: |new, old| new.push.applications.clone_from(&old.push.applications),
    },
    // A port that moves keeps its token until it has moved: the new one may suit the new address only.
    Key {
        name: "admin.listen",
        is_live: false,
        differs: |old, new| {
            old.admin.as_ref().map(|it| &it.listen) != new.admin.as_ref().map(|it| &it.listen)
        },
        keep: |new, old| new.admin.clone_from(&old.admin),
    },
    Key {
        name: "admin.token",
        is_live: true,
        differs: |old, new| token(old) != token(new),
        keep: |new, old| new.admin.clone_from(&old.admin),
    },
    Key {
        name: "admin.certificate-file",
        is_live: true,
        differs: |old, new| certificates(old) != certificates(new),
        keep: |new, old| new.admin.clone_from(&old.admin),
    },
    Key {
        name: "admin.key-file",
        is_live: true,
        differs: |old, new| key(old) != key(new),
        keep: |new, old| new.admin.clone_from(&old.admin),
    },
];

/// Certificates that came or went, with their keys: a port speaks TLS, or does not, from its start
/// on. What merely takes the place of another is live.
const APPEARING: &[Key] = &[
    Key {
        name: "sip.certificate-file",
        is_live: false,
        differs: |old, new| old.secure.sip.is_some() != new.secure.sip.is_some(),
        keep: |new, old| new.secure.sip.clone_from(&old.secure.sip),
    },
    Key {
        name: "websocket.certificate-file",
        is_live: false,
        differs: |old, new| old.secure.websocket.is_some() != new.secure.websocket.is_some(),
        keep: |new, old| new.secure.websocket.clone_from(&old.secure.websocket),
    },
];

/// Every key.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    PLAIN.iter().chain(OTHERS)
}

/// True if a key, `section.key`, can change while the gateway runs.
#[cfg(test)]
pub(crate) fn is_live(key: &str) -> bool {
    let name = table_of(key);
    keys().find(|key| key.name == name).expect(name).is_live
}

fn chain_of(identity: Option<&Identity>) -> Option<&str> {
    identity.map(|identity| identity.chain.as_str())
}

fn key_of(identity: Option<&Identity>) -> Option<&str> {
    identity.map(|identity| identity.key.0.as_str())
}

/// What stands in the table above for a key.
#[cfg(test)]
fn table_of(key: &str) -> &str {
    match key.split_once('.') {
        Some((
            table @ ("registrar" | "user" | "application" | "limits" | "tenant" | "header"
            | "bearer" | "cluster" | "ice"),
            _,
        )) => table,
        Some(("admin", "token-env" | "token-file")) => "admin.token",
        Some(("fabric", "password-env" | "password-file")) => "fabric.password",
        _ => key,
    }
}

/// The settings that hold from now on, and what that means.
pub(super) fn merge(old: &Settings, mut new: Settings) -> (Settings, Reloaded) {
    let mut told = Reloaded::default();
    for key in keys().chain(APPEARING).filter(|key| !key.is_live) {
        if (key.differs)(old, &new) {
            (key.keep)(&mut new, old);
            told.needs_restart.push(key.name);
        }
    }
    let changed = keys().filter(|key| key.is_live && (key.differs)(old, &new));
    told.changed = changed.map(|key| key.name).collect();
    new.source.clone_from(&old.source);
    new.fabric.memory.clone_from(&old.fabric.memory);
    (new, told)
}

/// Everything of the ICE servers, secrets as well.
fn shown(servers: &[IceServer]) -> Vec<(String, Option<&str>)> {
    let secrets = servers.iter().map(|server| match &server.access {
        Access::Open => None,
        Access::Fixed { credential: Secret(text), .. }
        | Access::Timed { secret: Secret(text), .. } => Some(text.as_str()),
    });
    servers.iter().map(|server| format!("{server:?}")).zip(secrets).collect()
}

fn users(settings: &Settings) -> Vec<(&str, &str, &str)> {
    let users = settings.core.users.iter();
    users.map(|it| (it.username.as_str(), it.aor.as_str(), it.secret.0.as_str())).collect()
}

/// Two lists of applications with the same credentials.
pub(super) fn are_same(old: &[Application], new: &[Application]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
}

/// True if nothing of an application changed. Their debug output shows everything but secrets.
pub(super) fn is_same(old: &Application, new: &Application) -> bool {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|Secret(text)| text.clone());
    let secrets = |app: &Application| {
        let proxy = app.proxy.as_ref().map(|proxy| text(&proxy.credential));
        (text(&app.credential), proxy)
    };
    format!("{old:?}") == format!("{new:?}") && secrets(old) == secrets(new)
}

fn password(settings: &Settings) -> Option<&str> {
    settings.fabric.password.as_ref().map(|Secret(password)| password.as_str())
}

fn token(settings: &Settings) -> Option<&str> {
    settings.admin.as_ref()?.token.as_ref().map(|Secret(token)| token.as_str())
}

fn certificates(settings: &Settings) -> Option<&str> {
    Some(settings.admin.as_ref()?.identity.as_ref()?.certificates.as_str())
}

fn key(settings: &Settings) -> Option<&str> {
    Some(settings.admin.as_ref()?.identity.as_ref()?.key.0.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::tests::{known_keys, load};

    /// A file that differs from the defaults in every key.
    const OTHER: &str = include_str!("../../tests/files/every-key.toml");

    #[test]
    fn every_key_of_the_configuration_is_decided_upon() {
        let decided: BTreeSet<_> = keys().map(|key| key.name.to_owned()).collect();
        let known: BTreeSet<_> = known_keys().iter().map(|key| table_of(key).to_owned()).collect();
        assert_eq!(decided, known);
    }

    #[test]
    fn a_file_that_changes_everything_takes_what_is_live_and_keeps_the_rest() {
        let (old, new) = (load("").expect("defaults"), load(OTHER).expect("sound"));
        let unchanged: Vec<_> =
            keys().filter(|key| !(key.differs)(&old, &new)).map(|key| key.name).collect();
        assert_eq!(unchanged, [""; 0], "the file changes every key");
        let (merged, told) = merge(&old, new.clone());
        // A port that gets its first certificate, or its first address, gets it at a restart.
        let has_others = |key: &&Key| {
            let first =
                ["admin.", "sip.certificate", "sip.key", "websocket.certificate", "websocket.key"];
            first.iter().any(|begin| key.name.starts_with(begin))
        };
        for key in keys().filter(|key| !has_others(key)) {
            let (like, list) =
                if key.is_live { (&new, &told.changed) } else { (&old, &told.needs_restart) };
            assert!(!(key.differs)(&merged, like), "{}", key.name);
            assert!(list.contains(&key.name), "{}", key.name);
        }
        assert!(merged.admin.is_none() && told.needs_restart.contains(&"admin.listen"));
        assert!(!told.changed.iter().any(|key| key.starts_with("admin.")), "{told:?}");
    }

    #[test]
    fn a_certificate_is_renewed_at_once_but_comes_and_goes_at_a_restart() {
        let plain = load("").expect("defaults");
        let secure = load(OTHER).expect("sound");
        let (merged, told) = merge(&plain, secure.clone());
        assert!(merged.secure.sip.is_none() && merged.secure.websocket.is_none());
        for key in ["sip.certificate-file", "websocket.certificate-file"] {
            assert!(told.needs_restart.contains(&key), "{told:?}");
        }
        let is_pair = |key: &&str| key.ends_with(".certificate-file") || key.ends_with(".key-file");
        assert!(!told.changed.iter().any(is_pair), "{told:?}");
        let mut plain = secure.clone();
        plain.secure.websocket = None;
        let (merged, told) = merge(&secure, plain);
        assert!(merged.secure.websocket.is_some(), "it speaks TLS until it is started anew");
        assert_eq!(told.needs_restart, ["websocket.certificate-file"]);
        let mut renewed = secure.clone();
        let identity = renewed.secure.websocket.as_mut().expect("one");
        identity.chain.push('\n');
        let (merged, told) = merge(&secure, renewed);
        assert_eq!(
            (told.changed, told.needs_restart),
            (vec!["websocket.certificate-file"], vec![])
        );
        assert!(merged.secure.websocket.expect("one").chain.ends_with("\n\n"));
    }

    #[test]
    fn a_secret_that_changes_is_seen() {
        let text = |secret: &str, credential: &str| {
            format!(
                "[[user]]\naor = \"a@example.com\"\nusername = \"a\"\nsecret = \"{secret}\"\n\
                [[application]]\napp = \"a\"\nprovider = \"webhook\"\nid = \"i\"\n\
                url = \"http://p/\"\ncredential = \"{credential}\"\n"
            )
        };
        let old = load(&text("x", "y")).expect("sound");
        let changed = |secret, credential| {
            merge(&old, load(&text(secret, credential)).expect("sound")).1.changed
        };
        assert_eq!(changed("x", "y"), [""; 0]);
        assert_eq!(changed("z", "y"), ["user"]);
        assert_eq!(changed("x", "z"), ["application"]);
        let mut other = old.clone();
        let proxy = |secret: &str| {
            let credential = Some(Secret(secret.to_owned()));
            Some(crate::push::Proxy { at: "proxy:1".to_owned(), credential })
        };
        other.push.applications[0].proxy = proxy("a:b");
        let mut another = other.clone();
        assert_eq!(merge(&other, another.clone()).1.changed, [""; 0]);
        another.push.applications[0].proxy = proxy("a:c");
        assert_eq!(merge(&other, another).1.changed, ["application"]);
    }
}
