//! An echo over tokio-websockets, configured as in its own benchmark: no splitting of messages into frames.

use servers::{Load, Outcome, Peer, Socket, echo, run};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

struct TokioWebsockets;

impl Peer for TokioWebsockets {
    async fn serve<S: Socket>(socket: S, load: Load) -> Outcome {
        let config = Config::default().frame_size(usize::MAX);
        let builder = ServerBuilder::new().config(config).limits(Limits::unlimited());
        let (_request, socket) = builder.accept(socket).await?;
        echo(socket, load.flush, |message: &Message| message.is_text() || message.is_binary()).await
    }
}

fn main() -> Outcome {
    run::<TokioWebsockets>()
}
