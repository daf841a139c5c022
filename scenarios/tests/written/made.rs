//! Any valid scenario, from numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use reveille_scenarios::{
    Actor, App, Break, Content, Early, Expect, Head, Message, Need, OnCall, Os, Point, Proxy,
    PushFate, Scenario, Service, Sight, Step, Sweep, SweepFault, Transport, Verb, Wanted, What,
    World,
};

use crate::{devices, faults};

/// Numbers in their order; zeros when they are used up, so that fewer numbers are a simpler scenario.
pub(crate) struct Dice<'n>(std::slice::Iter<'n, u32>);

impl<'n> Dice<'n> {
    pub(crate) fn new(numbers: &'n [u32]) -> Self {
        Self(numbers.iter())
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0.next().copied().unwrap_or(0) % bound
    }

    pub(crate) fn small(&mut self, bound: u16) -> u16 {
        u16::try_from(self.below(u32::from(bound))).expect("it is below")
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let most = u32::try_from(of.len()).expect("few");
        of[usize::try_from(self.below(most)).expect("few")].clone()
    }

    pub(crate) fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| make(self))
    }

    /// From zero to a week, in whole units and in odd ones.
    pub(crate) fn time(&mut self) -> Duration {
        match self.below(5) {
            0 => Duration::from_secs(self.below(200).into()),
            1 => Duration::from_millis(self.below(100_000).into()),
            2 => Duration::from_secs(60 * u64::from(self.below(10_080))),
            3 => Duration::from_nanos(self.below(u32::MAX).into()),
            _ => Duration::from_micros(u64::from(self.below(u32::MAX)) * 100),
        }
    }

    pub(crate) fn seconds(&mut self, least: u32, most: u32) -> Duration {
        Duration::from_secs((least + self.below(most - least)).into())
    }

    fn text(&mut self) -> String {
        self.one(&["x", "Grüße \"in\" Eile", "a\\b", "a\nb\tc", "{ } [ ] = #", "\u{7f}\u{1}"])
            .to_owned()
    }
}

/// Who and what there is so far.
struct Play {
    callers: Vec<String>,
    phones: Vec<String>,
    services: Vec<Service>,
    systems: Vec<(String, Os)>,
    nodes: u32,
    /// Mark, who placed it, and who is called.
    calls: Vec<(String, String, String)>,
    messages: Vec<String>,
}

pub(crate) fn scenario(dice: &mut Dice<'_>) -> Scenario {
    let world = world(dice);
    let (actors, mut play) = people(dice, world.nodes.unwrap_or(1));
    let steps = (0..=dice.below(14)).map(|_| step(dice, &mut play)).collect();
    let expects: Vec<_> = (0..dice.below(5)).map(|_| expect(dice, &play)).collect();
    let mut covers: Vec<_> = ["patent.step.order", "sip.end.parked-cancel-200-and-487"]
        .iter()
        .filter_map(|id| dice.maybe(|_| (*id).to_owned()))
        .collect();
    if expects.is_empty() && covers.is_empty() {
        covers.push("a.b".to_owned());
    }
    let needs = if world.nodes.is_some() || dice.yes() { vec![Need::Sim] } else { Vec::new() };
    let (title, seeds) = (dice.text(), u64::from(1 + dice.below(10_000)));
    let sweep = dice.maybe(sweep);
    let id = "made/of-numbers".to_owned();
    let mut places: BTreeMap<_, _> =
        actors.keys().filter_map(|name| Some((name.clone(), dice.maybe(faults::place)?))).collect();
    places.extend(dice.maybe(faults::of_the_gateway).map(|place| ("gateway".to_owned(), place)));
    Scenario { id, title, covers, needs, world, actors, places, steps, expects, sweep, seeds }
}

