//! What the calls were doing when a fault struck: facts that a stranger to the gateway sees.

use std::collections::{BTreeMap, BTreeSet};

use reveille_scenarios::What;
use reveille_trace::{Event, Kind, Met, Phase, Trace};

use super::jsonrtc_session::token;
use super::view::Framed;
use crate::cast::scan::{param, scan, uri};
use crate::player::{Fact, Facts};

/// How often each kind of fault met each phase of the wake. A strike counts once for each phase that
/// a phone it may concern is in: those of its own phone or call if its place names one, else all.
#[must_use]
pub fn met(trace: &Trace) -> Vec<Met> {
    if !trace.events.iter().any(|event| event.kind == Kind::FaultStruck) {
        return Vec::new();
    }
    let mut counts: BTreeMap<(String, Phase), u64> = BTreeMap::new();
    let mut scene = Scene::default();
    for event in trace.events.iter().filter(|event| !is_target(&event.actor)) {
        scene.see(event);
        if event.kind == Kind::FaultStruck {
            let place = event.text("on").unwrap_or_default();
            let kind = kind(event.text("fault").unwrap_or_default(), place);
            for phase in scene.phases(place) {
                *counts.entry((kind.clone(), phase)).or_default() += 1;
            }
        }
    }
    let met = counts.into_iter().map(|((fault, phase), times)| Met { fault, phase, times });
    met.collect()
}

/// The gateway itself, and its further nodes.
fn is_target(actor: &str) -> bool {
    actor == "gateway" || actor.starts_with("gateway-")
}

/// The kind of a fault as coverage names it: what strikes a push service, or a part of a phone, says
/// so, since the words alone are those of others too.
fn kind(fault: &str, place: &str) -> String {
    match place.split_once('.') {
        Some(("push", _)) => format!("push {fault}"),
        Some((_, part)) => format!("{part} {fault}"),
        None => fault.to_owned(),
    }
}

/// How far an app is from its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum App {
    Awake,
    Asleep,
    Pushed,
    /// The push is there.
    Told,
    /// It has dialled.
    Dialled,
}

/// A phone, and what it was given.
#[derive(Debug)]
struct Phone {
    app: App,
    /// Whose phone it is, as `user@domain`.
    address: String,
    tokens: BTreeSet<String>,
    /// Marks of the calls that it was given, by subsession.
    given: BTreeMap<String, String>,
}

/// A call of a SIP user agent's for a phone.
#[derive(Debug, Default)]
struct Call {
    id: String,
    caller: String,
    callee: String,
    rings: bool,
    answered: bool,
    confirmed: bool,
    over: bool,
}

/// What everybody but the gateway is doing.
#[derive(Default)]
struct Scene {
    facts: Facts,
    phones: BTreeMap<String, Phone>,
    /// By mark.
    calls: BTreeMap<String, Call>,
}

impl Scene {
    fn see(&mut self, event: &Event) {
        match event.kind {
            Kind::RtcSent | Kind::RtcReceived => self.frame(event),
            Kind::SipSent | Kind::SipReceived => self.message(event),
            Kind::PushReceived => self.pushed(event.text("token").unwrap_or_default()),
            Kind::PushArrived => {
                self.turn(&event.actor, |app| match app {
                    App::Asleep | App::Pushed => App::Told,
                    _ => app,
                });
            }
            Kind::WsOpened => self.turn(&event.actor, |_| App::Dialled),
            Kind::WsClosed if matches!(event.int("code"), Some(4001 | 4002)) => {
                self.turn(&event.actor, |_| App::Asleep);
            }
            Kind::AppState => match event.text("state").unwrap_or_default() {
                "connected" => self.turn(&event.actor, |_| App::Awake),
                "reconnecting" => self.turn(&event.actor, |_| App::Dialled),
                _ => self.turn(&event.actor, |_| App::Asleep),
            },
            _ => {}
        }
        if let Some(fact) = self.facts.read(event) {
            self.fact(&fact);
        }
    }

    fn turn(&mut self, phone: &str, to: impl FnOnce(App) -> App) {
        if let Some(phone) = self.phones.get_mut(phone) {
            phone.app = to(phone.app);
        }
    }

    /// A request to wake the phone of this token, or the only one there is.
    fn pushed(&mut self, token: &str) {
        let alone = self.phones.len() == 1;
        let of = self.phones.values_mut().filter(|phone| alone || phone.tokens.contains(token));
        for phone in of.filter(|phone| matches!(phone.app, App::Asleep | App::Told)) {
            phone.app = App::Pushed;
        }
    }

