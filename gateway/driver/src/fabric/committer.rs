//! Group commit: everything that waits becomes durable together, what is urgent first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reveille_gateway_core::io::{Claim, Commit, Input};
use reveille_gateway_core::record::SessionId;
use reveille_host::within;
use reveille_trace::{Draft, Kind};
use tokio::sync::{mpsc, oneshot};

use super::duty::Duty;
use super::reseal::Pass;
use super::{CommitResult, Fabric, FabricError, Member, Work};
use crate::world::{Event, World};

/// Commits in one batch at most.
const MOST_BATCH: usize = 1_024;

/// How long a commit waits that is slow for once.
const SLOW: Duration = Duration::from_millis(10);

/// Starts the committer; it ends with its queue. What it returns resolves once the fabric is
/// closed, and another gateway may open it.
pub(crate) fn start(
    world: &World,
    fabric: Box<dyn Fabric>,
    member: Option<&Member>,
    queued: mpsc::Receiver<Work>,
) -> oneshot::Receiver<()> {
    let (closing, closed) = oneshot::channel();
    let world_of_task = world.clone();
    let duty = Duty::new(world, member);
    let task = async move {
        run(world_of_task, fabric, duty, queued).await;
        // Fails only if nobody waits.
        let _nobody_waits: bool = closing.send(()).is_err();
    };
    world.host.tasks.spawn("committer", Box::pin(task));
    closed
}

async fn run(
    world: World,
    fabric: Box<dyn Fabric>,
    mut duty: Duty,
    mut queued: mpsc::Receiver<Work>,
) {
    let mut pass = Pass::new(&world, fabric.stale());
    let fabric = Arc::new(Mutex::new(fabric));
    let mut desk = Desk::default();
    loop {
        if desk.commits.is_empty() {
            let due_us = pass.due_us().into_iter().chain(duty.due_us()).min();
            match unless_due(&world, due_us, queued.recv()).await {
                Some(Some(first)) => desk.put(first),
                Some(None) => return leave(&world, &fabric).await,
                None => {}
            }
        }
        // Whatever is ready goes first: under load it asks for more, and one batch carries it all.
        tokio::task::yield_now().await;
        while desk.commits.len() < queued.max_capacity()
            && let Ok(next) = queued.try_recv()
        {
            desk.put(next);
        }
        let done = async {
            pass.step(&world, &fabric, !desk.commits.is_empty()).await?;
            Ok(duty.step(&world, &fabric).await?
                && claim(&world, &fabric, std::mem::take(&mut desk.claims)).await?
                && commit_batch(&world, &fabric, &mut desk.commits).await?)
        };
        match done.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return fail(&world, &error).await,
        }
    }
}

/// What the fabric was asked and has not begun.
#[derive(Default)]
struct Desk {
    commits: VecDeque<Commit>,
    claims: Vec<Claim>,
}

impl Desk {
    fn put(&mut self, work: Work) {
        match work {
            Work::Commit(commit) => self.commits.push_back(commit),
            Work::Claim(claim) => self.claims.push(claim),
        }
    }
}

/// What is asked next; `None` if something is due before.
async fn unless_due<T>(
    world: &World,
    due_us: Option<u64>,
    next: impl Future<Output = T>,
) -> Option<T> {
    let Some(due_us) = due_us else { return Some(next.await) };
    let wait = Duration::from_micros(due_us.saturating_sub(world.now().mono_us));
    within(&*world.host.clock, wait, next).await
}

/// The next commits; false once the loop is gone.
async fn commit_batch(
    world: &World,
    fabric: &Arc<Mutex<Box<dyn Fabric>>>,
    backlog: &mut VecDeque<Commit>,
) -> Result<bool, FabricError> {
    if backlog.is_empty() {
        return Ok(true);
    }
    if whim!(world, SlowCommit) {
        world.host.sleep(SLOW).await;
    }
    let most = if whim!(world, SmallBatch) { 1 } else { MOST_BATCH };
    let batch = take_batch(backlog, most);
    let commits = batch.len();
    let begun_us = world.now().mono_us;
    world.health.commit_begins(begun_us);
    let done = commit(world, fabric, batch).await;
    world.health.commit_ends();
    world.metrics.committed(commits, world.now().mono_us.saturating_sub(begun_us));
    Ok(world.tell(Event::Committed { commits, answers: done? }).await)
}

