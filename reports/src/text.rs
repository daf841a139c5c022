//! Text from peers made safe to show, and laid out in columns.

/// `text` in printable ASCII on one line. Whatever else it holds (control characters, escape
/// sequences, characters that turn the writing direction or look like others) is written as its
/// number, so that it can neither act on a terminal nor hide.
pub(crate) fn ascii(text: &str) -> String {
    escaped(text, |c| c == ' ' || c.is_ascii_graphic())
}

/// `text` with every character that XML forbids, or that acts instead of showing, written as its
/// number. Line breaks stay.
pub(crate) fn xml(text: &str) -> String {
    escaped(text, |c| c == '\n' || !(c.is_control() || acts(c)))
}

fn escaped(text: &str, fine: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if fine(c) => out.push(c),
            '\t' => out.push(' '),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// True for characters that have no shape of their own, and for those that are no characters.
fn acts(c: char) -> bool {
    let number = u32::from(c);
    number & 0xfffe == 0xfffe
        || matches!(number, 0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e)
        || matches!(number, 0x2060..=0x206f | 0xfdd0..=0xfdef | 0xfeff | 0xfff9..=0xfffb)
        || matches!(number, 0xe0000..=0xe007f)
}

/// The first `width` characters; two points stand for what is cut.
pub(crate) fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(2)).collect();
    let points = ".".repeat(width.min(2));
    format!("{kept}{points}")
}

/// `text` in lines of at most `width` characters, broken at spaces where there are some.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let (mut lines, mut line, mut length) = (Vec::new(), String::new(), 0);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + rest.len() > width {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        while rest.len() > width {
            lines.push(rest.drain(..width).collect());
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        length += rest.len();
        line.extend(rest);
    }
    if length > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// `1 case`, `2 cases`.
pub(crate) fn count(number: usize, one: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {one}{end}")
}

/// Microseconds as seconds with three decimals, rounded down.
pub(crate) fn seconds(us: u64) -> String {
    format!("{}.{:03}", us / 1_000_000, us / 1_000 % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_as_its_number() {
        assert_eq!(ascii("a\u{1b}[31mb\u{202e}c\r\nd\u{9b}"), r"a\u{1b}[31mb\u{202e}c\r\nd\u{9b}");
        assert_eq!(xml("a\u{fffe}\0\u{e9}\n]]>"), "a\\u{fffe}\\u{0}\u{e9}\n]]>");
        assert_eq!(xml("\u{1fffe}\u{feff}"), r"\u{1fffe}\u{feff}");
    }

    #[test]
    fn no_line_is_wider_than_asked_and_no_word_is_lost() {
        let text = "one two three abcdefghijklmnop four";
        for width in 1..40 {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| line.len() <= width), "{width}: {lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }

    #[test]
    fn what_is_cut_is_seen_to_be_cut() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdef", 5), "abc..");
        assert_eq!(clip("abcdef", 1), ".");
    }
}
