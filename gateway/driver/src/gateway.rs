//! Start and end of a gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_gateway_core::config::Cluster;
use reveille_gateway_core::io::{Input, Transport};
use reveille_gateway_core::node::Node;
use reveille_host::{Host, within};
use reveille_trace::{Recorder, Scribe};
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::{self, Inside, Operator};
use crate::config::Settings;
use crate::dns;
use crate::door::Door;
use crate::fabric::{self, FabricError, Member};
use crate::http::Gate;
use crate::live::Live;
use crate::ports::{COMMIT_QUEUE, Ports};
use crate::push;
use crate::run::run;
use crate::sip::{self, tcp, udp};
use crate::tls::{self, Certificates};
use crate::world::{Event, World};
use crate::ws;

/// Events that may wait for the loop.
const INBOX: usize = 4_096;
/// SIP connections in all, and from one address: a trunk is one address.
const SIP_DOOR: (usize, usize) = (4_096, 1_024);

/// Connections to the operator's port in all, and from one address.
const ADMIN_DOOR: (usize, usize) = (64, 32);

/// How long the fabric may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port did not open.
    #[error("{key} = \"{address}\": {error}; write an address:port of this machine that is free")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Its value.
        address: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A certificate, its key or an authority is unsound.
    #[error("certificates: {0}; write PEM files that go together")]
    Certificates(String),
    /// The fabric did not open or could not be read.
    #[error("fabric: {0}")]
    Fabric(#[from] FabricError),
    /// The operator's port has no sound identity.
    #[error("{0}")]
    Admin(String),
}

/// The gateway.
pub struct Gateway;

/// A gateway that runs. Dropping it does not stop the gateway.
pub struct Running {
    /// Where SIP over UDP is received.
    pub udp: Vec<SocketAddr>,
    /// Where SIP over TCP is received.
    pub tcp: Vec<SocketAddr>,
    /// Where SIP over TLS is received.
    pub tls: Vec<SocketAddr>,
    /// Where SIP in WebSockets is received.
    pub sip_ws: Vec<SocketAddr>,
    /// The same inside TLS.
    pub sip_wss: Vec<SocketAddr>,
    /// Where apps connect.
    pub ws: Option<SocketAddr>,
    /// Where operators look and steer.
    pub admin: Option<SocketAddr>,
    operator: Operator,
    /// What changes the certificates.
    pub certificates: Certificates,
    host: Host,
    inbox: mpsc::Sender<Event>,
    end: oneshot::Receiver<Result<(), String>>,
}

impl Gateway {
    /// Opens the ports, recovers what the fabric holds, and runs. Events are recorded as the actor
    /// `gateway`.
    ///
    /// # Errors
    /// A port or the fabric did not open; nothing is left running.
    pub async fn start(
        host: Host,
        mut settings: Settings,
        recorder: Recorder,
    ) -> Result<Running, StartError> {
        let (inbox, events) = mpsc::channel(INBOX);
        let (stop, stopping) = watch::channel(false);
        let scribe = Scribe::new(recorder, "gateway");
        if let Some(Member { node, address, .. }) = &settings.fabric.member {
            settings.core.node.clone_from(node);
            settings.core.cluster = Some(Cluster { address: address.clone() });
        }
        #[cfg(feature = "mutants")]
        settings.core.whims.clone_from(&settings.whims);
        let aimed = dns::aim(&host, &mut settings).await;
        let connector = connector(&host, &settings).map_err(StartError::Certificates)?;
        let connector = connector.map(Arc::new);
        let (acceptors, certificates) =
            tls::certificates(&host, &settings.secure, connector.clone())
                .map_err(StartError::Certificates)?;
        let world = World::new(host.clone(), scribe, inbox.clone(), stopping);
        let world = world.with_connector(connector);
        #[cfg(feature = "mutants")]
        let world = world.with_whims(&settings.whims);
        if let Some(aimed) = aimed {
            host.tasks.spawn("dns", Box::pin(dns::follow(world.clone(), aimed)));
        }

        let opened = fabric::open(&settings.fabric, &host)?;
        let begun_us = world.now().mono_us;
        let (opened, started) = load(&host, opened).await?;
        if let Some(member) = &settings.fabric.member {
            world.health.lease(begun_us.saturating_add(member.lease_ms * 1_000));
        }
        let doors = Doors::open(&host, &settings).await?;
        world.health.start(world.now().wall_us / 1_000_000);
        let gate = Arc::new(Live::new(Gate::new(&settings)));
        let door = Door::new(settings.most_sockets, settings.most_sockets_per_ip);
        let inside = Inside::new(&world, &settings, (gate, door), certificates.clone())
            .map_err(StartError::Admin)?;

        let (commits, queued) = mpsc::channel(COMMIT_QUEUE);
        let closed = fabric::start(&world, opened, settings.fabric.member.as_ref(), queued);
        let pushes = push::start(&world, &settings.push);
        let (udp, tcp, ws) = (doors.udp_addresses(), locals(&doors.tcp), doors.ws_address());
        let (tls, sip_ws, sip_wss) =
            (locals(&doors.tls), locals(&doors.sip_ws), locals(&doors.sip_wss));
        let admin = doors.admin.as_ref().map(|(_, local)| *local);
        let sockets = doors.enter(&world, &settings, &inside, acceptors);
        let ports = Ports::new(world.clone(), sockets, commits, pushes);

        let mut seed = [0; 32];
        host.entropy.fill(&mut seed);
        let node = Node::new(Arc::new(settings.core), seed);
        let (ended, end) = oneshot::channel();
        let clock = Arc::clone(&host.clock);
        let task = async move {
            let how = run(world, node, events, ports, started).await;
            if let Err(why) = &how {
                tracing::error!(why, "the gateway ends");
            }
            // An error means that the committer's task is gone, and the fabric with it.
            if within(&*clock, CLOSE_LIMIT, closed).await.is_none() {
                tracing::warn!("the fabric is still busy");
            }
            // Both fail only when nobody is left to hear them.
            let _nobody_reads: bool = stop.send(true).is_err();
            let _nobody_waits: bool = ended.send(how).is_err();
        };
        host.tasks.spawn("gateway", Box::pin(task));
        tracing::info!(?udp, ?tcp, ?tls, ?sip_ws, ?sip_wss, ?ws, ?admin, "gateway started");
        let operator = Operator(inside);
        Ok(Running {
            udp,
            tcp,
            tls,
            sip_ws,
            sip_wss,
            ws,
            admin,
            operator,
            certificates,
            host,
            inbox,
            end,
        })
    }
}

