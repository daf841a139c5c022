//! The push service: takes every request at once, and tells the phone's task.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

/// Whom a token belongs to.
pub(crate) type Phones = Arc<BTreeMap<String, UnboundedSender<()>>>;

pub(crate) async fn serve(address: String, phones: Phones) {
    let listener = TcpListener::bind(&address).await.expect("the port is free");
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        // Fails only on a socket that is gone.
        let _gone: bool = socket.set_nodelay(true).is_err();
        let phones = Arc::clone(&phones);
        let answer = move |request: Request<hyper::body::Incoming>| {
            let phones = Arc::clone(&phones);
            async move {
                let body = request.into_body().collect().await.map(|body| body.to_bytes());
                let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
                let token =
                    text.split_once("\"token\":\"").and_then(|(_, rest)| rest.split('"').next());
                if let Some(phone) = token.and_then(|token| phones.get(token)) {
                    // Fails only when the bench is over.
                    let _over: bool = phone.send(()).is_err();
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        };
        tokio::spawn(async move {
            let service = hyper::service::service_fn(answer);
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            // A connection that breaks is the gateway's end.
            let _broken: bool =
                server.serve_connection(TokioIo::new(socket), service).await.is_err();
        });
    }
}
