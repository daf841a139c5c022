//! A reader over one header value, and the character classes of RFC 3261 25.1.

use super::malformed::Malformed;

pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    rule: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, rule: &'static str) -> Self {
        Self { text, at: 0, rule }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn fault(&self, what: impl Into<String>) -> Malformed {
        Malformed::new(self.rule, self.at, what)
    }

    /// Skips LWS and says whether there was any. Folds are single spaces by now.
    pub(super) fn skip_blank(&mut self) -> bool {
        !self.take_while(|byte| byte == b' ' || byte == b'\t').is_empty()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Takes the longest run of bytes for which `keep` holds. `keep` must treat all non-ASCII bytes
    /// alike, or the run could end inside a character.
    pub(super) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a str {
        let tail = &self.text.as_bytes()[self.at..];
        let length = tail.iter().position(|byte| !keep(*byte)).unwrap_or(tail.len());
        let taken = &self.text[self.at..self.at + length];
        self.at += length;
        taken
    }

    pub(super) fn token(&mut self) -> &'a str {
        self.take_while(is_token_byte)
    }

    pub(super) fn digits(&mut self) -> &'a str {
        self.take_while(|byte| byte.is_ascii_digit())
    }

    /// Reads a quoted string whose opening quote is next; the result has its escapes resolved.
    pub(super) fn quoted(&mut self) -> Result<String, Malformed> {
        let open = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            out.push_str(self.take_while(|byte| byte != b'"' && byte != b'\\'));
            if self.eat(b'"') {
                return Ok(out);
            }
            self.at += 1;
            let Some(escaped) = self.text.get(self.at..).and_then(|tail| tail.chars().next())
            else {
                self.at = open;
                let what = "quoted string never ends; close it with `\"`";
                return Err(Malformed::new("RFC 3261 25.1", open, what));
            };
            out.push(escaped);
            self.at += escaped.len_utf8();
        }
    }
}

/// Writes `text` as a quoted string.
pub(super) fn quote(text: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    use std::fmt::Write as _;
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}

/// Splits a list at its commas, leaving quoted strings and `<>` whole; yields offset and item.
pub(super) fn split_list(text: &str) -> ListItems<'_> {
    ListItems { text, at: 0, done: false }
}

pub(super) struct ListItems<'a> {
    text: &'a str,
    at: usize,
    done: bool,
}

impl<'a> Iterator for ListItems<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let from = self.at;
        let length = item_length(&self.text.as_bytes()[from..]);
        self.at = from + length + 1;
        self.done = self.at > self.text.len();
        let item = &self.text[from..from + length];
        let lead = item.len() - item.trim_start().len();
        Some((from + lead, item.trim()))
    }
}

fn item_length(bytes: &[u8]) -> usize {
    let (mut quoted, mut angled, mut at) = (false, false, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' if !angled => quoted = !quoted,
            b'<' if !quoted => angled = true,
            b'>' if !quoted => angled = false,
            b',' if !quoted && !angled => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