impl Running {
    /// What ends this gateway, to be kept while [`stopped`](Self::stopped) waits.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { host: self.host.clone(), inbox: self.inbox.clone() }
    }

    /// What steers this gateway.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Asks for an orderly end; see [`Stopper::stop`].
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Returns once the gateway has ended.
    ///
    /// # Errors
    /// Why it could not go on; a new process recovers from the fabric.
    pub async fn stopped(self) -> Result<(), String> {
        self.end
            .await
            .unwrap_or_else(|_| Err("the gateway's task was ended from outside".to_owned()))
    }
}

/// Ends a gateway.
#[derive(Clone)]
pub struct Stopper {
    host: Host,
    inbox: mpsc::Sender<Event>,
}

impl Stopper {
    /// Asks for an orderly end: new work is refused, apps are told to come back elsewhere (1012),
    /// what is stored is stored. Returns at once; see [`Running::stopped`].
    pub fn stop(&self) {
        let inbox = self.inbox.clone();
        let task = async move {
            // Fails only if it has ended already.
            let _ended: bool = inbox.send(Event::Stop).await.is_err();
        };
        self.host.tasks.spawn("stop", Box::pin(task));
    }
}

/// Reads the fabric on a thread that may block.
async fn load(
    host: &Host,
    mut opened: Box<dyn fabric::Fabric>,
) -> Result<(Box<dyn fabric::Fabric>, Input), FabricError> {
    let (done, loaded) = oneshot::channel();
    let work = move || {
        let records = opened.renew().and_then(|()| opened.load());
        // Fails only if the start itself was given up.
        let _given_up: bool = done.send((opened, records)).is_err();
    };
    host.tasks.blocking(Box::new(work)).await;
    let (opened, records) = loaded.await.map_err(|_| FabricError::new("reading it broke off"))?;
    let fabric::Records { sessions, calls, messages } = records?;
    let counts = (sessions.len(), calls.len(), messages.len());
    tracing::info!(sessions = counts.0, calls = counts.1, messages = counts.2, "fabric read");
    Ok((opened, Input::Started { sessions, calls, messages }))
}

type Listening = (Box<dyn reveille_host::Listener>, SocketAddr);

/// Every port of the gateway, open.
struct Doors {
    udp: Vec<(Arc<dyn reveille_host::Udp>, SocketAddr)>,
    tcp: Vec<Listening>,
    tls: Vec<Listening>,
    sip_ws: Vec<Listening>,
    sip_wss: Vec<Listening>,
    ws: Option<Listening>,
    admin: Option<Listening>,
}

