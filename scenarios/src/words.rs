//! The wording of messages: what a reader wrote, what could have been meant, what there is.

/// Longer words are cut in messages and get no suggestion.
const WORD_MAX: usize = 64;

/// So many words are listed.
const LISTED_MAX: usize = 32;

/// Among so many words the nearest one is sought.
const SOUGHT_MAX: usize = 200;

/// A word as messages show it: in backticks, cut, and with controls made visible.
pub(crate) fn quoted(word: &str) -> String {
    if word.is_empty() {
        return "`\"\"`".to_owned();
    }
    let escaped = word.chars().take(WORD_MAX).flat_map(|c| {
        let shown = if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        shown.chars().collect::<Vec<_>>()
    });
    let cut = if word.chars().nth(WORD_MAX).is_some() { "…" } else { "" };
    format!("`{}{cut}`", escaped.collect::<String>())
}

/// `a`, `b` or `c`, in backticks; `last` is the word before the last one.
pub(crate) fn listed<'w>(words: impl IntoIterator<Item = &'w str>, last: &str) -> String {
    let mut rest = words.into_iter();
    let mut words: Vec<_> = rest.by_ref().take(LISTED_MAX).map(quoted).collect();
    let more = rest.count();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    let Some(end) = words.pop() else { return "nothing".to_owned() };
    if words.is_empty() { end } else { format!("{} {last} {end}", words.join(", ")) }
}

/// Which of the known words is so near to this one that it was likely meant.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let length = word.chars().count();
    if length == 0 || length > WORD_MAX {
        return None;
    }
    let known = known.into_iter().take(SOUGHT_MAX);
    let near = known.map(|k| (distance(word, k), k)).min_by_key(|(d, _)| *d);
    near.filter(|(d, _)| *d <= length.div_ceil(3)).map(|(_, k)| k)
}

/// A help line: the likely word first, then what there is.
pub(crate) fn suggest(word: &str, known: &[&str], there_is: &str) -> String {
    let all = format!("{there_is} {}", listed(known.iter().copied(), "and"));
    match nearest(word, known.iter().copied()) {
        Some(likely) => format!("did you mean `{likely}`? {all}"),
        None => all,
    }
}

/// How many characters are to be put in, taken out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_one_step() {
        assert_eq!(distance("alcie", "alice"), 1);
        assert_eq!(distance("slep", "sleep"), 1);
        assert_eq!(distance("", "bob"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn what_is_far_is_not_suggested() {
        assert_eq!(nearest("alcie", ["bob", "alice"]), Some("alice"));
        assert_eq!(nearest("zoe", ["bob", "alice"]), None);
        assert_eq!(nearest("", ["bob"]), None);
        assert_eq!(nearest(&"a".repeat(5000), ["aaa"]), None);
    }

    #[test]
    fn words_are_cut_and_made_visible() {
        assert_eq!(quoted("a\nb"), "`a\\nb`");
        assert_eq!(quoted(&"x".repeat(80)), format!("`{}…`", "x".repeat(64)));
        assert_eq!(listed(["a", "b", "c"], "or"), "`a`, `b` or `c`");
        assert!(listed(["a"; 42], "and").ends_with("`a` and 10 more"));
    }
}
