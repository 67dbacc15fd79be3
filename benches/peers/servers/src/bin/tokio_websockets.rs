//! An echo or a topic over tokio-websockets, configured as in its own benchmark: no splitting of messages into frames.

use bytes::Bytes;
use servers::{Load, Outcome, Peer, Socket, echo, run, subscribe};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

struct TokioWebsockets;

impl Peer for TokioWebsockets {
    const BROADCASTS: bool = true;

    async fn serve<S: Socket>(socket: S, load: Load) -> Outcome {
        let config = Config::default().frame_size(usize::MAX);
        let builder = ServerBuilder::new().config(config).limits(Limits::unlimited());
        let (_request, socket) = builder.accept(socket).await?;
        match load.topic {
            Some(topic) => subscribe(socket, topic, payload, Message::binary::<Bytes>).await,
            None => echo(socket, load.flush, is_data).await,
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

fn payload(message: Message) -> Option<Bytes> {
    is_data(&message).then(|| message.into_payload().into())
}

fn main() -> Outcome {
    run::<TokioWebsockets>()
}
