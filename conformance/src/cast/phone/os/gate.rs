//! What becomes of a push: the rules of each system.

use std::time::Duration;

use super::doze::Doze;
use super::{
    Fate, Life, Output, Parcel, Permission, System, Turn, View, WAITING, android, ios, web,
};
use crate::cast::push::PushKind;

/// What becomes of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The app gets it, and is started for it.
    Given,
    /// The user sees it, and the app knows nothing of it.
    Shown,
    /// It waits, because of this.
    Waits(&'static str),
    /// Nobody gets it, because of this.
    Lost(&'static str),
}

impl Turn<'_, '_> {
    /// A push arrives.
    pub(super) fn admit(&mut self, parcel: Parcel) {
        match self.judge(&parcel) {
            Verdict::Waits(why) => {
                self.held(&parcel, why, Fate::Later);
                self.keep(parcel, why);
            }
            verdict => self.decided(parcel, verdict),
        }
    }

    /// What waits is looked at again.
    pub(super) fn release(&mut self) {
        for parcel in std::mem::take(&mut self.os.waiting) {
            if parcel.until.is_some_and(|until| until <= self.now) {
                self.held(&parcel, "expired", Fate::Never);
                continue;
            }
            match self.judge(&parcel) {
                Verdict::Waits(why) => self.keep(parcel, why),
                verdict => self.decided(parcel, verdict),
            }
        }
    }

    fn decided(&mut self, parcel: Parcel, verdict: Verdict) {
        match verdict {
            Verdict::Given => self.given(parcel),
            Verdict::Shown => {
                self.out.push(Output::Arrived(parcel.payload));
                self.changed("notification", "shown");
            }
            Verdict::Waits(why) | Verdict::Lost(why) => self.held(&parcel, why, Fate::Never),
        }
    }

    fn held(&mut self, parcel: &Parcel, why: &'static str, fate: Fate) {
        let payload = parcel.payload.clone();
        self.out.push(Output::Held { payload, why, fate });
    }

    fn keep(&mut self, mut parcel: Parcel, why: &'static str) {
        // What was too much for its bucket is of normal priority from then on.
        parcel.manner.urgent &= why != QUOTA;
        if self.os.waiting.len() >= WAITING
            && let Some(oldest) = self.os.waiting.pop_front()
        {
            self.held(&oldest, "crowded", Fate::Never);
        }
        self.os.waiting.push_back(parcel);
    }

    /// The app gets it.
    fn given(&mut self, parcel: Parcel) {
        let Parcel { payload, manner, .. } = parcel;
        self.out.push(Output::Arrived(payload));
        if self.os.settings.system == System::Ios && manner.kind == PushKind::Voip {
            self.os.unreported = true;
        }
        if self.os.life == Life::Runs {
            if !self.report() {
                self.out.push(Output::End);
            } else if self.is_idle() {
                self.os.suspends_at = Some(self.now + Duration::from_millis(android::ALLOWANCE_MS));
            }
            return;
        }
        let by = self.tapped();
        self.start(by);
    }

    /// How long it takes until a browser opens the page: its worker shows a notification, and the
    /// user taps on it. A page that is there is told by the worker.
    fn tapped(&mut self) -> Duration {
        if self.os.settings.system != System::Web || self.os.starts_at.is_some() {
            return Duration::ZERO;
        }
        let mut by = self.draw(&web::WORKER_MS);
        if self.os.life != Life::Frozen {
            self.changed("notification", "shown");
            by += self.draw(&web::TAP_MS);
        }
        Duration::from_millis(by)
    }

    /// True in Doze, outside of its windows.
    pub(super) fn is_idle(&self) -> bool {
        self.os.doze.as_ref().is_some_and(Doze::is_idle)
    }

    fn judge(&mut self, parcel: &Parcel) -> Verdict {
        match self.os.settings.system {
            System::Ios => self.judge_ios(parcel),
            System::Android => self.judge_android(parcel),
            System::Web => self.judge_web(),
        }
    }

    /// A VoIP push starts even an app that its user ended, as long as the app reports its calls; what
    /// is to be shown needs permission, and starts nothing; what shows nothing is for quiet times.
    fn judge_ios(&self, parcel: &Parcel) -> Verdict {
        let os = &self.os;
        match parcel.manner.kind {
            PushKind::Voip if os.violations >= ios::VIOLATIONS_MAX => {
                Verdict::Lost("calls-unreported")
            }
            PushKind::Voip | PushKind::Data => Verdict::Given,
            PushKind::Alert if os.view == View::Front && os.life == Life::Runs => Verdict::Given,
            PushKind::Alert if os.permission != Permission::Granted => Verdict::Lost(PERMISSION),
            PushKind::Alert => Verdict::Shown,
            PushKind::Background if os.life == Life::Stopped => Verdict::Lost(FORCE_STOPPED),
            PushKind::Background if os.low_power && os.life != Life::Runs => {
                Verdict::Waits("low-power")
            }
            PushKind::Background => Verdict::Given,
        }
    }

    /// An app that its user ended gets nothing; Doze lets pass what is of high priority, and App
    /// Standby says how much of that there is in a day.
    fn judge_android(&mut self, parcel: &Parcel) -> Verdict {
        if self.os.life == Life::Stopped {
            return Verdict::Lost(FORCE_STOPPED);
        }
        let passes = parcel.manner.urgent && self.is_within_quota();
        match (self.is_idle(), passes) {
            (false, _) | (true, true) => Verdict::Given,
            (true, false) if parcel.manner.urgent => Verdict::Waits(QUOTA),
            (true, false) => Verdict::Waits("doze"),
        }
    }

    /// Counts a high-priority message, if it is one more that passes as such.
    fn is_within_quota(&mut self) -> bool {
        let Some(quota) = android::quota(self.os.settings.bucket) else { return true };
        let day = Duration::from_millis(android::DAY_MS);
        let now = self.now;
        self.os.urgent.retain(|at| *at + day > now);
        let within = self.os.urgent.len() < quota;
        if within {
            self.os.urgent.push_back(now);
        }
        within
    }

    /// Without permission there is no subscription that could show anything, and a browser that does
    /// not run hears nothing.
    fn judge_web(&self) -> Verdict {
        if self.os.permission != Permission::Granted {
            return Verdict::Lost(PERMISSION);
        }
        if self.os.life == Life::Stopped {
            return Verdict::Waits("browser-closed");
        }
        Verdict::Given
    }
}

const QUOTA: &str = "quota";
const PERMISSION: &str = "permission";
const FORCE_STOPPED: &str = "force-stopped";
