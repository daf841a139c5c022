//! TOML values on their way to Rust's: each reader takes a value of the right form or says what is
//! wrong with it.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::findings::Findings;
use crate::codes::Code;
use crate::duration::{NoDuration, duration};
use crate::problem::Problem;
use crate::words::{listed, nearest, quoted, suggest};

/// A list that is neither of steps, expectations nor actors has at most this many entries.
const LIST_MAX: usize = 64;

/// A key and its value.
#[derive(Clone, Copy)]
pub(super) struct Field<'t> {
    pub(super) key: &'t str,
    pub(super) value: &'t Spanned<DeValue<'t>>,
    /// Whether it is not the key's whole value, but an entry of the list there.
    pub(super) entry: bool,
}

/// A table and what messages call it.
pub(super) struct Table<'t> {
    pub(super) entries: &'t DeTable<'t>,
    pub(super) span: Range<usize>,
    pub(super) name: String,
}

impl<'t> Table<'t> {
    pub(super) fn field(&self, key: &str) -> Option<Field<'t>> {
        let (key, value) = self.entries.get_key_value(key)?;
        Some(Field { key: key.get_ref(), value, entry: false })
    }

    /// A field that must be there; an example shows how to write it.
    pub(super) fn needed(
        &self,
        key: &str,
        example: &str,
        f: &mut Findings<'_>,
    ) -> Option<Field<'t>> {
        let field = self.field(key);
        if field.is_none() {
            let message = format!("{} has no `{key}`", self.name);
            f.absent(
                Problem::new(Code::MissingKey, self.span.clone(), message)
                    .label(format!("`{key}` is missing"))
                    .help(format!("add `{example}`")),
            );
        }
        field
    }

    /// Finds keys that are not among the known ones; `homes` says where they belong instead.
    pub(super) fn only(&self, known: &[&str], homes: &[(&str, &str)], f: &mut Findings<'_>) {
        for (key, _) in self.entries {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let message = format!("{} has no key {}", self.name, quoted(word));
            let keys = suggest(word, known, "the keys here are");
            let home = homes.iter().find(|(k, _)| *k == word);
            let help = match home {
                Some((_, home)) => format!("`{word}` belongs {home}; {keys}"),
                None => keys,
            };
            f.push(
                Problem::new(Code::UnknownKey, key.span(), message).label("unknown key").help(help),
            );
        }
    }
}

impl<'t> Field<'t> {
    /// An entry of this list.
    pub(super) fn entry(&self, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { key: self.key, value, entry: true }
    }

