//! A WebSocket echo server, over TCP and Unix-domain sockets at once, on one thread or on several.
//!
//!     cargo run --release --example echo -- [OPTIONS] [ADDR…]

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use gnezdo::ws::{CloseCode, DeflateConfig};
use gnezdo::{Addr, Config, ConnId, Context, Fleet, FleetHandle, Handler, Message, SendError};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const HELP: &str = "\
A WebSocket echo server: text as text, binary as binary.

usage: echo [OPTIONS] [ADDR…]

  ADDR                    127.0.0.1:9001 (default), [::1]:9001, 0.0.0.0:0,
                          unix:/run/echo.sock, unix:@abstract-name
  --threads COUNT         how many threads serve (default 1)
  --max-message BYTES     largest message taken and echoed (default 67108864)
  --max-connections COUNT most connections of a thread at once (default 1000000)
  --idle-timeout SECONDS  cut peers silent for so long, 0 for never (default 60)
  --opening-timeout SECONDS
                          cut peers whose handshake takes so long (default 10)
  --stall-timeout SECONDS cut peers that read nothing for so long (default 30)
  --busy-poll MICROSECONDS
                          stay awake for so long after each event (default 0)
  --no-deflate            do not agree to compression
  --help                  this text

SIGINT and SIGTERM close every connection with 1001; a second one ends at once.";

/// How long connections may take to close after a signal.
const GRACE: Duration = Duration::from_secs(5);

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if let Err(SendError::Full { .. } | SendError::TooBig { .. }) = cx.send(id, message) {
            // The queue has room for any message while it is below its high-water mark, and above it nothing is read.
            let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, "the queue is full");
        }
    }
}

struct Options {
    addrs: Vec<Addr>,
    threads: usize,
    config: Config,
}

fn main() {
    if let Err(error) = run() {
        eprintln!("echo: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = parse(lexopt::Parser::from_env())? else {
        println!("{HELP}");
        return Ok(());
    };
    let mut fleet = Fleet::new(options.threads, options.config, |_thread| Echo)?;
    for addr in &options.addrs {
        match fleet.listen(addr)? {
            Addr::Tcp(addr) => println!("listening on ws://{addr}"),
            Addr::Unix(addr) => println!("listening on ws+{addr}"),
        }
    }
    std::io::stdout().flush()?;
    close_on_signals(fleet.handle())?;
    if let Some(report) = fleet.run()? {
        println!("{report}");
    }
    Ok(())
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let (mut addrs, mut threads, mut max_message) = (Vec::new(), 1, 64 << 20);
    let mut config = Config::default();
    config.websocket.deflate = Some(DeflateConfig::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("threads") => threads = parser.value()?.parse()?,
            Long("max-message") => max_message = parser.value()?.parse()?,
            Long("max-connections") => config.settings.max_connections = parser.value()?.parse()?,
            Long("idle-timeout") => {
                let seconds = seconds(&mut parser)?;
                config.timeouts.idle = (!seconds.is_zero()).then_some(seconds);
            }
            Long("opening-timeout") => config.timeouts.opening = seconds(&mut parser)?,
            Long("stall-timeout") => config.settings.stall_timeout = seconds(&mut parser)?,
            Long("busy-poll") => {
                config.settings.busy_poll = Duration::from_micros(parser.value()?.parse()?);
            }
            Long("no-deflate") => config.websocket.deflate = None,
            Value(addr) => addrs.push(addr.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    take_messages_of(&mut config, max_message);
    if addrs.is_empty() {
        addrs.push("127.0.0.1:9001".parse()?);
    }
    Ok(Some(Options { addrs, threads, config }))
}

fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    parser.value()?.parse().map(Duration::from_secs)
}

/// Messages as large as asked for, and a queue that takes the largest above its high-water mark.
fn take_messages_of(config: &mut Config, max_message: usize) {
    config.websocket.limits.max_message = max_message;
    config.websocket.limits.max_frame = max_message as u64;
    config.websocket.limits.max_fragments = 1 << 17;
    config.settings.max_queue = max_message.saturating_add(2 * config.settings.high_water);
}

fn close_on_signals(fleet: FleetHandle) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            let _ = fleet.shutdown(GRACE);
        }
        if signals.next().is_some() {
            let _ = fleet.stop();
        }
    });
    Ok(())
}
