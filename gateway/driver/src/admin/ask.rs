//! Questions to the loop, and its answers. Each is short: a list comes a look at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use reveille_gateway_core::config::Config;
use reveille_gateway_core::io::Input;
use reveille_gateway_core::node::Node;
use reveille_gateway_core::record::SessionId;
use reveille_gateway_core::survey::{CallView, Filter, Page, SessionView, Tally};
use tokio::sync::oneshot;

use crate::ports::Ports;
use crate::push::Queue;
use crate::world::World;

/// The way back to whoever asks.
type Answer<T> = oneshot::Sender<T>;

/// Ways to push providers, by name.
pub(crate) type Pushes = BTreeMap<String, Queue>;

/// A question, or an order.
pub(crate) enum Ask {
    /// Is the loop there?
    Ping(Answer<()>),
    Sessions {
        after: Option<String>,
        limit: usize,
        filter: Filter,
        answer: Answer<Page<SessionView>>,
    },
    Session {
        id: String,
        answer: Answer<Option<(SessionView, Vec<CallView>)>>,
    },
    Calls {
        after: Option<String>,
        limit: usize,
        answer: Answer<Page<CallView>>,
    },
    Tally {
        after: Option<String>,
        answer: Answer<Tally>,
    },
    /// End a session; false: there is none.
    End {
        id: String,
        answer: Answer<bool>,
    },
    /// Refuse new work from now on.
    Drain(Answer<()>),
    /// Take a new configuration, and new ways to push if they changed.
    Configure {
        core: Arc<Config>,
        pushes: Option<Pushes>,
        answer: Answer<()>,
    },
}

impl Ask {
    /// Answers; what the core has to hear is returned. Nobody may be left to hear the answer.
    pub(crate) fn answer(self, world: &World, node: &Node, ports: &mut Ports) -> Option<Input> {
        match self {
            Self::Ping(answer) => tell(answer, ()),
            Self::Sessions { after, limit, filter, answer } => {
                tell(answer, node.sessions(after.as_deref(), limit, &filter));
            }
            Self::Session { id, answer } => tell(answer, node.session(&id)),
            Self::Calls { after, limit, answer } => {
                tell(answer, node.pending_calls(after.as_deref(), limit));
            }
            Self::Tally { after, answer } => tell(answer, node.tally(after.as_deref())),
            Self::End { id, answer } => {
                tell(answer, node.session(&id).is_some());
                return Some(Input::EndSession { session: SessionId::from(id) });
            }
            Self::Drain(answer) => {
                world.health.drain();
                tell(answer, ());
                return Some(Input::Drain);
            }
            Self::Configure { core, pushes, answer } => {
                if let Some(pushes) = pushes {
                    ports.replace_pushes(pushes);
                }
                tell(answer, ());
                return Some(Input::Configure(core));
            }
        }
        None
    }
}

fn tell<T>(answer: Answer<T>, value: T) {
    // Fails only if whoever asked has given up.
    let _given_up: bool = answer.send(value).is_err();
}