fn world(dice: &mut Dice<'_>) -> World {
    World {
        wake_budget: dice.maybe(|dice| dice.seconds(5, 150)),
        ring_deadline: dice.maybe(|dice| dice.time() / 2 + Duration::from_secs(1)),
        registration: dice.maybe(|dice| dice.seconds(1, 100_000)),
        late_offer: dice.maybe(Dice::yes),
        payload_carries: dice.yes(),
        proxy: Proxy { challenges: dice.yes(), records_route: dice.yes() },
        nodes: dice.maybe(|dice| 1 + dice.below(4)),
    }
}

fn sweep(dice: &mut Dice<'_>) -> Sweep {
    let all = [Point::Store, Point::Send, Point::Receive, Point::Spawn];
    Sweep {
        fault: dice.one(&[SweepFault::Crash, SweepFault::PowerLoss]),
        on: "gateway".to_owned(),
        down: dice.time(),
        points: all[..=dice.one(&[0, 1, 2, 3])].to_vec(),
    }
}

fn people(dice: &mut Dice<'_>, nodes: u32) -> (BTreeMap<String, Actor>, Play) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let callers = names(&["alice", "dave"][..=dice.one(&[0, 1])]);
    let phones = names(&["bob", "carol", "e-2"][..=dice.one(&[0, 1, 2])]);
    let mut actors = BTreeMap::new();
    for name in &callers {
        let transport = dice.one(&[Transport::Udp, Transport::Tcp]);
        let actor = Actor::SipUa { transport, on_call: on_call(dice), early: early(dice) };
        actors.insert(name.clone(), actor);
    }
    let (mut services, mut systems) = (Vec::new(), Vec::new());
    for name in &phones {
        let device = dice.maybe(devices::device);
        let all = [Service::Webhook, Service::Apns, Service::Fcm, Service::WebPush];
        let push = dice.one(device.map_or(&all, |device| device.os.services()));
        let app = dice.one(&[App::Sdk, App::Plain]);
        services.push(push);
        systems.extend(device.map(|device| (name.clone(), device.os)));
        actors.insert(name.clone(), Actor::Phone { app, push, on_call: on_call(dice), device });
    }
    let (calls, messages) = (Vec::new(), Vec::new());
    (actors, Play { callers, phones, services, systems, nodes, calls, messages })
}

fn on_call(dice: &mut Dice<'_>) -> OnCall {
    match dice.below(4) {
        0 => OnCall::Answer(Duration::from_millis(500)),
        1 => OnCall::Answer(dice.time()),
        2 => OnCall::Decline(300 + dice.small(400)),
        _ => OnCall::Ring,
    }
}

fn early(dice: &mut Dice<'_>) -> Early {
    dice.one(&[
        Early::Ringing,
        Early::ReliableRinging,
        Early::Media,
        Early::ReliableMedia,
        Early::Silence,
    ])
}

fn step(dice: &mut Dice<'_>, play: &mut Play) -> Step {
    let head = match dice.below(4) {
        0 => Head::Now,
        1 => Head::At(dice.time()),
        2 => Head::Wait(dice.time()),
        _ => Head::When(sight(dice, play)),
    };
    Step { head, verb: verb(dice, play), line: 0 }
}

fn verb(dice: &mut Dice<'_>, play: &mut Play) -> Verb {
    let phone = dice.one(&play.phones);
    let anybody = [&play.callers[..], &play.phones[..]].concat();
    match dice.below(20) {
        0 => Verb::Sleep { phone, by_close: dice.yes() },
        1 => Verb::Resume { phone },
        2 => call(dice, play),
        3 => message(dice, play),
        4..=7 => within(dice, play).unwrap_or(Verb::Resume { phone }),
        8 => Verb::Subscribe { phone, to: dice.one(&play.callers) },
        9 => {
            let (by, messages) = (dice.one(&play.callers), dice.small(1_000));
            Verb::Notify { phone, by, messages, ends: dice.yes() }
        }
        10 => Verb::SetPushes { phone, ignored: dice.yes() },
        11 => Verb::SetOnCall { who: dice.one(&anybody), on_call: on_call(dice) },
        12 => Verb::SetEarly { who: dice.one(&play.callers), early: early(dice) },
        13 => Verb::SetNode { who: dice.one(&anybody), node: 1 + dice.below(play.nodes) },
        14 => match dice.yes() {
            true => Verb::KillApp { phone },
            false => Verb::DropWebSocket { phone },
        },
        15 => push(dice, play),
        16 => {
            let (host, down) = (host(dice, play), dice.time());
            match dice.below(3) {
                0 => Verb::Crash { host, down },
                1 => Verb::PowerLoss { host, down },
                _ => Verb::Restart { host, down },
            }
        }
        17 => {
            let (host, who) = (host(dice, play), dice.one(&anybody));
            faults::fault(dice, host, who)
        }
        18 if !play.systems.is_empty() => {
            let (phone, os) = dice.one(&play.systems);
            Verb::Device { phone, act: devices::act(dice, os) }
        }
        _ => Verb::Note { text: dice.text() },
    }
}

