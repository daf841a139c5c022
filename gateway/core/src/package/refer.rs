use reveille_wire::jsonrtc::FrameType;

use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "refer",
    take: |node, session, action, frame| {
        if action != "start" || frame.control.kind == FrameType::Request {
            return false;
        }
        node.on_refer_answer(session, frame);
        true
    },
};
