//! What passes the gateway, counted for the page `/metrics`.
//!
//! Labels have few values, all of them known beforehand: an application or a provider that the
//! configuration does not name is `other`. No user, session, call or token is ever a label.

mod exposition;
mod kinds;
mod page;
mod wakes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use reveille_gateway_core::io::{PushOutcome, Transport};
use reveille_wire::sip::Message;

use crate::config::Settings;
use crate::push::{Application, Class, PROVIDERS};
use crate::tls;

pub(crate) use exposition::CONTENT_TYPE;
use kinds::{Axis, Grid, Histogram, Number, Series};
pub(crate) use page::Sight;
pub(crate) use wakes::Wakes;

const DIRECTION: Axis = ("direction", &["in", "out"]);
const TRANSPORT: Axis = ("transport", &["udp", "tcp", "tls", "ws", "wss", "other"]);
const CLASS: Axis = ("class", &["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"]);
const METHOD: Axis = (
    "method",
    &[
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "REGISTER",
        "OPTIONS",
        "MESSAGE",
        "NOTIFY",
        "SUBSCRIBE",
        "REFER",
        "INFO",
        "UPDATE",
        "PRACK",
        "PUBLISH",
        "other",
    ],
);
const SECURE: Axis = ("port", &["sip", "websocket"]);
const PORT: Axis = ("port", &["sip", "websocket", "admin"]);
const STATUS: Axis = (
    "status",
    &["400", "401", "403", "404", "405", "408", "426", "429", "431", "503", "505", "other"],
);
const PROVIDER: Axis = ("provider", &["apns", "fcm", "webhook", "webpush", "other"]);
const URGENCY: Axis = ("class", &["call", "message", "other"]);
const RELOAD: Axis = ("outcome", &["applied", "refused"]);
/// What is no name of the configuration.
const OTHER: &str = "other";

