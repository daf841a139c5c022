//! The page `/metrics`.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use reveille_gateway_core::survey::State;

use super::Metrics;
use super::exposition::{Page, Type};
use crate::push::Way;

/// What is not counted but looked up when the page is asked for.
pub(crate) struct Sight {
    /// Sessions by application and state.
    pub(crate) sessions: BTreeMap<(String, State), u64>,
    pub(crate) pending_calls: u64,
    pub(crate) draining: bool,
    /// Ways to push services that are not closed.
    pub(crate) troubled: Vec<Way>,
    pub(crate) started_unix_s: u64,
    /// `None` where the system does not say.
    pub(crate) resident_bytes: Option<u64>,
}

impl Metrics {
    /// Every metric as text.
    pub(crate) fn text(&self, sight: &Sight) -> String {
        let mut page = Page::default();
        self.show_process(&mut page, sight);
        self.show_sip(&mut page);
        self.show_apps(&mut page, sight);
        self.show_wakes(&mut page, sight);
        self.show_fabric(&mut page);
        page.into_text()
    }

    fn show_process(&self, page: &mut Page, sight: &Sight) {
        page.family("reveille_build_info", Type::Gauge, "The version that runs; always 1.");
        page.sample("reveille_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let help = "Unix time at which the gateway started.";
        page.one("reveille_start_time_seconds", Type::Gauge, help, sight.started_unix_s);
        if let Some(bytes) = sight.resident_bytes {
            let help = "Memory of the process that is in RAM.";
            page.one("reveille_resident_memory_bytes", Type::Gauge, help, bytes);
        }
        let help = "1 while the gateway refuses new work.";
        page.one("reveille_draining", Type::Gauge, help, u8::from(sight.draining));
        let help = "Times the configuration was read anew.";
        self.reloads.show(page, "reveille_reloads_total", help);
        let name = "reveille_certificate_expiry_time_seconds";
        let help = "Unix time at which the certificate of a port, or one of its chain, expires.";
        page.family(name, Type::Gauge, help);
        let ends = self.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (port, end_s) in &ends {
            page.sample(name, &[("port", port)], end_s);
        }
    }

    fn show_sip(&self, page: &mut Page) {
        self.requests.show(page, "reveille_sip_requests_total", "SIP requests.");
        self.responses.show(page, "reveille_sip_responses_total", "SIP responses.");
        let help = "SIP messages that are none.";
        self.malformed.show(page, "reveille_sip_malformed_total", help);
        let help = "SIP requests turned away because the fabric is far behind.";
        self.turned_away.show(page, "reveille_sip_turned_away_total", help);
        let help = "SIP messages that could not be sent.";
        self.unsent.show(page, "reveille_sip_unsent_total", help);
        let help = "SIP connections that stand.";
        page.one("reveille_sip_connections", Type::Gauge, help, self.connections.get());
        let help = "Connections turned away because there are too many.";
        self.refused_connections.show(page, "reveille_connections_refused_total", help);
        let help = "TLS handshakes refused because too many were under way.";
        self.refused_handshakes.show(page, "reveille_handshakes_refused_total", help);
    }

    fn show_apps(&self, page: &mut Page, sight: &Sight) {
        let help = "Applications that can be woken, and whose they are; always 1.";
        page.family("reveille_application_info", Type::Gauge, help);
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (app, tenant) in &tenants {
            page.sample("reveille_application_info", &[("app", app), ("tenant", tenant)], 1);
        }
        let help = "WebSockets of apps that stand.";
        page.one("reveille_websockets", Type::Gauge, help, self.sockets.get());
        self.upgrades.show(page, "reveille_upgrades_total", "WebSockets that were let in.");
        let help = "Upgrades refused, by status of HTTP.";
        self.refused_upgrades.show(page, "reveille_upgrades_refused_total", help);
        let help = "What was refused for a limit of the configuration.";
        self.limits.show(page, "reveille_limit_refusals_total", help);
        self.frames.show(page, "reveille_frames_total", "Text messages of apps and to them.");
        page.family("reveille_sessions", Type::Gauge, "Sessions by state.");
        let mut sessions: BTreeMap<(String, &str), u64> = BTreeMap::new();
        for ((app, state), count) in &sight.sessions {
            *sessions.entry((self.app(app), state.text())).or_default() += count;
        }
        for ((app, state), count) in &sessions {
            page.sample("reveille_sessions", &[("app", app), ("state", state)], count);
        }
        let asleep = sight.sessions.iter().filter(|((_, state), _)| *state == State::Hibernated);
        let asleep: u64 = asleep.map(|(_, count)| count).sum();
        page.one("reveille_sleepers", Type::Gauge, "Sessions that are asleep.", asleep);
        let help = "Calls that no app has decided yet.";
        page.one("reveille_pending_calls", Type::Gauge, help, sight.pending_calls);
    }

    fn show_wakes(&self, page: &mut Page, sight: &Sight) {
        self.wakes.show(page, "reveille_wakes_total", "Wakes begun.");
        self.push_attempts.show(page, "reveille_push_attempts_total", "Pushes by outcome.");
        let help = "Pushes whose payload had no room for the message itself.";
        self.push_left_out.show(page, "reveille_push_messages_left_out_total", help);
        let help = "Time until a push service answers.";
        self.push_seconds.show(page, "reveille_push_duration_seconds", help);
        let help = "Pushes that wait for a place to be sent from.";
        self.push_waiting.show_as(page, Type::Gauge, "reveille_pushes_waiting", help);
        let help = "Pushes in a request to a push service.";
        self.push_batches.show(page, "reveille_push_batch_pushes", help);
        let help = "Ways to push services that are open or half-open: pushes fail at once.";
        page.family("reveille_push_circuits_open", Type::Gauge, help);
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (app, provider) in &ways {
            let is_own = |way: &&Way| way.app == *app && way.provider == provider;
            let open = sight.troubled.iter().filter(is_own).count();
            let labels = [("app", app.as_str()), ("provider", provider)];
            page.sample("reveille_push_circuits_open", &labels, open);
        }
        let help = "Times a way to a push service was opened.";
        self.circuits_opened.show(page, "reveille_push_circuit_openings_total", help);
        let help = "Time from a push that was accepted to the app's return.";
        self.push_to_attach.show(page, "reveille_wake_push_to_attach_seconds", help);
        let help = "Time from the app's return to the start of its call.";
        self.attach_to_start.show(page, "reveille_wake_attach_to_start_seconds", help);
    }

    fn show_fabric(&self, page: &mut Page) {
        let help = "Batches of commits that became durable.";
        page.one("reveille_commit_batches_total", Type::Counter, help, self.commit_batches.get());
        let help = "Commits in a batch.";
        self.commit_sizes.show(page, "reveille_commit_batch_commits", help);
        let help = "Time until a batch is durable.";
        self.commit_seconds.show(page, "reveille_commit_duration_seconds", help);
    }
}
