//! Verbs that either side of a call can be told.

use reveille_scenarios::Verb as Said;

use super::Verb;
use super::rig::{Lowering, conduct, said_early};
use crate::cast::{caller, phone};

impl Lowering<'_> {
    /// Who does it to the call of this mark: who is named, else who placed it.
    fn doer(&self, mark: &str, by: Option<&String>) -> String {
        let placed = self.scenario.steps.iter().find_map(|step| match &step.verb {
            Said::Call { mark: of, from, .. } if of == mark => Some(from),
            Said::Message(message) if message.mark == mark => Some(&message.from),
            _ => None,
        });
        let doer = by.or(placed).cloned();
        doer.expect("a scenario that was read places every call it names")
    }

    /// The order for a verb about an actor, or about a call of this mark.
    pub(super) fn of_parties(&self, verb: &Said, who: &str) -> Verb {
        let mark = || who.to_owned();
        let is_actor = self.scenario.actors.contains_key(who);
        let doer = match verb {
            Said::HangUp { by, .. }
            | Said::Cancel { by, .. }
            | Said::Renegotiate { by, .. }
            | Said::Info { by, .. }
                if !is_actor =>
            {
                self.doer(who, by.as_ref())
            }
            _ if is_actor => mark(),
            _ => self.doer(who, None),
        };
        if self.is_phone(&doer) {
            let command = match verb {
                Said::SetOnCall { on_call, .. } => phone::Command::Conduct(conduct(*on_call)),
                Said::Renegotiate { update, .. } => {
                    phone::Command::Change { mark: mark(), update: *update }
                }
                _ if is_actor => phone::Command::HangUp,
                _ => phone::Command::HangUpCall(mark()),
            };
            return Verb::Phone(doer, command);
        }
        let command = match verb {
            Said::SetOnCall { on_call, .. } => caller::Command::Conduct(conduct(*on_call)),
            Said::SetEarly { early, .. } => caller::Command::Early(said_early(*early)),
            Said::Renegotiate { update, stale, .. } => {
                caller::Command::Change { mark: mark(), update: *update, stale: *stale }
            }
            Said::Cancel { .. } => caller::Command::Cancel(mark()),
            Said::Info { .. } => caller::Command::Info(mark()),
            Said::Retransmit { .. } => caller::Command::Retransmit(mark()),
            _ if is_actor => caller::Command::HangUpAll,
            _ => caller::Command::HangUp(mark()),
        };
        Verb::Caller(doer, command)
    }
}
