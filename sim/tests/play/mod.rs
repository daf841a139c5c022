//! What every play on a turmoil stage begins with.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reveille_conformance::stage::Part;
use reveille_host::Host;
use reveille_sim::turmoil::{Options, TurmoilStage};
use reveille_trace::{Kind, Recorder};

pub(crate) fn part<F>(play: impl Fn(Host) -> F + Send + Sync + 'static) -> Part
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move |host| Box::pin(play(host)))
}

pub(crate) fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

pub(crate) fn stage(seed: u64) -> (TurmoilStage, Recorder) {
    let recorder = Recorder::keeping();
    (TurmoilStage::new(seed, recorder.clone(), Options::default()), recorder)
}

pub(crate) fn count(recorder: &Recorder, kind: Kind) -> usize {
    recorder.events().iter().filter(|event| event.kind == kind).count()
}
