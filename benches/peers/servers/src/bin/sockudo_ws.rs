//! An echo over sockudo-ws by its raw interface, which is the cheapest it has: no UTF-8 check, gathered writes.

use std::io::IoSlice;

use bytes::{Buf, BytesMut};
use servers::{Flush, Load, Outcome, Peer, Socket, run};
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{Config, OpCode, RawMessage, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Sockudo;

impl Peer for Sockudo {
    async fn serve<S: Socket>(mut socket: S, load: Load) -> Outcome {
        let mut input = BytesMut::with_capacity(sockudo_ws::RECV_BUFFER_SIZE);
        open(&mut socket, &mut input).await?;
        let config = Config::default();
        let mut protocol = Protocol::new(Role::Server, config.max_frame_size, config.max_message_size);
        let (mut messages, mut output) = (Vec::new(), BytesMut::new());
        loop {
            protocol.process_raw_into(&mut input, &mut messages)?;
            for message in messages.drain(..) {
                let (opcode, payload) = match message {
                    RawMessage::Text(payload) => (OpCode::Text, payload),
                    RawMessage::Binary(payload) => (OpCode::Binary, payload),
                    RawMessage::Ping(payload) => (OpCode::Pong, payload),
                    RawMessage::Pong(_) => continue,
                    RawMessage::Close(_) => return Ok(()),
                };
                encode_frame_header(&mut output, opcode, payload.len(), true, None);
                if load.flush == Flush::Batch {
                    output.extend_from_slice(payload.as_ref());
                } else {
                    write(&mut socket, &mut output, payload.as_ref()).await?;
                }
            }
            write(&mut socket, &mut output, &[]).await?;
            if socket.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        }
    }
}

async fn open<S: Socket>(socket: &mut S, input: &mut BytesMut) -> Outcome {
    loop {
        if socket.read_buf(input).await? == 0 {
            return Err("the peer left".into());
        }
        if let Some((request, consumed)) = parse_request(input)? {
            let response = build_response(&generate_accept_key(request.key), None, None);
            socket.write_all(&response).await?;
            input.advance(consumed);
            return Ok(());
        }
    }
}

/// Writes both, gathered, and empties the first.
async fn write<S: Socket>(socket: &mut S, head: &mut BytesMut, mut payload: &[u8]) -> Outcome {
    while !head.is_empty() || !payload.is_empty() {
        let written = socket.write_vectored(&[IoSlice::new(head), IoSlice::new(payload)]).await?;
        let of_head = written.min(head.len());
        head.advance(of_head);
        payload = payload.get(written - of_head..).unwrap_or_default();
    }
    head.clear();
    Ok(())
}

fn main() -> Outcome {
    run::<Sockudo>()
}
