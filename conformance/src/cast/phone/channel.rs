//! The operating system's own connection to the push service.

use std::time::Duration;

use reveille_host::{Host, within};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use super::{Input, Settings};

/// How often the push channel is dialled again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long dialling it may take.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// The longest payload line.
const LINE_LIMIT: u64 = 16 * 1024;

/// Keeps the operating system's own connection to the push service.
pub(super) async fn push_channel(host: Host, settings: Settings, inbox: mpsc::Sender<Input>) {
    while !inbox.is_closed() {
        let dialled = within(&*host.clock, DIAL_LIMIT, host.net.dial(&settings.push)).await;
        if let Some(Ok(mut stream)) = dialled {
            let mut hello = serde_json::json!({"token": settings.token});
            if settings.os.is_some() {
                hello["labels"] = true.into();
            }
            let hello = format!("{hello}\n");
            let said = within(&*host.clock, DIAL_LIMIT, stream.write_all(hello.as_bytes())).await;
            let mut reader = BufReader::new(stream);
            loop {
                if !matches!(said, Some(Ok(()))) {
                    break;
                }
                let mut line = String::new();
                let read = (&mut reader).take(LINE_LIMIT).read_line(&mut line).await;
                if !matches!(read, Ok(1..)) || !line.ends_with('\n') {
                    break;
                }
                if inbox.send(Input::Push(line.trim_end().to_owned())).await.is_err() {
                    return;
                }
            }
        }
        host.sleep(AGAIN).await;
    }
}
