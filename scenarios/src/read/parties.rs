//! Between whom calls are.

use std::collections::BTreeMap;

use super::field::Field;
use super::findings::Findings;
use super::names::{Kind, Names, Used};
use super::verbs::Verbs;
use crate::codes::Code;
use crate::problem::Problem;
use crate::words::quoted;

/// The two parties of each call and message that the steps place, however well they are named.
pub(super) fn parties<'t>(lines: &[Field<'t>]) -> BTreeMap<&'t str, [&'t str; 2]> {
    let of = |line: &Field<'t>| {
        let step = line.value.get_ref().as_table()?;
        let text = |key| step.get(key)?.get_ref().as_str();
        let mark = text("call").or_else(|| text("message"))?;
        Some((mark, [text("from")?, text("to")?]))
    };
    lines.iter().filter_map(of).collect()
}

impl Names<'_> {
    /// A party of this call.
    fn party(&self, used: &Used<'_>, mark: &str, f: &mut Findings<'_>) -> Option<String> {
        if self.actor(used, &[], f) == Kind::Unclear {
            return None;
        }
        let [from, to] = *self.parties.get(mark)?;
        if ![from, to].contains(&used.name) {
            let message = format!("{} is no party of the call `{mark}`", quoted(used.name));
            let problem = Problem::new(Code::WrongActor, used.span.clone(), message);
            let help = format!("it is between {} and {}", quoted(from), quoted(to));
            f.push(problem.label("not in this call").help(help));
            return None;
        }
        Some(used.name.to_owned())
    }
}

impl Verbs<'_, '_> {
    /// Who does it to the call of this mark; outer nothing: it is said wrongly.
    pub(super) fn by(&self, mark: Option<&str>, f: &mut Findings<'_>) -> Option<Option<String>> {
        let Some(field) = self.step.field("by") else { return Some(None) };
        let name = field.string("by = \"alice\"", f)?;
        let used = Used { name, span: field.span() };
        self.names.party(&used, mark?, f).map(Some)
    }

    /// Who an argument of a step names.
    pub(super) fn named(
        &self,
        key: &'static str,
        example: &str,
        f: &mut Findings<'_>,
    ) -> Option<Used<'_>> {
        let field = self.step.needed(key, example, f)?;
        let name = field.string(example, f)?;
        Some(Used { name, span: field.span() })
    }

    /// `from` and `to` of a call or message, and what only a SIP user agent can say of its own.
    pub(super) fn both_parties(
        &self,
        sip_only: &[&str],
        f: &mut Findings<'_>,
    ) -> (Option<String>, Option<String>) {
        let from = self.named("from", "from = \"alice\"", f);
        let to = self.named("to", "to = \"bob\"", f);
        self.call_parties(from.as_ref(), to.as_ref(), sip_only, f)
    }

    /// A call is between a SIP user agent and a phone.
    fn call_parties(
        &self,
        from: Option<&Used<'_>>,
        to: Option<&Used<'_>>,
        sip_only: &[&str],
        f: &mut Findings<'_>,
    ) -> (Option<String>, Option<String>) {
        let kind = from.map_or(Kind::Unclear, |from| self.names.actor(from, &[], f));
        let to = to.and_then(|to| match kind {
            Kind::Phone => self.names.caller(to, f),
            Kind::Caller => self.names.phone(to, f),
            Kind::Unclear => {
                self.names.actor(to, &[], f);
                None
            }
        });
        if let (Kind::Phone, Some(from)) = (kind, from) {
            self.none_of(sip_only, from, f);
        }
        let known = from.filter(|_| kind != Kind::Unclear);
        (known.map(|from| from.name.to_owned()), to)
    }
}
