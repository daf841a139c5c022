//! From text to a scenario: TOML with the place of each value, lowered by hand, so that one pass
//! finds all that is wrong.

mod actors;
mod alone;
mod devices;
mod expects;
mod faults;
mod field;
mod figures;
mod findings;
mod messages;
mod names;
mod parties;
mod predicate;
mod pushes;
mod seen;
mod settings;
mod sights;
mod steps;
mod swarm;
mod syntax;
mod verbs;
mod within;

use toml::de::DeTable;

pub(crate) use self::actors::ANSWER_AFTER;
pub(crate) use self::alone::{predicate_alone, sight_alone};
pub(crate) use self::settings::DOWN;

use self::actors::Cast;
use self::field::{Field, Table};
use self::findings::Findings;
use self::names::Names;
use crate::codes::Code;
use crate::problem::{Problem, Report};
use crate::scenario::{Need, Scenario};
use crate::swarm::Swarm;
use crate::words::{nearest, quoted};

const BYTES_MAX: usize = 256 * 1024;
const TITLE_MAX: usize = 200;

/// At most so many steps, and so many expectations.
const LINES_MAX: usize = 1000;

const TOP: [&str; 10] =
    ["schema", "id", "title", "covers", "needs", "world", "actors", "run", "script", "sweep"];

/// Where a key belongs that stands in the wrong table.
const HOMES: [(&str, &str); 25] = [
    ("schema", "at the top, before all tables"),
    ("id", "at the top, before all tables"),
    ("title", "at the top, before all tables"),
    ("covers", "at the top, before all tables"),
    ("needs", "at the top, before all tables"),
    ("world", "at the top, as `[world]`"),
    ("actors", "at the top, as `[actors]`"),
    ("run", "at the top, as `[run]`"),
    ("script", "at the top, as `[script]`"),
    ("sweep", "at the top, as `[sweep]`"),
    ("steps", "under `[script]`"),
    ("expect", "under `[script]`"),
    ("wake-budget", "under `[world]`"),
    ("ring-deadline", "under `[world]`"),
    ("registration", "under `[world]`"),
    ("late-offer", "under `[world]`"),
    ("payload", "under `[world]`"),
    ("proxy", "under `[world]`"),
    ("nodes", "under `[world]`"),
    ("gateway-clock", "under `[world]`"),
    ("seeds", "under `[run]`"),
    ("fault", "under `[sweep]`"),
    ("points", "under `[sweep]`"),
    ("on", "under `[sweep]`"),
    ("kind", "to an actor under `[actors]`"),
];

/// Reads a scenario file. `id` is its path under `scenarios/` without `.toml`.
///
/// At the top stand `schema = 1` and `title`, and as wanted `id`, `covers` and `needs`; then
/// `[world]`, `[actors]`, `[run]` and `[script]` with `steps` and `expect`, and `[sweep]`. Each step
/// is one table on one line: at most one of `at`, `wait` and `when`, one verb, and its arguments, as
/// [`Verb`](crate::Verb) has them. Each expectation has one of `must`, `should` and `may` with a
/// predicate, and as wanted `after`, `within` and `why`; what it can speak of is in
/// [`What`](crate::What), what it can say in [`Wanted`](crate::Wanted). Times are texts with a unit.
///
/// ```
/// let text = r#"
/// schema = 1
/// title = "A call wakes a sleeping phone"
/// [actors]
/// alice = { kind = "sip-ua" }
/// bob = { kind = "phone", answer-after = "2s" }
/// [script]
/// steps = [
///   { sleep = "bob" },
///   { when = "bob.state(hibernated)", call = "c1", from = "alice", to = "bob" },
/// ]
/// expect = [
///   { must = "alice.final(c1) == 200", within = "20s" },
/// ]
/// "#;
/// assert_eq!(reveille_scenarios::read("wake/mine", text).unwrap().steps.len(), 2);
///
/// let report = reveille_scenarios::read("wake/mine", &text.replace("sleep", "slep")).unwrap_err();
/// assert!(report.to_string().starts_with("wake/mine.toml:9:5: scenario.one-verb: "));
/// ```
///
/// # Errors
///
/// All that is wrong with the file, in its order, each with its place and what to write instead.
pub fn read(id: &str, text: &str) -> Result<Scenario, Report> {
    judged(id, text, None, scenario)
}

/// As [`read`], and a requirement that is not among `requirements` cannot be covered.
///
/// # Errors
///
/// All that is wrong with the file.
pub fn read_against(id: &str, text: &str, requirements: &[&str]) -> Result<Scenario, Report> {
    judged(id, text, Some(requirements), scenario)
}

