use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "register",
    take: |node, session, action, frame| {
        match action {
            "hibernate" => node.on_hibernate(session, frame),
            "connect" => {
                node.refuse_frame(session, frame, 400, "this socket has its session already");
            }
            _ => return false,
        }
        true
    },
};