impl Doors {
    async fn open(host: &Host, settings: &Settings) -> Result<Self, StartError> {
        let mut udp = Vec::new();
        for address in &settings.udp {
            let fail =
                |error| StartError::Listen { key: "sip.udp", address: address.clone(), error };
            let socket = host.net.udp(address).await.map_err(fail)?;
            let local = socket.local_addr().map_err(fail)?;
            udp.push((socket, local));
        }
        let tcp = listen_all(host, "sip.tcp", &settings.tcp).await?;
        let tls = listen_all(host, "sip.tls", &settings.tls).await?;
        let sip_ws = listen_all(host, "sip.ws", &settings.sip_ws).await?;
        let sip_wss = listen_all(host, "sip.wss", &settings.sip_wss).await?;
        let ws = match &settings.websocket {
            Some(address) => Some(listen(host, "websocket.listen", address).await?),
            None => None,
        };
        let admin = match &settings.admin {
            Some(admin) => Some(listen(host, "admin.listen", &admin.listen).await?),
            None => None,
        };
        Ok(Self { udp, tcp, tls, sip_ws, sip_wss, ws, admin })
    }

    fn udp_addresses(&self) -> Vec<SocketAddr> {
        self.udp.iter().map(|(_, local)| *local).collect()
    }

    fn ws_address(&self) -> Option<SocketAddr> {
        self.ws.as_ref().map(|(_, local)| *local)
    }

    /// Starts whoever stands at the ports; returns the UDP sockets.
    fn enter(
        self,
        world: &World,
        settings: &Settings,
        inside: &Arc<Inside>,
        acceptors: tls::Ports,
    ) -> Vec<udp::Port> {
        let tasks = &world.host.tasks;
        let sip_door = Door::new(SIP_DOOR.0, SIP_DOOR.1);
        let tls = self.tls.into_iter().map(|it| (it, acceptors.sip.clone()));
        let streams = self.tcp.into_iter().map(|it| (it, None)).chain(tls);
        for ((listener, local), acceptor) in streams {
            let port = tcp::Port { local, door: sip_door.clone(), acceptor };
            let task = tcp::accept(world.clone(), listener, port);
            tasks.spawn("sip-tcp-accept", Box::pin(task));
        }
        let origins = settings.sip_origins.clone();
        let gate = Arc::new(sip::ws::SipGate { origins });
        let wss = self.sip_wss.into_iter().map(|it| (it, acceptors.sip.clone()));
        let sockets = self.sip_ws.into_iter().map(|it| (it, None)).chain(wss);
        for ((listener, local), acceptor) in sockets {
            let (door, gate) = (sip_door.clone(), Arc::clone(&gate));
            let port = sip::ws::Port { local, door, gate, acceptor };
            let task = sip::ws::accept(world.clone(), listener, port);
            tasks.spawn("sip-websocket-accept", Box::pin(task));
        }
        if let Some((listener, _)) = self.ws {
            let (gate, door) = (Arc::clone(&inside.gate), inside.door.clone());
            let acceptor = acceptors.websocket;
            let task = ws::accept(world.clone(), listener, ws::Port { gate, door, acceptor });
            tasks.spawn("websocket-accept", Box::pin(task));
        }
        if let Some((listener, _)) = self.admin {
            let door = Door::new(ADMIN_DOOR.0, ADMIN_DOOR.1);
            let task = admin::accept(Arc::clone(inside), listener, door);
            tasks.spawn("admin-accept", Box::pin(task));
        }
        let sockets = self.udp.into_iter();
        sockets.map(|(socket, local)| udp::start(world, socket, local)).collect()
    }
}

fn locals(listening: &[Listening]) -> Vec<SocketAddr> {
    listening.iter().map(|(_, local)| *local).collect()
}

/// The way to dial over TLS, where the settings may need one.
fn connector(host: &Host, settings: &Settings) -> Result<Option<tls::Connector>, String> {
    let registrar = settings.core.registrar.as_ref();
    let dials = registrar.is_some_and(|registrar| registrar.flow.transport == Transport::Tls);
    let may_dial = settings.registrar_domain.is_some();
    let answers = !settings.tls.is_empty();
    (dials || may_dial || answers).then(|| tls::Connector::new(host, &settings.secure)).transpose()
}

async fn listen_all(
    host: &Host,
    key: &'static str,
    addresses: &[String],
) -> Result<Vec<Listening>, StartError> {
    let mut all = Vec::new();
    for address in addresses {
        all.push(listen(host, key, address).await?);
    }
    Ok(all)
}

async fn listen(
    host: &Host,
    key: &'static str,
    address: &str,
) -> Result<(Box<dyn reveille_host::Listener>, SocketAddr), StartError> {
    let fail = |error| StartError::Listen { key, address: address.to_owned(), error };
    let listener = host.net.listen(address).await.map_err(fail)?;
    let local = listener.local_addr().map_err(fail)?;
    Ok((listener, local))
}
