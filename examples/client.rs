//! A WebSocket client for the terminal: lines from standard input are sent, messages are printed, binary ones as hex.
//!
//!     cargo run --release --example client -- [OPTIONS] URL

use std::{error::Error, io::Write, time::Duration};

use gnezdo::time::Backoff;
use gnezdo::ws::CloseCode;
use gnezdo::{Closed, Config, ConnId, Connect, Context, Handler, Message, PostError, Reactor, TlsClient};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
usage: client [OPTIONS] ws://HOST:PORT/PATH | wss://HOST:PORT/PATH | ws+unix:/PATH:/RESOURCE
  --ca PEM        for wss, trust these certificates instead of the system's (needs the feature tls)
  --reconnect     try again, up to 20 times with growing pauses, when the connection fails
  --ping SECONDS  ping a server silent for so long, 0 for never (default 30)";

struct Client {
    connect: Connect,
    backoff: Option<Backoff>,
    connection: Option<ConnId>,
    waiting: Vec<Option<String>>,
    failed: bool,
}

impl Client {
    fn send_waiting(&mut self, cx: &mut Context<'_, Self>) {
        let Some(id) = self.connection else { return };
        for line in std::mem::take(&mut self.waiting) {
            if let Some(line) = line {
                let _ = cx.send(id, &line);
            } else {
                (self.backoff, _) = (None, cx.close(id, CloseCode::NORMAL, ""));
            }
        }
    }
}

impl Handler for Client {
    type Conn = ();
    type Post = Option<String>; // a line of standard input, or its end

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        eprintln!("client: connected to {}", self.connect.target);
        self.connection = Some(id);
        self.backoff.as_mut().map(Backoff::reset);
        self.send_waiting(cx);
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
        let line = match message {
            Message::Text(text) => text.to_string(),
            Message::Binary(raw) => raw.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")),
        };
        writeln!(std::io::stdout(), "{line}").unwrap_or_else(|_| cx.stop());
    }

    fn on_post(&mut self, cx: &mut Context<'_, Self>, line: Option<String>) {
        self.waiting.push(line);
        self.send_waiting(cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, _token: u64) {
        if let Err(error) = cx.connect(&self.connect) {
            eprintln!("client: {error}");
            cx.stop();
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, closed: &Closed) {
        self.connection = None;
        eprintln!("client: {closed}");
        self.failed = closed.reason.is_failure();
        let Some(pause) = self.backoff.as_mut().and_then(Backoff::pause) else { return cx.stop() };
        eprintln!("client: trying again in {pause:.1?}");
        cx.set_timer(pause, 0);
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("client: {error}");
        std::process::exit(1);
    }
}

#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
fn trusting(ca: &str) -> Result<TlsClient, Box<dyn Error>> {
    Ok(TlsClient::with_roots(&std::fs::read(ca)?)?)
}

#[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
fn trusting(_ca: &str) -> Result<TlsClient, Box<dyn Error>> {
    Err("--ca needs a build with the feature tls".into())
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut url, mut ca, mut ping, mut backoff) = (None, None, 30, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Long("reconnect") => backoff = Some(Backoff::new(std::process::id().into()).at_most(20)),
            Long("ca") => ca = Some(parser.value()?.string()?),
            Long("ping") => ping = parser.value()?.parse()?,
            Value(value) if url.is_none() => url = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut connect = Connect::to(&url.ok_or("which URL? Try --help")?)?;
    connect.tls = ca.as_deref().map(trusting).transpose()?;
    let client = Client { connect, backoff, connection: None, waiting: Vec::new(), failed: true };
    let mut config = Config::default();
    config.timeouts.ping = (ping > 0).then(|| Duration::from_secs(ping));
    config.timeouts.idle = config.timeouts.ping.map(|ping| ping.saturating_mul(2));
    let mut reactor = Reactor::new(client, config)?;
    let remote = reactor.remote();
    std::thread::spawn(move || {
        for mut line in std::io::stdin().lines().map_while(Result::ok).map(Some).chain([None]) {
            // The queue is bounded; a terminal can wait.
            while let Err(PostError::Full(back)) = remote.try_post(line) {
                line = back;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    reactor.with(|client, cx| client.on_timer(cx, 0));
    reactor.run()?;
    std::process::exit(reactor.handler().failed.into());
}
