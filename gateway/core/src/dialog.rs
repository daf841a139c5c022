//! What requests within a dialog are made of (RFC 3261 section 12.2), whoever placed the call.

use reveille_wire::sip::{Message, Method, NameAddr, Uri};

use crate::record::Dialog;

/// Methods that the peer's Allow may name, and that this gateway asks for.
const ASKED: [&str; 2] = ["UPDATE", "INFO"];

/// The Info package for candidates that come late (RFC 8840 section 4.4).
pub(crate) const TRICKLE: &str = "trickle-ice";

impl Dialog {
    /// The dialog of a call that came in, or that a NOTIFY begins: the peer's Record-Route is our
    /// route set, in the same order (RFC 3261 section 12.1.1).
    pub(crate) fn incoming(invite: &Message, local_tag: &str) -> Self {
        let header = |name| invite.header(name).unwrap_or_default().to_owned();
        let caller = invite.from().map(|from| format!("sip:{}", from.uri.aor()));
        let is_tagged = invite.to().is_ok_and(|to| to.tag().is_some());
        let ours = if is_tagged { String::new() } else { format!(";tag={local_tag}") };
        Self {
            local: header("To") + &ours,
            local_tag: local_tag.to_owned(),
            remote: header("From"),
            remote_tag: tag(invite.from().ok().as_ref()),
            target: contact(invite).unwrap_or(caller.unwrap_or_default()),
            routes: owned(&invite.values("Record-Route")),
            local_cseq: 0,
            remote_cseq: invite.cseq().map_or(0, |cseq| cseq.number),
            allows: allows(invite),
            refresh: None,
        }
    }

    /// The dialog that a response to our INVITE makes: its Record-Route in reverse order
    /// (RFC 3261 section 12.1.2).
    pub(crate) fn outgoing(invite: &Message, response: &Message) -> Self {
        let mut routes = owned(&response.values("Record-Route"));
        routes.reverse();
        let header = |of: &Message, name| of.header(name).unwrap_or_default().to_owned();
        Self {
            local: header(invite, "From"),
            local_tag: tag(invite.from().ok().as_ref()),
            remote: header(response, "To"),
            remote_tag: tag(response.to().ok().as_ref()),
            target: contact(response)
                .unwrap_or_else(|| invite.uri().unwrap_or_default().to_owned()),
            routes,
            local_cseq: invite.cseq().map_or(0, |cseq| cseq.number),
            remote_cseq: 0,
            allows: allows(response),
            refresh: None,
        }
    }

    /// A request of ours with the next number.
    pub(crate) fn request(&mut self, method: Method, call_id: &str, via: &str) -> Message {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq, call_id, via)
    }

    /// The ACK of a 2xx, with the number of its INVITE and the credentials that it carried
    /// (RFC 3261 sections 13.2.2.4 and 22.1).
    pub(crate) fn ack(&self, invite: &Message, via: &str) -> Message {
        let number = invite.cseq().map_or(self.local_cseq, |cseq| cseq.number);
        let call_id = invite.call_id().unwrap_or_default();
        let mut ack = self.numbered(Method::ACK, number, call_id, via);
        for name in ["Authorization", "Proxy-Authorization"] {
            for value in invite.headers(name) {
                ack.push(name, value);
            }
        }
        ack
    }

    fn numbered(&self, method: Method, cseq: u32, call_id: &str, via: &str) -> Message {
        let (uri, routes) = self.aim();
        let number = format!("{cseq} {method}");
        let mut request = Message::request(method, uri).with("Via", via);
        for route in routes {
            request.push("Route", route);
        }
        request
            .with("Max-Forwards", "70")
            .with("From", self.local.as_str())
            .with("To", self.remote.as_str())
            .with("Call-ID", call_id)
            .with("CSeq", number)
            .with("Content-Length", "0")
    }

    /// Request-URI and Route. A first route without `lr` is a strict router: it takes the place of
    /// the Request-URI, and the target goes last (RFC 3261 section 12.2.1.1).
    fn aim(&self) -> (String, Vec<String>) {
        let strict = self.routes.first().and_then(|route| {
            let uri = NameAddr::parse(route).ok()?.uri;
            (!uri.params.has("lr")).then_some(uri)
        });
        match strict {
            Some(uri) => {
                let mut routes = self.routes[1..].to_vec();
                routes.push(format!("<{}>", self.target));
                (uri.to_string(), routes)
            }
            None => (self.target.clone(), self.routes.clone()),
        }
    }

    /// True if a request with these tags is the peer's within this dialog.
    pub(crate) fn is_of(&self, to_tag: &str, from_tag: &str) -> bool {
        self.local_tag == to_tag && self.remote_tag == from_tag
    }

    /// INVITE and UPDATE, and what answers them, tell where the peer is now (RFC 3261 section
    /// 12.2.1.2).
    pub(crate) fn learn(&mut self, message: &Message) {
        if let Some(target) = contact(message) {
            self.target = target;
        }
        let allows = allows(message);
        if !allows.is_empty() {
            self.allows = allows;
        }
    }

    /// True if the peer said that it takes this method, or this Info package.
    pub(crate) fn allows(&self, name: &str) -> bool {
        self.allows.iter().any(|allowed| allowed == name)
    }
}

