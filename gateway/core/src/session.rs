//! A JsonRTC session: its numbers, its unacknowledged frames, and the socket it is attached to. It
//! outlives its sockets and, by its record, the process.

use reveille_wire::jsonrtc::{Frame, FrameType};

use crate::io::SocketId;
use crate::record::{SentFrame, SessionRecord, Standing};

/// How a session is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not at all.
    None,
    /// Through this socket.
    Attached(SocketId),
    /// Sleep is granted; the app is about to close this socket, and nothing new goes there.
    Closing(SocketId),
}

/// How the number of a client frame stands to those before it (D-39).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The one that was due.
    Next,
    /// Seen before: dropped and acknowledged.
    Duplicate,
    /// One is missing in between.
    Gap,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) record: SessionRecord,
    pub(crate) link: Link,
    /// Frames taken from the app since we last told it so.
    pub(crate) untold: u32,
    /// The number of the frame that first granted the sleep under way.
    granted: u64,
}

impl Session {
    pub(crate) const fn new(record: SessionRecord, link: Link) -> Self {
        Self { record, link, untold: 0, granted: 0 }
    }

    /// Sleep is granted by the frame that was numbered last; the app is about to close `socket`. One
    /// that asks again before it does so may close without having seen the second answer.
    pub(crate) const fn let_close(&mut self, socket: SocketId) {
        if !matches!(self.link, Link::Closing(_)) {
            self.granted = self.record.last_out;
        }
        self.link = Link::Closing(socket);
    }

    /// The app closed as one that has the grant, and with it all before (D-43). What was numbered
    /// since may have missed it.
    pub(crate) fn acknowledge_grant(&mut self) {
        self.acknowledge(self.granted);
    }

    pub(crate) const fn socket(&self) -> Option<SocketId> {
        match self.link {
            Link::None => None,
            Link::Attached(socket) | Link::Closing(socket) => Some(socket),
        }
    }

    /// The socket on which a call can be delivered now.
    pub(crate) const fn attached(&self) -> Option<SocketId> {
        match self.link {
            Link::Attached(socket) => Some(socket),
            Link::None | Link::Closing(_) => None,
        }
    }

    pub(crate) const fn is_asleep(&self) -> bool {
        matches!(self.record.standing, Standing::Asleep { .. })
    }

    /// Gives `frame` the next number of our stream and keeps it until the app acknowledges it.
    /// Requests are correlated as `s` and their number unless they already are.
    pub(crate) fn number(&mut self, mut frame: Frame, repeat_number: bool) -> (u64, String) {
        if !(repeat_number && self.record.last_out % 3 == 2) {
            self.record.last_out += 1;
        }
        let sequence = self.record.last_out;
        frame.control.sequence = Some(sequence);
        if frame.control.kind == FrameType::Request && frame.control.correlation_id.is_none() {
            frame.control.correlation_id = Some(format!("s{sequence}"));
        }
        let text = self.stamp(frame, self.record.last_in);
        self.record.unacknowledged.push(SentFrame { sequence, text: text.clone() });
        self.untold = 0;
        (sequence, text)
    }

    /// A frame outside our stream: the answer to a resume, or an acknowledgement.
    pub(crate) fn stamp(&self, mut frame: Frame, ack_sequence: u64) -> String {
        frame.control.session_id = Some(self.record.id.to_string());
        frame.control.ack_sequence = Some(ack_sequence);
        frame.to_text()
    }

    /// Takes the number of a client frame.
    pub(crate) const fn take(&mut self, sequence: u64) -> Order {
        if sequence <= self.record.last_in {
            return Order::Duplicate;
        }
        if sequence > self.record.last_in + 1 {
            return Order::Gap;
        }
        self.record.last_in = sequence;
        self.untold += 1;
        Order::Next
    }

    /// The app has everything up to `sequence`; a number that we never gave says nothing.
    /// Returns true if that changed the record.
    pub(crate) fn acknowledge(&mut self, sequence: u64) -> bool {
        if sequence > self.record.last_out {
            return false;
        }
        let before = self.record.unacknowledged.len();
        self.record.unacknowledged.retain(|frame| frame.sequence > sequence);
        self.record.unacknowledged.len() != before
    }

    /// The frames that the app lacks, as they were first sent (D-36).
    pub(crate) fn replay(&self) -> Vec<String> {
        self.record.unacknowledged.iter().map(|frame| frame.text.clone()).collect()
    }

    pub(crate) fn device_usable(&self) -> bool {
        self.record.device.as_ref().is_some_and(|device| device.usable)
    }
}
