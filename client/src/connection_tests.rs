//! What leaves a socket, and when.

use futures_util::{SinkExt as _, StreamExt as _};
use reveille_host::BoxStream;
use reveille_trace::{Recorder, Scribe};
use reveille_wire::jsonrtc::SUBPROTOCOL;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::{App, SavedState, Settings};

type Socket = WebSocketStream<BoxStream>;

/// The gateway's end of one WebSocket.
async fn opened(listener: &mut Box<dyn reveille_host::Listener>) -> Socket {
    let (stream, _) = listener.accept().await.unwrap();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let echo = |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(stream, echo).await.unwrap()
}

async fn told(socket: &mut Socket) -> String {
    socket.next().await.unwrap().unwrap().to_text().unwrap().to_owned()
}

async fn numbered(socket: &mut Socket) -> u64 {
    let frame: Value = serde_json::from_str(&told(socket).await).unwrap();
    frame["control"]["sequence"].as_u64().unwrap()
}

#[test]
fn nothing_leaves_before_the_connect_is_answered_nor_before_its_number_is_saved() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = reveille_host::real::host();
        let mut listener = host.net.listen("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap().to_string();
        let saved = SavedState { session_id: "S1".to_owned(), last_in: 2, last_out: 2, ttl_s: 0 };
        let scribe = Scribe::new(Recorder::keeping(), "bob");
        let settings = Settings::new(&gateway, "app", "bob", "s");
        let (app, _events) = App::start(host.clone(), scribe, settings, Some(saved));
        let mut socket = opened(&mut listener).await;
        assert!(told(&mut socket).await.contains("\"cslr\":2"));
        let _early = app.call("alice@example.com", "v=0");
        app.resume();
        assert_eq!(told(&mut socket).await, "ping", "the call before it waits");
        let resumed = json!({"control": {"type": "response", "package_type": "register",
            "session_id": "S1", "ack_sequence": 3},
            "header": {"action": "connect", "response_code": 200, "sslr": 3}});
        socket.send(Message::text(resumed.to_string())).await.unwrap();
        assert_eq!(numbered(&mut socket).await, 4);
        let _later = app.call("alice@example.com", "v=0");
        assert_eq!(numbered(&mut socket).await, 5);
        assert_eq!(app.saved_state().last_out, 5);
    });
}
