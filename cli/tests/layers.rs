//! Holds the edges of the house: who may depend on whom. `cargo metadata` is the witness.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// What each crate may name under `[dependencies]`. Edges point down this list only.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("reveille-wire", &[]),
    ("reveille-trace", &["wire"]),
    ("reveille-host", &[]),
    ("reveille-client", &["wire", "trace", "host"]),
    ("reveille-gateway-core", &["wire", "trace"]),
    ("reveille-gateway-driver", &["gateway-core", "wire", "trace", "host"]),
    ("reveille-scenarios", &["trace"]),
    ("reveille-conformance", &["client", "scenarios", "wire", "trace", "host"]),
    ("reveille-reports", &["trace"]),
    (
        "reveille-sim",
        &[
            "conformance",
            "scenarios",
            "gateway-core",
            "gateway-driver",
            "client",
            "host",
            "trace",
            "wire",
        ],
    ),
    (
        "reveille-cli",
        &[
            "reports",
            "sim",
            "conformance",
            "scenarios",
            "gateway-core",
            "gateway-driver",
            "client",
            "host",
            "trace",
            "wire",
        ],
    ),
];

/// Pure rooms: time, tasks and chance may not even be named there.
const PURE: &[&str] =
    &["reveille-wire", "reveille-trace", "reveille-scenarios", "reveille-gateway-core"];
const IMPURE: &[&str] = &["tokio", "rand", "getrandom", "uuid", "chrono", "time", "turmoil"];

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().filter(|d| d["kind"].is_null()).map(|d| text(&d["name"])).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

#[test]
fn edges_point_down() {
    let mut wrong = Vec::new();
    for (package, dependencies) in dependencies() {
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == package) else {
            wrong.push(format!("{package} is new: give it a line in MAY_KNOW"));
            continue;
        };
        for dependency in dependencies {
            let Some(room) = dependency.strip_prefix("reveille-") else { continue };
            if !allowed.contains(&room) {
                wrong.push(format!("{package} may not know {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that the house does not have:\n  {}", wrong.join("\n  "));
}

#[test]
fn pure_rooms_name_no_clock_and_no_chance() {
    let all = dependencies();
    for package in PURE {
        let found = all[*package].iter().find(|name| IMPURE.contains(&name.as_str()));
        assert_eq!(found, None, "{package} must stay pure");
    }
}

#[test]
fn no_release_build_carries_planted_defects() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "reveille-cli",
            "-e",
            "normal,features",
            "--offline",
            "-i",
            "reveille-gateway-core",
        ])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(tree.contains("reveille-gateway-core"), "the tree shows the core:\n{tree}");
    assert!(!tree.contains("\"mutants\""), "the binary is built with planted defects:\n{tree}");
}
