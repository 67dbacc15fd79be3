//! What to measure, and for how long.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt};

use crate::cell::{BROADCAST, CELLS, Cell, GROWTH, Service};

pub(crate) const HELP: &str = "\
usage: benches/peers/run [OPTIONS] [NAME=COMMAND …]

  --minutes N      how long to measure, setting up not counted (default 7)
  --quick          one minute
  --growth         instead: 20 B messages over 1 to 15,000 connections, and the memory of each; of gnezdo alone
                   unless --only names others
  --broadcast      instead: each message to 5,000 subscribers; a COMMAND then has to serve that
  --only NAME,…    those of the built-in servers (gnezdo is always among them)
  --cells NAME,…   those kinds of load, by their names in the table; no Unix cell has a command with PORT
  --cores A,B      where the servers and where the load generators run (default 0,1; taskset)

Each COMMAND is one more server to measure. In it ADDR becomes 127.0.0.1:… or, for the cells over Unix-domain
sockets, unix:/…; PORT becomes the port alone, TARGET the port alone or unix:/….";

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) span: Duration,
    pub(crate) only: Option<Vec<String>>,
    /// What the written files are called.
    pub(crate) name: &'static str,
    pub(crate) service: Service,
    pub(crate) cells: Vec<Cell>,
    pub(crate) cores: [String; 2],
    pub(crate) more: Vec<(String, String)>,
    /// Where the built programs are.
    pub(crate) programs: PathBuf,
    pub(crate) results: PathBuf,
}

impl Options {
    /// How many slices each server gets in a cell.
    pub(crate) fn rounds(&self, cell: &Cell, peers: usize) -> usize {
        let share = self.span.as_secs_f64() / self.cells.len() as f64;
        // Whole rounds of the shuffled order, and at least as many as quartiles need.
        ((share / cell.slice.as_secs_f64() / peers as f64) as usize).max(LEAST_ROUNDS)
    }
}

/// `None` where help was asked for.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        span: Duration::from_secs(7 * 60),
        only: None,
        name: "peers",
        service: Service::Echo,
        cells: CELLS.to_vec(),
        cores: ["0".to_owned(), "1".to_owned()],
        more: Vec::new(),
        programs: path("GNEZDO_BIN", "target"),
        results: path("GNEZDO_RESULTS", "results"),
    };
    let mut cells = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("quick") => options.span = Duration::from_secs(60),
            Long("minutes") => {
                let minutes: f64 = parser.value()?.parse()?;
                options.span = Duration::try_from_secs_f64(minutes * 60.0)?;
            }
            Long("growth") => (options.name, options.cells) = ("growth", GROWTH.to_vec()),
            Long("broadcast") => {
                (options.name, options.cells) = ("broadcast", BROADCAST.to_vec());
                options.service = Service::Broadcast;
            }
            Long("only") => options.only = Some(list(&parser.value()?.string()?)),
            Long("cells") => cells = Some(list(&parser.value()?.string()?)),
            Long("cores") => {
                let cores = list(&parser.value()?.string()?);
                options.cores = cores.try_into().map_err(|_| "--cores takes two, as in 0,1")?;
            }
            Value(value) => {
                let value = value.string()?;
                let (name, command) = value.split_once('=').ok_or("a server is given as NAME=COMMAND")?;
                options.more.push((name.to_owned(), command.to_owned()));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(names) = cells {
        options.cells = Cell::named(&options.cells, &names)?;
    }
    if options.name == "growth" {
        options.only.get_or_insert_default();
    }
    Ok(Some(options))
}

fn path(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).map(str::to_owned).collect()
}

const LEAST_ROUNDS: usize = 5;
