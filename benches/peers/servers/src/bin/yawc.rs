//! An echo over yawc, with UTF-8 checked and buffers as in its own comparison.

use futures_util::StreamExt;
use servers::{Load, Outcome, Peer, Socket, echo, over_hyper, run};
use yawc::{Frame, OpCode, Options, WebSocket, WebSocketError};

struct Yawc;

impl Peer for Yawc {
    async fn serve<S: Socket>(socket: S, load: Load) -> Outcome {
        over_hyper(socket, move |request| {
            let (response, upgraded) =
                WebSocket::upgrade_with_options(request, options()).map_err(std::io::Error::other)?;
            tokio::spawn(tokio::task::unconstrained(async move {
                // Its stream ends where others tell of an error first.
                let socket = upgraded.await?.map(Ok::<_, WebSocketError>);
                echo(socket, load.flush, is_data).await
            }));
            Ok(response)
        })
        .await
    }
}

fn options() -> Options {
    Options::default()
        .without_compression()
        .with_utf8()
        .with_limits(4 << 20, 8 << 20)
        .with_read_buffer_capacity(128 << 10)
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}

fn main() -> Outcome {
    run::<Yawc>()
}
