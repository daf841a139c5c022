//! Lists that are gathered look by look, so that the loop serves its peers in between.

use reveille_gateway_core::survey::{CallView, Page, SessionView, Tally};

use super::problem::Problem;
use super::query::Query;
use super::{Ask, Inside};

/// Looks for one page; what is left then is the next page's.
const MOST_LOOKS: usize = 200;

fn silent() -> Problem {
    Problem::unavailable("the gateway's loop has not answered for 2 s; ask again")
}

/// One page of sessions.
pub(super) async fn sessions(inside: &Inside, query: Query) -> Result<Page<SessionView>, Problem> {
    let Query { limit, cursor, filter } = query;
    let mut page = Page { items: Vec::new(), next: cursor };
    for _ in 0..MOST_LOOKS {
        let (after, left, filter) = (page.next.take(), limit - page.items.len(), filter.clone());
        let look = inside
            .ask(|answer| Ask::Sessions { after, limit: left, filter, answer })
            .await
            .ok_or_else(silent)?;
        page.items.extend(look.items);
        page.next = look.next;
        if page.next.is_none() || page.items.len() >= limit {
            break;
        }
    }
    Ok(page)
}

/// One page of pending calls; those of one session stand on one page.
pub(super) async fn calls(inside: &Inside, query: Query) -> Result<Page<CallView>, Problem> {
    let Query { limit, cursor, .. } = query;
    let mut page = Page { items: Vec::new(), next: cursor };
    for _ in 0..MOST_LOOKS {
        let (after, left) = (page.next.take(), limit - page.items.len());
        let look = inside
            .ask(|answer| Ask::Calls { after, limit: left, answer })
            .await
            .ok_or_else(silent)?;
        page.items.extend(look.items);
        page.next = look.next;
        if page.next.is_none() || page.items.len() >= limit {
            break;
        }
    }
    Ok(page)
}

/// Everything counted.
pub(super) async fn tally(inside: &Inside) -> Result<Tally, Problem> {
    let mut all = Tally::default();
    loop {
        let after = all.next.take();
        let look = inside.ask(|answer| Ask::Tally { after, answer }).await.ok_or_else(silent)?;
        for (key, count) in look.sessions {
            *all.sessions.entry(key).or_default() += count;
        }
        all.pending_calls += look.pending_calls;
        all.next = look.next;
        if all.next.is_none() {
            return Ok(all);
        }
    }
}
