//! A run's record, from what was played to the folder that keeps it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reveille_reports::format::coverage;
use reveille_reports::format::ladder;
use reveille_reports::format::terminal::{self, Look};
use reveille_trace::{Case, Run, Trace};

use crate::exit::Stop;
use crate::screen::{Screen, print};

/// A case among others: its name, and its seed.
pub(crate) type Key = (String, u64);

pub(crate) fn key(case: &Case) -> Key {
    (case.verdict.case.clone(), case.verdict.seed)
}

/// Traces by their case.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) BTreeMap<Key, Trace>);

impl Kept {
    pub(crate) fn of(&self, case: &Case) -> Option<Cow<'_, Trace>> {
        self.0.get(&key(case)).map(Cow::Borrowed)
    }
}

/// What is shown of a run besides its summary.
pub(crate) struct Show {
    pub(crate) ladder: bool,
    pub(crate) coverage: bool,
}

/// Prints a run that lies in the folder `dir`.
pub(crate) fn show(run: &Run, traces: &Kept, dir: &str, what: &Show) -> Result<(), Stop> {
    let screen = Screen::new();
    let of = |case: &Case| traces.of(case);
    if what.ladder {
        for (case, trace) in run.cases.iter().filter_map(|case| Some((case, of(case)?))) {
            let (name, seed) = (&case.verdict.case, case.verdict.seed);
            let drawn = ladder::draw(&trace, screen.width);
            print(&format!("{name}, seed {seed}\n\n{drawn}\n"))?;
        }
    }
    if what.coverage {
        print(&format!("{}\n", coverage::write(run, screen.width)))?;
    }
    let look = Look { dir, ..Look::of_a_screen(screen.width, screen.colour, &of) };
    print(&terminal::full(run, &look))?;
    print(&format!("Traces, ladders and reports: {dir}\n"))?;
    Ok(())
}
