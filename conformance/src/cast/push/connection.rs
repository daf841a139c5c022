//! Connections of senders: accepted, shaken, and served until either side ends them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reveille_host::{BoxStream, Listener, Tasks};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::{Service, apns, tls};

/// One connection of a sender.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) seen: apns::Seen,
    /// Numbers the connections, from 1.
    pub(super) number: u64,
    /// Told when GOAWAY is due.
    pub(super) goes: Notify,
}

/// Takes senders in until the listener fails.
///
/// # Errors
/// Why it failed.
pub(super) async fn accept(
    service: Arc<Service>,
    mut requests: Box<dyn Listener>,
    tls: Option<TlsAcceptor>,
) -> Result<(), String> {
    loop {
        let (stream, _) = requests.accept().await.map_err(|error| error.to_string())?;
        let (own, tls) = (service.clone(), tls.clone());
        let connection = async move {
            let stream = match &tls {
                None => Ok((stream, true)),
                Some(acceptor) => tls::accept(acceptor, stream, &own.host).await,
            };
            match stream {
                Ok((stream, two)) => serve(own, stream, two).await,
                Err(what) => own.say(format!("push connection ended: {what}")),
            }
        };
        service.host.tasks.spawn("push-connection", Box::pin(connection));
    }
}

/// Lets hyper run its streams as tasks of the host.
#[derive(Clone)]
pub(super) struct Executor(pub(super) Arc<dyn Tasks>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        self.0.spawn("push-stream", Box::pin(future));
    }
}

async fn serve(service: Arc<Service>, stream: BoxStream, two: bool) {
    let number = {
        let mut state = service.state();
        state.connections += 1;
        state.connections
    };
    let connection = Arc::new(Connection { number, ..Connection::default() });
    let (own, of) = (service.clone(), connection.clone());
    let answer = service_fn(move |request| {
        let (service, connection) = (own.clone(), of.clone());
        async move { service.answer(request, &connection).await }
    });
    let stream = TokioIo::new(stream);
    let ended = if two {
        let executor = Executor(service.host.tasks.clone());
        let builder = hyper::server::conn::http2::Builder::new(executor);
        let mut served = pin!(builder.serve_connection(stream, answer));
        let mut goes = pin!(connection.goes.notified());
        let mut gone = false;
        poll_fn(|context| {
            if !gone && goes.as_mut().poll(context).is_ready() {
                gone = true;
                served.as_mut().graceful_shutdown();
            }
            served.as_mut().poll(context)
        })
        .await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, answer).await
    };
    if let Err(error) = ended {
        service.say(format!("push connection ended: {error}"));
    }
}
