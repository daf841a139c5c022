//! A plain webhook: one JSON object with token, session, application and payload.

use serde_json::Value;

/// What a push request must say.
pub(super) struct Wanted {
    pub(super) token: String,
    pub(super) session: String,
    pub(super) payload: String,
}

/// Reads a request's body.
///
/// # Errors
/// The member that is missing or of another type, and what to write.
pub(super) fn read(body: &[u8]) -> Result<Wanted, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the body is no JSON: {error}; send one JSON object\n"))?;
    let text = |name: &str| match value.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(_) => Err(format!("`{name}` is no text; send a string that is not empty\n")),
        None => Err(format!("`{name}` is missing; send it as a string\n")),
    };
    let (session, _) = (text("session_id")?, text("application")?);
    let payload = match value.get("payload") {
        Some(payload @ Value::Object(_)) => payload.to_string(),
        Some(_) => return Err("`payload` is no object; send a JSON object\n".to_owned()),
        None => return Err("`payload` is missing; send a JSON object\n".to_owned()),
    };
    Ok(Wanted { token: text("token")?, session, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let without = |name: &str| {
            let mut value: Value = serde_json::from_str(super::super::tests::GOOD).unwrap();
            value.as_object_mut().unwrap().remove(name);
            read(value.to_string().as_bytes()).err().unwrap()
        };
        for name in ["session_id", "application", "token", "payload"] {
            assert!(without(name).contains(name));
        }
    }
}