    /// Where a part of a text lies in the file; the whole of it if escapes blur the places.
    pub(super) fn inside(&self, part: &Range<usize>, file: &str) -> Range<usize> {
        let whole = self.span();
        let text = self.value.get_ref().as_str().unwrap_or_default();
        let start = whole.start + 1;
        let plain = file.get(start..whole.end.saturating_sub(1)) == Some(text);
        if plain { start + part.start..start + part.end } else { whole }
    }
    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub(super) fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(code, self.span(), message)
    }

    fn wrong_type(&self, wanted: &str, example: &str, f: &mut Findings<'_>) {
        let found = self.value.get_ref().type_str();
        let a = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        let of = if self.entry { "an entry of " } else { "" };
        f.push(
            self.problem(Code::WrongType, format!("{of}`{}` is not {wanted}", self.key))
                .label(format!("this is {a} {found}"))
                .help(format!("write `{example}`")),
        );
    }

    pub(super) fn string(&self, example: &str, f: &mut Findings<'_>) -> Option<&'t str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type("text", example, f);
        }
        text
    }

    pub(super) fn list(&self, example: &str, f: &mut Findings<'_>) -> Option<&'t DeArray<'t>> {
        let list = self.value.get_ref().as_array();
        if list.is_none() {
            self.wrong_type("a list", example, f);
        }
        list
    }

    pub(super) fn table(
        &self,
        name: String,
        example: &str,
        f: &mut Findings<'_>,
    ) -> Option<Table<'t>> {
        let entries = self.value.get_ref().as_table();
        if entries.is_none() {
            self.wrong_type("a table", example, f);
        }
        entries.map(|entries| Table { entries, span: self.span(), name })
    }

    /// A list of texts, each different from all before it.
    pub(super) fn strings(&self, example: &str, f: &mut Findings<'_>) -> Vec<Self> {
        let Some(list) = self.list(example, f) else { return Vec::new() };
        f.bound(list.len(), LIST_MAX, &format!("entries in `{}`", self.key), self.span());
        let mut seen: Vec<Self> = Vec::new();
        for value in list.iter().take(LIST_MAX) {
            let field = self.entry(value);
            let Some(text) = field.string(example, f) else { continue };
            if seen.iter().any(|s| s.value.get_ref().as_str() == Some(text)) {
                let message = format!("`{}` names {} twice", self.key, quoted(text));
                let problem = field.problem(Code::ListedTwice, message);
                f.push(problem.label("it is there already").help("leave this one out"));
            } else {
                seen.push(field);
            }
        }
        seen
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, within: RangeInclusive<u32>, f: &mut Findings<'_>) -> Option<u32> {
        let (least, most) = (*within.start(), *within.end());
        let DeValue::Integer(integer) = self.value.get_ref() else {
            self.wrong_type("a whole number", &format!("{} = {least}", self.key), f);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|n| within.contains(n));
        if number.is_none() {
            let (said, allowed) = match least == most {
                true => (format!("`{}` can only be {least}", self.key), format!("{least}")),
                false => (
                    format!("`{}` lies outside of {least} to {most}", self.key),
                    format!("a number from {least} to {most}"),
                ),
            };
            let problem = self.problem(Code::OutOfRange, said).label("out of range");
            f.push(problem.help(format!("write {allowed}")));
        }
        number
    }

    /// A status within bounds.
    pub(super) fn status(&self, within: RangeInclusive<u16>, f: &mut Findings<'_>) -> Option<u16> {
        let within = u32::from(*within.start())..=u32::from(*within.end());
        self.number(within, f).and_then(|n| u16::try_from(n).ok())
    }

    /// A time within bounds, given as their texts.
    pub(super) fn duration(&self, bounds: (&str, &str), f: &mut Findings<'_>) -> Option<Duration> {
        let example = self.written(fitting(bounds));
        let DeValue::String(text) = self.value.get_ref() else {
            self.no_duration(self.value.get_ref(), &example, f);
            return None;
        };
        let (least, most) = (duration(bounds.0).ok()?, duration(bounds.1).ok()?);
        let found = duration(text);
        match found {
            Ok(time) if (least..=most).contains(&time) => return Some(time),
            Ok(_) | Err(NoDuration::TooLong) => {
                let most = if bounds.1 == FOREVER { "seven days" } else { bounds.1 };
                let message = format!("`{}` lies outside of {} to {most}", self.key, bounds.0);
                let problem = self.problem(Code::OutOfRange, message).label("out of range");
                f.push(problem.help(format!("write a time from {} to {most}", bounds.0)));
            }
            Err(NoDuration::NoUnit) => self.no_duration(self.value.get_ref(), &example, f),
            Err(NoDuration::Malformed) => f.push(
                self.problem(Code::NotADuration, format!("{} is no time", quoted(text)))
                    .label("not a number with a unit")
                    .help(format!("write a number and `ms`, `s`, `m` or `h`: `{example}`")),
            ),
        }
        None
    }

    /// This value as a text, with its key if it is the whole of it.
    fn written(&self, text: &str) -> String {
        if self.entry { format!("\"{text}\"") } else { format!("{} = \"{text}\"", self.key) }
    }

    fn no_duration(&self, value: &DeValue<'_>, example: &str, f: &mut Findings<'_>) {
        let number = match value {
            DeValue::Integer(n) if n.radix() == 10 => n.as_str(),
            DeValue::Float(n) => n.as_str(),
            DeValue::String(text) => text,
            _ => return self.wrong_type("a time", example, f),
        };
        let message = format!("`{}` has a number without a unit", self.key);
        let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let help = match digits && number.len() <= 12 && !number.ends_with('.') {
            true => {
                format!("if seconds are meant, write `{}`", self.written(&format!("{number}s")))
            }
            false => format!("write a number and `ms`, `s`, `m` or `h` in quotes: `{example}`"),
        };
        f.push(self.problem(Code::NotADuration, message).label("which unit?").help(help));
    }

    /// The word `true`; a key with `false` would say nothing.
    pub(super) fn truth(&self, f: &mut Findings<'_>) -> Option<()> {
        match self.value.get_ref().as_bool() {
            Some(true) => return Some(()),
            Some(false) => {
                let message = format!("`{}` can only be true", self.key);
                let problem = self.problem(Code::UnknownWord, message).label("says nothing");
                f.push(problem.help(format!("leave `{}` out", self.key)));
            }
            None => self.wrong_type("`true`", &format!("{} = true", self.key), f),
        }
        None
    }

    /// One of a few words, each with its meaning.
    pub(super) fn word<T: Copy>(&self, known: &[(&str, T)], f: &mut Findings<'_>) -> Option<T> {
        let first = known.first().map_or("", |(word, _)| word);
        let text = self.string(&format!("{} = \"{first}\"", self.key), f)?;
        let meaning = known.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            let likely = nearest(text, words.iter().copied());
            let all = listed(words, "or");
            let help = match likely.filter(|_| known.len() > 1) {
                Some(likely) => format!("did you mean `{likely}`? `{}` takes {all}", self.key),
                None => format!("`{}` takes {all}", self.key),
            };
            let message = format!("`{}` does not know {}", self.key, quoted(text));
            f.push(self.problem(Code::UnknownWord, message).label("unknown word").help(help));
        }
        meaning
    }
}

/// The longest time, as a bound.
pub(super) const FOREVER: &str = "168h";

/// A time between two bounds that serves as an example.
fn fitting((least, _): (&str, &str)) -> &'static str {
    match least {
        "0s" => "1s",
        "1ms" => "20s",
        _ => "30s",
    }
}
