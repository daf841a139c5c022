//! What an operating system is told, and what it does.

use std::time::Duration;

use crate::cast::push::Manner;

/// What the user does to the phone, what becomes of it, and what the app will do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The user turns to the app.
    Foreground,
    /// The user turns to another app.
    Background,
    /// The screen goes off.
    Lock,
    /// The user turns the screen on.
    Unlock,
    /// The user ends the app for good; of a browser all of it.
    ForceStop,
    /// The radio is off.
    Airplane {
        /// For so many milliseconds.
        lasts_ms: u64,
    },
    /// The phone lies still.
    Doze {
        /// For long already.
        deep: bool,
        /// For so many milliseconds, if nobody touches it.
        lasts_ms: u64,
    },
    /// The battery is saved from now on.
    LowPower,
    /// The app goes wrong so the next times it can.
    Misbehave {
        /// How.
        how: Misstep,
        /// How often.
        times: u32,
    },
}

impl Order {
    /// The fault that it is, the part of the phone that it strikes, and how often.
    #[must_use]
    pub const fn fault(self) -> Option<(&'static str, &'static str, u32)> {
        match self {
            Self::Foreground | Self::Background | Self::Lock | Self::Unlock => None,
            Self::ForceStop => Some((FORCE_STOP, "app", 1)),
            Self::Airplane { .. } => Some((AIRPLANE, "radio", 1)),
            Self::Doze { .. } => Some((DOZE, "os", 1)),
            Self::LowPower => Some((LOW_POWER, "os", 1)),
            Self::Misbehave { how, times } => Some((how.name(), "app", times)),
        }
    }

    /// The verb of a step that gives it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Background => "background",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::ForceStop => FORCE_STOP,
            Self::Airplane { .. } => AIRPLANE,
            Self::Doze { .. } => DOZE,
            Self::LowPower => LOW_POWER,
            Self::Misbehave { .. } => "misbehave",
        }
    }
}

pub(super) const FORCE_STOP: &str = "force-stop";
pub(super) const AIRPLANE: &str = "airplane";
pub(super) const DOZE: &str = "doze";
pub(super) const LOW_POWER: &str = "low-power";

/// How an app goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misstep {
    /// Its process dies before it has begun.
    FailsToStart,
    /// It connects late.
    ConnectsLate,
    /// Its process dies once it has connected.
    Crashes,
    /// It is woken by a VoIP push and reports no call to the system.
    ReportsNothing,
}

impl Misstep {
    /// The name of the fault that it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailsToStart => "fails-to-start",
            Self::ConnectsLate => "connects-late",
            Self::Crashes => "crashes",
            Self::ReportsNothing => "reports-nothing",
        }
    }
}

/// A push that the phone received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// What the app gets.
    pub payload: String,
    /// How it is to be treated.
    pub manner: Manner,
    /// Until when it is good, on the monotonic clock.
    pub until: Option<Duration>,
}

/// What an operating system is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// What somebody does.
    Order(Order),
    /// A push arrives.
    Push(Parcel),
    /// The app's process began: its user opened it to call somebody.
    Started,
    /// The app has connected.
    Connected,
    /// The app sleeps: nothing of it runs until it is woken.
    Slept,
    /// The app's process ended, or the system killed it.
    Ended,
    /// Time has passed.
    Tick,
}

/// What an operating system does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// It gives the app this payload; of a sleeping app the start follows.
    Arrived(String),
    /// It keeps this payload from the app.
    Held {
        /// The payload.
        payload: String,
        /// Why.
        why: &'static str,
        /// Until the reason is gone, or for ever.
        fate: Fate,
    },
    /// It starts the app.
    Launch,
    /// It ends the app's process.
    End,
    /// It changes: what, and to what.
    Changed(&'static str, &'static str),
    /// A fault that was ordered takes effect: which, and on which part of the phone.
    Struck(&'static str, &'static str),
}

/// For how long a push is kept from the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Until the reason is gone.
    Later,
    /// For ever.
    Never,
}

impl Fate {
    /// Its name in traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Later => "later",
            Self::Never => "never",
        }
    }
}
