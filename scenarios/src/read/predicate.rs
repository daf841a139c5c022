//! The syntax of predicates and sights. Spans are bytes of the predicate's own text.

use std::ops::Range;

use super::names::Used;

/// A list of statuses has at most this many.
const STATUSES_MAX: usize = 64;

/// `actor.word(arguments)`.
#[derive(Debug)]
pub(super) struct RawSight<'p> {
    pub(super) actor: Used<'p>,
    pub(super) word: Used<'p>,
    pub(super) arguments: Vec<Used<'p>>,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    AtMost,
    AtLeast,
}

/// What is said of a sight.
#[derive(Debug)]
pub(super) enum Form<'p> {
    Seen,
    Never,
    Count(Compare, Used<'p>),
    FirstIn(Vec<Used<'p>>),
}

/// Where the text stops to be a predicate, and why.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

const SIGHT_HELP: &str = "write who, what and of which call, as in `alice.received(c1, 180)`";
const FORM_HELP: &str = "the forms are `bob.alerted(c1)`, `never bob.alerted(c1)`, \
    `count(push.sent(bob)) == 1`, `alice.final(c1) == 200` and `alice.final(c1) in [200, 480]`";
const COMPARE_HELP: &str = "compare with `==`, `<=` or `>=`, as in `count(push.sent(bob)) == 1`";

/// Reads a predicate.
pub(super) fn predicate(text: &str) -> Result<(RawSight<'_>, Form<'_>), Stop> {
    let mut scan = Scan { text, at: 0 };
    let start = scan.at;
    let first = scan.word().map(|w| w.name);
    let read = match first {
        Some("never") if !scan.next_is(".") => (scan.sight()?, Form::Never),
        Some("count") if scan.eat("(") => {
            let sight = scan.sight()?;
            scan.need(")", "after what is counted", COMPARE_HELP)?;
            let form = scan.count()?;
            (sight, form)
        }
        _ => {
            scan.at = start;
            let sight = scan.sight()?;
            let form = scan.first_in()?;
            (sight, form)
        }
    };
    scan.end(FORM_HELP)?;
    Ok(read)
}

/// Reads a sight alone.
pub(super) fn sight(text: &str) -> Result<RawSight<'_>, Stop> {
    let mut scan = Scan { text, at: 0 };
    let sight = scan.sight()?;
    scan.end("only what is seen can stand here, as in `bob.state(hibernated)`")?;
    Ok(sight)
}

struct Scan<'p> {
    text: &'p str,
    at: usize,
}

impl<'p> Scan<'p> {
    fn rest(&mut self) -> &'p str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn next_is(&mut self, token: &str) -> bool {
        self.rest().starts_with(token)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.next_is(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A name or a number, well formed or not.
    fn word(&mut self) -> Option<Used<'p>> {
        let rest = self.rest();
        let part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        let length = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let span = self.at..self.at + length;
        self.at = span.end;
        (length > 0).then(|| Used { name: &rest[..length], span })
    }

    fn stop<T>(&mut self, message: String, help: &'static str) -> Result<T, Stop> {
        let length = self.rest().chars().next().map_or(0, char::len_utf8);
        Err(Stop { span: self.at..self.at + length, message, help })
    }

    fn need(&mut self, token: &str, place: &str, help: &'static str) -> Result<(), Stop> {
        if self.eat(token) {
            return Ok(());
        }
        self.stop(format!("`{token}` is missing {place}"), help)
    }

    fn need_word(&mut self, what: &str, help: &'static str) -> Result<Used<'p>, Stop> {
        match self.word() {
            Some(word) => Ok(word),
            None => self.stop(format!("{what} is missing"), help),
        }
    }

    fn sight(&mut self) -> Result<RawSight<'p>, Stop> {
        let actor = self.need_word("the name of who sees it", SIGHT_HELP)?;
        self.need(".", "between who sees it and what is seen", SIGHT_HELP)?;
        let word = self.need_word("what is seen", SIGHT_HELP)?;
        self.need("(", "before what it is about", SIGHT_HELP)?;
        let mut arguments = Vec::new();
        while !self.next_is(")") {
            if !arguments.is_empty() {
                self.need(",", "or `)` before this", SIGHT_HELP)?;
            }
            arguments.push(self.need_word("a call, a phone, a state or a status", SIGHT_HELP)?);
        }
        self.need(")", "after what it is about", SIGHT_HELP)?;
        Ok(RawSight { actor, word, arguments })
    }

    fn count(&mut self) -> Result<Form<'p>, Stop> {
        let compare = match () {
            () if self.eat("==") => Compare::Equal,
            () if self.eat("<=") => Compare::AtMost,
            () if self.eat(">=") => Compare::AtLeast,
            () => return self.stop("a count is compared with nothing".into(), COMPARE_HELP),
        };
        Ok(Form::Count(compare, self.need_word("the number to compare with", COMPARE_HELP)?))
    }

    fn first_in(&mut self) -> Result<Form<'p>, Stop> {
        const HELP: &str = "write `alice.final(c1) == 200` or `alice.final(c1) in [200, 480]`";
        if self.eat("==") {
            return Ok(Form::FirstIn(vec![self.need_word("the status to compare with", HELP)?]));
        }
        if self.rest().is_empty() {
            return Ok(Form::Seen);
        }
        let before = self.at;
        if self.word().is_none_or(|word| word.name != "in") {
            self.at = before;
            return self.stop("only `==` or `in` can follow what is seen".into(), FORM_HELP);
        }
        self.need("[", "after `in`", HELP)?;
        let mut statuses = vec![self.need_word("a status", HELP)?];
        while self.eat(",") && !self.next_is("]") {
            statuses.push(self.need_word("a status", HELP)?);
            if statuses.len() > STATUSES_MAX {
                return self.stop("the list has more than 64 statuses".into(), HELP);
            }
        }
        self.need("]", "after the last status", HELP)?;
        Ok(Form::FirstIn(statuses))
    }

    fn end(&mut self, help: &'static str) -> Result<(), Stop> {
        let start = self.at;
        let left = self.rest().trim_end().len();
        if left == 0 {
            return Ok(());
        }
        let start = self.at.max(start);
        let message = "nothing can follow here".into();
        Err(Stop { span: start..start + left, message, help })
    }
}
