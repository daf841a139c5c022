//! What a requirement says it is held by is there: each test by its file and name, each scenario by
//! its id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use reveille_conformance::requirement;

/// The names of the functions of a file that are tests.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let text = fs::read_to_string(path).unwrap_or_default();
    let (mut names, mut marked) = (BTreeSet::new(), false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ")
            && std::mem::take(&mut marked)
        {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

#[test]
fn every_test_that_holds_a_requirement_is_there() {
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    for row in requirement::all() {
        let unique: BTreeSet<_> = row.tests.iter().collect();
        assert_eq!(unique.len(), row.tests.len(), "{} names a test twice", row.id);
        for test in &row.tests {
            let known = test.split_once(": ").is_some_and(|(file, name)| {
                files.entry(file).or_insert_with(|| tests_of(file)).contains(name)
            });
            if !known {
                missing.push(format!("{}: {test}", row.id));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

#[test]
fn every_scenario_that_holds_a_requirement_is_shipped() {
    let shipped: BTreeSet<_> = reveille_scenarios::shipped().iter().map(|(id, _)| *id).collect();
    for row in requirement::all() {
        for scenario in &row.scenarios {
            assert!(shipped.contains(scenario.as_str()), "{}: {scenario}", row.id);
        }
    }
}

#[test]
fn a_function_that_is_no_test_is_not_taken_for_one() {
    let names = tests_of("cli/tests/requirements.rs");
    assert!(names.contains("every_scenario_that_holds_a_requirement_is_shipped"));
    assert!(!names.contains("tests_of"));
    assert!(tests_of("no/such/file.rs").is_empty());
}
