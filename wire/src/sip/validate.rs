use super::header::Header;
use super::malformed::Malformed;
use super::message::Message;
use super::method::Method;
use super::uri::Uri;

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

pub(super) type Check = fn(&Message) -> Result<(), Malformed>;

/// What reading alone does not look at, in the order in which it is reported.
pub(super) const CHECKS: &[Check] = &[
    check_text,
    |message| message.vias().map(drop),
    |message| message.via().map(drop),
    |message| message.from().map(drop),
    |message| message.to().map(drop),
    |message| message.call_id().map(drop),
    |message| message.cseq().map(drop),
    check_cseq_method,
    |message| message.max_forwards().map(drop),
    |message| message.expires().map(drop),
    |message| message.min_expires().map(drop),
    check_contacts,
    |message| message.routes().map(drop),
    |message| message.record_routes().map(drop),
    |message| message.challenges().map(drop),
    |message| message.credentials().map(drop),
    check_uri,
];

impl Message {
    /// Checks what reading alone does not: mandatory fields, fields that may stand once, numbers,
    /// and that start line and headers agree.
    ///
    /// # Errors
    /// The first thing that every element must refuse, with rule and offset.
    pub fn validate(&self) -> Result<(), Malformed> {
        match self.repeated().next() {
            Some(fault) => Err(fault),
            None => CHECKS.iter().try_for_each(|check| check(self)),
        }
    }

    /// The second standing of each field that stands once.
    pub(super) fn repeated(&self) -> impl Iterator<Item = Malformed> {
        ONCE.iter().filter_map(|name| {
            let second = self.fields().iter().filter(|field| field.is(name)).nth(1)?;
            let what = format!("{name} stands twice; write it once");
            Some(Malformed::new("RFC 3261 7.3.1", second.offset, what))
        })
    }

    /// Where the value of the first field of this name begins; 0 without one.
    pub(super) fn offset_of(&self, name: &str) -> usize {
        let field = self.fields().iter().find(|field| field.is(name));
        field.map_or(0, Header::value_offset)
    }

    /// True for a request whose sender knows RFC 3261: its branch begins with the magic cookie.
    fn is_of_3261(&self) -> bool {
        self.via().is_ok_and(|via| via.has_magic_cookie())
    }
}

fn check_text(message: &Message) -> Result<(), Malformed> {
    match message.fields().iter().find(|field| !field.is_utf8()) {
        Some(field) => {
            let what = "bytes that are no UTF-8; encode text as UTF-8";
            Err(Malformed::new("RFC 3261 25.1", field.value_offset(), what))
        }
        None => Ok(()),
    }
}

fn check_cseq_method(message: &Message) -> Result<(), Malformed> {
    let (Some(method), Ok(cseq)) = (message.method(), message.cseq()) else { return Ok(()) };
    if *method == cseq.method {
        return Ok(());
    }
    let what =
        format!("CSeq says {} and the start line {method}; write {method} in both", cseq.method);
    Err(Malformed::new("RFC 3261 8.1.1.5", message.offset_of("CSeq"), what))
}

fn check_contacts(message: &Message) -> Result<(), Malformed> {
    let contacts = message.contacts()?;
    let at = || message.offset_of("Contact");
    let has_star = contacts.iter().any(|contact| contact.addr().is_none());
    if has_star && contacts.len() > 1 {
        let what = "`Contact: *` beside another contact; write it alone";
        return Err(Malformed::new("RFC 3261 10.3", at(), what));
    }
    if message.method() != Some(&Method::INVITE) || contacts.len() == 1 {
        return Ok(());
    }
    // RFC 2543 asked for no Contact (RFC 4475 section 3.4.1).
    if contacts.is_empty() && !message.is_of_3261() {
        return Ok(());
    }
    let what = format!("an INVITE has one Contact, not {}; write one", contacts.len());
    Err(Malformed::new("RFC 3261 8.1.1.8", at(), what))
}

fn check_uri(message: &Message) -> Result<(), Malformed> {
    let Some((method, uri)) = message.method().zip(message.uri()) else { return Ok(()) };
    let at = method.as_str().len() + 1;
    let parsed = Uri::parse(uri).map_err(|fault| fault.shifted(at))?;
    if parsed.headers.is_some() {
        let what = "a Request-URI has no headers part; drop `?` and what follows";
        return Err(Malformed::new("RFC 3261 19.1.1", at, what));
    }
    Ok(())
}
