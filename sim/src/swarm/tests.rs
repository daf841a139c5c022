use reveille_scenarios::{Verb, read_swarm, swarms};

use super::*;

fn swarm() -> Swarm {
    let (id, text) = swarms()[0];
    read_swarm(id, text, None).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn a_seed_decides_a_scenario_and_another_seed_another() {
    let swarm = swarm();
    assert_eq!(scenario(&swarm, 7), scenario(&swarm, 7));
    assert_ne!(scenario(&swarm, 7), scenario(&swarm, 8));
}

#[test]
fn each_play_has_three_calls_a_sleep_and_a_fault_and_stays_within_bounds() {
    let swarm = swarm();
    for seed in 0..2_000 {
        let drawn = scenario(&swarm, seed);
        let count = |is: fn(&Verb) -> bool| drawn.steps.iter().filter(|s| is(&s.verb)).count();
        let calls = count(|verb| matches!(verb, Verb::Call { .. }));
        let lost = |verb: &Verb| matches!(verb, Verb::Call { lost_answers: 1.., .. });
        let faults = count(|verb| {
            use Verb::{Crash, DropWebSocket, KillApp, Partition, PowerLoss, Push, Restart};
            matches!(verb, KillApp { .. } | DropWebSocket { .. } | Push { .. })
                || matches!(verb, Crash { .. } | PowerLoss { .. } | Restart { .. })
                || matches!(verb, Partition { .. })
        }) + count(lost);
        assert!(calls >= 3 && faults >= 1, "seed {seed}: {calls} calls, {faults} faults");
        assert!(count(|verb| matches!(verb, Verb::Sleep { .. })) >= 1, "seed {seed}");
        assert!(drawn.steps.len() < 500, "seed {seed}: {} steps", drawn.steps.len());
        assert!(drawn.expects.len() >= 2);
    }
}
