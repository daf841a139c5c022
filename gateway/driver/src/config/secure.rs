//! Certificates, keys and authorities: files to settings that go together.

use std::collections::BTreeMap;

use reveille_gateway_core::config::Secret;
use reveille_gateway_core::io::Transport;

use super::Secrets;
use super::file::{File, Registrar};
use crate::tls::{self, Identity, TlsSettings};

/// Section, key, and what is wrong there.
pub(super) type Fault = (&'static str, &'static str, String);

/// Reads every file that has to do with TLS.
pub(super) fn settings(file: &File, secrets: &Secrets<'_>) -> (TlsSettings, Vec<Fault>) {
    let mut faults = Vec::new();
    let (sip, web) = (&file.sip, &file.websocket);
    let pairs = [
        ("sip", &sip.certificate_file, &sip.key_file),
        ("websocket", &web.certificate_file, &web.key_file),
    ];
    let [own, websocket] = pairs.map(|(section, certificate, key)| {
        identity(section, [certificate, key], secrets).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        })
    });
    let mut authority = |section, key, path: &Option<String>| {
        authorities(section, key, path.as_deref(), secrets).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        })
    };
    let client_ca = authority("sip", "client-ca-file", &sip.client_ca_file);
    let registrar = file.registrar.as_ref();
    let peer_ca = registrar.and_then(|it| authority("registrar", "ca-file", &it.ca_file));
    let peer_names = registrar.map(names).unwrap_or_default();
    if let Some(key) = lacks_certificate(file) {
        let what = "TLS needs a certificate; write certificate-file and key-file beside it";
        faults.push(("sip", key, what.to_owned()));
    }
    (TlsSettings { sip: own, client_ca, websocket, peer_ca, peer_names }, faults)
}

/// The name that each place of the registrar must prove.
fn names(registrar: &Registrar) -> BTreeMap<String, String> {
    let Some(name) = &registrar.server_name else { return BTreeMap::new() };
    let places = std::iter::once(&registrar.address).chain(&registrar.fallbacks);
    places.map(|place| (place.clone(), name.clone())).collect()
}

/// The key of a port that speaks TLS and has nothing to show.
fn lacks_certificate(file: &File) -> Option<&'static str> {
    let sip = &file.sip;
    let ports = [("tls", &sip.tls), ("wss", &sip.wss)];
    let asked = ports.into_iter().find(|(_, address)| !address.is_empty());
    asked.filter(|_| sip.certificate_file.is_none()).map(|(key, _)| key)
}

fn identity(
    section: &'static str,
    [certificate, key]: [&Option<String>; 2],
    secrets: &Secrets<'_>,
) -> Result<Option<Identity>, Fault> {
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            let what = "a certificate needs its key; write key-file beside it".to_owned();
            return Err((section, "certificate-file", what));
        }
        (None, Some(_)) => {
            let what = "a key needs its certificate; write certificate-file beside it".to_owned();
            return Err((section, "key-file", what));
        }
    };
    let chain = read(section, "certificate-file", certificate, secrets)?;
    let begins = "write a PEM file that begins -----BEGIN";
    tls::chain(&chain).map_err(|why| {
        (section, "certificate-file", format!("{why}; {begins} CERTIFICATE-----"))
    })?;
    let key = Secret(read(section, "key-file", key, secrets)?);
    tls::key(&key.0)
        .map_err(|why| (section, "key-file", format!("{why}; {begins} PRIVATE KEY-----")))?;
    let identity = Identity { chain, key };
    identity.check().map_err(|why| (section, "key-file", format!("{why}; write the key of it")))?;
    Ok(Some(identity))
}

fn authorities(
    section: &'static str,
    key: &'static str,
    path: Option<&str>,
    secrets: &Secrets<'_>,
) -> Result<Option<String>, Fault> {
    let Some(path) = path else { return Ok(None) };
    let pem = read(section, key, path, secrets)?;
    let what = |why| format!("{why}; write a PEM file that begins -----BEGIN CERTIFICATE-----");
    tls::roots(Some(&pem)).map_err(|why| (section, key, what(why)))?;
    Ok(Some(pem))
}

fn read(
    section: &'static str,
    key: &'static str,
    path: &str,
    secrets: &Secrets<'_>,
) -> Result<String, Fault> {
    let what = |error| format!("`{path}`: {error}; write the path of a readable file");
    (secrets.file)(path).map_err(|error| (section, key, what(error)))
}

/// Where peers reach the ports that are not those of `node.advertised`: the same host, and the port
/// that is listened at unless the operator names another place.
pub(super) fn advertised(file: &File) -> BTreeMap<Transport, String> {
    let host = file.node.advertised.rsplit_once(':').map_or("", |(host, _)| host);
    let at = |address: &str| {
        let port = address.rsplit_once(':').map(|(_, port)| port)?;
        Some(format!("{host}:{port}"))
    };
    let tls = file.node.advertised_tls.clone().or_else(|| at(&file.sip.tls));
    let (ws, wss) = (at(&file.sip.ws), at(&file.sip.wss));
    let all = [(Transport::Tls, tls), (Transport::Ws, ws), (Transport::Wss, wss)];
    all.into_iter().filter_map(|(by, place)| Some((by, place?))).collect()
}
