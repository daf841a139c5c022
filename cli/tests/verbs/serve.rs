//! What `reveille serve` prints without serving.

use crate::reveille;

#[test]
fn a_key_is_printed_fresh_each_time_and_for_a_gateway_only() {
    let place = tempfile::tempdir().expect("a folder");
    let key = || reveille(place.path(), &["serve", "gateway", "--new-key"]);
    let (first, second) = (key(), key());
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    assert_eq!((first.out.len(), first.out.ends_with("=\n")), (45, true), "32 bytes in base64");
    assert_ne!(first.out, second.out);
    let said = reveille(place.path(), &["serve", "phone", "--new-key"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("--new-key is for `serve gateway`"), "{}", said.err);
}
