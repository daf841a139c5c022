//! `reveille merge`: shards of a run become the run.

use std::path::{Path, PathBuf};

use clap::Args;
use reveille_reports::folder::Folder;
use reveille_reports::merge::merge;
use reveille_reports::store;
use reveille_trace::Case;

use crate::exit::{BROKE, DIFFERS, Stop};
use crate::record::{Kept, Show, key, show};

pub(crate) const EXAMPLES: &str = "Examples:
  reveille run --shard 1/2 --out one              half of the cases; elsewhere the other half
  reveille merge one two -o whole                 the folder that one run would have written
  reveille merge one -o part --partial            what is there; it can be merged again later

Each DIR is the folder of a run, or a folder of runs, of which the newest is taken. The result is
equal to that of one run but for the file `started`, which says when the first shard began.";

#[derive(Args)]
pub(crate) struct Merge {
    /// Folders of `reveille run --shard`
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// The folder to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Merge although shards are missing; the result says which
    #[arg(long)]
    partial: bool,
    /// Show which faults met which phases of the wake
    #[arg(long)]
    coverage: bool,
}

pub(crate) fn run(order: &Merge) -> Result<u8, Stop> {
    let open = |dir: &PathBuf| Folder::open(dir).map_err(Stop::bad_file);
    let folders = order.dirs.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let named = folders.iter().map(|folder| (name(folder.dir()), folder.run.clone())).collect();
    let merged = merge(named, order.partial);
    let merged = merged.map_err(|refused| Stop::new(DIFFERS, refused.to_string()))?;
    let mut kept = Kept::default();
    for folder in &folders {
        for case in &folder.run.cases {
            let trace = folder.trace(case).map_err(|what| Stop::new(DIFFERS, what))?;
            kept.0.extend(trace.map(|trace| (key(case), trace)));
        }
    }
    let of = |case: &Case| kept.of(case);
    let merged = store::with_paths(&merged, &of);
    let dir = order.output.components().collect::<PathBuf>();
    store::write(&dir, &merged, &of)
        .map_err(|error| Stop::new(BROKE, format!("cannot write the merged run: {error}")))?;
    let what = Show { ladder: false, coverage: order.coverage };
    show(&merged, &kept, &name(&dir), &what)?;
    Ok(merged.summary().exit_code())
}

fn name(dir: &Path) -> String {
    format!("{}/", dir.display())
}
