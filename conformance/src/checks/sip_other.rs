//! Requests that are no call.

use std::collections::BTreeSet;

use super::view::{Said, View};
use super::{Outcome, broken, each};
use crate::cast::scan::param;

/// A request within a dialog under a lower CSeq than one before it is refused with 500.
pub(super) fn lower_cseq_is_refused(view: &View<'_>) -> Outcome {
    each(view.calls.iter().chain(&view.called), |call| {
        let mut said: Vec<&Said> = call.said.iter().chain(&call.changes).collect();
        said.sort_by_key(|said| said.seq);
        let (mut highest, mut known) = (0, BTreeSet::new());
        let mut outcome = Outcome::Silent;
        for asked in said.iter().filter(|said| is_within(said)) {
            let number = asked.message.cseq_number().unwrap_or_default();
            let branch = asked.message.branch();
            if !known.insert(branch.clone()) {
                continue;
            }
            if number >= highest {
                highest = number;
                continue;
            }
            let answers = said.iter().filter(|said| !said.sent && said.message.branch() == branch);
            let last = answers.filter_map(|said| Some((said, said.message.status()?))).next_back();
            match last {
                Some((_, 500)) => outcome = Outcome::Met,
                Some((said, status)) => {
                    return broken(
                        format!("CSeq {number} after {highest} hears {status}"),
                        said.seq,
                    );
                }
                None => {}
            }
        }
        outcome
    })
}

/// A request of the actor's within a dialog, that takes a number of its own.
fn is_within(said: &Said) -> bool {
    let to = said.message.header("to").unwrap_or_default();
    let numbered = !matches!(said.message.method(), None | Some("ACK" | "CANCEL"));
    said.sent && numbered && param(to, "tag").is_some()
}
