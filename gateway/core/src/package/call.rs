use super::Package;

pub(super) const PACKAGE: Package = Package {
    name: "call",
    take: |node, session, action, frame| {
        match action {
            "start" => node.on_start_answer(session, frame),
            "shutdown" => node.on_shutdown(session, frame),
            "complete" => node.on_complete(session, frame),
            "prack" => node.on_prack(session, frame),
            "trickle" => node.on_trickle(session, frame),
            _ => return false,
        }
        true
    },
};
