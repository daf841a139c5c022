//! Challenges of the network, answered with the user's secret (RFC 3261 section 22).

use reveille_wire::sip::Message;

use super::Node;
use crate::digest::{self, Ask};
use crate::io::Flow;

impl Node {
    /// The header that answers a challenge for a user of ours.
    pub(super) fn credentials(
        &self,
        user: &str,
        ask: &Ask,
        asked: (&str, &str),
        count: (u32, &str),
    ) -> Option<(&'static str, String)> {
        let secret = self.config.user(user)?.secret.0.as_str();
        let value = digest::answer(ask, (user, secret), asked, count);
        let name = if ask.proxy { "Proxy-Authorization" } else { "Authorization" };
        Some((name, value))
    }

    /// The same request once more with the user's answer to a challenge: the next number, and a
    /// branch of its own (RFC 3261 section 22.2). `None` if the challenge cannot be answered, or if
    /// credentials were `shown` already: only those whose nonce was old are shown again.
    pub(super) fn authorised(
        &mut self,
        user: &str,
        flow: &Flow,
        request: &Message,
        response: &Message,
        shown: u8,
    ) -> Option<Message> {
        let (branch, cnonce) = (format!("z9hG4bK{}", self.dice.hex(8)), self.dice.hex(8));
        let ask = ask(response).filter(|ask| ask.may_be_answered(shown))?;
        let (method, uri) = (request.method()?, request.uri()?);
        let asked = (method.as_str(), uri);
        let (name, value) = self.credentials(user, &ask, asked, (1, cnonce.as_str()))?;
        let number = request.cseq().ok()?.number + 1;
        let mut again = request.clone();
        again.set("Via", self.via(flow.transport, &branch));
        again.set("CSeq", format!("{number} {method}"));
        again.set(name, value);
        Some(again)
    }
}

/// The first Digest challenge with MD5 in a 401 or 407.
pub(super) fn ask(response: &Message) -> Option<Ask> {
    let challenges = response.challenges().ok()?;
    let usable = challenges.iter().find(|challenge| {
        let algorithm = challenge.param("algorithm");
        challenge.scheme.eq_ignore_ascii_case("Digest")
            && algorithm.is_none_or(|name| name.eq_ignore_ascii_case("MD5"))
    })?;
    let text = |name: &str| usable.param(name).map(ToOwned::to_owned);
    let offers = text("qop").unwrap_or_default();
    Some(Ask {
        realm: text("realm")?,
        nonce: text("nonce")?,
        opaque: text("opaque"),
        auth: offers.split(',').any(|offer| offer.trim().eq_ignore_ascii_case("auth")),
        stale: text("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        proxy: usable.proxy,
    })
}
