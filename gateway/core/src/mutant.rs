//! Gateways with one planted defect each: proof that a check can fail. Compiled only under the
//! feature `mutants`, which no release build turns on.

/// A defect to plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Promises leave without waiting for their record.
    DeliversBeforeStored,
    /// Of the calls that wait for a sleeper only the first is delivered.
    ForgetsSecondPending,
    /// A call that the app already has is delivered again after each resume.
    DeliversTwiceAfterResume,
    /// The caller never gets 100.
    NoTrying,
    /// A call that was cancelled while it waited is delivered all the same.
    RingsAfterCancel,
    /// The record of a call is dropped when the app answers, before the caller's ACK.
    ClearsRecordAt200,
    /// The To tag is drawn anew when a call is recovered.
    ForgetsToTag,
    /// Every third frame to the app repeats the number of the one before.
    RepeatsSequence,
    /// An app may sleep while the call that it placed waits for its answer.
    SleepsInOwnCall,
    /// The app's `complete` brings no ACK.
    NeverAcknowledges,
    /// A re-INVITE that finds no app is answered as if its dialog were gone.
    EndsDialogForSleeper,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 11] = [
        Self::DeliversBeforeStored,
        Self::ForgetsSecondPending,
        Self::DeliversTwiceAfterResume,
        Self::NoTrying,
        Self::RingsAfterCancel,
        Self::ClearsRecordAt200,
        Self::ForgetsToTag,
        Self::RepeatsSequence,
        Self::SleepsInOwnCall,
        Self::NeverAcknowledges,
        Self::EndsDialogForSleeper,
    ];
}
