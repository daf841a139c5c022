//! From the file as written to settings that hold together.

use reveille_gateway_core::config::{self as core, Secret, SipTimers};
use reveille_gateway_core::headers::fault;
use reveille_gateway_core::io::{Flow, Transport};

use super::file::{self, File, HoldCode, Span};
use super::{
    ConfigError, Secrets, Settings, bearer, domain, fabric, ice, place, provider, secure, template,
};
use crate::pace::Pace;
use crate::push::{self, CircuitRule, PROVIDERS, PushSettings};

/// Gathers errors with their places.
pub(super) struct Review<'a> {
    file: &'a str,
    text: &'a str,
    errors: Vec<ConfigError>,
}

impl Review<'_> {
    pub(super) fn fault(&mut self, section: &str, nth: usize, key: &str, what: impl Into<String>) {
        let line = place::of_key(self.text, section, nth, key);
        let (file, key) = (self.file.to_owned(), format!("{section}.{key}"));
        self.errors.push(ConfigError { file, line, key, what: what.into() });
    }

    /// A time that must lie in a range.
    pub(super) fn within(
        &mut self,
        section: &str,
        key: &str,
        value: Span,
        least_ms: u64,
        most_ms: u64,
    ) {
        if !(least_ms..=most_ms).contains(&value.0) {
            let (found, least, most) = (shown(value.0), shown(least_ms), shown(most_ms));
            let what = format!("{found} is out of range; write \"{least}\" to \"{most}\"");
            self.fault(section, 0, key, what);
        }
    }

    fn count(&mut self, section: &str, key: &str, value: usize, most: usize) {
        if !(1..=most).contains(&value) {
            let what = format!("{value} is out of range; write 1 to {most}");
            self.fault(section, 0, key, what);
        }
    }

    /// An `address:port`, or nothing.
    fn address(&mut self, section: &str, key: &str, value: &str) -> Vec<String> {
        if value.is_empty() {
            return Vec::new();
        }
        if value.parse::<std::net::SocketAddr>().is_err() {
            let what = format!(
                "`{value}` is no address:port; write one like \"0.0.0.0:5060\", or \"\" for none"
            );
            self.fault(section, 0, key, what);
        }
        vec![value.to_owned()]
    }

    /// A `host:port`.
    pub(super) fn host_port(&mut self, section: &str, key: &str, value: &str) {
        let sound = value.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !sound {
            let what =
                format!("`{value}` is no host:port; write one like \"sip.example.com:5060\"");
            self.fault(section, 0, key, what);
        }
    }
}

fn shown(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{}s", ms / 1_000) } else { format!("{ms}ms") }
}

