use super::bounds::Bounds;
use super::malformed::Malformed;
use super::message::Message;

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A message and the bytes it was.
    Message {
        /// The message.
        message: Box<Message>,
        /// Its bytes.
        raw: Vec<u8>,
    },
    /// A double CRLF between messages: answer with one CRLF (RFC 5626 section 4.4.1).
    Ping,
    /// A single CRLF between messages: the answer to a ping.
    Pong,
}

/// Cuts a stream of bytes into messages (RFC 3261 section 18.3). After an error the stream has no
/// frames any more: close it.
#[derive(Debug)]
pub struct Framer {
    bounds: Bounds,
    buffer: Vec<u8>,
    /// So much of the buffer holds no end of a head: it is not searched again.
    searched: usize,
    /// The length at which the message is whole, once its head has told; else 0.
    whole: usize,
}

impl Framer {
    /// A framer that holds at most one message of `bounds`.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, buffer: Vec::new(), searched: 0, whole: 0 }
    }

    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What is held and is no whole frame yet; after an error, what could not be one.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// The next frame; `None` until more bytes come. Call it until it is `None` after each push.
    ///
    /// # Errors
    /// [`Malformed`]: what the stream holds is no message, has no Content-Length, or is too long.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at None; this goes on"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        if self.buffer.first() == Some(&b'\r') {
            return Ok(self.keep_alive());
        }
        // A peer that sends byte by byte must not have all that came read anew each time.
        if self.buffer.len() < self.whole {
            return Ok(None);
        }
        let from = self.searched.saturating_sub(3);
        let found = self.buffer[from..].windows(4).position(|window| window == b"\r\n\r\n");
        let Some(head) = found.map(|at| from + at) else {
            self.searched = self.buffer.len();
            return if self.buffer.len() > self.bounds.max_message {
                self.too_long()
            } else {
                Ok(None)
            };
        };
        let head_len = head + 4;
        let (mut message, _) = Message::parse_head(&self.buffer[..head_len], self.bounds)?;
        let Some(length) = message.content_length()? else {
            let what = "Content-Length is missing; over streams write it, 0 without a body";
            return Err(Malformed::new("RFC 3261 18.3", head, what));
        };
        let Some(total) =
            head_len.checked_add(length).filter(|total| *total <= self.bounds.max_message)
        else {
            return self.too_long();
        };
        if self.buffer.len() < total {
            (self.searched, self.whole) = (head, total);
            return Ok(None);
        }
        (self.searched, self.whole) = (0, 0);
        let raw: Vec<u8> = self.buffer.drain(..total).collect();
        message.body = raw[head_len..].to_vec();
        Ok(Some(Frame::Message { message: Box::new(message), raw }))
    }

    /// A CRLF may be half of a ping: a pong is known only by what follows it, or by silence. So a
    /// lone CRLF is reported at once, and a second one makes the pair a ping.
    fn keep_alive(&mut self) -> Option<Frame> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.drain(..4);
            return Some(Frame::Ping);
        }
        // Exactly one CRLF, or one before a message: the peer's pong. "\r\n\r" may become a ping.
        let settled = self.buffer.len() > 2 && self.buffer[2] != b'\r';
        if self.buffer.starts_with(b"\r\n") && settled {
            self.buffer.drain(..2);
            return Some(Frame::Pong);
        }
        if self.buffer.len() > 1 && self.buffer[1] != b'\n' {
            self.buffer.drain(..1);
            return Some(Frame::Pong);
        }
        None
    }

    /// Takes a single CRLF that is all that came since the last frame; true if it was there. To whom
    /// sent a ping it is the answer, which would else wait for the next byte to tell what it is, and
    /// be half of a ping with the next answer.
    pub fn take_pong(&mut self) -> bool {
        let is_pong = self.buffer == b"\r\n";
        if is_pong {
            self.buffer.clear();
        }
        is_pong
    }

    fn too_long<T>(&self) -> Result<T, Malformed> {
        let most = self.bounds.max_message;
        let what = format!("a message longer than {most} bytes; send less");
        Err(Malformed::new("RFC 3261 18.3", most, what))
    }
}
