use reveille_wire::sip::{Message, Method};

use super::Act;
use crate::config::SipTimers;
use crate::timer::Name;

/// RFC 3261 section 17.1.1.2: how long failures of an unreliable transport may come again.
const TIMER_D_MS: u64 = 32_000;

/// What an INVITE client transaction tells its user.
#[derive(Debug, Clone, PartialEq)]
pub enum InviteEvent {
    /// A provisional response, to be read by the user.
    Provisional {
        /// The CANCEL that was wished for and may go now, in a transaction of its own.
        cancel: Option<Message>,
    },
    /// A 2xx, each time that one comes: the user acknowledges it. Another To tag is another dialog.
    Success,
    /// A final failure; its ACK is on the way.
    Failure,
    /// Timer B came: as good as 408 (RFC 3261 section 8.1.3.1).
    Timeout,
    /// The transport failed: as good as 503.
    Unsent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Calling,
    Proceeding,
    Accepted,
    Completed,
    Terminated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    Wished,
    Given,
}

/// An INVITE client transaction (RFC 3261 section 17.1.1 with the Accepted state and Timer M of
/// RFC 6026 section 7.2). Its owner has matched what comes in (RFC 3261 section 17.1.3).
#[derive(Debug, Clone)]
pub struct InviteClient {
    stage: Stage,
    reliable: bool,
    invite: Message,
    ack: Vec<u8>,
    cancel: Cancel,
    interval_ms: u64,
    timers: SipTimers,
}

impl InviteClient {
    /// Sends the INVITE for the first time.
    pub fn start(invite: Message, reliable: bool, timers: SipTimers, acts: &mut Vec<Act>) -> Self {
        acts.push(Act::Send(invite.to_bytes()));
        if !reliable {
            acts.push(Act::Arm(Name::A, timers.t1_ms));
        }
        acts.push(Act::Arm(Name::B, 64 * timers.t1_ms));
        Self {
            stage: Stage::Calling,
            reliable,
            invite,
            ack: Vec::new(),
            cancel: Cancel::No,
            interval_ms: timers.t1_ms,
            timers,
        }
    }

    /// The INVITE as sent.
    #[must_use]
    pub const fn invite(&self) -> &Message {
        &self.invite
    }

    /// True until any response came.
    #[must_use]
    pub const fn is_unheard(&self) -> bool {
        matches!(self.stage, Stage::Calling)
    }

    /// A response that matches this transaction came.
    pub fn response(&mut self, response: &Message, acts: &mut Vec<Act>) -> Option<InviteEvent> {
        let status = response.status()?;
        match (self.stage, status) {
            (Stage::Calling | Stage::Proceeding, ..200) => Some(self.proceed(acts)),
            (Stage::Calling | Stage::Proceeding, 200..300) => {
                self.leave_for(Stage::Accepted, acts);
                acts.push(Act::Arm(Name::M, 64 * self.timers.t1_ms));
                Some(InviteEvent::Success)
            }
            (Stage::Calling | Stage::Proceeding, 300..) => {
                self.leave_for(Stage::Completed, acts);
                self.ack = self.within(Method::ACK, response.header("To")).to_bytes();
                acts.push(Act::Send(self.ack.clone()));
                acts.push(Act::Arm(Name::D, self.timer_d_ms()));
                Some(InviteEvent::Failure)
            }
            (Stage::Accepted, 200..300) => Some(InviteEvent::Success),
            (Stage::Completed, 300..) => {
                acts.push(Act::Send(self.ack.clone()));
                None
            }
            (Stage::Accepted | Stage::Completed | Stage::Terminated, _) => None,
        }
    }

    fn proceed(&mut self, acts: &mut Vec<Act>) -> InviteEvent {
        if self.stage == Stage::Calling {
            self.leave_for(Stage::Proceeding, acts);
        }
        let cancel = if self.cancel == Cancel::Wished { self.cancelling() } else { None };
        InviteEvent::Provisional { cancel }
    }

