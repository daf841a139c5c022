//! What the operator may do to a gateway that runs: read its configuration anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::config::Secret;
use reveille_host::within;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio_rustls::TlsAcceptor;

use super::reload::{Reloaded, is_same, merge};
use super::{AdminSettings, Ask};
use crate::config::{ConfigError, Settings, Source};
use crate::door::Door;
use crate::http::Gate;
use crate::live::Live;
use crate::push::{self, Application, host_time};
use crate::tls::{self, Certificates};
use crate::world::{Event, World};

/// How long the loop may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Why the configuration was not read anew. The old one still holds, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This gateway's configuration is no file.
    #[error("this gateway was not started from a file; restart it with another configuration")]
    NoFile,
    /// Everything that is wrong with it.
    #[error("{}", shown(.0))]
    Faults(Vec<ConfigError>),
    /// A port has no sound identity.
    #[error("{0}")]
    Identity(String),
    /// The gateway did not answer.
    #[error("the gateway's loop does not answer; ask again")]
    Silence,
}

fn shown(faults: &[ConfigError]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Who gets in at the operator's port, and how.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) token: Option<Secret>,
    pub(crate) acceptor: Option<TlsAcceptor>,
}

impl Access {
    /// What the settings say. They were checked when they were read; an identity that fails all the
    /// same opens nothing.
    pub(crate) fn new(world: &World, settings: &AdminSettings) -> Result<Self, String> {
        let time = || host_time(&world.host);
        let acceptor = settings.identity.as_ref().map(|it| it.acceptor(time())).transpose();
        let acceptor = acceptor.map_err(|(key, what)| format!("admin.{key}: {what}"))?;
        Ok(Self { token: settings.token.clone(), acceptor })
    }
}

/// The settings that hold, and since when each application has its credential.
pub(crate) struct Current {
    pub(crate) settings: Settings,
    /// Unix time in seconds, by application and provider.
    pub(crate) since: BTreeMap<(String, String), u64>,
}

/// What an operator reaches.
pub(crate) struct Inside {
    pub(crate) world: World,
    pub(crate) gate: Arc<Live<Gate>>,
    pub(crate) door: Door,
    pub(crate) access: Live<Access>,
    certificates: Certificates,
    current: Mutex<Current>,
}

impl Inside {
    pub(crate) fn new(
        world: &World,
        settings: &Settings,
        (gate, door): (Arc<Live<Gate>>, Door),
        certificates: Certificates,
    ) -> Result<Arc<Self>, String> {
        let access = settings.admin.as_ref().map(|admin| Access::new(world, admin)).transpose()?;
        let now_s = world.now().wall_us / 1_000_000;
        let since = settings.push.applications.iter().map(|app| (name_of(app), now_s)).collect();
        world.metrics.learn(settings);
        tls::warn_of_expired(settings, now_s);
        world.quota.learn(&settings.core.tenancy);
        world.paces.learn(settings.pace);
        Ok(Arc::new(Self {
            world: world.clone(),
            gate,
            door,
            access: Live::new(access.unwrap_or_default()),
            certificates,
            current: Mutex::new(Current { settings: settings.clone(), since }),
        }))
    }

    pub(crate) async fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().await
    }

    /// Asks the loop; `None` if it does not answer in time.
    pub(crate) async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let work = async {
            let told = self.world.tell(Event::Ask(ask(answer))).await;
            if told { answered.await.ok() } else { None }
        };
        within(&*self.world.host.clock, ANSWER_LIMIT, work).await.flatten()
    }

    pub(crate) async fn reload(&self) -> Result<Reloaded, Refused> {
        let mut current = self.current.lock().await;
        let done = self.reload_from(&mut current).await;
        self.world.metrics.reloaded(done.is_ok());
        match &done {
            Ok(Reloaded { changed, needs_restart }) => {
                tracing::info!(?changed, ?needs_restart, "configuration read anew");
            }
            Err(why) => {
                tracing::error!(%why, "the new configuration is refused; the old one holds");
            }
        }
        done
    }

    async fn reload_from(&self, current: &mut Current) -> Result<Reloaded, Refused> {
        let source = current.settings.source.clone().ok_or(Refused::NoFile)?;
        let new = self.read(source).await?;
        let (merged, told) = merge(&current.settings, new);
        let admin = merged.admin.as_ref().map(|admin| Access::new(&self.world, admin));
        let access = admin.transpose().map_err(Refused::Identity)?;
        let renews = told.changed.iter().any(|key| renews(key));
        let renewed = renews.then(|| self.certificates.check(&merged.secure)).transpose();
        let renewed = renewed.map_err(Refused::Identity)?;
        let repush =
            told.changed.iter().any(|key| key.starts_with("push.") || *key == "application");
        let pushes = repush.then(|| push::start(&self.world, &merged.push));
        let core = Arc::new(merged.core.clone());
        let asked = self.ask(|answer| Ask::Configure { core, pushes, answer }).await;
        asked.ok_or(Refused::Silence)?;
        self.gate.set(Gate::new(&merged));
        self.door.limit(merged.most_sockets, merged.most_sockets_per_ip);
        self.access.set(access.unwrap_or_default());
        if let Some(renewed) = renewed {
            self.certificates.put(renewed);
        }
        let now_s = self.world.now().wall_us / 1_000_000;
        tls::warn_of_expired(&merged, now_s);
        self.world.metrics.learn(&merged);
        self.world.quota.learn(&merged.core.tenancy);
        self.world.paces.learn(merged.pace);
        current.take(merged, now_s);
        Ok(told)
    }

    /// Reads files, which may block.
    async fn read(&self, source: Source) -> Result<Settings, Refused> {
        let (done, read) = oneshot::channel();
        let work = move || {
            // Fails only if the gateway is gone.
            let _gone: bool = done.send(source.read()).is_err();
        };
        self.world.host.tasks.blocking(Box::new(work)).await;
        read.await.map_err(|_| Refused::Silence)?.map_err(Refused::Faults)
    }
}

/// True of keys that say who the ports are.
fn renews(key: &str) -> bool {
    let (section, key) = key.split_once('.').unwrap_or_default();
    let is_identity = ["certificate-file", "key-file", "client-ca-file"].contains(&key);
    is_identity && ["sip", "websocket"].contains(&section)
}

impl Current {
    fn take(&mut self, settings: Settings, now_s: u64) {
        let old = &self.settings.push.applications;
        let since_of = |app: &Application| {
            let same = old.iter().any(|old| is_same(old, app));
            self.since.get(&name_of(app)).copied().filter(|_| same).unwrap_or(now_s)
        };
        let new = &settings.push.applications;
        self.since = new.iter().map(|app| (name_of(app), since_of(app))).collect();
        self.settings = settings;
    }
}

pub(super) fn name_of(app: &Application) -> (String, String) {
    (app.app.clone(), app.provider.clone())
}

/// Steers a gateway that runs.
#[derive(Clone)]
pub struct Operator(pub(crate) Arc<Inside>);

impl Operator {
    /// Reads the configuration anew and takes what can change while the gateway runs. What cannot
    /// is named, and nothing of it is taken.
    ///
    /// # Errors
    /// Why all of the old configuration still holds.
    pub async fn reload(&self) -> Result<Reloaded, Refused> {
        self.0.reload().await
    }
}
