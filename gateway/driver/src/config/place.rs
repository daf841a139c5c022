//! Where in a TOML text something stands, for errors found after parsing.

/// The lines of a text; those inside of strings of several lines are empty, since what looks like a
/// table or a key there is none.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut open: Option<&str> = None;
    text.lines().map(move |line| {
        let inside = open.is_some();
        let mut rest = line;
        loop {
            let next = match open {
                Some(quote) => rest.find(quote).map(|at| (at, quote)),
                None => first_quote(rest),
            };
            let Some((at, quote)) = next else { break };
            open = if open.is_some() { None } else { Some(quote) };
            rest = &rest[at + quote.len()..];
        }
        if inside { "" } else { line }
    })
}

/// The first beginning of a string of several lines that no comment hides.
fn first_quote(line: &str) -> Option<(usize, &'static str)> {
    let found =
        ["\'\'\'", "\"\"\""].into_iter().filter_map(|quote| Some((line.find(quote)?, quote)));
    let comment = if line.trim_start().starts_with('#') { 0 } else { usize::MAX };
    found.min().filter(|(at, _)| *at < comment)
}

/// The line of `key` in the `nth` table named `section`, from 1; the table's own line if the key
/// is not written, and 1 if the table is not.
pub(super) fn of_key(text: &str, section: &str, nth: usize, key: &str) -> usize {
    let mut seen = 0;
    let mut found = None;
    for (index, line) in lines(text).enumerate() {
        if let Some(name) = table(line) {
            if name == section {
                seen += 1;
                if seen == nth + 1 {
                    found = Some(index + 1);
                }
            }
        } else if name_of(line) == Some(key) && found.is_some() && seen == nth + 1 {
            let inside = lines(text).take(index).filter_map(table).last() == Some(section);
            if inside {
                return index + 1;
            }
        }
    }
    found.unwrap_or(1)
}

/// The line of an offset, and the `section.key` that it lies in.
pub(super) fn of_offset(text: &str, offset: usize) -> (usize, String) {
    let before = text.get(..offset).unwrap_or(text);
    // What is missing at the very end is missing in the last line.
    let line = (before.matches('\n').count() + 1).min(text.lines().count().max(1));
    let upto = || lines(text).take(line);
    let is_header = upto().last().is_some_and(|line| line.trim_start().starts_with('['));
    if is_header && upto().last().and_then(table).is_none() {
        return (line, String::new());
    }
    let section = upto().filter_map(table).last();
    let key = upto().last().and_then(name_of);
    let parts: Vec<_> = section.into_iter().chain(key).collect();
    (line, parts.join("."))
}

/// The text with the lines of the table at this offset left empty.
pub(super) fn without_table(text: &str, offset: usize) -> String {
    let (line, _) = of_offset(text, offset);
    let lines = text.lines().enumerate();
    let end = self::lines(text).enumerate().skip(line).find(|(_, line)| table(line).is_some());
    let end = end.map_or(usize::MAX, |(index, _)| index);
    let kept = lines.map(|(at, one)| if (line - 1..end).contains(&at) { "" } else { one });
    kept.collect::<Vec<_>>().join("\n")
}

fn table(line: &str) -> Option<&str> {
    let line = line.split('#').next()?.trim();
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let inner = inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(inner);
    Some(inner.trim())
}

fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    (!name.is_empty() && !name.starts_with('#')).then_some(name)
}
