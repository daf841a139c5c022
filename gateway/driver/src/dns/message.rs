//! Queries and answers of DNS as bytes (RFC 1035 section 4). What comes in is hostile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Data, Kind, Record};

const HEAD: usize = 12;
/// RFC 1035 section 2.3.4.
const MOST_NAME: usize = 255;
const MOST_LABEL: usize = 63;
/// Records of one answer that are read, and jumps in one name.
const MOST_RECORDS: usize = 64;
const MOST_JUMPS: usize = 16;

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It does not belong to the query: wait on.
    Foreign,
    /// It was cut off: ask over TCP.
    Truncated,
    /// The server says so, or it is broken.
    Failed(String),
}

const fn code(kind: Kind) -> u16 {
    match kind {
        Kind::A => 1,
        Kind::Aaaa => 28,
        Kind::Srv => 33,
        Kind::Naptr => 35,
    }
}

/// A query that wishes for recursion; `None` if the name is none.
pub(super) fn query(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        if label.is_empty() || label.len() > MOST_LABEL || !label.is_ascii() {
            return None;
        }
        bytes.push(u8::try_from(label.len()).ok()?);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(code(kind).to_be_bytes());
    bytes.extend([0, 1]);
    (bytes.len() <= HEAD + MOST_NAME + 4).then_some(bytes)
}

/// The records of the kind that was asked for.
pub(super) fn answer(raw: &[u8], query: &[u8], kind: Kind) -> Result<Vec<Record>, Unusable> {
    let broken = || Unusable::Failed("the answer of the DNS server is broken".to_owned());
    let word = |at: usize| Some(u16::from_be_bytes([*raw.get(at)?, *raw.get(at + 1)?]));
    let is_answer = raw.len() >= HEAD && raw[2] & 0x80 != 0;
    let question = raw.get(HEAD..query.len()).unwrap_or_default();
    if !is_answer || raw[..2] != query[..2] || !question.eq_ignore_ascii_case(&query[HEAD..]) {
        return Err(Unusable::Foreign);
    }
    if raw[2] & 0x02 != 0 {
        return Err(Unusable::Truncated);
    }
    match raw[3] & 0x0f {
        0 => {}
        // RFC 1035 section 4.1.1: there is no such name.
        3 => return Ok(Vec::new()),
        rcode => return Err(Unusable::Failed(format!("the DNS server answers RCODE {rcode}"))),
    }
    let count = usize::from(word(6).ok_or_else(broken)?).min(MOST_RECORDS);
    let (mut at, mut records) = (query.len(), Vec::new());
    for _ in 0..count {
        let (record, next) = record(raw, at, kind).ok_or_else(broken)?;
        records.extend(record);
        at = next;
    }
    Ok(records)
}

/// The record that begins at `at`, if it is of this kind, and where the next one does.
fn record(raw: &[u8], at: usize, kind: Kind) -> Option<(Option<Record>, usize)> {
    let (_, at) = name(raw, at)?;
    let fixed = raw.get(at..at + 10)?;
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let (begin, end) = (at + 10, at + 10 + length);
    let value = raw.get(begin..end)?;
    if fixed[..2] != code(kind).to_be_bytes() {
        return Some((None, end));
    }
    // RFC 2181 section 8: the highest bit means zero.
    let ttl_s = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let ttl_s = if ttl_s > i32::MAX.unsigned_abs() { 0 } else { ttl_s };
    let word = |at: usize| Some(u16::from_be_bytes([*value.get(at)?, *value.get(at + 1)?]));
    let data = match kind {
        Kind::A => Data::Address(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?))),
        Kind::Aaaa => {
            Data::Address(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?)))
        }
        Kind::Srv => {
            let (priority, weight, port) = (word(0)?, word(2)?, word(4)?);
            Data::Srv { priority, weight, port, target: name(raw, begin + 6)?.0 }
        }
        Kind::Naptr => {
            let (order, preference) = (word(0)?, word(2)?);
            let (flags, at) = text(value, 4)?;
            let (service, at) = text(value, at)?;
            let (_, at) = text(value, at)?;
            let replacement = name(raw, begin + at)?.0;
            Data::Naptr { order, preference, flags, service, replacement }
        }
    };
    Some((Some(Record { ttl_s, data }), end))
}

/// A string of characters that says its length.
fn text(value: &[u8], at: usize) -> Option<(String, usize)> {
    let end = at + 1 + usize::from(*value.get(at)?);
    Some((String::from_utf8_lossy(value.get(at + 1..end)?).into_owned(), end))
}

