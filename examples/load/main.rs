//! A load generator for WebSocket echo servers: many connections, a closed loop or a fixed rate, every echo compared.
//!
//!     cargo run --release --example load -- [OPTIONS] URL
//!
//! It ends with 1 where a single byte comes back wrong. `options.rs` has its help.
#![expect(clippy::cast_precision_loss, reason = "figures for people need no 53 bits")]

mod echoes;
mod generator;
mod options;
mod report;
mod run;

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use gnezdo::{PostError, Reactor, Remote};

use generator::{Generator, Wish};
use options::Options;
use report::Progress;
use run::Run;

fn main() {
    if let Err(error) = start() {
        eprintln!("load: {error}");
        std::process::exit(1);
    }
}

fn start() -> Result<(), Box<dyn Error>> {
    let Some(options) = options::parse(lexopt::Parser::from_env())? else {
        println!("{}", options::HELP);
        return Ok(());
    };
    measure(&options)
}

/// Opens the connections, then runs what the command line or standard input asks for.
fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut load = Load {
        reactor: Reactor::new(Generator::new(options)?, options.config())?,
        progress: Progress::new(options.output),
    };
    load.open(options)?;
    if options.on_demand {
        return load.on_demand(options);
    }
    load.run(options, options.warm_up, "warming up")?;
    let run = load.run(options, options.duration, "measuring")?;
    load.progress.finish();
    report::print(options, &run)
}

struct Load {
    reactor: Reactor<Generator>,
    progress: Progress,
}

impl Load {
    fn open(&mut self, options: &Options) -> Result<(), Box<dyn Error>> {
        while self.reactor.handler().connected() < options.connections {
            self.reactor.with(Generator::dial);
            self.turn(Some(GLANCE))?;
            let connected = self.reactor.handler().connected();
            self.progress.show("connecting", connected, options.connections);
        }
        Ok(())
    }

    /// One run, to its last echo.
    fn run(&mut self, options: &Options, span: Duration, name: &'static str) -> Result<Run, Box<dyn Error>> {
        let run = Run::new(options.rate, span)?;
        self.reactor.with(|generator, cx| generator.begin(cx, run));
        loop {
            let wait = self.reactor.with(Generator::tick);
            if let Some(run) = self.reactor.with(|generator, _| generator.take_finished()) {
                return Ok(run);
            }
            self.turn(Some(wait.min(GLANCE)))?;
            if let Some(run) = self.reactor.handler().running() {
                self.progress.span(name, run.elapsed(Instant::now()), span);
            }
        }
    }

    /// A run for each line of standard input, until its end.
    fn on_demand(mut self, options: &Options) -> Result<(), Box<dyn Error>> {
        let remote = self.reactor.remote();
        println!("{{\"connections\":{}}}", options.connections);
        std::io::stdout().flush()?;
        std::thread::spawn(move || read_wishes(&remote));
        loop {
            match self.reactor.with(|generator, _| generator.next_wish()) {
                Some(Wish::Run(span)) => {
                    let run = self.run(options, span, "measuring")?;
                    report::print(options, &run)?;
                }
                Some(Wish::End) => return Ok(()),
                None => self.turn(None)?,
            }
        }
    }

    fn turn(&mut self, wait: Option<Duration>) -> Result<(), Box<dyn Error>> {
        self.reactor.turn(wait)?;
        self.reactor
            .with(|generator, _| generator.take_trouble())
            .map_or(Ok(()), |trouble| Err(trouble.into()))
    }
}

/// Posts what standard input asks for; a line that is no number ends it as well.
fn read_wishes(remote: &Remote<Wish>) {
    let lines = std::io::stdin().lines().map_while(Result::ok);
    let spans = lines.map_while(|line| Duration::try_from_secs_f64(line.trim().parse().ok()?).ok());
    for mut wish in spans.map(Wish::Run).chain([Wish::End]) {
        while let Err(PostError::Full(back)) = remote.try_post(wish) {
            wish = back;
            std::thread::sleep(GLANCE);
        }
    }
}

/// How long a turn waits at most while something is shown or awaited.
const GLANCE: Duration = Duration::from_millis(50);
