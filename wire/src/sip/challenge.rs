use super::cursor::Cursor;
use super::malformed::Malformed;
use super::params::{self, Params};

const RULE: &str = "RFC 3261 20.44";

/// A challenge, or the credentials that answer one (RFC 3261 sections 20.7, 20.27, 20.28, 20.44).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Usually `Digest`.
    pub scheme: String,
    /// `realm`, `nonce` and the rest, quotes removed.
    pub params: Params,
    /// From a Proxy- header.
    pub proxy: bool,
}

impl Challenge {
    /// Reads the value of one header line.
    pub(super) fn parse(text: &str, proxy: bool) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(text, RULE);
        cursor.skip_blank();
        let scheme = cursor.token().to_owned();
        if scheme.is_empty() {
            return Err(cursor.fault("a challenge begins with its scheme; write `Digest realm=..`"));
        }
        let mut params = Params::new();
        loop {
            cursor.skip_blank();
            params::parse_one(&mut cursor, &mut params)?;
            cursor.skip_blank();
            if cursor.peek().is_none() {
                return Ok(Self { scheme, params, proxy });
            }
            if !cursor.eat(b',') {
                return Err(cursor.fault("expected `,` and a parameter, or the end of the header"));
            }
        }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }
}
