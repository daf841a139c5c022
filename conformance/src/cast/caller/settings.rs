use serde::{Deserialize, Serialize};

use crate::cast::phone::Conduct;
use crate::cast::sip::Transport;

/// How a caller is set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// `address:port` to be reached at; port 0 takes any.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// The host that Via and Contact name.
    pub advertise: String,
    /// `host:port` that requests are sent to.
    pub gateway: String,
    /// What they are sent over.
    #[serde(default)]
    pub transport: Transport,
    /// The domain of the From header.
    #[serde(default = "default_domain")]
    pub domain: String,
    /// Calls to place without being told to.
    #[serde(default, rename = "call")]
    pub calls: Vec<Call>,
    /// What it does with a call, and with what a peer wants changed in one.
    #[serde(default)]
    pub conduct: Conduct,
    /// What it says of a call before its answer.
    #[serde(default)]
    pub early: Early,
}

fn default_listen() -> String {
    "0.0.0.0:5060".to_owned()
}

pub(super) fn default_domain() -> String {
    "example.com".to_owned()
}

/// What is said of a call before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Early {
    /// 180.
    #[default]
    Ringing,
    /// 180, sent again until its PRACK (RFC 3262) where the peer supports that.
    ReliableRinging,
    /// 183 with an SDP.
    Media,
    /// 183 with an SDP, sent again until its PRACK where the peer supports that.
    ReliableMedia,
    /// Nothing.
    Silence,
}

impl Early {
    pub(super) const fn status(self) -> Option<u16> {
        match self {
            Self::Ringing | Self::ReliableRinging => Some(180),
            Self::Media | Self::ReliableMedia => Some(183),
            Self::Silence => None,
        }
    }

    pub(super) const fn is_reliable(self) -> bool {
        matches!(self, Self::ReliableRinging | Self::ReliableMedia)
    }
}

/// Where ACK and BYE within the dialog are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDialog {
    /// To the Contact of the 2xx (RFC 3261 12.2.1.1).
    #[default]
    Contact,
    /// To the URI first called, as SIPp's built-in caller does.
    RequestUri,
}

/// One call to place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Call {
    /// Its mark; unique at this caller.
    pub mark: String,
    /// The URI to call.
    pub to: String,
    /// Hang up that long after the answer; absent: only when told, or never.
    #[serde(default)]
    pub hang_up_after_ms: Option<u64>,
    /// Where ACK and BYE are addressed.
    #[serde(default)]
    pub in_dialog: InDialog,
    /// That many answers (2xx) are lost on their way: received, and not acted upon.
    #[serde(default)]
    pub lost_answers: u32,
    /// The INVITE brings no offer; that of the 2xx is answered in the ACK (RFC 3261 13.2.2.4).
    #[serde(default)]
    pub late_offer: bool,
}
