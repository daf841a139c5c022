use std::time::Duration;

use crate::service::Service;

/// A phone's operating system, and how it treats the app: `os = "android"` of a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub os: Os,
    /// How often its user opens the app, as Android sees it: `bucket = "rare"`.
    pub bucket: Bucket,
    /// Whether the app may show notifications: `permission = "denied"`.
    pub permission: Permission,
    /// `cold-start = "4s"`: how long the app takes to start from nothing; absent: within the range of
    /// the system.
    pub cold_start: Option<Duration>,
}

/// Which operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    /// Apple's: `"ios"`.
    Ios,
    /// Google's: `"android"`.
    Android,
    /// A browser, and a page in it: `"web"`.
    Web,
}

impl Os {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Ios, Self::Android, Self::Web];

    /// Its name in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Android => "android",
            Self::Web => "web",
        }
    }

    /// The push services that reach it, its own one first.
    #[must_use]
    pub const fn services(self) -> &'static [Service] {
        match self {
            Self::Ios => &[Service::Apns],
            Self::Android => &[Service::Fcm, Service::WebPush],
            Self::Web => &[Service::WebPush],
        }
    }
}

/// A bucket of Android's App Standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bucket {
    /// In use: `"active"`.
    #[default]
    Active,
    /// In regular use: `"working-set"`.
    WorkingSet,
    /// Often used, but not every day: `"frequent"`.
    Frequent,
    /// Seldom used: `"rare"`.
    Rare,
    /// It used too much: `"restricted"`.
    Restricted,
}

impl Bucket {
    /// Its name in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::WorkingSet => "working-set",
            Self::Frequent => "frequent",
            Self::Rare => "rare",
            Self::Restricted => "restricted",
        }
    }
}

/// What the user said when the system asked whether the app may show notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permission {
    /// Yes: `"granted"`.
    #[default]
    Granted,
    /// No: `"denied"`.
    Denied,
    /// The system has not asked yet; it does when the app comes to the front, and the user says yes:
    /// `"unasked"`.
    Unasked,
}

impl Permission {
    /// Its name in a file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Unasked => "unasked",
        }
    }
}

/// What the user or the system does to a phone that has an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceAct {
    /// `background = "bob"`: the user turns to another app.
    Background,
    /// `foreground = "bob"`: the user turns to this one.
    Foreground,
    /// `force-stop = "bob"`: the user ends the app for good; of `web` the browser.
    ForceStop,
    /// `lock = "bob"`: the screen goes off.
    Lock,
    /// `unlock = "bob"`: the user turns it on, and has what was in front before.
    Unlock,
    /// `airplane = "bob", lasts = "30s"`: the radio is off.
    Airplane {
        /// How long.
        lasts: Duration,
    },
    /// `doze = "bob", depth = "deep", lasts = "2h"`: the phone lies still with its screen off.
    Doze {
        /// Deep, or light.
        deep: bool,
        /// How long, if nobody touches it.
        lasts: Duration,
    },
    /// `low-power = "bob"`: the phone saves its battery from now on.
    LowPower,
    /// `misbehave = "bob", how = "fails-to-start"`: the app goes wrong the next time it can.
    Misbehave {
        /// How.
        how: Misstep,
        /// `times = 2`: how often.
        times: u32,
    },
}

/// How an app goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misstep {
    /// Its process dies before it has begun: `"fails-to-start"`.
    FailsToStart,
    /// It connects late: `"connects-late"`.
    ConnectsLate,
    /// Its process dies once it has connected: `"crashes"`.
    Crashes,
    /// It is woken by a VoIP push and reports no call to the system: `"reports-nothing"`.
    ReportsNothing,
}

impl Misstep {
    /// Its name in a file.
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
