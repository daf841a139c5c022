//! The push services of a stage: one application of the gateway at each, and what each knows of the
//! phones that it wakes. Everything follows from the phones' names, so that a play is repeatable.

use std::collections::BTreeMap;

use reveille_conformance::cast::push::{Apns, Fcm, Settings, Subscription, WebPush};
use reveille_gateway_core::config::Secret;
use reveille_gateway_core::tenancy::Share;
use reveille_gateway_driver::push::{Apple, Application, PushType, Web};
use reveille_host::Entropy;
use reveille_scenarios::Service;
use sha2::{Digest as _, Sha256};

const P256: &str = include_str!("keys/p256.pem");
const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");
const RSA: &str = include_str!("keys/rsa.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
/// The public half of `keys/p256.pem`, as browsers want an application server's key.
const VAPID: &str =
    "BBB_HkQp88fCaoC_emhXOZWiDNwQyKqVcdYAYNGuwHmVRMITAsccRwar_4ZWOEgA4FucEhSKpMFjtrf4oi5TgU0";

const BUNDLE: &str = "com.example.app";
const PROJECT: &str = "project-1";
const ACCOUNT: &str = "push@project-1.example";
const TEAM: &str = "TEAM123456";
const KEY: &str = "KEY1234567";
const ORIGIN: &str = "http://push:9090";
const TOKEN_URI: &str = "http://push:9090/token";

/// What names the application at this service: the topic, the project, the key.
pub(crate) const fn application_id(service: Service) -> &'static str {
    match service {
        Service::Webhook | Service::Apns => BUNDLE,
        Service::Fcm | Service::OAuth => PROJECT,
        Service::WebPush => VAPID,
    }
}

/// The gateway's applications, one at each service.
pub(crate) fn applications() -> Vec<Application> {
    let of = |service: Service, url: &str, credential: Option<String>| Application {
        app: "app".to_owned(),
        provider: service.name().to_owned(),
        id: application_id(service).to_owned(),
        url: url.to_owned(),
        credential: credential.map(Secret),
        ..Application::default()
    };
    let account = serde_json::json!({
        "type": "service_account", "project_id": PROJECT, "private_key_id": "key-1",
        "private_key": RSA, "client_email": ACCOUNT, "token_uri": TOKEN_URI,
    });
    let apple =
        Apple { team_id: TEAM.to_owned(), key_id: KEY.to_owned(), push_type: PushType::Voip };
    let web = Web { contact: "mailto:push@example.com".to_owned(), private_endpoints: true };
    vec![
        of(Service::Webhook, "http://push:9090/", None),
        Application { apple, ..of(Service::Apns, ORIGIN, Some(P256.to_owned())) },
        of(Service::Fcm, ORIGIN, Some(account.to_string())),
        Application { web, ..of(Service::WebPush, "", Some(P256.to_owned())) },
    ]
}

/// The same applications, as those whose payloads carry what they are for.
pub(crate) fn carrying(applications: &[Application]) -> BTreeMap<String, Share> {
    let mut apps: BTreeMap<String, Share> = BTreeMap::new();
    for application in applications {
        let share = apps.entry(application.app.clone()).or_default();
        share.ids.insert(application.id.clone());
        share.carried.insert(application.provider.clone());
    }
    apps
}

/// The push services, which know these phones.
pub(crate) fn settings(phones: &[(&str, Service)]) -> Settings {
    Settings {
        listen: "0.0.0.0:9090".to_owned(),
        devices: "0.0.0.0:9091".to_owned(),
        apns: Some(Apns {
            team_id: TEAM.to_owned(),
            keys: [(KEY.to_owned(), P256_PUBLIC.to_owned())].into(),
            topics: [BUNDLE.to_owned()].into(),
            token_bytes: 32,
            renew_min_s: 20 * 60,
        }),
        fcm: Some(Fcm {
            project: PROJECT.to_owned(),
            client_email: ACCOUNT.to_owned(),
            public_key: RSA_PUBLIC.to_owned(),
            token_uri: TOKEN_URI.to_owned(),
            bearer_life_s: 3_599,
            foreign_tokens: std::collections::BTreeSet::new(),
        }),
        webpush: Some(webpush(phones)),
        ..Settings::default()
    }
}

fn webpush(phones: &[(&str, Service)]) -> WebPush {
    let own = phones.iter().filter(|(_, service)| *service == Service::WebPush);
    let of = |name: &str| (name.to_owned(), Subscription::draw(&Named(name), VAPID));
    WebPush { origin: ORIGIN.to_owned(), subscriptions: own.map(|(name, _)| of(name)).collect() }
}

/// The device token that this service gave this phone.
pub(crate) fn token(name: &str, service: Service) -> String {
    match service {
        Service::Webhook | Service::OAuth => format!("tok-{name}"),
        Service::Apns => digest(&format!("apns token of {name}"))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        Service::Fcm => format!("fcm:tok-{name}"),
        Service::WebPush => {
            let handed = webpush(&[(name, service)]).handed_out(name);
            handed.expect("the phone has a subscription")
        }
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Draws what follows from a name.
struct Named<'a>(&'a str);

impl Entropy for Named<'_> {
    fn fill(&self, into: &mut [u8]) {
        let bytes = digest(&format!("{} octets of the subscription of {}", into.len(), self.0));
        for (to, from) in into.iter_mut().zip(bytes.into_iter().cycle()) {
            *to = from;
        }
    }
}