/// Builds the settings, or says everything that is wrong.
pub(super) fn settings(
    name: &str,
    text: &str,
    file: &File,
    secrets: &Secrets<'_>,
) -> Result<Settings, Vec<ConfigError>> {
    let mut review = Review { file: name, text, errors: Vec::new() };
    let core = core_config(&mut review, file, secrets);
    let web = &file.websocket;
    review.count("websocket", "most-sockets", web.most_sockets, 1_000_000);
    review.count("websocket", "most-sockets-per-ip", web.most_sockets_per_ip, 1_000_000);
    let (per_ip, per_user) = (web.connects_per_second_per_ip, web.connects_per_second_per_user);
    review.count("websocket", "connects-per-second-per-ip", per_ip, 1_000_000);
    review.count("websocket", "connects-per-second-per-user", per_user, 1_000_000);
    if !crate::http::is_app(&web.default_app) {
        let what = "no application; write 1 to 64 letters, digits and -_., like \"phone\"";
        review.fault("websocket", 0, "default-app", what);
    }
    let is_origin = |origin: &&String| {
        origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'))
    };
    for (section, origins) in [("websocket", &web.origins), ("sip", &file.sip.origins)] {
        if let Some(odd) = origins.iter().find(|origin| !is_origin(origin)) {
            let what = format!("`{odd}` is no origin; write one like \"https://app.example.com\"");
            review.fault(section, 0, "origins", what);
        }
    }
    let (secure, faults) = secure::settings(file, secrets);
    for (section, key, what) in faults {
        review.fault(section, 0, key, what);
    }
    let domain = file.registrar.as_ref().and_then(domain::of);
    let dns_server = dns_server(&mut review, file, secrets);
    let settings = Settings {
        udp: review.address("sip", "udp", &file.sip.udp),
        tcp: review.address("sip", "tcp", &file.sip.tcp),
        tls: review.address("sip", "tls", &file.sip.tls),
        sip_ws: review.address("sip", "ws", &file.sip.ws),
        sip_wss: review.address("sip", "wss", &file.sip.wss),
        sip_origins: file.sip.origins.clone(),
        registrar_domain: domain,
        resolve: None,
        dns_server,
        secure,
        websocket: review.address("websocket", "listen", &web.listen).pop(),
        default_app: web.default_app.clone(),
        origins: web.origins.clone(),
        most_sockets: web.most_sockets,
        most_sockets_per_ip: web.most_sockets_per_ip,
        pace: Pace { per_ip, per_user },
        fabric: fabric::settings(&mut review, file, secrets),
        push: push(&mut review, file, secrets),
        admin: file.admin.as_ref().and_then(|it| super::admin::settings(&mut review, it, secrets)),
        source: None,
        #[cfg(feature = "mutants")]
        whims: reveille_gateway_core::whim::Whims::default(),
        bearer: file.bearer.as_ref().and_then(|it| bearer::settings(&mut review, it, secrets)),
        core,
    };
    let mut errors = review.errors;
    errors.sort_by_key(|error| error.line);
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

fn core_config(review: &mut Review<'_>, file: &File, secrets: &Secrets<'_>) -> core::Config {
    let (call, session, web) = (&file.call, &file.session, &file.websocket);
    review.host_port("node", "advertised", &file.node.advertised);
    if let Some(place) = &file.node.advertised_tls {
        review.host_port("node", "advertised-tls", place);
    }
    if file.node.name.is_empty() {
        review.fault("node", 0, "name", "a node needs a name; write one like \"node-1\"");
    }
    if let Some(odd) = file.node.domains.iter().find(|domain| !is_host(domain)) {
        let what = format!("`{odd}` is no domain; write one like \"example.com\"");
        review.fault("node", 0, "domains", what);
    }
    if file.node.domains.is_empty() {
        review.fault("node", 0, "domains", "nobody can be called; write [\"example.com\"]");
    }
    check_times(review, file);
    review.count("message", "most-stored", file.message.most_stored, 10_000);
    review.count("message", "most-bytes", file.message.most_bytes, 8_192);
    let frames = usize::try_from(session.acknowledge_frames).unwrap_or(usize::MAX);
    review.count("session", "acknowledge-frames", frames, 1_000);
    review.count("call", "most-pending", call.most_pending, 10_000);
    review.count("session", "most-sessions", session.most_sessions, 10_000_000);
    core::Config {
        node: file.node.name.clone(),
        domains: file.node.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
        users: users(review, file, secrets),
        advertised_by: secure::advertised(file),
        registrar_others: fallbacks(review, file),
        stun: file.registrar.as_ref().is_some_and(|registrar| registrar.stun),
        registrar: file.registrar.as_ref().map(|it| registrar(review, it)),
        wake_budget_ms: call.wake_budget.0,
        hold_code: hold_code(review, call),
        provisional_every_ms: call.provisional_every.0,
        ring_deadline_ms: call.ring_deadline.0,
        no_answer_ms: call.no_answer.0,
        complete_ms: call.complete_wait.0,
        update_ms: call.update_wait.0,
        refer: call.refer,
        notify_wakes: file.message.notify_wakes,
        session_timer_s: u32::try_from(call.session_timer.seconds()).unwrap_or(u32::MAX),
        start_silence_ms: call.start_silence.0,
        grace_ms: session.grace.0,
        idle_limit_ms: (web.idle_limit.0, web.busy_limit.0),
        close_wait_ms: web.close_wait.0,
        ttl_s: (
            session.ttl_default.seconds(),
            session.ttl_min.seconds(),
            session.ttl_max.seconds(),
        ),
        push_attempts_ms: file.push.attempts.iter().map(|at| at.0).collect(),
        acknowledge_after: (session.acknowledge_frames, session.acknowledge_after.0),
        most_sessions: session.most_sessions,
        most_pending: call.most_pending,
        message_wait_ms: file.message.wait.0,
        most_messages: file.message.most_stored,
        most_message_bytes: file.message.most_bytes,
        timers: SipTimers { t1_ms: file.sip.t1.0, t2_ms: file.sip.t2.0, t4_ms: file.sip.t4.0 },
        sleep_without_token: session.sleep_without_token,
        ask_sleep_after_ms: session.ask_sleep_after.0,
        late_offer: call.late_offer,
        push_on_loss: push_on_loss(review, &session.push_on_disconnect),
        ice: ice::servers(review, &file.ice, secrets),
        headers: headers(review, &file.header),
        tenancy: super::tenancy::tenancy(review, file),
        ..core::Config::new("", &file.node.advertised)
    }
}

fn headers(review: &mut Review<'_>, rules: &[file::Header]) -> Vec<core::HeaderRule> {
    let mut read = Vec::new();
    for (nth, rule) in rules.iter().enumerate() {
        let (to_sip, to_app) = match rule.direction.as_str() {
            "both" => (true, true),
            "to-sip" => (true, false),
            "to-app" => (false, true),
            odd => {
                let what = format!("`{odd}` is no direction; write both, to-sip or to-app");
                review.fault("header", nth, "direction", what);
                continue;
            }
        };
        let (app, member, header) = (rule.app.clone(), rule.member.clone(), rule.sip.clone());
        let rule = core::HeaderRule { app, member, header, to_sip, to_app };
        if let Some(what) = fault(&rule) {
            review.fault("header", nth, "sip", what);
        }
        read.push(rule);
    }
    read
}

fn is_host(host: &str) -> bool {
    let sound =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ']' | ':');
    !host.is_empty() && host.chars().all(sound)
}

