//! What the embedded engine does with a file that is not its own, or not yet. What every engine
//! must do is the battery beside them.

use reveille_gateway_driver::fabric::{self, FabricSettings};

fn open(content: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, content).expect("written");
    let settings = FabricSettings {
        engine: "redb".to_owned(),
        path: path.to_string_lossy().into_owned(),
        ..FabricSettings::default()
    };
    let opened = fabric::open(&settings, &reveille_host::real::host());
    let mut fabric = opened.map_err(|error| error.to_string())?;
    assert_eq!(fabric.load(), Ok(fabric::Records::default()), "a fresh fabric is empty");
    Ok(())
}

#[test]
fn a_file_that_is_no_database_is_named_and_left_alone() {
    let text = "not a database, but long enough to be looked at".repeat(400);
    let error = open(text.as_bytes()).expect_err("refused");
    assert!(error.contains("notes.txt"), "{error}");
}

/// A crash while a database is made leaves zeros where its first bytes will be: nothing was ever
/// stored there, and the gateway must start again.
#[test]
fn a_database_whose_creation_was_cut_short_is_made_anew() {
    assert_eq!(open(&[]), Ok(()));
    assert_eq!(open(&vec![0; 1_060_864]), Ok(()));
}
