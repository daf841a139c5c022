use reveille_wire::jsonrtc::FrameType;

use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "register",
    take: |node, session, action, frame| {
        match action {
            "hibernate" if frame.control.kind != FrameType::Request => {
                node.on_sleep_answer(session, frame);
            }
            "hibernate" => node.on_hibernate(session, frame),
            "iceEnquiry" if frame.control.kind == FrameType::Request => {
                node.on_ice_enquiry(session, frame);
            }
            "connect" => {
                node.refuse_frame(session, frame, 400, "this socket has its session already");
            }
            _ => return false,
        }
        true
    },
};
