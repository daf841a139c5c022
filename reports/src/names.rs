//! Names of files that every system takes.

use std::collections::BTreeSet;

use reveille_trace::{Case, Run};

/// Longer names are cut: some file systems and archives end at 143 bytes.
const LONGEST: usize = 100;
/// Names that are devices on Windows, whatever follows the point.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// One file name (without its ending) per case, in the order of the cases. No two are equal, not
/// even on a file system that folds case.
pub(crate) fn of_cases(run: &Run) -> Vec<String> {
    let with_seed = has_several_seeds(run);
    let mut taken = BTreeSet::new();
    run.cases.iter().map(|case| unique(&of_case(case, with_seed), &mut taken)).collect()
}

/// True if the same case may stand in the run once per seed.
pub(crate) fn has_several_seeds(run: &Run) -> bool {
    run.cases.windows(2).any(|two| two[0].verdict.seed != two[1].verdict.seed)
}

/// `name`, or `name` and a number that makes it new.
pub(crate) fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut tried = name.to_owned();
    let mut number = 1_usize;
    while !taken.insert(tried.to_ascii_lowercase()) {
        number += 1;
        tried = format!("{name}-{number}");
    }
    tried
}

fn of_case(case: &Case, with_seed: bool) -> String {
    let mut name = safe(&case.verdict.case);
    if with_seed {
        name.push_str(&format!("-seed{}", case.verdict.seed));
    }
    name
}

fn safe(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            '/' => name.push_str("--"),
            '=' => name.push('-'),
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => name.push(c),
            _ => name.push('_'),
        }
        if name.len() >= LONGEST {
            name.truncate(LONGEST);
            break;
        }
    }
    let lower = name.to_ascii_lowercase();
    let port = |word: &str| lower.strip_prefix(word).is_some_and(|rest| rest.len() == 1);
    if DEVICES.contains(&lower.as_str()) || port("com") || port("lpt") || !starts_well(&name) {
        name.insert(0, '_');
    }
    name
}

fn starts_well(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_a_file_system_reads() {
        assert_eq!(safe("crash/wake/at=17"), "crash--wake--at-17");
        assert_eq!(safe("../../etc/passwd"), "_____--__--etc--passwd".replacen("___", "", 1));
        assert_eq!(safe("a:b\\c\u{202e}"), "a_b_c_");
        assert_eq!(
            (safe("CON"), safe("com1"), safe("")),
            ("_CON".into(), "_com1".into(), "_".into())
        );
        assert_eq!(safe("/x"), "_--x");
        assert_eq!(safe(&"y".repeat(500)).len(), LONGEST);
    }

    #[test]
    fn equal_names_are_told_apart() {
        let mut taken = BTreeSet::new();
        let names: Vec<_> = ["a", "A", "a-2", "a"].map(|name| unique(name, &mut taken)).into();
        assert_eq!(names, ["a", "A-2", "a-2-2", "a-3"]);
    }
}
