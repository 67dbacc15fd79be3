//! An echo over fastwebsockets, as its own echo server does it: frames unmasked in place and written gathered.

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode};
use servers::{Load, Outcome, Peer, Socket, over_hyper, run};

struct Fastwebsockets;

impl Peer for Fastwebsockets {
    async fn serve<S: Socket>(socket: S, _load: Load) -> Outcome {
        over_hyper(socket, |mut request| {
            let (response, upgraded) = upgrade(&mut request).map_err(std::io::Error::other)?;
            tokio::spawn(tokio::task::unconstrained(echo(upgraded)));
            Ok(response)
        })
        .await
    }
}

async fn echo(upgraded: UpgradeFut) -> Outcome {
    let mut socket = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

fn main() -> Outcome {
    run::<Fastwebsockets>()
}
