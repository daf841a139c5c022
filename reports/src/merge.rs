//! Shards of a run, joined to what the run would have been in one piece.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use reveille_trace::{Case, Run, Shards};

/// Why records cannot be joined: what is wrong with which, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl Display for Refused {
    fn fmt(&self, into: &mut Formatter<'_>) -> fmt::Result {
        into.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// A record, and the name of the folder that it was read from.
pub type Named = (String, Run);

/// Joins shards. With `partial` some may be missing: then the result says which it has, and can be
/// joined with the others later.
///
/// # Errors
/// If there are none, if they are not shards of one selection, played by one version with one seed
/// in one world, if a shard is there twice, or, without `partial`, if one is missing.
pub fn merge(runs: Vec<Named>, partial: bool) -> Result<Run, Refused> {
    let mut parts = runs.into_iter().map(sound).collect::<Result<Vec<_>, _>>()?;
    let (first, others) =
        parts.split_first().ok_or_else(|| Refused("there is nothing to merge".to_owned()))?;
    others.iter().try_for_each(|other| same(first, other))?;
    apart(&parts)?;
    let started = parts.iter().map(|part| part.run.started.clone());
    let started = started.filter(|started| !started.is_empty()).min().unwrap_or_default();
    let (mut whole, mut shards) = (parts[0].run.clone(), parts[0].shards.clone());
    shards.numbers = parts.iter().flat_map(|part| &part.shards.numbers).copied().collect();
    let missing = shards.missing();
    if !missing.is_empty() && !partial {
        return Err(gap(&whole, &shards, &missing));
    }
    let mut placed: Vec<(usize, Case)> = Vec::new();
    for part in &mut parts {
        let cases = std::mem::take(&mut part.run.cases);
        placed.extend(part.shards.places.iter().copied().zip(cases));
    }
    placed.sort_by_key(|(place, _)| *place);
    shards.places = placed.iter().map(|(place, _)| *place).collect();
    whole.cases = placed.into_iter().map(|(_, case)| case).collect();
    whole.started = started;
    if missing.is_empty() {
        whole_again(&whole, &shards)?;
        whole.shards = None;
    } else {
        whole.shards = Some(shards);
    }
    Ok(whole)
}

/// A record that is known to be of shards.
struct Part {
    name: String,
    run: Run,
    shards: Shards,
}

fn sound((name, run): Named) -> Result<Part, Refused> {
    let Some(shards) = run.shards.clone() else {
        let what = "holds no shard, but a whole run, which needs no merge";
        return Err(Refused(format!("{name} {what}: give folders of `reveille run --shard`")));
    };
    if !shards.fits(&run.cases) {
        let what = "is not as a shard was written: its places do not fit its cases";
        return Err(Refused(format!("{name} {what}; take it from where it was made again")));
    }
    Ok(Part { name, run, shards })
}

/// Both are shards of one selection under the same conditions.
fn same(one: &Part, other: &Part) -> Result<(), Refused> {
    let (a, b) = (&one.run, &other.run);
    let told = |run: &Run| match run.selection.join(" ") {
        none if none.is_empty() => "everything".to_owned(),
        words => format!("`{words}`"),
    };
    let rows = [
        ("the version of Reveille", a.reveille.clone(), b.reveille.clone()),
        ("the world", a.world.clone(), b.world.clone()),
        ("the first seed", a.seed.to_string(), b.seed.to_string()),
        ("the selection", told(a), told(b)),
        ("the number of shards", one.shards.of.to_string(), other.shards.of.to_string()),
        ("the number of cases", one.shards.cases.to_string(), other.shards.cases.to_string()),
        (
            "the digest of the selected cases (the scenarios' texts differ, or --seeds)",
            one.shards.selected.clone(),
            other.shards.selected.clone(),
        ),
    ];
    let Some((what, a, b)) = rows.into_iter().find(|(_, a, b)| a != b) else { return Ok(()) };
    Err(Refused(format!(
        "{} and {} are of different runs: {what} is {a} in one and {b} in the other. Play all shards \
         of a run with one command and one program",
        one.name, other.name
    )))
}

/// No shard is there twice.
fn apart(parts: &[Part]) -> Result<(), Refused> {
    for (index, part) in parts.iter().enumerate() {
        for other in &parts[..index] {
            let mut both = part.shards.numbers.intersection(&other.shards.numbers);
            if let Some(number) = both.next() {
                let (of, one, two) = (part.shards.of, &other.name, &part.name);
                let text = format!("shard {number}/{of} is in {one} and in {two}: give it once");
                return Err(Refused(text));
            }
        }
    }
    Ok(())
}

fn gap(run: &Run, shards: &Shards, missing: &[u32]) -> Refused {
    let of = shards.of;
    let names: Vec<_> = missing.iter().map(|number| format!("{number}/{of}")).collect();
    let (what, verb) = if missing.len() == 1 { ("shard", "is") } else { ("shards", "are") };
    let words: String = run.selection.iter().map(|word| format!(" {word}")).collect();
    Refused(format!(
        "{what} {} of {} selected cases {verb} missing: add the folder, play `reveille run{words} \
         --shard {}` with what else was said, or merge what is there with `--partial`",
        names.join(", "),
        shards.cases,
        names[0],
    ))
}

/// All shards are there: so must all cases be, in their order.
fn whole_again(run: &Run, shards: &Shards) -> Result<(), Refused> {
    let places: BTreeSet<_> = shards.places.iter().copied().collect();
    let replays = run.cases.iter().map(|case| case.replay.as_str());
    if places.len() == shards.places.len()
        && places.into_iter().eq(0..shards.cases)
        && Shards::digest(replays) == shards.selected
    {
        return Ok(());
    }
    Err(Refused(
        "the cases of these shards are not those that were selected, although none is missing: take \
         the folders from where they were made again"
            .to_owned(),
    ))
}
