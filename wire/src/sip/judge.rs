use super::malformed::{Malformed, excerpt};
use super::message::Message;
use super::method::Method;
use super::uri::Uri;

/// Well-formed, and yet some element would answer it with a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strange {
    /// The rule, by document and section.
    pub rule: &'static str,
    /// Offset in the message, 0 where there is none.
    pub offset: usize,
    /// What is strange, and with which status it might be answered.
    pub what: String,
}

/// What a message is worth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// Why every element must refuse it with 400 or 505, or discard it.
    pub malformed: Option<Malformed>,
    /// What is strange about it.
    pub strange: Vec<Strange>,
}

/// Judges one datagram.
#[must_use]
pub fn judge(datagram: &[u8]) -> Judgement {
    match Message::parse(datagram) {
        Err(malformed) => Judgement { malformed: Some(malformed), strange: Vec::new() },
        Ok(message) => match message.validate() {
            Err(malformed) => Judgement { malformed: Some(malformed), strange: Vec::new() },
            Ok(()) => Judgement { malformed: None, strange: strange(&message) },
        },
    }
}

/// Fields that stand at most once (RFC 3261 section 7.3.1 and the grammar).
const ONCE: &[&str] = &[
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Content-Length",
    "Content-Type",
    "Expires",
    "Min-Expires",
    "Date",
    "MIME-Version",
    "Organization",
    "Priority",
    "Reply-To",
    "Retry-After",
    "Server",
    "Subject",
    "Timestamp",
    "User-Agent",
    "Event",
];

impl Message {
    /// Checks what reading alone does not: mandatory fields, fields that may stand once, numbers,
    /// and that start line and headers agree.
    ///
    /// # Errors
    /// The first thing that every element must refuse, with rule and offset.
    pub fn validate(&self) -> Result<(), Malformed> {
        for name in ONCE {
            let mut all = self.fields().iter().filter(|field| field.is(name)).skip(1);
            if let Some(second) = all.next() {
                let what = format!("{name} stands twice; write it once");
                return Err(Malformed::new("RFC 3261 7.3.1", second.offset, what));
            }
        }
        if let Some(field) = self.fields().iter().find(|field| !field.is_utf8()) {
            let what = "bytes that are no UTF-8; encode text as UTF-8";
            return Err(Malformed::new("RFC 3261 25.1", field.value_offset(), what));
        }
        self.vias()?;
        self.via()?;
        self.from()?;
        self.to()?;
        self.call_id()?;
        let cseq = self.cseq()?;
        if let Some(method) = self.method().filter(|method| **method != cseq.method) {
            let at = self.fields().iter().find(|field| field.is("CSeq"));
            let what = format!("CSeq says {} and the start line {method}", cseq.method);
            let offset = at.map_or(0, super::header::Header::value_offset);
            return Err(Malformed::new("RFC 3261 8.1.1.5", offset, what));
        }
        self.max_forwards()?;
        self.expires()?;
        self.min_expires()?;
        self.check_contacts()?;
        self.routes()?;
        self.record_routes()?;
        self.challenges()?;
        self.credentials()?;
        self.check_uri()
    }

    fn check_contacts(&self) -> Result<(), Malformed> {
        let contacts = self.contacts()?;
        let at = || {
            let field = self.fields().iter().find(|field| field.is("Contact"));
            field.map_or(0, super::header::Header::value_offset)
        };
        let has_star = contacts.iter().any(|contact| contact.addr().is_none());
        if has_star && contacts.len() > 1 {
            let what = "`Contact: *` beside another contact; write it alone";
            return Err(Malformed::new("RFC 3261 10.3", at(), what));
        }
        if self.method() == Some(&Method::INVITE) && contacts.len() != 1 {
            let what = format!("an INVITE has one Contact, not {}", contacts.len());
            return Err(Malformed::new("RFC 3261 8.1.1.8", at(), what));
        }
        Ok(())
    }

    fn check_uri(&self) -> Result<(), Malformed> {
        let Some((method, uri)) = self.method().zip(self.uri()) else { return Ok(()) };
        let at = method.as_str().len() + 1;
        let parsed = Uri::parse(uri).map_err(|fault| fault.shifted(at))?;
        if parsed.headers.is_some() {
            let what = "a Request-URI has no headers part; drop `?` and what follows";
            return Err(Malformed::new("RFC 3261 19.1.1", at, what));
        }
        Ok(())
    }
}

fn strange(message: &Message) -> Vec<Strange> {
    let mut strange = Vec::new();
    let mut note = |rule, offset, what: String| strange.push(Strange { rule, offset, what });
    let offset_of = |name: &str| {
        let field = message.fields().iter().find(|field| field.is(name));
        field.map_or(0, super::header::Header::value_offset)
    };
    let Some(method) = message.method() else { return strange };
    if !method.is_known() {
        let what = format!("method {method} is not widely known: 501");
        note("RFC 3261 21.5.2", 0, what);
    }
    match message.max_forwards() {
        Ok(None) => note("RFC 3261 8.1.1.6", 0, "Max-Forwards is missing: taken as 70".to_owned()),
        Ok(Some(0)) => {
            let what = "Max-Forwards is 0: a proxy answers 483".to_owned();
            note("RFC 3261 16.3", offset_of("Max-Forwards"), what);
        }
        Ok(Some(_)) | Err(_) => {}
    }
    if let Ok(uri) = Uri::parse(message.uri().unwrap_or_default())
        && !uri.is_sip()
        && uri.scheme != "tel"
    {
        let what = format!("scheme `{}` in the Request-URI: 416", excerpt(&uri.scheme));
        note("RFC 3261 8.2.2.1", method.as_str().len() + 1, what);
    }
    for (name, rule, status) in [
        ("Require", "RFC 3261 8.2.2.3", 420),
        ("Proxy-Require", "RFC 3261 16.3", 420),
        ("Content-Encoding", "RFC 3261 8.2.3", 415),
    ] {
        if let Some(value) = message.header(name) {
            note(rule, offset_of(name), format!("{name}: {}: perhaps {status}", excerpt(value)));
        }
    }
    strange
}
