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
    /// A push leaves without waiting for the record of its call.
    PushesBeforeStored,
    /// What an app says is acknowledged, and on record only with what comes next.
    AcknowledgesBeforeStored,
    /// The record of a call is left out of its commit, which says that it is stored.
    DropsStore,
    /// The record of a call is dropped at its ACK: the dialog does not survive a restart.
    ForgetsDialogAtAck,
    /// A call that is recovered has no deadline.
    ForgetsDeadlineAtRestart,
    /// A call that is recovered goes on under another subsession.
    ForgetsSubsession,
    /// A session that sleeps with nothing to do is not found when its app comes back.
    ForgetsSleepers,
    /// The caller hears 100 when the push service has answered.
    LateTrying,
    /// A hold that runs out ends with 408.
    TimesOutWith408,
    /// A call that is held hears its provisional once.
    HoldsInSilence,
    /// The caller of a sleeper hears 180 at once.
    RingsBeforeTheApp,
    /// An INVITE that comes again is absorbed without a word.
    IgnoresCopies,
    /// A CANCEL is answered, and its INVITE is left as it was.
    CancelLeavesInvite,
    /// The 200 of a call goes out once.
    AnswersOnce,
    /// The answer of an app that was woken before goes nowhere.
    SwallowsAnswerAfterWake,
    /// However many calls are undecided for a session, one more is taken.
    QueuesWithoutBound,
    /// A call that comes between the grant of sleep and the close waits for the open socket.
    LosesCallInClosingGap,
    /// An app may sleep whatever calls it has.
    SleepsInCall,
    /// An app that comes back is not given again what it lacks.
    ReplaysNothing,
    /// What waits for a sleeper is given to it in the reverse order.
    DeliversNewestFirst,
    /// Each call for a sleeper begins a wake of its own, which speaks of the first call.
    WakesForEachCall,
    /// After a transient failure of its push a wake waits for its budget.
    NeverTriesPushAgain,
    /// A push that was accepted goes again until the app comes.
    RepeatsAcceptedPush,
    /// A push that was refused for good is tried again.
    RetriesRefusedPush,
    /// A token that the push service calls dead is kept.
    KeepsDeadToken,
    /// The life of a push is counted without regard to that of its call.
    PushOutlivesCall,
    /// A wake goes on when nobody waits for it any more.
    PushesAfterCancel,
    /// A binding is refreshed after its end.
    RefreshesTooLate,
    /// The other side's BYE is not told to the app.
    KeepsByeFromApp,
    /// The other side hears no BYE of the app.
    HangsUpInSilence,
    /// An app does not hear that the one it calls rings.
    KeepsProgressFromApp,
    /// A request within a dialog is taken whatever its CSeq.
    TakesOldCseq,
    /// A message that the app has already is given again after each resume.
    GivesMessageAgain,
    /// A message whose sender heard 202 is not given to the app.
    DropsMessageAfter202,
    /// The sender of a message that was only stored hears 200.
    SaysDeliveredWhenStored,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 46] = [
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
        Self::PushesBeforeStored,
        Self::AcknowledgesBeforeStored,
        Self::DropsStore,
        Self::ForgetsDialogAtAck,
        Self::ForgetsDeadlineAtRestart,
        Self::ForgetsSubsession,
        Self::ForgetsSleepers,
        Self::LateTrying,
        Self::TimesOutWith408,
        Self::HoldsInSilence,
        Self::RingsBeforeTheApp,
        Self::IgnoresCopies,
        Self::CancelLeavesInvite,
        Self::AnswersOnce,
        Self::SwallowsAnswerAfterWake,
        Self::QueuesWithoutBound,
        Self::LosesCallInClosingGap,
        Self::SleepsInCall,
        Self::ReplaysNothing,
        Self::DeliversNewestFirst,
        Self::WakesForEachCall,
        Self::NeverTriesPushAgain,
        Self::RepeatsAcceptedPush,
        Self::RetriesRefusedPush,
        Self::KeepsDeadToken,
        Self::PushOutlivesCall,
        Self::PushesAfterCancel,
        Self::RefreshesTooLate,
        Self::KeepsByeFromApp,
        Self::HangsUpInSilence,
        Self::KeepsProgressFromApp,
        Self::TakesOldCseq,
        Self::GivesMessageAgain,
        Self::DropsMessageAfter202,
        Self::SaysDeliveredWhenStored,
    ];
}
