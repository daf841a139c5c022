//! Parameters: `;name`, `;name=value`, `;name="quoted value"`.

use super::cursor::{Cursor, is_token_byte, quote};
use super::malformed::Malformed;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    name: String,
    value: Option<String>,
    quoted: bool,
}

/// Parameters in their order. Names compare without case (RFC 3261 7.3.1); values are kept without
/// quotes, and what came quoted is written quoted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<Param>);

impl Params {
    /// No parameters.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of the first parameter of this name; a parameter without `=` has the value `""`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let param = self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))?;
        Some(param.value.as_deref().unwrap_or(""))
    }

    /// Whether a parameter of this name is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Replaces the parameter of this name or appends it. A value that is no token is written quoted.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        let quoted = value.is_empty() || !value.bytes().all(is_bare);
        self.put(Param { name: name.to_owned(), value: Some(value), quoted });
    }

    /// Sets a parameter without a value, such as `lr` or `ob`.
    pub fn flag(&mut self, name: &str) {
        self.put(Param { name: name.to_owned(), value: None, quoted: false });
    }

    fn put(&mut self, param: Param) {
        match self.0.iter_mut().find(|old| old.name.eq_ignore_ascii_case(&param.name)) {
            Some(old) => *old = param,
            None => self.0.push(param),
        }
    }

    /// Removes the parameter and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|param| param.name.eq_ignore_ascii_case(name))?;
        Some(self.0.remove(at).value.unwrap_or_default())
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|param| (param.name.as_str(), param.value.as_deref()))
    }

    /// Number of parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn append(&mut self, name: &str, value: Option<String>, quoted: bool) {
        self.0.push(Param { name: name.to_owned(), value, quoted });
    }

    /// The name of a parameter that stands twice (RFC 3261 7.3.1 forbids it).
    pub(super) fn repeated(&self) -> Option<&str> {
        let twice = |(at, param): &(usize, &Param)| {
            self.0[..*at].iter().any(|other| other.name.eq_ignore_ascii_case(&param.name))
        };
        self.0.iter().enumerate().find(twice).map(|(_, param)| param.name.as_str())
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, separator: &str) -> fmt::Result {
        for (at, param) in self.0.iter().enumerate() {
            if at > 0 || separator == ";" {
                f.write_str(separator)?;
            }
            f.write_str(&param.name)?;
            if let Some(value) = &param.value {
                f.write_str("=")?;
                if param.quoted { quote(value, f)? } else { f.write_str(value)? }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, ";")
    }
}

/// What may stand unquoted: token, host with port and IPv6 brackets, and the marks seen in `gen-value`s.
pub(super) const fn is_bare(byte: u8) -> bool {
    is_token_byte(byte) || matches!(byte, b':' | b'[' | b']' | b'/' | b'@' | b'&' | b'$' | b'?')
}

/// Reads `*( ;name [= value] )` to the end of the value.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Params, Malformed> {
    let mut params = Params::new();
    loop {
        cursor.skip_blank();
        if cursor.peek().is_none() {
            return Ok(params);
        }
        if !cursor.eat(b';') {
            return Err(cursor.fault("expected `;` and a parameter, or the end of the header"));
        }
        cursor.skip_blank();
        parse_one(cursor, &mut params)?;
    }
}

/// Reads one `name [= value]`.
pub(super) fn parse_one(cursor: &mut Cursor<'_>, params: &mut Params) -> Result<(), Malformed> {
    let name = cursor.token();
    if name.is_empty() {
        return Err(cursor.fault("parameter without a name; write `name` or `name=value`"));
    }
    cursor.skip_blank();
    if !cursor.eat(b'=') {
        params.append(name, None, false);
        return Ok(());
    }
    cursor.skip_blank();
    if cursor.peek() == Some(b'"') {
        let value = cursor.quoted()?;
        params.append(name, Some(value), true);
        return Ok(());
    }
    let value = cursor.take_while(|byte| is_bare(byte) || byte == b'=' || !byte.is_ascii());
    if value.is_empty() {
        return Err(cursor
            .fault(format!("parameter {name} has `=` but no value; write a value or drop `=`")));
    }
    params.append(name, Some(value.to_owned()), false);
    Ok(())
}
