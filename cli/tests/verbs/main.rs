//! The verbs as a stranger types them: what is printed, what is written, and the exit code.

mod judge;
mod play;
mod replay;
mod serve;
mod shards;
mod shrink;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What came of a command.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `reveille` in `folder`.
pub(crate) fn reveille(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

pub(crate) fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("the folder takes a file");
    path
}

/// A scenario of the user's own, with one line of steps and one expectation more.
pub(crate) fn scenario(step: &str, expect: &str) -> String {
    format!(
        r#"schema = 1
title = "A scenario of the user's own"

[actors]
alice = {{ kind = "sip-ua" }}
bob = {{ kind = "phone" }}

[script]
steps = [
  {step}
  {{ sleep = "bob" }},
  {{ when = "bob.state(hibernated)", call = "c1", from = "alice", to = "bob", hang-up-after = "1s" }},
]
expect = [
  {expect}
]
"#
    )
}
