//! The client transactions of RFC 3261 17.1 as RFC 6026 7.2 mends them, watched from outside: every
//! request on the wire begins one, and from then on each copy has its instant. Times are
//! milliseconds.

use std::collections::BTreeMap;

use crate::sip::Heard;
use crate::transactions::{T1, T2};

#[derive(Debug, Clone)]
struct Client {
    bytes: Vec<u8>,
    invite: bool,
    /// Timer A or E: instant and interval.
    repeat: Option<(u64, u64)>,
    /// Timer B or F, until a response ends the wait.
    limit: Option<u64>,
    /// The highest status that was heard.
    status: u16,
    /// ACKs of this failure that are due at once, until when they are repeated.
    acks: u32,
    absorb_until: Option<u64>,
}

/// Every client transaction that was seen, by branch and method.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clients {
    of: BTreeMap<(String, String), Client>,
    /// Call-IDs that heard a 2xx of their INVITE, in time or late; those that heard it in time;
    /// and those whose ACK left.
    answered: Vec<String>,
    taken: Vec<String>,
    acknowledged: Vec<String>,
    order: Vec<(String, String)>,
}

impl Clients {
    /// A request of the gateway was seen.
    pub(crate) fn sees(&mut self, at: u64, heard: &Heard) -> Result<(), String> {
        self.overdue(at)?;
        if heard.method == "ACK" {
            return self.sees_ack(at, heard);
        }
        let key = (heard.branch.clone(), heard.method.clone());
        let Some(client) = self.of.get_mut(&key) else {
            return self.begin(at, heard, key);
        };
        match client.repeat {
            Some((due, interval)) if due == at && client.bytes == heard.bytes => {
                let longer = if client.invite { 2 * interval } else { (2 * interval).min(T2) };
                let trying = client.status == 0;
                let interval = if client.invite || trying { longer } else { T2 };
                client.repeat = Some((due + interval, interval));
                client.stop_at_limit();
                Ok(())
            }
            Some((due, _)) if due == at => Err(format!("{key:?} at {at} differs from its first")),
            other => Err(format!("{key:?} again at {at}; due was {other:?}")),
        }
    }

    fn begin(&mut self, at: u64, heard: &Heard, key: (String, String)) -> Result<(), String> {
        let invite = heard.method == "INVITE";
        if heard.method == "CANCEL" {
            // RFC 3261 9.1: not before a provisional, and not after the final.
            let of = self.of.get(&(heard.branch.clone(), "INVITE".to_owned()));
            let status = of.map(|it| it.status);
            if status.is_none_or(|it| !(100..200).contains(&it)) {
                return Err(format!("CANCEL at {at} of an INVITE that heard {status:?}"));
            }
            if let Some(of) = self.of.get_mut(&(heard.branch.clone(), "INVITE".to_owned())) {
                // If it has no effect, the INVITE is given up.
                of.limit = Some(at + 64 * T1);
            }
        }
        let mut client = Client {
            bytes: heard.bytes.clone(),
            invite,
            repeat: heard.udp.then_some((at + T1, T1)),
            limit: Some(at + 64 * T1),
            status: 0,
            acks: 0,
            absorb_until: None,
        };
        client.stop_at_limit();
        self.of.insert(key.clone(), client);
        self.order.push(key);
        Ok(())
    }

    fn sees_ack(&mut self, at: u64, heard: &Heard) -> Result<(), String> {
        if let Some(client) = self.of.get_mut(&(heard.branch.clone(), "INVITE".to_owned())) {
            if client.acks == 0 {
                return Err(format!("an ACK of a failure at {at}, and none is due"));
            }
            client.acks -= 1;
            return Ok(());
        }
        if self.answered.contains(&heard.call) {
            self.acknowledged.push(heard.call.clone());
            return Ok(());
        }
        Err(format!("an ACK at {at} in {}, which heard no 2xx", heard.call))
    }

    /// The peer answers.
    pub(crate) fn hears(&mut self, at: u64, key: &(String, String), call: &str, status: u16) {
        let client = self.of.get_mut(key).expect("a response to something that was sent");
        let first_final = client.status < 200;
        if first_final && client.limit.is_some_and(|limit| at >= limit) {
            // Given up: what comes now is nobody's, and a 2xx may yet be acknowledged.
            if client.invite && (200..300).contains(&status) {
                self.answered.push(call.to_owned());
            }
            return;
        }
        if first_final {
            client.status = client.status.max(status);
        }
        match (client.invite, status) {
            (true, 100..200) if first_final => (client.repeat, client.limit) = (None, None),
            (true, 200..300) if client.status < 300 => {
                (client.repeat, client.limit) = (None, None);
                self.answered.push(call.to_owned());
                self.taken.push(call.to_owned());
            }
            (true, 300..) if client.status >= 300 => {
                let until = *client.absorb_until.get_or_insert(at + 64 * T1);
                client.acks += u32::from(first_final || at < until);
                (client.repeat, client.limit) = (None, None);
            }
            (false, 200..) if first_final => (client.repeat, client.limit) = (None, None),
            _ => {}
        }
    }

    /// The app completed this call: if it was answered, an ACK left.
    pub(crate) fn acknowledged(&self, call: &str) -> Result<(), String> {
        let has = |calls: &[String]| calls.iter().any(|it| it == call);
        if has(&self.taken) && !has(&self.acknowledged) {
            return Err(format!("the 2xx of {call} is complete, and has no ACK"));
        }
        Ok(())
    }

    /// Everything due up to `now` was seen.
    pub(crate) fn settled(&self, now: u64) -> Result<(), String> {
        self.overdue(now + 1)?;
        match self.of.iter().find(|(_, client)| client.acks > 0) {
            Some((key, _)) => Err(format!("a failure of {key:?} is not acknowledged at {now}")),
            None => Ok(()),
        }
    }

    fn overdue(&self, at: u64) -> Result<(), String> {
        for (key, client) in &self.of {
            if let Some((due, _)) = client.repeat.filter(|it| it.0 < at) {
                return Err(format!("{key:?} was to be repeated at {due}, and it is {at}"));
            }
        }
        Ok(())
    }

    /// The transactions by age, the latest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (&(String, String), &[u8], u16)> {
        self.order.iter().rev().map(|key| {
            let client = &self.of[key];
            (key, client.bytes.as_slice(), client.status)
        })
    }
}

impl Client {
    fn stop_at_limit(&mut self) {
        if let (Some((due, _)), Some(limit)) = (self.repeat, self.limit)
            && due >= limit
        {
            self.repeat = None;
        }
    }
}
