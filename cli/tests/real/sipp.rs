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

/// What SIPp counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) successful: u64,
    pub(crate) failed: u64,
}

/// So many calls of a scenario in `storms/`, at most so many a second; gives SIPp's own statistics.
pub(crate) fn storm(bench: &Bench, transport: &str, name: &str, calls: u32, rate: u32) -> Count {
    let scenario = format!("{}/tests/real/storms/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    play(bench, transport, &scenario, calls, rate)
}

/// One call that is cancelled once these steps have come after its 100.
pub(crate) fn cancel(bench: &Bench, transport: &str, until: &[&str]) -> Count {
    // A branch is named by how many messages of the scenario lie between.
    let (cancel, ack) = (until.len() + 2, until.len() + 7);
    let text = include_str!("storms/cancel.xml")
        .replace("<!-- UNTIL -->", &until.join("\n"))
        .replace("[branch-CANCEL]", &format!("[branch-{cancel}]"))
        .replace("[branch-ACK]", &format!("[branch-{ack}]"));
    let scenario = bench.folder.path().join("cancel.xml");
    std::fs::write(&scenario, text).expect("written");
    play(bench, transport, &scenario.to_string_lossy(), 1, 1)
}

/// As [`storm`], of calls that are placed and then go on with these steps of `both_sides/`.
pub(crate) fn storm_of(
    bench: &Bench,
    transport: &str,
    steps: &[&str],
    calls: u32,
    rate: u32,
) -> Count {
    let folder = format!("{}/tests/real/both_sides", env!("CARGO_MANIFEST_DIR"));
    let read = |step: &&str| {
        let path = format!("{folder}/{step}.xml");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let steps: String = ["places"].iter().chain(steps).map(read).collect();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>";
    let text = format!("{head}\n<scenario name=\"A call\">\n{steps}</scenario>\n");
    let scenario = bench.folder.path().join("call.xml");
    std::fs::write(&scenario, text).expect("written");
    play(bench, transport, &scenario.to_string_lossy(), calls, rate)
}

fn play(bench: &Bench, transport: &str, scenario: &str, calls: u32, rate: u32) -> Count {
    let folder = bench.folder.path();
    let statistics = folder.join("statistics.csv");
    drop(std::fs::remove_file(&statistics));
    let output = Command::new("sipp")
        .args(["-sf", scenario, "-s", "bob", "-i", "127.0.0.1", "-nostdin", "-t", transport])
        .args(["-m", &calls.to_string(), "-r", &rate.to_string(), "-timeout", "50"])
        // What does not come fails its call; the whole would wait for it for ever.
        .args(["-recv_timeout", "30000"])
        .args(["-p", &free_port().to_string(), "-trace_stat", "-fd", "1"])
        .args(["-trace_err", "-error_file"])
        .arg(folder.join("errors.log"))
        .arg("-stf")
        .arg(&statistics)
        .arg(format!("127.0.0.1:{}", bench.sip))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("sipp is installed: scripts/test does that");
    let table = std::fs::read_to_string(&statistics).unwrap_or_default();
    let mut lines = table.lines().filter(|line| !line.is_empty());
    let names: Vec<_> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<_> = lines.next_back().unwrap_or_default().split(';').collect();
    let cell = |name: &str| {
        let at = names.iter().position(|other| *other == name);
        at.and_then(|at| last.get(at)?.parse().ok()).unwrap_or_else(|| {
            let screen = String::from_utf8_lossy(&output.stdout);
            panic!("SIPp wrote no {name}:\n{screen}\n{}", String::from_utf8_lossy(&output.stderr))
        })
    };
    let count = Count { successful: cell("SuccessfulCall(C)"), failed: cell("FailedCall(C)") };
    if count.failed > 0 {
        // Shown by the harness where the assertion that follows fails.
        eprintln!("{}", std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default());
    }
    count
}
