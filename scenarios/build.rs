//! Makes the shipped scenarios a part of the program: each `.toml` below a family's folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folder of the swarms.
const SWARMS: &str = "swarm";

/// Folders of the crate that are no family of scenarios.
const NO_FAMILY: [&str; 4] = ["src", "tests", "target", "fixtures"];

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A new family is a change of this folder.
    println!("cargo:rerun-if-changed={}", root.display());
    let (mut files, mut swarms) = (Vec::new(), Vec::new());
    for family in folders(root)? {
        let name = family.file_name().unwrap_or_default().to_string_lossy();
        if !NO_FAMILY.contains(&&*name) && !name.starts_with('.') {
            walk(&family, if name == SWARMS { &mut swarms } else { &mut files })?;
        }
    }
    files.sort();
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("shipped.rs"), table(root, &files)?)?;
    fs::write(Path::new(&out).join("swarms.rs"), table(root, &swarms)?)
}

/// All `.toml` files in and below a folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for below in folders(folder)? {
        walk(&below, files)?;
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|e| e == "toml") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}

fn folders(of: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(of)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(entries.into_iter().filter(|p| p.is_dir()).collect())
}

/// The array expression that `shipped()` includes.
fn table(root: &Path, files: &[PathBuf]) -> io::Result<String> {
    let mut rows = Vec::new();
    for file in files {
        let below = file.strip_prefix(root).map_err(io::Error::other)?.with_extension("");
        let parts: Vec<_> = below.iter().map(|p| p.to_string_lossy()).collect();
        rows.push((parts.join("/"), file));
    }
    rows.sort();
    let mut text = String::from("&[\n");
    for (id, file) in rows {
        let path = file.to_string_lossy();
        writeln!(text, "    ({id:?}, include_str!({path:?})),").map_err(io::Error::other)?;
    }
    text.push_str("]\n");
    Ok(text)
}
