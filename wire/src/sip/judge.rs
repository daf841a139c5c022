use super::bounds::Bounds;
use super::malformed::{Malformed, excerpt};
use super::message::{Message, StartLine};
use super::remark::{Note, notes};
use super::strict::STRICT;
use super::validate::CHECKS;
use crate::judgement::{Answer, Judgement, Refusal, Remark, line_of};

/// Judges one datagram for itself: octets beyond Content-Length are ignored, a body shorter than
/// it is refused. Everything that is wrong is listed, not only the first.
#[must_use]
pub fn judge_datagram(datagram: &[u8]) -> Judgement {
    let lead = datagram.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = &datagram[lead..];
    let refusal = |fault: Malformed| {
        let offset = (lead + fault.offset).min(datagram.len());
        let (rule, line) = (fault.rule, line_of(datagram, offset));
        Refusal { rule, offset, line, answer: answer(bytes, &fault), what: fault.what }
    };
    let (head, head_len) = match Message::parse_head(bytes, Bounds::default()) {
        Ok(head) => head,
        Err(fault) => {
            let first = String::from_utf8_lossy(first_line(bytes));
            let count = datagram.len();
            let summary = format!("{count} bytes that do not read as SIP: {}", excerpt(&first));
            return Judgement { summary, refusals: vec![refusal(fault)], remarks: Vec::new() };
        }
    };
    let mut faults = faults(&head);
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(fault) => {
            faults.push(fault);
            let mut message = head;
            message.body = bytes[head_len..].to_vec();
            message
        }
    };
    faults.sort_by_key(|fault| fault.offset);
    faults.dedup();
    let mut notes = notes(&message);
    notes.extend(surplus(bytes, head_len + message.body.len()));
    let remark = |note: Note| {
        let offset = lead + unfolded(&message, note.offset);
        let line = line_of(datagram, offset);
        Remark { rule: note.rule, offset, line, what: note.what, status: note.status }
    };
    let remarks = notes.into_iter().map(remark).collect();
    let refusals = faults.into_iter().map(refusal).collect();
    Judgement { summary: summary(&message), refusals, remarks }.ordered()
}

/// All that is wrong with the head.
fn faults(message: &Message) -> Vec<Malformed> {
    let checked = CHECKS.iter().chain(STRICT).filter_map(|check| check(message).err());
    let place = |fault: Malformed| Malformed { offset: unfolded(message, fault.offset), ..fault };
    message.repeated().chain(checked).map(place).collect()
}

/// The octet of the message behind an offset that counts folds as single spaces.
fn unfolded(message: &Message, offset: usize) -> usize {
    let around = message.fields().iter().rev().find(|field| field.offset <= offset);
    match around.and_then(|field| Some((field, offset.checked_sub(field.value_offset())?))) {
        Some((field, at)) => field.value_offset() + field.raw_place(at),
        None => offset,
    }
}

fn surplus(bytes: &[u8], used: usize) -> Option<Note> {
    let more = bytes.len().checked_sub(used).filter(|more| *more > 0)?;
    let what = format!("{more} octets beyond Content-Length: ignored");
    Some(Note { rule: "RFC 3261 18.3", offset: used, what, status: None })
}

/// A response and an ACK are never answered, nor is what names no SIP at all.
fn answer(bytes: &[u8], fault: &Malformed) -> Answer {
    let first = first_line(bytes);
    let begins =
        |word: &[u8]| first.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    let names_sip = first.windows(5).any(|five| five.eq_ignore_ascii_case(b" SIP/"));
    if begins(b"SIP/") || begins(b"ACK ") || !names_sip {
        return Answer::Discard;
    }
    Answer::Status(fault.status())
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
}

fn summary(message: &Message) -> String {
    let start = match &message.start {
        StartLine::Request { method, uri } => {
            format!("{} {}", excerpt(method.as_str()), excerpt(uri))
        }
        StartLine::Response { status, reason } => {
            let method = message.cseq().map_or("?".to_owned(), |cseq| cseq.method.to_string());
            let phrase = format!("{status} {}", excerpt(reason));
            format!("{} to {}", phrase.trim_end(), excerpt(&method))
        }
    };
    let body = match (message.body.len(), message.header("Content-Type")) {
        (0, _) => "no body".to_owned(),
        (length, None) => format!("body {length} bytes"),
        (length, Some(kind)) => format!("body {length} bytes {}", excerpt(kind)),
    };
    let count = message.fields().len();
    format!("{start}, {count} {}, {body}", if count == 1 { "header" } else { "headers" })
}
