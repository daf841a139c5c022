use super::label::Label;

/// One line of the ladder, before it is painted.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    /// When, in microseconds; for an arrow, when it was sent.
    pub(super) t_us: u64,
    /// When it was last seen again.
    pub(super) last_us: u64,
    /// The events it shows.
    pub(super) seqs: Vec<u64>,
    pub(super) mark: Mark,
    /// The message, to know a repetition by.
    pub(super) bytes: &'a [u8],
    /// How often it stands here.
    pub(super) times: usize,
    /// A message of a registration.
    pub(super) registers: bool,
    /// The lane that goes up or down with this row.
    pub(super) turns: Option<(usize, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// A message from lane to lane.
    Arrow { from: usize, to: usize, label: Label, lost: bool },
    /// Something at one lane.
    Note { lane: usize, text: String },
    /// Something that concerns the whole picture.
    Band { text: String, fill: char },
    /// Nothing, for this long.
    Idle { us: u64 },
    /// A remark about the picture itself.
    Remark { text: String },
}

impl Row<'_> {
    pub(super) fn new(t_us: u64, seq: u64, mark: Mark) -> Self {
        let (last_us, seqs) = (t_us, vec![seq]);
        Self { t_us, last_us, seqs, mark, bytes: &[], times: 1, registers: false, turns: None }
    }

    /// A row that shows no event.
    pub(super) fn aside(t_us: u64, mark: Mark) -> Self {
        Self { seqs: Vec::new(), ..Self::new(t_us, 0, mark) }
    }

    /// What the row is called where rows are counted.
    pub(super) fn name(&self) -> &str {
        match &self.mark {
            Mark::Arrow { label, .. } => &label.long,
            Mark::Note { text, .. } | Mark::Band { text, .. } | Mark::Remark { text } => text,
            Mark::Idle { .. } => "idle",
        }
    }
}
