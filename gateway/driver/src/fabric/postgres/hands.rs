//! Leases, and sessions that change hands. Whoever takes one tells its owner in the same transaction.

use std::collections::BTreeMap;

use postgres::Row;
use reveille_gateway_core::io::{Claim, Claimed, Key, Records};

use super::super::index::{device, hash};
use super::super::{FabricError, Member};
use super::{SESSION, Work, sealed, signed, unknown, unsigned};

impl Work<'_> {
    /// False if another process has the lease. The first of a process takes it from whoever had it.
    pub(super) fn renew(
        &mut self,
        member: &Member,
        holder: &str,
        had_lease: bool,
    ) -> Result<bool, FabricError> {
        let said = "INSERT INTO leases (node, address, holder, until)
            VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')
            ON CONFLICT (node) DO UPDATE SET address = EXCLUDED.address,
                holder = EXCLUDED.holder, until = EXCLUDED.until
            WHERE leases.holder = EXCLUDED.holder OR NOT $5";
        let lease_ms = f64::from(u32::try_from(member.lease_ms).unwrap_or(u32::MAX));
        let done = self
            .transaction
            .execute(said, &[&member.node, &member.address, &holder, &lease_ms, &had_lease]);
        Ok(done.map_err(unknown)? == 1)
    }

    fn find(&mut self, key: &Key) -> Result<Option<Row>, FabricError> {
        let (which, name) = match key {
            Key::Session(id) => ("id = $1", id.to_string()),
            Key::Contact(contact) => ("contact = $1", hash(&["contact", contact])),
            Key::Address(aor) => ("aor = $1", hash(&["address", aor])),
            Key::Device { user, token } => ("device = $1", device(user, token)),
            Key::Call(id) => {
                ("id IN (SELECT session FROM calls WHERE call_id = $1)", hash(&["call", id]))
            }
        };
        if name.contains('\0') {
            // No text of PostgreSQL has one, and it fails whoever asks for it.
            return Ok(None);
        }
        let asked = format!(
            "SELECT id, owner, epoch, record FROM sessions WHERE {which}
             ORDER BY since DESC LIMIT 1 FOR UPDATE"
        );
        self.transaction.query_opt(&asked, &[&name]).map_err(unknown)
    }

    pub(super) fn claim(&mut self, claim: &Claim, node: &str) -> Result<Claimed, FabricError> {
        let mut found = None;
        for key in &claim.keys {
            if found.is_none() {
                found = self.find(key)?;
            }
        }
        let Some(row) = found else { return Ok(Claimed::Nobody) };
        if let Some(user) = &claim.for_user
            && *user != self.session(&row)?.user
        {
            return Ok(Claimed::Stranger);
        }
        let owner: &str = row.get("owner");
        if owner == node {
            return Ok(Claimed::Ours);
        }
        let asked = "SELECT address FROM leases WHERE node = $1 AND until > clock_timestamp()";
        let lives = self.transaction.query_opt(asked, &[&owner]).map_err(unknown)?;
        match lives {
            Some(lives) if claim.for_user.is_none() => {
                Ok(Claimed::Elsewhere { address: lives.get(0) })
            }
            _ => self.give(&[row], node).map(Claimed::Adopted),
        }
    }

    pub(super) fn adopt(&mut self, most: usize, node: &str) -> Result<Records, FabricError> {
        let asked = "SELECT node FROM leases WHERE node <> $1 AND until <= clock_timestamp()";
        let dead = self.transaction.query(asked, &[&node]).map_err(unknown)?;
        let dead: Vec<String> = dead.iter().map(|row| row.get(0)).collect();
        if dead.is_empty() {
            return Ok(Records::default());
        }
        let asked = "SELECT id, owner, epoch, record FROM sessions WHERE owner = ANY($1)
            ORDER BY EXISTS (SELECT FROM calls WHERE session = id) DESC, id
            LIMIT $2 FOR UPDATE SKIP LOCKED";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.transaction.query(asked, &[&dead, &most]).map_err(unknown)?;
        self.give(&rows, node)
    }

    /// Makes a node the owner of the sessions in these rows, which are locked.
    fn give(&mut self, rows: &[Row], node: &str) -> Result<Records, FabricError> {
        let mut sessions = Vec::new();
        for row in rows {
            let mut record = self.session(row)?;
            let (id, owner): (&str, &str) = (row.get("id"), row.get("owner"));
            let seen = unsigned(row.get("epoch")).max(record.epoch);
            let said = "INSERT INTO lost (node, session, epoch) VALUES ($1, $2, $3)
                ON CONFLICT (node, session) DO UPDATE SET epoch = EXCLUDED.epoch";
            let done = self.transaction.execute(said, &[&owner, &id, &signed(seen)]);
            done.map_err(unknown)?;
            node.clone_into(&mut record.owner);
            record.epoch = seen + 1;
            let bytes = self.sealer.seal(sealed(SESSION, id, ""), &record.encode());
            let said = "UPDATE sessions SET owner = $2, epoch = $3, record = $4 WHERE id = $1";
            let done = self.transaction.execute(said, &[&id, &node, &signed(record.epoch), &bytes]);
            done.map_err(unknown)?;
            sessions.push(record);
        }
        sessions.sort_by(|a, b| a.id.cmp(&b.id));
        let ids: Vec<_> = sessions.iter().map(|record| record.id.to_string()).collect();
        let (calls, messages) = self.belongings(&ids)?;
        Ok(Records { sessions, calls, messages })
    }

    pub(super) fn lost(
        &mut self,
        node: &str,
        told: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, i64>, FabricError> {
        if !told.is_empty() {
            let (ids, epochs): (Vec<&String>, Vec<i64>) = told.iter().unzip();
            let said = "DELETE FROM lost USING UNNEST($2::text[], $3::bigint[]) AS told (id, epoch)
                WHERE node = $1 AND session = told.id AND lost.epoch = told.epoch";
            self.transaction.execute(said, &[&node, &ids, &epochs]).map_err(unknown)?;
        }
        let asked = "SELECT session, epoch FROM lost WHERE node = $1";
        let rows = self.transaction.query(asked, &[&node]).map_err(unknown)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
