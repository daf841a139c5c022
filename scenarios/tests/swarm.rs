//! What a swarm file means, and what is said of one that is wrong.

use std::time::Duration;

use reveille_scenarios::{
    App, Between, Feature, Service, Swarm, Transport, is_swarm, read, read_swarm, swarms,
};

const HEAD: &str = "schema = 1\nkind = \"swarm\"\ntitle = \"Anything\"\n[draw]\n";

fn sound(draw: &str) -> Swarm {
    let text = format!("{HEAD}{draw}");
    read_swarm("swarm/test", &text, None).unwrap_or_else(|report| panic!("{report}"))
}

/// What is wrong, each problem on its line, without the file's name.
fn wrong(draw: &str) -> Vec<String> {
    let text = format!("{HEAD}{draw}");
    let report = read_swarm("swarm/test", &text, None).expect_err(draw).to_string();
    report.lines().map(|line| line.trim_start_matches("swarm/test.toml:").to_owned()).collect()
}

#[test]
fn every_shipped_swarm_reads_and_is_no_scenario() {
    assert!(swarms().iter().any(|(id, _)| *id == "swarm/calls"));
    for (id, text) in swarms() {
        assert!(is_swarm(text));
        let swarm = read_swarm(id, text, None).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(&swarm.id, id);
        assert!(read(id, text).is_err(), "{id} has no steps");
    }
    for (id, text) in reveille_scenarios::shipped() {
        assert!(!is_swarm(text), "{id}");
    }
}

#[test]
fn what_is_left_out_is_drawn_from_all() {
    let swarm = sound("");
    assert_eq!((swarm.phones, swarm.seeds), (Between { least: 1, most: 2 }, 1));
    assert_eq!(swarm.features, Feature::ALL);
    assert_eq!(swarm.apps, [App::Sdk, App::Plain]);
    assert_eq!(swarm.push.len(), 4);
    let words: std::collections::BTreeSet<_> = Feature::ALL.iter().map(|f| f.word()).collect();
    assert_eq!(words.len(), Feature::ALL.len(), "each has a word of its own");
}

#[test]
fn bounds_and_words_are_taken_as_they_are_written() {
    let swarm = sound(
        "phones = [2, 3]\ncallers = [1, 1]\ncalls = [5, 6]\nfaults = [2, 2]\nspan = [\"20s\", \
         \"1m\"]\nwake-budget = [\"5s\", \"6s\"]\nring-deadline = [\"7s\", \"8s\"]\napps = \
         [\"plain\"]\npush = [\"fcm\"]\ntransports = [\"tcp\"]\nfeatures = [\"crash\", \
         \"cancel\"]\n",
    );
    let s = Duration::from_secs;
    assert_eq!(swarm.phones, Between { least: 2, most: 3 });
    assert_eq!(swarm.span, Between { least: s(20), most: s(60) });
    assert_eq!(swarm.ring_deadline, Between { least: s(7), most: s(8) });
    assert_eq!((swarm.apps, swarm.push), (vec![App::Plain], vec![Service::Fcm]));
    assert_eq!(swarm.transports, [Transport::Tcp]);
    assert_eq!(swarm.features, [Feature::Crash, Feature::Cancel]);
}

#[test]
fn each_mistake_says_where_it_is_and_what_to_write_instead() {
    let cases = [
        ("phones = [3, 1]", "5:10: scenario.out-of-range: the lower bound of `phones` is above"),
        ("phones = [1, 9]", "5:14: scenario.out-of-range: `phones` lies outside of 1 to 4"),
        ("phones = [1]", "5:10: scenario.out-of-range: `phones` is not a lower and an upper"),
        ("phones = 2", "5:10: scenario.wrong-type: `phones` is not a list"),
        (
            "span = [60, \"90s\"]",
            "5:9: scenario.not-a-duration: `span` has a number without a unit",
        ),
        ("features = [\"cancel\"]", "5:12: scenario.out-of-range: `features` names no fault"),
        ("features = [\"crahs\"]", "5:13: scenario.unknown-word: `features` does not know"),
        ("apps = []", "5:8: scenario.out-of-range: `apps` names nothing"),
        ("phone = [1, 2]", "5:1: scenario.unknown-key: `[draw]` has no key `phone`; did"),
    ];
    for (draw, said) in cases {
        let all = wrong(draw);
        assert_eq!(all.len(), 1, "{draw}: {all:#?}");
        assert!(all[0].starts_with(said), "{draw}: {all:#?}");
        assert!(all[0].contains("; "), "{draw}: it says what to write instead");
    }
    let both = wrong("phones = [3, 1]\napps = [\"sdk\", \"sdk\"]");
    assert_eq!(both.len(), 2, "one pass finds all: {both:#?}");
}
