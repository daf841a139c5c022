use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::Error;

use crate::codes::Code;
use crate::problem::Problem;

/// So many problems of one file are shown.
const PROBLEMS_MAX: usize = 1000;

/// What has been found wrong with a file so far.
pub(super) struct Findings<'t> {
    pub(super) text: &'t str,
    /// The requirements that a file may cover; absent: any.
    pub(super) requirements: Option<&'t [&'t str]>,
    problems: Vec<Problem>,
    /// Where each syntax error lies.
    breaks: Vec<usize>,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str, requirements: Option<&'t [&'t str]>) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { text, requirements, problems: Vec::new(), breaks: Vec::new(), lines }
    }

    pub(super) fn push(&mut self, mut problem: Problem) {
        problem.span = self.within(problem.span);
        self.problems.push(problem);
    }

    /// Something is not there. In a file with broken syntax it may just not have been seen.
    pub(super) fn absent(&mut self, problem: Problem) {
        if self.breaks.is_empty() {
            self.push(problem);
        }
    }

    pub(super) fn syntax(&mut self, error: &Error) {
        let end = self.text.len();
        let span = self.within(error.span().unwrap_or(end..end));
        self.breaks.push(span.start);
        let message = format!("this is no TOML: {}", error.message());
        let problem = Problem::new(Code::NotToml, span, message).label("the syntax breaks here");
        self.push(match syntax_help(error.message()) {
            Some(help) => problem.help(help),
            None => problem,
        });
    }

    /// Says when there are more than so many of something.
    pub(super) fn bound(&mut self, found: usize, most: usize, of: &str, span: Range<usize>) {
        if found > most {
            let message = format!("{found} {of} are more than {most}");
            let problem = Problem::new(Code::TooMany, span, message).label("too many");
            self.push(problem.help("split the file: one file tells one situation"));
        }
    }

    /// Whether a section was read as it was written: no syntax error lies in it, or before it in
    /// the file, where it could have swallowed its beginning.
    pub(super) fn whole(&self, section: &str) -> bool {
        let header = format!("[{section}]");
        let Some(start) = self.text.find(&header) else { return self.breaks.is_empty() };
        let body = start + header.len();
        let end = self.text[body..].find("\n[").map_or(self.text.len(), |at| body + at);
        self.breaks.iter().all(|at| *at > end)
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// What was found, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        // What else a line says cannot be judged once its syntax is broken.
        let broken: BTreeSet<_> = self.breaks.iter().map(|at| self.line(*at)).collect();
        let mut problems = std::mem::take(&mut self.problems);
        problems.retain(|p| {
            p.code == Code::NotToml.word() || !broken.contains(&self.line(p.span.start))
        });
        self.problems = problems;
        self.problems.sort_by_key(|p| (p.span.start, p.span.end));
        if self.problems.len() > PROBLEMS_MAX {
            let more = self.problems.len() - PROBLEMS_MAX;
            self.problems.truncate(PROBLEMS_MAX);
            let end = self.problems.last().map_or(0..0, |last| last.span.clone());
            let message = format!("{more} more problems follow that are not shown");
            let problem = Problem::new(Code::TooMany, end, message).label("shown up to here");
            self.problems.push(problem.help("correct those shown first"));
        }
        self.problems
    }

    /// A span that lies in the text, on the boundaries of its characters.
    fn within(&self, span: Range<usize>) -> Range<usize> {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}

/// What to write instead, where the parser's own words do not say it.
fn syntax_help(message: &str) -> Option<&'static str> {
    let known = [
        ("duplicate key", "a table has each key once: leave one out, or give it another name"),
        ("string values must be quoted", "write text in quotes, as in `kind = \"phone\"`"),
        ("unclosed inline table", "close it on its line, as in `{ sleep = \"bob\" },`"),
        ("unclosed array", "close it with `]`, as in `covers = [\"patent.step.order\"]`"),
        ("missing comma", "put a comma between the two, as in `{ sleep = \"bob\" },`"),
        ("invalid basic string", "close the text with `\"` on the same line"),
    ];
    known.iter().find(|(part, _)| message.contains(part)).map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_on_the_boundaries_of_characters() {
        let f = Findings::new("aéb", None);
        assert_eq!(f.within(2..2), 1..3);
        assert_eq!(f.within(1..2), 1..3);
        assert_eq!(f.within(3..9), 3..4);
        assert_eq!(f.within(9..12), 4..4);
    }

    #[test]
    fn a_line_begins_after_the_break_before_it() {
        let f = Findings::new("a\nb\n", None);
        assert_eq!([0, 1, 2, 3, 4].map(|at| f.line(at)), [1, 1, 2, 2, 3]);
    }
}
