//! SIGHUP: a gateway that runs reads its file anew.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::bench::{Bench, free_port};

/// The operator's page of metrics; `None` while nobody listens.
fn metrics(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn wait_for(port: u16, line: &str) {
    // The gateway answers thousands of these in a second; one that never says it is at fault.
    let said = (0..20_000).any(|_| metrics(port).is_some_and(|text| text.contains(line)));
    assert!(said, "{line} is not said");
}

#[test]
fn sighup_takes_a_sound_file_and_refuses_a_bad_one() {
    let bench = Bench::new();
    let admin = free_port();
    bench.add_to_gateway(&format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n"));
    let gateway = bench.start("gateway");
    wait_for(admin, "reveille_reloads_total{outcome=\"applied\"} 0\n");
    bench.add_to_gateway("[call]\nwake-budget = \"20s\"\n");
    gateway.signal("HUP");
    wait_for(admin, "reveille_reloads_total{outcome=\"applied\"} 1\n");
    bench.add_to_gateway("[session]\ngrace = \"for ever\"\n");
    gateway.signal("HUP");
    wait_for(admin, "reveille_reloads_total{outcome=\"refused\"} 1\n");
}
