//! From a scenario to the text of its file, as a person would have written it: one step a line, what
//! is left as it is by default left out. Each part is taken apart whole, so that a key or a verb more
//! is not forgotten here.

mod devices;
mod faults;
mod line;
mod people;
mod verbs;
mod wanted;

use self::line::{Line, quoted};
use crate::duration::shown;
use crate::expect::Expect;
use crate::scenario::{Head, Need, Point, Proxy, Scenario, Step, Sweep, SweepFault, World};

/// The file of a scenario. Read under the same id it is the same scenario, but for the numbers of its
/// lines, and expectations that were worded in another way than they mean.
///
/// ```
/// let text = "schema = 1\ntitle = \"A call\"\n\n[actors]\nalice = { kind = \"sip-ua\" }\n\
///     bob = { kind = \"phone\" }\n\n[script]\nsteps = [\n  \
///     { wait = \"2s\", call = \"c1\", from = \"alice\", to = \"bob\" },\n]\nexpect = [\n  \
///     { must = \"alice.final(c1) == 200\", within = \"20s\" },\n]\n";
/// let scenario = reveille_scenarios::read("wake/mine", text).unwrap();
/// assert_eq!(reveille_scenarios::write(&scenario), text);
/// ```
#[must_use]
pub fn write(scenario: &Scenario) -> String {
    // The id is the file's path.
    let Scenario {
        id: _,
        title,
        covers,
        needs,
        world,
        actors,
        places,
        steps,
        expects,
        sweep,
        seeds,
    } = scenario;
    let mut text = format!("schema = 1\ntitle = {}\n", quoted(title));
    text.push_str(&list("covers", covers));
    // A gateway of several nodes needs a simulated world without a word.
    let needs = if world.nodes.is_some() { &[][..] } else { needs };
    let needs = needs.iter().map(|need| match need {
        Need::Sim => "sim".to_owned(),
    });
    text.push_str(&list("needs", &needs.collect::<Vec<_>>()));
    let place = |name: &str| places.get(name).copied().unwrap_or_default();
    let mut rows = settings(world);
    let gateway_ms = place("gateway").ahead_ms;
    rows.extend(
        (gateway_ms != 0)
            .then(|| format!("gateway-clock = {}", quoted(&faults::shift(gateway_ms)))),
    );
    text.push_str(&table("world", &rows));
    let actors: Vec<_> = actors
        .iter()
        .map(|(name, actor)| format!("{name} = {}", people::actor(actor, place(name))))
        .collect();
    text.push_str(&table("actors", &actors));
    let seeds = (*seeds != 1).then(|| format!("seeds = {seeds}"));
    text.push_str(&table("run", &Vec::from_iter(seeds)));
    text.push_str(&table("sweep", &sweep.as_ref().map(swept).unwrap_or_default()));
    text.push_str("\n[script]\n");
    text.push_str(&lines("steps", steps.iter().map(step)));
    if !expects.is_empty() {
        text.push_str(&lines("expect", expects.iter().map(expect)));
    }
    text
}

/// A list of words: on the line of its key if there is one word, else each on a line of its own.
fn list(key: &str, words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("{key} = [{}]\n", quoted(one)),
        many => lines(key, many.iter().map(|word| quoted(word))),
    }
}

fn lines(key: &str, all: impl Iterator<Item = String>) -> String {
    let all: String = all.map(|line| format!("  {line},\n")).collect();
    format!("{key} = [\n{all}]\n")
}

/// A table with a line for each key; none if there is nothing to say.
fn table(name: &str, rows: &[String]) -> String {
    match rows {
        [] => String::new(),
        rows => format!("\n[{name}]\n{}\n", rows.join("\n")),
    }
}

fn settings(world: &World) -> Vec<String> {
    let World {
        wake_budget,
        ring_deadline,
        registration,
        late_offer,
        payload_carries,
        proxy: Proxy { challenges, records_route },
        nodes,
    } = world;
    let proxy = [(*challenges, "challenges"), (*records_route, "records-route")];
    let proxy: Vec<_> = proxy.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
    let mut line = Line::default();
    line.time_if("wake-budget", *wake_budget);
    line.time_if("ring-deadline", *ring_deadline);
    line.time_if("registration", *registration);
    line.word_if("late-offer", late_offer.map(|taken| if taken { "taken" } else { "refused" }));
    line.word_if("payload", payload_carries.then_some("carries"));
    line.words("proxy", &proxy);
    line.number_if("nodes", nodes.map(u64::from));
    line.rows()
}

fn swept(sweep: &Sweep) -> Vec<String> {
    let Sweep { fault, on, down, points } = sweep;
    let points = points.iter().map(|point| match point {
        Point::Store => "store",
        Point::Send => "send",
        Point::Receive => "receive",
        Point::Spawn => "spawn",
    });
    let mut line = Line::default();
    line.word(
        "fault",
        match fault {
            SweepFault::Crash => "crash",
            SweepFault::PowerLoss => "power-loss",
        },
    );
    line.word("on", on);
    line.time_unless("down", *down, crate::read::DOWN);
    line.words("points", &points.collect::<Vec<_>>());
    line.rows()
}

fn step(step: &Step) -> String {
    let Step { head, verb, line: _ } = step;
    let mut line = Line::default();
    match head {
        Head::Now => {}
        Head::At(time) => line.word("at", &shown(*time)),
        Head::Wait(time) => line.word("wait", &shown(*time)),
        Head::When(sight) => line.word("when", &sight.to_string()),
    }
    verbs::verb(&mut line, verb);
    line.inline()
}

fn expect(expect: &Expect) -> String {
    let Expect { level, text, wanted, after, within, why, line: _ } = expect;
    let level = match level.as_str() {
        "SHOULD" => "should",
        "MAY" => "may",
        _ => "must",
    };
    let said = wanted::worded(text, wanted, after.as_ref(), *within);
    let mut line = Line::default();
    line.word(level, &said.predicate);
    line.word_if("after", said.after.as_deref());
    line.word_if("within", said.within.as_deref());
    line.word_if("why", why.as_deref());
    line.inline()
}
