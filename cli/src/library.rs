//! Scenarios by name: the shipped ones, which are part of the program, and files of the user's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme};
use reveille_conformance::requirement;
use reveille_scenarios::{
    Report, Scenario, Swarm, is_swarm, read, read_against, read_swarm, shipped, swarms,
};
use reveille_sim::World;
use reveille_sim::suite::{Job, Piece, Seeds, jobs};

use crate::exit::{DEFECT, DIFFERS, NOTHING, Stop};

/// Every shipped scenario, in the order of their names.
pub(crate) fn all() -> Result<Vec<Arc<Piece>>, Stop> {
    let piece = |(id, text): &(&str, &str)| {
        let scenario = read(id, text).map_err(|report| Stop::new(DEFECT, rendered(&report)))?;
        Ok(Piece::new(scenario, text))
    };
    shipped().iter().map(piece).collect()
}

/// Every shipped swarm. What is to be played and is not named is played without them: they have no
/// end of seeds.
pub(crate) fn all_swarms() -> Result<Vec<Arc<Piece>>, Stop> {
    let piece = |(id, text): &(&str, &str)| {
        let swarm = read_swarm(id, text, None);
        let swarm = swarm.map_err(|report| Stop::new(DEFECT, rendered(&report)))?;
        Ok(Piece::of_swarm(swarm, text, (*id).to_owned()))
    };
    swarms().iter().map(piece).collect()
}

/// A scenario file of the user's own. Its id is its path without `.toml`.
fn file(path: &str) -> Result<Arc<Piece>, Stop> {
    let text = fs::read_to_string(path)
        .map_err(|error| Stop::bad_file(format!("cannot read {path}: {error}")))?;
    let wrong = |report| Stop::bad_file(format!("{path} is wrong\n{}", rendered(&report)));
    if is_swarm(&text) {
        let swarm = read_swarm_text(path, &text).map_err(wrong)?;
        return Ok(Piece::of_swarm(swarm, &text, path.to_owned()));
    }
    let scenario = read_text(path, &text).map_err(wrong)?;
    Ok(Piece::of_file(scenario, &text, path.to_owned()))
}

/// Reads a scenario that stands in the file `path`, with all that is wrong with it.
pub(crate) fn read_text(path: &str, text: &str) -> Result<Scenario, Report> {
    let named = |report| Report { file: path.to_owned(), ..report };
    read_against(&id_of(path), text, &decided()).map_err(named)
}

/// Reads a swarm that stands in the file `path`.
pub(crate) fn read_swarm_text(path: &str, text: &str) -> Result<Swarm, Report> {
    let named = |report| Report { file: path.to_owned(), ..report };
    read_swarm(&id_of(path), text, Some(&decided())).map_err(named)
}

/// What no check decides cannot be shown by a play.
fn decided() -> Vec<&'static str> {
    let decided = requirement::all().iter().filter(|row| row.check().is_some());
    decided.map(|row| row.id.as_str()).collect()
}

/// The id under which a file's scenario is known: the part of its path under `scenarios/`, else its
/// name alone.
pub(crate) fn id_of(path: &str) -> String {
    let path = path.strip_suffix(".toml").unwrap_or(path);
    let inner = path.rsplit_once("scenarios/").map(|(_, inner)| inner);
    let name = Path::new(path).file_name().and_then(|name| name.to_str());
    inner.or(name).unwrap_or(path).to_owned()
}

/// A report as a terminal shows it.
pub(crate) fn rendered(report: &Report) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    match handler.with_width(100).render_report(&mut text, &report.overview()) {
        Ok(()) => text,
        Err(_) => report.to_string(),
    }
}

