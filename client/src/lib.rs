//! The app's side of a session that sleeps: give the gateway a push token, ask to sleep, be woken
//! by a push, come back to the same session and get the calls that waited, through the same events
//! as any other call.
//!
//! ```no_run
//! # async fn app(host: reveille_host::Host, scribe: reveille_trace::Scribe) {
//! use reveille_client::{App, Event, Settings, State};
//!
//! let settings = Settings::new("gateway.example.com:8080", "app", "bob", "secret")
//!     .with_token("token-from-the-push-service", "webhook", "com.example.app");
//! let (app, mut events) = App::start(host, scribe, settings, None);
//! while let Some(event) = events.recv().await {
//!     match event {
//!         Event::State(State::Connected { .. }) => app.hibernate(Some(3_600)),
//!         Event::Incoming(call) => {
//!             app.ring(&call.subsession_id);
//!             app.answer(&call.subsession_id, "v=0...");
//!         }
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! [`App::call`] places a call, and [`App::change`] wants one that stands changed; what the other side
//! wants changed is answered as a call is.
//!
//! Asleep, the app holds no socket and sends nothing. When a push arrives, hand its payload to
//! [`App::wake`]; if the process was gone meanwhile, start again with the [`SavedState`] that was
//! stored last.
//!
//! **Invariant:** a call is given to the app through [`Event::Incoming`] whether the app slept or
//! not, and every resume says which calls the app still holds, so that one it lost comes again.
#![warn(missing_docs)]

mod app;
mod connection;
#[cfg(test)]
mod connection_tests;
mod session;
#[cfg(test)]
mod sleep_tests;
mod state;

pub use app::{App, Events, Settings};
pub use state::{Event, IncomingCall, IncomingMessage, SavedState, State};
