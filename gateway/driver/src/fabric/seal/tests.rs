//! One record: what opens it, and that nothing else does.

use std::collections::BTreeSet;

use super::*;

const RECORD: &[u8] = b"{\"token\":\"a device's own\"}";
const HERE: Place<'_> = Place { kind: "call", session: "s1", subsession: "a" };

fn sealer(keys: &[SealKey], takes_clear: bool) -> Sealer {
    Sealer::new(keys.to_vec(), takes_clear, reveille_host::real::host().entropy)
}

fn refusal(sealer: &mut Sealer, place: Place<'_>, bytes: &[u8]) -> String {
    sealer.open(place, bytes).expect_err("refused").to_string()
}

#[test]
fn a_record_opens_at_its_place_and_at_no_other() {
    let keys = [test_key("one", 1)];
    let bytes = sealer(&keys, false).seal(HERE, RECORD);
    assert!(!bytes.windows(8).any(|part| RECORD.windows(8).any(|clear| clear == part)));
    let mut other = sealer(&keys, false);
    assert_eq!(other.open(HERE, &bytes), Ok(RECORD.to_vec()), "another process opens it");
    for elsewhere in [
        Place { kind: "message", ..HERE },
        Place { session: "s2", ..HERE },
        Place { subsession: "b", ..HERE },
        // The same letters, divided in another way.
        Place { session: "s", subsession: "1a", ..HERE },
        Place { kind: "calls", session: "1", subsession: "a" },
    ] {
        let said = refusal(&mut other, elsewhere, &bytes);
        let begin = format!("{elsewhere}: its seal by key `one` does not open: it was cut, ");
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.ends_with("put back that key, or the last sound copy of the file"), "{said}");
    }
}

#[test]
fn a_record_that_is_cut_or_changed_anywhere_is_refused() {
    let mut sealer = sealer(&[test_key("one", 1), test_key("two", 2)], false);
    let bytes = sealer.seal(HERE, RECORD);
    for length in 0..bytes.len() {
        let said = refusal(&mut sealer, HERE, &bytes[..length]);
        assert!(said.starts_with("the call record `a` of session `s1`: its seal "), "{said}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(sealer.open(HERE, &changed).is_err(), "byte {at}, bit {bit}");
        }
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(sealer.open(HERE, &longer).is_err());
}

#[test]
fn all_keys_open_the_first_seals_and_an_unknown_one_is_named() {
    let (old, new) = (test_key("2026-05", 1), test_key("2026-11", 2));
    let bytes = sealer(std::slice::from_ref(&old), false).seal(HERE, RECORD);
    let mut both = sealer(&[new.clone(), old], false);
    assert_eq!(both.open(HERE, &bytes), Ok(RECORD.to_vec()));
    assert!(both.is_stale(&bytes) && both.is_stale(RECORD));
    let anew = both.seal(HERE, RECORD);
    assert!(!both.is_stale(&anew));
    let mut only = sealer(&[new], false);
    assert_eq!(only.open(HERE, &anew), Ok(RECORD.to_vec()));
    assert_eq!(
        refusal(&mut only, HERE, &bytes),
        "the call record `a` of session `s1` is sealed by key `2026-05`, which is not among the \
            keys here (`2026-11`); write it into fabric.keys again, behind the first"
    );
    let said = refusal(&mut sealer(&[test_key("2026-05", 3)], false), HERE, &bytes);
    assert!(said.contains("its seal by key `2026-05` does not open"), "{said}");
    let said = refusal(&mut sealer(&[], true), HERE, &bytes);
    assert!(said.contains("is not among the keys here (none)"), "{said}");
}

#[test]
fn a_record_in_clear_is_taken_only_if_that_is_allowed() {
    let keys = [test_key("one", 1)];
    assert_eq!(sealer(&keys, true).open(HERE, RECORD), Ok(RECORD.to_vec()));
    let said = refusal(&mut sealer(&keys, false), HERE, RECORD);
    assert!(said.contains("is in clear, and only sealed records are taken; write clear"), "{said}");
    assert_eq!(sealer(&[], true).seal(HERE, RECORD), RECORD, "without keys nothing is sealed");
}

#[test]
fn no_nonce_comes_twice_under_one_salt_and_each_process_has_its_own() {
    let keys = [test_key("one", 1)];
    let (mut nonces, mut salts) = (BTreeSet::new(), BTreeSet::new());
    for _process in 0..2 {
        let mut sealer = sealer(&keys, false);
        for _ in 0..3 * NONCES {
            let bytes = sealer.seal(HERE, RECORD);
            let parts = Parts::read(&bytes).expect("sealed");
            nonces.insert(parts.nonce);
            salts.insert(parts.salt);
        }
        sealer.left = 0;
        let bytes = sealer.seal(HERE, RECORD);
        salts.insert(Parts::read(&bytes).expect("sealed").salt);
    }
    assert_eq!((nonces.len(), salts.len()), (6 * NONCES, 4));
}

#[test]
fn keys_that_are_none_are_refused_with_what_to_write() {
    let drawn = SealKey::draw(&*reveille_host::real::host().entropy);
    assert!(SealKey::read("2026-11", &format!(" {drawn}\r\n")).is_ok());
    assert_ne!(drawn, SealKey::draw(&*reveille_host::real::host().entropy));
    for (id, text, begin) in [
        ("", drawn.as_str(), "``: no id of a key; write 1 to 32 letters"),
        ("a b", &drawn, "`a b`: no id of a key"),
        (&"x".repeat(33), &drawn, "`xxx"),
        ("a", "", "`a`: no key; write 32 bytes in base64, as `reveille serve gateway --new-key`"),
        ("a", &drawn[4..], "`a`: no key"),
        ("a", "sesame", "`a`: no key"),
    ] {
        let said = SealKey::read(id, text).expect_err("refused");
        assert!(said.starts_with(begin), "{said}");
    }
    let key = SealKey::read("a", &drawn).expect("a key");
    assert!(!format!("{key:?}").contains(&format!("{:?}", key.secret())), "it shows nothing");
}
