//! The body of a message-summary (RFC 3842 section 5) as members of a payload.

use serde_json::{Map, Value};

/// Message classes of RFC 3842 section 5.2.
const CLASSES: [&str; 6] =
    ["voice-message", "fax-message", "pager-message", "multimedia-message", "text-message", "none"];

/// `messages_waiting` yes or no, `message_account`, and for each class its counts as
/// `new/old(urgent new/urgent old)`. `None` if the body does not say whether messages wait. What
/// follows the first empty line is about single messages and is left out.
pub(crate) fn read(body: &str) -> Option<Map<String, Value>> {
    let mut payload = Map::new();
    for line in body.lines().take_while(|line| !line.trim().is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "messages-waiting" => {
                let waiting = value.to_ascii_lowercase();
                let known = matches!(waiting.as_str(), "yes" | "no");
                known.then(|| payload.insert("messages_waiting".to_owned(), waiting.into()));
            }
            "message-account" => {
                payload.insert("message_account".to_owned(), value.into());
            }
            class if CLASSES.contains(&class) => {
                if let Some(counts) = counts(value) {
                    payload.insert(class.replace('-', "_"), counts.into());
                }
            }
            _ => {}
        }
    }
    payload.contains_key("messages_waiting").then_some(payload)
}

/// `2/8 (0/2)` or `2/8`, which has no urgent ones.
fn counts(value: &str) -> Option<String> {
    let pair = |text: &str| {
        let (new, old) = text.trim().split_once('/')?;
        Some((new.trim().parse::<u32>().ok()?, old.trim().parse::<u32>().ok()?))
    };
    let (all, urgent) = match value.split_once('(') {
        Some((all, urgent)) => (pair(all)?, pair(urgent.trim_end().strip_suffix(')')?)?),
        None => (pair(value)?, (0, 0)),
    };
    Some(format!("{}/{}({}/{})", all.0, all.1, urgent.0, urgent.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_and_the_rest_is_left_out() {
        let body = "Messages-Waiting: Yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n\
            Voice-Message: 4/8 (1/2)\r\nFax-Message: 0/1\r\nText-Message: many\r\nX: y\r\n\r\n\
            Voice-Message: 9/9\r\n";
        let payload = Value::Object(read(body).expect("a summary"));
        let wanted = serde_json::json!({"messages_waiting": "yes",
            "message_account": "sip:alice@vmail.example.com",
            "voice_message": "4/8(1/2)", "fax_message": "0/1(0/0)"});
        assert_eq!(payload, wanted);
    }

    #[test]
    fn what_is_no_summary_gives_none() {
        for body in ["", "Voice-Message: 1/1\r\n", "Messages-Waiting: perhaps\r\n", "{}"] {
            assert_eq!(read(body), None, "{body}");
        }
        assert_eq!(counts("1/2 (3"), None);
    }
}
