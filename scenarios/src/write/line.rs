use std::fmt::Write as _;
use std::time::Duration;

use crate::duration::shown;

/// Keys with their values, in their order. What stands at its default is left out.
#[derive(Default)]
pub(super) struct Line(Vec<String>);

impl Line {
    pub(super) fn word(&mut self, key: &str, word: &str) {
        self.0.push(format!("{key} = {}", quoted(word)));
    }

    pub(super) fn word_if(&mut self, key: &str, word: Option<&str>) {
        if let Some(word) = word {
            self.word(key, word);
        }
    }

    pub(super) fn words(&mut self, key: &str, words: &[&str]) {
        if !words.is_empty() {
            let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            self.0.push(format!("{key} = [{}]", words.join(", ")));
        }
    }

    pub(super) fn time(&mut self, key: &str, time: Duration) {
        self.word(key, &shown(time));
    }

    pub(super) fn time_if(&mut self, key: &str, time: Option<Duration>) {
        self.word_if(key, time.map(shown).as_deref());
    }

    pub(super) fn time_unless(&mut self, key: &str, time: Duration, default: Duration) {
        self.time_if(key, (time != default).then_some(time));
    }

    pub(super) fn number(&mut self, key: &str, number: impl Into<u64>) {
        self.0.push(format!("{key} = {}", number.into()));
    }

    pub(super) fn number_if(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    pub(super) fn truth(&mut self, key: &str) {
        self.0.push(format!("{key} = true"));
    }

    /// Each key on a line of its own.
    pub(super) fn rows(self) -> Vec<String> {
        self.0
    }

    /// All on one line, as an inline table.
    pub(super) fn inline(self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }
}

/// A text in double quotes, whatever stands in it, on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut all = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => all.extend(['\\', c]),
            '\n' => all.push_str("\\n"),
            '\t' => all.push_str("\\t"),
            c if c.is_control() => {
                write!(all, "\\u{:04X}", u32::from(c)).expect("a String takes every write");
            }
            c => all.push(c),
        }
    }
    all + "\""
}
