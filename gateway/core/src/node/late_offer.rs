//! INVITEs whose offer is still to come (RFC 3261 section 13.2.1), where the operator takes none
//! (D-34).

use reveille_wire::sip::Message;

use super::Node;
use crate::transaction::TransactionKey;

impl Node {
    /// Refuses an INVITE without an offer, if such are not taken; within a dialog the call goes on
    /// as it was agreed (RFC 3261 section 14.2). Nothing is stored and nobody is woken. False: it
    /// is taken.
    pub(super) fn refuses_late_offer(&mut self, key: &TransactionKey, request: &Message) -> bool {
        if self.config.late_offer || !request.body.is_empty() {
            return false;
        }
        // RFC 3261 section 20.43: who warns is named as in our Via.
        let flow = self.invites.get(key).map(|invite| invite.flow.transport);
        let own = flow.map_or(self.config.advertised.as_str(), |by| self.config.advertised(by));
        let warning = format!("399 {own} \"no late offer here: the INVITE needs an SDP offer\"");
        self.refuse(key, request, 488, &[("Warning", warning)]);
        true
    }
}