/// Reads a swarm file: one of `kind = "swarm"`.
///
/// Beside `schema`, `kind`, `title`, `covers` and `[run]` it has `[draw]`, whose keys [`Swarm`] documents;
/// each that is left out has its usual bounds, and each list all words. `requirements`: as in
/// [`read_against`].
///
/// ```
/// let text = "schema = 1\nkind = \"swarm\"\ntitle = \"Anything\"\n[draw]\nphones = [1, 3]\n";
/// let swarm = reveille_scenarios::read_swarm("swarm/mine", text, None).unwrap();
/// assert_eq!((swarm.phones.least, swarm.phones.most), (1, 3));
/// ```
///
/// # Errors
///
/// All that is wrong with the file.
pub fn read_swarm(id: &str, text: &str, requirements: Option<&[&str]>) -> Result<Swarm, Report> {
    judged(id, text, requirements, swarm::swarm)
}

/// True if this is the text of a file of `kind = "swarm"`, whatever else is wrong with it.
#[must_use]
pub fn is_swarm(text: &str) -> bool {
    if text.len() > BYTES_MAX {
        return false;
    }
    let (_, sound) = syntax::mistakes(text);
    let (document, _) = DeTable::parse_recoverable(&sound);
    swarm::is_said(&Table { entries: document.get_ref(), span: 0..0, name: "the file".into() })
}

/// Takes what a file says out of its tables.
type Lower<T> = fn(&str, &Table<'_>, &mut Findings<'_>) -> Option<T>;

fn judged<T>(
    id: &str,
    text: &str,
    requirements: Option<&[&str]>,
    lower: Lower<T>,
) -> Result<T, Report> {
    let mut f = Findings::new(text, requirements);
    let read = whole(id, text, lower, &mut f);
    let problems = f.into_problems();
    match read {
        Some(read) if problems.is_empty() => Ok(read),
        _ => {
            assert!(!problems.is_empty(), "what cannot be read has a problem that says why");
            Err(Report { file: format!("{id}.toml"), text: text.to_owned(), problems })
        }
    }
}

fn whole<T>(id: &str, text: &str, lower: Lower<T>, f: &mut Findings<'_>) -> Option<T> {
    if text.len() > BYTES_MAX {
        let message =
            format!("the file has {} bytes, and at most {BYTES_MAX} are read", text.len());
        let problem = Problem::new(Code::TooLarge, 0..0, message).label("too large");
        f.push(problem.help("split it: one file tells one situation"));
        return None;
    }
    let (mistakes, sound) = syntax::mistakes(text);
    mistakes.iter().for_each(|mistake| f.syntax(mistake));
    let (document, _) = DeTable::parse_recoverable(&sound);
    let top = Table { entries: document.get_ref(), span: 0..0, name: "the file".into() };
    lower(id, &top, f)
}

fn scenario(id: &str, top: &Table<'_>, f: &mut Findings<'_>) -> Option<Scenario> {
    top.only(&TOP, &HOMES, f);
    schema(top, f);
    same_id(id, top, f);
    let title = title(top, f);
    let covers = covers(top, f);
    let mut needs = needs(top, f);
    let world = settings::world(top, f);
    if world.nodes.is_some() && !needs.contains(&Need::Sim) {
        needs.push(Need::Sim);
    }
    let seeds = settings::seeds(top, f);
    let Cast { actors, kinds, services, systems, mut places } = actors::cast(top, f);
    places.extend(settings::gateway_place(top, f));
    let script = script(top, f);
    let lines = script.as_ref().map_or(Vec::new(), |script| steps::lines(script, f));
    let calls = steps::calls(&lines, &kinds, f);
    let (actors_whole, calls_whole) = (f.whole("actors"), f.whole("script"));
    let (parties, messages) = (parties::parties(&lines), steps::messages(&lines));
    let nodes = world.nodes.unwrap_or(1);
    let names = Names {
        actors: kinds,
        nodes,
        services,
        systems,
        calls,
        messages,
        parties,
        actors_whole,
        calls_whole,
    };
    let steps = steps::steps(&lines, &names, f);
    let (expects, expected) = match &script {
        Some(script) => expects::expects(script, &names, f),
        None => (Vec::new(), 0),
    };
    let sweep = settings::sweep(top, f);
    let whole = (steps.len(), expects.len(), actors.len());
    let complete = whole == (lines.len(), expected, names.actors.len());
    let swept = sweep.is_some() == top.field("sweep").is_some();
    if expected == 0 && top.field("covers").is_none_or(is_empty) {
        let message = "the scenario expects nothing and covers no requirement";
        let problem = Problem::new(Code::NoPurpose, script.map_or(0..0, |s| s.span), message);
        let help = "add `expect = [ { must = \"bob.alerted(c1)\" }, ]` under `[script]`";
        f.absent(problem.label("nothing to judge").help(help));
    }
    let title = title.filter(|_| complete && swept)?;
    let id = id.to_owned();
    Some(Scenario { id, title, covers, needs, world, actors, places, steps, expects, sweep, seeds })
}

