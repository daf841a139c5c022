//! Verbs that do something to a call that was placed, and those that set how actors treat calls.

use super::actors::{ON_CALL, early, on_call};
use super::field::Field;
use super::findings::Findings;
use super::names::{Kind, Used};
use super::settings::NODES_MAX;
use super::verbs::Verbs;
use crate::codes::Code;
use crate::problem::Problem;
use crate::scenario::Verb;

/// All that can be set of an actor.
const SET: [&str; 6] = ["pushes", "early", "node", ON_CALL[0], ON_CALL[1], ON_CALL[2]];

impl Verbs<'_, '_> {
    pub(super) fn within(&self, verb: &str, used: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        if self.is_message(verb, used, f) {
            return None;
        }
        let who = match verb {
            "hangup" => self.names.call_or_actor(used, self.at, f),
            _ => self.names.call(used, self.at, f),
        };
        let update = match self.step.field("method") {
            Some(field) => field.word(&[("re-invite", false), ("update", true)], f),
            None => Some(false),
        };
        let stale = match self.step.field("cseq") {
            Some(field) => field.word(&[("lower", true)], f),
            None => Some(false),
        };
        if who.as_deref().is_some_and(|who| self.names.actors.contains_key(who)) {
            self.none_of(&["by"], used, f);
            return who.map(|who| Verb::HangUp { who, by: None });
        }
        let (by, mark) = (self.by(who.as_deref(), f)?, who?);
        match verb {
            "cancel" => Some(Verb::Cancel { mark, by }),
            "hangup" => Some(Verb::HangUp { who: mark, by }),
            "renegotiate" if stale == Some(true) => {
                self.sip_side(by.as_deref(), used, f)?;
                Some(Verb::Renegotiate { mark, by, update: update?, stale: true })
            }
            "renegotiate" => Some(Verb::Renegotiate { mark, by, update: update?, stale: stale? }),
            "retransmit" => self.sip_side(None, used, f).map(|()| Verb::Retransmit { mark }),
            _ => self.sip_side(by.as_deref(), used, f).map(|()| Verb::Info { mark, by }),
        }
    }

    /// Some things only the SIP side of a call can do.
    fn sip_side(&self, by: Option<&str>, used: &Used<'_>, f: &mut Findings<'_>) -> Option<()> {
        let parties = self.names.parties.get(used.name)?;
        let span = self.step.field("by").map_or(used.span.clone(), |field| field.span());
        let doer = Used { name: by.unwrap_or(parties[0]), span };
        self.names.caller(&doer, f).map(drop)
    }

    pub(super) fn set(&self, used: &Used<'_>, f: &mut Findings<'_>) -> Option<Verb> {
        let kind = self.names.actor(used, &[], f);
        let mut said: Vec<_> = SET.iter().filter_map(|key| self.step.field(key)).collect();
        said.sort_by_key(|field| field.span().start);
        let pushes = self.step.field("pushes");
        let ignored = pushes.map(|p| p.word(&[("ignored", true), ("heeded", false)], f));
        let (on_call, early) = (on_call(self.step, f), early(self.step, f));
        if let (Some(pushes), Kind::Caller) = (pushes, kind) {
            let problem = pushes.problem(Code::WrongActor, "a sip-ua receives no pushes");
            f.push(problem.label("only of a phone").help("name a phone, or leave `pushes` out"));
            return None;
        }
        if let (Some(early), Kind::Phone) = (self.step.field("early"), kind) {
            let problem =
                early.problem(Code::WrongActor, "a phone's app says by itself that it rings");
            f.push(problem.label("only of a sip-ua").help("name a sip-ua, or leave `early` out"));
            return None;
        }
        let who = (kind != Kind::Unclear).then(|| used.name.to_owned());
        if let ([only], Some(field)) = (&said[..], self.step.field("node"))
            && only.key == field.key
        {
            return Some(Verb::SetNode { node: self.node(&field, f)?, who: who? });
        }
        match (ignored, early, on_call) {
            (Some(ignored), None, None) if said.len() == 1 => {
                Some(Verb::SetPushes { phone: who?, ignored: ignored? })
            }
            (None, Some(early), None) if said.len() == 1 => {
                Some(Verb::SetEarly { who: who?, early: early? })
            }
            (None, None, Some(on_call)) if said.iter().all(|field| field.key != "node") => {
                Some(Verb::SetOnCall { who: who?, on_call: on_call? })
            }
            (None, None, None) => {
                let problem = Problem::new(
                    Code::MissingKey,
                    self.step.span.clone(),
                    "this step does not say what is set",
                );
                f.absent(problem.label("nothing is set").help(
                    "add one of `answer-after = \"500ms\"`, `decline = 603` and `ring = true`; of a \
                     phone also `pushes = \"ignored\"`, of a sip-ua `early = \"media\"`; where \
                     `[world]` has `nodes`, `node = 2`",
                ));
                None
            }
            _ => {
                let (first, second) = (said.first()?, said.get(1)?);
                let message = format!("this step sets both `{}` and `{}`", first.key, second.key);
                let problem = second.problem(Code::OneBehaviour, message);
                let label = format!("not with `{}`", first.key);
                f.push(problem.label(label).help("make it a step of its own"));
                None
            }
        }
    }

    /// A node of the gateway, as it has them.
    fn node(&self, field: &Field<'_>, f: &mut Findings<'_>) -> Option<u32> {
        let (nodes, node) = (self.names.nodes, field.number(1..=NODES_MAX, f)?);
        if node > nodes {
            let what = format!("the gateway has no node {node}, with `nodes = {nodes}`");
            let problem = field.problem(Code::OutOfRange, what).label("no such node");
            f.push(problem.help(format!("write `nodes = {node}` in `[world]`, or another node")));
            return None;
        }
        Some(node)
    }
}
