//! From text to the file as written. What does not fit is noted and taken out, so that one pass
//! finds every fault.

use serde::Deserialize as _;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::file::File;
use super::{ConfigError, example, place};

/// Faults that are told at once; more of them are one fault repeated.
const MOST: usize = 50;

/// The file without what does not fit, what that was, and the text in which the rest is found.
/// Text that is no TOML ends it.
pub(super) fn file(
    name: &str,
    text: &str,
) -> Result<(File, Vec<ConfigError>, String), Vec<ConfigError>> {
    let error_of = |error: &Error| fault(name, text, error);
    let (mut table, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        let mut errors: Vec<_> = broken.iter().take(MOST).map(error_of).collect();
        errors.sort_by_key(|error| error.line);
        return Err(errors);
    }
    let (mut errors, mut rest) = (Vec::new(), text.to_owned());
    loop {
        match File::deserialize(Deserializer::from(table.clone())) {
            Ok(file) => return Ok((file, errors, rest)),
            Err(error) => {
                let error_here = error_of(&error);
                if !is_echo(&error, &error_here, &errors) {
                    errors.push(error_here);
                }
                let at = error.span().map_or(0, |span| span.start);
                if errors.len() >= MOST || !take_out(table.get_mut(), at, &mut rest) {
                    errors.sort_by_key(|error| error.line);
                    return Err(errors);
                }
            }
        }
    }
}

/// True for a key that is missing because it was wrong and was taken out.
fn is_echo(error: &Error, here: &ConfigError, before: &[ConfigError]) -> bool {
    let missing = error.message().strip_prefix("missing field `");
    let missing = missing.and_then(|rest| rest.strip_suffix('`'));
    missing.is_some_and(|key| {
        let key = format!("{}.{key}", here.key);
        before.iter().any(|error| error.key == key && error.line > here.line)
    })
}

fn fault(file: &str, text: &str, error: &Error) -> ConfigError {
    let (line, key) = place::of_offset(text, error.span().map_or(0, |span| span.start));
    let what = remedied(&error.message().replace('\n', "; "), &key);
    ConfigError { file: file.to_owned(), line, key, what }
}

/// The parser's words, and what to write instead.
fn remedied(message: &str, key: &str) -> String {
    let mut named = message.split('`').skip(1).step_by(2);
    let (section, own) = key.split_once('.').unwrap_or((key, ""));
    if message.starts_with("unknown field") {
        let wrong = named.next().unwrap_or_default();
        let known: Vec<_> = named.collect();
        let nearest = known.iter().min_by_key(|known| distance(wrong, known));
        let meant = nearest.filter(|known| distance(wrong, known) <= 1 + wrong.len() / 4);
        let meant = meant.map(|known| format!(" did you mean `{known}`?")).unwrap_or_default();
        return format!("there is no `{wrong}`;{meant} write one of: {}", known.join(", "));
    }
    if message.starts_with("duplicate key") {
        return "it stands twice; write it once".to_owned();
    }
    let missing = named.next().filter(|_| message.starts_with("missing field"));
    match example::line_of(section, missing.unwrap_or(own)) {
        Some(line) => format!("{message}; write it like: {line}"),
        None => message.to_owned(),
    }
}

/// How many letters must be added, dropped or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().take(64).collect();
    let mut row: Vec<_> = (0..=other.len()).collect();
    for (at, letter) in one.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, same) in other.iter().map(|c| *c == letter).enumerate() {
            let changed = diagonal + usize::from(!same);
            diagonal = row[to + 1];
            row[to + 1] = changed.min(row[to] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Takes out the smallest thing at this place: a key, else the table it belongs to, whose lines
/// are blanked in `text` too. False if nothing is there.
fn take_out(file: &mut DeTable<'_>, at: usize, text: &mut String) -> bool {
    if file.iter_mut().any(|(_, section)| take_inside(section.get_mut(), at)) {
        return true;
    }
    for (_, section) in file.iter_mut() {
        let DeValue::Array(all) = section.get_mut() else { continue };
        if let Some(nth) = all.iter().position(|one| holds(&one.span(), at)) {
            let mut kept: Vec<_> = std::mem::replace(all, DeArray::new()).into_iter().collect();
            kept.remove(nth);
            *all = kept.into_iter().collect();
            *text = place::without_table(text, at);
            return true;
        }
    }
    take_key(file, at)
}

/// The same within a table, or the tables of a list.
fn take_inside(value: &mut DeValue<'_>, at: usize) -> bool {
    match value {
        DeValue::Table(table) => take_key(table, at),
        DeValue::Array(all) => all.iter_mut().any(|one| match one.get_mut() {
            DeValue::Table(table) => take_key(table, at),
            _ => false,
        }),
        _ => false,
    }
}

fn take_key(table: &mut DeTable<'_>, at: usize) -> bool {
    if table.iter_mut().any(|(_, value)| take_inside(value.get_mut(), at)) {
        return true;
    }
    let mut entries = table.iter();
    let found = entries.find(|(key, value)| holds(&key.span(), at) || holds(&value.span(), at));
    let Some(key) = found.map(|(key, _)| key.clone()) else { return false };
    table.remove(&key).is_some()
}

fn holds(span: &std::ops::Range<usize>, at: usize) -> bool {
    span.start <= at && at <= span.end
}
