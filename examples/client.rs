//! A WebSocket client for the terminal: lines from standard input are sent, messages are printed, binary ones as hex.
//!
//!     cargo run --release --example client -- [OPTIONS] URL

use std::{error::Error, time::Duration};

use gnezdo::time::Backoff;
use gnezdo::ws::CloseCode;
use gnezdo::{Closed, Config, ConnId, Connect, Context, Handler, Message, PostError, Reactor, Remote};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
usage: client [OPTIONS] URL   (sends lines from standard input until its end, prints what comes)
  URL             ws://127.0.0.1:9001/, ws+unix:/run/echo.sock:/
  --reconnect     try again, with growing pauses, when the connection fails
  --ping SECONDS  ping a server silent for so long (default 30)";

struct Client {
    connect: Connect,
    backoff: Option<Backoff>,
    connection: Option<ConnId>,
    waiting: Vec<Option<String>>,
}

impl Client {
    fn send_waiting(&mut self, cx: &mut Context<'_, Self>) {
        let Some(id) = self.connection else { return };
        for line in std::mem::take(&mut self.waiting) {
            if let Some(line) = line {
                let _ = cx.send(id, &line);
            } else {
                self.backoff = None;
                let _ = cx.close(id, CloseCode::NORMAL, "");
            }
        }
    }
}

impl Handler for Client {
    type Conn = ();
    /// A line of standard input, or its end.
    type Post = Option<String>;

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        eprintln!("client: connected to {}", self.connect.target);
        self.connection = Some(id);
        self.backoff.as_mut().map(Backoff::reset);
        self.send_waiting(cx);
    }

    fn on_message(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
        match message {
            Message::Text(text) => println!("{text}"),
            Message::Binary(bytes) => println!("{bytes:02x?}"),
        }
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

    /// Says why the connection is over, and tries again where that was asked for.
    fn on_close(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, closed: &Closed) {
        self.connection = None;
        eprintln!("client: {}: {}", self.connect.target, closed.reason);
        let Some(pause) = self.backoff.as_mut().and_then(Backoff::pause) else { return cx.stop() };
        eprintln!("client: trying again in {pause:.1?}");
        cx.set_timer(pause, 0);
    }
}

fn read_lines(remote: &Remote<Option<String>>) {
    let lines = std::io::stdin().lines().map_while(Result::ok).map(Some);
    for mut line in lines.chain([None]) {
        // The queue is bounded; a terminal can wait.
        while let Err(PostError::Full(back)) = remote.try_post(line) {
            line = back;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("client: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (mut url, mut config, mut backoff) = (None, Config::default(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Long("reconnect") => backoff = Some(Backoff::new(std::process::id().into())),
            Long("ping") => config.timeouts.ping = Some(Duration::from_secs(parser.value()?.parse()?)),
            Value(value) => url = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let connect = Connect::to(&url.ok_or("which URL? Try --help")?)?;
    let client = Client { connect, backoff, connection: None, waiting: Vec::new() };
    let mut reactor = Reactor::new(client, config)?;
    let remote = reactor.remote();
    std::thread::spawn(move || read_lines(&remote));
    reactor.with(|client, cx| client.on_timer(cx, 0));
    Ok(reactor.run()?)
}
