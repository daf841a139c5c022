//! From a scenario to a script: who plays is set up as the target wants to be reached, and every
//! verb becomes an order to the cast.

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_scenarios::{
    self as scenarios, Break, Expect, Head, OnCall, PushFate, Scenario, Service, Sight, What,
};

use super::{Cast, Script, Step, Verb, When, faults};
use crate::cast::sip::Transport;
use crate::cast::{caller, phone, push, registrar};
use crate::player::devices::system;

/// How the cast reaches one target.
pub trait Rig {
    /// A caller of this name.
    fn caller(&self, name: &str) -> caller::Settings;
    /// A phone of this name, whose user the target knows, and which this service wakes.
    fn phone(&self, name: &str, push: Service) -> phone::Settings;
    /// The registrar, and the users that may register.
    fn registrar(&self, phones: &[&str]) -> registrar::Settings;
    /// The push services, which know these phones.
    fn push(&self, phones: &[(&str, Service)]) -> push::Settings;
    /// The host of this node, from 1.
    fn node(&self, node: u32) -> String;
    /// Resolved properties of the target, for the head of the trace.
    fn properties(&self) -> Vec<(String, String)>;
}

/// The longest that one trigger is waited for: above every hold, ring and transaction.
const PATIENCE: Duration = Duration::from_secs(200);
/// What a play may take beyond its longest waits.
const SPARE: Duration = Duration::from_secs(1_000);

/// What is performed for `scenario` at the target that `rig` reaches, and what is then expected.
#[must_use]
pub fn script(scenario: &Scenario, rig: &dyn Rig) -> (Script, Vec<Expect>) {
    let lowering = Lowering { scenario, rig };
    let steps: Vec<_> = scenario.steps.iter().map(|step| lowering.step(step)).collect();
    let waits = steps.iter().map(|step| match &step.when {
        When::At(time) | When::Wait(time) => *time,
        When::Now | When::Seen(_) => Duration::ZERO,
    });
    let script = Script {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        target: rig.properties(),
        cast: lowering.cast(),
        patience: PATIENCE,
        limit: waits.sum::<Duration>() + SPARE,
        steps,
        sites: faults::sites(scenario),
        laid: Vec::new(),
    };
    let expects = scenario.expects.iter().map(|expect| lowering.expect(expect)).collect();
    (script, expects)
}

pub(super) struct Lowering<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) rig: &'a dyn Rig,
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn conduct(on_call: OnCall) -> phone::Conduct {
    match on_call {
        OnCall::Answer(after) => phone::Conduct::Answer { after_ms: ms(after) },
        OnCall::Decline(status) => phone::Conduct::Decline { status },
        OnCall::Ring => phone::Conduct::Ring,
    }
}

pub(super) const fn said_early(early: scenarios::Early) -> caller::Early {
    match early {
        scenarios::Early::Ringing => caller::Early::Ringing,
        scenarios::Early::ReliableRinging => caller::Early::ReliableRinging,
        scenarios::Early::Media => caller::Early::Media,
        scenarios::Early::ReliableMedia => caller::Early::ReliableMedia,
        scenarios::Early::Silence => caller::Early::Silence,
    }
}

/// The registrar finds a SIP user agent at its host, under the port that it listens on.
fn route(name: &str, settings: &caller::Settings) -> registrar::Route {
    let port = settings.listen.rsplit_once(':').map_or("5060", |(_, port)| port);
    let to = format!("{}:{port}", settings.advertise);
    registrar::Route { user: name.to_owned(), to, transport: settings.transport }
}

fn answer(fate: PushFate) -> push::Answer {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    match fate {
        PushFate::Refused { status, retry_after } => {
            push::Answer::Refuse { status, retry_after_s: seconds(retry_after) }
        }
        PushFate::Answered { reason, retry_after, age } => push::Answer::Reason {
            name: push::Reason::named(reason).expect("the grammar knows what is documented"),
            age_s: age.as_secs(),
            retry_after_s: seconds(retry_after),
        },
        PushFate::Broken(Break::Page) => push::Answer::Page,
        PushFate::Broken(Break::Endless) => push::Answer::Endless,
        PushFate::Broken(Break::GoAway) => push::Answer::GoAway,
        PushFate::Broken(Break::RefusedStream) => push::Answer::RefuseStream,
        PushFate::RequestDropped => push::Answer::Hang,
        PushFate::DeliveryDropped => push::Answer::Drop,
        PushFate::Duplicated => push::Answer::Duplicate,
        PushFate::Delayed(by) => push::Answer::Delay { delay_ms: ms(by) },
    }
}

/// Which service wakes this actor, if it is a phone.
const fn wakes(actor: &scenarios::Actor) -> Option<Service> {
    match actor {
        scenarios::Actor::Phone { push, .. } => Some(*push),
        scenarios::Actor::SipUa { .. } => None,
    }
}

