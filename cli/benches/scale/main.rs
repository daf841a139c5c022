//! What one node carries: wakes per second of one core over real loopback sockets, and the memory of
//! its sleepers. The gateway is the binary of this workspace, a process of its own with a durable fabric;
//! callers, push service and phones are this process.
//!
//! `cargo bench -p reveille-cli --bench scale --profile dist -- [wakes|sleepers|hostile] [--phones N] [--seconds N] [--rate N]`

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time and runs real tasks")]
#![expect(clippy::disallowed_types, reason = "a bench measures real time")]

mod caller;
mod figures;
mod gateway;
mod hostile;
mod phone;
mod push;
mod registrar;
mod sleepers;
mod wakes;

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    what: String,
    phones: Option<usize>,
    seconds: u64,
    in_flight: usize,
    rate: Option<u64>,
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options =
            Self { what: "all".to_owned(), phones: None, seconds: 10, in_flight: 64, rate: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut number = |name: &str| {
                let value = args.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{name} needs a number"))
            };
            let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            match arg.as_str() {
                // Added by cargo.
                "--bench" => {}
                "wakes" | "sleepers" | "hostile" => options.what = arg,
                "--phones" => options.phones = Some(size(number("--phones")?)),
                "--seconds" => options.seconds = number("--seconds")?,
                "--in-flight" => options.in_flight = size(number("--in-flight")?),
                "--rate" => options.rate = Some(number("--rate")?),
                other => {
                    return Err(format!(
                        "`{other}`? write wakes, sleepers or hostile, --phones N, --seconds N, --in-flight N, \
                         --rate N"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn main() {
    let options = match Options::read() {
        Ok(options) => options,
        Err(what) => {
            println!("{what}");
            std::process::exit(2);
        }
    };
    gateway::pin(std::process::id(), gateway::LOAD_CORE);
    figures::conditions();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if options.what == "hostile" {
        tokio::task::LocalSet::new().block_on(&runtime, hostile::run());
        return;
    }
    if options.what != "sleepers" {
        runtime.block_on(wakes::run(&options));
    }
    if options.what != "wakes" {
        tokio::task::LocalSet::new().block_on(&runtime, sleepers::run(&options));
    }
}