fn host(dice: &mut Dice<'_>, play: &Play) -> String {
    let last = if play.nodes > 1 { format!("gateway-{}", play.nodes) } else { "gateway".into() };
    dice.one(&["gateway".to_owned(), "registrar".to_owned(), last, play.phones[0].clone()])
}

/// Between a phone and a SIP user agent, one way or the other; and whether it is placed by SIP.
fn ends(dice: &mut Dice<'_>, play: &Play) -> (String, String, bool) {
    let (caller, phone) = (dice.one(&play.callers), dice.one(&play.phones));
    if dice.yes() { (caller, phone, true) } else { (phone, caller, false) }
}

fn call(dice: &mut Dice<'_>, play: &mut Play) -> Verb {
    let (from, to, by_sip) = ends(dice, play);
    let mark = format!("c{}", play.calls.len() + 1);
    play.calls.push((mark.clone(), from.clone(), to.clone()));
    Verb::Call {
        mark,
        from,
        to,
        hang_up_after: dice.maybe(Dice::time),
        lost_answers: if by_sip { dice.below(100) } else { 0 },
        late_offer: by_sip && dice.yes(),
        to_request_uri: by_sip && dice.yes(),
    }
}

fn message(dice: &mut Dice<'_>, play: &mut Play) -> Verb {
    let (from, to, by_sip) = ends(dice, play);
    let mark = format!("m{}", play.messages.len() + 1);
    play.messages.push(mark.clone());
    let content = dice.one(&[Content::Text, Content::IsComposing, Content::Imdn]);
    Verb::Message(Message {
        mark,
        from,
        to,
        content: if by_sip { content } else { Content::Text },
        non_urgent: by_sip && dice.yes(),
        expires: dice.maybe(|dice| dice.seconds(1, 10_000)).filter(|_| by_sip),
    })
}

/// Something about a call that was placed; some of it only its SIP side can do.
fn within(dice: &mut Dice<'_>, play: &Play) -> Option<Verb> {
    let (mark, from, to) = (!play.calls.is_empty()).then(|| dice.one(&play.calls))?;
    let sip = if play.callers.contains(&from) { from.clone() } else { to.clone() };
    let placed_by_sip = sip == from;
    let by = dice.maybe(|dice| dice.one(&[from.clone(), to]));
    Some(match dice.below(6) {
        0 => Verb::Cancel { mark, by },
        1 => Verb::HangUp { who: mark, by },
        2 => Verb::HangUp { who: from, by: None },
        3 => {
            let stale = dice.yes();
            let by = if stale { Some(sip) } else { by };
            Verb::Renegotiate { mark, by, update: dice.yes(), stale }
        }
        4 => Verb::Info { mark, by: Some(sip) },
        _ if placed_by_sip => Verb::Retransmit { mark },
        _ => Verb::Info { mark, by: Some(sip) },
    })
}