fn tag(side: Option<&NameAddr>) -> String {
    side.and_then(|side| side.tag()).unwrap_or_default().to_owned()
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Where the sender of a message wants what follows (RFC 3261 section 8.1.1.8).
pub(crate) fn contact(message: &Message) -> Option<String> {
    let contacts = message.contacts().ok()?;
    let uri: Uri = contacts.iter().find_map(|contact| Some(contact.addr()?.uri.clone()))?;
    Some(uri.to_string())
}

fn allows(message: &Message) -> Vec<String> {
    let named = message.values("Allow");
    let methods = ASKED.iter().filter(|name| named.contains(name)).copied();
    let trickles = message.values("Recv-Info").contains(&TRICKLE);
    methods.chain(trickles.then_some(TRICKLE)).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Message {
        Message::request(Method::INVITE, "sip:bob@example.com")
            .with("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKi")
            .with("Record-Route", "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>")
            .with("From", "\"A\" <sip:alice@example.com>;tag=a")
            .with("To", "<sip:bob@example.com>")
            .with("Call-ID", "c1")
            .with("CSeq", "7 INVITE")
            .with("Contact", "<sip:alice@192.0.2.1>")
            .with("Allow", "INVITE, UPDATE, FOO")
    }

    #[test]
    fn the_one_called_keeps_the_order_of_the_routes_and_the_caller_reverses_it() {
        let mut called = Dialog::incoming(&invite(), "b");
        let bye = called.request(Method::BYE, "c1", "v");
        assert_eq!(bye.uri(), Some("sip:alice@192.0.2.1"));
        assert_eq!(bye.values("Route"), ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
        assert_eq!(bye.header("From"), Some("<sip:bob@example.com>;tag=b"));
        assert_eq!(bye.header("CSeq"), Some("1 BYE"));
        assert!(called.is_of("b", "a") && !called.is_of("a", "b"));
        let response = invite().reply(200, "OK", Some("b")).with("Contact", "<sip:bob@192.0.2.7>");
        let mut caller = Dialog::outgoing(&invite(), &response);
        let bye = caller.request(Method::BYE, "c1", "v");
        assert_eq!(bye.uri(), Some("sip:bob@192.0.2.7"));
        assert_eq!(bye.values("Route"), ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]);
        assert_eq!(bye.header("CSeq"), Some("8 BYE"));
        assert!(caller.is_of("a", "b"));
    }

    #[test]
    fn a_strict_router_gets_the_request_and_the_target_goes_last() {
        let mut invite = invite();
        invite.set("Record-Route", "<sip:old.example.com>, <sip:p1.example.com;lr>");
        let mut dialog = Dialog::incoming(&invite, "b");
        let bye = dialog.request(Method::BYE, "c1", "v");
        assert_eq!(bye.uri(), Some("sip:old.example.com"));
        assert_eq!(bye.values("Route"), ["<sip:p1.example.com;lr>", "<sip:alice@192.0.2.1>"]);
    }

    #[test]
    fn an_ack_has_the_number_and_the_credentials_of_its_invite() {
        let invite = invite().with("Proxy-Authorization", "Digest x=\"y\"");
        let dialog = Dialog::outgoing(&invite, &invite.reply(200, "OK", Some("b")));
        let ack = dialog.ack(&invite, "v");
        assert_eq!(ack.header("CSeq"), Some("7 ACK"));
        assert_eq!(ack.header("Proxy-Authorization"), Some("Digest x=\"y\""));
        assert!(dialog.allows.is_empty());
        assert!(Dialog::incoming(&invite, "b").allows("UPDATE"));
    }
}
