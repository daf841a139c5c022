//! What a push says of the call or message that it is for, beyond their names, where the operator
//! wishes it (D-31, D-45). The app is given both as ever: a payload may be lost, or come twice.

use reveille_wire::push::Incoming;

use super::Node;
use super::entry::Entry;
use crate::call::Call;
use crate::headers;
use crate::headers::is_private;
use crate::message::InstantMessage;

impl Node {
    /// The `start` or the `send` that the app will be given. Of who asked for privacy nothing is
    /// said to a push service; nor of a change in a call, which the app knows.
    pub(super) fn carried(
        &self,
        entry: &Entry,
        call: Option<&Call>,
        message: Option<&InstantMessage>,
    ) -> Option<Incoming> {
        let (record, tenancy) = (&entry.session.record, &self.config.tenancy);
        let device = record.device.as_ref()?;
        let named = tenancy.push_name(&record.app, &device.application);
        if !tenancy.carries(named, &device.provider) {
            return None;
        }
        if let Some(call) = call.filter(|call| call.is_undecided() && !is_private(&call.invite)) {
            let mut frame = call.start(&record.aor);
            headers::to_app(&self.config.headers, &record.app, &call.invite, &mut frame);
            return Some(frame.into());
        }
        let message = message.filter(|message| !is_private(&message.request))?;
        Some(message.send(&record.aor).into())
    }
}
