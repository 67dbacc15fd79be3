//! An echo server of raw bytes that is replaced while it runs: started again with the same path, the new process takes the
//! listeners of the old one over, and no client is refused.
//!
//!     cargo run --release --example takeover -- PATH [ADDR…]

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use gnezdo::net::{Inherited, Predecessor, UnixAddr};
use gnezdo::{Addr, Config, ConnId, Context, Drain, Handler, Listen, Reactor, Serve};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
An echo server of raw bytes that can be replaced while it runs.

usage: takeover PATH [ADDR…]

  PATH              where a successor asks for the listeners, as /run/echo.takeover
  ADDR              127.0.0.1:9001 (default), [::1]:9001, 0.0.0.0:0,
                    unix:/run/echo.sock, unix:@abstract-name; not looked at where
                    a predecessor runs, or systemd has passed sockets
  --drain SECONDS   let the connections of the old process go on for so long
                    (default 60)
  --help            this text";

/// How long the predecessor may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

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

struct Options {
    at: UnixAddr,
    addrs: Vec<Addr>,
    drain: Drain,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("takeover: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    // Before anything else could take the descriptors' numbers.
    let mut inherited = Inherited::from_systemd()?;
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        println!("{HELP}");
        return Ok(());
    };
    let mut predecessor = Predecessor::find(&options.at, PATIENCE)?;
    if let Some(predecessor) = &mut predecessor {
        inherited.extend(predecessor.listeners());
    }
    let mut reactor = Reactor::new(Echo, Config::default())?;
    let addrs = if inherited.is_empty() { options.addrs } else { Vec::new() };
    for inherited in inherited {
        println!("listening on {}", reactor.listen_on(inherited, &Listen::raw())?.addr);
    }
    for addr in addrs {
        println!("listening on {}", reactor.listen_with(&addr, &Listen::raw())?.addr);
    }
    let took_over = predecessor.is_some();
    if let Some(predecessor) = predecessor {
        predecessor.relieve(PATIENCE)?;
    }
    let successors = Listen { serve: Serve::Takeover(options.drain), ..Listen::default() };
    match reactor.listen_with(&options.at.into(), &successors) {
        // Nobody else serves any more.
        Err(error) if took_over => eprintln!("takeover: nobody can take over from here: {error}"),
        outcome => drop(outcome?),
    }
    println!("{}", if took_over { "took over" } else { "started" });
    std::io::stdout().flush()?;
    reactor.run()?;
    if let Some(report) = reactor.shutdown_report() {
        println!("{report}");
    }
    Ok(())
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let (mut at, mut addrs, mut drain) = (None, Vec::new(), Drain::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("drain") => drain.patience = parser.value()?.parse().map(Duration::from_secs)?,
            Value(path) if at.is_none() => at = Some(UnixAddr::path(PathBuf::from(path))?),
            Value(addr) => addrs.push(addr.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9001".parse()?);
    }
    let at = at.ok_or("where would a successor ask? See --help")?;
    Ok(Some(Options { at, addrs, drain }))
}
