//! Bodies of answers: whole, or without an end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::{Body, Frame};

/// What is sent.
pub(super) type Sent = Either<Full<Bytes>, Endless>;

/// A body that begins and never ends.
#[derive(Debug, Default)]
pub(super) struct Endless {
    begun: bool,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.begun, true) {
            // Nobody wakes it: it lasts as long as the requester bears it.
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{")))))
    }
}

/// An answer whose body is whole.
pub(super) fn whole(response: Response<Full<Bytes>>) -> Response<Sent> {
    response.map(Either::Left)
}

/// Status 200 and a body without an end.
pub(super) fn endless() -> Response<Sent> {
    Response::new(Either::Right(Endless::default()))
}

/// Status 200 as a proxy gives it that wants its user to sign in.
pub(super) fn page() -> Response<Full<Bytes>> {
    let page = Bytes::from_static(b"<!DOCTYPE html><title>Welcome</title>\n");
    let mut response = Response::new(Full::new(page));
    let kind = hyper::header::HeaderValue::from_static("text/html; charset=UTF-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}
