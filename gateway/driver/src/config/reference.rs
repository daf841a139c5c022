//! Holds docs/configuration.md to the keys that there are.

use std::collections::BTreeMap;

use super::tests::known_keys;
use super::{example, print_config};
use crate::admin::is_live;

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// Default, change and meaning of each key, as the page says them.
fn rows() -> BTreeMap<String, [String; 3]> {
    let cells = |line: &str| -> Option<(String, [String; 3])> {
        let inner = line.strip_prefix("| `")?.strip_suffix(" |")?;
        let (key, rest) = inner.split_once("` | ")?;
        let rest: Vec<_> = rest.splitn(3, " | ").map(ToOwned::to_owned).collect();
        Some((key.to_owned(), rest.try_into().ok()?))
    };
    let rows: Vec<_> = PAGE.lines().filter_map(cells).collect();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "a key stands twice");
    rows
}

#[test]
fn the_page_has_every_key_and_no_other() {
    let mut known = known_keys();
    known.sort();
    assert_eq!(rows().into_keys().collect::<Vec<_>>(), known);
}

#[test]
fn the_page_says_what_a_reload_changes() {
    for (key, [_, change, meaning]) in rows() {
        let wanted = if is_live(&key) { "reload" } else { "restart" };
        assert_eq!(change, wanted, "{key}");
        assert!(meaning.ends_with('.'), "{key} has a meaning");
    }
}

/// The example parses to the defaults, as another test says, so its values are they.
#[test]
fn the_page_has_the_defaults_of_the_example() {
    let mut compared = 0;
    for (key, [default, ..]) in rows() {
        let (section, own) = key.split_once('.').expect("a section");
        let line = example::line_of(section, own);
        let commented = |line: &str| print_config().contains(&format!("\n#{line}\n"));
        let Some(line) = line.filter(|line| !commented(line)) else { continue };
        let (_, value) = line.split_once(" = ").expect("a value");
        assert_eq!(default, format!("`{value}`"), "{key}");
        compared += 1;
    }
    assert!(compared >= 35, "{compared} defaults");
}