/// The cases that `selectors` name; all shipped ones if there are none.
pub(crate) fn select(selectors: &[String], seeds: Seeds) -> Result<Vec<Job>, Stop> {
    let parts: Vec<_> = selectors.iter().flat_map(|one| one.split(',')).collect();
    let mut shipped = all()?;
    if parts.is_empty() {
        return Ok(shipped.iter().flat_map(|piece| jobs(piece, seeds)).collect());
    }
    shipped.extend(all_swarms()?);
    let mut chosen = Vec::new();
    for part in parts {
        let mut of_part = named(part, &shipped, seeds)?;
        if of_part.is_empty() {
            return Err(Stop::new(NOTHING, nothing(part, &shipped)));
        }
        chosen.append(&mut of_part);
    }
    chosen.sort_by_cached_key(Job::name);
    if let Some((one, other)) = namesakes(&chosen) {
        let name = &one.scenario.id;
        let both = format!("{} and {} are both called {name}", one.called, other.called);
        return Err(Stop::bad_file(format!(
            "{both}: rename one, or play them one after the other"
        )));
    }
    chosen.dedup_by_key(|job| (job.name(), job.seed));
    Ok(chosen)
}

/// The one case of this name: a scenario's id or the path of a file, with the axes of its cell.
pub(crate) fn one(case: &str, seed: u64, world: World) -> Result<Job, Stop> {
    let (piece, cell) = match case.split_once(".toml") {
        Some((path, cell)) => (file(&format!("{path}.toml"))?, cell),
        None => of_id(case)?,
    };
    let name = format!("{}{cell}", piece.scenario.id);
    let seeds = Seeds { first: seed, count: Some(1), world };
    let mut jobs = jobs(&piece, seeds).into_iter();
    jobs.find(|job| job.name() == name).ok_or_else(|| {
        Stop::new(
            DIFFERS,
            format!(
                "{} has no case {cell} with seed {seed}: its sweep goes over other operations now. \
                 `reveille run {} --seed {seed}` plays those there are",
                piece.called, piece.called
            ),
        )
    })
}

/// The shipped scenario that a case's name begins with, and the rest of the name.
fn of_id(case: &str) -> Result<(Arc<Piece>, &str), Stop> {
    let mut shipped = all()?;
    shipped.extend(all_swarms()?);
    let id = case
        .split_once('=')
        .map_or(case, |(before, _)| before.rsplit_once('/').map_or(before, |(id, _axis)| id));
    let piece = shipped.iter().find(|piece| piece.scenario.id == id);
    let piece = piece.ok_or_else(|| Stop::new(NOTHING, nothing(id, &shipped)))?;
    Ok((Arc::clone(piece), &case[id.len()..]))
}

/// Two different scenarios of one name: the results of one would hide those of the other.
fn namesakes(chosen: &[Job]) -> Option<(&Piece, &Piece)> {
    let mut known: BTreeMap<&str, &Piece> = BTreeMap::new();
    chosen.iter().find_map(|job| {
        let first = *known.entry(&job.piece.scenario.id).or_insert(&job.piece);
        (first.sha256 != job.piece.sha256).then_some((first, &*job.piece))
    })
}

/// The cases that one selector names: a file, a requirement, a scenario, a case, or a glob of these.
fn named(part: &str, shipped: &[Arc<Piece>], seeds: Seeds) -> Result<Vec<Job>, Stop> {
    if part.ends_with(".toml") {
        return Ok(jobs(&file(part)?, seeds));
    }
    if let Some((path, cell)) = part.split_once(".toml/") {
        let piece = file(&format!("{path}.toml"))?;
        return Ok(cells(&piece, &format!("{}/{cell}", piece.scenario.id), seeds).collect());
    }
    let whole = |piece: &&Arc<Piece>| {
        let scenario = &piece.scenario;
        is(part, &scenario.id)
            || is(&format!("{part}/**"), &scenario.id)
            || (piece.swarm.is_none()
                && scenario.covers.iter().any(|id| is(part, id) || is(&format!("{part}.*"), id)))
            || requirement::find(part).is_some_and(|row| row.scenarios.contains(&scenario.id))
    };
    let whole: Vec<_> = shipped.iter().filter(whole).collect();
    if !whole.is_empty() {
        return Ok(whole.into_iter().flat_map(|piece| jobs(piece, seeds)).collect());
    }
    // A cell of a sweep: only scenarios whose id it can begin with are enumerated.
    let of = shipped.iter().filter(|piece| {
        piece.scenario.sweep.is_some() && part.starts_with(piece.scenario.id.as_str())
    });
    Ok(of.flat_map(|piece| cells(piece, part, seeds)).collect())
}

