//! A registrar that is strict and not always well: it keeps bindings to the microsecond, some only
//! for a short time, and says 503 to some requests.

use std::collections::BTreeMap;

use reveille_wire::sip::Message;

use crate::chance::Chance;

/// Every so manieth user is granted fewer seconds than asked for.
const BRIEF_S: [(usize, u64); 4] = [(25, 600), (31, 1_200), (33, 1_800), (3, 3_600)];
/// How many requests of a thousand meet a 503, and the bounds of its Retry-After in seconds.
const BUSY: u64 = 80;
const RETRY_AFTER_S: (u64, u64) = (5, 20);

/// One user's binding.
#[derive(Debug)]
struct Binding {
    contact: String,
    call_id: String,
    cseq: u32,
    until_us: u64,
    /// The last transaction and what was said to it.
    branch: String,
    said: String,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Registrar {
    bindings: BTreeMap<String, Binding>,
    /// Answers of 200, by second.
    pub(crate) granted: BTreeMap<u64, u32>,
    /// Refreshes that came when the binding was gone already: who, and by how many microseconds.
    pub(crate) lapses: Vec<(String, u64)>,
    /// Requests that broke a rule of RFC 3261 section 10.3.
    pub(crate) wrong: Vec<String>,
    pub(crate) busy: u32,
    pub(crate) repeated: u32,
}

impl Registrar {
    /// Takes a REGISTER and says what it answers.
    pub(crate) fn hear(&mut self, bytes: &[u8], now_us: u64, chance: &mut Chance) -> String {
        let request = Message::parse(bytes).expect("well-formed SIP");
        assert_eq!(request.method().map(ToString::to_string).as_deref(), Some("REGISTER"));
        let branch = request.via().expect("a Via").branch.unwrap_or_default();
        let user = request.to().expect("a To").uri.user.unwrap_or_default();
        if let Some(known) = self.bindings.get(&user).filter(|known| known.branch == branch) {
            self.repeated += 1;
            return known.said.clone();
        }
        let said = if chance.one_in_thousand(BUSY) {
            self.busy += 1;
            let (least, most) = RETRY_AFTER_S;
            let wait = chance.between(least, most);
            respond(&request, "503 Service Unavailable", &format!("Retry-After: {wait}\r\n"))
        } else {
            self.bind(&user, &request, now_us)
        };
        if let Some(binding) = self.bindings.get_mut(&user) {
            (binding.branch, binding.said) = (branch, said.clone());
        }
        said
    }

    fn bind(&mut self, user: &str, request: &Message, now_us: u64) -> String {
        let asked: u64 = request.header("Expires").and_then(|text| text.parse().ok()).unwrap_or(0);
        let contact = request.header("Contact").unwrap_or_default().to_owned();
        let uri = contact.split('>').next().unwrap_or_default().to_owned();
        let call_id = request.call_id().expect("a Call-ID").to_owned();
        let cseq = request.cseq().expect("a CSeq").number;
        let number: usize = user.trim_start_matches('u').parse().expect("a number");
        let life_s =
            BRIEF_S.iter().find(|(nth, _)| number.is_multiple_of(*nth)).map_or(asked, |(_, s)| *s);
        if let Some(old) = self.bindings.get(user) {
            if old.until_us < now_us {
                self.lapses.push((user.to_owned(), now_us - old.until_us));
            }
            if old.contact != uri || (old.call_id == call_id && cseq <= old.cseq) {
                self.wrong
                    .push(format!("{user} at {now_us}: {uri} {call_id} {cseq} after {old:?}"));
            }
        }
        let until_us = now_us + life_s * 1_000_000;
        let (branch, said) = (String::new(), String::new());
        let binding = Binding { contact: uri, call_id, cseq, until_us, branch, said };
        self.bindings.insert(user.to_owned(), binding);
        *self.granted.entry(now_us / 1_000_000).or_insert(0) += 1;
        let contact =
            contact.replacen(&format!("expires={asked}"), &format!("expires={life_s}"), 1);
        respond(request, "200 OK", &format!("Contact: {contact}\r\n"))
    }

    /// How many bindings stand, and who has none any more.
    pub(crate) fn standing(&self, now_us: u64) -> (usize, Vec<&str>) {
        let gone = self.bindings.iter().filter(|(_, binding)| binding.until_us < now_us);
        let gone: Vec<_> = gone.map(|(user, _)| user.as_str()).collect();
        (self.bindings.len() - gone.len(), gone)
    }

    /// The most that were granted in one second of these, and how many on average.
    pub(crate) fn load(&self, from_s: u64, until_s: u64) -> (u32, f64) {
        let seconds = self.granted.range(from_s..until_s).map(|(_, count)| *count);
        let peak = seconds.clone().max().unwrap_or(0);
        let all: u32 = seconds.sum();
        let length = u32::try_from(until_s - from_s).expect("some hours");
        (peak, f64::from(all) / f64::from(length))
    }
}

fn respond(request: &Message, status: &str, more: &str) -> String {
    let header = |name: &str| request.header(name).unwrap_or_default();
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         {more}Content-Length: 0\r\n\r\n",
        header("Via"),
        header("From"),
        header("To"),
        header("Call-ID"),
        header("CSeq"),
    )
}
