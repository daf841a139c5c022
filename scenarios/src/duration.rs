use std::time::Duration;

/// The longest time that a scenario can speak of.
pub(crate) const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Units and what they are in nanoseconds; `ms` before `m` and `s`, which end it too.
const UNITS: [(&str, u64); 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoDuration {
    /// A number alone.
    NoUnit,
    /// No number with a unit.
    Malformed,
    /// Longer than [`LONGEST`].
    TooLong,
}

/// Reads `500ms`, `1.5s`, `2m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, NoDuration> {
    let unit = UNITS.iter().find_map(|(u, nanos)| Some((text.strip_suffix(u)?, *nanos)));
    let Some((number, nanos)) = unit else {
        let bare = digits(text.strip_suffix('.').unwrap_or(text)).is_some();
        return Err(if bare { NoDuration::NoUnit } else { NoDuration::Malformed });
    };
    let (whole, part) = digits(number).ok_or(NoDuration::Malformed)?;
    let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(nanos));
    let nanos = whole.and_then(|n| n.checked_add(fraction(part, nanos)));
    let time = nanos.map(Duration::from_nanos).ok_or(NoDuration::TooLong)?;
    if time > LONGEST { Err(NoDuration::TooLong) } else { Ok(time) }
}

/// The digits before the point, and those after it if there is one.
fn digits(number: &str) -> Option<(&str, &str)> {
    let all = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, part)) => (all(whole) && all(part)).then_some((whole, part)),
        None => all(number).then_some((number, "")),
    }
}

/// What digits after the point are of a unit; below a nanosecond nothing counts.
fn fraction(digits: &str, unit: u64) -> u64 {
    let tenths = digits.bytes().scan(unit, |unit, b| {
        let here = *unit;
        *unit /= 10;
        Some(here * u64::from(b - b'0') / 10)
    });
    tenths.sum()
}

/// A time as a person would write it: the shortest text of those whose number is at least one, so
/// `90s`, `1.5s`, `500ms`, `1h`.
pub(crate) fn shown(time: Duration) -> String {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    let whole = UNITS.iter().rev().filter(|(_, unit)| nanos >= *unit);
    let texts = whole.filter_map(|(name, unit)| Some(format!("{}{name}", decimal(nanos, *unit)?)));
    let shortest = texts.min_by_key(String::len);
    shortest.or_else(|| Some(format!("{}ms", decimal(nanos, UNITS[0].1)?))).unwrap_or_default()
}

/// How many units these are, if that can be written down.
fn decimal(nanos: u64, unit: u64) -> Option<String> {
    let mut text = (nanos / unit).to_string();
    let mut rest = nanos % unit;
    if rest > 0 {
        text.push('.');
    }
    for _ in 0..12 {
        if rest == 0 {
            return Some(text);
        }
        let tenth = u128::from(rest) * 10;
        text.push_str(&(tenth / u128::from(unit)).to_string());
        rest = u64::try_from(tenth % u128::from(unit)).ok()?;
    }
    (rest == 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_decimals() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0.25ms"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("168h"), Ok(LONGEST));
    }

    #[test]
    fn a_time_is_written_as_a_person_would() {
        let texts = ["0s", "1s", "90s", "1.5s", "500ms", "1m", "1h", "90m", "30.2s", "168h"];
        for text in texts.into_iter().chain(["1.25s", "0.25ms", "0.000001ms", "1.000001s", "61m"]) {
            assert_eq!(duration(text).map(shown).as_deref(), Ok(text));
        }
        assert_eq!(duration("60s").map(shown).as_deref(), Ok("1m"));
        assert_eq!(duration("604799.999999999s").map(shown).as_deref(), Ok("604799.999999999s"));
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for text in ["5", "1.5", "5."] {
            assert_eq!(duration(text), Err(NoDuration::NoUnit), "{text}");
        }
        for text in ["", "s", "-1s", "1 s", "1,5s", ".5s", "1.s", "1e3s", "5d", "1.2.3s", "+1s"] {
            assert_eq!(duration(text), Err(NoDuration::Malformed), "{text}");
        }
        for text in ["168.1h", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(duration(text), Err(NoDuration::TooLong), "{text}");
        }
    }
}
