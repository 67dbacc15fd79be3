//! The reactor inside a foreign loop: another `mio::Poll` waits for it, as an event loop of a game or a GUI would.
//!
//!     cargo run --release --example embed -- [ADDR]

use std::error::Error;
use std::time::{Duration, Instant};

use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let _ = cx.send(id, message);
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("embed: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    if addr == "--help" {
        println!("usage: embed [ADDR]   (an echo server inside a foreign loop; default 127.0.0.1:9001)");
        return Ok(());
    }
    let mut reactor = Reactor::new(Echo, Config::default())?;
    println!("listening on ws://{}", reactor.listen(&addr.parse()?)?.addr);

    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
    let descriptor = reactor.as_raw_fd().ok_or("this system has no descriptor to wait for")?;
    poll.registry().register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE)?;
    let mut frame = Instant::now();
    loop {
        // The foreign loop has a beat of its own, and wakes for the reactor's events and deadlines as well.
        let beat = frame.saturating_duration_since(Instant::now());
        let wait = reactor.next_wait().map_or(beat, |wait| wait.min(beat));
        poll.poll(&mut events, Some(wait))?;
        reactor.turn(Some(Duration::ZERO))?;
        if Instant::now() >= frame {
            frame += Duration::from_millis(100); // here it would draw
        }
    }
}
