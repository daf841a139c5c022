//! Figures that are no times: shares, bandwidths, and times with a sign.

use super::field::Field;
use super::findings::Findings;
use crate::codes::Code;
use crate::duration::{NoDuration, duration};
use crate::words::quoted;

/// Units of bandwidth and their bits per second; the longer words first, which end in the shorter.
const RATES: [(&str, u64); 3] = [("Mbit/s", 1_000_000), ("kbit/s", 1_000), ("bit/s", 1)];
/// The least and the most that a link carries, in bits per second.
const BANDWIDTH: (u64, u64) = (1_000, 1_000_000_000);

impl Field<'_> {
    /// How far a clock is set: a time with a sign, in milliseconds.
    pub(super) fn shift(&self, f: &mut Findings<'_>) -> Option<i64> {
        let example = format!("{} = \"-30s\"", self.key);
        let text = self.string(&example, f)?;
        let (sign, bare) = match text.strip_prefix('-') {
            Some(bare) => (-1, bare),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let ms = match duration(bare) {
            Ok(time) => i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
            Err(NoDuration::TooLong) => i64::MAX,
            Err(NoDuration::NoUnit | NoDuration::Malformed) => {
                let message = format!("{} says not how far a clock is set", quoted(text));
                let problem = self.problem(Code::NotADuration, message).label("not a time");
                let help = "write `+` or `-` as wanted, a number and its unit";
                f.push(problem.help(format!("{help}: `{example}`")));
                return None;
            }
        };
        if ms == 0 || ms == i64::MAX {
            let message =
                format!("`{}` sets no clock by more than seven days, or by nothing", self.key);
            let problem = self.problem(Code::OutOfRange, message).label("out of range");
            f.push(problem.help(format!("write a time of at most seven days: `{example}`")));
            return None;
        }
        Some(sign * ms)
    }

    /// A share of packets, in thousandths.
    pub(super) fn share(&self, most: u16, f: &mut Findings<'_>) -> Option<u16> {
        let example = format!("{} = \"5%\"", self.key);
        let text = self.string(&example, f)?;
        let Some(thousandths) = text.strip_suffix('%').and_then(tenths) else {
            self.no_figure("share", text, &example, f);
            return None;
        };
        if thousandths > u64::from(most) {
            let message = format!("`{}` lies above {}%", self.key, most / 10);
            let problem = self.problem(Code::OutOfRange, message).label("out of range");
            f.push(problem.help(format!("write a share of at most {}%", most / 10)));
            return None;
        }
        u16::try_from(thousandths).ok()
    }

    /// Bits per second.
    pub(super) fn bandwidth(&self, f: &mut Findings<'_>) -> Option<u64> {
        let example = format!("{} = \"32kbit/s\"", self.key);
        let text = self.string(&example, f)?;
        let rate = RATES.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
        let Some(tenths) = rate.and_then(|(number, bits)| tenths(number)?.checked_mul(bits)) else {
            self.no_figure("bandwidth", text, &example, f);
            return None;
        };
        let (least, most) = BANDWIDTH;
        if !(least..=most).contains(&(tenths / 10)) {
            let message = format!("`{}` lies outside of 1 kbit/s to 1,000 Mbit/s", self.key);
            let problem = self.problem(Code::OutOfRange, message).label("out of range");
            f.push(problem.help(format!("write what a link can carry: `{example}`")));
            return None;
        }
        Some(tenths / 10)
    }

    fn no_figure(&self, what: &str, text: &str, example: &str, f: &mut Findings<'_>) {
        let message = format!("{} is no {what}", quoted(text));
        let problem = self.problem(Code::NotAFigure, message).label("not a number with its unit");
        f.push(problem.help(format!("write a number and its unit: `{example}`")));
    }
}

/// A number with at most one digit after its point, in tenths.
fn tenths(number: &str) -> Option<u64> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(tenth) || tenth.len() != 1 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok()?)
}
