//! From a domain to the places where it is served, best first (RFC 3263 sections 4.1 and 4.2).

use std::net::SocketAddr;

use reveille_gateway_core::io::{Flow, Transport};
use reveille_host::Entropy;

use super::{Data, Kind, Record, Resolve};

/// How long what was found holds at least and at most, in seconds.
const TTL_S: (u32, u32) = (30, 86_400);
/// Places that are kept.
const MOST: usize = 32;

/// A domain whose servers are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// What the operator wants; `None`: what the domain prefers.
    pub transport: Option<Transport>,
    /// Only TLS will do.
    pub secure: bool,
    /// The name that its servers must prove over TLS: not one that DNS gave (RFC 5922 section 7.3).
    pub proves: String,
}

/// Where a domain is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) flows: Vec<Flow>,
    /// Seconds until it is to be asked for again.
    pub(crate) ttl_s: u32,
}

/// Services of SIP, by NAPTR and by SRV, in our order where a domain has none.
const SERVICES: [(&str, &str, Transport); 3] = [
    ("SIP+D2U", "_sip._udp", Transport::Udp),
    ("SIP+D2T", "_sip._tcp", Transport::Tcp),
    ("SIPS+D2T", "_sips._tcp", Transport::Tls),
];

/// Finds the servers of a domain.
///
/// # Errors
/// Nobody knows, or there is none.
pub(crate) async fn find(
    resolve: &dyn Resolve,
    entropy: &dyn Entropy,
    domain: &Domain,
) -> Result<Found, String> {
    let mut search = Search { resolve, entropy, ttl_s: TTL_S.1 };
    for (service, transport) in search.services(domain).await? {
        let places = search.places(&service).await?;
        if !places.is_empty() {
            return search.found(transport, places);
        }
    }
    let secure = if domain.secure { Transport::Tls } else { Transport::Udp };
    let transport = domain.transport.unwrap_or(secure);
    let places = search.addresses(&domain.name, transport.default_port()).await?;
    if places.is_empty() {
        return Err(format!("{}: DNS knows neither SRV nor an address of it", domain.name));
    }
    search.found(transport, places)
}

struct Search<'a> {
    resolve: &'a dyn Resolve,
    entropy: &'a dyn Entropy,
    ttl_s: u32,
}