/// Whose these sessions are; false once the loop is gone. Peers wait for it, and nobody for long.
async fn claim(
    world: &World,
    fabric: &Arc<Mutex<Box<dyn Fabric>>>,
    claims: Vec<Claim>,
) -> Result<bool, FabricError> {
    if claims.is_empty() {
        return Ok(true);
    }
    let work = move |fabric: &mut dyn Fabric| {
        let answers = claims.iter().map(|claim| {
            let outcome = fabric.claim(claim)?;
            Ok(Input::Claimed { claim: claim.claim, outcome })
        });
        answers.collect::<Result<Vec<_>, FabricError>>()
    };
    let answers = blocking(world, fabric, work).await?;
    Ok(world.tell(Event::Committed { commits: 0, answers }).await)
}

/// An orderly end: what this node owns is for the others.
async fn leave(world: &World, fabric: &Arc<Mutex<Box<dyn Fabric>>>) {
    if let Err(error) = blocking(world, fabric, |fabric| fabric.leave()).await {
        tracing::warn!(%error, "the lease was not given up: it runs out");
    }
}

/// The gateway cannot go on.
async fn fail(world: &World, error: &FabricError) {
    tracing::error!(%error, "the fabric cannot say what is durable");
    world.note(|| Draft::new(Kind::StoreFailed).with("what", error.to_string()));
    // False only if the loop is gone already.
    let _heard: bool =
        world.tell(Event::Failed(format!("fabric: {error}; restart to recover"))).await;
}

/// One batch on a thread that may block; the answers, one for each session.
async fn commit(
    world: &World,
    fabric: &Arc<Mutex<Box<dyn Fabric>>>,
    batch: Vec<Commit>,
) -> Result<Vec<Input>, FabricError> {
    let work = move |fabric: &mut dyn Fabric| {
        let results = fabric.commit(&batch);
        results.map(|results| answers(&batch, &results))
    };
    blocking(world, fabric, work).await
}

/// Work of the fabric on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    world: &World,
    fabric: &Arc<Mutex<Box<dyn Fabric>>>,
    work: impl FnOnce(&mut dyn Fabric) -> Result<T, FabricError> + Send + 'static,
) -> Result<T, FabricError> {
    let left_us = world.health.lease_left_us(world.now().mono_us);
    if left_us == Some(0) {
        return Err(FabricError::new("the lease ran out: other nodes may own the sessions by now"));
    }
    let slot = Arc::new(Mutex::new(None));
    let work = {
        let (slot, fabric) = (Arc::clone(&slot), Arc::clone(fabric));
        move || {
            let done = work(&mut **fabric.lock().unwrap_or_else(PoisonError::into_inner));
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }
    };
    let work = world.host.tasks.blocking(Box::new(work));
    match left_us {
        None => work.await,
        Some(left_us) => {
            let left = Duration::from_micros(left_us);
            let late = "no answer within the lease: other nodes may own the sessions by now";
            within(&*world.host.clock, left, work).await.ok_or_else(|| FabricError::new(late))?;
        }
    }
    let done = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    done.unwrap_or_else(|| Err(FabricError::new("its work broke off")))
}

/// The next batch: first what somebody waits for, with all of the same session that came before
/// it, then the rest. Commits of one session keep their order.
fn take_batch(backlog: &mut VecDeque<Commit>, most: usize) -> Vec<Commit> {
    let mut last_urgent: BTreeMap<SessionId, u64> = BTreeMap::new();
    for commit in backlog.iter().filter(|commit| commit.urgent) {
        last_urgent.insert(commit.session.clone(), commit.token);
    }
    let is_urgent = |commit: &Commit| {
        last_urgent.get(&commit.session).is_some_and(|token| commit.token <= *token)
    };
    let (first, rest): (Vec<_>, Vec<_>) = backlog.drain(..).partition(is_urgent);
    let mut batch: Vec<_> = first.into_iter().chain(rest).collect();
    backlog.extend(batch.drain(batch.len().min(most)..));
    batch
}

