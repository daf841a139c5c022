//! The `reveille` command: arguments in, exit code out. What it does is done elsewhere.
//!
//! **Invariant:** nothing is decided here but which room is asked, and every way out of the process
//! is a code of the published table.

mod example;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Does a call reach a phone that sleeps?
#[derive(Parser)]
#[command(name = "reveille", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the gateway, or a member of the cast, for real, over sockets
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Serve(serve) => serve::run(&serve),
    }
}
