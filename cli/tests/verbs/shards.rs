//! `reveille run --shard`, `reveille merge`, and that a run depends on nothing but its seed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::reveille;

/// A few calls, and a sweep that strikes at some operations: cases with and without a trace, and two
/// seeds of each.
const CASES: [&str; 4] =
    ["wake/plain,wake/two-calls-at-once", "crash/sweep-of-the-plain-wake/at=3*/**", "--seeds", "2"];

/// The folder of a run, and everything in it but the file that says when it began.
fn files(out: &Path) -> (PathBuf, BTreeMap<PathBuf, Vec<u8>>) {
    let name = std::fs::read_to_string(out.join("latest")).expect("the newest result is named");
    let dir = out.join(name.trim());
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.clone()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(&dir).expect("it is below").to_owned();
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    let started = found.remove(Path::new("started")).expect("when it began");
    assert!(started.ends_with(b"Z\n"));
    (dir, found)
}

/// What the run of [`CASES`] with these words more leaves in the folder `out`.
fn played(place: &Path, out: &str, more: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
    let words: Vec<_> = ["run"].into_iter().chain(CASES).chain(["--out", out]).collect();
    let said = reveille(place, &[&words, more].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    files(&place.join(out)).1
}

/// Compares file by file, so that a failure says which.
fn assert_same(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in one {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(bytes), text(&other[name]), "{} differs", name.display());
    }
}

#[test]
fn a_run_depends_neither_on_its_process_nor_on_how_many_cases_play_at_a_time() {
    let place = tempfile::tempdir().expect("a folder");
    let one = played(place.path(), "one", &["--jobs", "1"]);
    let two = played(place.path(), "two", &["--jobs", "2"]);
    assert!(one.len() > 10 && one.contains_key(Path::new("coverage.txt")), "{:?}", one.keys());
    assert_same(&one, &two);
}

#[test]
fn shards_merge_to_the_bytes_of_one_run() {
    let place = tempfile::tempdir().expect("a folder");
    let whole = played(place.path(), "whole", &[]);
    let shards = ["1/3", "2/3", "3/3"];
    let outs = shards.map(|shard| shard.replace('/', "of"));
    for (shard, out) in shards.iter().zip(&outs) {
        let part = played(place.path(), out, &["--shard", shard]);
        assert!(part.len() < whole.len(), "{shard} is a part");
    }
    let [one, two, three] = [&*outs[0], &*outs[1], &*outs[2]];
    let lost = reveille(place.path(), &["merge", three, one, "-o", "lost"]);
    assert_eq!(lost.code, 7, "{}", lost.err);
    assert!(lost.err.contains("shard 2/3 of "), "{}", lost.err);
    assert!(lost.err.contains("--shard 2/3"), "{}", lost.err);
    assert!(!place.path().join("lost").exists());
    let twice = reveille(place.path(), &["merge", three, one, one, "-o", "lost"]);
    assert_eq!(twice.code, 7, "{}", twice.err);
    let part = reveille(place.path(), &["merge", three, one, "-o", "some/part", "--partial"]);
    assert_eq!(part.code, 0, "{}{}", part.out, part.err);
    assert!(part.out.contains("Other shards have "), "{}", part.out);
    let all = reveille(place.path(), &["merge", "some", two, "-o", "all/merged"]);
    assert_eq!(all.code, 0, "{}{}", all.out, all.err);
    assert_same(&files(&place.path().join("all")).1, &whole);
}

#[test]
fn a_shard_with_nothing_to_play_is_well_and_what_is_no_shard_is_not() {
    let place = tempfile::tempdir().expect("a folder");
    let code = |words: &[&str]| {
        let said = reveille(place.path(), words);
        (said.code, said.out + &said.err)
    };
    let (one, two) = (
        code(&["run", "wake/plain", "--shard", "1/2"]),
        code(&["run", "wake/plain", "--shard", "2/2"]),
    );
    assert_eq!((one.0, two.0), (0, 0), "{}{}", one.1, two.1);
    let empty = "This shard has no case of the selection.";
    assert!(one.1.contains(empty) != two.1.contains(empty), "{}{}", one.1, two.1);
    let (bad, text) = code(&["run", "wake/plain", "--shard", "3/2"]);
    assert!(bad == 2 && text.contains("as `3/8`"), "{text}");
    assert_eq!(code(&["run", "wake/plain", "--out", "whole"]).0, 0);
    let (whole, text) = code(&["merge", "whole", "-o", "again"]);
    assert!(whole == 7 && text.contains("needs no merge"), "{text}");
    assert_eq!(code(&["merge", "missing", "-o", "again"]).0, 2);
}

#[test]
fn what_faults_met_is_printed_on_demand_and_always_kept() {
    let place = tempfile::tempdir().expect("a folder");
    let words = ["run", "crash/sweep-of-the-plain-wake/at=3*/**"];
    let said = reveille(place.path(), &[&words[..], &["--coverage"]].concat());
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for part in ["crash-at  ", "Kinds that never struck: crash,", "Phases that no fault met: "] {
        assert!(said.out.contains(part), "{part} is missing:\n{}", said.out);
    }
    let kept = files(&place.path().join("out")).1;
    let text = String::from_utf8_lossy(&kept[Path::new("coverage.txt")]).into_owned();
    assert!(said.out.starts_with(text.trim_end()), "{text}");
    assert!(!reveille(place.path(), &words).out.contains("Kinds that never struck"));
}