fn check_times(review: &mut Review<'_>, file: &File) {
    const DAY: u64 = 86_400_000;
    let (call, session, web, sip) = (&file.call, &file.session, &file.websocket, &file.sip);
    review.within("call", "wake-budget", call.wake_budget, 5_000, 150_000);
    review.within("call", "provisional-every", call.provisional_every, 1_000, 60_000);
    review.within("call", "ring-deadline", call.ring_deadline, 5_000, 600_000);
    review.within("call", "no-answer", call.no_answer, 180_001, 3_600_000);
    review.within("call", "complete-wait", call.complete_wait, 1_000, 30_000);
    review.within("call", "update-wait", call.update_wait, 1_000, 20_000);
    review.within("call", "session-timer", call.session_timer, 90_000, DAY);
    review.within("call", "start-silence", call.start_silence, 500, 60_000);
    review.within("message", "wait", file.message.wait, 0, 20_000);
    review.within("session", "grace", session.grace, 0, 3_600_000);
    review.within("session", "ttl-min", session.ttl_min, 1_000, 30 * DAY);
    review.within("session", "ttl-max", session.ttl_max, session.ttl_min.0, 365 * DAY);
    if session.ttl_min <= session.ttl_max {
        let (least, most) = (session.ttl_min.0, session.ttl_max.0);
        review.within("session", "ttl-default", session.ttl_default, least, most);
    }
    if session.ask_sleep_after.0 > 0 {
        review.within("session", "ask-sleep-after", session.ask_sleep_after, 1_000, DAY);
    }
    review.within("session", "acknowledge-after", session.acknowledge_after, 10, 60_000);
    review.within("websocket", "idle-limit", web.idle_limit, 10_000, 3_600_000);
    review.within("websocket", "busy-limit", web.busy_limit, 3_000, 3_600_000);
    review.within("websocket", "close-wait", web.close_wait, 100, 60_000);
    review.within("sip", "t1", sip.t1, 10, 10_000);
    review.within("sip", "t2", sip.t2, sip.t1.0, 60_000);
    review.within("sip", "t4", sip.t4, 10, 60_000);
    let attempts = &file.push.attempts;
    let ascend = attempts.windows(2).all(|pair| pair[0] <= pair[1]);
    if attempts.is_empty() || attempts.len() > 16 || !ascend {
        let what = "attempts must be 1 to 16 ascending times; write [\"0s\", \"1s\", \"3s\"]";
        review.fault("push", 0, "attempts", what);
    }
}