/// A name, whose end may stand further to the front (RFC 1035 section 4.1.4), and where it ends.
fn name(raw: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut labels, mut length, mut end, mut jumps) = (Vec::new(), 0, None, 0);
    loop {
        let first = usize::from(*raw.get(at)?);
        match first {
            0 => return Some((labels.join("."), end.unwrap_or(at + 1))),
            1..=MOST_LABEL => {
                let label = raw.get(at + 1..at + 1 + first)?;
                length += first + 1;
                // No host of SIP is called otherwise, and a dot within would feign a label.
                let sound = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if length > MOST_NAME || !label.iter().all(sound) {
                    return None;
                }
                labels.push(String::from_utf8_lossy(label).into_owned());
                at += 1 + first;
            }
            0xc0.. => {
                let to = (first & 0x3f) << 8 | usize::from(*raw.get(at + 1)?);
                end = end.or(Some(at + 2));
                jumps += 1;
                if to >= at || jumps > MOST_JUMPS {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An answer to `query` with these records, each named by a jump to the question.
    fn reply(query: &[u8], flags: [u8; 2], records: &[(u16, u32, &[u8])]) -> Vec<u8> {
        let mut raw = query.to_vec();
        raw[2..4].copy_from_slice(&flags);
        raw[7] = u8::try_from(records.len()).unwrap();
        for (code, ttl_s, value) in records {
            raw.extend([0xc0, 12]);
            raw.extend(code.to_be_bytes());
            raw.extend([0, 1]);
            raw.extend(ttl_s.to_be_bytes());
            raw.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            raw.extend_from_slice(value);
        }
        raw
    }

    const GOOD: [u8; 2] = [0x81, 0x80];

    #[test]
    fn each_kind_of_record_is_read_and_others_are_passed_over() {
        let asked = query(7, "_sip._udp.example.com", Kind::Srv).unwrap();
        // The target ends in example.com, which stands in the question at 12 + 5 + 5.
        let srv = b"\0\x01\0\x02\x13\xc4\x03sip\xc0\x16";
        let raw = reply(&asked, GOOD, &[(5, 9, b"\xc0\x0c"), (33, 300, srv)]);
        let target = "sip.example.com".to_owned();
        let data = Data::Srv { priority: 1, weight: 2, port: 5060, target };
        assert_eq!(answer(&raw, &asked, Kind::Srv), Ok(vec![Record { ttl_s: 300, data }]));

        let asked = query(7, "example.com", Kind::Naptr).unwrap();
        let naptr = b"\0\x0a\0\x32\x01s\x07SIP+D2T\0\x04_sip\x04_tcp\xc0\x0c";
        let raw = reply(&asked, GOOD, &[(35, 1 << 31, naptr)]);
        let data = Data::Naptr {
            order: 10,
            preference: 50,
            flags: "s".to_owned(),
            service: "SIP+D2T".to_owned(),
            replacement: "_sip._tcp.example.com".to_owned(),
        };
        assert_eq!(answer(&raw, &asked, Kind::Naptr), Ok(vec![Record { ttl_s: 0, data }]));

        for (kind, value, address) in [
            (Kind::A, &[192, 0, 2, 1][..], "192.0.2.1"),
            (Kind::Aaaa, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1"),
        ] {
            let asked = query(7, "sip.example.com.", kind).unwrap();
            let raw = reply(&asked, GOOD, &[(code(kind), 60, value)]);
            let data = Data::Address(address.parse().unwrap());
            assert_eq!(answer(&raw, &asked, kind), Ok(vec![Record { ttl_s: 60, data }]));
        }
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let asked = query(7, "example.com", Kind::A).unwrap();
        let good = reply(&asked, GOOD, &[]);
        assert_eq!(answer(&good, &asked, Kind::A), Ok(Vec::new()));
        let loud = String::from_utf8_lossy(&good).replace("example", "EXAMPLE");
        let others = [
            query(8, "example.com", Kind::A).unwrap(),
            query(7, "example.org", Kind::A).unwrap(),
            query(7, "example.com", Kind::Aaaa).unwrap(),
        ];
        for other in others {
            let raw = reply(&other, GOOD, &[]);
            assert_eq!(answer(&raw, &asked, Kind::A), Err(Unusable::Foreign));
        }
        assert_eq!(answer(&asked, &asked, Kind::A), Err(Unusable::Foreign), "a query");
        assert!(loud.contains("EXAMPLE"), "case says nothing");
    }

    #[test]
    fn what_the_head_says_is_heeded() {
        let asked = query(7, "example.com", Kind::A).unwrap();
        let with = |flags| answer(&reply(&asked, flags, &[]), &asked, Kind::A);
        assert_eq!(with([0x83, 0x80]), Err(Unusable::Truncated));
        assert_eq!(with([0x81, 0x83]), Ok(Vec::new()), "no such name");
        assert!(matches!(with([0x81, 0x82]), Err(Unusable::Failed(why)) if why.ends_with('2')));
    }

    #[test]
    fn names_that_turn_in_circles_or_hold_odd_bytes_are_broken() {
        let asked = query(7, "example.com", Kind::Srv).unwrap();
        let own = u8::try_from(asked.len() + 12 + 6).unwrap();
        for target in [&[0xc0, own][..], &[3, b'a', b'.', b'b', 0], &[0x41, 0], &[5, b'a'], &[]] {
            let value = [&[0, 1, 0, 2, 0, 3][..], target].concat();
            let got = answer(&reply(&asked, GOOD, &[(33, 1, &value)]), &asked, Kind::Srv);
            assert!(matches!(got, Err(Unusable::Failed(_))), "{target:?}: {got:?}");
        }
        for bad in ["", "a..b", &"x".repeat(64), &"x.".repeat(200), "bücher.example"] {
            assert_eq!(query(7, bad, Kind::A), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(tail in vec(any::<u8>(), 0..300), count in any::<u8>()) {
            for kind in [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr] {
                let asked = query(7, "example.com", kind).unwrap();
                let mut raw = reply(&asked, GOOD, &[(code(kind), 1, &tail)]);
                let _read: bool = answer(&raw, &asked, kind).is_ok();
                raw = reply(&asked, GOOD, &[]);
                raw[7] = count;
                raw.extend(&tail);
                let _read: bool = answer(&raw, &asked, kind).is_ok();
            }
        }
    }
}