impl Search<'_> {
    async fn lookup(&mut self, name: &str, kind: Kind) -> Result<Vec<Data>, String> {
        let records: Vec<Record> = self.resolve.lookup(name, kind).await?;
        let shortest = records.iter().map(|record| record.ttl_s).min();
        self.ttl_s = self.ttl_s.min(shortest.unwrap_or(self.ttl_s));
        Ok(records.into_iter().map(|record| record.data).take(MOST).collect())
    }

    /// Names of SRV, best first, each with its transport: those that NAPTR names, else the usual ones.
    async fn services(&mut self, domain: &Domain) -> Result<Vec<(String, Transport)>, String> {
        let fits = |transport: Transport| {
            domain.transport.is_none_or(|wanted| wanted == transport)
                && (!domain.secure || transport == Transport::Tls)
        };
        let mut named = Vec::new();
        if domain.transport.is_none() {
            for data in self.lookup(&domain.name, Kind::Naptr).await? {
                let Data::Naptr { order, preference, flags, service, replacement } = data else {
                    continue;
                };
                let known = SERVICES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&service));
                if let Some((.., transport)) = known.filter(|(.., by)| fits(*by))
                    && flags.eq_ignore_ascii_case("s")
                {
                    named.push((order, preference, replacement, *transport));
                }
            }
        }
        named.sort_by_key(|(order, preference, ..)| (*order, *preference));
        if !named.is_empty() {
            return Ok(named.into_iter().map(|(.., name, by)| (name, by)).collect());
        }
        let usual = SERVICES.iter().filter(|(.., by)| fits(*by));
        Ok(usual.map(|(_, srv, by)| (format!("{srv}.{}", domain.name), *by)).collect())
    }

    /// The places that SRV names, in the order of RFC 2782.
    async fn places(&mut self, service: &str) -> Result<Vec<SocketAddr>, String> {
        let mut servers = Vec::new();
        for data in self.lookup(service, Kind::Srv).await? {
            if let Data::Srv { priority, weight, port, target } = data
                && !target.is_empty()
            {
                servers.push((priority, self.lot(weight), port, target));
            }
        }
        servers.sort_by(|one, two| one.0.cmp(&two.0).then(two.1.total_cmp(&one.1)));
        let mut places = Vec::new();
        for (_, _, port, target) in servers {
            places.extend(self.addresses(&target, port).await?);
        }
        Ok(places)
    }

    /// A number by which servers of one priority are sorted, highest first: each is the first of them
    /// as often as its weight is a share of all. Without weight it comes last.
    fn lot(&self, weight: u16) -> f64 {
        let mut bytes = [0; 4];
        self.entropy.fill(&mut bytes);
        let drawn = (f64::from(u32::from_be_bytes(bytes)) + 1.0) / (f64::from(u32::MAX) + 2.0);
        drawn.ln() / f64::from(weight)
    }

    async fn addresses(&mut self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let mut found = self.lookup(host, Kind::A).await?;
        if found.is_empty() {
            found = self.lookup(host, Kind::Aaaa).await?;
        }
        let address = |data| match data {
            Data::Address(ip) => Some(SocketAddr::new(ip, port)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(address).collect())
    }

    fn found(&self, transport: Transport, places: Vec<SocketAddr>) -> Result<Found, String> {
        let flow = |place: SocketAddr| {
            let (local, peer) = (String::new(), place.to_string());
            Flow { transport, local, peer, connection: None }
        };
        let flows = places.into_iter().take(MOST).map(flow).collect();
        Ok(Found { flows, ttl_s: self.ttl_s.clamp(TTL_S.0, TTL_S.1) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    fn a(ip: &str) -> Data {
        Data::Address(ip.parse().unwrap())
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Data {
        Data::Srv { priority, weight, port, target: target.to_owned() }
    }

    fn naptr(order: u16, service: &str, replacement: &str) -> Data {
        let [flags, service, replacement] = ["S", service, replacement].map(str::to_owned);
        Data::Naptr { order, preference: 50, flags, service, replacement }
    }

    fn table(records: &[(&str, Kind, u32, Data)]) -> Table {
        let mut table = Table::default();
        for (name, kind, ttl_s, data) in records {
            let record = Record { ttl_s: *ttl_s, data: data.clone() };
            table.0.entry(((*name).to_owned(), *kind)).or_default().push(record);
        }
        table
    }

    fn domain(transport: Option<Transport>, secure: bool) -> Domain {
        let [name, proves] = ["example.com", "example.com"].map(str::to_owned);
        Domain { name, transport, secure, proves }
    }

    /// Transport and places in their order, and how long they hold.
    async fn found(table: &Table, domain: &Domain) -> (Vec<(Transport, String)>, u32) {
        let host = reveille_host::real::host();
        let found = find(table, &*host.entropy, domain).await.expect("found");
        let flows = found.flows.into_iter().map(|flow| (flow.transport, flow.peer));
        (flows.collect(), found.ttl_s)
    }

    fn at(transport: Transport, places: &[&str]) -> Vec<(Transport, String)> {
        places.iter().map(|place| (transport, (*place).to_owned())).collect()
    }

    fn whole() -> Table {
        table(&[
            ("example.com", Kind::Naptr, 900, naptr(20, "SIP+D2U", "_sip._udp.example.com")),
            ("example.com", Kind::Naptr, 900, naptr(10, "SIP+D2T", "_sip._tcp.elsewhere.org")),
            ("example.com", Kind::Naptr, 900, naptr(30, "SIPS+D2T", "_sips._tcp.example.com")),
            ("example.com", Kind::Naptr, 900, naptr(1, "SIP+D2S", "_sip._sctp.example.com")),
            ("_sip._tcp.elsewhere.org", Kind::Srv, 300, srv(2, 0, 5062, "b.example.com")),
            ("_sip._tcp.elsewhere.org", Kind::Srv, 300, srv(1, 0, 5061, "a.example.com")),
            ("_sip._udp.example.com", Kind::Srv, 300, srv(1, 0, 5070, "b.example.com")),
            ("_sips._tcp.example.com", Kind::Srv, 300, srv(1, 0, 5071, "b.example.com")),
            ("a.example.com", Kind::A, 60, a("192.0.2.1")),
            ("a.example.com", Kind::A, 60, a("192.0.2.2")),
            ("b.example.com", Kind::Aaaa, 70, a("2001:db8::1")),
        ])
    }

    #[tokio::test]
    async fn naptr_then_srv_then_addresses_in_their_order_and_for_the_shortest_time() {
        let wanted =
            at(Transport::Tcp, &["192.0.2.1:5061", "192.0.2.2:5061", "[2001:db8::1]:5062"]);
        assert_eq!(found(&whole(), &domain(None, false)).await, (wanted, 60));
    }

    #[tokio::test]
    async fn what_the_operator_or_sips_wants_leaves_no_other_transport() {
        let wanted = at(Transport::Udp, &["[2001:db8::1]:5070"]);
        assert_eq!(found(&whole(), &domain(Some(Transport::Udp), false)).await.0, wanted);
        let wanted = at(Transport::Tls, &["[2001:db8::1]:5071"]);
        assert_eq!(found(&whole(), &domain(None, true)).await.0, wanted);
    }

    #[tokio::test]
    async fn without_naptr_the_usual_services_and_without_those_the_usual_port() {
        let tcp = ("_sip._tcp.example.com", Kind::Srv, 5, srv(1, 0, 5070, "a.example.com"));
        let address = ("a.example.com", Kind::A, 60, a("192.0.2.1"));
        let some = table(&[tcp, address]);
        let wanted = (at(Transport::Tcp, &["192.0.2.1:5070"]), 30);
        assert_eq!(found(&some, &domain(None, false)).await, wanted, "and not asked too often");
        let bare = table(&[("example.com", Kind::A, 60, a("192.0.2.9"))]);
        for (transport, secure, wanted) in [
            (None, false, at(Transport::Udp, &["192.0.2.9:5060"])),
            (Some(Transport::Tcp), false, at(Transport::Tcp, &["192.0.2.9:5060"])),
            (None, true, at(Transport::Tls, &["192.0.2.9:5061"])),
        ] {
            assert_eq!(found(&bare, &domain(transport, secure)).await.0, wanted);
        }
        let host = reveille_host::real::host();
        let none = find(&Table::default(), &*host.entropy, &domain(None, false)).await;
        assert!(none.is_err_and(|why| why.starts_with("example.com: DNS knows neither")));
    }

    #[tokio::test]
    async fn weights_share_the_first_place_and_none_comes_last() {
        let mut records: Vec<_> = [(3, "a"), (1, "b"), (0, "c")]
            .into_iter()
            .map(|(weight, name)| ("_sip._udp.example.com", Kind::Srv, 60, srv(1, weight, 1, name)))
            .collect();
        for (name, ip) in [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")] {
            records.push((name, Kind::A, 60, a(ip)));
        }
        let (table, mut firsts) = (table(&records), 0);
        for _ in 0..400 {
            let (places, _) = found(&table, &domain(None, false)).await;
            firsts += u32::from(places[0].1 == "192.0.2.1:1");
            assert_eq!(places[2].1, "192.0.2.3:1");
        }
        // 300 are expected, and 240 or 360 are seven deviations off.
        assert!((240..360).contains(&firsts), "three of four: {firsts} of 400");
    }
}
