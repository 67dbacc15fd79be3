//! The kinds of load.

use std::path::Path;
use std::time::Duration;

/// One column of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    /// How many of them carry messages.
    pub(crate) active: Active,
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
    pub(crate) content: Content,
    pub(crate) road: Road,
    /// How long one server is under load before it is the next one's turn.
    pub(crate) slice: Duration,
}

/// What the servers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Each message goes back to who sent it.
    Echo,
    /// Each message goes to all who are connected.
    Broadcast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Active {
    All,
    Hundredth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Binary,
    Utf8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Road {
    Tcp,
    Unix,
}

const SHORT: Duration = Duration::from_millis(120);
/// Long enough for each of 5,000 connections to have its turn a few times.
const LONG: Duration = Duration::from_millis(400);
/// The same for 15,000.
const LONGEST: Duration = Duration::from_secs(1);

const PLAIN: Cell = Cell {
    name: "20 B ×32",
    connections: 32,
    active: Active::All,
    size: 20,
    in_flight: 1,
    content: Content::Binary,
    road: Road::Tcp,
    slice: SHORT,
};

pub(crate) const CELLS: [Cell; 12] = [
    PLAIN,
    Cell { name: "20 B ×500", connections: 500, ..PLAIN },
    Cell { name: "20 B ×5,000", connections: 5_000, slice: LONG, ..PLAIN },
    Cell { name: "20 B ×32, 16 in flight", in_flight: 16, ..PLAIN },
    Cell { name: "1 KiB ×500", connections: 500, size: 1 << 10, ..PLAIN },
    Cell { name: "16 KiB ×100", connections: 100, size: 16 << 10, ..PLAIN },
    Cell { name: "16 KiB ×100, text", connections: 100, size: 16 << 10, content: Content::Utf8, ..PLAIN },
    Cell { name: "64 KiB ×32", size: 64 << 10, ..PLAIN },
    Cell { name: "1 MiB ×10", connections: 10, size: 1 << 20, slice: LONG, ..PLAIN },
    Cell { name: "Unix, 20 B ×32", road: Road::Unix, ..PLAIN },
    Cell { name: "Unix, 20 B ×32, 16 in flight", in_flight: 16, road: Road::Unix, ..PLAIN },
    Cell { name: "Unix, 16 KiB ×100", connections: 100, size: 16 << 10, road: Road::Unix, ..PLAIN },
];

/// How the cost of a message grows with the number of connections.
pub(crate) const GROWTH: [Cell; 8] = [
    Cell { name: "×1", connections: 1, ..PLAIN },
    Cell { name: "×32", ..PLAIN },
    Cell { name: "×500", connections: 500, ..PLAIN },
    Cell { name: "×5,000", connections: 5_000, slice: LONG, ..PLAIN },
    Cell { name: "×15,000", connections: 15_000, slice: LONGEST, ..PLAIN },
    Cell { name: "×500, 99 % idle", connections: 500, active: Active::Hundredth, ..PLAIN },
    Cell { name: "×5,000, 99 % idle", connections: 5_000, active: Active::Hundredth, ..PLAIN },
    Cell { name: "×15,000, 99 % idle", connections: 15_000, active: Active::Hundredth, ..PLAIN },
];

const CROWD: Cell = Cell { name: "20 B to 5,000", connections: 5_000, slice: LONG, ..PLAIN };

/// One message to many.
pub(crate) const BROADCAST: [Cell; 6] = [
    CROWD,
    Cell { name: "1,000 B to 5,000", size: 1_000, ..CROWD },
    Cell { name: "16,000 B to 5,000", size: 16_000, ..CROWD },
    Cell { name: "Unix, 20 B to 5,000", road: Road::Unix, ..CROWD },
    Cell { name: "Unix, 1,000 B to 5,000", size: 1_000, road: Road::Unix, ..CROWD },
    Cell { name: "Unix, 16,000 B to 5,000", size: 16_000, road: Road::Unix, ..CROWD },
];

impl Cell {
    /// Those of `cells` with these names. A comma inside a name may be left out, since it separates names.
    pub(crate) fn named(cells: &[Cell], names: &[String]) -> Result<Vec<Cell>, String> {
        let plain = |name: &str| name.replace([',', ' '], "").replace('x', "×");
        let find = |name: &String| {
            let found = cells.iter().find(|cell| plain(cell.name) == plain(name)).copied();
            let all = || cells.iter().map(|cell| cell.name).collect::<Vec<_>>();
            found.ok_or_else(|| format!("there is no cell {name:?}, but {:?}", all()))
        };
        names.iter().map(find).collect()
    }

    /// The command that puts a server under this load, word by word.
    pub(crate) fn generator(&self, service: Service, programs: &Path, addr: &str) -> Vec<String> {
        let native = |name| programs.join("native/release").join(name).display().to_string();
        match service {
            Service::Echo => {
                let mut words = vec![native("load"), "--on-demand".to_owned()];
                words.extend(self.arguments());
                words.push(url(addr));
                words
            }
            Service::Broadcast => {
                let [count, size] = [self.connections, self.size].map(|number| number.to_string());
                vec![native("subscribers"), count, size, addr.to_owned()]
            }
        }
    }

    fn arguments(&self) -> Vec<String> {
        let active = if self.active == Active::All { self.connections } else { self.connections / 100 };
        let numbers = [
            ("connections", self.connections),
            ("active", active),
            ("size", self.size),
            ("in-flight", self.in_flight),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]);
        numbers.chain((self.content == Content::Utf8).then(|| "--utf8".to_owned())).collect()
    }
}

fn url(addr: &str) -> String {
    if addr.starts_with("unix:") { format!("ws+{addr}:/") } else { format!("ws://{addr}/") }
}