    /// Nothing is retransmitted or given up after Calling.
    fn leave_for(&mut self, stage: Stage, acts: &mut Vec<Act>) {
        if self.stage == Stage::Calling {
            acts.push(Act::Disarm(Name::A));
            acts.push(Act::Disarm(Name::B));
        }
        self.stage = stage;
    }

    fn timer_d_ms(&self) -> u64 {
        if self.reliable { 0 } else { TIMER_D_MS.max(64 * self.timers.t1_ms) }
    }

    /// The user does not want the call any more. Gives the CANCEL, once and for a transaction of its
    /// own, if it may go; before the first provisional the wish is remembered, and after the final
    /// there is nothing to cancel (RFC 3261 section 9.1).
    pub fn cancel(&mut self) -> Option<Message> {
        match self.stage {
            Stage::Calling => {
                self.cancel = Cancel::Wished;
                None
            }
            Stage::Proceeding => self.cancelling(),
            Stage::Accepted | Stage::Completed | Stage::Terminated => None,
        }
    }

    fn cancelling(&mut self) -> Option<Message> {
        let before = std::mem::replace(&mut self.cancel, Cancel::Given);
        (before != Cancel::Given).then(|| self.within(Method::CANCEL, self.invite.header("To")))
    }

    /// ACK of a failure (17.1.1.3) or CANCEL (9.1): the INVITE's target, topmost Via, Route, From,
    /// Call-ID and number.
    fn within(&self, method: Method, to: Option<&str>) -> Message {
        let invite = &self.invite;
        let header = |name| invite.header(name).unwrap_or_default();
        let number = invite.cseq().map_or(0, |cseq| cseq.number);
        let cseq = format!("{number} {method}");
        let via = invite.values("Via").first().copied().unwrap_or_default();
        let mut request =
            Message::request(method, invite.uri().unwrap_or_default()).with("Via", via);
        for route in invite.headers("Route") {
            request.push("Route", route);
        }
        request
            .with("Max-Forwards", "70")
            .with("From", header("From"))
            .with("To", to.unwrap_or_default())
            .with("Call-ID", header("Call-ID"))
            .with("CSeq", cseq)
            .with("Content-Length", "0")
    }

    /// What was sent last could not be sent. After a provisional or a 2xx the INVITE has arrived,
    /// whatever became of a repetition.
    pub fn unsent(&mut self, acts: &mut Vec<Act>) -> Option<InviteEvent> {
        if !matches!(self.stage, Stage::Calling | Stage::Completed) {
            return None;
        }
        self.end(acts);
        Some(InviteEvent::Unsent)
    }

    /// A deadline came.
    pub fn timer(&mut self, name: Name, acts: &mut Vec<Act>) -> Option<InviteEvent> {
        match (name, self.stage) {
            (Name::A, Stage::Calling) => {
                acts.push(Act::Send(self.invite.to_bytes()));
                self.interval_ms *= 2;
                acts.push(Act::Arm(Name::A, self.interval_ms));
                None
            }
            (Name::B, Stage::Calling) => {
                self.end(acts);
                Some(InviteEvent::Timeout)
            }
            (Name::D, Stage::Completed) | (Name::M, Stage::Accepted) => {
                self.end(acts);
                None
            }
            _ => None,
        }
    }

