use reveille_wire::jsonrtc::FrameType;

use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "messaging",
    take: |node, session, action, frame| {
        match (action, frame.control.kind) {
            ("send", FrameType::Request) => node.on_send(session, frame),
            ("send", _) => node.on_send_answer(session, frame),
            _ => return false,
        }
        true
    },
};
