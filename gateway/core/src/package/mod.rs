//! The packages of JsonRTC, by name. A package is one file here and one entry in [`PACKAGES`]: it
//! says what it makes of an action, and the node does the rest: numbers, durability, replay, and
//! the refusal of what nobody takes.

mod call;
mod message_notification;
mod messaging;
#[cfg(test)]
mod probe;
mod refer;
mod register;

use reveille_wire::jsonrtc::Frame;

use crate::node::Node;
use crate::record::SessionId;

/// A package: its `package_type`, and what takes a frame of the app that has its number. False: no
/// such action.
pub(crate) struct Package {
    name: &'static str,
    take: fn(&mut Node, &SessionId, &str, &Frame) -> bool,
}

/// Every package.
const PACKAGES: &[Package] = &[
    register::PACKAGE,
    call::PACKAGE,
    messaging::PACKAGE,
    message_notification::PACKAGE,
    refer::PACKAGE,
    #[cfg(test)]
    probe::PACKAGE,
];

/// Gives a frame to its package. False: no such package, or no such action of it.
pub(crate) fn take(node: &mut Node, session: &SessionId, frame: &Frame) -> bool {
    let action = frame.header.action.as_deref().unwrap_or_default();
    let package = PACKAGES.iter().find(|package| package.name == frame.control.package);
    package.is_some_and(|package| (package.take)(node, session, action, frame))
}