fn hold_code(review: &mut Review<'_>, call: &file::Call) -> Option<u16> {
    match &call.hold_code {
        HoldCode::Code(code @ (182 | 183)) => return Some(*code),
        HoldCode::Word(word) if word == "none" && call.wake_budget.0 <= 60_000 => {}
        HoldCode::Word(word) if word == "none" => {
            let what = "\"none\" needs a wake-budget of at most 60s, or a proxy on the way gives up; \
                write 183, or a shorter budget";
            review.fault("call", 0, "hold-code", what);
        }
        HoldCode::Code(_) | HoldCode::Word(_) => {
            review.fault("call", 0, "hold-code", "no such hold code; write 183, 182 or \"none\"");
        }
    }
    None
}

fn push_on_loss(review: &mut Review<'_>, word: &str) -> core::PushOnLoss {
    match word {
        "native" => core::PushOnLoss::Native,
        "all" => core::PushOnLoss::All,
        "none" => core::PushOnLoss::Nobody,
        odd => {
            let what = format!("`{odd}` is nobody; write \"native\", \"all\" or \"none\"");
            review.fault("session", 0, "push-on-disconnect", what);
            core::PushOnLoss::Native
        }
    }
}

fn registrar(review: &mut Review<'_>, written: &file::Registrar) -> core::Registrar {
    let by_sips = written.uri.starts_with("sips:");
    if !written.uri.starts_with("sip:") && !by_sips {
        review.fault("registrar", 0, "uri", "no sip: URI; write one like \"sip:example.com\"");
    }
    if by_sips && transport_word(written) != "tls" {
        let what = "sips: goes by TLS only (RFC 3261 26.2.2); write transport = \"tls\"";
        review.fault("registrar", 0, "uri", what);
    }
    let is_domain = domain::is_domain(&written.address);
    if !is_domain {
        review.host_port("registrar", "address", &written.address);
    }
    if is_domain && !written.fallbacks.is_empty() {
        let what = "a domain has its own fallbacks by SRV; write a port behind the host in address";
        review.fault("registrar", 0, "fallbacks", what);
    }
    review.within("registrar", "expires", written.expires, 60_000, 604_800_000);
    let transport = transport_of(transport_word(written)).unwrap_or_else(|| {
        let what = "no such transport; write \"udp\", \"tcp\" or \"tls\"";
        review.fault("registrar", 0, "transport", what);
        Transport::Udp
    });
    // A domain goes by this until DNS has answered.
    let port = if is_domain { format!(":{}", transport.default_port()) } else { String::new() };
    let (local, peer) = (String::new(), format!("{}{port}", written.address));
    core::Registrar {
        uri: written.uri.clone(),
        flow: Flow { transport, local, peer, connection: None },
        expires_s: u32::try_from(written.expires.seconds()).unwrap_or(u32::MAX),
    }
}

