//! One cell: every server up and connected, then slices of load in random order.

use std::error::Error;
use std::path::PathBuf;

use indicatif::ProgressBar;

use crate::cell::{Cell, Road};
use crate::options::Options;
use crate::peers::Peer;
use crate::process::{Load, Server};
use crate::samples::{Results, Sample};
use crate::say;

/// A server under measurement.
struct Contender {
    /// Its row.
    row: usize,
    server: Server,
    load: Load,
}

/// A server that fails is left out of the cell, and the table says so.
pub(crate) fn cell(
    options: &Options,
    cell: &Cell,
    peers: &[Peer],
    bar: &ProgressBar,
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    let sockets = Sockets::new()?;
    let mut contenders = Vec::new();
    for (row, peer) in peers.iter().enumerate().filter(|(_, peer)| peer.serves(cell)) {
        match start(options, cell, peer, &sockets.addr(cell, row)) {
            Ok((server, load, memory)) => {
                results.set_memory(cell, row, memory / cell.connections as f64);
                contenders.push(Contender { row, server, load });
            }
            Err(error) => say(bar, &format!("{}: {}: {error}", cell.name, peer.name)),
        }
    }
    let rounds = options.rounds(cell, peers.len());
    for round in 0..rounds + WARM_UP {
        fastrand::shuffle(&mut contenders);
        contenders.retain_mut(|contender| match slice(cell, contender) {
            Ok(sample) => {
                if round >= WARM_UP {
                    results.add(cell, contender.row, round, sample);
                }
                true
            }
            Err(error) => {
                say(bar, &format!("{}: {}: {error}", cell.name, peers[contender.row].name));
                false
            }
        });
        bar.inc(if round < WARM_UP { 0 } else { peers.len() as u64 });
    }
    Ok(())
}

/// A server and its load, and how many bytes its connections have taken.
fn start(
    options: &Options,
    cell: &Cell,
    peer: &Peer,
    addr: &str,
) -> Result<(Server, Load, f64), Box<dyn Error>> {
    let [server_core, load_core] = &options.cores;
    let server = Server::start(server_core, &peer.command(cell, addr), addr)?;
    let before = server.memory();
    let load = Load::start(load_core, &cell.generator(options.service, &options.programs, addr))?;
    let taken = server.memory().saturating_sub(before);
    Ok((server, load, taken as f64))
}

/// Both clocks are read while the server sleeps, so that they are exact.
fn slice(cell: &Cell, contender: &mut Contender) -> Result<Sample, Box<dyn Error>> {
    let before = contender.server.cpu();
    let report = contender.load.run(cell.slice)?;
    let after = contender.server.cpu();
    let number = |name: &str| report[name].as_f64().ok_or("the load generator said nothing");
    let messages = number("messages")?.max(1.0);
    Ok(Sample {
        cpu: (after.all - before.all) as f64 / messages,
        user_ticks: after.user_ticks - before.user_ticks,
        system_ticks: after.system_ticks - before.system_ticks,
        messages,
        per_second: number("messages_per_second")?,
        load_cpu: number("own_cpu_ns_per_message")?,
    })
}

/// Where the servers of a cell listen.
struct Sockets {
    directory: PathBuf,
    first_port: usize,
}

impl Sockets {
    fn new() -> Result<Self, Box<dyn Error>> {
        let directory = std::env::temp_dir().join(format!("gnezdo-peers-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        // Below the ports that connections come from.
        Ok(Self { directory, first_port: fastrand::usize(2_000..14_000) })
    }

    fn addr(&self, cell: &Cell, row: usize) -> String {
        match cell.road {
            Road::Tcp => format!("127.0.0.1:{}", self.first_port + row),
            Road::Unix => format!("unix:{}", self.directory.join(row.to_string()).display()),
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Rounds that do not count: caches fill, allocators settle.
const WARM_UP: usize = 2;
