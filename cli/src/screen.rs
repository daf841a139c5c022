//! Standard output: how wide it is, whether it takes colours, and text for it.

use std::io::Write as _;

use crate::exit::{BROKE, Stop};

/// What the terminal is like; a pipe is 100 columns wide and has no colours.
pub(crate) struct Screen {
    pub(crate) width: usize,
    pub(crate) colour: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let term = console::Term::stdout();
        let width = term.size_checked().map_or(100, |(_, columns)| usize::from(columns));
        Self { width: width.clamp(40, 120), colour: console::colors_enabled() }
    }
}

/// Prints to standard output; a reader that has gone away is no error.
pub(crate) fn print(text: &str) -> Result<u8, Stop> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Stop::new(BROKE, format!("cannot print: {error}")))
        }
        _ => Ok(0),
    }
}
