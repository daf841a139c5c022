//! What a shared engine finds sessions by, beside their records.

use reveille_gateway_core::record::CallRecord;
use reveille_wire::sip::Message;

/// The SIP Call-ID of a call.
pub(super) fn call_id(record: &CallRecord) -> Option<String> {
    let invite = Message::parse(&record.invite.0).ok()?;
    invite.call_id().ok().map(ToOwned::to_owned)
}
