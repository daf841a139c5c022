//! What the grammar forbids and an element that only carries the call need not look at.

use super::cursor::is_token;
use super::malformed::{Malformed, excerpt};
use super::message::Message;
use super::validate::Check;

/// Beyond [`Message::validate`], in the order in which it is reported.
pub(super) const STRICT: &[Check] =
    &[check_controls, check_date, check_warnings, check_content_type, check_broadcast];

fn check_controls(message: &Message) -> Result<(), Malformed> {
    for field in message.fields() {
        let bytes = field.value().as_bytes();
        let stray = |at: &usize| {
            let escaped = at.checked_sub(1).is_some_and(|before| bytes[before] == b'\\');
            bytes[*at].is_ascii_control() && bytes[*at] != b'\t' && !escaped
        };
        if let Some(at) = (0..bytes.len()).find(stray) {
            let what = format!("control character {:#04x} in a header; leave it out", bytes[at]);
            return Err(Malformed::new("RFC 3261 25.1", field.value_offset() + at, what));
        }
    }
    Ok(())
}

fn check_date(message: &Message) -> Result<(), Malformed> {
    match message.header("Date") {
        Some(date) if !is_date(date) => {
            let what =
                format!("Date is `{}`; write it as `Sat, 13 Nov 2010 23:29:00 GMT`", excerpt(date));
            Err(Malformed::new("RFC 3261 20.17", message.offset_of("Date"), what))
        }
        _ => Ok(()),
    }
}

fn is_date(text: &str) -> bool {
    const DAYS: &[&str] = &["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];
    const MONTHS: &[&str] =
        &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let among = |all: &[&str], word: &str| all.iter().any(|it| it.eq_ignore_ascii_case(word));
    let digits =
        |word: &str, length| word.len() == length && word.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = text.split(' ').collect();
    let [weekday, day, month, year, time, zone] = parts[..] else { return false };
    let mut clock = time.split(':');
    among(DAYS, weekday)
        && digits(day, 2)
        && among(MONTHS, month)
        && digits(year, 4)
        && clock.by_ref().take(3).filter(|part| digits(part, 2)).count() == 3
        && clock.next().is_none()
        && zone.eq_ignore_ascii_case("GMT")
}

fn check_warnings(message: &Message) -> Result<(), Malformed> {
    for warning in message.values("Warning") {
        let code = warning.split(' ').next().unwrap_or_default();
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            let what = format!("warning code `{}`; write three digits", excerpt(code));
            return Err(Malformed::new("RFC 3261 20.43", message.offset_of("Warning"), what));
        }
    }
    Ok(())
}

fn check_content_type(message: &Message) -> Result<(), Malformed> {
    let Some(value) = message.header("Content-Type") else { return Ok(()) };
    let media = value.split(';').next().unwrap_or_default();
    let is_media = media
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind.trim()) && is_token(subtype.trim()));
    if is_media {
        return Ok(());
    }
    let what = format!("`{}` is no media type; write application/sdp, say", excerpt(media));
    Err(Malformed::new("RFC 3261 20.15", message.offset_of("Content-Type"), what))
}

/// A user agent discards a response with a second Via, and a proxy that followed this one would
/// send it to everybody.
fn check_broadcast(message: &Message) -> Result<(), Malformed> {
    let below = message.vias().unwrap_or_default().into_iter().skip(1);
    if message.is_request() || below.into_iter().all(|via| via.host != "255.255.255.255") {
        return Ok(());
    }
    let what = "a response on its way to the broadcast address; send it to one host";
    Err(Malformed::new("RFC 4475 3.3.10", message.offset_of("Via"), what))
}
