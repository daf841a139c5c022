//! Ten thousand sleepers over six simulated hours, with a crash in their midst: as the registrar
//! sees it no binding ever lapses, and refreshes come spread.

mod chance;
mod registrar;
mod world;

use world::{SECOND_US, World};

const PHONES: usize = 10_000;
/// Phones connect within this time, the process dies at that, and is away for so long.
const CONNECT_S: u64 = 900;
const CRASH_S: u64 = 3 * 3_600 + 77;
const AWAY_S: u64 = 15;
const END_S: u64 = 6 * 3_600 + 600;
/// How many times the average of a second may come in one: of refreshes, and within the ten seconds in
/// which all come back after a crash.
const BURST: f64 = 15.0;
const BACK_BURST: f64 = 1.5;
const BACK_WITHIN_S: u64 = 11;

#[test]
fn no_binding_of_ten_thousand_sleepers_lapses_in_six_hours() {
    let mut world = World::new(PHONES, CONNECT_S, 1);
    world.run_until((CONNECT_S + 60) * SECOND_US);
    assert_eq!(world.asleep, PHONES, "all sleep");
    world.run_until(CRASH_S * SECOND_US);
    world.crash();
    world.run_until((CRASH_S + AWAY_S) * SECOND_US);
    world.start();
    world.run_until(END_S * SECOND_US);

    let registrar = &world.registrar;
    let (standing, gone) = registrar.standing(world.now_us);
    println!(
        "{} REGISTERs granted, {} refused with 503, {} came again; {} datagrams lost",
        registrar.granted.values().sum::<u32>(),
        registrar.busy,
        registrar.repeated,
        world.lost
    );
    assert_eq!(registrar.wrong, [] as [String; 0]);
    assert_eq!(registrar.lapses, [], "bindings that were refreshed too late");
    assert_eq!((standing, gone), (PHONES, Vec::new()), "bindings that stand at the end");
    let back_s = CRASH_S + AWAY_S;
    for (what, from_s, until_s, most) in [
        ("while phones connect", 0, CONNECT_S, BURST),
        ("from then to the crash", CONNECT_S, CRASH_S, BURST),
        ("back after it", back_s, back_s + BACK_WITHIN_S, BACK_BURST),
        ("from then on", back_s + 60, END_S, BURST),
    ] {
        let (peak, mean) = registrar.load(from_s, until_s);
        println!("{what}: {mean:.1} granted in a second, at most {peak}");
        assert!(f64::from(peak) <= most * mean, "{what}: {peak} in one second");
    }
}
