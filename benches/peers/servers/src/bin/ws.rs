//! An echo over ws, which has a loop of its own; it knows no Unix-domain sockets.

use servers::Outcome;
use ws::{Builder, Message, Sender, Settings};

const LARGEST: usize = 4 << 20;

fn main() -> Outcome {
    let addr = std::env::args().next_back().ok_or("usage: [--batch] ADDR")?;
    let settings = Settings {
        max_connections: 20_000,
        fragment_size: LARGEST,
        max_fragment_size: LARGEST,
        tcp_nodelay: true,
        ..Settings::default()
    };
    let mut builder = Builder::new();
    let socket = builder
        .with_settings(settings)
        .build(|sender: Sender| move |message: Message| sender.send(message))?;
    socket.listen(addr)?;
    Ok(())
}
