//! An echo server of raw bytes on one thread, over TCP and Unix-domain sockets at once.
//!
//!     cargo run --release --example tcp_echo -- [ADDR…]

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use gnezdo::{Addr, Config, ConnId, Context, Handler, Listen, Reactor};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const HELP: &str = "\
An echo server of raw bytes.

usage: tcp_echo [ADDR…]

  ADDR    127.0.0.1:9001 (default), [::1]:9001, 0.0.0.0:0,
          unix:/run/echo.sock, unix:@abstract-name
  --help  this text

SIGINT and SIGTERM end it once everything sent is flushed.";

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        // Nothing is read while the queue is above its high-water mark, so it always has room for what was.
        if cx.send(id, bytes).is_err() {
            cx.abort(id);
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("tcp_echo: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(addrs) = parse(lexopt::Parser::from_env())? else {
        println!("{HELP}");
        return Ok(());
    };
    let mut reactor = Reactor::new(Echo, Config::default())?;
    for addr in &addrs {
        match reactor.listen_with(addr, &Listen::raw())?.addr {
            Addr::Tcp(addr) => println!("listening on tcp://{addr}"),
            Addr::Unix(addr) => println!("listening on {addr}"),
        }
    }
    std::io::stdout().flush()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let remote = reactor.remote();
    std::thread::spawn(move || signals.forever().next().map(|_| remote.shutdown(Duration::from_secs(5))));
    Ok(reactor.run()?)
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Vec<Addr>>, Box<dyn Error>> {
    let mut addrs = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Value(addr) => addrs.push(addr.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9001".parse()?);
    }
    Ok(Some(addrs))
}