fn is_empty(list: Field<'_>) -> bool {
    list.value.get_ref().as_array().is_some_and(|list| list.is_empty())
}

fn schema(top: &Table<'_>, f: &mut Findings<'_>) {
    let Some(field) = top.needed("schema", "schema = 1", f) else { return };
    let one = field.value.get_ref().as_integer().is_some_and(|n| n.to_string() == "1");
    if !one {
        let problem = field.problem(Code::UnknownSchema, "this form of the file is not known");
        f.push(problem.label("not 1").help("write `schema = 1`"));
    }
}

fn same_id(id: &str, top: &Table<'_>, f: &mut Findings<'_>) {
    let example = format!("id = \"{id}\"");
    let Some(field) = top.field("id") else { return };
    let Some(said) = field.string(&example, f) else { return };
    if said != id {
        let message = format!("the id {} is not the file's path, {}", quoted(said), quoted(id));
        let problem = field.problem(Code::WrongId, message).label("not the path");
        f.push(problem.help(format!("write `{example}`, or leave it out")));
    }
}

fn title(top: &Table<'_>, f: &mut Findings<'_>) -> Option<String> {
    let example = "title = \"A call is answered\"";
    let field = top.needed("title", example, f)?;
    let title = field.string(example, f)?;
    if title.trim().is_empty() {
        let problem = field.problem(Code::EmptyTitle, "the title is empty").label("no title");
        f.push(problem.help(format!("say in one sentence what happens: `{example}`")));
    }
    if title.chars().count() > TITLE_MAX {
        let message = format!("the title has more than {TITLE_MAX} characters");
        let problem = field.problem(Code::OutOfRange, message).label("too long");
        f.push(problem.help("say in one sentence what happens"));
    }
    Some(title.to_owned())
}

fn covers(top: &Table<'_>, f: &mut Findings<'_>) -> Vec<String> {
    let Some(field) = top.field("covers") else { return Vec::new() };
    let entries = field.strings("covers = [\"patent.step.order\"]", f);
    let ids = entries.iter().filter_map(|entry| {
        let id = entry.value.get_ref().as_str()?;
        if !is_requirement(id) {
            let message = format!("{} is not the id of a requirement", quoted(id));
            let problem = entry.problem(Code::NotARequirement, message).label("not dotted words");
            f.push(problem.help(
                "write words with dots between them, at most 128 bytes, as in `patent.step.order`",
            ));
        } else if f.requirements.is_some_and(|known| !known.contains(&id)) {
            let problem = unknown_requirement(id, entry, f);
            f.push(problem);
        }
        Some(id.to_owned())
    });
    ids.collect()
}

fn unknown_requirement(id: &str, entry: &Field<'_>, f: &Findings<'_>) -> Problem {
    let known = f.requirements.unwrap_or_default();
    let message = format!("no check decides {}", quoted(id));
    let problem =
        entry.problem(Code::UnknownRequirement, message).label("not a requirement that is decided");
    let list = "`reveille list requirements` has those that are decided";
    problem.help(match nearest(id, known.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`? {list}"),
        None => list.to_owned(),
    })
}

/// Two or more words of lower-case letters, digits and inner hyphens, with dots between them.
fn is_requirement(id: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let word =
        |w: &str| !w.is_empty() && w.bytes().all(sound) && !w.starts_with('-') && !w.ends_with('-');
    id.contains('.') && id.len() <= 128 && id.split('.').all(word)
}

fn needs(top: &Table<'_>, f: &mut Findings<'_>) -> Vec<Need> {
    let Some(field) = top.field("needs") else { return Vec::new() };
    let entries = field.strings("needs = [\"sim\"]", f);
    entries.into_iter().filter_map(|entry| entry.word(&[("sim", Need::Sim)], f)).collect()
}

fn script<'t>(top: &Table<'t>, f: &mut Findings<'_>) -> Option<Table<'t>> {
    let example = "steps = [ { sleep = \"bob\" }, ]";
    let Some(field) = top.field("script") else {
        steps::no_steps(0..0, f);
        return None;
    };
    let table = field.table("`[script]`".into(), example, f)?;
    table.only(&["steps", "expect"], &HOMES, f);
    Some(table)
}

/// A step and an expectation each stand on one line, as an inline table.
fn one_line(table: &Table<'_>, f: &mut Findings<'_>) {
    let written = f.text.get(table.span.clone()).unwrap_or_default();
    if written.starts_with('{') && !written.contains('\n') {
        return;
    }
    let message = format!("{} does not stand on one line", table.name);
    let end = written.find('\n').map_or(table.span.end, |at| table.span.start + at);
    let problem = Problem::new(Code::OneLine, table.span.start..end, message);
    f.push(problem.label("goes on below").help("write it as one table on one line: `{ … },`"));
}
