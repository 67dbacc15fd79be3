//! A bridge from WebSocket to any TCP or Unix service, and back: binary messages one way are bytes the other way.
//!
//!     cargo run --release --example proxy -- LISTEN TARGET
//!
//! `proxy 127.0.0.1:9002 tcp://127.0.0.1:7000` lets WebSocket clients talk to a TCP service;
//! `proxy --raw 127.0.0.1:7001 ws://127.0.0.1:9001/` lets TCP clients talk to a WebSocket server.

use std::error::Error;

use gnezdo::ws::CloseCode;
use gnezdo::{Addr, Closed, Config, ConnId, Connect, Context, Handler, Listen, Message, Reactor};

const USAGE: &str = "usage: proxy [--raw] LISTEN TARGET
  LISTEN  127.0.0.1:9002, unix:/run/proxy.sock: WebSocket clients, with --raw clients of bytes
  TARGET  tcp://host:port, unix:/path, ws://host:port/path, ws+unix:/path:/resource";

struct Proxy {
    target: Connect,
}

/// The other half of a bridge.
#[derive(Default)]
struct Half {
    other: Option<ConnId>,
}

impl Proxy {
    /// Passes bytes on. A side that does not keep up stops the reading of the other one, so that what waits is bounded by
    /// the water marks.
    fn pass(cx: &mut Context<'_, Self>, from: ConnId, message: Message<'_>) {
        let Some(to) = cx.get(from).and_then(|half| half.other) else { return };
        match cx.send(to, message) {
            Ok(_) if cx.is_choked(to) => cx.pause(from),
            Ok(_) => {}
            Err(_) => cx.finish(from),
        }
    }
}

impl Handler for Proxy {
    type Conn = Half;
    type Post = ();

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        if let Some(client) = cx.get(id).and_then(|half| half.other) {
            return cx.resume(client); // the target answered
        }
        // A client came; it is not read before the target answers.
        cx.pause(id);
        match cx.connect(&self.target) {
            Ok(target) => {
                for (half, other) in [(target, id), (id, target)] {
                    cx.get_mut(half).map(|half| half.other.replace(other));
                }
            }
            Err(error) => {
                eprintln!("proxy: {error}");
                let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, "");
            }
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        Self::pass(cx, id, message);
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        Self::pass(cx, id, Message::Binary(bytes));
    }

    fn on_drain(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        if let Some(other) = cx.get(id).and_then(|half| half.other) {
            cx.resume(other);
        }
    }

    /// A half-close is passed on: bytes may still come the other way. A WebSocket has none, so there it is a close.
    fn on_end(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        let Some(other) = cx.get(id).and_then(|half| half.other) else { return cx.finish(id) };
        cx.finish_writing(other);
        if cx.is_websocket(other) {
            let _ = cx.close(other, CloseCode::NORMAL, "");
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        let Some(other) = cx.get(id).and_then(|half| half.other) else { return };
        let Some(half) = cx.get_mut(other) else { return };
        half.other = None;
        cx.resume(other);
        let code = if closed.reason.is_failure() { CloseCode::TRY_AGAIN_LATER } else { CloseCode::NORMAL };
        if closed.reason.is_failure() {
            eprintln!("proxy: {closed}");
        }
        let _ = cx.close(other, code, "");
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("proxy: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--help"] {
        println!("{USAGE}");
        return Ok(());
    }
    let raw = arguments.first().is_some_and(|first| first == "--raw");
    arguments.drain(..usize::from(raw));
    let [listen, target] = &arguments[..] else { return Err("wrong arguments, try --help".into()) };
    let mut reactor = Reactor::new(Proxy { target: Connect::to(target)? }, Config::default())?;
    let options = if raw { Listen::raw() } else { Listen::default() };
    let listening = reactor.listen_with(&listen.parse::<Addr>()?, &options)?;
    println!("listening on {}", listening.addr);
    Ok(reactor.run()?)
}
