//! The target that boots the reference gateway on a stage, and how the cast that stands around it
//! reaches it: hosts `gateway`, `registrar`, `push`, one for each caller and phone.

use std::sync::Arc;
use std::time::Duration;

use reveille_conformance::cast::sip::Transport;
use reveille_conformance::cast::{caller, phone, push, registrar};
use reveille_conformance::player::Rig;
use reveille_conformance::stage::{Part, Stage};
use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{self, Flow};
use reveille_gateway_driver::Gateway;
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::fabric::memory::Memory;
use reveille_gateway_driver::fabric::{Member, SealKey};
use reveille_scenarios::{Service, World};
use reveille_trace::Recorder;

use crate::pushes;

const DOMAIN: &str = "example.com";
/// What seals the records of every run.
const KEY: &str = "c2ltdWxhdGVkIGtleSwgZml4ZWQgZm9yIGV2ZXJ5IHI=";

/// How long a node that says nothing owns its sessions.
const LEASE_MS: u64 = 6_000;

fn secret(user: &str) -> String {
    format!("secret of {user}")
}

/// The gateway's settings on a stage: these users, a registrar and push services beside it, records
/// in redb on the host's disk.
#[must_use]
pub fn settings(users: &[&str]) -> Settings {
    let mut core = Config::new(DOMAIN, "gateway:5060");
    core.users.extend(users.iter().map(|name| User {
        aor: format!("{name}@{DOMAIN}"),
        username: (*name).to_owned(),
        secret: Secret(secret(name)),
    }));
    core.registrar = Some(Registrar {
        uri: format!("sip:{DOMAIN}"),
        flow: Flow {
            transport: io::Transport::Udp,
            local: String::new(),
            peer: "registrar:5060".to_owned(),
            connection: None,
        },
        expires_s: 600,
    });
    let mut settings = Settings::new(core);
    settings.udp = vec!["0.0.0.0:5060".to_owned()];
    settings.tcp = vec!["0.0.0.0:5060".to_owned()];
    settings.websocket = Some("0.0.0.0:8080".to_owned());
    settings.fabric.engine = "redb".to_owned();
    settings.fabric.path = "fabric.redb".to_owned();
    settings.fabric.sealing.keys.push(SealKey::read("sim", KEY).expect("a key"));
    settings.push.applications = pushes::applications();
    settings
}

/// Sets the gateway as a scenario wants its target.
pub fn adjust(settings: &mut Settings, world: &World) {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let core = &mut settings.core;
    core.wake_budget_ms = world.wake_budget.map_or(core.wake_budget_ms, ms);
    core.ring_deadline_ms = world.ring_deadline.map_or(core.ring_deadline_ms, ms);
    if world.payload_carries {
        core.tenancy.apps = pushes::carrying(&settings.push.applications);
    }
    core.late_offer = world.late_offer.unwrap_or(core.late_offer);
    if let (Some(registrar), Some(time)) = (&mut core.registrar, world.registration) {
        registrar.expires_s = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    }
}

/// The host of the node of this number, from 1.
#[must_use]
pub fn host_of(node: u32) -> String {
    if node < 2 { "gateway".to_owned() } else { format!("gateway-{node}") }
}

/// The settings of each node: one as it is set, or so many that share a fabric in memory.
#[must_use]
pub fn nodes(settings: &Settings, nodes: Option<u32>) -> Vec<(String, Settings)> {
    let Some(nodes) = nodes else { return vec![(host_of(1), settings.clone())] };
    let memory = Memory::default();
    let one = |node| {
        let (host, mut settings) = (host_of(node), settings.clone());
        let address = format!("{host}:5060");
        settings.core.advertised.clone_from(&address);
        settings.fabric.engine = "memory".to_owned();
        settings.fabric.memory = memory.clone();
        let lease_ms = LEASE_MS;
        settings.fabric.member = Some(Member { node: host.clone(), address, lease_ms });
        (host, settings)
    };
    (1..=nodes).map(one).collect()
}

/// The gateway as the software of a host; it recovers from the host's disk whenever it starts.
#[must_use]
pub fn gateway(settings: Settings, recorder: Recorder) -> Part {
    Arc::new(move |host| {
        let (settings, recorder) = (settings.clone(), recorder.clone());
        Box::pin(async move {
            let running = Gateway::start(host, settings, recorder).await;
            running.map_err(|error| error.to_string())?.stopped().await
        })
    })
}

/// Puts the gateway on a stage.
pub fn enter(stage: &mut dyn Stage, settings: &Settings) {
    enter_nodes(stage, settings, None);
}

/// Puts so many nodes of it on a stage.
pub fn enter_nodes(stage: &mut dyn Stage, settings: &Settings, count: Option<u32>) {
    for (host, settings) in nodes(settings, count) {
        let recorder = stage.recorder();
        stage.enter(&host, gateway(settings, recorder));
    }
}

/// The way to a gateway with these settings.
pub struct SimRig<'a>(pub &'a Settings);

impl Rig for SimRig<'_> {
    fn caller(&self, name: &str) -> caller::Settings {
        caller::Settings {
            listen: "0.0.0.0:5060".to_owned(),
            advertise: name.to_owned(),
            gateway: "gateway:5060".to_owned(),
            transport: Transport::Udp,
            domain: DOMAIN.to_owned(),
            calls: Vec::new(),
            conduct: phone::Conduct::Answer { after_ms: 500 },
            early: caller::Early::default(),
        }
    }

    fn phone(&self, name: &str, push: Service) -> phone::Settings {
        phone::Settings {
            gateway: "gateway:8080".to_owned(),
            path: "/ws/webrtc/app".to_owned(),
            address: format!("{name}@{DOMAIN}"),
            user: name.to_owned(),
            secret: secret(name),
            push: "push:9091".to_owned(),
            token: pushes::token(name, push),
            provider: push.name().to_owned(),
            app_id: pushes::application_id(push).to_owned(),
            app: phone::AppKind::Sdk,
            ttl_s: 3_600,
            ping_s: 10,
            sleep_by: phone::SleepBy::Hibernate,
            resleeps: false,
            conduct: phone::Conduct::Answer { after_ms: 500 },
            os: None,
        }
    }

    fn registrar(&self, phones: &[&str]) -> registrar::Settings {
        let user =
            |name: &&str| registrar::User { username: (*name).to_owned(), secret: secret(name) };
        registrar::Settings {
            listen: "0.0.0.0:5060".to_owned(),
            domain: DOMAIN.to_owned(),
            users: phones.iter().map(user).collect(),
            min_expires_s: 60,
            max_expires_s: 3_600,
            nonce_lifetime_s: 86_400,
            challenge: true,
            advertise: "registrar".to_owned(),
            routes: Vec::new(),
            challenge_calls: false,
            record_routes: false,
        }
    }

    fn push(&self, phones: &[(&str, Service)]) -> push::Settings {
        pushes::settings(phones)
    }

    fn node(&self, node: u32) -> String {
        host_of(node)
    }

    fn properties(&self) -> Vec<(String, String)> {
        let core = &self.0.core;
        let of = |name: &str, value: String| (name.to_owned(), value);
        vec![
            of("wake-budget-ms", core.wake_budget_ms.to_string()),
            of("ring-deadline-ms", core.ring_deadline_ms.to_string()),
            of("hold-code", core.hold_code.map_or("none".to_owned(), |code| code.to_string())),
        ]
    }
}
