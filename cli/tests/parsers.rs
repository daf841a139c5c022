//! Every parser that reads a stranger's bytes, on seeds and on thousands of mutations of them: the
//! functions are those of the fuzz targets (`fuzz/`), which go on where this stops.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is another crate's own file")]
mod targets;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// One change of a seed.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Cut(Index, Index),
    Repeat(Index, Index),
    Join(Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>();
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(b"\r\n\t :;,=<>\"[]{}@/\\%0\x00\xff\xc3".to_vec()),
    ];
    prop_oneof![
        (at.clone(), byte.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at.clone(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        (at.clone(), at.clone()).prop_map(|(from, to)| Edit::Cut(from, to)),
        (at.clone(), at.clone()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        (at.clone(), at).prop_map(|(seed, at)| Edit::Join(seed, at)),
    ]
}

fn apply(edits: &[Edit], bytes: &mut Vec<u8>, seeds: &[&[u8]]) {
    for edit in edits {
        if bytes.is_empty() {
            return;
        }
        let span = |from: &Index, to: &Index, length: usize| {
            let (a, b) = (from.index(length), to.index(length));
            if a < b { a..b } else { b..a }
        };
        match edit {
            Edit::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Edit::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Edit::Cut(from, to) => drop(bytes.drain(span(from, to, bytes.len()))),
            Edit::Repeat(from, to) => bytes.extend_from_within(span(from, to, bytes.len())),
            Edit::Join(seed, at) => {
                let seed = seeds[seed.index(seeds.len())];
                bytes.truncate(at.index(bytes.len()));
                bytes.extend(seed);
            }
        }
        bytes.truncate(8_192);
    }
}

#[test]
fn no_parser_panics_or_forgets_what_it_read() {
    for (name, target, seeds) in targets::TARGETS {
        for seed in *seeds {
            target(seed);
        }
        let config = Config { cases: 2_000, failure_persistence: None, ..Config::default() };
        let strategy = (any::<Index>(), prop::collection::vec(edit(), 0..8));
        // The same mutations in every run: chance is the fuzzer's business.
        let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let outcome = TestRunner::new_with_rng(config, chance).run(&strategy, |(seed, edits)| {
            let mut bytes = seeds[seed.index(seeds.len())].to_vec();
            apply(&edits, &mut bytes, seeds);
            target(&bytes);
            Ok(())
        });
        if let Err(found) = outcome {
            panic!("{name}: {found}");
        }
    }
}

#[test]
fn each_target_has_a_binary_for_the_fuzzer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/targets");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("a file").file_name().to_string_lossy().replace(".rs", ""))
        .collect();
    files.sort();
    let mut names: Vec<_> = targets::TARGETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(files, names);
}
