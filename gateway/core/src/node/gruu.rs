//! What a session is called by from outside: its Contact, which is a GRUU where the registrar made
//! one (RFC 5627), and the session that a GRUU names.

use reveille_wire::sip::{Contact, Message, NameAddr, Uri};

use super::Node;
use super::entry::Entry;
use crate::call::Call;
use crate::headers;
use crate::io::Transport;
use crate::record::{Gruu, SessionId, Side};

/// Longest GRUU that is kept, in bytes.
const MOST_GRUU: usize = 512;

impl Node {
    /// Where this session is reached by what follows from a request or a response of its own. Who
    /// asked for privacy is named by a temporary GRUU, or by random bits as without any.
    pub(super) fn contact_of(
        &self,
        session: &SessionId,
        transport: Transport,
        is_private: bool,
    ) -> String {
        let Some(entry) = self.entries.get(session) else { return String::new() };
        let record = &entry.session.record;
        let gruu = if is_private { &record.gruu.temporary } else { &record.gruu.public };
        gruu.clone().unwrap_or_else(|| self.contact_uri(&record.contact, transport))
    }

    /// The same within a call.
    pub(super) fn contact_in(&self, session: &SessionId, call: &Call) -> String {
        let is_private = call.record.side == Side::Outgoing && headers::is_private(&call.invite);
        self.contact_of(session, call.record.flow.transport, is_private)
    }

    /// The Contact URI of a session, as it is registered.
    pub(super) fn contact_uri(&self, token: &str, transport: Transport) -> String {
        let own = self.config.advertised(transport);
        format!("sip:{token}@{own}{}", transport.uri_param())
    }

    /// The URI that reaches this very session from anywhere, if the registrar made one.
    #[must_use]
    pub fn public_gruu(&self, session: &SessionId) -> Option<&str> {
        self.entries.get(session)?.session.record.gruu.public.as_deref()
    }

    /// What a 200 to a REGISTER grants takes the place of what an earlier one did.
    pub(super) fn note_gruu(&mut self, session: &SessionId, response: &Message) {
        let Some(entry) = self.entries.get_mut(session) else { return };
        let record = &mut entry.session.record;
        let contacts = response.contacts().unwrap_or_default();
        let bindings = contacts.iter().filter_map(Contact::addr);
        let ours = |addr: &&NameAddr| addr.uri.user.as_deref() == Some(record.contact.as_str());
        let binding = bindings.into_iter().find(ours);
        let of = |name| binding.and_then(|addr| addr.param(name)).and_then(sound);
        record.gruu = Gruu { public: of("pub-gruu"), temporary: of("temp-gruu") };
    }
}

impl Entry {
    /// True if this `gr` parameter is that of the session.
    pub(super) fn is_named_by(&self, gr: &str) -> bool {
        let record = &self.session.record;
        let public = record.gruu.public.as_deref().and_then(|public| Uri::parse(public).ok());
        record.instance == gr || public.is_some_and(|public| public.param("gr") == Some(gr))
    }
}

/// A GRUU that may stand in a Contact of ours.
fn sound(text: &str) -> Option<String> {
    let is_gruu = Uri::parse(text).is_ok_and(|uri| {
        let is_sip = uri.scheme == "sip" || uri.scheme == "sips";
        is_sip && uri.params.has("gr") && uri.headers.is_none()
    });
    (is_gruu && text.len() <= MOST_GRUU).then(|| text.to_owned())
}
