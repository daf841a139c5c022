//! What the registrar saw.

use std::collections::BTreeMap;

use reveille_trace::{Event, Kind};

use super::view::{Said, View};
use super::{Outcome, broken};
use crate::cast::scan::{instance, param, uri};

fn seen<'a>(view: &'a View<'_>) -> impl Iterator<Item = Said> + 'a {
    let sip = |event: &&Event| matches!(event.kind, Kind::SipSent | Kind::SipReceived);
    let of_registrar = view.events.iter().filter(|event| event.actor == "registrar");
    let register = |said: &Said| said.message.cseq_method() == Some("REGISTER");
    of_registrar.filter(sip).filter_map(Said::of).filter(register)
}

/// Each binding that was granted is granted anew, or given up, before it runs out.
pub(super) fn binding_never_lapses(view: &View<'_>) -> Outcome {
    let mut asked: BTreeMap<String, Said> = BTreeMap::new();
    // When the binding of a user under a contact runs out, and the response that granted it.
    let mut bound: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    let mut outcome = Outcome::Silent;
    for said in seen(view) {
        let Some(branch) = said.message.branch() else { continue };
        if !said.sent {
            asked.insert(branch, said);
            continue;
        }
        let Some(request) = asked.get(&branch).filter(|_| said.message.status() == Some(200))
        else {
            continue;
        };
        let to = uri(said.message.header("to").unwrap_or_default()).to_owned();
        for contact in request.message.all("contact") {
            let key = (to.clone(), binding(contact));
            let before = bound.remove(&key);
            if let Some((until_us, granted)) = before {
                if said.t_us > until_us {
                    return broken(format!("the binding of {to} ran out"), granted);
                }
                outcome = Outcome::Met;
            }
            let life_s = granted_s(&said, request, contact);
            if life_s > 0 {
                let until_us = said.t_us.saturating_add(life_s.saturating_mul(1_000_000));
                bound.insert(key, (until_us, said.seq));
            }
        }
    }
    let end_us = view.end().map_or(0, |event| event.t_us);
    match bound.iter().find(|(_, (until_us, _))| *until_us < end_us) {
        Some(((to, _), (_, granted))) => broken(format!("the binding of {to} ran out"), *granted),
        None => outcome,
    }
}

/// What names a binding: instance and reg-id, by whichever address it is reached (RFC 5626 6); else
/// its URI.
fn binding(contact: &str) -> String {
    match instance(contact) {
        Some(instance) => format!("{instance} {}", param(contact, "reg-id").unwrap_or_default()),
        None => uri(contact).to_owned(),
    }
}

/// For how long the registrar granted `contact`: by its own Contact, its Expires, or what was asked.
fn granted_s(response: &Said, request: &Said, contact: &str) -> u64 {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let expires = |value: &str| param(value, "expires").as_deref().and_then(number);
    let of = |said: &Said| said.message.header("expires").and_then(number);
    if expires(contact).or_else(|| of(request)) == Some(0) {
        return 0;
    }
    let mut listed = response.message.all("contact");
    let listed = listed.find(|listed| uri(listed) == uri(contact)).and_then(expires);
    listed
        .or_else(|| of(response))
        .or_else(|| expires(contact))
        .or_else(|| of(request))
        .unwrap_or(0)
}

/// A REGISTER that is challenged comes again with credentials for that challenge and a higher CSeq.
/// Credentials that were rejected do not come again unless the challenge calls them stale.
pub(super) fn challenge_is_answered(view: &View<'_>) -> Outcome {
    let all: Vec<_> = seen(view).collect();
    let mut outcome = Outcome::Silent;
    for (index, challenge) in all.iter().enumerate() {
        let header = match challenge.message.status().filter(|_| challenge.sent) {
            Some(401) => challenge.message.header("www-authenticate"),
            Some(407) => challenge.message.header("proxy-authenticate"),
            _ => None,
        };
        let Some(nonce) = header.and_then(|header| digest(header, "nonce")) else { continue };
        let of_call =
            |said: &&Said| !said.sent && said.message.call_id() == challenge.message.call_id();
        let same = |said: &&Said| said.message.branch() == challenge.message.branch();
        let request = all[..index].iter().filter(of_call).find(same);
        let tried = request.is_some_and(|request| credentials(request).is_some());
        let stale = header.and_then(|header| digest(header, "stale"));
        let rejected = tried && stale.is_none_or(|stale| !stale.eq_ignore_ascii_case("true"));
        let next = all[index + 1..].iter().filter(of_call).find(|said| !same(said));
        if rejected {
            // Somebody has to mend the credentials first.
            if let Some(next) = next.filter(|next| credentials(next).is_some()) {
                return broken("credentials that were rejected came again", next.seq);
            }
            continue;
        }
        let Some(next) = next else {
            if view.is_disturbed() {
                continue;
            }
            return broken("a challenge was left unanswered", challenge.seq);
        };
        if credentials(next).and_then(|shown| digest(shown, "nonce")).as_deref() != Some(&nonce) {
            return broken("a challenge was answered without credentials for it", next.seq);
        }
        if next.message.cseq_number() <= challenge.message.cseq_number() {
            return broken("a challenge was answered with the same CSeq", next.seq);
        }
        outcome = Outcome::Met;
    }
    outcome
}

fn credentials(request: &Said) -> Option<&str> {
    let names = ["authorization", "proxy-authorization"];
    names.iter().find_map(|name| request.message.header(name))
}

/// A parameter of a Digest challenge or of credentials, without quotes.
fn digest(header: &str, name: &str) -> Option<String> {
    header.trim_start_matches("Digest").split(',').find_map(|one| {
        let (have, value) = one.split_once('=')?;
        (have.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}
