//! The target that boots the reference gateway on a stage, and the cast that stands around it:
//! hosts `gateway`, `registrar`, `push`, one for each caller and phone.

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_conformance::cast::{caller, phone, push, registrar};
use reveille_conformance::player::Cast;
use reveille_conformance::stage::{Part, Stage};
use reveille_gateway_core::config::{Config, Registrar, Secret, User};
use reveille_gateway_core::io::{Flow, Transport};
use reveille_gateway_driver::Gateway;
use reveille_gateway_driver::config::Settings;
use reveille_gateway_driver::push::Application;
use reveille_trace::Recorder;

const SECRET: &str = "secret of bob";

/// The gateway's settings on a stage: user bob, a registrar and a push service beside it, records
/// in redb on the host's disk.
#[must_use]
pub fn settings() -> Settings {
    let mut core = Config::new("example.com", "gateway:5060");
    core.users.push(User {
        aor: "bob@example.com".to_owned(),
        username: "bob".to_owned(),
        secret: Secret(SECRET.to_owned()),
    });
    core.registrar = Some(Registrar {
        uri: "sip:example.com".to_owned(),
        flow: Flow {
            transport: Transport::Udp,
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
    settings.push.applications.push(Application {
        app: "app".to_owned(),
        provider: "webhook".to_owned(),
        id: "com.example.app".to_owned(),
        url: "http://push:9090/".to_owned(),
        ..Application::default()
    });
    settings
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
pub fn enter(stage: &mut dyn Stage, settings: Settings) {
    let recorder = stage.recorder();
    stage.enter("gateway", gateway(settings, recorder));
}

/// A caller `alice`, a phone `bob`, registrar and push service.
#[must_use]
pub fn cast(app: phone::AppKind, transport: reveille_conformance::cast::sip::Transport) -> Cast {
    let alice = caller::Settings {
        listen: "0.0.0.0:5060".to_owned(),
        advertise: "alice".to_owned(),
        gateway: "gateway:5060".to_owned(),
        transport,
        domain: "example.com".to_owned(),
        calls: Vec::new(),
    };
    let bob = phone::Settings {
        gateway: "gateway:8080".to_owned(),
        path: "/ws/webrtc/app".to_owned(),
        address: "bob@example.com".to_owned(),
        user: "bob".to_owned(),
        secret: SECRET.to_owned(),
        push: "push:9091".to_owned(),
        token: "tok-bob".to_owned(),
        provider: "webhook".to_owned(),
        app_id: "com.example.app".to_owned(),
        app,
        ttl_s: 3_600,
        sleep_by: phone::SleepBy::Hibernate,
        resleeps: false,
        conduct: phone::Conduct::Answer { after_ms: 500 },
    };
    let user = registrar::User { username: "bob".to_owned(), secret: SECRET.to_owned() };
    Cast {
        callers: BTreeMap::from([("alice".to_owned(), alice)]),
        phones: BTreeMap::from([("bob".to_owned(), bob)]),
        registrar: registrar::Settings {
            listen: "0.0.0.0:5060".to_owned(),
            domain: "example.com".to_owned(),
            users: vec![user],
            min_expires_s: 60,
            max_expires_s: 3_600,
            nonce_lifetime_s: 86_400,
            challenge: true,
        },
        push: push::Settings {
            listen: "0.0.0.0:9090".to_owned(),
            devices: "0.0.0.0:9091".to_owned(),
            answers: Vec::new(),
        },
    }
}
