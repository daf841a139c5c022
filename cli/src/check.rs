//! `reveille check`: whether scenario files are right, all their mistakes at once.

use std::path::PathBuf;

use clap::Args;

use crate::exit::{BAD_FILE, Stop};
use crate::{library, list};

#[derive(Args)]
pub(crate) struct Check {
    /// Scenario files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Exit code 0: every file is right. 1: one is wrong. 2: one cannot be read.
pub(crate) fn run(check: &Check) -> Result<u8, Stop> {
    let mut code = 0;
    for file in &check.files {
        let path = file.display().to_string();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("reveille: cannot read {path}: {error}");
                code = BAD_FILE;
                continue;
            }
        };
        match library::read_text(&path, &text) {
            Ok(scenario) => {
                let (steps, expects) = (scenario.steps.len(), scenario.expects.len());
                list::print(&format!("{path}: right, {steps} steps and {expects} expectations\n"))?;
            }
            Err(report) => {
                list::print(&library::rendered(&report))?;
                code = code.max(1);
            }
        }
    }
    Ok(code)
}
