use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader};
use std::path::Path;

use reveille_reports::format::json;
use reveille_reports::store::{with_paths, write};
use reveille_trace::{Case, Observed, Run, Trace};
use sha2::{Digest as _, Sha256};

use crate::sample::{case, crash, of, run, sure, traces};

fn files(dir: &Path, under: &str, found: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{under}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(())
}

pub(crate) fn all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    files(dir, "", &mut found).expect("what was written can be read");
    found
}

#[test]
fn a_directory_holds_every_format_and_what_was_kept() {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().join("20261120T101500Z");
    assert_eq!(write(&dir, &run(), &traces).unwrap(), dir);
    let found = all(&dir);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    let (events, ladder) = ("events/crash--store--at-2.ndjson", "ladders/crash--store--at-2.txt");
    let mut want = vec!["coverage.txt", events, "junit.xml", ladder, "run.json", "started"];
    want.extend(["summary.txt", "toc.json"]);
    assert_eq!(names, want);
    let read = json::read(std::str::from_utf8(&found["run.json"]).unwrap()).unwrap();
    let started = String::from_utf8(found["started"].clone()).unwrap();
    let started = started.trim_end().to_owned();
    assert_eq!(Run { started, ..read.clone() }, with_paths(&run(), &traces));
    assert_eq!(read.cases[2].events.as_deref(), Some(events));
    assert_eq!(Trace::read(BufReader::new(&found[events][..])).unwrap(), crash());
    let summary = String::from_utf8(found["summary.txt"].clone()).unwrap();
    assert!(summary.contains(&format!("  ladder    {ladder}\n")), "{summary}");
    assert_eq!(fs::read_to_string(out.path().join("latest")).unwrap(), "20261120T101500Z\n");
    let beside: Vec<_> = all(out.path()).into_keys().filter(|name| name.starts_with('.')).collect();
    assert_eq!(beside, Vec::<String>::new());
}

#[test]
fn the_table_of_contents_names_every_other_file_with_its_digest() {
    let out = tempfile::tempdir().unwrap();
    let dir = write(&out.path().join("run"), &run(), &traces).unwrap();
    let mut found = all(&dir);
    let toc: serde_json::Value =
        serde_json::from_slice(&found.remove("toc.json").unwrap()).unwrap();
    // When it began is no part of what is the same each time.
    found.remove("started").unwrap();
    let listed: Vec<_> = toc["files"].as_array().unwrap().iter().collect();
    assert_eq!(listed.len(), found.len());
    for entry in listed {
        let bytes = &found[entry["path"].as_str().unwrap()];
        assert_eq!(entry["bytes"], bytes.len());
        let digest = Sha256::digest(bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(entry["sha256"], digest);
    }
}

#[test]
fn two_reports_of_one_run_are_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| write(&out.path().join(name), &run(), &traces).unwrap());
    assert_eq!(all(&a), all(&b));
    assert_eq!(fs::read_to_string(out.path().join("latest")).unwrap(), "b\n");
}

#[test]
fn nothing_is_overwritten() {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().join("run");
    write(&dir, &run(), &traces).unwrap();
    let before = all(out.path());
    let error = write(&dir, &of(vec![]), &traces).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().ends_with("name another directory, or remove it"), "{error}");
    assert_eq!(all(out.path()), before);
    // What a run that was broken off left behind is somebody's to look at.
    let partial = out.path().join(".next.partial");
    fs::create_dir(&partial).unwrap();
    let error = write(&out.path().join("next"), &run(), &traces).unwrap_err();
    assert!(error.to_string().contains("broken off left it: remove it"), "{error}");
    let error = write(&out.path().join("latest"), &run(), &traces).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn what_fails_leaves_no_directory() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("file");
    fs::write(&file, "").unwrap();
    let error = write(&file.join("run"), &run(), &traces).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(all(out.path()).into_keys().collect::<Vec<_>>(), ["file"]);
}

#[test]
fn what_fails_half_way_is_cleared_away() {
    let out = tempfile::tempdir().unwrap();
    // A file where the directory of the traces is to be.
    let obstacle = out.path().join(".run.partial/events");
    let traces = |_: &Case| {
        fs::write(&obstacle, "").expect("the directory is there while traces are asked for");
        Some(std::borrow::Cow::Owned(crash()))
    };
    assert!(write(&out.path().join("run"), &run(), &traces).is_err());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn a_trace_that_could_not_be_read_again_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let bare = |_: &Case| Some(std::borrow::Cow::Owned(Trace::default()));
    let error = write(&out.path().join("run"), &run(), &bare).unwrap_err();
    assert!(error.to_string().ends_with("says schema 0; write 1 into its manifest"), "{error}");
}

#[test]
fn names_that_would_meet_or_climb_out_do_neither() {
    let out = tempfile::tempdir().unwrap();
    let cases = ["../../x", "a:b", "a_b", "A_b", "nul"].map(|id| case(id, &[], vec![sure()]));
    let keep = |_: &Case| Some(std::borrow::Cow::Owned(crash()));
    let run = of(cases.into());
    assert!(run.cases.iter().all(|case| case.verdict.observed == Observed::Pass));
    let dir = write(&out.path().join("run"), &run, &keep).unwrap();
    let names = all(&dir).into_keys().filter(|name| name.starts_with("events/"));
    let names: Vec<_> = names.map(|name| name.to_ascii_lowercase()).collect();
    let want = ["__--__--x", "_nul", "a_b-2", "a_b-3", "a_b"];
    let mut want = want.map(|name| format!("events/{name}.ndjson"));
    want.sort();
    let mut names = names;
    names.sort();
    assert_eq!(names, want);
}
