use super::field::{FOREVER, Field, Table};
use super::findings::Findings;
use super::names::Names;
use super::sights::Sights;
use super::{HOMES, LINES_MAX, one_line};
use crate::codes::Code;
use crate::expect::Expect;
use crate::problem::Problem;

const LEVELS: [(&str, &str); 3] = [("must", "MUST"), ("should", "SHOULD"), ("may", "MAY")];
const KEYS: [&str; 6] = ["must", "should", "may", "after", "within", "why"];

/// What should come of it, and whether the list was there at all.
pub(super) fn expects(
    script: &Table<'_>,
    names: &Names<'_>,
    f: &mut Findings<'_>,
) -> (Vec<Expect>, usize) {
    let example = "expect = [ { must = \"bob.alerted(c1)\" }, ]";
    let Some(field) = script.field("expect") else { return (Vec::new(), 0) };
    let Some(list) = field.list(example, f) else { return (Vec::new(), 1) };
    f.bound(list.len(), LINES_MAX, "expectations", field.span());
    let lines = list.iter().take(LINES_MAX).map(|value| field.entry(value));
    let all = lines.filter_map(|line| expect(line, names, f)).collect();
    (all, list.len())
}

fn expect(line: Field<'_>, names: &Names<'_>, f: &mut Findings<'_>) -> Option<Expect> {
    let example = "expect = [ { must = \"bob.alerted(c1)\" }, ]";
    let table = line.table("this expectation".into(), example, f)?;
    one_line(&table, f);
    table.only(&KEYS, &HOMES, f);
    let (level, predicate) = level(&table, f)?;
    // An expectation comes after all steps, and may name any call.
    let sights = Sights { names, at: usize::MAX };
    let wanted = sights.predicate(predicate, f);
    let after = table.field("after");
    let within = table.field("within");
    let why = table.field("why").map(|w| w.string("why = \"no call rings twice\"", f));
    let expect = Expect {
        level: level.to_owned(),
        text: text(predicate, after, within),
        after: optional(after, |field| sights.sight(field, f))?,
        within: optional(within, |field| field.duration(("1ms", FOREVER), f))?,
        wanted: wanted?,
        why: match why {
            Some(text) => Some(text?.to_owned()),
            None => None,
        },
        line: f.line(table.span.start),
    };
    Some(expect)
}

/// What is absent is well; what is there must be read.
fn optional<'t, T>(
    field: Option<Field<'t>>,
    read: impl FnOnce(Field<'t>) -> Option<T>,
) -> Option<Option<T>> {
    match field {
        Some(field) => read(field).map(Some),
        None => Some(None),
    }
}

/// The level, and the predicate at it.
fn level<'t>(table: &Table<'t>, f: &mut Findings<'_>) -> Option<(&'static str, Field<'t>)> {
    let said = LEVELS.iter().filter_map(|(key, level)| Some((*level, table.field(key)?)));
    let mut said: Vec<_> = said.collect();
    said.sort_by_key(|(_, field)| field.span().start);
    let help = "write one of `must`, `should` and `may`, and a line of its own for each more";
    match said[..] {
        [one] => return Some(one),
        [] => {
            let message = "this expectation has no level";
            let problem = Problem::new(Code::OneLevel, table.span.clone(), message);
            f.absent(problem.label("`must`, `should` or `may` is missing").help(help));
        }
        [(_, first), (_, second), ..] => {
            let message = format!("this expectation has both `{}` and `{}`", first.key, second.key);
            let problem = second.problem(Code::OneLevel, message);
            f.push(problem.label("the second of them").help(help));
        }
    }
    None
}

/// The predicate as it was written, with its `after` and `within`.
fn text(predicate: Field<'_>, after: Option<Field<'_>>, within: Option<Field<'_>>) -> String {
    let written = |field: Field<'_>| field.value.get_ref().as_str().unwrap_or_default().to_owned();
    let mut text = written(predicate);
    for (word, field) in [("after", after), ("within", within)] {
        if let Some(field) = field {
            text.push_str(&format!(" {word} {}", written(field)));
        }
    }
    text
}
