//! An echo over tokio-tungstenite, with a read buffer that fits the messages: it is zeroed before each read.

use servers::{Load, Outcome, Peer, Socket, echo, run};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

struct Tungstenite;

impl Peer for Tungstenite {
    async fn serve<S: Socket>(socket: S, load: Load) -> Outcome {
        let config = WebSocketConfig::default().read_buffer_size((load.message + 4096).min(128 << 10));
        let socket = accept_async_with_config(socket, Some(config)).await?;
        echo(socket, load.flush, |message: &Message| message.is_text() || message.is_binary()).await
    }
}

fn main() -> Outcome {
    run::<Tungstenite>()
}
