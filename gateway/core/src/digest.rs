//! HTTP Digest as SIP uses it (RFC 3261 section 22.4, RFC 2617), MD5 with and without `qop=auth`.

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a challenge asks for, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) opaque: Option<String>,
    /// The registrar offers `qop=auth`.
    pub(crate) auth: bool,
    /// The nonce was old, the credentials were right.
    pub(crate) stale: bool,
    /// 407 rather than 401.
    pub(crate) proxy: bool,
}

/// Answers that one request may give to challenges, however often its nonce is said to be old.
const MOST_SHOWN: u8 = 4;

impl Ask {
    /// Credentials that were just refused are not shown again, unless the nonce was merely old
    /// (RFC 3261 section 22.2). `shown`: how often they were.
    pub(crate) const fn may_be_answered(&self, shown: u8) -> bool {
        shown == 0 || (self.stale && shown < MOST_SHOWN)
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text).iter().fold(String::with_capacity(32), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes every write");
        hex
    })
}

/// The value of Authorization (or Proxy-Authorization) that answers `ask`.
pub(crate) fn answer(
    ask: &Ask,
    (user, secret): (&str, &str),
    (method, uri): (&str, &str),
    (count, cnonce): (u32, &str),
) -> String {
    let Ask { realm, nonce, .. } = ask;
    let secret_hash = md5(&format!("{user}:{realm}:{secret}"));
    let request_hash = md5(&format!("{method}:{uri}"));
    let mut value = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm=MD5"
    );
    let response = if ask.auth {
        write!(value, ", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"")
            .expect("a String takes every write");
        md5(&format!("{secret_hash}:{nonce}:{count:08x}:{cnonce}:auth:{request_hash}"))
    } else {
        md5(&format!("{secret_hash}:{nonce}:{request_hash}"))
    };
    write!(value, ", response=\"{response}\"").expect("a String takes every write");
    if let Some(opaque) = &ask.opaque {
        write!(value, ", opaque=\"{opaque}\"").expect("a String takes every write");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        // RFC 2617 section 3.5.
        let ask = Ask {
            realm: "testrealm@host.com".to_owned(),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093".to_owned(),
            opaque: None,
            auth: true,
            stale: false,
            proxy: false,
        };
        let value =
            answer(&ask, ("Mufasa", "Circle Of Life"), ("GET", "/dir/index.html"), (1, "0a4f113b"));
        assert!(value.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{value}");
    }
}
