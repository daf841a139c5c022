//! The registrar by its domain: asked for at the start, and again whenever the answer has lived.

use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::io::Input;
use reveille_host::{Host, within};

use super::targets::{Found, find};
use super::{Domain, Resolve, Stub};
use crate::config::Settings;
use crate::world::{Event, World};

/// How long DNS may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Seconds until a failure may be mended.
const RETRY_S: u32 = 30;

/// A domain that is to be followed.
pub(crate) struct Aimed {
    resolve: Arc<dyn Resolve>,
    domain: Domain,
    ttl_s: u32,
}

impl Aimed {
    async fn find(&self, host: &Host) -> Result<Found, String> {
        let work = find(&*self.resolve, &*host.entropy, &self.domain);
        let found = within(&*host.clock, LIMIT, work).await;
        found.unwrap_or_else(|| Err(format!("{}: DNS takes too long", self.domain.name)))
    }
}

/// Asks for the registrar before anything is sent there. If nobody answers, the domain itself is tried
/// as a host until somebody does.
pub(crate) async fn aim(host: &Host, settings: &mut Settings) -> Option<Aimed> {
    let domain = settings.registrar_domain.clone()?;
    let registrar = settings.core.registrar.as_mut()?;
    let stub = |server| Arc::new(Stub::new(host.clone(), server)) as Arc<dyn Resolve>;
    let resolve = settings.resolve.clone().or(settings.dns_server.map(stub))?;
    let mut aimed = Aimed { resolve, domain, ttl_s: RETRY_S };
    match aimed.find(host).await {
        Ok(found) => {
            let mut flows = found.flows.into_iter();
            registrar.flow = flows.next().unwrap_or_else(|| registrar.flow.clone());
            settings.core.registrar_others = flows.collect();
            aimed.ttl_s = found.ttl_s;
        }
        Err(why) => tracing::warn!(why, "the registrar's domain is used as a host for now"),
    }
    let flows = std::iter::once(&registrar.flow).chain(&settings.core.registrar_others);
    let names = flows.map(|flow| (flow.peer.clone(), aimed.domain.proves.clone()));
    settings.secure.peer_names.extend(names);
    Some(aimed)
}

/// Tells the core whenever the answer may be another.
pub(crate) async fn follow(world: World, mut aimed: Aimed) {
    loop {
        let wait = world.host.sleep(Duration::from_secs(u64::from(aimed.ttl_s)));
        if world.unless_stopped(wait).await.is_none() {
            return;
        }
        let Some(found) = world.unless_stopped(aimed.find(&world.host)).await else { return };
        aimed.ttl_s = match found {
            Ok(Found { flows, ttl_s }) => {
                if let Some(connector) = &world.connector {
                    connector.must_prove(&flows, &aimed.domain.proves);
                }
                if !world.tell(Event::Input(Input::Targets { flows })).await {
                    return;
                }
                ttl_s
            }
            Err(why) => {
                tracing::warn!(why, "the registrar's places are kept as they were");
                RETRY_S
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use reveille_host::BoxFuture;
    use reveille_trace::{Recorder, Scribe};
    use tokio::sync::{mpsc, watch};

    use super::super::{Data, Kind, Record};
    use super::*;
    use crate::hasty::Hasty;

    /// Knows an address by turns only, and never SRV; keeps when it was asked for one.
    struct Fickle(Host, Mutex<Vec<u64>>);

    impl std::fmt::Debug for Fickle {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Fickle")
        }
    }

    impl Resolve for Fickle {
        fn lookup<'a>(
            &'a self,
            _name: &'a str,
            kind: Kind,
        ) -> BoxFuture<'a, Result<Vec<Record>, String>> {
            let answer = if kind == Kind::A {
                let mut asked = self.1.lock().expect("whole");
                asked.push(self.0.clock.now().mono.as_secs());
                let turn = u8::try_from(asked.len()).unwrap_or_default();
                let data = Data::Address([192, 0, 2, turn].into());
                let known = vec![Record { ttl_s: 7_200, data }];
                if turn == 2 { Err("nobody knows".to_owned()) } else { Ok(known) }
            } else {
                Ok(Vec::new())
            };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn dns_is_asked_again_as_the_ttl_says_and_after_a_failure_in_thirty_seconds() {
        let mut host = reveille_host::real::host();
        host.clock = Arc::new(Hasty::default());
        let (inbox, mut events) = mpsc::channel(1);
        let (_stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(Recorder::passing(), "gateway");
        let world = World::new(host.clone(), scribe, inbox, stopping);
        let mut core = reveille_gateway_core::config::Config::new("example.com", "gw:5060");
        let flow = reveille_gateway_core::io::Flow {
            transport: reveille_gateway_core::io::Transport::Udp,
            local: String::new(),
            peer: "example.com:5060".to_owned(),
            connection: None,
        };
        let uri = "sip:example.com".to_owned();
        core.registrar =
            Some(reveille_gateway_core::config::Registrar { uri, flow, expires_s: 3_600 });
        let mut settings = Settings::new(core);
        let [name, proves] = ["example.com", "sip.example.com"].map(str::to_owned);
        settings.registrar_domain = Some(Domain { name, transport: None, secure: false, proves });
        let fickle = Arc::new(Fickle(host.clone(), Mutex::default()));
        settings.resolve = Some(fickle.clone());
        let aimed = aim(&host, &mut settings).await.expect("a domain");
        let peer = settings.core.registrar.expect("it stays").flow.peer;
        let must_prove = BTreeMap::from([(peer.clone(), "sip.example.com".to_owned())]);
        assert_eq!((peer.as_str(), settings.secure.peer_names), ("192.0.2.1:5060", must_prove));
        host.tasks.spawn("dns", Box::pin(follow(world.clone(), aimed)));
        let Some(Event::Input(Input::Targets { flows })) = events.recv().await else {
            panic!("targets")
        };
        assert_eq!(flows[0].peer, "192.0.2.3:5060", "the second answer was none");
        // On this clock each search takes the five seconds that it may.
        let asked = fickle.1.lock().expect("whole").clone();
        let gaps: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!((7_200..7_210).contains(&gaps[0]) && (30..40).contains(&gaps[1]), "{gaps:?}");
    }
}
