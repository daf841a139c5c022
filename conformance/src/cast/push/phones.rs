//! The way to the phones: a plain channel of lines, as an operating system keeps one. What is for a
//! phone that is away waits as long as its sender said.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reveille_host::{BoxStream, Listener, within};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::Service;
use super::asked::Parcel;
use super::manner::labelled;

/// How many payloads wait for a phone that is away, and on a channel that is slow.
const WAITING: usize = 16;
/// The most tokens remembered.
const TOKENS: usize = 100_000;
/// How long a phone has for its first line, and a write to it may take.
const LINE_LIMIT: Duration = Duration::from_secs(10);

/// Channels of phones that are there, and parcels for those that are not.
#[derive(Default)]
pub(super) struct Phones {
    there: BTreeMap<String, mpsc::Sender<Parcel>>,
    waiting: BTreeMap<String, VecDeque<Parcel>>,
    held: BTreeMap<String, VecDeque<Parcel>>,
}

impl Phones {
    /// Gives the parcel to the phone, or keeps it until the phone is there; then what was held
    /// until after it.
    pub(super) fn deliver(&mut self, parcel: Parcel) {
        let held = self.held.remove(&parcel.token).unwrap_or_default();
        for parcel in std::iter::once(parcel).chain(held) {
            self.pass(parcel);
        }
    }

    /// Keeps the parcel until after the next one for this phone.
    pub(super) fn hold(&mut self, parcel: Parcel) {
        queue(&mut self.held, parcel);
    }

    fn pass(&mut self, parcel: Parcel) {
        let unsent = match self.there.get(&parcel.token) {
            Some(phone) => match phone.try_send(parcel) {
                Ok(()) => return,
                Err(error) => error.into_inner(),
            },
            None => parcel,
        };
        self.keep(unsent);
    }

    /// Keeps the parcel for a phone that is away, unless it is for no phone at all.
    fn keep(&mut self, parcel: Parcel) {
        if parcel.token.is_empty() {
            return;
        }
        if let (Some(key), Some(waiting)) = (&parcel.replaces, self.waiting.get_mut(&parcel.token))
        {
            waiting.retain(|older| older.replaces.as_ref() != Some(key));
        }
        queue(&mut self.waiting, parcel);
    }

    pub(super) fn enrol(&mut self, token: &str, now: Duration) -> mpsc::Receiver<Parcel> {
        let (send, receive) = mpsc::channel(WAITING);
        for parcel in self.waiting.remove(token).unwrap_or_default() {
            if parcel.until.is_none_or(|until| until > now) {
                // As many wait at most as the channel holds.
                drop(send.try_send(parcel));
            }
        }
        if self.there.len() < TOKENS || self.there.contains_key(token) {
            self.there.insert(token.to_owned(), send);
        }
        receive
    }
}

fn queue(queues: &mut BTreeMap<String, VecDeque<Parcel>>, parcel: Parcel) {
    if !queues.contains_key(&parcel.token) && queues.len() >= TOKENS {
        return;
    }
    let queue = queues.entry(parcel.token.clone()).or_default();
    if queue.len() >= WAITING {
        queue.pop_front();
    }
    queue.push_back(parcel);
}

/// The parcel as a phone wants it that asked for labels.
fn label(parcel: &Parcel, now: Duration) -> String {
    let left = parcel.until.map(|until| until.saturating_sub(now).as_millis());
    let left_ms = left.map(|left| u64::try_from(left).unwrap_or(u64::MAX));
    labelled(&parcel.payload, parcel.manner, left_ms)
}

/// Takes phones in until the listener ends.
pub(super) async fn accept(service: Arc<Service>, mut listener: Box<dyn Listener>) {
    while let Ok((stream, from)) = listener.accept().await {
        let task = phone(service.clone(), stream, from);
        service.host.tasks.spawn("push-phone", Box::pin(task));
    }
}

/// Serves one phone.
pub(super) async fn phone(service: Arc<Service>, stream: BoxStream, from: SocketAddr) {
    let (read, mut write) = tokio::io::split(stream);
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(4096));
    let first = within(&*service.host.clock, LINE_LIMIT, reader.read_line(&mut line)).await;
    let value: Value = serde_json::from_str(&line).unwrap_or_default();
    let (Some(Ok(_)), Some(token)) = (first, value.get("token").and_then(Value::as_str)) else {
        return service.say(format!("phone {from} gave no line like {{\"token\":\"...\"}}"));
    };
    let labels = value.get("labels").and_then(Value::as_bool) == Some(true);
    let now = service.host.clock.now().mono;
    let named = service.judges.webpush.as_ref().and_then(|webpush| webpush.named(token));
    let mut parcels = service.state().phones.enrol(named.as_deref().unwrap_or(token), now);
    while let Some(parcel) = parcels.recv().await {
        let now = service.host.clock.now().mono;
        let line =
            format!("{}\n", if labels { label(&parcel, now) } else { parcel.payload.clone() });
        let sent = within(&*service.host.clock, LINE_LIMIT, write.write_all(line.as_bytes())).await;
        if !matches!(sent, Some(Ok(()))) {
            parcels.close();
            let mut state = service.state();
            state.phones.pass(parcel);
            while let Ok(parcel) = parcels.try_recv() {
                state.phones.pass(parcel);
            }
            return;
        }
    }
}
