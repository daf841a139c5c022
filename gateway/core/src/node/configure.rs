//! A configuration that changes while the node runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Node;
use crate::config::Config;
use crate::record::SessionId;

impl Node {
    /// Takes what can change while the node runs: users, domains, times and limits. Its name, its
    /// address, the registrar and the timers of transactions stay. The sessions of users that are
    /// no more end.
    pub(super) fn on_configure(&mut self, config: &Arc<Config>) {
        let mut next = Config::clone(config);
        let old = &self.config;
        next.node.clone_from(&old.node);
        next.cluster.clone_from(&old.cluster);
        next.advertised.clone_from(&old.advertised);
        next.advertised_by.clone_from(&old.advertised_by);
        next.registrar.clone_from(&old.registrar);
        next.registrar_others.clone_from(&old.registrar_others);
        next.stun = old.stun;
        next.timers = old.timers;
        #[cfg(feature = "mutants")]
        {
            next.defect = old.defect;
            next.whims.clone_from(&old.whims);
        }
        let kept: BTreeSet<_> = next.users.iter().map(|user| user.username.as_str()).collect();
        let gone: BTreeSet<_> = old.users.iter().map(|user| user.username.clone()).collect();
        let gone: BTreeSet<_> = gone.into_iter().filter(|u| !kept.contains(u.as_str())).collect();
        let aors: Vec<_> = old
            .users
            .iter()
            .filter(|user| gone.contains(&user.username))
            .map(|user| user.aor.clone())
            .collect();
        self.config = Arc::new(next);
        for aor in aors {
            self.unfold_address(&aor);
        }
        if !gone.is_empty() {
            self.end_sessions_of(&gone);
        }
    }

    fn end_sessions_of(&mut self, users: &BTreeSet<String>) {
        let theirs = self.entries.iter().filter(|(_, it)| users.contains(&it.session.record.user));
        let theirs: Vec<SessionId> = theirs.map(|(id, _)| id.clone()).collect();
        for session in theirs {
            self.on_end_session(&session);
        }
    }
}
