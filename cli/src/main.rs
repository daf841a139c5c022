//! The `reveille` command: arguments in, exit code out. What it does is done elsewhere.
//!
//! **Invariant:** nothing is decided here but which room is asked, and every way out of the process
//! is a code of the published table.

mod check;
mod diverge;
mod example;
mod exit;
mod explain;
mod library;
mod list;
mod merge;
mod record;
mod replay;
mod retold;
mod run;
mod screen;
mod serve;
mod shrink;
mod token;

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
    /// Play scenarios against the gateway in a simulated network, and judge what happens
    #[command(after_help = run::EXAMPLES)]
    Run(run::Run),
    /// Play one case again, by the token that a report gives
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::Replay),
    /// Join the folders of `reveille run --shard` to what one run would have written
    #[command(after_help = merge::EXAMPLES)]
    Merge(merge::Merge),
    /// Make a failing case small, and write it as a scenario file
    #[command(after_help = shrink::EXAMPLES)]
    Shrink(shrink::Shrink),
    /// Say what is wrong with scenario files or single messages, everything at once
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// List the scenarios, or the requirements
    List(list::List),
    /// Say what a requirement, a scenario, an error code, a verdict or an exit code is
    Explain(explain::Explain),
    /// Run the gateway, or a member of the cast, for real, over sockets
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    exit::way_out(match Arguments::parse().verb {
        Verb::Run(run) => run::run(&run),
        Verb::Replay(replay) => replay::run(&replay),
        Verb::Merge(merge) => merge::run(&merge),
        Verb::Shrink(wanted) => shrink::run(&wanted),
        Verb::Check(check) => check::run(&check),
        Verb::List(list) => list::run(&list),
        Verb::Explain(explain) => explain::run(&explain),
        Verb::Serve(serve) => serve::run(&serve),
    })
}