fn push(dice: &mut Dice<'_>, play: &Play) -> Verb {
    let mut service = dice.one(&play.services);
    let retry_after = dice.maybe(|dice| dice.seconds(0, 86_400));
    let fate = match dice.below(7) {
        0 => PushFate::Refused { status: 300 + dice.small(300), retry_after },
        1 if service == Service::Apns => {
            let reason = dice.one(service.reasons());
            let dated = matches!(reason, "Unregistered" | "ExpiredToken");
            let age = dice.seconds(0, 86_400);
            let age = if dated { age } else { Duration::ZERO };
            PushFate::Answered { reason, retry_after, age }
        }
        1 if service == Service::Fcm => {
            service = dice.one(&[Service::Fcm, Service::OAuth]);
            let reason = dice.one(service.reasons());
            PushFate::Answered { reason, retry_after, age: Duration::ZERO }
        }
        2 => PushFate::RequestDropped,
        3 => PushFate::Duplicated,
        4 => PushFate::Delayed(dice.time()),
        5 => PushFate::Broken(dice.one(&[
            Break::Page,
            Break::Endless,
            Break::GoAway,
            Break::RefusedStream,
        ])),
        _ => PushFate::DeliveryDropped,
    };
    Verb::Push { service, fate, times: 1 + dice.below(10_000) }
}

fn sight(dice: &mut Dice<'_>, play: &Play) -> Sight {
    let phone = dice.one(&play.phones);
    let caller = dice.one(&play.callers);
    let of =
        |actor: &str, what, about: Option<String>, numbers: Option<u16>, text: Option<&str>| {
            let numbers = numbers.map(|number| (number, number));
            let text = text.map(str::to_owned);
            Sight { actor: Some(actor.to_owned()), what, about, numbers, text }
        };
    let status = dice.maybe(|dice| 100 + dice.small(500));
    let call = play.calls.first().map(|(mark, ..)| mark.clone());
    match dice.below(8) {
        0 => of(&phone, What::State, None, None, Some(dice.one(&["hibernated", "killed"]))),
        1 => of("push", What::PushAnswered, Some(phone), status, None),
        2 => of("push", dice.one(&[What::PushSent, What::PushDropped]), Some(phone), None, None),
        3 => of(&phone, What::PushArrived, Some(phone.clone()), None, None),
        4 => of("registrar", What::Registered, None, status, None),
        5 => of(&phone, What::Notified, Some(caller), status, None),
        6 if call.is_some() => {
            let mut sight = of(&caller, What::Received, call, status, None);
            sight.numbers = sight.numbers.or_else(|| dice.yes().then_some((200, 699)));
            sight
        }
        _ if call.is_some() => {
            let what =
                [What::Sent, What::Delivered, What::Alerted, What::Confirmed, What::Withdrawn];
            of(&phone, dice.one(&what), call, None, None)
        }
        _ => of(&caller, What::Subscribed, Some(phone), None, None),
    }
}

fn expect(dice: &mut Dice<'_>, play: &Play) -> Expect {
    let seen = sight(dice, play);
    let takes_status = matches!(seen.what, What::Received | What::PushAnswered | What::Registered);
    let count = usize::try_from(1 + dice.below(50)).expect("small");
    let wanted = match dice.below(6) {
        0 => Wanted::Seen(seen),
        1 => Wanted::Never(seen),
        2 => Wanted::Count(seen, count, count),
        3 => Wanted::Count(seen, 0, count - 1),
        4 if takes_status && seen.numbers.is_none_or(|(low, high)| low != high) => {
            let statuses = (0..=dice.below(3)).map(|_| 200 + dice.small(400)).collect();
            Wanted::FirstIn(seen, statuses)
        }
        _ => Wanted::Count(seen, count, usize::MAX),
    };
    let after = dice.maybe(|dice| sight(dice, play));
    let within = dice.maybe(|dice| dice.seconds(1, 600_000));
    let mut text = wanted.to_string();
    text.extend(after.iter().map(|sight| format!(" after {sight}")));
    // Seconds are as good a wording as any.
    text.extend(within.iter().map(|time| format!(" within {}s", time.as_secs())));
    let level = dice.one(&["MUST", "SHOULD", "MAY"]).to_owned();
    Expect { level, text, wanted, after, within, why: dice.maybe(Dice::text), line: 0 }
}
