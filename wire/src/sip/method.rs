//! Request methods and CSeq.

use super::cursor::{Cursor, is_token};
use super::malformed::{Malformed, excerpt};
use std::borrow::Cow;
use std::fmt;

/// A method name: a case-sensitive token (RFC 3261 7.1); unknown ones are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(Cow<'static, str>);

macro_rules! methods {
    ($($name:ident $source:literal)*) => {
        impl Method {
            $(#[doc = $source] pub const $name: Self = Self(Cow::Borrowed(stringify!($name)));)*

            fn known(token: &str) -> Option<Self> {
                match token { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

methods! {
    INVITE "RFC 3261 13" ACK "RFC 3261 17.1.1.3" BYE "RFC 3261 15" CANCEL "RFC 3261 9"
    REGISTER "RFC 3261 10" OPTIONS "RFC 3261 11" MESSAGE "RFC 3428" NOTIFY "RFC 6665"
    SUBSCRIBE "RFC 6665" REFER "RFC 3515" INFO "RFC 6086" UPDATE "RFC 3311" PRACK "RFC 3262"
    PUBLISH "RFC 3903"
}

impl Method {
    /// Reads a token.
    ///
    /// # Errors
    /// When `token` is empty or holds a character outside RFC 3261 25.1 `token`.
    pub fn parse(token: &str) -> Result<Self, Malformed> {
        if let Some(known) = Self::known(token) {
            return Ok(known);
        }
        if is_token(token) {
            return Ok(Self(Cow::Owned(token.to_owned())));
        }
        let what = format!("`{}` is no method; write a token such as INVITE", excerpt(token));
        Err(Malformed::new("RFC 3261 25.1", 0, what))
    }

    /// The token as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of the constants above.
    #[must_use]
    pub fn is_known(&self) -> bool {
        Self::known(&self.0).is_some()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Method {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Method {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// CSeq: number and method (RFC 3261 20.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Less than 2^31.
    pub number: u32,
    /// Equal to the method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads a CSeq value such as `314159 INVITE`.
    ///
    /// # Errors
    /// When the number is not below 2^31 or the method is no token.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        const RULE: &str = "RFC 3261 20.16";
        let mut cursor = Cursor::new(text, RULE);
        cursor.skip_blank();
        let digits = cursor.digits();
        let number = match digits.parse::<u32>() {
            Ok(number) if number < 1 << 31 => number,
            Ok(_) | Err(_) => {
                let what = "CSeq must begin with a number from 0 to 2147483647";
                return Err(Malformed::new("RFC 3261 8.1.1.5", 0, what));
            }
        };
        if !cursor.skip_blank() {
            return Err(cursor.fault("write a space between the CSeq number and the method"));
        }
        let at = cursor.at();
        let method = Method::parse(cursor.rest().trim_end())
            .map_err(|fault| Malformed { rule: RULE, ..fault.shifted(at) })?;
        Ok(Self { number, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}
