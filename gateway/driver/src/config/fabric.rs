//! The section `[fabric]`: an engine, and the keys that seal its records.

use super::check::{Review, read_secret};
use super::{Secrets, file};
use crate::fabric::{ENGINES, FabricSettings, SealKey, Sealing};

const SECTION: &str = "fabric";
/// Keys that may be in use at once.
const MOST_KEYS: usize = 16;

pub(super) fn settings(
    review: &mut Review<'_>,
    written: &file::Fabric,
    secrets: &Secrets<'_>,
) -> FabricSettings {
    if !ENGINES.iter().any(|(name, _)| *name == written.engine) {
        let names: Vec<_> = ENGINES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let what = format!("no engine `{}`; write one of: {}", written.engine, names.join(", "));
        review.fault(SECTION, 0, "engine", what);
    }
    if written.engine == "redb" && written.path.is_empty() {
        let what = "no file; write a path like \"reveille.redb\"";
        review.fault(SECTION, 0, "path", what);
    }
    FabricSettings {
        engine: written.engine.clone(),
        path: written.path.clone(),
        sealing: Sealing { keys: keys(review, &written.keys, secrets), clear: written.clear },
        ..FabricSettings::default()
    }
}

fn keys(
    review: &mut Review<'_>,
    written: &[file::FabricKey],
    secrets: &Secrets<'_>,
) -> Vec<SealKey> {
    let mut keys: Vec<SealKey> = Vec::new();
    if written.len() > MOST_KEYS {
        let what = format!("more than {MOST_KEYS} keys; take out those that seal nothing any more");
        review.fault(SECTION, 0, "keys", what);
        return keys;
    }
    for one in written {
        match key(one, secrets) {
            Ok(key) if keys.iter().any(|other| other.id() == key.id()) => {
                let what = format!("`{}` stands twice; give each key an id of its own", key.id());
                review.fault(SECTION, 0, "keys", what);
            }
            Ok(key) => keys.push(key),
            Err(what) => review.fault(SECTION, 0, "keys", what),
        }
    }
    keys
}

fn key(written: &file::FabricKey, secrets: &Secrets<'_>) -> Result<SealKey, String> {
    let id = &written.id;
    let read = read_secret([&None, &written.env, &written.file], secrets);
    let text = read.map_err(|(_, what)| format!("`{id}`: {what}"))?;
    let text = text.ok_or_else(|| {
        format!("`{id}`: a key stands elsewhere; write file, the path of its file, or env")
    })?;
    SealKey::read(id, &text.0)
}
