//! An echo or a topic over tokio-tungstenite, with a read buffer that fits the messages: it is zeroed before each read.

use servers::{Load, Outcome, Peer, Socket, echo, run, subscribe};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

struct Tungstenite;

impl Peer for Tungstenite {
    const BROADCASTS: bool = true;

    async fn serve<S: Socket>(socket: S, load: Load) -> Outcome {
        let config = WebSocketConfig::default().read_buffer_size((load.message + 4096).min(128 << 10));
        let socket = accept_async_with_config(socket, Some(config)).await?;
        match load.topic {
            Some(topic) => subscribe(socket, topic, payload, Message::Binary).await,
            None => echo(socket, load.flush, is_data).await,
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

fn payload(message: Message) -> Option<Bytes> {
    is_data(&message).then(|| message.into_data())
}

fn main() -> Outcome {
    run::<Tungstenite>()
}
