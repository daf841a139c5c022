//! Keys for tests; see `tests/keys/README.md`.

pub(crate) const P256: &str = include_str!("../../tests/keys/p256.pem");
pub(crate) const RSA: &str = include_str!("../../tests/keys/rsa.pem");
pub(crate) const CERTIFICATE: &str = include_str!("../../tests/keys/certificate.pem");

/// A service account as Google hands it out.
pub(crate) fn service_account(token_uri: &str) -> String {
    let account = serde_json::json!({
        "type": "service_account", "project_id": "project-1", "private_key_id": "key-1",
        "private_key": RSA, "client_email": "push@project-1.example", "token_uri": token_uri,
    });
    account.to_string()
}

/// The public half of the P-256 key.
pub(crate) const P256_PUBLIC: &str = include_str!("../../tests/keys/p256-public.pem");
