//! What the load generator is asked for.

use std::error::Error;
use std::time::Duration;

use gnezdo::{Config, Connect};
use lexopt::prelude::{Long, Short, Value, ValueExt};

pub(crate) const HELP: &str = "\
usage: load [OPTIONS] URL   (ws://127.0.0.1:9001/ or ws+unix:/run/echo.sock:/)

  --connections N   open connections (default 32)
  --active N        how many of them carry messages, the others being idle (default: all)
  --size BYTES      payload of a message (default 20)
  --text, --utf8    ASCII text, or text of one- to four-byte characters (default: binary)
  --in-flight N     messages under way on each connection (default 1)
  --rate N          so many messages per second in all, however slow the echo is, and not the next one for each echo;
                    the last millisecond before a message is due is spun away
  --busy-poll MICROSECONDS
                    stay awake for so long after each echo (default 0)
  --warm-up SECONDS (default 1)
  --seconds SECONDS (default 5)
  --json            one line of JSON
  --on-demand       no run of its own, but one for each line of standard input, a number of seconds; implies --json

Each echo is compared, byte for byte; a wrong one ends the program with 1. Every run goes on to its last echo.

Latencies are given twice. `service` is from the send to the echo. `response` is what clients would have met who do not wait
for each other: at a fixed rate it is from when a message was due; in a closed loop it is estimated, by filling the gaps that
a slow echo tears into the samples (coordinated omission).";

/// What to do.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) connect: Connect,
    pub(crate) connections: usize,
    pub(crate) active: usize,
    pub(crate) size: usize,
    pub(crate) content: Content,
    pub(crate) in_flight: usize,
    /// Messages per second in all; `None` for a closed loop.
    pub(crate) rate: Option<f64>,
    pub(crate) busy_poll: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) output: Output,
    pub(crate) on_demand: bool,
}

/// What messages carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Binary,
    Ascii,
    Utf8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Human,
    Json,
}

impl Options {
    /// A client that reads on however much waits to be sent, so that two full queues never wait for each other.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        let frame = self.size.saturating_add(MOST_HEAD);
        config.websocket.limits.max_message = config.websocket.limits.max_message.max(self.size);
        config.websocket.limits.max_frame = config.websocket.limits.max_message as u64;
        config.settings.max_queue =
            config.settings.max_queue.max(frame.saturating_mul(self.in_flight.saturating_add(1)));
        config.settings.high_water = config.settings.max_queue;
        config.timeouts.idle = None;
        config.timeouts.ping = None;
        config.settings.busy_poll = self.busy_poll;
        config
    }
}

/// `None` where help was asked for.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let (mut options, mut url, mut active) = (defaults()?, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("connections") => options.connections = parser.value()?.parse()?,
            Long("active") => active = Some(parser.value()?.parse()?),
            Long("size") => options.size = parser.value()?.parse()?,
            Long("text") => options.content = Content::Ascii,
            Long("utf8") => options.content = Content::Utf8,
            Long("in-flight") => options.in_flight = parser.value()?.parse()?,
            Long("rate") => options.rate = Some(parser.value()?.parse()?),
            Long("busy-poll") => options.busy_poll = Duration::from_micros(parser.value()?.parse()?),
            Long("warm-up") => options.warm_up = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
            Long("seconds") => options.duration = Duration::try_from_secs_f64(parser.value()?.parse()?)?,
            Long("json") => options.output = Output::Json,
            Long("on-demand") => (options.on_demand, options.output) = (true, Output::Json),
            Value(value) => url = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    options.connect = Connect::to(&url.ok_or("which URL? Try --help")?)?;
    options.active = active.unwrap_or(options.connections);
    check(options).map(Some)
}

fn defaults() -> Result<Options, Box<dyn Error>> {
    Ok(Options {
        connect: Connect::to("ws://127.0.0.1:9001/")?,
        connections: 32,
        active: 32,
        size: 20,
        content: Content::Binary,
        in_flight: 1,
        rate: None,
        busy_poll: Duration::ZERO,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(5),
        output: Output::Human,
        on_demand: false,
    })
}

fn check(options: Options) -> Result<Options, Box<dyn Error>> {
    if options.active == 0 || options.in_flight == 0 || options.active > options.connections {
        return Err(
            "--connections, --active and --in-flight are 1 at least, and no more are active than there are"
                .into(),
        );
    }
    if options.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err("--rate is more than 0".into());
    }
    Ok(options)
}

/// The longest head of a masked frame (RFC 6455 §5.2).
const MOST_HEAD: usize = 14;
