//! `reveille serve`: the gateway and the cast as processes of their own.

use std::fs;
use std::future::Future;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::{Args, ValueEnum};
use reveille_conformance::cast;
use reveille_gateway_driver::{Gateway, config};
use reveille_host::Host;
use reveille_trace::{Manifest, Recorder, SCHEMA, Scribe};
use serde::de::DeserializeOwned;
use tracing_subscriber::EnvFilter;

use crate::example;
use crate::exit::{BROKE, Stop};

pub(crate) const EXAMPLES: &str = "Examples:
  reveille serve gateway --print-config > gateway.toml   every key, with its meaning and default
  reveille serve gateway --config gateway.toml           until SIGINT or SIGTERM
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
    /// A push service that takes webhook requests
    Push,
    /// A phone whose app sleeps
    Phone,
}

#[derive(Args)]
pub(crate) struct Serve {
    /// Who is to run
    who: Who,
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE", required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Print a complete example configuration and end
    #[arg(long)]
    print_config: bool,
    /// Write every event to this file (- for standard output) as it happens, one JSON object a line
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

fn bad_file(text: impl Into<String>) -> Stop {
    Stop::bad_file(text)
}

pub(crate) fn run(serve: &Serve) -> Result<u8, Stop> {
    begin(serve).map(|()| 0)
}

fn begin(serve: &Serve) -> Result<(), Stop> {
    if serve.print_config {
        return print_config(serve.who);
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let path = serve.config.as_deref().ok_or_else(|| bad_file("--config FILE is missing"))?;
    let text = fs::read_to_string(path)
        .map_err(|error| bad_file(format!("cannot read {}: {error}", path.display())))?;
    let recorder = recorder(serve.trace.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop { text: format!("no runtime: {error}"), code: BROKE })?;
    runtime.block_on(async {
        let host = reveille_host::real::host();
        match serve.who {
            Who::Gateway => gateway(host, path, &text, recorder).await,
            Who::Registrar => {
                let settings = settings(path, &text)?;
                let scribe = Scribe::new(recorder, "registrar");
                let (_commands, orders) = tokio::sync::mpsc::channel(1);
                member(cast::registrar::run(host, scribe, settings, orders)).await
            }
            Who::Caller => {
                let settings = settings(path, &text)?;
                let scribe = Scribe::new(recorder, "caller");
                // No command will come: a caller ends when its calls are over.
                let (_, orders) = tokio::sync::mpsc::channel(1);
                member(cast::caller::run(host, scribe, settings, orders)).await
            }
            Who::Push => {
                let settings = settings(path, &text)?;
                let scribe = Scribe::new(recorder, "push");
                let (_commands, orders) = tokio::sync::mpsc::channel(1);
                member(cast::push::run(host, scribe, settings, orders)).await
            }
            Who::Phone => {
                let settings = settings(path, &text)?;
                let scribe = Scribe::new(recorder, "phone");
                let (_commands, orders) = tokio::sync::mpsc::channel(1);
                member(cast::phone::run(host, scribe, settings, orders)).await
            }
        }
    })
}

fn print_config(who: Who) -> Result<(), Stop> {
    let text = match who {
        Who::Gateway => config::print_config(),
        Who::Registrar => example::REGISTRAR,
        Who::Caller => example::CALLER,
        Who::Push => example::PUSH,
        Who::Phone => example::PHONE,
    };
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
        let mut out = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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

fn settings<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Stop> {
    toml::from_str(text).map_err(|error| bad_file(format!("{}: {error}", path.display())))
}

async fn gateway(host: Host, path: &Path, text: &str, recorder: Recorder) -> Result<(), Stop> {
    #[expect(clippy::disallowed_methods, reason = "secrets may come from the environment")]
    let environment = |name: &str| std::env::var(name).ok();
    let secrets =
        config::Secrets { environment: &environment, file: &|name: &str| fs::read_to_string(name) };
    let settings = config::read(&path.display().to_string(), text, &secrets).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        bad_file(lines.join("\nreveille: "))
    })?;
    let running = Gateway::start(host, settings, recorder).await;
    let running = running.map_err(|error| Stop { text: error.to_string(), code: BROKE })?;
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
    let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
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
