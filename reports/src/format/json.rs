//! `run.json`: the run itself. Every other format can be made from it.

use std::fmt;

use reveille_trace::{RUN_SCHEMA, Run};
use serde::Deserialize;

/// Why a `run.json` was not read.
#[derive(Debug)]
pub enum ReadError {
    /// It is no JSON, or not of the shape of a run.
    Shape(serde_json::Error),
    /// It is of another version of the format.
    Schema(u64),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => write!(f, "run.json: {error}; give the file as it was written"),
            Self::Schema(found) => write!(
                f,
                "run.json: `schema` is {found}, and this Reveille reads {RUN_SCHEMA}: read it with \
                 the version that its field `reveille` names, or play the run again"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// The text of a run: indented, keys in the order of the format, a line break at its end.
///
/// # Errors
/// Tells what of the run has no form in JSON; a run of plain data has none such.
pub fn write(run: &Run) -> Result<String, String> {
    serde_json::to_string_pretty(run)
        .map(|text| text + "\n")
        .map_err(|error| format!("run.json cannot be written: {error}"))
}

/// Reads the text of a run.
///
/// # Errors
/// [`ReadError`] says whether the version or the shape is wrong. The version is looked at first, so
/// that an unknown field of a later version is not taken for a broken file.
pub fn read(text: &str) -> Result<Run, ReadError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u64,
    }
    let Versioned { schema } = serde_json::from_str(text).map_err(ReadError::Shape)?;
    if schema != u64::from(RUN_SCHEMA) {
        return Err(ReadError::Schema(schema));
    }
    serde_json::from_str(text).map_err(ReadError::Shape)
}
