//! Everyone who is not the gateway: callers, the registrar, the push service, phones. Each is one
//! `run` that takes a host, a pen, settings and commands, so that `serve` runs the same cast over
//! real sockets that the player enters on a stage. None of them uses the house's own SIP layer.

pub mod caller;
pub mod phone;
pub mod plain;
pub mod push;
pub mod registrar;
pub mod scan;
pub mod sip;

use std::time::Duration;

use reveille_host::{Host, within};
use tokio::sync::mpsc;

/// How many commands or arrivals may wait for an actor.
pub const INBOX: usize = 256;

/// The next thing in the inbox, or `None` when the monotonic clock reaches `until` first.
pub(crate) async fn next<I>(
    host: &Host,
    inbox: &mut mpsc::Receiver<I>,
    until: Option<Duration>,
) -> Option<I> {
    match until {
        // The actor holds a sender of its own inbox, so `recv` cannot run dry.
        None => inbox.recv().await,
        Some(at) => {
            let left = at.saturating_sub(host.clock.now().mono);
            within(&*host.clock, left, inbox.recv()).await.flatten()
        }
    }
}

/// Passes commands into an inbox until either side ends; `end` is sent when no more can come.
pub(crate) async fn forward<C, I>(
    mut commands: mpsc::Receiver<C>,
    inbox: mpsc::Sender<I>,
    wrap: fn(C) -> I,
    end: I,
) {
    while let Some(command) = commands.recv().await {
        if inbox.send(wrap(command)).await.is_err() {
            return;
        }
    }
    // An actor that has already ended needs no telling.
    drop(inbox.send(end).await);
}

/// The longest mark.
const MARK_MAX: usize = 32;

/// A message's mark: all of its content, else the sender's user name.
#[must_use]
pub fn message_mark(initiator: &str, content: &str) -> String {
    let is_mark = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !content.is_empty() && content.len() <= MARK_MAX && content.chars().all(is_mark) {
        return content.to_owned();
    }
    user(initiator).to_owned()
}

/// The user part of a SIP URI or of an address.
#[must_use]
pub fn user(address: &str) -> &str {
    address.trim_start_matches("sip:").split('@').next().unwrap_or_default()
}

/// A call's mark as an app sees it: the SDP's `s=` line, else the caller's user name.
#[must_use]
pub fn mark(initiator: &str, sdp: &str) -> String {
    let line = sdp.lines().find_map(|line| line.strip_prefix("s=")).filter(|s| s.trim() != "-");
    let user = initiator.trim_start_matches("sip:").split('@').next().unwrap_or_default();
    line.unwrap_or(user).trim().to_owned()
}
