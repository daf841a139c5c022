use reveille_wire::jsonrtc::FrameType;

use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "message_notification",
    take: |node, session, action, frame| {
        match (action, frame.control.kind) {
            ("start", FrameType::Request) => node.on_subscribe(session, frame),
            ("shutdown", _) => node.on_unsubscribe(session, frame),
            _ => return false,
        }
        true
    },
};