    /// What an app says or hears: who it is, what it was given, and that it answers.
    fn frame(&mut self, event: &Event) {
        let Some(frame) = Framed::of(event) else { return };
        let phone = self.phones.entry(event.actor.clone()).or_insert_with(|| Phone {
            app: App::Dialled,
            address: String::new(),
            tokens: BTreeSet::new(),
            given: BTreeMap::new(),
        });
        let subsession = frame.subsession().to_owned();
        let answers = || {
            frame.sent
                && frame.is("start", "response")
                && frame.text("control", "message_state") == "final"
                && matches!(frame.code(), 0 | 200..=299)
        };
        if frame.is("connect", "request") {
            phone.tokens.extend(token(&frame).map(ToOwned::to_owned));
        } else if frame.answers("connect") {
            frame.text("header", "initiator").clone_into(&mut phone.address);
        } else if frame.is_start() {
            phone.given.entry(subsession).or_insert_with(|| frame.mark());
        } else if answers()
            && let Some(mark) = phone.given.get(&subsession)
            && let Some(call) = self.calls.get_mut(mark)
        {
            call.answered = true;
        }
    }

    /// That a call is placed, and that it is over.
    fn message(&mut self, event: &Event) {
        let Some(message) = scan(event.bytes()) else { return };
        let (from, to) = (message.header("from"), message.header("to"));
        let (Some(from), Some(to)) = (from, to) else { return };
        match message.method() {
            Some("INVITE") if event.kind == Kind::SipSent && param(to, "tag").is_none() => {
                let user = uri(from).split(':').nth(1).and_then(|rest| rest.split('@').next());
                let call = Call {
                    id: message.call_id().to_owned(),
                    caller: event.actor.clone(),
                    callee: uri(to).trim_start_matches("sip:").to_owned(),
                    ..Call::default()
                };
                self.calls.entry(user.unwrap_or_default().to_owned()).or_insert(call);
            }
            Some("BYE") => {
                let of = self.calls.values_mut().filter(|call| call.id == message.call_id());
                of.for_each(|call| call.over = true);
            }
            _ => {}
        }
    }

    /// What a caller hears of its call, and that it acknowledges the answer.
    fn fact(&mut self, fact: &Fact) {
        let call = self.calls.get_mut(&fact.about);
        let Some(call) = call.filter(|call| call.caller == fact.actor) else { return };
        match (fact.what, fact.number) {
            (What::Received, 180) => call.rings = true,
            (What::Received, 200..=299) => call.answered = true,
            (What::Received, 300..) => call.over = true,
            (What::Confirmed, _) => call.confirmed = true,
            _ => {}
        }
    }

    /// The phases that a fault at this place may concern.
    fn phases(&self, place: &str) -> BTreeSet<Phase> {
        let parts: Vec<_> = place.split("--").flat_map(|end| end.split("->")).collect();
        let named = |name: &str| {
            parts.iter().any(|part| part.split('.').next().is_some_and(|head| head == name))
        };
        let some_named = self.phones.keys().any(|name| named(name));
        let concerned = self.phones.iter().filter(|(name, _)| !some_named || named(name));
        let mark = self.calls.get_key_value(place).map(|(mark, _)| mark.as_str());
        let mut phases: BTreeSet<_> =
            concerned.flat_map(|(_, phone)| self.phases_of(phone, mark)).collect();
        if phases.is_empty() {
            // Before any phone is there.
            phases.insert(Phase::Awake);
        }
        phases
    }

    /// Where a phone stands with each of its calls, or with the one of this mark; with none, where its
    /// app is.
    fn phases_of(&self, phone: &Phone, mark: Option<&str>) -> Vec<Phase> {
        let for_it = |(other, call): &(&String, &Call)| {
            call.callee == phone.address && mark.is_none_or(|mark| mark == other.as_str())
        };
        let calls: Vec<_> = self.calls.iter().filter(for_it).collect();
        if mark.is_some() && calls.is_empty() {
            return Vec::new();
        }
        let live = calls.iter().filter(|(_, call)| !call.over);
        let live: Vec<_> = live.map(|(mark, call)| call.phase(phone, mark)).collect();
        if !live.is_empty() {
            return live;
        }
        vec![match phone.app {
            App::Awake if calls.is_empty() => Phase::Awake,
            App::Awake => Phase::After,
            App::Asleep => Phase::Asleep,
            App::Pushed => Phase::Push,
            App::Told | App::Dialled => Phase::Returning,
        }]
    }
}