    fn end(&mut self, acts: &mut Vec<Act>) {
        for name in [Name::A, Name::B, Name::D, Name::M] {
            acts.push(Act::Disarm(name));
        }
        self.stage = Stage::Terminated;
        acts.push(Act::Over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Message {
        Message::request(Method::INVITE, "sip:bob@example.com;ob")
            .with(
                "Via",
                "SIP/2.0/UDP gw.example.com;branch=z9hG4bKc1, SIP/2.0/UDP h;branch=z9hG4bKh",
            )
            .with("Route", "<sip:edge.example.com;lr>")
            .with("Route", "<sip:core.example.com;lr>, <sip:last.example.com;lr>")
            .with("Max-Forwards", "69")
            .with("From", "\"A\" <sip:alice@example.com>;tag=a1")
            .with("To", "<sip:bob@example.com>")
            .with("Call-ID", "c1")
            .with("CSeq", "7 INVITE")
            .with("Require", "100rel")
            .with("Contact", "<sip:alice@gw.example.com>")
            .with("Content-Length", "0")
    }

    fn started(reliable: bool) -> (InviteClient, Vec<Act>) {
        let mut acts = Vec::new();
        let timers = SipTimers::default();
        (InviteClient::start(invite(), reliable, timers, &mut acts), acts)
    }

    fn comes(machine: &mut InviteClient, status: u16) -> (Option<InviteEvent>, Vec<Act>) {
        comes_from(machine, status, "b1")
    }

    fn comes_from(
        machine: &mut InviteClient,
        status: u16,
        tag: &str,
    ) -> (Option<InviteEvent>, Vec<Act>) {
        let mut acts = Vec::new();
        let response = invite().reply(status, "", Some(tag));
        (machine.response(&response, &mut acts), acts)
    }

    fn fires(machine: &mut InviteClient, name: Name) -> (Option<InviteEvent>, Vec<Act>) {
        let mut acts = Vec::new();
        (machine.timer(name, &mut acts), acts)
    }

    fn fails(machine: &mut InviteClient) -> (Option<InviteEvent>, Vec<Act>) {
        let mut acts = Vec::new();
        (machine.unsent(&mut acts), acts)
    }

    const NEWS: Option<InviteEvent> = Some(InviteEvent::Provisional { cancel: None });

    fn at(stage: Stage) -> InviteClient {
        let (mut machine, _) = started(false);
        match stage {
            Stage::Calling => {}
            Stage::Proceeding => assert_eq!(comes(&mut machine, 180).0, NEWS),
            Stage::Accepted => assert_eq!(comes(&mut machine, 200).0, Some(InviteEvent::Success)),
            Stage::Completed => assert_eq!(comes(&mut machine, 486).0, Some(InviteEvent::Failure)),
            Stage::Terminated => assert_eq!(fails(&mut machine).0, Some(InviteEvent::Unsent)),
        }
        assert_eq!(machine.stage, stage);
        machine
    }

    fn sent(acts: &[Act]) -> Vec<Message> {
        let bytes = acts.iter().filter_map(|act| match act {
            Act::Send(bytes) => Some(bytes),
            _ => None,
        });
        bytes.map(|bytes| Message::parse(bytes).unwrap()).collect()
    }

    #[test]
    fn the_invite_goes_at_once_and_a_reliable_transport_is_not_repeated() {
        let send = Act::Send(invite().to_bytes());
        let give_up = Act::Arm(Name::B, 32_000);
        let (_, acts) = started(false);
        assert_eq!(acts, [send.clone(), Act::Arm(Name::A, 500), give_up.clone()]);
        let (_, acts) = started(true);
        assert_eq!(acts, [send, give_up]);
    }

    #[test]
    fn calling_timer_a_repeats_the_invite_and_doubles_without_bound() {
        let (mut machine, mut acts) = started(false);
        let (mut now, mut times) = (0, vec![0]);
        loop {
            let gap = acts.iter().find_map(|act| match act {
                Act::Arm(Name::A, ms) => Some(*ms),
                _ => None,
            });
            now += gap.unwrap();
            if now >= 32_000 {
                break;
            }
            times.push(now);
            let (event, next) = fires(&mut machine, Name::A);
            assert_eq!((event, &next[0]), (None, &Act::Send(invite().to_bytes())));
            acts = next;
        }
        assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    }

    #[test]
    fn calling_timer_b_and_a_broken_transport_end_it_and_are_told() {
        let (event, acts) = fires(&mut at(Stage::Calling), Name::B);
        assert_eq!((event, acts.last()), (Some(InviteEvent::Timeout), Some(&Act::Over)));
        assert!(acts.contains(&Act::Disarm(Name::A)), "{acts:?}");
        let (event, acts) = fails(&mut at(Stage::Calling));
        assert_eq!((event, acts.last()), (Some(InviteEvent::Unsent), Some(&Act::Over)));
        assert!(acts.contains(&Act::Disarm(Name::B)), "{acts:?}");
    }

    #[test]
    fn calling_a_provisional_stops_repetition_and_giving_up() {
        let mut machine = at(Stage::Calling);
        let (event, acts) = comes(&mut machine, 100);
        assert_eq!((event, machine.stage), (NEWS, Stage::Proceeding));
        assert_eq!(acts, [Act::Disarm(Name::A), Act::Disarm(Name::B)]);
        for name in [Name::A, Name::B] {
            assert_eq!(fires(&mut machine, name), (None, Vec::new()), "late {name:?}");
        }
    }

    #[test]
    fn proceeding_each_provisional_is_passed_up_and_a_late_fault_is_not() {
        let mut machine = at(Stage::Proceeding);
        assert_eq!(comes(&mut machine, 180), (NEWS, Vec::new()));
        assert_eq!(comes(&mut machine, 183), (NEWS, Vec::new()));
        assert_eq!(fails(&mut machine), (None, Vec::new()));
    }

    #[test]
    fn a_2xx_leads_to_accepted_and_timer_m_without_an_ack_of_ours() {
        let stop = [Act::Disarm(Name::A), Act::Disarm(Name::B)];
        for (stage, before) in [(Stage::Calling, &stop[..]), (Stage::Proceeding, &[])] {
            let mut machine = at(stage);
            let (event, acts) = comes(&mut machine, 200);
            assert_eq!((event, machine.stage), (Some(InviteEvent::Success), Stage::Accepted));
            assert_eq!(acts, [before, &[Act::Arm(Name::M, 32_000)]].concat());
        }
    }

    #[test]
    fn accepted_every_2xx_of_every_fork_is_passed_up() {
        let mut machine = at(Stage::Accepted);
        for tag in ["b1", "b2", "b2"] {
            let told = comes_from(&mut machine, 200, tag);
            assert_eq!(told, (Some(InviteEvent::Success), Vec::new()), "{tag}");
        }
    }

    #[test]
    fn accepted_all_else_is_dropped_until_timer_m_ends_it() {
        let mut machine = at(Stage::Accepted);
        for status in [180, 486] {
            assert_eq!(comes(&mut machine, status), (None, Vec::new()), "{status}");
        }
        assert_eq!(fails(&mut machine), (None, Vec::new()));
        for name in [Name::A, Name::B, Name::D] {
            assert_eq!(fires(&mut machine, name), (None, Vec::new()), "{name:?}");
        }
        let (event, acts) = fires(&mut machine, Name::M);
        assert_eq!((event, acts.last()), (None, Some(&Act::Over)));
        assert_eq!(comes(&mut machine, 200), (None, Vec::new()), "after the end");
    }

    #[test]
    fn a_failure_is_acknowledged_within_the_transaction() {
        for stage in [Stage::Calling, Stage::Proceeding] {
            let mut machine = at(stage);
            let (event, acts) = comes(&mut machine, 486);
            assert_eq!((event, machine.stage), (Some(InviteEvent::Failure), Stage::Completed));
            assert_eq!(acts.last(), Some(&Act::Arm(Name::D, 32_000)));
            let [ack] = &sent(&acts)[..] else { panic!("{acts:?}") };
            assert_eq!((ack.method(), ack.uri()), (Some(&Method::ACK), invite().uri()));
            assert_eq!(ack.values("Via"), ["SIP/2.0/UDP gw.example.com;branch=z9hG4bKc1"]);
            assert_eq!(ack.values("Route"), invite().values("Route"));
            assert_eq!(ack.header("To"), Some("<sip:bob@example.com>;tag=b1"));
            assert_eq!(ack.header("From"), invite().header("From"));
            assert_eq!((ack.header("Call-ID"), ack.header("CSeq")), (Some("c1"), Some("7 ACK")));
            assert_eq!((ack.header("Max-Forwards"), ack.header("Require")), (Some("70"), None));
            assert_eq!(ack.validate(), Ok(()));
        }
    }

    #[test]
    fn completed_a_failure_that_comes_again_gets_the_same_ack_and_is_not_passed_up() {
        let mut machine = at(Stage::Completed);
        let ack = machine.ack.clone();
        let (event, acts) = comes_from(&mut machine, 486, "other");
        assert_eq!((event, acts), (None, vec![Act::Send(ack)]));
        for status in [180, 200] {
            assert_eq!(comes(&mut machine, status), (None, Vec::new()), "{status}");
        }
    }

    #[test]
    fn completed_timer_d_or_a_broken_transport_ends_it() {
        let (event, acts) = fires(&mut at(Stage::Completed), Name::D);
        assert_eq!((event, acts.last()), (None, Some(&Act::Over)));
        let (event, acts) = fails(&mut at(Stage::Completed));
        assert_eq!((event, acts.last()), (Some(InviteEvent::Unsent), Some(&Act::Over)));
        let mut machine = at(Stage::Completed);
        for name in [Name::A, Name::B, Name::M] {
            assert_eq!(fires(&mut machine, name), (None, Vec::new()), "{name:?}");
        }
    }

    #[test]
    fn completed_over_a_reliable_transport_ends_at_once() {
        let (mut machine, _) = started(true);
        let (_, acts) = comes(&mut machine, 603);
        assert_eq!(acts.last(), Some(&Act::Arm(Name::D, 0)));
    }

    #[test]
    fn a_slow_t1_makes_timer_d_longer() {
        let timers = SipTimers { t1_ms: 1_000, ..SipTimers::default() };
        let mut machine = InviteClient::start(invite(), false, timers, &mut Vec::new());
        assert_eq!(comes(&mut machine, 603).1.last(), Some(&Act::Arm(Name::D, 64_000)));
    }

    #[test]
    fn terminated_nothing_happens_any_more() {
        let mut machine = at(Stage::Terminated);
        for status in [180, 200, 486] {
            assert_eq!(comes(&mut machine, status), (None, Vec::new()), "{status}");
        }
        for name in [Name::A, Name::B, Name::D, Name::M] {
            assert_eq!(fires(&mut machine, name), (None, Vec::new()), "{name:?}");
        }
        assert_eq!((fails(&mut machine), machine.cancel()), ((None, Vec::new()), None));
    }

    #[test]
    fn a_cancel_waits_for_the_first_provisional_and_goes_once() {
        let mut machine = at(Stage::Calling);
        assert_eq!(machine.cancel(), None);
        let (event, acts) = comes(&mut machine, 100);
        assert!(sent(&acts).is_empty(), "it has a transaction of its own: {acts:?}");
        let Some(InviteEvent::Provisional { cancel: Some(cancel) }) = event else {
            panic!("{event:?}")
        };
        assert_eq!((cancel.method(), cancel.uri()), (Some(&Method::CANCEL), invite().uri()));
        assert_eq!(cancel.values("Via"), ["SIP/2.0/UDP gw.example.com;branch=z9hG4bKc1"]);
        assert_eq!(cancel.values("Route"), invite().values("Route"));
        assert_eq!(cancel.header("To"), invite().header("To"));
        assert_eq!(cancel.header("CSeq"), Some("7 CANCEL"));
        assert_eq!((cancel.header("Require"), cancel.validate()), (None, Ok(())));
        assert_eq!(comes(&mut machine, 180).0, NEWS);
        assert_eq!(machine.cancel(), None, "wished again");
    }

    #[test]
    fn a_cancel_goes_at_once_while_proceeding_and_never_after_a_final() {
        let mut machine = at(Stage::Proceeding);
        let cancel = machine.cancel();
        assert_eq!(cancel.and_then(|it| it.method().cloned()), Some(Method::CANCEL));
        assert_eq!((machine.cancel(), comes(&mut machine, 180).0), (None, NEWS));
        for stage in [Stage::Accepted, Stage::Completed] {
            assert_eq!(at(stage).cancel(), None, "{stage:?}");
        }
        let mut machine = at(Stage::Calling);
        assert_eq!(machine.cancel(), None);
        assert_eq!(
            comes(&mut machine, 200).0,
            Some(InviteEvent::Success),
            "the wish came too late"
        );
    }

    #[test]
    fn a_request_is_no_response() {
        let mut machine = at(Stage::Calling);
        assert_eq!(machine.response(&invite(), &mut Vec::new()), None);
        assert_eq!(machine.stage, Stage::Calling);
    }
}
