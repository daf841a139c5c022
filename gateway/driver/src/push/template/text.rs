//! Text with variables: `${name}`, or `${name|what stands if there is none}`; `$${` is `${`.

use serde_json::Value;

use super::{Values, Variable};

/// Text, and the variables in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::push) struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Of(Slot),
}

/// A variable, and what stands where it has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) variable: Variable,
    pub(super) instead: Option<String>,
}

impl Text {
    /// Reads text.
    ///
    /// # Errors
    /// A variable that there is not, or that is not closed, and what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                parts.push(Part::Plain(format!("{}{{", &rest[..at])));
                rest = &rest[at + 2..];
                continue;
            }
            let (before, inside) = (&rest[..at], &rest[at + 2..]);
            let end = inside.find('}').ok_or_else(|| {
                format!("`${{{inside}` is not closed; write `}}` behind it, or `$${{` for `${{`")
            })?;
            if !before.is_empty() {
                parts.push(Part::Plain(before.to_owned()));
            }
            let (name, instead) = match inside[..end].split_once('|') {
                Some((name, instead)) => (name, Some(instead.to_owned())),
                None => (&inside[..end], None),
            };
            parts.push(Part::Of(Slot { variable: Variable::named(name)?, instead }));
            rest = &inside[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Every variable in it.
    pub(super) fn variables(&self) -> impl Iterator<Item = Variable> {
        self.0.iter().filter_map(|part| match part {
            Part::Plain(_) => None,
            Part::Of(slot) => Some(slot.variable),
        })
    }

    /// What stands before the first variable.
    pub(super) fn begin(&self) -> &str {
        match self.0.first() {
            Some(Part::Plain(text)) => text,
            _ => "",
        }
    }

    /// The variable, if the text is one and nothing else: its value keeps its type.
    pub(super) fn sole(&self) -> Option<&Slot> {
        match &self.0[..] {
            [Part::Of(slot)] => Some(slot),
            _ => None,
        }
    }

    /// The text with its values, each written as `quote` says.
    pub(super) fn filled(&self, values: &Values<'_>, quote: impl Fn(&str) -> String) -> String {
        let one = |part: &Part| match part {
            Part::Plain(text) => text.clone(),
            Part::Of(slot) => quote(&match values.of(slot) {
                Some(Value::String(text)) => text,
                Some(other) => other.to_string(),
                None => String::new(),
            }),
        };
        self.0.iter().map(one).collect()
    }
}
