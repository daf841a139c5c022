use std::fmt;

/// What a receiver does with a message that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answers with this status.
    Status(u16),
    /// It closes the connection with this WebSocket code.
    Close(u16),
    /// It says nothing.
    Discard,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Close(code) => write!(f, "closed with {code}"),
            Self::Discard => f.write_str("discarded"),
        }
    }
}

/// Why every receiver refuses a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Document and section, e.g. `RFC 3261 20.16`.
    pub rule: &'static str,
    /// Octets from the start of what was judged; of something missing, where it should stand in.
    pub offset: usize,
    /// Line of that octet, from 1.
    pub line: usize,
    /// What was found and what to write instead.
    pub what: String,
    /// What a receiver does about it.
    pub answer: Answer,
}

/// Well-formed, and yet worth a word: some receiver would not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Document and section.
    pub rule: &'static str,
    /// Octets from the start of what was judged.
    pub offset: usize,
    /// Line of that octet, from 1.
    pub line: usize,
    /// What is strange.
    pub what: String,
    /// The status that some receiver would answer, if it would answer at all.
    pub status: Option<u16>,
}

/// What one message is worth to whoever receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What was read, in one line.
    pub summary: String,
    /// Why every receiver refuses it, in the order of the message; empty if it may be accepted.
    pub refusals: Vec<Refusal>,
    /// What some receiver would not accept, and what else is strange.
    pub remarks: Vec<Remark>,
}

impl Judgement {
    /// Whether every receiver refuses the message.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Puts both lists into the order of the message.
    pub(crate) fn ordered(mut self) -> Self {
        self.refusals.sort_by_key(|refusal| refusal.offset);
        self.remarks.sort_by_key(|remark| remark.offset);
        self
    }
}

/// The line of the octet at `offset`, from 1.
pub(crate) fn line_of(bytes: &[u8], offset: usize) -> usize {
    let before = &bytes[..offset.min(bytes.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, offset, line, what, answer } = self;
        write!(f, "line {line}, offset {offset}: {what} ({rule}; {answer})")
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, offset, line, what, status } = self;
        write!(f, "line {line}, offset {offset}: {what} ({rule}")?;
        match status {
            Some(status) => write!(f, "; some answer {status})"),
            None => f.write_str(")"),
        }
    }
}

/// One line for what was read, one for each refusal, one for each remark.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        for refusal in &self.refusals {
            write!(f, "\nrefused: {refusal}")?;
        }
        for remark in &self.remarks {
            write!(f, "\nremark: {remark}")?;
        }
        Ok(())
    }
}
