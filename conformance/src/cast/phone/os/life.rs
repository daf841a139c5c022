//! The app's process, and what the user and the battery do to it.

use std::time::Duration;

use super::doze::Doze;
use super::words::{AIRPLANE, DOZE, FORCE_STOP, LOW_POWER};
use super::{Life, Misstep, Order, Output, Permission, System, Turn, View, android, ios, web};

/// How much longer an app takes to start when the battery is saved: the processor is slower.
/// Assumption.
const SLOW_PERCENT: u64 = 150;
/// How much later an app connects that connects late. Assumption: within the longest start that the
/// field reports (12 s from push to INVITE, flutter-voice-sdk 226).
const LATE: Duration = Duration::from_secs(7);
/// How often a call is looked for that keeps an app from being suspended.
const AGAIN: Duration = Duration::from_secs(1);

impl Turn<'_, '_> {
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Foreground => self.open(),
            Order::Background => {
                if self.os.view == View::Front {
                    self.os.view = View::Back;
                    self.behind();
                }
            }
            Order::Lock => self.lock(),
            Order::Unlock => self.unlock(),
            Order::ForceStop => self.stop(),
            Order::Airplane { lasts_ms } => {
                if self.os.airplane_until.is_none() {
                    self.out.push(Output::Struck(AIRPLANE, "radio"));
                    self.changed("airplane", "on");
                    self.os.airplane_until = Some(self.now + Duration::from_millis(lasts_ms));
                }
            }
            Order::Doze { deep, lasts_ms } => self.doze(deep, Duration::from_millis(lasts_ms)),
            Order::LowPower => {
                if !std::mem::replace(&mut self.os.low_power, true) {
                    self.out.push(Output::Struck(LOW_POWER, "os"));
                    self.changed("low-power", "on");
                }
            }
            Order::Misbehave { how, times } => {
                let left = self.os.missteps.entry(how).or_default();
                *left = left.saturating_add(times);
            }
        }
    }

    /// The user turns to the app.
    fn open(&mut self) {
        self.wake_screen();
        self.os.view = View::Front;
        self.os.suspends_at = None;
        self.changed("app", "foreground");
        if self.os.permission == Permission::Unasked && self.os.answers_at.is_none() {
            let answer = Duration::from_millis(self.draw(&ios::DIALOG_MS));
            self.os.answers_at = Some(self.now + answer);
        }
        if self.os.life == Life::Stopped {
            self.os.life = Life::Gone;
        }
        self.start(Duration::ZERO);
        self.release();
    }

    /// The app is not in front any more.
    fn behind(&mut self) {
        self.changed("app", "background");
        self.os.suspends_at = self.background_limit();
    }

    fn lock(&mut self) {
        let was_front = match self.os.view {
            View::Locked { .. } => return,
            View::Front => true,
            View::Back => false,
        };
        self.changed("screen", "off");
        self.os.view = View::Locked { was_front };
        if was_front {
            self.behind();
        }
    }

    fn unlock(&mut self) {
        let View::Locked { was_front } = self.os.view else { return };
        self.wake_screen();
        if was_front {
            self.open();
        }
    }

    /// The screen goes on, and Doze is over.
    fn wake_screen(&mut self) {
        if matches!(self.os.view, View::Locked { .. }) {
            self.os.view = View::Back;
            self.changed("screen", "on");
        }
        if self.os.doze.is_some() {
            self.end_doze();
        }
    }

    fn stop(&mut self) {
        if self.os.life == Life::Stopped {
            return;
        }
        self.out.push(Output::Struck(FORCE_STOP, "app"));
        if self.os.life == Life::Runs {
            self.out.push(Output::End);
        }
        self.ended(Life::Stopped);
        self.changed("app", "stopped");
    }

    fn doze(&mut self, deep: bool, lasts: Duration) {
        if self.os.doze.is_some() {
            return;
        }
        self.lock();
        self.out.push(Output::Struck(DOZE, "os"));
        let rhythm = if deep { android::DEEP } else { android::LIGHT };
        let doze = Doze::new(self.now, deep, rhythm, lasts);
        self.changed("doze", doze.name());
        self.os.doze = Some(doze);
        self.cut_off();
    }

    /// An app in the background has no network, and so no connection, any more.
    fn cut_off(&mut self) {
        if self.os.life == Life::Runs {
            self.os.suspends_at = Some(self.now);
            self.suspend_due();
        }
    }

    /// Doze goes on with time: a window opens or closes, or it ends.
    pub(super) fn doze_on(&mut self) {
        let now = self.now;
        let Some(doze) = &mut self.os.doze else { return };
        if doze.is_over(now) {
            return self.end_doze();
        }
        if !doze.turn(now) {
            return;
        }
        let (name, idle) = (doze.name(), doze.is_idle());
        self.changed("doze", name);
        match idle {
            true => self.cut_off(),
            false => self.release(),
        }
    }

    fn end_doze(&mut self) {
        self.os.doze = None;
        self.os.suspends_at = None;
        self.changed("doze", "off");
        self.release();
    }

    /// Begins to start the app, if nothing of it runs; `by` passes before.
    pub(super) fn start(&mut self, by: Duration) {
        if self.os.life == Life::Runs || self.os.starts_at.is_some() {
            return;
        }
        let (cold, warm) = match self.os.settings.system {
            System::Ios => (ios::COLD_MS, ios::WARM_MS),
            System::Android => (android::COLD_MS, android::WARM_MS),
            System::Web => (web::COLD_MS, web::WARM_MS),
        };
        let mut start_ms = match (self.os.life, self.os.settings.cold_start_ms) {
            (Life::Frozen, _) => self.draw(&warm),
            (_, Some(told)) => told,
            (_, None) => self.draw(&cold),
        };
        if self.os.low_power {
            start_ms = start_ms.saturating_mul(SLOW_PERCENT) / 100;
        }
        let late = if self.missteps(Misstep::ConnectsLate) { LATE } else { Duration::ZERO };
        self.changed("app", "starting");
        self.os.starts_at = Some(self.now + by + Duration::from_millis(start_ms) + late);
    }

    /// The app has started.
    pub(super) fn begin(&mut self) {
        if self.missteps(Misstep::FailsToStart) {
            let owed_report = self.os.unreported;
            self.ended(Life::Gone);
            self.changed("app", "gone");
            if owed_report {
                self.violated();
            }
            return;
        }
        if !self.report() {
            return;
        }
        self.os.life = Life::Runs;
        self.out.push(Output::Launch);
        if self.os.view != View::Front {
            self.os.suspends_at = self.background_limit();
        }
    }

    /// The app reports the call that it was woken for. False: it does not, and is ended for that.
    pub(super) fn report(&mut self) -> bool {
        if !std::mem::take(&mut self.os.unreported) {
            return true;
        }
        if self.missteps(Misstep::ReportsNothing) {
            self.ended(Life::Gone);
            self.changed("app", "gone");
            self.violated();
            return false;
        }
        self.changed("call-reported", "yes");
        true
    }

    fn violated(&mut self) {
        self.os.violations += 1;
        let silenced = self.os.violations >= ios::VIOLATIONS_MAX;
        self.changed("voip-pushes", if silenced { "silenced" } else { "violated" });
    }

    /// The user opened the app to do something with it.
    pub(super) fn started(&mut self) {
        self.os.life = Life::Runs;
        self.os.starts_at = None;
        self.open();
    }

    pub(super) fn connected(&mut self) {
        if self.os.life == Life::Runs && self.missteps(Misstep::Crashes) {
            self.ended(Life::Gone);
            self.out.push(Output::End);
            self.changed("app", "gone");
        }
    }

    /// Nothing of the app runs any more.
    pub(super) fn ended(&mut self, life: Life) {
        self.os.starts_at = None;
        self.os.suspends_at = None;
        self.os.unreported = false;
        if self.os.life != Life::Stopped {
            self.os.life = life;
        }
    }

    /// When an app in the background is suspended.
    fn background_limit(&self) -> Option<Duration> {
        let limit_ms = match self.os.settings.system {
            System::Ios => ios::BACKGROUND_MS,
            System::Android if self.is_idle() => android::ALLOWANCE_MS,
            System::Android | System::Web => return None,
        };
        Some(self.now + Duration::from_millis(limit_ms))
    }

    /// Suspends an app whose time in the background is over and that has no call.
    pub(super) fn suspend_due(&mut self) {
        let now = self.now;
        if self.os.suspends_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        if self.busy {
            self.os.suspends_at = Some(now + AGAIN);
        } else if self.os.life == Life::Runs {
            self.os.life = Life::Frozen;
            self.out.push(Output::End);
            self.changed("app", "suspended");
        }
    }
}
