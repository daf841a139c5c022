//! `reveille check`: whether scenario files, or single messages, are right; all their mistakes at once.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use reveille_scenarios::is_swarm;
use reveille_wire::{Judgement, jsonrtc, sip};

use crate::exit::{BAD_FILE, Stop};
use crate::library;
use crate::screen::print;

pub(crate) const EXAMPLES: &str = "Examples:
  reveille check scenarios/wake/*.toml    scenario files, all mistakes of each in one pass
  reveille check --as sip invite.sip      one SIP message, as one datagram
  reveille check --as jsonrtc start.json  one text message of the protocol to the app

Exit code 0: everything is acceptable. 1: something is wrong. 2: a file cannot be read.";

/// More is read of no file: every kind has a lower bound of its own, which then speaks.
const MOST: u64 = 1 << 20;

/// What a file holds.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Kind {
    /// A scenario
    #[default]
    Scenario,
    /// One SIP message, as one datagram
    Sip,
    /// One JsonRTC text
    Jsonrtc,
}

#[derive(Args)]
pub(crate) struct Check {
    /// What the files hold
    #[arg(long = "as", value_name = "KIND", default_value = "scenario")]
    kind: Kind,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) fn run(check: &Check) -> Result<u8, Stop> {
    let mut code = 0;
    for file in &check.files {
        let judged = read(file).and_then(|bytes| match check.kind {
            Kind::Scenario => scenario(file, bytes),
            Kind::Sip => Ok(message(file, &sip::judge_datagram(&bytes))),
            Kind::Jsonrtc => Ok(message(file, &jsonrtc::judge_text(&bytes))),
        });
        match judged {
            Ok((is_right, text)) => {
                print(&text)?;
                code = code.max(u8::from(!is_right));
            }
            Err(error) => {
                eprintln!("reveille: cannot read {}: {error}", file.display());
                code = BAD_FILE;
            }
        }
    }
    Ok(code)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn scenario(file: &Path, bytes: Vec<u8>) -> io::Result<(bool, String)> {
    let path = file.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let what = format!("the byte at offset {at} is no UTF-8: save it as UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })?;
    if is_swarm(&text) {
        return Ok(match library::read_swarm_text(&path, &text) {
            Ok(swarm) => (true, format!("{path}: right, {} features\n", swarm.features.len())),
            Err(report) => (false, library::rendered(&report)),
        });
    }
    Ok(match library::read_text(&path, &text) {
        Ok(scenario) => {
            let (steps, expects) = (scenario.steps.len(), scenario.expects.len());
            let count = |n, word| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
            let (steps, expects) = (count(steps, "step"), count(expects, "expectation"));
            (true, format!("{path}: right, {steps} and {expects}\n"))
        }
        Err(report) => (false, library::rendered(&report)),
    })
}

fn message(file: &Path, judgement: &Judgement) -> (bool, String) {
    let word = if judgement.is_refused() { "refused" } else { "acceptable" };
    let text = format!("{}: {word}: {judgement}", file.display());
    // Bytes of the file stand in it.
    let shown = text.chars().flat_map(|c| match c {
        '\n' => vec![c],
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    });
    (!judgement.is_refused(), shown.chain(['\n']).collect())
}
