//! From, To, Contact, Route and Record-Route values.

use super::cursor::{Cursor, is_token_byte, quote};
use super::malformed::{Malformed, excerpt};
use super::params::{self, Params};
use super::uri::Uri;
use std::fmt;
use std::str::FromStr;

const RULE: &str = "RFC 3261 20.10";

/// An address with display name and header parameters (RFC 3261 20.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name without quotes and escapes.
    pub display: Option<String>,
    /// The address itself, with the parameters inside `<>`.
    pub uri: Uri,
    /// Parameters of the header, outside `<>`.
    pub params: Params,
}

impl NameAddr {
    /// An address without display name and parameters.
    #[must_use]
    pub const fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::new() }
    }

    /// Reads `"Name" <uri>;params`, `<uri>;params` or `uri;params`. Without `<>` all parameters are
    /// the header's.
    ///
    /// # Errors
    /// RFC 3261 20.10 and 25.1, and 19.1.1 for the URI.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text, RULE);
        cursor.skip_blank();
        if cursor.peek() == Some(b'"') {
            let display = cursor.quoted()?;
            cursor.skip_blank();
            return Self::angled(cursor, Some(display));
        }
        let at = cursor.at();
        let head = cursor.take_while(|byte| !matches!(byte, b'<' | b';' | b'"'));
        if cursor.peek() == Some(b'<') {
            let display = head.trim_end();
            check_display(display).map_err(|fault| fault.shifted(at))?;
            return Self::angled(cursor, (!display.is_empty()).then(|| display.to_owned()));
        }
        let bare = head.trim_end();
        if let Some(mark) = bare.find(['?', ',']) {
            let what = "URI with `?` or `,` outside `<>`; put the URI in angle brackets";
            return Err(Malformed::new(RULE, at + mark, what));
        }
        let uri = Uri::parse(bare).map_err(|fault| fault.shifted(at))?;
        Ok(Self { display: None, uri, params: params::parse(&mut cursor)? })
    }

    fn angled(mut cursor: Cursor<'_>, display: Option<String>) -> Result<Self, Malformed> {
        if !cursor.eat(b'<') {
            return Err(cursor.fault("expected `<` and a URI after the display name"));
        }
        let at = cursor.at();
        let inside = cursor.take_while(|byte| byte != b'>');
        if !cursor.eat(b'>') {
            return Err(Malformed::new(RULE, at - 1, "`<` never ends; close the URI with `>`"));
        }
        let uri = Uri::parse(inside).map_err(|fault| fault.shifted(at))?;
        Ok(Self { display, uri, params: params::parse(&mut cursor)? })
    }

    /// The tag that names one side of a dialog (RFC 3261 19.3).
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.param("tag")
    }

    /// Value of a header parameter without its quotes; `""` for one without a value.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// This address with the given tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", tag);
        self
    }
}

/// Tokens and blanks; letters beyond ASCII pass, as many devices send names without quotes.
fn check_display(name: &str) -> Result<(), Malformed> {
    let allowed =
        |byte: u8| is_token_byte(byte) || !byte.is_ascii() || byte == b' ' || byte == b'\t';
    match name.bytes().position(|byte| !allowed(byte)) {
        Some(at) => {
            let what =
                format!("display name `{}` needs quotes; write \"...\" around it", excerpt(name));
            Err(Malformed::new("RFC 3261 25.1", at, what))
        }
        None => Ok(()),
    }
}

impl FromStr for NameAddr {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            quote(display, f)?;
            f.write_str(" ")?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

/// One Contact value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// `*`: all bindings (RFC 3261 10.2.2).
    Star,
    /// One address.
    Addr(NameAddr),
}

impl Contact {
    /// Reads one Contact value.
    ///
    /// # Errors
    /// As [`NameAddr::parse`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.trim() == "*" { Ok(Self::Star) } else { NameAddr::parse(text).map(Self::Addr) }
    }

    /// The address, unless this is `*`.
    #[must_use]
    pub fn addr(&self) -> Option<&NameAddr> {
        match self {
            Self::Star => None,
            Self::Addr(addr) => Some(addr),
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => f.write_str("*"),
            Self::Addr(addr) => addr.fmt(f),
        }
    }
}
