//! Several pushes of one application and event as one request: a list of what each would be alone.
//! The answer may say of each what became of it.

use std::future::poll_fn;
use std::task::Poll;

use hyper::HeaderMap;
use hyper::header::{HeaderValue, RETRY_AFTER};
use reveille_gateway_core::io::PushOutcome;
use reveille_host::BoxFuture;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::{Application, Lack};
use super::classify;

/// Most pushes in one request: what is said of each fits into the answer that is read.
const MOST: usize = 100;
/// Longest wait of a push for others, in microseconds.
const MOST_LINGER_US: u64 = 1_000_000;

/// What is wrong with an application's batches.
pub(super) fn lack(app: &Application) -> Option<Lack> {
    let batch = app.batch;
    if !(1..=MOST).contains(&batch.size) {
        let what = format!("{} is out of range; write 1 to {MOST}", batch.size);
        return Some(("batch-size", what));
    }
    if batch.linger_us > MOST_LINGER_US {
        return Some(("batch-linger", "out of range; write \"0ms\" to \"1s\"".to_owned()));
    }
    if batch.size == 1 && batch.linger_us > 0 {
        let what = "there is nothing to wait for; write batch-size = 2 or more as well";
        return Some(("batch-linger", what.to_owned()));
    }
    None
}

/// What the answer says of each.
#[derive(Deserialize)]
struct Said {
    results: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    status: u16,
    #[serde(default)]
    reason: String,
    /// Seconds.
    retry_after: Option<u64>,
}

impl One {
    fn outcome(self) -> PushOutcome {
        let mut headers = HeaderMap::new();
        headers.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        let Self { status, reason, .. } = self;
        classify(&Answer { status, headers, body: reason, is_whole: true })
    }
}

/// The bodies as one JSON list.
pub(super) fn list(bodies: &[Vec<u8>]) -> Vec<u8> {
    [b"[", &bodies.join(&b',')[..], b"]"].concat()
}

/// What became of each of so many; `None` if the request as a whole was refused, so that each must be
/// asked for by itself.
pub(super) fn outcomes(
    answer: Result<Answer, PushOutcome>,
    count: usize,
) -> Option<Vec<PushOutcome>> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(outcome) => return Some(vec![outcome; count]),
    };
    let of_all = match classify(&answer) {
        PushOutcome::Refused { .. } => return None,
        PushOutcome::Accepted if !answer.is_whole => odd("the answer is too long or broke off"),
        PushOutcome::Accepted => match serde_json::from_str::<Said>(&answer.body) {
            Ok(said) if said.results.len() == count => {
                return Some(said.results.into_iter().map(One::outcome).collect());
            }
            Ok(said) => odd(&format!("{} results for {count} pushes", said.results.len())),
            // Who says nothing of single ones took them all, unless it tried to say something.
            Err(_) if answer.body.contains("\"results\"") => odd("results that cannot be read"),
            Err(_) => PushOutcome::Accepted,
        },
        other => other,
    };
    Some(vec![of_all; count])
}

fn odd(what: &str) -> PushOutcome {
    PushOutcome::Transient { why: format!("a batch: {what}"), retry_after_ms: None }
}

/// What comes of each, in their order, all of them under way at once.
pub(super) async fn each<T>(mut work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = work.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, done) in work.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