/// The DNS server, if a domain or the operator needs one.
fn dns_server(
    review: &mut Review<'_>,
    file: &File,
    secrets: &Secrets<'_>,
) -> Option<std::net::SocketAddr> {
    let written = file.registrar.as_ref()?;
    if written.resolver.is_none() && !domain::is_domain(&written.address) {
        return None;
    }
    let server = domain::server(written, secrets);
    server.map_err(|(key, what)| review.fault("registrar", 0, key, what)).ok()
}

/// The other ways to the registrar, by the transport of the first.
fn fallbacks(review: &mut Review<'_>, file: &File) -> Vec<Flow> {
    let Some(written) = &file.registrar else { return Vec::new() };
    if written.fallbacks.len() > 16 {
        review.fault("registrar", 0, "fallbacks", "more than 16 fallbacks; write fewer");
    }
    for address in &written.fallbacks {
        review.host_port("registrar", "fallbacks", address);
    }
    let transport = transport_of(transport_word(written)).unwrap_or(Transport::Udp);
    let flow = |peer: &String| {
        let (local, peer) = (String::new(), peer.clone());
        Flow { transport, local, peer, connection: None }
    };
    written.fallbacks.iter().map(flow).collect()
}

/// The transport before DNS has said more: sips: has no other.
fn transport_word(written: &file::Registrar) -> &str {
    let usual = if written.uri.starts_with("sips:") { "tls" } else { "udp" };
    let is_open = domain::is_domain(&written.address);
    written.transport.as_deref().unwrap_or(if is_open { usual } else { "udp" })
}

pub(super) fn transport_of(word: &str) -> Option<Transport> {
    match word {
        "tls" => Some(Transport::Tls),
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        _ => None,
    }
}

fn users(review: &mut Review<'_>, file: &File, secrets: &Secrets<'_>) -> core::Users {
    let mut users = core::Users::default();
    // Domains that are complained of themselves say nothing about users.
    let domains_hold = file.node.domains.iter().all(|domain| is_host(domain));
    let is_ours = |domain: &str| file.node.domains.iter().any(|it| it.eq_ignore_ascii_case(domain));
    for (nth, user) in file.user.iter().enumerate() {
        let Some((name, domain)) =
            user.aor.split_once('@').filter(|(n, d)| !n.is_empty() && !d.is_empty())
        else {
            review.fault("user", nth, "aor", "no address of record; write \"user@domain\"");
            continue;
        };
        if domains_hold && !is_ours(domain) {
            let what = format!(
                "nobody can call this user: `{domain}` is not among node.domains; write it there"
            );
            review.fault("user", nth, "aor", what);
        }
        if user.username.is_empty() || user.username.contains(':') {
            review.fault(
                "user",
                nth,
                "username",
                "a username has at least one character and no colon",
            );
        }
        if users.named(&user.username).is_some() {
            review.fault("user", nth, "username", "this username stands twice; write each once");
        }
        let ways = [&user.secret, &user.secret_env, &user.secret_file];
        let secret = match secret_of(ways, secrets) {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                let what = "a user needs a secret; write one of secret-file, secret-env, secret";
                review.fault("user", nth, "secret", what);
                continue;
            }
            Err((which, what)) => {
                review.fault("user", nth, which.map_or("secret", |key| key), what);
                continue;
            }
        };
        let aor = format!("{name}@{}", domain.to_ascii_lowercase());
        users.push(core::User { aor, username: user.username.clone(), secret });
    }
    users
}

/// A secret by one of three ways: value, environment, file. An empty one is none.
pub(super) fn secret_of(
    ways: [&Option<String>; 3],
    secrets: &Secrets<'_>,
) -> Result<Option<Secret>, (Option<&'static str>, String)> {
    let [_, env, file] = ways;
    let secret = read_secret(ways, secrets)?;
    if secret.as_ref().is_some_and(|secret| secret.0.is_empty()) {
        let key = env.as_ref().map(|_| "secret-env").or(file.as_ref().map(|_| "secret-file"));
        return Err((key, "the secret is empty; write at least one character".to_owned()));
    }
    Ok(secret)
}

