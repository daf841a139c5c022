//! Session timers (RFC 4028): who keeps a dialog alive, and until when it counts as alive.

use reveille_wire::sip::Message;

use crate::record::{Dialog, Refresh};

/// Least interval that this gateway takes, in seconds (RFC 4028 section 5).
pub(crate) const LEAST_S: u32 = 90;

/// What a Session-Expires header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    interval_s: u32,
    /// `refresher=uas`; `None`: it does not say.
    by_uas: Option<bool>,
}

fn asked(message: &Message) -> Option<Asked> {
    let value = message.header("Session-Expires").or_else(|| message.header("x"))?;
    let (number, params) = value.split_once(';').unwrap_or((value, ""));
    let interval_s = number.trim().parse().ok()?;
    let refresher = params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
    });
    Some(Asked { interval_s, by_uas: refresher.map(|refresher| refresher == "uas") })
}

fn supports(message: &Message) -> bool {
    let listed = |name| message.values(name).iter().any(|tag| tag.eq_ignore_ascii_case("timer"));
    listed("Supported") || listed("Require")
}

/// True if an interval was asked for that is too brief to be taken (RFC 4028 section 9).
pub(crate) fn is_too_brief(request: &Message) -> bool {
    supports(request) && asked(request).is_some_and(|asked| asked.interval_s < LEAST_S)
}

/// The headers of our 2xx to a request that makes or refreshes a dialog; `most_s` is our own
/// interval. Without `timer` on the other side only we can refresh, by UPDATE.
pub(crate) fn answer(request: &Message, most_s: u32) -> Vec<(&'static str, String)> {
    let asked = asked(request);
    let interval_s = asked.map_or(most_s, |asked| asked.interval_s.min(most_s)).max(LEAST_S);
    let by = |who: &str| ("Session-Expires", format!("{interval_s};refresher={who}"));
    match (supports(request), asked.and_then(|asked| asked.by_uas)) {
        (true, Some(true)) => vec![by("uas")],
        (true, Some(false) | None) => vec![("Require", "timer".to_owned()), by("uac")],
        (false, _) if request.values("Allow").contains(&"UPDATE") => vec![by("uas")],
        (false, _) => Vec::new(),
    }
}

/// What a 2xx agreed on, seen from its sender (`we_answered`) or from who asked.
pub(crate) fn agreed(response: &Message, we_answered: bool, now_wall_us: u64) -> Option<Refresh> {
    let asked = asked(response)?;
    let by_us = asked.by_uas.unwrap_or(false) == we_answered;
    Some(Refresh {
        interval_s: asked.interval_s,
        by_us,
        until_wall_us: now_wall_us + u64::from(asked.interval_s) * 1_000_000,
    })
}

impl Dialog {
    /// The headers of a request of ours that refreshes the dialog; the roles stay.
    pub(crate) fn refreshing(&self, most_s: u32) -> Vec<(&'static str, String)> {
        let (interval_s, who) = match &self.refresh {
            Some(refresh) if refresh.by_us => (refresh.interval_s, "uac"),
            Some(refresh) => (refresh.interval_s, "uas"),
            None => (most_s, "uas"),
        };
        vec![
            ("Supported", "timer".to_owned()),
            ("Session-Expires", format!("{interval_s};refresher={who}")),
        ]
    }
}

impl Refresh {
    /// When something is to be done: refreshed by us at half of the time, or given up shortly
    /// before the end (RFC 4028 section 10).
    pub(crate) fn due_wall_us(&self) -> u64 {
        let interval_us = u64::from(self.interval_s) * 1_000_000;
        let before_us =
            if self.by_us { interval_us / 2 } else { (interval_us / 3).min(32_000_000) };
        self.until_wall_us.saturating_sub(before_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reveille_wire::sip::Method;

    fn invite(fields: &[(&str, &str)]) -> Message {
        let mut invite = Message::request(Method::INVITE, "sip:bob@example.com");
        for (name, value) in fields {
            invite.push(name, value);
        }
        invite
    }

    #[test]
    fn the_caller_refreshes_unless_it_said_otherwise_or_cannot() {
        let timer = ("Supported", "timer");
        for (fields, expected) in [
            (vec![timer], vec!["timer", "1800;refresher=uac"]),
            (vec![timer, ("Session-Expires", "600")], vec!["timer", "600;refresher=uac"]),
            (vec![timer, ("Session-Expires", "600;refresher=uas")], vec!["600;refresher=uas"]),
            (
                vec![("Session-Expires", "600"), ("Allow", "INVITE, UPDATE")],
                vec!["600;refresher=uas"],
            ),
            (vec![("Session-Expires", "600")], vec![]),
        ] {
            let headers = answer(&invite(&fields), 1_800);
            let values: Vec<_> = headers.iter().map(|(_, value)| value.as_str()).collect();
            assert_eq!(values, expected, "{fields:?}");
        }
        assert!(is_too_brief(&invite(&[timer, ("Session-Expires", "89")])));
        assert!(!is_too_brief(&invite(&[timer, ("Session-Expires", "90")])));
    }

    #[test]
    fn the_one_who_refreshes_does_so_at_half_time_and_the_other_gives_up_before_the_end() {
        let response = invite(&[("Session-Expires", "600;refresher=uas")]);
        let ours = agreed(&response, true, 0).expect("agreed");
        assert_eq!((ours.by_us, ours.due_wall_us()), (true, 300_000_000));
        let theirs = agreed(&response, false, 0).expect("agreed");
        assert_eq!((theirs.by_us, theirs.due_wall_us()), (false, 568_000_000));
    }
}
