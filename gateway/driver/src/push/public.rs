//! Which addresses belong to the internet, and which to somebody's inside.

use std::net::IpAddr;

/// True of an address that belongs to nobody's inside (RFC 6890, in short).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let inside = ip.is_private() || ip.is_loopback() || ip.is_link_local();
            let special = ip.is_broadcast() || ip.is_documentation() || ip.is_multicast();
            let shared = a == 100 && (64..128).contains(&b);
            let protocol = (a, b, c) == (192, 0, 0) || (a == 198 && (18..20).contains(&b));
            !(inside || special || shared || protocol || a == 0 || a >= 240)
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Global unicast is 2000::/3; of it documentation, Teredo and 6to4 lead elsewhere.
            let elsewhere = first == 0x2002 || (first == 0x2001 && matches!(second, 0 | 0xdb8));
            first & 0xe000 == 0x2000 && !elsewhere
        }
    }
}

/// Refuses a host that is somebody's inside by its writing. Where another one leads, who resolves it
/// decides.
pub(super) fn judge_name(host: &str) -> Result<(), String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let is_inside = match bare.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        // Forms that some resolvers take for an address, such as 127.1 and 0x7f000001, end in a number.
        Err(_) => {
            let last = bare.rsplit('.').next().unwrap_or_default();
            last.eq_ignore_ascii_case("localhost") || last.starts_with(|c: char| c.is_ascii_digit())
        }
    };
    if is_inside { Err(format!("{host} is no address of the internet")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        let table = [
            ("17.188.143.34", true),
            ("2a00:1450:4001::5f", true),
            ("100.128.0.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:127.0.0.1", false),
            ("2002:7f00:1::", false),
            ("64:ff9b::7f00:1", false),
            ("2001:db8::1", false),
        ];
        for (address, public) in table {
            assert_eq!(is_public(address.parse().expect("an address")), public, "{address}");
        }
    }

    #[test]
    fn a_host_that_is_inside_by_its_writing_is_refused() {
        for host in
            ["push.example.net", "17.188.143.34", "[2a00:1450:4001::5f]", "push.example.net."]
        {
            assert_eq!(judge_name(host), Ok(()), "{host}");
        }
        for host in
            ["localhost", "a.LocalHost.", "127.0.0.1", "127.0.0.1.", "[::1]", "127.1", "0x7f000001"]
        {
            assert!(judge_name(host).is_err(), "{host}");
        }
    }
}