/// `Stored` with the highest token of each session, and `Fenced` where the fabric refused.
fn answers(batch: &[Commit], results: &[CommitResult]) -> Vec<Input> {
    let mut stored: BTreeMap<&SessionId, u64> = BTreeMap::new();
    let mut fenced: BTreeMap<&SessionId, u64> = BTreeMap::new();
    for (commit, result) in batch.iter().zip(results) {
        match result {
            CommitResult::Stored => {
                let highest = stored.entry(&commit.session).or_default();
                *highest = commit.token.max(*highest);
            }
            CommitResult::Fenced => {
                let highest = fenced.entry(&commit.session).or_default();
                *highest = commit.epoch.max(*highest);
            }
        }
    }
    let stored = stored
        .into_iter()
        .map(|(session, token)| Input::Stored { session: session.clone(), token });
    let fenced = fenced
        .into_iter()
        .map(|(session, epoch)| Input::Fenced { session: session.clone(), epoch });
    stored.chain(fenced).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn commits(plan: &[(u8, bool)]) -> VecDeque<Commit> {
        let mut tokens: BTreeMap<u8, u64> = BTreeMap::new();
        let one = |(session, urgent): &(u8, bool)| {
            let token = tokens.entry(*session).or_default();
            *token += 1;
            Commit {
                session: SessionId::from(format!("s{session}")),
                token: *token,
                epoch: 1,
                changes: Vec::new(),
                urgent: *urgent,
            }
        };
        plan.iter().map(one).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn batches_keep_each_sessions_order_and_put_urgent_ones_first(
            plan in proptest::collection::vec((0u8..5, any::<bool>()), 0..60),
            most in 1usize..20,
        ) {
            let mut backlog = commits(&plan);
            let mut last: BTreeMap<SessionId, u64> = BTreeMap::new();
            let mut taken = 0;
            while !backlog.is_empty() {
                let before: Vec<_> = backlog.iter().cloned().collect();
                let batch = take_batch(&mut backlog, most);
                prop_assert!(!batch.is_empty() && batch.len() <= most);
                for commit in &batch {
                    let last = last.entry(commit.session.clone()).or_default();
                    prop_assert_eq!(commit.token, *last + 1, "a session's tokens rise by one");
                    *last = commit.token;
                }
                // Whatever waits although it is urgent waits behind commits that had to go first.
                let waits = backlog.iter().any(|commit| commit.urgent);
                let needed = |commit: &Commit| before.iter().any(|other| {
                    other.urgent && other.session == commit.session && other.token >= commit.token
                });
                prop_assert!(!waits || batch.iter().all(needed));
                taken += batch.len();
            }
            prop_assert_eq!(taken, plan.len());
        }
    }

    #[test]
    fn the_answer_is_the_highest_token_of_each_session() {
        let batch: Vec<_> = commits(&[(1, true), (2, false), (1, false), (3, true)]).into();
        let fate = [
            CommitResult::Stored,
            CommitResult::Stored,
            CommitResult::Stored,
            CommitResult::Fenced,
        ];
        let said: Vec<_> = answers(&batch, &fate)
            .into_iter()
            .map(|input| match input {
                Input::Stored { session, token } => (session.to_string(), Some(token)),
                Input::Fenced { session, epoch: 1 } => (session.to_string(), None),
                other => panic!("neither stored nor fenced: {other:?}"),
            })
            .collect();
        let s = |name: &str| name.to_owned();
        assert_eq!(said, [(s("s1"), Some(2)), (s("s2"), Some(1)), (s("s3"), None)]);
    }
}
