//! The servers: those that are built here, and those given on the command line.

use std::error::Error;
use std::path::Path;

use crate::cell::{Cell, Road};
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
    let mut peers = built_in(&options.programs);
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

fn built_in(programs: &Path) -> Vec<Peer> {
    let native = |program: &str| programs.join("native/release").join(program).display().to_string();
    let plain = programs.join("plain/release/gnezdo").display().to_string();
    let ours = |command| format!("{command} --no-deflate ADDR");
    let mut peers = vec![
        Peer::new(OURS, Kind::Ours, ours(native("gnezdo"))),
        Peer::new("gnezdo, plain build", Kind::Other, ours(plain)),
        Peer::new("fastwebsockets", Kind::Other, format!("{} ADDR", native("fastwebsockets"))),
    ];
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
