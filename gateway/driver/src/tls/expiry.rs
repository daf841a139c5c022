//! When certificates end: the one thing about them that the gateway tells its operator by itself.

use rustls_pki_types::CertificateDer;

use super::chain;
use crate::config::Settings;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The ports that have a certificate, and the Unix time in seconds at which the first of its chain
/// ends.
pub(crate) fn ends(settings: &Settings) -> Vec<(&'static str, u64)> {
    let secure = &settings.secure;
    let admin = settings.admin.as_ref().and_then(|admin| admin.identity.as_ref());
    let chains = [
        ("sip", secure.sip.as_ref().map(|own| own.chain.as_str())),
        ("websocket", secure.websocket.as_ref().map(|own| own.chain.as_str())),
        ("admin", admin.map(|own| own.certificates.as_str())),
    ];
    let end = |(port, pem): (_, Option<&str>)| Some((port, first_end_s(pem?)?));
    chains.into_iter().filter_map(end).collect()
}

/// Says which certificates are over: they are in force all the same, and no peer takes them.
pub(crate) fn warn(settings: &Settings, now_s: u64) {
    for (port, end_s) in ends(settings).into_iter().filter(|(_, end_s)| *end_s <= now_s) {
        tracing::warn!(
            port,
            end_unix_s = end_s,
            "the certificate of this port has expired; write a new one and reload"
        );
    }
}

fn first_end_s(pem: &str) -> Option<u64> {
    chain(pem).ok()?.iter().filter_map(end_s).min()
}

/// `notAfter` (RFC 5280 section 4.1.2.5) in Unix seconds; `None`: this is no certificate.
fn end_s(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (to_be_signed, _) = inside(certificate.as_ref(), SEQUENCE)?;
    let (fields, _) = inside(to_be_signed, SEQUENCE)?;
    let mut rest = inside(fields, EXPLICIT_VERSION).map_or(fields, |(_, rest)| rest);
    // Serial number, algorithm and issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (validity, _) = inside(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    let text = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    match tag {
        // Two digits of the year: 50 to 99 are of the last century.
        UTC_TIME if text.get(..2)? < "50" => unix_s(&format!("20{text}")),
        UTC_TIME => unix_s(&format!("19{text}")),
        GENERALIZED_TIME => unix_s(text),
        _ => None,
    }
}

/// What the first element holds, if it has this tag, and what follows it.
fn inside(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, held, rest) = element(bytes)?;
    (tag == wanted).then_some((held, rest))
}

/// The first element: its tag, what it holds, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (held, rest) = rest.split_at_checked(length)?;
    Some((tag, held, rest))
}

/// `YYYYMMDDHHMMSS` in Unix seconds; what lies before 1970 is 0.
fn unix_s(text: &str) -> Option<u64> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let is_sound = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    if year < 1970 {
        return Some(0);
    }
    let days = is_sound.then(|| days_since_1970(year, month, day))?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days of the Gregorian calendar. A year begins with March here, so that its leap day is the last.
const fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE_1970: u64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days - BEFORE_1970
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn ending(year: i32, month: u8, day: u8) -> String {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn a_certificate_ends_when_it_says_in_either_form_of_time() {
        for (year, month, day, end_s) in [
            (2024, 2, 29, 1_709_164_800),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let pem = ending(year, month, day);
            assert_eq!(first_end_s(&pem), Some(end_s), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn the_first_of_a_chain_that_ends_counts() {
        let both = ending(2030, 1, 2) + &ending(2030, 1, 1);
        assert_eq!(first_end_s(&both), Some(1_893_456_000));
    }

    #[test]
    fn bytes_that_are_cut_or_changed_are_no_certificate_and_no_fault() {
        let whole = chain(&ending(2030, 1, 1)).expect("one").remove(0);
        for length in 0..whole.len() {
            assert_eq!(end_s(&whole[..length].into()), None, "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0xff;
            // It may still read as one; it must only not be believed beyond its bytes.
            let _end = end_s(&bytes.into());
        }
        assert_eq!(unix_s("20301301000000"), None);
        assert_eq!(unix_s("19991231235959"), Some(946_684_799));
        assert_eq!(unix_s("00010101000000"), Some(0));
    }
}
