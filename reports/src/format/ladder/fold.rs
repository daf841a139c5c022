//! Rows that say the same are one row, and what is left out is counted.

use std::collections::BTreeMap;

use super::label::{self, Label};
use super::row::{Mark, Row};
use crate::text::count;

/// A silence longer than this has its own row.
const IDLE_US: u64 = 1_000_000;
/// A shorter exchange is not worth folding.
const REFRESH: usize = 3;

/// The same message again, with nothing between, is counted instead of drawn.
pub(super) fn repetitions(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut kept: Vec<Row<'_>> = Vec::new();
    for row in rows {
        match kept.last_mut() {
            Some(last)
                if !row.bytes.is_empty() && last.bytes == row.bytes && last.mark == row.mark =>
            {
                last.times += 1;
                last.last_us = row.t_us;
                last.seqs.extend(row.seqs);
            }
            _ => kept.push(row),
        }
    }
    kept
}

/// Pings and pongs with nothing between are one row.
pub(super) fn keep_alives(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let kept_alive = |row: &Row<'_>| {
        let arrived = matches!(row.mark, Mark::Arrow { lost: false, .. });
        arrived && label::is_keep_alive(row.bytes)
    };
    let mut kept: Vec<Row<'_>> = Vec::new();
    for row in rows {
        match kept.last_mut() {
            Some(last) if kept_alive(last) && kept_alive(&row) => {
                last.times += row.times;
                last.last_us = row.last_us;
                last.seqs.extend(row.seqs);
                if let Mark::Arrow { label, .. } = &mut last.mark {
                    *label = Label::plain("ping, pong");
                }
            }
            _ => kept.push(row),
        }
    }
    kept
}

/// A registration again, with nothing gone up or down since the last one, is one row if it went well.
pub(super) fn refreshes(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut kept: Vec<Row<'_>> = Vec::new();
    let mut run: Vec<Row<'_>> = Vec::new();
    let mut seen = false;
    for row in rows {
        let lost = matches!(row.mark, Mark::Arrow { lost: true, .. });
        if row.registers && !lost {
            run.push(row);
            continue;
        }
        close(&mut run, &mut kept, &mut seen);
        // What registers after a crash or a new socket is no refresh.
        seen &= row.turns.is_none();
        kept.push(row);
    }
    close(&mut run, &mut kept, &mut seen);
    kept
}

fn close<'a>(run: &mut Vec<Row<'a>>, kept: &mut Vec<Row<'a>>, seen: &mut bool) {
    if run.is_empty() {
        return;
    }
    let first_time = !std::mem::replace(seen, true);
    if first_time || run.len() < REFRESH {
        return kept.append(run);
    }
    let messages: usize = run.iter().map(|row| row.times).sum();
    let mut whole = run[0].clone();
    whole.last_us = run[run.len() - 1].last_us;
    whole.seqs = run.iter().flat_map(|row| row.seqs.iter().copied()).collect();
    (whole.bytes, whole.times) = (&[], 1);
    if let Mark::Arrow { label, .. } = &mut whole.mark {
        let short = format!("REGISTER +{}", messages - 1);
        *label = Label::new(&format!("REGISTER ({messages} messages)"), &short);
    }
    run.clear();
    kept.push(whole);
}

/// Puts a row where nothing happened for long.
pub(super) fn silences(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut kept: Vec<Row<'_>> = Vec::new();
    let mut last_us = None;
    for row in rows {
        if let Some(us) = last_us.map(|last| row.t_us.saturating_sub(last))
            && us > IDLE_US
        {
            kept.push(Row::aside(row.t_us - us, Mark::Idle { us }));
        }
        last_us = Some(row.last_us.max(last_us.unwrap_or(0)));
        kept.push(row);
    }
    kept
}

/// At most `most` rows: the beginning and the end stay, and the middle says what it was.
pub(super) fn middle(rows: Vec<Row<'_>>, most: usize) -> Vec<Row<'_>> {
    if rows.len() <= most {
        return rows;
    }
    let head = most * 5 / 8;
    let tail = rows.len() - (most - head - 1);
    let text = format!("{}: {}", count(tail - head, "row"), tally(&rows[head..tail]));
    let remark = Row::aside(rows[head].t_us, Mark::Remark { text: format!("folded {text}") });
    let mut kept = rows[..head].to_vec();
    // A lane that went up or down in the fold is so after it.
    kept.extend(rows[head..tail].iter().filter(|row| row.turns.is_some()).map(silent));
    kept.push(remark);
    kept.extend_from_slice(&rows[tail..]);
    kept
}

/// A row that only turns its lane, and is not painted.
fn silent<'a>(row: &Row<'a>) -> Row<'a> {
    Row { turns: row.turns, ..Row::aside(row.t_us, Mark::Remark { text: String::new() }) }
}

/// The `rows` rows around the one that shows event `seq`, or around the last one before it.
pub(super) fn around(rows: Vec<Row<'_>>, seq: Option<u64>, most: usize) -> Vec<Row<'_>> {
    if rows.len() <= most {
        return rows;
    }
    let at = seq.and_then(|seq| place(&rows, seq)).unwrap_or(rows.len() - 1);
    // What led to an event says more than what followed.
    let before = most * 2 / 3;
    let first = at.saturating_sub(before).min(rows.len() - most);
    let last = first + most;
    let remark = |count_: usize, t_us: u64, word: &str| {
        let text = format!("{} {word}", count(count_, "row"));
        (count_ > 0).then(|| Row::aside(t_us, Mark::Remark { text }))
    };
    let mut kept: Vec<Row<'_>> =
        rows[..first].iter().filter(|r| r.turns.is_some()).map(silent).collect();
    kept.extend(remark(first, rows[0].t_us, "before"));
    kept.extend_from_slice(&rows[first..last]);
    kept.extend(remark(rows.len() - last, rows[last - 1].t_us, "after"));
    kept
}

/// The row that shows event `seq`; where none does, the last row that begins before it.
pub(super) fn place(rows: &[Row<'_>], seq: u64) -> Option<usize> {
    let shows = rows.iter().position(|row| row.seqs.contains(&seq));
    shows.or_else(|| rows.iter().rposition(|row| row.seqs.first().is_some_and(|s| *s < seq)))
}

fn tally(rows: &[Row<'_>]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.name()).or_default() += row.times;
    }
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by_key(|(name, number)| (std::cmp::Reverse(*number), *name));
    let shown: Vec<_> = order.iter().take(6).map(|(name, n)| format!("{n} {name}")).collect();
    let rest: usize = order.iter().skip(6).map(|(_, number)| number).sum();
    let rest = if rest > 0 { format!(", {rest} others") } else { String::new() };
    shown.join(", ") + &rest
}
