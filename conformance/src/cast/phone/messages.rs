//! What a phone does with messages, and with what waits for its user elsewhere.

use super::{AppCommand, Conduct, Phone, Process};

impl Phone {
    /// Sends a message; the app is opened for it.
    pub(super) async fn send(&mut self, mark: String, to: String) {
        self.open();
        if let Process::Sdk(app) = &self.process {
            drop(app.send(&to, &mark));
        } else {
            let id = super::calls::uuid(&self.host.random_hex());
            self.order(AppCommand::Send(id, to, mark)).await;
        }
    }

    pub(super) async fn subscribe(&mut self, to: String) {
        self.open();
        if let Process::Sdk(app) = &self.process {
            drop(app.subscribe(&to));
        } else {
            let id = super::calls::uuid(&self.host.random_hex());
            self.order(AppCommand::Subscribe(id, to)).await;
        }
    }

    /// A message is treated as a call is; who lets calls ring does not answer it.
    pub(super) async fn take_message(&self, message: String) {
        let status = match self.settings.conduct {
            Conduct::Answer { .. } => 200,
            Conduct::Decline { status } => status,
            Conduct::Ring => return,
        };
        self.order(AppCommand::AnswerMessage(message, status)).await;
    }
}