pub(super) fn read_secret(
    [value, env, file]: [&Option<String>; 3],
    secrets: &Secrets<'_>,
) -> Result<Option<Secret>, (Option<&'static str>, String)> {
    match (value, env, file) {
        (None, None, None) => Ok(None),
        (Some(value), None, None) => Ok(Some(Secret(value.clone()))),
        (None, Some(name), None) => match (secrets.environment)(name) {
            Some(value) => Ok(Some(Secret(value))),
            None => {
                let what = format!("the environment variable `{name}` is not set; set it");
                Err((Some("secret-env"), what))
            }
        },
        (None, None, Some(path)) => match (secrets.file)(path) {
            Ok(text) => Ok(Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))),
            Err(error) => {
                let what = format!("`{path}`: {error}; write the path of a readable file");
                Err((Some("secret-file"), what))
            }
        },
        _ => Err((None, "the secret is given by more than one way; write one of them".to_owned())),
    }
}

fn push(review: &mut Review<'_>, file: &File, secrets: &Secrets<'_>) -> PushSettings {
    let written = &file.push;
    review.within("push", "connect-limit", written.connect_limit, 100, 60_000);
    review.within("push", "request-limit", written.request_limit, 100, 60_000);
    if !(2..=10_000).contains(&written.most_in_flight) {
        let what = "out of range; write 2 to 10000: one at least is kept for calls";
        let what = format!("{} is {what}", written.most_in_flight);
        review.fault("push", 0, "most-in-flight", what);
    }
    if written.circuit_failures > 1_000 {
        let what = format!("{} is out of range; write 0 to 1000", written.circuit_failures);
        review.fault("push", 0, "circuit-failures", what);
    }
    review.within("push", "circuit-open", written.circuit_open, 100, 60_000);
    let applications = file.application.iter().enumerate();
    let mut tables = 0;
    PushSettings {
        connect_limit: std::time::Duration::from_millis(written.connect_limit.0),
        request_limit: std::time::Duration::from_millis(written.request_limit.0),
        most_in_flight: written.most_in_flight.clamp(2, 10_000),
        circuit: CircuitRule {
            failures: written.circuit_failures,
            open: std::time::Duration::from_millis(written.circuit_open.0),
        },
        applications: applications
            .map(|(nth, app)| {
                let mut read = application(review, nth, app, secrets);
                template::fill(review, &mut tables, &mut read, app);
                read
            })
            .collect(),
    }
}

fn application(
    review: &mut Review<'_>,
    nth: usize,
    written: &file::Application,
    secrets: &Secrets<'_>,
) -> push::Application {
    const SECTION: &str = "application";
    if !PROVIDERS.iter().any(|(name, _)| *name == written.provider) {
        let names: Vec<_> = PROVIDERS.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let what =
            format!("no provider `{}`; write one of: {}", written.provider, names.join(", "));
        review.fault(SECTION, nth, "provider", what);
    }
    if !crate::http::is_app(&written.app) {
        let what = "no application; write 1 to 64 letters, digits and -_., like \"phone\"";
        review.fault(SECTION, nth, "app", what);
    }
    let ways = [&written.credential, &written.credential_env, &written.credential_file];
    let credential = secret_of(ways, secrets).unwrap_or_else(|(which, what)| {
        let key = match which {
            Some("secret-env") => "credential-env",
            Some("secret-file") => "credential-file",
            _ => "credential",
        };
        review.fault(SECTION, nth, key, what);
        None
    });
    let mut application = push::Application {
        app: written.app.clone(),
        provider: written.provider.clone(),
        id: written.id.clone(),
        url: written.url.clone(),
        credential,
        ..push::Application::default()
    };
    for (key, what) in provider::fill(&mut application, written, secrets) {
        review.fault(SECTION, nth, key, what);
    }
    application
}
