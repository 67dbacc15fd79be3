//! Another thread posts to the loop: a clock whose ticks every connected client gets.
//!
//!     cargo run --release --example remote -- [ADDR]

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use gnezdo::{Closed, Config, ConnId, Context, Handler, PostError, Reactor, Remote};

/// What the other thread says.
struct Tick(u64);

#[derive(Default)]
struct Clock {
    listeners: BTreeSet<ConnId>,
}

impl Handler for Clock {
    type Conn = ();
    type Post = Tick;

    fn on_open(&mut self, _cx: &mut Context<'_, Self>, id: ConnId) {
        self.listeners.insert(id);
    }

    fn on_post(&mut self, cx: &mut Context<'_, Self>, Tick(count): Tick) {
        let text = format!("tick {count}");
        for id in &self.listeners {
            // Whoever does not keep up misses ticks, not memory.
            let _ = cx.send(*id, &text);
        }
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, _closed: &Closed) {
        self.listeners.remove(&id);
    }
}

fn tick(remote: &Remote<Tick>) {
    for count in 0.. {
        std::thread::sleep(Duration::from_millis(100));
        match remote.try_post(Tick(count)) {
            Ok(()) => {}
            Err(PostError::Full(Tick(count))) => {
                eprintln!("remote: the loop is busy, tick {count} is dropped");
            }
            Err(PostError::Gone(_)) => return,
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("remote: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    if addr == "--help" {
        println!(
            "usage: remote [ADDR]   (every client gets the ticks of another thread; default 127.0.0.1:9001)"
        );
        return Ok(());
    }
    let mut reactor = Reactor::new(Clock::default(), Config::default())?;
    println!("listening on ws://{}", reactor.listen(&addr.parse()?)?.addr);
    let remote = reactor.remote();
    std::thread::spawn(move || tick(&remote));
    Ok(reactor.run()?)
}
