//! SIPp, a caller that nobody here wrote, with its built-in scenario.

use std::process::{Command, Stdio};

use crate::bench::{Bench, free_port};

/// What SIPp saw of one call.
pub(crate) struct Seen {
    pub(crate) succeeded: bool,
    /// Statuses of the responses to its INVITE, in order.
    pub(crate) statuses: Vec<u16>,
    pub(crate) screen: String,
}

/// One call: INVITE, wait for the answer, ACK, BYE.
pub(crate) fn call(bench: &Bench, transport: &str) -> Seen {
    let messages = bench.folder.path().join("messages.log");
    drop(std::fs::remove_file(&messages));
    let output = Command::new("sipp")
        .args([
            "-sn",
            "uac",
            "-s",
            "bob",
            "-i",
            "127.0.0.1",
            "-m",
            "1",
            "-nostdin",
            "-t",
            transport,
        ])
        .args(["-p", &free_port().to_string(), "-timeout", "50", "-trace_msg", "-message_file"])
        .arg(&messages)
        .arg(format!("127.0.0.1:{}", bench.sip))
        .current_dir(bench.folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("sipp is installed: scripts/test does that");
    let log = std::fs::read_to_string(&messages).unwrap_or_default();
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    Seen { succeeded: output.status.success(), statuses: invite_statuses(&log), screen }
}

fn invite_statuses(log: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut status: Option<u16> = None;
    for line in log.lines() {
        if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
            status = rest.split(' ').next().and_then(|code| code.parse().ok());
        } else if line.starts_with("CSeq:") && line.trim_end().ends_with("INVITE") {
            statuses.extend(status.take());
        }
    }
    statuses
}
