//! STUN Binding on the SIP port (RFC 5389), the keep-alive of SIP over UDP (RFC 5626 section 4.4.2):
//! requests are answered with the address they came from, without authentication, and nothing is
//! remembered of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEAD: usize = 20;
const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// USERNAME, MESSAGE-INTEGRITY, REALM and NONCE say nothing where nobody must prove a name.
const UNDERSTOOD: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];
/// Unknown attributes that are named in an answer.
const MOST_NAMED: usize = 8;

/// Names a request and its answer.
pub(super) type Transaction = [u8; 12];

/// True for STUN and never for SIP, which begins with a letter or a line end.
pub(super) fn is_stun(raw: &[u8]) -> bool {
    raw.len() >= HEAD && raw[0] & 0xc0 == 0 && raw[4..8] == COOKIE
}

/// A Binding request.
pub(super) fn request(transaction: &Transaction) -> Vec<u8> {
    message(REQUEST, transaction, &[])
}

/// The answer to a Binding request: where it came from, or that it asks for what nobody here knows.
/// `None`: it is no sound request.
pub(super) fn answer(raw: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (kind, transaction, attributes) = read(raw)?;
    if kind != REQUEST {
        return None;
    }
    let mut unknown = attributes.map(|(kind, _)| kind);
    let unknown: Vec<u8> = unknown
        .by_ref()
        .filter(|kind| *kind < 0x8000 && !UNDERSTOOD.contains(kind))
        .take(MOST_NAMED)
        .flat_map(u16::to_be_bytes)
        .collect();
    if unknown.is_empty() {
        let address = xored(source, &transaction);
        return Some(message(SUCCESS, &transaction, &attribute(XOR_MAPPED_ADDRESS, &address)));
    }
    // RFC 5389 section 15.6: class 4, number 20.
    let mut body = attribute(ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
    body.extend(attribute(UNKNOWN_ATTRIBUTES, &unknown));
    Some(message(ERROR, &transaction, &body))
}

/// What answers a request of ours: whose, and the address that the peer saw, if it says so.
pub(super) fn answered(raw: &[u8]) -> Option<(Transaction, Option<SocketAddr>)> {
    let (kind, transaction, mut attributes) = read(raw)?;
    let mapped = attributes.find(|(kind, _)| *kind == XOR_MAPPED_ADDRESS);
    match kind {
        SUCCESS => Some((transaction, mapped.and_then(|(_, value)| unxored(value, &transaction)))),
        ERROR => Some((transaction, None)),
        _ => None,
    }
}

type Attributes<'a> = Box<dyn Iterator<Item = (u16, &'a [u8])> + 'a>;

fn read(raw: &[u8]) -> Option<(u16, Transaction, Attributes<'_>)> {
    let word = |at: usize| Some(u16::from_be_bytes([*raw.get(at)?, *raw.get(at + 1)?]));
    let (kind, length) = (word(0)?, usize::from(word(2)?));
    if !is_stun(raw) || length % 4 != 0 || raw.len() != HEAD + length {
        return None;
    }
    let mut at = HEAD;
    let attributes = std::iter::from_fn(move || {
        let (kind, length) = (word(at)?, usize::from(word(at + 2)?));
        let value = raw.get(at + 4..at + 4 + length)?;
        at += 4 + length.next_multiple_of(4);
        Some((kind, value))
    });
    Some((kind, raw[8..HEAD].try_into().ok()?, Box::new(attributes)))
}

fn message(kind: u16, transaction: &Transaction, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let head = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    [&head, &COOKIE[..], transaction, body].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut bytes = [kind.to_be_bytes(), length.to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn masked(bytes: &mut [u8], transaction: &Transaction) {
    let mask = COOKIE.iter().chain(transaction);
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

/// RFC 5389 section 15.2.
fn xored(address: SocketAddr, transaction: &Transaction) -> Vec<u8> {
    let (family, mut ip) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut port = address.port().to_be_bytes();
    masked(&mut port, transaction);
    masked(&mut ip, transaction);
    [&[0, family], &port[..], &ip].concat()
}

fn unxored(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, mut ip) = (value.get(..4)?, value[4..].to_vec());
    let mut port = [head[2], head[3]];
    masked(&mut port, transaction);
    masked(&mut ip, transaction);
    let ip = match head[1] {
        1 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        2 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// RFC 5769 section 2.2 and 2.3: the transaction, and the addresses as they stand in the answers.
    const TRANSACTION: Transaction = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
    const V4: (&str, &[u8]) = ("192.0.2.1:32853", b"\0\x01\xa1\x47\xe1\x12\xa6\x43");
    const V6: (&str, &[u8]) = (
        "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        b"\0\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9",
    );

    #[test]
    fn addresses_are_masked_as_rfc_5769_shows() {
        for (address, bytes) in [V4, V6] {
            let address = address.parse().unwrap();
            assert_eq!(xored(address, &TRANSACTION), bytes);
            assert_eq!(unxored(bytes, &TRANSACTION), Some(address));
        }
    }

    #[test]
    fn a_request_is_answered_with_its_source_and_read_back() {
        for (source, _) in [V4, V6] {
            let source = source.parse().unwrap();
            let answer = answer(&request(&TRANSACTION), source).unwrap();
            assert_eq!(answered(&answer), Some((TRANSACTION, Some(source))));
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_by_number_and_what_may_be_passed_over_is() {
        let source = "192.0.2.1:5060".parse().unwrap();
        let with = |kind| message(REQUEST, &TRANSACTION, &attribute(kind, b"x"));
        for understood in [0x0006, 0x8022, 0x8028] {
            let answer = answer(&with(understood), source).unwrap();
            assert_eq!(answer[..2], SUCCESS.to_be_bytes(), "{understood:#x}");
        }
        let answer = answer(&with(0x0003), source).unwrap();
        assert_eq!(answer[..2], ERROR.to_be_bytes());
        assert_eq!(answer[answer.len() - 8..], [0, 10, 0, 2, 0, 3, 0, 0]);
        assert_eq!(answered(&answer), Some((TRANSACTION, None)));
    }

    #[test]
    fn answers_indications_and_broken_requests_are_not_answered() {
        let source = "192.0.2.1:5060".parse().unwrap();
        let sound = request(&TRANSACTION);
        let longer = [&sound[..], &[0; 4]].concat();
        for bad in [
            message(SUCCESS, &TRANSACTION, &[]),
            message(ERROR, &TRANSACTION, &[]),
            message(0x0011, &TRANSACTION, &[]),
            sound[..19].to_vec(),
            longer,
            message(REQUEST, &TRANSACTION, &[0; 3]),
        ] {
            assert_eq!(answer(&bad, source), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_datagram_panics_and_no_answer_is_much_longer(tail in vec(any::<u8>(), 0..200)) {
            let source = "192.0.2.1:5060".parse().unwrap();
            for raw in [tail.clone(), message(REQUEST, &TRANSACTION, &tail)] {
                let answer = answer(&raw, source);
                prop_assert!(answer.is_none_or(|answer| answer.len() <= raw.len() + 56));
                answered(&raw);
            }
            answered(&message(SUCCESS, &TRANSACTION, &tail));
        }
    }
}
