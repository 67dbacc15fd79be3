//! The servers: those that are built here, and those given on the command line.

use std::error::Error;
use std::path::Path;

use crate::cell::{Cell, Road, Service};
use crate::options::Options;

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    command: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What everything is compared with.
    Ours,
    /// It is told what is to come; see `servers::Load`.
    Told,
    /// All others.
    Other,
}

/// Our own server, as every other number is a ratio to its.
pub(crate) const OURS: &str = "gnezdo";

/// All that can be measured here and now.
pub(crate) fn wanted(options: &Options) -> Result<Vec<Peer>, Box<dyn Error>> {
    let mut peers = match options.service {
        Service::Echo => echoes(&options.programs),
        Service::Broadcast => hubs(&options.programs),
    };
    if let Some(only) = &options.only {
        if let Some(unknown) = only.iter().find(|name| peers.iter().all(|peer| peer.name != **name)) {
            let names: Vec<_> = peers.iter().map(|peer| &peer.name).collect();
            return Err(format!("there is no server {unknown:?}, but {names:?}").into());
        }
        peers.retain(|peer| peer.kind == Kind::Ours || only.contains(&peer.name));
    }
    let more = options.more.iter().map(|(name, command)| Peer::new(name, Kind::Other, command.clone()));
    peers.extend(more);
    Ok(peers)
}

fn echoes(programs: &Path) -> Vec<Peer> {
    let native = |program: &str| native(programs, program);
    let mut peers = ours(programs, "gnezdo", "--no-deflate ADDR").to_vec();
    peers.push(Peer::new("fastwebsockets", Kind::Other, format!("{} ADDR", native("fastwebsockets"))));
    for name in ["tokio-websockets", "tokio-tungstenite", "sockudo-ws", "yawc"] {
        peers.push(Peer::new(name, Kind::Told, format!("{} ADDR", native(&name.replace('-', "_")))));
    }
    peers.push(Peer::new("ws", Kind::Other, format!("{} 127.0.0.1:PORT", native("ws"))));
    let node = programs.join("node");
    if node.join("node_modules/ws").is_dir() {
        peers.push(Peer::new(
            "ws (Node)",
            Kind::Other,
            format!("node {} ADDR", node.join("echo.mjs").display()),
        ));
    }
    peers
}

fn hubs(programs: &Path) -> Vec<Peer> {
    let mut peers = ours(programs, "gnezdo_broadcast", "ADDR").to_vec();
    for name in ["tokio-websockets", "tokio-tungstenite"] {
        let program = native(programs, &name.replace('-', "_"));
        peers.push(Peer::new(name, Kind::Told, format!("{program} --broadcast ADDR")));
    }
    peers
}

/// Our own server, built in both ways.
fn ours(programs: &Path, program: &str, arguments: &str) -> [Peer; 2] {
    let plain = programs.join("plain/release").join(program);
    [
        Peer::new(OURS, Kind::Ours, format!("{} {arguments}", native(programs, program))),
        Peer::new("gnezdo, plain build", Kind::Other, format!("{} {arguments}", plain.display())),
    ]
}

fn native(programs: &Path, program: &str) -> String {
    programs.join("native/release").join(program).display().to_string()
}

impl Peer {
    fn new(name: &str, kind: Kind, command: String) -> Self {
        Self { name: name.to_owned(), kind, command }
    }

    /// Whether it can take a cell's load.
    pub(crate) fn serves(&self, cell: &Cell) -> bool {
        cell.road == Road::Tcp || !self.command.contains("PORT")
    }

    /// The command that serves a cell on this address, word by word.
    pub(crate) fn command(&self, cell: &Cell, addr: &str) -> Vec<String> {
        let port = addr.rsplit_once(':').map_or(addr, |(_, port)| port);
        let target = if cell.road == Road::Tcp { port } else { addr };
        let words = self.command.replace("ADDR", addr).replace("TARGET", target).replace("PORT", port);
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        if self.kind == Kind::Told {
            words.extend(["--message".to_owned(), cell.size.to_string()]);
            words.extend((cell.in_flight > 1).then(|| "--batch".to_owned()));
        }
        words
    }
}