impl Lowering<'_> {
    fn cast(&self) -> Cast {
        let (mut callers, mut phones) = (BTreeMap::new(), BTreeMap::new());
        for (name, actor) in &self.scenario.actors {
            match actor {
                scenarios::Actor::Phone { app, push, on_call, device } => {
                    let app = match app {
                        scenarios::App::Sdk => phone::AppKind::Sdk,
                        scenarios::App::Plain => phone::AppKind::Plain,
                    };
                    let conduct = conduct(*on_call);
                    let (os, own) = (device.map(system), self.rig.phone(name, *push));
                    let settings = phone::Settings { app, conduct, os, ..own };
                    phones.insert(name.clone(), settings);
                }
                scenarios::Actor::SipUa { transport, on_call, early } => {
                    let transport = match transport {
                        scenarios::Transport::Udp => Transport::Udp,
                        scenarios::Transport::Tcp => Transport::Tcp,
                    };
                    let (conduct, early) = (conduct(*on_call), said_early(*early));
                    let own = self.rig.caller(name);
                    let settings = caller::Settings { transport, conduct, early, ..own };
                    callers.insert(name.clone(), settings);
                }
            }
        }
        let names: Vec<_> = phones.keys().map(String::as_str).collect();
        let proxy = self.scenario.world.proxy;
        let registrar = registrar::Settings {
            routes: callers.iter().map(|(name, settings)| route(name, settings)).collect(),
            challenge_calls: proxy.challenges,
            record_routes: proxy.records_route,
            ..self.rig.registrar(&names)
        };
        Cast { registrar, callers, phones, push: self.push() }
    }

    fn push(&self) -> push::Settings {
        let of = |(name, actor)| Some((name, wakes(actor)?));
        let actors = self.scenario.actors.iter().map(|(name, actor)| (name.as_str(), actor));
        let phones: Vec<_> = actors.filter_map(of).collect();
        let mut settings = self.rig.push(&phones);
        if let Some(apns) = settings.apns.as_mut().filter(|_| self.forgets()) {
            // Who is killed has lost its provider token, and makes another one at once.
            apns.renew_min_s = 0;
        }
        settings
    }

    /// Whether the target is stopped in the play, and forgets what it has in memory only.
    fn forgets(&self) -> bool {
        use scenarios::Verb::{Crash, PowerLoss, Restart};
        let stops = |verb: &scenarios::Verb| {
            matches!(verb, Crash { host, .. } | PowerLoss { host, .. } | Restart { host, .. }
                if host.starts_with("gateway"))
        };
        self.scenario.sweep.is_some() || self.scenario.steps.iter().any(|step| stops(&step.verb))
    }

    /// The same port of this node.
    fn at_node(&self, node: u32, address: &str) -> String {
        let port = address.rsplit_once(':').map_or(address, |(_, port)| port);
        format!("{}:{port}", self.rig.node(node))
    }

    /// How this phone is reached.
    fn phone(&self, name: &str) -> phone::Settings {
        let push = self.scenario.actors.get(name).and_then(wakes);
        self.rig.phone(name, push.unwrap_or_default())
    }

    fn step(&self, step: &scenarios::Step) -> Step {
        let when = match &step.head {
            Head::Now => When::Now,
            Head::At(time) => When::At(*time),
            Head::Wait(time) => When::Wait(*time),
            Head::When(sight) => When::Seen(self.sight(sight)),
        };
        Step { when, verb: self.verb(&step.verb) }
    }

    fn verb(&self, verb: &scenarios::Verb) -> Verb {
        use scenarios::Verb as Said;
        let phone = |name: &str, command| Verb::Phone(name.to_owned(), command);
        match verb {
            Said::Sleep { phone: name, by_close } => {
                let by = if *by_close { phone::SleepBy::Close } else { phone::SleepBy::Hibernate };
                phone(name, phone::Command::Sleep(by))
            }
            Said::Resume { phone: name } => phone(name, phone::Command::Open),
            Said::KillApp { phone: name } => phone(name, phone::Command::Kill),
            Said::DropWebSocket { phone: name } => phone(name, phone::Command::DropConnection),
            Said::SetPushes { phone: name, ignored } => {
                phone(name, phone::Command::IgnorePushes(*ignored))
            }
            Said::SetNode { who, node } if self.is_phone(who) => {
                phone(who, phone::Command::Turn(self.at_node(*node, &self.phone(who).gateway)))
            }
            Said::SetNode { who, node } => {
                let turn = self.at_node(*node, &self.rig.caller(who).gateway);
                Verb::Caller(who.clone(), caller::Command::Turn(turn))
            }
            Said::SetOnCall { who, .. }
            | Said::SetEarly { who, .. }
            | Said::HangUp { who, .. }
            | Said::Cancel { mark: who, .. }
            | Said::Renegotiate { mark: who, .. }
            | Said::Info { mark: who, .. }
            | Said::Retransmit { mark: who } => self.of_parties(verb, who),
            Said::Call { mark, from, to, hang_up_after, .. } if self.is_phone(from) => {
                let (mark, hang_up_after_ms) = (mark.clone(), hang_up_after.map(ms));
                let to = self.address_of(to);
                let call = phone::Outgoing { mark, to, hang_up_after_ms };
                phone(from, phone::Command::Place(call))
            }
            Said::Call {
                mark,
                from,
                to,
                hang_up_after,
                lost_answers,
                late_offer,
                to_request_uri,
            } => {
                let call = caller::Call {
                    mark: mark.clone(),
                    to: format!("sip:{}", self.phone(to).address),
                    hang_up_after_ms: hang_up_after.map(ms),
                    in_dialog: match to_request_uri {
                        true => caller::InDialog::RequestUri,
                        false => caller::InDialog::Contact,
                    },
                    lost_answers: *lost_answers,
                    late_offer: *late_offer,
                };
                Verb::Caller(from.clone(), caller::Command::Call(call))
            }
            Said::Message(message) if self.is_phone(&message.from) => {
                let (mark, to) = (message.mark.clone(), self.address_of(&message.to));
                phone(&message.from, phone::Command::Send(mark, to))
            }
            Said::Message(message) => self.message(message),
            Said::Subscribe { phone: name, to } => {
                phone(name, phone::Command::Subscribe(self.address_of(to)))
            }
            Said::Notify { phone: subscriber, by, messages, ends } => {
                let (subscriber, messages, ends) = (subscriber.clone(), *messages, *ends);
                let notice = caller::Notice { subscriber, messages, ends };
                Verb::Caller(by.clone(), caller::Command::Notify(notice))
            }
            Said::Device { phone: name, act } => self.act(name, *act),
            Said::Push { service, fate, times } => {
                let answers = (0..*times).map(|_| answer(*fate)).collect();
                Verb::Push(push::Command::Script { service: *service, answers })
            }
            Said::Note { text } => Verb::Pause(text.clone()),
            Said::Crash { .. }
            | Said::PowerLoss { .. }
            | Said::Restart { .. }
            | Said::Partition { .. }
            | Said::Cut { .. }
            | Said::Storm { .. }
            | Said::Outage { .. }
            | Said::Move { .. }
            | Said::Rebind { .. }
            | Said::Clock { .. } => {
                Verb::Fault(faults::of(verb).expect("each of these is a fault"))
            }
        }
    }

    /// Where a SIP user agent is reached.
    fn address_of(&self, agent: &str) -> String {
        format!("{agent}@{}", self.rig.caller(agent).domain)
    }

    fn message(&self, message: &scenarios::Message) -> Verb {
        let content = match message.content {
            scenarios::Content::Text => caller::Content::Text,
            scenarios::Content::IsComposing => caller::Content::IsComposing,
            scenarios::Content::Imdn => caller::Content::Imdn,
        };
        let sent = caller::Message {
            mark: message.mark.clone(),
            to: format!("sip:{}", self.phone(&message.to).address),
            content,
            non_urgent: message.non_urgent,
            expires_s: message.expires.map(|life| life.as_secs()),
        };
        Verb::Caller(message.from.clone(), caller::Command::Message(sent))
    }

    pub(super) fn is_phone(&self, name: &str) -> bool {
        matches!(self.scenario.actors.get(name), Some(scenarios::Actor::Phone { .. }))
    }

    /// The push service knows a phone by its token.
    fn sight(&self, sight: &Sight) -> Sight {
        let is_push = matches!(
            sight.what,
            What::PushSent
                | What::PushAnswered
                | What::PushDropped
                | What::PushArrived
                | What::PushHeld
        );
        let about = sight.about.as_ref().map(|about| {
            if is_push && self.is_phone(about) { self.phone(about).token } else { about.clone() }
        });
        Sight { about, ..sight.clone() }
    }

    fn expect(&self, expect: &Expect) -> Expect {
        use scenarios::Wanted;
        let wanted = match &expect.wanted {
            Wanted::Seen(sight) => Wanted::Seen(self.sight(sight)),
            Wanted::Never(sight) => Wanted::Never(self.sight(sight)),
            Wanted::Count(sight, low, high) => Wanted::Count(self.sight(sight), *low, *high),
            Wanted::FirstIn(sight, of) => Wanted::FirstIn(self.sight(sight), of.clone()),
        };
        let after = expect.after.as_ref().map(|sight| self.sight(sight));
        Expect { wanted, after, ..expect.clone() }
    }
}
