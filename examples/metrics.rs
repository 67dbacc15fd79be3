//! An echo that tells how it is doing: a WebSocket on every path, and `/metrics` for Prometheus, on one port.
//!
//!     cargo run --release --example metrics -- [ADDR]
//!     curl http://127.0.0.1:9001/metrics

use std::error::Error;
use std::fmt::{self, Write};
use std::time::Duration;

use gnezdo::http::{Response, Status};
use gnezdo::{Accept, Answer, Config, ConnId, Context, Handler, Message, Reactor, Request, SlowTurn, Stats};

/// What Prometheus reads (text-based exposition format 0.0.4).
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Server;

impl Handler for Server {
    type Conn = ();
    type Post = ();

    fn on_request(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, request: &Request<'_>) -> Answer {
        match request.path() {
            _ if request.is_websocket() => Accept::new().into(),
            "/metrics" => respond(&cx.stats()).unwrap_or(Response::new(Status::INTERNAL_SERVER_ERROR)).into(),
            _ => Response::new(Status::NOT_FOUND).text("a WebSocket is here, and /metrics\n").into(),
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let _ = cx.send(id, message);
    }

    fn on_slow_turn(&mut self, _cx: &mut Context<'_, Self>, turn: &SlowTurn) {
        eprintln!("metrics: {turn}");
    }
}

fn respond(stats: &Stats) -> Result<Response, Box<dyn Error>> {
    Ok(Response::new(Status::OK).header("Content-Type", FORMAT)?.body(page(stats)?))
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP gnezdo_{name} {help}\n# TYPE gnezdo_{name} {kind}")
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) -> fmt::Result {
        self.head(name, kind, help)?;
        writeln!(self.0, "gnezdo_{name} {value}")
    }

    fn counters(
        &mut self,
        name: &str,
        label: &str,
        help: &str,
        mut each: impl Iterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        self.head(name, "counter", help)?;
        each.try_for_each(|(value, count)| writeln!(self.0, "gnezdo_{name}{{{label}=\"{value}\"}} {count}"))
    }
}

fn page(stats: &Stats) -> Result<String, fmt::Error> {
    let mut page = Page::default();
    page.one("connections", "gauge", "Connections that there are.", stats.connections)?;
    page.counters("arrivals_total", "how", "Connections that came.", stats.arrivals.each())?;
    page.counters("ends_total", "why", "Connections that ended.", stats.ends.each())?;
    page.counters("requests_total", "outcome", "Requests for a WebSocket.", stats.requests.each())?;
    page.counters("refusals_total", "what", "What was not let in or out.", stats.refusals.each())?;
    page.counters("tls_handshakes_total", "outcome", "TLS handshakes.", stats.tls.each())?;
    page.counters("bytes_total", "direction", "Bytes on the wire.", stats.bytes.each())?;
    page.counters("received_total", "kind", "Messages that came.", stats.received.each())?;
    page.counters("sent_total", "kind", "Messages that were sent.", stats.sent.each())?;
    page.one("queued_bytes", "gauge", "Bytes that wait to be sent.", stats.queued)?;
    page.one("queued_most_bytes", "gauge", "The most that ever waited.", stats.queued_most)?;
    page.one("partial_bytes", "gauge", "Bytes of messages that are not whole.", stats.partial)?;
    page.one("dropped_total", "counter", "Shared messages that were dropped.", stats.shed.dropped)?;
    page.one("replaced_total", "counter", "Shared messages that were replaced.", stats.shed.replaced)?;
    let turns = &stats.turns;
    page.one("turns_total", "counter", "Turns of the loop with something to do.", turns.busy)?;
    page.one("busy_seconds_total", "counter", "How long they took.", turns.time().as_secs_f64())?;
    page.head("turn_seconds", "histogram", "How long a sample of them took.")?;
    for micros in [10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000] {
        let (span, name) = (Duration::from_micros(micros), "gnezdo_turn_seconds_bucket");
        writeln!(page.0, "{name}{{le=\"{}\"}} {}", span.as_secs_f64(), turns.samples_within(span))?;
    }
    writeln!(page.0, "gnezdo_turn_seconds_bucket{{le=\"+Inf\"}} {}", turns.samples())?;
    writeln!(page.0, "gnezdo_turn_seconds_sum {}", turns.sampled_time().as_secs_f64())?;
    writeln!(page.0, "gnezdo_turn_seconds_count {}", turns.samples())?;
    Ok(page.0)
}

fn main() {
    if let Err(error) = run() {
        eprintln!("metrics: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    if addr == "--help" {
        println!("usage: metrics [ADDR]   (an echo, and /metrics for Prometheus; default 127.0.0.1:9001)");
        return Ok(());
    }
    let mut reactor = Reactor::new(Server, Config::default())?;
    println!("listening on http://{}", reactor.listen(&addr.parse()?)?.addr);
    Ok(reactor.run()?)
}
