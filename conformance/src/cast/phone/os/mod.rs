//! A phone's operating system: which pushes reach the app and when, when the app is started,
//! suspended and ended, and what its user and its battery have to do with it. It is pure: it is told
//! the time and what happens, draws from what it is given, and says what it does.
//!
//! What it keeps from the app it says, so that nobody blames a gateway for it.

mod android;
mod doze;
mod gate;
mod ios;
mod life;
mod settings;
mod web;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

pub use settings::{Bucket, Permission, Settings, System};
pub use words::{Fate, Input, Misstep, Order, Output, Parcel};

use doze::Doze;

/// How many pushes wait for the app.
const WAITING: usize = 16;

/// Draws a number from a range.
pub type Luck<'a> = dyn FnMut(&RangeInclusive<u64>) -> u64 + 'a;

/// What becomes of the app's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It runs.
    Runs,
    /// It is in memory, and nothing of it runs.
    Frozen,
    /// There is none.
    Gone,
    /// There is none, because the user said so.
    Stopped,
}

/// What the user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// The app.
    Front,
    /// Something else.
    Back,
    /// Nothing: the screen is off.
    Locked { was_front: bool },
}

/// An operating system.
#[derive(Debug, Clone)]
pub struct Os {
    settings: Settings,
    life: Life,
    view: View,
    /// When the app has started.
    starts_at: Option<Duration>,
    /// When an app in the background is suspended, if nothing keeps it.
    suspends_at: Option<Duration>,
    doze: Option<Doze>,
    low_power: bool,
    airplane_until: Option<Duration>,
    permission: Permission,
    /// When the user answers the dialog that asks for permission.
    answers_at: Option<Duration>,
    waiting: VecDeque<Parcel>,
    /// When high-priority messages came that passed as such.
    urgent: VecDeque<Duration>,
    /// VoIP pushes for which no call was reported.
    violations: u32,
    /// The app is started by a VoIP push, and has a call to report.
    unreported: bool,
    missteps: BTreeMap<Misstep, u32>,
}

/// An input on its way through.
struct Turn<'t, 'l> {
    os: &'t mut Os,
    now: Duration,
    /// The app has a call.
    busy: bool,
    luck: &'t mut Luck<'l>,
    out: Vec<Output>,
}

impl Os {
    /// A phone whose app runs and is in front.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        let permission = settings.permission;
        Self {
            settings,
            life: Life::Runs,
            view: View::Front,
            starts_at: None,
            suspends_at: None,
            doze: None,
            low_power: false,
            airplane_until: None,
            permission,
            answers_at: None,
            waiting: VecDeque::new(),
            urgent: VecDeque::new(),
            violations: 0,
            unreported: false,
            missteps: BTreeMap::new(),
        }
    }

    /// True if the app is in memory, running or not: there is something to kill.
    #[must_use]
    pub const fn holds_app(&self) -> bool {
        matches!(self.life, Life::Runs | Life::Frozen)
    }

    /// When it wants to be told that time has passed.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let own = [self.starts_at, self.suspends_at, self.airplane_until, self.answers_at];
        own.into_iter().flatten().chain(self.doze.as_ref().map(Doze::due)).min()
    }

    /// Takes one input at this time. `busy` says that the app has a call.
    pub fn handle(
        &mut self,
        now: Duration,
        busy: bool,
        input: Input,
        luck: &mut Luck<'_>,
    ) -> Vec<Output> {
        let mut turn = Turn { os: self, now, busy, luck, out: Vec::new() };
        match input {
            Input::Order(order) => turn.order(order),
            Input::Push(parcel) => turn.admit(parcel),
            Input::Started => turn.started(),
            Input::Connected => turn.connected(),
            Input::Slept => turn.ended(Life::Frozen),
            Input::Ended => turn.ended(Life::Gone),
            Input::Tick => turn.tick(),
        }
        turn.out
    }
}

impl Turn<'_, '_> {
    fn changed(&mut self, what: &'static str, state: &'static str) {
        self.out.push(Output::Changed(what, state));
    }

    fn draw(&mut self, range: &RangeInclusive<u64>) -> u64 {
        (self.luck)(range)
    }

    /// True if the app goes wrong in this way now; it is then told.
    fn missteps(&mut self, how: Misstep) -> bool {
        let Some(left) = self.os.missteps.get_mut(&how).filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        self.out.push(Output::Struck(how.name(), "app"));
        true
    }

    fn tick(&mut self) {
        let now = self.now;
        let due = |at: &mut Option<Duration>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.os.airplane_until) {
            self.changed("airplane", "off");
        }
        if due(&mut self.os.answers_at) {
            self.os.permission = Permission::Granted;
            self.changed("permission", "granted");
            self.release();
        }
        self.doze_on();
        if due(&mut self.os.starts_at) {
            self.begin();
        }
        self.suspend_due();
    }
}

#[cfg(test)]
mod tests;