/// Bounds in microseconds.
const SECONDS: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
const MICRO: u64 = 1_000_000;
const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// Every counter of one gateway.
pub(crate) struct Metrics {
    requests: Grid<3>,
    responses: Grid<3>,
    malformed: Grid<1>,
    turned_away: Grid<1>,
    unsent: Grid<1>,
    frames: Grid<1>,
    refused_connections: Grid<1>,
    refused_handshakes: Grid<1>,
    refused_upgrades: Grid<1>,
    upgrades: Series<1>,
    push_attempts: Series<3>,
    push_left_out: Series<2>,
    push_seconds: Histogram,
    push_batches: Histogram,
    push_waiting: Grid<2>,
    circuits_opened: Series<2>,
    wakes: Series<1>,
    pub(crate) push_to_attach: Histogram,
    pub(crate) attach_to_start: Histogram,
    commit_batches: Number,
    commit_sizes: Histogram,
    commit_seconds: Histogram,
    reloads: Grid<1>,
    limits: Series<2>,
    /// WebSockets and SIP connections that stand.
    pub(crate) sockets: Number,
    pub(crate) connections: Number,
    /// When the certificate of each port ends, in Unix seconds.
    certificates: Mutex<Vec<(&'static str, u64)>>,
    names: Mutex<BTreeMap<String, String>>,
    /// Applications and the providers that wake them.
    ways: Mutex<BTreeSet<(String, String)>>,
    /// Applications and their tenants.
    tenants: Mutex<BTreeMap<String, String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Grid::new([DIRECTION, METHOD, TRANSPORT]),
            responses: Grid::new([DIRECTION, CLASS, TRANSPORT]),
            malformed: Grid::new([TRANSPORT]),
            turned_away: Grid::new([TRANSPORT]),
            unsent: Grid::new([TRANSPORT]),
            frames: Grid::new([DIRECTION]),
            refused_connections: Grid::new([PORT]),
            refused_handshakes: Grid::new([SECURE]),
            refused_upgrades: Grid::new([STATUS]),
            upgrades: Series::new(["app"]),
            push_attempts: Series::new(["app", "provider", "outcome"]),
            push_left_out: Series::new(["app", "provider"]),
            push_seconds: Histogram::new(MICRO, SECONDS),
            push_batches: Histogram::new(1, SIZES),
            push_waiting: Grid::new([PROVIDER, URGENCY]),
            circuits_opened: Series::new(["app", "provider"]),
            wakes: Series::new(["app"]),
            push_to_attach: Histogram::new(MICRO, SECONDS),
            attach_to_start: Histogram::new(MICRO, SECONDS),
            commit_batches: Number::default(),
            commit_sizes: Histogram::new(1, SIZES),
            commit_seconds: Histogram::new(MICRO, SECONDS),
            reloads: Grid::new([RELOAD]),
            limits: Series::new(["app", "limit"]),
            sockets: Number::default(),
            connections: Number::default(),
            certificates: Mutex::default(),
            names: Mutex::default(),
            ways: Mutex::default(),
            tenants: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Takes the names that may be labels: of applications, their ids at push services, and their
    /// tenants; and when certificates end.
    pub(crate) fn learn(&self, settings: &Settings) {
        let ends = tls::ends(settings);
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        let (default_app, applications) = (&settings.default_app, &settings.push.applications);
        let tenant_of = |app: &Application| {
            settings.core.tenancy.tenant_of(&app.app).unwrap_or_default().to_owned()
        };
        let tenants = applications.iter().map(|app| (app.app.clone(), tenant_of(app)));
        *self.tenants.lock().unwrap_or_else(PoisonError::into_inner) = tenants.collect();
        let ways = applications.iter().map(|app| (app.app.clone(), app.provider.clone()));
        *self.ways.lock().unwrap_or_else(PoisonError::into_inner) = ways.collect();
        let of = |app: &Application| [(app.id.clone(), app.app.clone()), same(&app.app)];
        let known = applications.iter().flat_map(of).chain([same(default_app)]);
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// The label of an application, which may be named by its id at a push service.
    pub(crate) fn app(&self, name: &str) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(name).map_or_else(|| OTHER.to_owned(), Clone::clone)
    }

    /// A SIP message came in.
    pub(crate) fn sip_received(&self, transport: Transport, message: &Message) {
        let way = transport_label(transport);
        match (message.method(), message.status()) {
            (Some(method), _) => self.requests.raise(["in", method.as_str(), way]),
            (None, status) => self.responses.raise(["in", class(status.unwrap_or(0)), way]),
        }
    }

    /// A SIP message goes out.
    pub(crate) fn sip_sent(&self, transport: Transport, bytes: &[u8]) {
        let way = transport_label(transport);
        let begin = &bytes[..bytes.len().min(16)];
        let word = begin.split(|byte| *byte == b' ').next().unwrap_or_default();
        match begin.strip_prefix(b"SIP/2.0 ").and_then(|rest| rest.first()) {
            Some(digit) => {
                let status = u16::from(digit.wrapping_sub(b'0')) * 100;
                self.responses.raise(["out", class(status), way]);
            }
            None => self.requests.raise(["out", std::str::from_utf8(word).unwrap_or(OTHER), way]),
        }
    }

    pub(crate) fn sip_malformed(&self, transport: Transport) {
        self.malformed.raise([transport_label(transport)]);
    }

    pub(crate) fn sip_turned_away(&self, transport: Transport) {
        self.turned_away.raise([transport_label(transport)]);
    }

    pub(crate) fn sip_unsent(&self, transport: Transport) {
        self.unsent.raise([transport_label(transport)]);
    }

    pub(crate) fn frame(&self, direction: &'static str) {
        self.frames.raise([direction]);
    }

    /// A connection was turned away at the door.
    pub(crate) fn connection_refused(&self, port: &'static str) {
        self.refused_connections.raise([port]);
    }

    /// Too many TLS handshakes were under way at a port for one more.
    pub(crate) fn handshake_refused(&self, port: &'static str) {
        self.refused_handshakes.raise([port]);
    }

    pub(crate) fn upgrade_refused(&self, status: u16) {
        self.refused_upgrades.raise([&status.to_string()]);
    }

    pub(crate) fn upgraded(&self, app: &str) {
        self.upgrades.raise([&self.app(app)]);
    }

    pub(crate) fn wake_begins(&self, application: &str) {
        self.wakes.raise([&self.app(application)]);
    }

    /// A push was tried, or could not be.
    pub(crate) fn pushed(&self, application: &str, provider: &str, outcome: &PushOutcome) {
        let known = PROVIDERS.iter().find(|(name, _)| *name == provider);
        let provider = known.map_or(OTHER, |(name, _)| name);
        let outcome = outcome_label(outcome);
        self.push_attempts.raise([&self.app(application), provider, outcome]);
    }

    /// A payload had no room for the message that it was to carry.
    pub(crate) fn push_left_out(&self, application: &str, provider: &str) {
        let known = PROVIDERS.iter().find(|(name, _)| *name == provider);
        let provider = known.map_or(OTHER, |(name, _)| name);
        self.push_left_out.raise([&self.app(application), provider]);
    }

    /// A push service took so long to answer.
    pub(crate) fn push_took(&self, micros: u64) {
        self.push_seconds.see(micros);
    }

    /// A push waits for a place to be sent from.
    pub(crate) fn push_waits(&self, provider: &str, class: Class) {
        self.push_waiting.raise([provider, class.text()]);
    }

    /// So many that waited leave as one request.
    pub(crate) fn push_leaves(&self, provider: &str, class: Class, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.push_waiting.lower([provider, class.text()], count);
        self.push_batches.see(count);
    }

    /// A push service is left alone.
    pub(crate) fn circuit_opened(&self, application: &str, provider: &str) {
        self.circuits_opened.raise([&self.app(application), provider]);
    }

    /// So many commits became durable together, in so long a time.
    pub(crate) fn committed(&self, commits: usize, micros: u64) {
        self.commit_batches.add(1);
        self.commit_sizes.see(u64::try_from(commits).unwrap_or(u64::MAX));
        self.commit_seconds.see(micros);
    }

    /// Somebody was refused for a limit of the configuration.
    pub(crate) fn limit_reached(&self, app: &str, limit: &str) {
        self.limits.raise([&self.app(app), limit]);
    }

    pub(crate) fn reloaded(&self, applied: bool) {
        self.reloads.raise([if applied { "applied" } else { "refused" }]);
    }
}

fn same(name: &str) -> (String, String) {
    (name.to_owned(), name.to_owned())
}

/// What came of a push, in a word.
pub(crate) const fn outcome_label(outcome: &PushOutcome) -> &'static str {
    match outcome {
        PushOutcome::Accepted => "accepted",
        PushOutcome::Refused { .. } => "refused",
        PushOutcome::Failed { .. } => "failed",
        PushOutcome::Transient { .. } => "transient",
    }
}

fn transport_label(transport: Transport) -> &'static str {
    let name = transport.via_name();
    let known = TRANSPORT.1.iter().find(|known| known.eq_ignore_ascii_case(name));
    known.copied().unwrap_or(OTHER)
}

fn class(status: u16) -> &'static str {
    let at = usize::from(status / 100).saturating_sub(1);
    CLASS.1.get(at).copied().unwrap_or("6xx")
}
