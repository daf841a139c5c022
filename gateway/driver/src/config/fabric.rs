//! The sections `[fabric]`, an engine and the keys that seal its records, and `[cluster]`, the nodes
//! that share it.

use super::check::{Review, read_secret};
use super::{Secrets, file};
use crate::fabric::{self, ENGINES, FabricSettings, Member, SealKey, Sealing};

const SECTION: &str = "fabric";
const CLUSTER: &str = "cluster";
/// The engine that nodes on several machines can share.
const SHARED: &str = "postgres";
/// Keys that may be in use at once.
const MOST_KEYS: usize = 16;

pub(super) fn settings(
    review: &mut Review<'_>,
    file: &file::File,
    secrets: &Secrets<'_>,
) -> FabricSettings {
    let written = &file.fabric;
    if !ENGINES.iter().any(|(name, _)| *name == written.engine) {
        let names: Vec<_> = ENGINES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let what = format!("no engine `{}`; write one of: {}", written.engine, names.join(", "));
        review.fault(SECTION, 0, "engine", what);
    }
    if written.engine == "redb" && written.path.is_empty() {
        let what = "no file; write a path like \"reveille.redb\"";
        review.fault(SECTION, 0, "path", what);
    }
    let ways = [&None, &written.password_env, &written.password_file];
    let password = read_secret(ways, secrets).unwrap_or_else(|(key, what)| {
        let key = if key == Some("secret-env") { "password-env" } else { "password-file" };
        review.fault(SECTION, 0, key, what);
        None
    });
    let settings = FabricSettings {
        engine: written.engine.clone(),
        path: written.path.clone(),
        database: written.database.clone().unwrap_or_default(),
        password,
        sealing: Sealing { keys: keys(review, &written.keys, secrets), clear: written.clear },
        member: member(review, file),
        ..FabricSettings::default()
    };
    if settings.engine == SHARED {
        shared(review, &settings);
    }
    settings
}

/// What a database that nodes share must be told.
fn shared(review: &mut Review<'_>, settings: &FabricSettings) {
    if let Err(error) = fabric::check_database(settings) {
        let what = error.what.trim_start_matches("fabric.database: ").to_owned();
        review.fault(SECTION, 0, "database", what);
    }
    if settings.sealing.keys.is_empty() && !settings.sealing.clear {
        let what = "a database has no key beside it; write the same keys for each node, or clear = \
            true";
        review.fault(SECTION, 0, "keys", what);
    }
}

/// Who this node is among those that share the fabric.
fn member(review: &mut Review<'_>, file: &file::File) -> Option<Member> {
    let (cluster, node) = (&file.cluster, &file.node);
    review.within(CLUSTER, "lease", cluster.lease, 3_000, 300_000);
    if let Some(address) = &cluster.address {
        review.host_port(CLUSTER, "address", address);
    }
    if file.fabric.engine != SHARED {
        if cluster.address.is_some() {
            let what = format!(
                "engine `{}` belongs to one node; leave address out, or write fabric.engine = \
                 \"{SHARED}\"",
                file.fabric.engine
            );
            review.fault(CLUSTER, 0, "address", what);
        }
        return None;
    }
    if node.name == file::Node::default().name {
        let what = "nodes that share a fabric need names of their own; write one like \"berlin-1\"";
        review.fault("node", 0, "name", what);
    }
    for (key, listens) in [("udp", &file.sip.udp), ("tcp", &file.sip.tcp)] {
        if listens.is_empty() {
            let what = "the other nodes hand requests on by UDP and by TCP; write an address:port";
            review.fault("sip", 0, key, what);
        }
    }
    let address = cluster.address.as_ref().unwrap_or(&node.advertised).clone();
    Some(Member { node: node.name.clone(), address, lease_ms: cluster.lease.0 })
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
