//! `reveille serve`: the gateway and the cast as processes of their own.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use reveille_conformance::cast;
use reveille_conformance::player::{Fact, Facts};
use reveille_gateway_driver::fabric::SealKey;
use reveille_gateway_driver::{Gateway, Operator, config};
use reveille_host::Host;
use reveille_scenarios::What;
use reveille_trace::{Kind, Manifest, Recorder, SCHEMA, Scribe};
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::example;
use crate::exit::{BROKE, Stop};

pub(crate) const EXAMPLES: &str = "Examples:
  reveille serve gateway --print-config > gateway.toml   every key, with its meaning and default
  reveille serve gateway --config gateway.toml           until SIGINT or SIGTERM; SIGHUP rereads it
  (umask 077; reveille serve gateway --new-key > 2026-11.key)   a key that seals its records
  reveille serve phone --config phone.toml --trace phone.ndjson";

/// Who is to run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Who {
    /// The reference gateway
    Gateway,
    /// A SIP registrar
    Registrar,
    /// A SIP caller
    Caller,
    /// A push service: webhook, APNs, FCM and Web Push
    Push,
    /// A phone whose app sleeps
    Phone,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Who is to run
    who: Who,
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE", required_unless_present_any = ["print_config", "new_key"])]
    config: Option<PathBuf>,
    /// Print a complete example configuration and end
    #[arg(long)]
    print_config: bool,
    /// Print a fresh key for fabric.keys of a gateway and end
    #[arg(long, conflicts_with = "print_config")]
    new_key: bool,
    /// Write every event to this file (-: standard output) as it happens, as lines of JSON
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

fn bad_file(text: impl Into<String>) -> Stop {
    Stop::bad_file(text)
}

/// A caller ends with 1 if a call of its was not answered.
pub(crate) fn run(serve: &Serve) -> Result<u8, Stop> {
    if serve.print_config {
        return print_config(serve.who).map(|()| 0);
    }
    if serve.new_key {
        return print_key(serve.who).map(|()| 0);
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(console::colors_enabled_stderr() && std::io::stderr().is_terminal())
        .init();
    let path = serve.config.as_deref().ok_or_else(|| bad_file("--config FILE is missing"))?;
    let text = fs::read_to_string(path)
        .map_err(|error| bad_file(format!("cannot read {}: {error}", path.display())))?;
    let recorder = recorder(serve.trace.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop { text: format!("no runtime: {error}"), code: BROKE })?;
    let calls = Calls::default();
    if serve.who != Who::Gateway {
        tell(&recorder, &calls);
    }
    runtime.block_on(async {
        let host = reveille_host::real::host();
        // No command will come. The callers' line is closed, so that they end with their calls.
        let (_kept, registrar) = tokio::sync::mpsc::channel(1);
        let (_also, push) = tokio::sync::mpsc::channel(1);
        let (_too, phone) = tokio::sync::mpsc::channel(1);
        let (_, caller) = tokio::sync::mpsc::channel(1);
        let scribe = |name| Scribe::new(recorder.clone(), name);
        match serve.who {
            Who::Gateway => gateway(host, path, &text, recorder).await,
            Who::Registrar => {
                let settings = settings(path, &text)?;
                member(cast::registrar::run(host, scribe("registrar"), settings, registrar)).await
            }
            Who::Caller => {
                let settings: cast::caller::Settings = settings(path, &text)?;
                calls.expect(settings.calls.iter().map(|call| call.mark.clone()));
                member(cast::caller::run(host, scribe("caller"), settings, caller)).await
            }
            Who::Push => {
                let settings = settings(path, &text)?;
                member(cast::push::run(host, scribe("push"), settings, push)).await
            }
            Who::Phone => {
                let settings = settings(path, &text)?;
                member(cast::phone::run(host, scribe("phone"), settings, phone)).await
            }
        }
    })?;
    Ok(calls.code())
}

/// The final response of each call that a caller placed; 0 before it comes.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<String, u16>>>);

impl Calls {
    fn note(&self, fact: &Fact) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fact.what == What::Received && fact.number >= 200 {
            calls.insert(fact.about.clone(), fact.number);
        }
    }

    /// Calls that are to be placed, whether or not an INVITE ever leaves.
    fn expect(&self, marks: impl Iterator<Item = String>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.extend(marks.map(|mark| (mark, 0)));
    }

    /// 1 if a call was not answered.
    fn code(&self) -> u8 {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u8::from(calls.values().any(|status| !(200..300).contains(status)))
    }
}

/// Says on standard error what a member of the cast sees, in the words of scenarios.
fn tell(recorder: &Recorder, calls: &Calls) {
    let calls = calls.clone();
    let facts = Mutex::new(Facts::default());
    recorder.listen(move |event| {
        let fact = facts.lock().unwrap_or_else(PoisonError::into_inner).read(event);
        let at = Duration::from_micros(event.t_us).as_secs_f64();
        if let Some(fact) = fact {
            calls.note(&fact);
            eprintln!("{at:>10.3}  {}", fact.sight());
        } else if let (Kind::WsRefused | Kind::Note, Some(what)) =
            (event.kind, event.text("what").or_else(|| event.text("text")))
        {
            let status = event.int("status").map(|status| format!("upgrade answered {status}: "));
            eprintln!("{at:>10.3}  {}{what}", status.unwrap_or_default());
        }
    });
}

