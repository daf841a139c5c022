//! TOML with mistakes in it. The parser goes on after a mistake, but may leave the rest of the file
//! out and may take what follows for mistakes too. Without the line that broke it the rest reads.

use toml::de::{DeTable, Error};

/// So many broken lines are left out, one after the other.
const LINES_MAX: usize = 16;

/// The mistakes of a file, and the file without the lines that have them: spaces stand there, so
/// that all else keeps its place. If that alone does not make it sound, the file stays as it is and
/// all mistakes count that the parser tells of.
pub(super) fn mistakes(text: &str) -> (Vec<Error>, String) {
    let mut left = text.to_owned();
    let mut found = Vec::new();
    for _ in 0..=LINES_MAX {
        let (_, errors) = DeTable::parse_recoverable(&left);
        let Some(first) = errors.iter().map(|e| start(e, text)).min() else { return (found, left) };
        let (begin, end) = line(&left, first);
        if left[begin..end].trim().is_empty() {
            break;
        }
        found.extend(errors.into_iter().filter(|e| (begin..=end).contains(&start(e, text))));
        left.replace_range(begin..end, &" ".repeat(end - begin));
    }
    (DeTable::parse_recoverable(text).1, text.to_owned())
}

/// Where a mistake begins; the end of the text if the parser does not say.
fn start(error: &Error, text: &str) -> usize {
    error.span().map_or(text.len(), |span| span.start.min(text.len()))
}

/// Where the line of a place begins and ends.
fn line(text: &str, at: usize) -> (usize, usize) {
    let at = at.min(text.len());
    let bytes = text.as_bytes();
    let begin = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let end = bytes[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |n| at + n);
    (begin, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let (errors, left) = mistakes(text);
        assert_eq!(left.len(), text.len());
        errors.iter().map(|e| text[..start(e, text)].matches('\n').count() + 1).collect()
    }

    #[test]
    fn each_broken_line_counts_and_no_other() {
        assert_eq!(lines("a = 1\n"), [] as [usize; 0]);
        assert_eq!(lines("a = 1\nb c\nd = 2\ne = f\n[g]\nh 1\n"), [2, 4, 6]);
        assert_eq!(lines("a = [\n  { b = \"c },\n  { b = 1 },\n]\nd = é\n"), [2, 5]);
    }

    #[test]
    fn the_rest_keeps_its_place() {
        let (_, left) = mistakes("a = é\nb = 1\n");
        assert_eq!(left, "      \nb = 1\n");
    }

    #[test]
    fn what_does_not_become_sound_stays_as_it_is() {
        let many = "x y\n".repeat(40);
        assert_eq!(mistakes(&many).1, many);
        assert!(!mistakes(&many).0.is_empty());
    }
}
