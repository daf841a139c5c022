//! All that a scenario sets besides its script, each at its default.

use reveille_scenarios::{
    Actor, App, Early, OnCall, Proxy, Scenario, Service, Transport, Verb, World,
};

use super::ANSWER_AFTER;

/// What an actor does with a call of which nobody said anything.
const ON_CALL: OnCall = OnCall::Answer(ANSWER_AFTER);

/// The scenario with one thing more at its default, for each that is not.
pub(super) fn plainer(scenario: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut edit = |change: &dyn Fn(&mut Scenario)| {
        let mut changed = scenario.clone();
        change(&mut changed);
        if changed != *scenario {
            all.push(changed);
        }
    };
    edit(&|s| s.needs.clear());
    edit(&|s| s.seeds = 1);
    edit(&|s| s.places.clear());
    edit(&|s| s.world = World::default());
    worlds(&mut edit);
    for (name, actor) in &scenario.actors {
        for plain in actors(actor) {
            edit(&|s| {
                if let (Actor::Phone { push: was, .. }, Actor::Phone { push, .. }) = (actor, &plain)
                {
                    follow(s, *was, *push);
                }
                s.actors.insert(name.clone(), plain.clone());
            });
        }
    }
    all
}

fn worlds(edit: &mut impl FnMut(&dyn Fn(&mut Scenario))) {
    // Each key has a line here.
    let World {
        wake_budget,
        ring_deadline,
        registration,
        late_offer,
        payload_carries,
        proxy,
        nodes,
    } = World::default();
    edit(&|s| s.world.wake_budget = wake_budget);
    edit(&|s| s.world.ring_deadline = ring_deadline);
    edit(&|s| s.world.registration = registration);
    edit(&|s| s.world.late_offer = late_offer);
    edit(&|s| s.world.payload_carries = payload_carries);
    edit(&|s| s.world.proxy = Proxy { challenges: false, ..s.world.proxy });
    edit(&|s| s.world.proxy = proxy);
    edit(&|s| s.world.nodes = nodes);
}

/// An actor as plain as can be, then with one thing more at its default.
fn actors(actor: &Actor) -> Vec<Actor> {
    match *actor {
        Actor::Phone { app, push, on_call, device } => {
            let (plain, webhook) = (App::default(), Service::default());
            // A system and its push service go together.
            vec![
                Actor::Phone { app: plain, push: webhook, on_call: ON_CALL, device: None },
                Actor::Phone { app: plain, push, on_call, device },
                Actor::Phone { app, push, on_call, device: None },
                Actor::Phone { app, push: webhook, on_call, device: None },
                Actor::Phone { app, push, on_call: ON_CALL, device },
            ]
        }
        Actor::SipUa { transport, on_call, early } => {
            let (udp, ringing) = (Transport::default(), Early::default());
            vec![
                Actor::SipUa { transport: udp, on_call: ON_CALL, early: ringing },
                Actor::SipUa { transport: udp, on_call, early },
                Actor::SipUa { transport, on_call: ON_CALL, early },
                Actor::SipUa { transport, on_call, early: ringing },
            ]
        }
    }
}

/// Faults of a push service go with the phone that leaves it.
fn follow(scenario: &mut Scenario, was: Service, is: Service) {
    for step in &mut scenario.steps {
        if let Verb::Push { service, .. } = &mut step.verb
            && *service == was
        {
            *service = is;
        }
    }
}
