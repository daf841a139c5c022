//! The part of a target behind `?`, and how text stands in a target (RFC 3986 section 2.1).

use reveille_gateway_core::survey::{Filter, State};

use super::problem::Problem;

/// Items of a page: if none is said, and at most.
const LIMIT: (usize, usize) = (100, 1_000);
/// The longest value.
const MOST_VALUE: usize = 512;

/// What a list is asked for.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) limit: usize,
    pub(super) cursor: Option<String>,
    pub(super) filter: Filter,
}

/// Reads a query that may have these parameters.
pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Query, Problem> {
    let mut read = Query { limit: LIMIT.0, ..Query::default() };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) {
            let name: String = name.chars().take(40).collect();
            let known = match known {
                [] => "this path takes none".to_owned(),
                known => format!("write one of: {}", known.join(", ")),
            };
            return Err(Problem::bad(format!("there is no parameter `{name}`; {known}")));
        }
        let value = decoded(value).filter(|value| value.len() <= MOST_VALUE).ok_or_else(|| {
            let what =
                "is no UTF-8 in percent-encoding of at most 512 bytes; encode it like bob%40x";
            Problem::bad(format!("the value of `{name}` {what}"))
        })?;
        match name {
            "limit" => read.limit = limit(&value)?,
            "cursor" => read.cursor = Some(value),
            "user" => read.filter.user = Some(value),
            "app" => read.filter.app = Some(value),
            _ => read.filter.state = Some(state(&value)?),
        }
    }
    Ok(read)
}

fn limit(value: &str) -> Result<usize, Problem> {
    let number = value.parse().ok().filter(|limit| (1..=LIMIT.1).contains(limit));
    number.ok_or_else(|| {
        Problem::bad(format!("`limit` is no number of items; write 1 to {}", LIMIT.1))
    })
}

fn state(value: &str) -> Result<State, Problem> {
    State::named(value).ok_or_else(|| {
        let names = State::ALL.map(State::text).join(", ");
        Problem::bad(format!("there is no such `state`; write one of: {names}"))
    })
}

/// Text in percent-encoding; `+` is itself.
pub(super) fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["limit", "cursor", "user", "app", "state"];

    #[test]
    fn a_query_is_read_or_refused_with_what_to_write() {
        let query = read(Some("limit=7&user=b%C3%B6b%40x&state=hibernated&cursor=a+b"), KNOWN);
        let query = query.expect("sound");
        assert_eq!((query.limit, query.filter.user.as_deref()), (7, Some("böb@x")));
        assert_eq!(query.filter.state, Some(State::Hibernated));
        assert_eq!(query.cursor.as_deref(), Some("a+b"));
        assert_eq!(read(None, KNOWN).expect("sound").limit, 100);
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "state=asleep",
            "usr=bob",
            "user=%4",
            "user=%+1",
            "user=%ff",
        ] {
            assert!(read(Some(bad), KNOWN).is_err(), "{bad}");
        }
        let long = format!("user={}", "x".repeat(513));
        assert!(read(Some(&long), KNOWN).is_err());
        assert!(read(Some("user=bob"), &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_query_panics(text in "[a-z%=&+é0-9]{0,40}") {
            let _any: bool = read(Some(&text), KNOWN).is_ok();
        }
    }
}
