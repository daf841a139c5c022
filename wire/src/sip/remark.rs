//! What is well-formed and strange: some element would answer it with a failure.

use super::malformed::excerpt;
use super::message::Message;
use super::method::Method;
use super::uri::Uri;

/// A remark whose line is not counted yet.
pub(super) struct Note {
    pub(super) rule: &'static str,
    pub(super) offset: usize,
    pub(super) what: String,
    pub(super) status: Option<u16>,
}

pub(super) fn notes(message: &Message) -> Vec<Note> {
    let mut notes = Notes { message, all: Vec::new() };
    match message.method() {
        Some(method) => {
            notes.about_start(method);
            notes.about_via();
            notes.about_hops();
            notes.about_from();
            notes.about_extensions();
            notes.about_body(method);
            notes.about_accept(method);
            notes.about_credentials();
            notes.about_event(method);
            if *method == Method::REGISTER {
                notes.about_registering();
            }
        }
        None => notes.about_response_vias(),
    }
    notes.all
}

struct Notes<'a> {
    message: &'a Message,
    all: Vec<Note>,
}

impl Notes<'_> {
    /// Notes something at the value of the first field of this name.
    fn at(&mut self, name: &str, rule: &'static str, status: impl Into<Option<u16>>, what: String) {
        let offset = self.message.offset_of(name);
        self.all.push(Note { rule, offset, what, status: status.into() });
    }

    fn about_start(&mut self, method: &Method) {
        if !method.is_known() {
            let what =
                format!("method {} is not widely known: 405 or 501", excerpt(method.as_str()));
            self.at("", "RFC 3261 21.5.2", 501, what);
        }
        let uri = Uri::parse(self.message.uri().unwrap_or_default());
        if let Ok(uri) = uri.as_ref().map(|uri| &uri.scheme).map_err(drop)
            && !["sip", "sips", "tel"].contains(&uri.as_str())
        {
            let what = format!("scheme `{}` in the Request-URI", excerpt(uri));
            let offset = method.as_str().len() + 1;
            self.all.push(Note { rule: "RFC 3261 8.2.2.1", offset, what, status: Some(416) });
        }
    }

    fn about_via(&mut self) {
        let Ok(via) = self.message.via() else { return };
        if !via.has_magic_cookie() {
            let what = "no branch of RFC 3261: a sender of RFC 2543".to_owned();
            self.at("Via", "RFC 3261 17.2.3", None, what);
        } else if via.branch.is_some_and(|branch| branch.len() == "z9hG4bK".len()) {
            let what = "the branch is the magic cookie and nothing else".to_owned();
            self.at("Via", "RFC 4475 3.2.1", 400, what);
        }
    }

    fn about_hops(&mut self) {
        match self.message.max_forwards() {
            Ok(None) => {
                let what = "Max-Forwards is missing: taken as 70".to_owned();
                self.at("", "RFC 3261 8.1.1.6", None, what);
            }
            Ok(Some(0)) => {
                let what = "Max-Forwards is 0: no proxy sends it on".to_owned();
                self.at("Max-Forwards", "RFC 3261 16.3", 483, what);
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }

    fn about_from(&mut self) {
        if self.message.from().is_ok_and(|from| from.tag().is_none()) {
            let what = "From has no tag: a sender of RFC 2543".to_owned();
            self.at("From", "RFC 3261 8.1.1.3", None, what);
        }
    }

    fn about_extensions(&mut self) {
        for (name, rule) in [("Require", "RFC 3261 8.2.2.3"), ("Proxy-Require", "RFC 3261 16.3")] {
            if let Some(value) = self.message.header(name) {
                self.at(name, rule, 420, format!("{name}: {}", excerpt(value)));
            }
        }
    }

    fn about_body(&mut self, method: &Method) {
        if let Some(value) = self.message.header("Content-Encoding")
            && !value.eq_ignore_ascii_case("identity")
        {
            let what = format!("Content-Encoding: {}", excerpt(value));
            self.at("Content-Encoding", "RFC 3261 8.2.3", 415, what);
        }
        if self.message.body.is_empty() {
            return;
        }
        match self.message.header("Content-Type") {
            None => {
                let what = "a body without Content-Type".to_owned();
                self.at("", "RFC 3261 20.15", 400, what);
            }
            Some(value) if *method == Method::INVITE && !is_offer(value) => {
                let what = format!("an INVITE with a body of {}", excerpt(value));
                self.at("Content-Type", "RFC 3261 8.2.3", 415, what);
            }
            Some(_) => {}
        }
    }

    /// An answer is SDP, whatever the offer's sender reads.
    fn about_accept(&mut self, method: &Method) {
        let accepted = self.message.values("Accept");
        let takes_sdp = |value: &&str| {
            let media = value.split(';').next().unwrap_or_default().trim();
            ["application/sdp", "application/*", "*/*"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(media))
        };
        if *method == Method::INVITE
            && self.message.header("Accept").is_some()
            && !accepted.iter().any(takes_sdp)
        {
            let what = "Accept leaves no room for an SDP answer".to_owned();
            self.at("Accept", "RFC 3261 21.4.7", 406, what);
        }
    }

    fn about_credentials(&mut self) {
        for one in self.message.credentials().unwrap_or_default() {
            if !one.scheme.eq_ignore_ascii_case("Digest") {
                let what = format!("credentials of the scheme {}", excerpt(&one.scheme));
                let (name, status) =
                    if one.proxy { ("Proxy-Authorization", 407) } else { ("Authorization", 401) };
                self.at(name, "RFC 3261 22.1", status, what);
            }
        }
    }

    fn about_event(&mut self, method: &Method) {
        let needs = [Method::SUBSCRIBE, Method::NOTIFY, Method::PUBLISH].contains(method);
        if needs && self.message.header("Event").is_none() {
            let what = format!("{method} without Event");
            self.at("", "RFC 6665 8.2.1", 489, what);
        }
    }

    fn about_registering(&mut self) {
        if let Ok(to) = self.message.to()
            && !to.uri.is_sip()
        {
            let what = format!("scheme `{}` in the To of a REGISTER", excerpt(&to.uri.scheme));
            self.at("To", "RFC 3261 10.2", 400, what);
        }
        let star = self.message.contacts().unwrap_or_default();
        let has_star = star.iter().any(|contact| contact.addr().is_none());
        if has_star && self.message.expires() != Ok(Some(0)) {
            let what = "`Contact: *` without `Expires: 0`".to_owned();
            self.at("Contact", "RFC 3261 10.3", 400, what);
        }
    }

    fn about_response_vias(&mut self) {
        if self.message.vias().is_ok_and(|vias| vias.len() > 1) {
            let what = "more than one Via: a user agent discards it, a proxy takes its own off";
            self.at("Via", "RFC 3261 8.1.3.3", None, what.to_owned());
        }
    }
}

/// Whether an endpoint finds an offer in a body of this type.
fn is_offer(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/sdp" || media.starts_with("multipart/")
}
