//! Tokens of cases: from a word on the command line to a case that can be played.

use reveille_sim::suite::{Job, Token};

use crate::exit::{DIFFERS, Stop};
use crate::library;

/// Reads a token, and finds the one case that it names.
///
/// What has changed since the token was made refuses it, unless `force` says otherwise: then a
/// sentence for the reader comes along.
pub(crate) fn resolve(text: &str, force: bool) -> Result<(Job, Option<String>), Stop> {
    let token: Token = text.parse().map_err(|error| Stop::bad_file(format!("{error}")))?;
    let job = library::one(&token.case, token.seed, token.world)?;
    let now = Token::of(&job);
    let changed = token.made_of.differs(&now.made_of);
    if changed.is_empty() {
        return Ok((job, None));
    }
    let changed = changed.join(" and ");
    let what = format!("since the token was made, this has changed: {changed}");
    if force {
        return Ok((job, Some(what)));
    }
    Err(Stop::new(
        DIFFERS,
        format!(
            "{what}. The case may play differently now: bring back what it was, play it as it is now \
             with `--force`, or with its token of today, {now}"
        ),
    ))
}
