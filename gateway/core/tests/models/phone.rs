//! A phone whose app keeps the counters that the product's SDK keeps (jsonrtc.md section 2), and
//! complains about what no gateway may do to them.

use serde_json::{Value, json};

/// What an app was told that concerns a call or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// The resume was taken, with the number of the last frame the gateway has.
    Resumed(u64),
    /// A request of this action from this user, with its number, subsession and correlation.
    Request {
        action: String,
        from: String,
        sequence: u64,
        frame: Value,
    },
    /// A message of this action about this subsession.
    Told {
        action: String,
        subsession: String,
    },
    /// An answer to a request of the app, by correlation, with its code.
    Answer {
        correlation: String,
        code: u64,
        error: bool,
    },
    Acknowledged(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct Phone {
    session: String,
    pub(crate) last_in: u64,
    pub(crate) last_out: u64,
    /// The socket that it speaks on.
    pub(crate) socket: Option<u64>,
    sockets: u64,
    /// The gateway took the resume on this socket.
    pub(crate) synced: bool,
    unacknowledged: Vec<(u64, Value)>,
    /// Every numbered frame that was ever sent to it, from the number after `base`.
    stream: Vec<Value>,
    base: u64,
    /// What is sent to it is lost, and nobody knows yet.
    pub(crate) deaf: bool,
    /// The highest acknowledgement heard.
    acknowledged: u64,
    /// The subsessions that the app shows.
    pub(crate) holds: Vec<String>,
}

impl Phone {
    pub(crate) const fn new(session: String, last_in: u64, last_out: u64) -> Self {
        Self {
            session,
            last_in,
            last_out,
            socket: None,
            sockets: 1,
            synced: false,
            unacknowledged: Vec::new(),
            stream: Vec::new(),
            base: last_in,
            deaf: false,
            acknowledged: last_out,
            holds: Vec::new(),
        }
    }

    /// A new socket and the first frame on it.
    pub(crate) fn resume(&mut self) -> (u64, Value) {
        self.sockets += 1;
        self.socket = Some(self.sockets);
        (self.synced, self.deaf) = (false, false);
        let frame = json!({
            "control": {"type": "request", "package_type": "register",
                "session_id": self.session, "version": "1.0"},
            "header": {"action": "connect", "initiator": "bob@example.com",
                "target": "bob@example.com", "cslr": self.last_in, "subsessions": self.holds},
        });
        (self.sockets, frame)
    }

    pub(crate) const fn lose(&mut self) {
        self.socket = None;
        self.synced = false;
        self.deaf = false;
    }

    /// The operating system ends the app: what is not among the saved counters is gone.
    pub(crate) fn killed(&mut self) {
        self.lose();
        self.holds.clear();
        self.unacknowledged.clear();
    }

    /// The next frame of the app.
    pub(crate) fn say(&mut self, mut frame: Value) -> Value {
        self.last_out += 1;
        let control = &mut frame["control"];
        control["sequence"] = self.last_out.into();
        control["session_id"] = self.session.clone().into();
        control["ack_sequence"] = self.last_in.into();
        control["version"] = "1.0".into();
        self.unacknowledged.push((self.last_out, frame.clone()));
        frame
    }

    /// Frames that the gateway does not have, to be sent again after a resume.
    pub(crate) fn unsent(&self) -> Vec<Value> {
        self.unacknowledged.iter().map(|it| it.1.clone()).collect()
    }

    /// Everything that was sent to it has reached it.
    pub(crate) const fn hears_all(&self) -> bool {
        self.last_in == self.base + self.stream.len() as u64
    }

    /// Takes a text that was sent on `socket`: what it says, if the phone hears it.
    pub(crate) fn hear(&mut self, socket: u64, frame: &Value) -> Result<Option<News>, String> {
        if Some(socket) != self.socket {
            return Err(format!("a frame on socket {socket}, which is not in use: {frame}"));
        }
        if frame == "pong" {
            return Ok(None);
        }
        let control = &frame["control"];
        if let Some(sequence) = control["sequence"].as_u64() {
            self.send(sequence, frame)?;
        }
        if self.deaf {
            return Ok(None);
        }
        self.hear_ack(control["ack_sequence"].as_u64(), frame)?;
        if let Some(sslr) = frame["header"]["sslr"].as_u64() {
            return self.hear_resumed(sslr, frame).map(Some);
        }
        if !self.synced {
            return Err(format!("a frame before the answer to the resume: {frame}"));
        }
        if let Some(sequence) = control["sequence"].as_u64() {
            self.hear_number(sequence, frame)?;
        }
        Ok(Self::news(frame))
    }

    /// An acknowledgement confirms what was sent, and never takes back.
    fn hear_ack(&mut self, ack: Option<u64>, frame: &Value) -> Result<(), String> {
        let ack = ack.ok_or_else(|| format!("no ack_sequence: {frame}"))?;
        if ack > self.last_out {
            return Err(format!("acknowledges {ack}, and the app sent {}", self.last_out));
        }
        self.unacknowledged.retain(|it| it.0 > ack);
        self.acknowledged = self.acknowledged.max(ack);
        Ok(())
    }

    fn hear_resumed(&mut self, sslr: u64, frame: &Value) -> Result<News, String> {
        if !frame["control"]["sequence"].is_null() {
            return Err(format!("the answer to a resume has a number: {frame}"));
        }
        if frame["control"]["session_id"] != self.session.as_str() {
            return Err(format!("another session: {frame}"));
        }
        if sslr > self.last_out || sslr < self.acknowledged {
            return Err(format!(
                "sslr {sslr} with {} sent and {} acknowledged",
                self.last_out, self.acknowledged
            ));
        }
        self.synced = true;
        self.unacknowledged.retain(|it| it.0 > sslr);
        Ok(News::Resumed(sslr))
    }

    fn hear_number(&mut self, sequence: u64, frame: &Value) -> Result<(), String> {
        if sequence != self.last_in + 1 {
            return Err(format!("number {sequence} after {}: {frame}", self.last_in));
        }
        self.last_in = sequence;
        Ok(())
    }

    /// A number names one frame for ever, and none is left out.
    fn send(&mut self, sequence: u64, frame: &Value) -> Result<(), String> {
        let sent = self.base + self.stream.len() as u64;
        if sequence == sent + 1 {
            self.stream.push(frame.clone());
            return Ok(());
        }
        let place = sequence.checked_sub(self.base + 1).and_then(|it| usize::try_from(it).ok());
        match place.and_then(|it| self.stream.get(it)) {
            Some(before) if before == frame => Ok(()),
            Some(before) => Err(format!("number {sequence} twice: {before} and {frame}")),
            None => Err(format!("number {sequence} is sent after {sent}: {frame}")),
        }
    }

    /// The frame bears a number that no frame bore before.
    pub(crate) fn sends_fresh(&self, frame: &Value) -> bool {
        let sent = self.base + self.stream.len() as u64;
        frame["control"]["sequence"].as_u64().is_some_and(|it| it > sent)
    }

    fn news(frame: &Value) -> Option<News> {
        let (control, header) = (&frame["control"], &frame["header"]);
        let word = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let action = word(&header["action"]);
        match control["type"].as_str()? {
            "request" => Some(News::Request {
                action,
                from: word(&header["initiator"]),
                sequence: control["sequence"].as_u64()?,
                frame: frame.clone(),
            }),
            "message" => Some(News::Told { action, subsession: word(&control["subsession_id"]) }),
            "acknowledgement" => Some(News::Acknowledged(control["ack_sequence"].as_u64()?)),
            kind => {
                let error = kind == "error";
                let code = if error { "error_code" } else { "response_code" };
                Some(News::Answer {
                    correlation: word(&control["correlation_id"]),
                    code: header[code].as_u64().unwrap_or_default(),
                    error,
                })
            }
        }
    }
}
