//! A JSON value whose texts may hold variables. Values are put into what was parsed, never into the
//! text of JSON: no caller's name can open a member of its own.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

use super::text::{Slot, Text};
use super::{Values, Variable};

/// A JSON value, its members in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::push) enum Node {
    /// What never changes.
    Fixed(Value),
    Text(Text),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    /// Every variable in it.
    pub(super) fn variables(&self) -> Vec<Variable> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Text(text) => text.variables().collect(),
            Self::List(items) => items.iter().flat_map(Self::variables).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, it)| it.variables()).collect(),
        }
    }

    /// True if it holds the call or message itself, alone or within the payload.
    pub(in crate::push) fn has_message(&self) -> bool {
        self.variables().iter().any(|it| it.is_object())
    }

    pub(in crate::push) const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// A member of an object.
    pub(in crate::push) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// What is wrong with its variables: an object is no part of a text.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::Text(text) => {
                let inside = text.variables().find(|it| text.sole().is_none() && it.is_object())?;
                Some(format!("${{{}}} is an object; write it alone in its quotes", inside.name()))
            }
            Self::List(items) => items.iter().find_map(Self::fault),
            Self::Object(members) => members.iter().find_map(|(_, node)| node.fault()),
        }
    }

    /// False of a variable that has no value: such a member or item is left out.
    fn is_there(&self, values: &Values<'_>) -> bool {
        match self {
            Self::Text(text) => text.sole().is_none_or(|sole| values.has(sole)),
            Self::Fixed(_) | Self::List(_) | Self::Object(_) => true,
        }
    }
}

/// A value with its variables filled in, its members in the order of the template.
pub(super) struct Filled<'a>(pub(super) &'a Node, pub(super) &'a Values<'a>);

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(node, values) = self;
        let there = |node: &&Node| node.is_there(values);
        match node {
            Node::Fixed(value) => value.serialize(serializer),
            Node::Text(text) => match text.sole() {
                // As they are written elsewhere, and not as maps of members.
                Some(sole) if sole.variable == Variable::Payload => {
                    values.wake.serialize(serializer)
                }
                Some(Slot { variable: Variable::Message, .. })
                    if values.wake.incoming.is_some() =>
                {
                    values.wake.incoming.serialize(serializer)
                }
                Some(sole) => values.of(sole).serialize(serializer),
                None => serializer.serialize_str(&text.filled(values, ToOwned::to_owned)),
            },
            Node::List(items) => {
                serializer.collect_seq(items.iter().filter(there).map(|it| Filled(it, values)))
            }
            Node::Object(members) => {
                let members = members.iter().filter(|(_, node)| node.is_there(values));
                serializer.collect_map(members.map(|(name, node)| (name, Filled(node, values))))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Fixed(Value::from(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Fixed(Value::from(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Fixed(Value::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Fixed(Value::from(value)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Fixed(Value::Null))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Text::parse(text).map(Node::Text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            if name.contains("${") {
                let what = format!("the name `{name}` varies; write variables into values only");
                return Err(de::Error::custom(what));
            }
            if members.iter().any(|(known, _)| *known == name) {
                return Err(de::Error::custom(format!("`{name}` stands twice; write it once")));
            }
            members.push((name, entries.next_value()?));
        }
        Ok(Node::Object(members))
    }
}
