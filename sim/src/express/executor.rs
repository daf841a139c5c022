//! Runs the tasks of all hosts on one thread. A task belongs to a host and goes with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use reveille_host::BoxFuture;

use super::chance::Chance;
use crate::fault::Life;

/// A task that has not been taken in yet.
pub(super) struct Fresh {
    pub(super) actor: usize,
    pub(super) name: &'static str,
    pub(super) life: Life,
    pub(super) future: BoxFuture<'static, ()>,
}

struct Task {
    actor: usize,
    name: &'static str,
    life: Life,
    future: BoxFuture<'static, ()>,
    alarm: Arc<Alarm>,
    waker: Waker,
}

/// Those that can go on.
#[derive(Default)]
struct Ready(Mutex<VecDeque<Arc<Alarm>>>);

impl Ready {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Arc<Alarm>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What wakes one task.
struct Alarm {
    slot: usize,
    queued: AtomicBool,
    over: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.queue().push_back(Arc::clone(self));
        }
    }
}

/// What came of one turn of a task.
pub(super) struct Turn {
    /// Whose task it was.
    pub(super) actor: usize,
    /// What it said when it panicked.
    pub(super) panic: Option<String>,
}

pub(super) struct Executor {
    slots: Vec<Option<Task>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    chance: Chance,
}

impl Executor {
    /// Tasks that could go on at one instant take turns in an order that `chance` draws.
    pub(super) fn new(chance: Chance) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), ready: Arc::default(), chance }
    }

    pub(super) fn take_in(&mut self, fresh: Fresh) {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        let ready = Arc::clone(&self.ready);
        let (queued, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let alarm = Arc::new(Alarm { slot, queued, over, ready });
        let waker = Waker::from(Arc::clone(&alarm));
        waker.wake_by_ref();
        let Fresh { actor, name, life, future } = fresh;
        self.slots[slot] = Some(Task { actor, name, life, future, alarm, waker });
    }

    /// Lets one task that can go on have its turn.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        loop {
            let alarm = {
                let mut queue = self.ready.queue();
                let chosen = self.chance.below(queue.len() as u64);
                queue.swap_remove_front(usize::try_from(chosen).unwrap_or(0))?
            };
            if alarm.over.load(Ordering::Relaxed) {
                continue;
            }
            alarm.queued.store(false, Ordering::Relaxed);
            let Some(task) = self.slots[alarm.slot].as_mut() else { continue };
            if task.life.is_over() {
                continue;
            }
            return Some(self.poll(alarm.slot));
        }
    }

    fn poll(&mut self, slot: usize) -> Turn {
        let task = self.slots[slot].as_mut().expect("the slot was looked at just now");
        let (actor, name) = (task.actor, task.name);
        let mut context = Context::from_waker(&task.waker);
        let polled = catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut context)));
        let panic = match &polled {
            // What a ghost says of the world it no longer sees is no finding.
            Err(panic) if !task.life.is_over() => {
                Some(format!("task {name} panicked: {}", crate::fault::said(panic.as_ref())))
            }
            _ => None,
        };
        if !matches!(polled, Ok(Poll::Pending)) {
            self.remove(slot);
        }
        Turn { actor, panic }
    }

    fn remove(&mut self, slot: usize) {
        if let Some(task) = self.slots[slot].take() {
            task.alarm.over.store(true, Ordering::Relaxed);
            self.free.push(slot);
        }
    }

    /// Drops all tasks of a host.
    pub(super) fn kill(&mut self, actor: usize) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|task| task.actor == actor) {
                self.remove(slot);
            }
        }
    }

    /// Drops everything.
    pub(super) fn end(&mut self) {
        for slot in 0..self.slots.len() {
            self.remove(slot);
        }
    }

    /// The names of a host's tasks, in the order of their slots.
    pub(super) fn tasks(&self, actor: usize) -> Vec<&'static str> {
        let of = self.slots.iter().flatten().filter(|task| task.actor == actor);
        of.map(|task| task.name).collect()
    }
}
