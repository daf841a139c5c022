//! What befalls hosts, links and clocks, in the stage's terms.

use std::collections::BTreeMap;

use reveille_scenarios::{Place, Scenario, Verb as Said};

use crate::stage::{Fault, Site};

/// The fault that this verb is, if it is one.
pub(super) fn of(verb: &Said) -> Option<Fault> {
    Some(match verb {
        Said::Crash { host, down } => Fault::Crash { host: host.clone(), down: *down },
        Said::PowerLoss { host, down } => Fault::PowerLoss { host: host.clone(), down: *down },
        Said::Restart { host, down } => Fault::Restart { host: host.clone(), down: *down },
        Said::Partition { a, b, lasts } => {
            Fault::Partition { a: a.clone(), b: b.clone(), lasts: *lasts }
        }
        Said::Cut { from, to, lasts } => {
            Fault::Cut { from: from.clone(), to: to.clone(), lasts: *lasts }
        }
        Said::Storm { a, b, weather, lasts } => {
            Fault::Storm { a: a.clone(), b: b.clone(), weather: *weather, lasts: *lasts }
        }
        Said::Outage { host, lasts } => Fault::Outage { host: host.clone(), lasts: *lasts },
        Said::Move { who } => Fault::Move { host: who.clone() },
        Said::Rebind { who } => Fault::Rebind { host: who.clone() },
        Said::Clock { host, by_ms } => Fault::ClockStep { host: host.clone(), by_ms: *by_ms },
        _ => return None,
    })
}

/// Where the hosts stand that do not stand as usual.
pub(super) fn sites(scenario: &Scenario) -> BTreeMap<String, Site> {
    let of = |place: &Place| Site { ahead_ms: place.ahead_ms, nat: place.nat };
    scenario.places.iter().map(|(name, place)| (name.clone(), of(place))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reveille_scenarios::read;

    use super::*;

    #[test]
    fn each_fault_of_a_file_is_planned_by_its_name_and_place() {
        let steps = [
            (r#"crash = "gateway""#, Some(("crash", "gateway"))),
            (r#"power-loss = "gateway""#, Some(("power-loss", "gateway"))),
            (r#"restart = "gateway""#, Some(("restart", "gateway"))),
            (r#"partition = "gateway--push", lasts = "1s""#, Some(("partition", "gateway--push"))),
            (r#"cut = "bob->gateway", lasts = "1s""#, Some(("cut", "bob->gateway"))),
            (
                r#"storm = "bob--gateway", lasts = "1s", delay = "1s""#,
                Some(("storm", "bob--gateway")),
            ),
            (r#"outage = "bob", lasts = "1s""#, Some(("outage", "bob"))),
            (r#"move = "bob""#, Some(("move", "bob"))),
            (r#"rebind = "bob""#, Some(("rebind", "bob"))),
            (r#"clock = "gateway", by = "-1s""#, Some(("clock-step", "gateway"))),
            (r#"note = "nothing""#, None),
        ];
        let lines: Vec<_> = steps.iter().map(|(step, _)| format!("{{ {step} }},")).collect();
        let text = format!(
            "schema = 1\ntitle = \"T\"\n[world]\ngateway-clock = \"-5s\"\n[actors]\n\
             alice = {{ kind = \"sip-ua\" }}\n\
             bob = {{ kind = \"phone\", nat = \"60s\", clock = \"1h\" }}\n\
             [script]\nsteps = [\n{}\n]\nexpect = [\n{{ must = \"never push.sent(bob)\" }},\n]\n",
            lines.join("\n")
        );
        let scenario = read("test/faults", &text).unwrap_or_else(|report| panic!("{report}"));
        for (step, (_, wanted)) in scenario.steps.iter().zip(steps) {
            let fault = of(&step.verb).map(|fault| (fault.name(), fault.on()));
            assert_eq!(fault, wanted.map(|(name, on)| (name, on.to_owned())));
        }
        let bob = Site { ahead_ms: 3_600_000, nat: Some(Duration::from_secs(60)) };
        let gateway = Site { ahead_ms: -5_000, nat: None };
        let wanted = [("bob".to_owned(), bob), ("gateway".to_owned(), gateway)];
        assert_eq!(sites(&scenario), wanted.into());
    }
}