impl Call {
    /// Where it stands at this phone.
    fn phase(&self, phone: &Phone, mark: &str) -> Phase {
        let has_it = phone.given.values().any(|given| given == mark);
        match phone.app {
            _ if self.confirmed => Phase::Talking,
            _ if self.answered => Phase::Answered,
            _ if has_it && self.rings => Phase::Ringing,
            _ if has_it => Phase::Started,
            App::Asleep => Phase::Held,
            App::Pushed => Phase::Push,
            App::Told | App::Dialled => Phase::Returning,
            App::Awake => Phase::Awake,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reveille_scenarios::Weather;
    use reveille_trace::FAULTS;

    use super::*;
    use crate::cast::caller::LOST;
    use crate::cast::phone::Command;
    use crate::cast::phone::os::{Misstep, Order};
    use crate::cast::push::Answer;
    use crate::stage::Fault;

    /// One of each.
    fn faults() -> Vec<Fault> {
        let (host, down) = ("gateway".to_owned(), Duration::ZERO);
        let (a, b, lasts) = ("a".to_owned(), "b".to_owned(), down);
        let weather = Weather::default();
        let crash = Fault::Crash { host: host.clone(), down };
        // A new fault is put into the list below, and into FAULTS.
        match crash {
            Fault::Crash { .. }
            | Fault::PowerLoss { .. }
            | Fault::Restart { .. }
            | Fault::Partition { .. }
            | Fault::CrashAt { .. }
            | Fault::Cut { .. }
            | Fault::Storm { .. }
            | Fault::Move { .. }
            | Fault::Rebind { .. }
            | Fault::ClockStep { .. }
            | Fault::Outage { .. } => {}
        }
        vec![
            crash,
            Fault::PowerLoss { host: host.clone(), down },
            Fault::Restart { host: host.clone(), down },
            Fault::Partition { a: a.clone(), b: b.clone(), lasts },
            Fault::CrashAt { host: host.clone(), at: 1, after: false, down },
            Fault::Cut { from: a.clone(), to: b.clone(), lasts },
            Fault::Storm { a, b, weather, lasts },
            Fault::Move { host: host.clone() },
            Fault::Rebind { host: host.clone() },
            Fault::ClockStep { host: host.clone(), by_ms: 1 },
            Fault::Outage { host, lasts },
        ]
    }

    #[test]
    fn every_fault_has_a_row_of_the_table() {
        let mut kinds: Vec<_> = faults().iter().map(|it| kind(it.name(), &it.on())).collect();
        // A sweep's power loss is a trap of the world's own.
        kinds.extend([kind("power-loss-at", "gateway"), kind(LOST, "c1")]);
        let refuse = Answer::Refuse { status: 503, retry_after_s: None };
        let answers = [
            refuse,
            Answer::Hang,
            Answer::Drop,
            Answer::Duplicate,
            Answer::Delay { delay_ms: 1 },
            Answer::Reorder,
            Answer::GoAway,
            Answer::RefuseStream,
            Answer::Page,
            Answer::Endless,
        ];
        let answered = answers.iter().filter_map(Answer::fault);
        kinds.extend(answered.map(|fault| kind(fault, "push.webhook")));
        let misstep = |how| Order::Misbehave { how, times: 1 };
        let orders = [
            Order::ForceStop,
            Order::Airplane { lasts_ms: 0 },
            Order::Doze { deep: true, lasts_ms: 0 },
            Order::LowPower,
            misstep(Misstep::FailsToStart),
            misstep(Misstep::ConnectsLate),
            misstep(Misstep::Crashes),
            misstep(Misstep::ReportsNothing),
        ];
        let orders = orders.into_iter().map(Command::Os);
        let commands = [Command::Kill, Command::DropConnection].into_iter().chain(orders);
        for (fault, part, _) in commands.filter_map(|command| command.fault()) {
            kinds.push(kind(fault, &format!("bob.{part}")));
        }
        // What a scenario says of where an actor stands is no order.
        kinds.push(kind("nat", "bob"));
        kinds.sort();
        let mut known: Vec<_> = FAULTS.iter().map(ToString::to_string).collect();
        known.sort();
        assert_eq!(kinds, known);
    }
}
