use super::malformed::Malformed;

/// One header field as it came or was built: its raw lines, and where name and value are in them.
#[derive(Debug, Clone)]
pub(super) struct Header {
    raw: Vec<u8>,
    name_len: usize,
    value: (usize, usize),
    /// The value in one line, where the raw one is folded or is no UTF-8.
    view: Option<String>,
    /// Where the field began in the message it was read from.
    pub(super) offset: usize,
}

/// Long names by their compact forms (RFC 3261 section 7.3.3 and the registry of header fields).
const COMPACT: &[(u8, &str)] = &[
    (b'a', "Accept-Contact"),
    (b'b', "Referred-By"),
    (b'c', "Content-Type"),
    (b'd', "Request-Disposition"),
    (b'e', "Content-Encoding"),
    (b'f', "From"),
    (b'i', "Call-ID"),
    (b'j', "Reject-Contact"),
    (b'k', "Supported"),
    (b'l', "Content-Length"),
    (b'm', "Contact"),
    (b'o', "Event"),
    (b'r', "Refer-To"),
    (b's', "Subject"),
    (b't', "To"),
    (b'u', "Allow-Events"),
    (b'v', "Via"),
    (b'x', "Session-Expires"),
];

fn long_name(name: &[u8]) -> &[u8] {
    let [letter] = name else { return name };
    let letter = letter.to_ascii_lowercase();
    COMPACT.iter().find(|(short, _)| *short == letter).map_or(name, |(_, long)| long.as_bytes())
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl Header {
    /// A field of our own. Line breaks in the value would begin another field; they become blanks.
    pub(super) fn new(name: &str, value: &str) -> Self {
        let mut raw = Vec::with_capacity(name.len() + value.len() + 4);
        raw.extend_from_slice(name.as_bytes());
        raw.extend_from_slice(b": ");
        raw.extend(
            value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }),
        );
        raw.extend_from_slice(b"\r\n");
        let start = name.len() + 2;
        Self {
            name_len: name.len(),
            value: (start, start + value.len()),
            raw,
            view: None,
            offset: 0,
        }
    }

    /// Reads the raw lines of one field, its line breaks included.
    pub(super) fn read(raw: &[u8], offset: usize) -> Result<Self, Malformed> {
        let colon = raw.iter().position(|byte| *byte == b':').ok_or_else(|| {
            Malformed::new("RFC 3261 7.3.1", offset, "a line without a colon; write `Name: value`")
        })?;
        let name_len =
            raw[..colon].iter().rposition(|byte| !is_blank(*byte)).map_or(0, |at| at + 1);
        if name_len == 0 || !raw[..name_len].iter().all(|b| super::cursor::is_token_byte(*b)) {
            let what = "a header name must be a token; write letters, digits and -.!%*_+`'~";
            return Err(Malformed::new("RFC 3261 25.1", offset, what));
        }
        let tail = &raw[colon + 1..];
        let from = tail.iter().position(|byte| !is_blank(*byte)).unwrap_or(tail.len());
        let to = tail.iter().rposition(|byte| !is_blank(*byte)).map_or(from, |at| at + 1);
        let value = (colon + 1 + from, colon + 1 + to);
        let view = view(&raw[value.0..value.1]);
        Ok(Self { raw: raw.to_vec(), name_len, value, view, offset })
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn is(&self, name: &str) -> bool {
        let own = &self.raw[..self.name_len];
        if own.len() != 1 && name.len() != 1 {
            return own.eq_ignore_ascii_case(name.as_bytes());
        }
        long_name(own).eq_ignore_ascii_case(long_name(name.as_bytes()))
    }

    /// The value in one line; bytes that are no UTF-8 show as U+FFFD.
    pub(super) fn value(&self) -> &str {
        match &self.view {
            Some(view) => view,
            None => std::str::from_utf8(&self.raw[self.value.0..self.value.1]).unwrap_or_default(),
        }
    }

    /// Offset of the value in the message.
    pub(super) const fn value_offset(&self) -> usize {
        self.offset + self.value.0
    }

    /// The octet of the raw value behind octet `at` of the value in one line.
    pub(super) fn raw_place(&self, at: usize) -> usize {
        let raw = &self.raw[self.value.0..self.value.1];
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let (mut begin, mut left) = (0, at);
        for line in text.split("\r\n") {
            let shown = line.trim().len();
            if left <= shown {
                return begin + (line.len() - line.trim_start().len()) + left;
            }
            left -= shown + 1;
            begin += line.len() + 2;
        }
        raw.len().min(at)
    }

    /// True if the raw value cannot be shown as it is.
    pub(super) fn is_utf8(&self) -> bool {
        std::str::from_utf8(&self.raw[self.value.0..self.value.1]).is_ok()
    }
}

fn view(raw: &[u8]) -> Option<String> {
    let folded = raw.contains(&b'\n');
    match std::str::from_utf8(raw) {
        Ok(_) if !folded => None,
        _ => {
            let text = String::from_utf8_lossy(raw);
            let lines: Vec<_> = text.split("\r\n").map(str::trim).collect();
            Some(lines.join(" "))
        }
    }
}
