//! What is counted: the whole reactor over a system in memory, and the codec alone.

use std::error::Error;

use gnezdo::ws::{Kind, Protocol};
use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor};

use crate::kernel::Kernel;
use crate::support::{Loop, client_frame, filled};

/// One line of the report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    what: What,
    text: &'static str,
    size: usize,
    /// Frames of one read.
    batch: u32,
    /// Messages of one round.
    pub(crate) messages: u32,
    /// Enough that what happens once is lost in them.
    pub(crate) rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// So many connections.
    Echo(u32),
    Codec,
}

const fn echo(name: &'static str, connections: u32, batch: u32, size: usize, rounds: u32) -> Scenario {
    Scenario {
        name,
        what: What::Echo(connections),
        text: "",
        size,
        batch,
        messages: connections * batch,
        rounds,
    }
}

const fn codec(name: &'static str, batch: u32, size: usize, rounds: u32) -> Scenario {
    Scenario { name, what: What::Codec, text: "", size, batch, messages: batch, rounds }
}

const fn text(scenario: Scenario) -> Scenario {
    Scenario { text: "гнездо", ..scenario }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    echo("echo/20B/x1", 1, 1, 20, 2_000),
    echo("echo/20B/x32", 32, 1, 20, 200),
    echo("echo/20B/x32/batch16", 32, 16, 20, 20),
    echo("echo/1KiB/x32", 32, 1, 1 << 10, 200),
    echo("echo/16KiB/x32", 32, 1, 16 << 10, 20),
    text(echo("echo/16KiB/x32/text", 32, 1, 16 << 10, 20)),
    echo("echo/64KiB/x1", 1, 1, 64 << 10, 100),
    echo("echo/1MiB/x1", 1, 1, 1 << 20, 10),
    codec("codec/20B/one", 1, 20, 5_000),
    codec("codec/20B/batch", 512, 20, 20),
    codec("codec/1KiB/one", 1, 1 << 10, 2_000),
    codec("codec/64KiB/one", 1, 64 << 10, 100),
    text(codec("codec/20B/batch/text", 512, 20, 20)),
    text(codec("codec/64KiB/one/text", 1, 64 << 10, 100)),
];

impl Scenario {
    /// So many rounds of it, after all that is done once.
    pub(crate) fn run(&self, rounds: u32) -> Result<(), Box<dyn Error>> {
        let wire = self.wire();
        match self.what {
            What::Echo(connections) => {
                let answers = u64::from(connections) * u64::from(rounds) * self.answer();
                echoes(Kernel::new(connections, REQUEST, &wire, rounds), answers)
            }
            What::Codec => {
                let mut server = Loop::new(Protocol::server(None));
                (0..rounds).for_each(|_| server.read(&wire));
                Ok(())
            }
        }
    }

    /// How many messages a run of the usual length has.
    pub(crate) fn messages_of_a_run(&self) -> f64 {
        f64::from(self.rounds) * f64::from(self.messages)
    }

    fn payload(&self) -> Vec<u8> {
        if self.text.is_empty() { filled("0123456789", self.size) } else { filled(self.text, self.size) }
    }

    /// What a connection sends in a round.
    fn wire(&self) -> Vec<u8> {
        let kind = if self.text.is_empty() { Kind::Binary } else { Kind::Text };
        client_frame(kind, &self.payload()).repeat(self.batch as usize)
    }

    /// How many bytes come back: a server's frames carry no key.
    fn answer(&self) -> u64 {
        (self.wire().len() - self.batch as usize * KEY) as u64
    }
}

struct Echo;

impl Handler for Echo {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let _ = cx.send(id, message);
    }
}

/// Serves a system in memory to its end, and checks that every message was answered.
fn echoes(kernel: Kernel, answers: u64) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.websocket.limits.max_message = 1 << 24;
    config.websocket.limits.max_frame = 1 << 24;
    let tally = kernel.tally();
    let mut reactor = Reactor::with_system(Echo, config, kernel)?;
    reactor.listen(&"unix:@memory".parse()?)?;
    let outcome = reactor.run();
    if !tally.done.get() {
        outcome?;
    }
    let heads = tally.sent.get().saturating_sub(answers);
    // The answers to the opening requests are of some bytes each.
    if (1..MOST_HEADS).contains(&heads) {
        Ok(())
    } else {
        Err(format!("{heads} bytes more than the echoes").into())
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: memory\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const KEY: usize = 4;
const MOST_HEADS: u64 = 32 * 1_000;
