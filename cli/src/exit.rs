//! The published table of exit codes. Text, files and process take their numbers from here and from
//! [`reveille_trace::Summary::exit_code`].

use std::process::ExitCode;

/// What each code means, in the order of the table.
pub(crate) const TABLE: &[(u8, &str)] = &[
    (0, "all is well: every MUST that could be decided was met"),
    (1, "a MUST was not met; for `check`: a file was judged and found wrong"),
    (2, "a bad command line, or a file that cannot be read or is wrong"),
    (3, "no failure, but a case showed nothing either way"),
    (4, "nothing was selected"),
    (6, "the target or a member of the cast could not be used, or a result not be written"),
    (7, "shards are missing or of different runs, or a case is not what its token or record says"),
    (70, "a defect in Reveille itself"),
    (130, "interrupted by a signal, as a shell tells it; nothing is written"),
];

/// A bad command line or file.
pub(crate) const BAD_FILE: u8 = 2;
/// Nothing was selected.
pub(crate) const NOTHING: u8 = 4;
/// A server could not begin, or broke.
pub(crate) const BROKE: u8 = 6;
/// Digests of what belongs together differ.
pub(crate) const DIFFERS: u8 = 7;
/// Ours.
pub(crate) const DEFECT: u8 = 70;

/// Why a verb ends early: what to say, and the exit code.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Stop {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { text: text.into(), code }
    }

    pub(crate) fn bad_file(text: impl Into<String>) -> Self {
        Self::new(BAD_FILE, text)
    }
}

/// The way out of every verb.
pub(crate) fn way_out(how: Result<u8, Stop>) -> ExitCode {
    match how {
        Ok(code) => ExitCode::from(code),
        Err(stop) => {
            eprintln!("reveille: {}", stop.text);
            ExitCode::from(stop.code)
        }
    }
}
