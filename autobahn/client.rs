//! The client under test of the conformance suite: asks a fuzzing server for one case after the other, and echoes.
//!
//!     cargo run --release --example autobahn_client -- [OPTIONS] ADDR AGENT CASES

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use gnezdo::ws::{CloseCode, DeflateConfig};
use gnezdo::{
    Closed, Config, ConnId, Connect, Context, Handler, Message, Reactor, Reason, SendError, Timeout,
    TlsClient,
};
use lexopt::prelude::{Long, Short, Value, ValueExt};

const HELP: &str = "\
Runs cases of the Autobahn test suite against this crate's client.

usage: autobahn_client [OPTIONS] ADDR AGENT CASES

  ADDR              of the fuzzing server, as 127.0.0.1:9001
  AGENT             the client's name in the reports
  CASES             numbers in the server's own list of cases, as 1,2,5
  --update-reports  have the server write its reports in the end
  --ca PEM          call by wss, and trust this certificate (needs the feature tls)
  --help            this text";

/// The largest message of the suite is 16 MiB.
const MAX_MESSAGE: usize = 64 << 20;
/// The suite itself gives no case more than 480 s.
const CASE_DEADLINE: Duration = Duration::from_secs(600);
/// A server that writes reports, or shares its core with others, answers late.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes the calls one after the other. The first that does not lead to an open connection ends the run.
struct Client {
    left: VecDeque<Call>,
    under_way: String,
    failure: Option<String>,
}

/// One request to the fuzzing server, and what to call it.
struct Call {
    name: String,
    connect: Connect,
}

impl Client {
    fn call_next(&mut self, cx: &mut Context<'_, Self>) {
        let Some(Call { name, connect }) = self.left.pop_front() else { return cx.stop() };
        self.under_way = name;
        if let Err(error) = cx.connect(&connect) {
            self.fail(cx, &error);
        }
    }

    fn fail(&mut self, cx: &mut Context<'_, Self>, error: &dyn std::fmt::Display) {
        self.failure = Some(format!("{}: {error}", self.under_way));
        cx.stop();
    }
}

impl Handler for Client {
    type Conn = ();
    type Post = ();

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        if let Err(SendError::Full { .. } | SendError::TooBig { .. }) = cx.send(id, message) {
            // The queue has room for any message while it is below its high-water mark, and above it nothing is read.
            let _ = cx.close(id, CloseCode::TRY_AGAIN_LATER, "the queue is full");
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, closed: &Closed) {
        match &closed.reason {
            Reason::NotConnected(error) => return self.fail(cx, error),
            Reason::Refused(error) => return self.fail(cx, error),
            Reason::Tls(error) => return self.fail(cx, error),
            Reason::TimedOut(Timeout::Connect) => return self.fail(cx, &"no answer in time"),
            Reason::Handshake { .. } => println!("{}: closed", self.under_way),
            // Many cases end so, and rightly; the server judges.
            other => println!("{}: {other:?}", self.under_way),
        }
        self.call_next(cx);
    }
}

fn main() {
    if let Err(error) = run() {
        eprintln!("autobahn_client: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(left) = parse(lexopt::Parser::from_env())? else {
        println!("{HELP}");
        return Ok(());
    };
    let client = Client { left, under_way: String::new(), failure: None };
    let mut reactor = Reactor::new(client, config())?;
    reactor.with(Client::call_next);
    reactor.run()?;
    reactor.handler().failure.clone().map_or(Ok(()), |failure| Err(failure.into()))
}

/// Patient, and with room for the largest message above the queue's high-water mark.
fn config() -> Config {
    let mut config = Config::default();
    config.websocket.limits.max_message = MAX_MESSAGE;
    config.websocket.limits.max_frame = MAX_MESSAGE as u64;
    config.websocket.limits.max_fragments = 1 << 17;
    config.websocket.deflate = Some(DeflateConfig::default());
    config.timeouts.connect = CONNECT_TIMEOUT;
    config.timeouts.lifetime = Some(CASE_DEADLINE);
    config.timeouts.ping = None;
    config.timeouts.idle = None;
    config.settings.max_queue = MAX_MESSAGE + 2 * config.settings.high_water;
    config
}

#[cfg(any(feature = "tls", feature = "tls-aws-lc"))]
fn trusting(ca: &str) -> Result<TlsClient, Box<dyn Error>> {
    Ok(TlsClient::with_roots(&std::fs::read(ca)?)?)
}

#[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
fn trusting(_ca: &str) -> Result<TlsClient, Box<dyn Error>> {
    Err("--ca needs a build with the feature tls".into())
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<VecDeque<Call>>, Box<dyn Error>> {
    let (mut update_reports, mut tls) = (false, None);
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("update-reports") => update_reports = true,
            Long("ca") => tls = Some(trusting(&parser.value()?.string()?)?),
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let [addr, agent, cases] = words.as_slice() else {
        return Err("give ADDR AGENT CASES, or --help".into());
    };
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let connect = |resource: &str| {
        let target = format!("{scheme}://{addr}/{resource}agent={agent}");
        Connect::to(&target).map(|connect| Connect { tls: tls.clone(), ..connect })
    };
    let mut calls = VecDeque::new();
    for case in cases.split(',') {
        let case: usize = case.parse().map_err(|_| format!("{case:?} is not the number of a case"))?;
        let connect = connect(&format!("runCase?case={case}&"))?;
        calls.push_back(Call { name: format!("case {case}"), connect });
    }
    if update_reports {
        calls.push_back(Call { name: "reports".to_owned(), connect: connect("updateReports?")? });
    }
    Ok(Some(calls))
}