/// The cases of a scenario whose names begin as `pattern` says.
fn cells(piece: &Arc<Piece>, pattern: &str, seeds: Seeds) -> impl Iterator<Item = Job> {
    let (whole, below) = (pattern.to_owned(), format!("{pattern}/**"));
    let named = move |job: &Job| is(&whole, &job.name()) || is(&below, &job.name());
    jobs(piece, seeds).into_iter().filter(named)
}

fn is(pattern: &str, name: &str) -> bool {
    fast_glob::glob_match(pattern, name)
}

/// What to say when a selector names nothing.
fn nothing(part: &str, shipped: &[Arc<Piece>]) -> String {
    let scenarios = shipped.iter().map(|piece| piece.scenario.id.as_str());
    let families = scenarios.clone().filter_map(|id| id.split_once('/')).map(|(family, _)| family);
    let hint = did_you_mean(part, scenarios.chain(families));
    format!(
        "`{part}` names no scenario, case or requirement.{hint} `reveille list` shows the scenarios, \
         `reveille list requirements` the requirements"
    )
}

/// A question for the nearest of `names`, if one is near.
pub(crate) fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    let far = |name: &&str| strsim::levenshtein(word, name);
    let near = names.min_by_key(far).filter(|name| far(name) <= word.len() / 3);
    near.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selectors: &[&str]) -> Vec<String> {
        let selectors: Vec<_> = selectors.iter().map(|one| (*one).to_owned()).collect();
        let mut names: Vec<_> = select(&selectors, Seeds::from(1))
            .unwrap_or_else(|stop| panic!("{}", stop.text))
            .into_iter()
            .map(|job| job.piece.scenario.id.clone())
            .collect();
        names.dedup();
        names
    }

    #[test]
    fn a_selector_is_a_scenario_a_family_a_glob_or_a_requirement() {
        assert_eq!(names(&["wake/plain"]), ["wake/plain"]);
        assert_eq!(names(&["wake/two-*"]), ["wake/two-calls-at-once", "wake/two-phones"]);
        assert_eq!(names(&["sleep"]), names(&["sleep/**"]));
        assert_eq!(names(&["wake/plain,push/refused"]), ["push/refused", "wake/plain"]);
        assert_eq!(names(&["wake/two-phones", "wake/two-ph*"]), ["wake/two-phones"]);
        let found = names(&["push.common.refused-push-ends-hold"]);
        assert_eq!(found, ["push/refused"]);
        let held = names(&["session.hibernate.two-calls-one-wake"]);
        assert_eq!(held, ["wake/two-calls-at-once"], "a scenario may hold what no check decides");
    }

    #[test]
    fn what_names_nothing_is_told_with_the_nearest_name() {
        let stop =
            select(&["wake/plian-app".to_owned()], Seeds::from(1)).expect_err("there is none");
        assert_eq!(stop.code, NOTHING);
        assert!(stop.text.contains("wake/plain-app"), "{}", stop.text);
    }

    #[test]
    fn a_file_is_known_by_its_path_under_scenarios() {
        assert_eq!(id_of("scenarios/wake/plain.toml"), "wake/plain");
        assert_eq!(id_of("/home/ann/mine.toml"), "mine");
    }

    #[test]
    fn every_shipped_scenario_covers_requirements_that_are_checked() {
        for (id, text) in shipped() {
            let path = format!("scenarios/{id}.toml");
            read_text(&path, text).unwrap_or_else(|report| panic!("{report}"));
        }
    }
}