fn print_config(who: Who) -> Result<(), Stop> {
    let text = match who {
        Who::Gateway => config::print_config(),
        Who::Registrar => example::REGISTRAR,
        Who::Caller => example::CALLER,
        Who::Push => example::PUSH,
        Who::Phone => example::PHONE,
    };
    print(text)
}

fn print_key(who: Who) -> Result<(), Stop> {
    if who != Who::Gateway {
        return Err(bad_file("--new-key is for `serve gateway`: nobody else keeps records"));
    }
    let key = SealKey::draw(&*reveille_host::real::host().entropy);
    print(&format!("{key}\n"))
}

fn print(text: &str) -> Result<(), Stop> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .map_err(|error| Stop { text: format!("cannot print: {error}"), code: BROKE })
}

/// Tells its listeners, one of which may be a file.
fn recorder(path: Option<&Path>) -> Result<Recorder, Stop> {
    let recorder = Recorder::passing();
    let Some(path) = path else { return Ok(recorder) };
    let file: Box<dyn Write + Send> = if path == Path::new("-") {
        Box::new(std::io::stdout())
    } else {
        let file = fs::File::create(path);
        Box::new(file.map_err(|e| bad_file(format!("cannot write {}: {e}", path.display())))?)
    };
    let manifest = Manifest {
        schema: SCHEMA,
        reveille: env!("CARGO_PKG_VERSION").to_owned(),
        scenario: "serve".to_owned(),
        world: "socket".to_owned(),
        ..Manifest::default()
    };
    let out = Mutex::new(BufWriter::new(file));
    let write = move |line: &[u8]| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        // A trace that cannot be written must not stop the server; the reader sees that it ends.
        let _lost =
            out.write_all(line).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    };
    let head = serde_json::to_vec(&manifest).expect("a manifest is plain data with text keys");
    write(&head);
    recorder.listen(move |event| {
        write(&serde_json::to_vec(event).expect("an event is plain data with text keys"));
    });
    Ok(recorder)
}

/// The settings of a member of the cast, which then runs.
fn settings<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Stop> {
    let settings =
        toml::from_str(text).map_err(|error| bad_file(format!("{}: {error}", path.display())))?;
    eprintln!("reveille: running as {} says; SIGINT or SIGTERM ends it", path.display());
    Ok(settings)
}

fn gateway_settings(path: &Path, text: &str) -> Result<config::Settings, Vec<config::ConfigError>> {
    #[expect(clippy::disallowed_methods, reason = "secrets may come from the environment")]
    let environment = |name: &str| std::env::var(name).ok();
    let secrets =
        config::Secrets { environment: &environment, file: &|name: &str| fs::read_to_string(name) };
    config::read(&path.display().to_string(), text, &secrets)
}

fn read_anew(path: &Path) -> Result<config::Settings, Vec<config::ConfigError>> {
    let text = fs::read_to_string(path).map_err(|error| {
        let (file, key) = (path.display().to_string(), String::new());
        let what = format!("cannot read it: {error}; put it where the gateway was started from");
        vec![config::ConfigError { file, line: 1, key, what }]
    })?;
    gateway_settings(path, &text)
}

/// Reads the configuration anew at each SIGHUP; the log says what came of it.
async fn reload_at(mut hangup: Signal, operator: Operator) {
    while hangup.recv().await.is_some() {
        // Refused or not, the gateway has said so, and goes on.
        let _taken: bool = operator.reload().await.is_ok();
    }
}

async fn gateway(host: Host, path: &Path, text: &str, recorder: Recorder) -> Result<(), Stop> {
    let mut settings = gateway_settings(path, text).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        bad_file(lines.join("\nreveille: "))
    })?;
    let kept = path.to_owned();
    settings.source = Some(config::Source::new(move || read_anew(&kept)));
    // From here on a SIGHUP does not end the process.
    let hangup = signal(SignalKind::hangup())
        .map_err(|error| Stop { text: format!("no signals: {error}"), code: BROKE })?;
    let running = Gateway::start(host.clone(), settings, recorder).await;
    let running = running.map_err(|error| Stop { text: error.to_string(), code: BROKE })?;
    host.tasks.spawn("reload", Box::pin(reload_at(hangup, running.operator())));
    let stopper = running.stopper();
    let mut stopped = std::pin::pin!(running.stopped());
    let mut signal = std::pin::pin!(asked_to_stop());
    let mut told = false;
    let how = std::future::poll_fn(|context| {
        if !told && signal.as_mut().poll(context).is_ready() {
            told = true;
            stopper.stop();
        }
        stopped.as_mut().poll(context)
    })
    .await;
    how.map_err(|text| Stop { text, code: BROKE })
}

/// A member of the cast, until it ends or is told to.
async fn member(work: impl Future<Output = Result<(), String>>) -> Result<(), Stop> {
    let (mut work, mut signal) = (std::pin::pin!(work), std::pin::pin!(asked_to_stop()));
    let how = std::future::poll_fn(|context| {
        if let std::task::Poll::Ready(how) = work.as_mut().poll(context) {
            return std::task::Poll::Ready(how);
        }
        signal.as_mut().poll(context).map(Ok)
    })
    .await;
    how.map_err(|text| Stop { text, code: BROKE })
}

/// SIGINT or SIGTERM.
async fn asked_to_stop() {
    let term = signal(SignalKind::terminate());
    let (mut term, mut int) = match term {
        Ok(term) => (term, std::pin::pin!(tokio::signal::ctrl_c())),
        Err(_) => return std::future::pending().await,
    };
    std::future::poll_fn(|context| {
        if term.poll_recv(context).is_ready() || int.as_mut().poll(context).is_ready() {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}
