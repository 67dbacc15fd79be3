//! Where an attack meets its server: how to reach it, which process it is (if that is known), and room for notes.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use super::{Peer, open_descriptors};
use crate::support::{Echo, Target};

/// One server under attack.
pub(crate) struct Field {
    pub(crate) tcp: SocketAddr,
    unix: Option<PathBuf>,
    /// The server's process, where `/proc` may be asked.
    pub(crate) process: Option<u32>,
    pub(crate) terms: Terms,
    company: Company,
    notes: Mutex<Vec<String>>,
}

/// How long the server lets peers take, and how much it takes from them.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) opening: Duration,
    pub(crate) stall: Duration,
    /// A message of so many bytes is not too large.
    pub(crate) message: usize,
}

/// Who else attacks the same server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Alone,
    Zoo,
}

/// What every server of ours is started with, so that no attack waits long and all can share one server.
const OPTIONS: [&str; 8] =
    ["--max-message", "1048576", "--opening-timeout", "2", "--stall-timeout", "3", "--idle-timeout", "20"];
const OURS: Terms =
    Terms { opening: Duration::from_secs(2), stall: Duration::from_secs(3), message: 1 << 20 };
/// What a server that nothing is known of probably does.
const FOREIGN: Terms =
    Terms { opening: Duration::from_secs(10), stall: Duration::from_secs(30), message: 64 << 10 };

impl Field {
    /// Starts a server of ours below `wrapper`.
    pub(crate) fn start(wrapper: &[&str], options: &[&str]) -> (Echo, Self) {
        let server = Echo::start_under(wrapper, &[&OPTIONS[..], options].concat());
        let field = Self::of(&server);
        field.warm_up(server.process);
        (server, field)
    }

    /// A server may open descriptors of its own after it has said where it listens: waits until it serves, and has
    /// let go of whom it served.
    fn warm_up(&self, process: u32) {
        let mut first = self.open();
        first.expect_echo("first");
        let busy = open_descriptors(process);
        drop(first);
        while open_descriptors(process) >= busy {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn of(server: &Echo) -> Self {
        let unix = Some(server.unix.clone());
        let process = Some(server.process);
        Self { tcp: server.tcp, unix, process, terms: OURS, company: Company::Alone, notes: Mutex::default() }
    }

    /// A server that somebody else started.
    pub(crate) fn foreign(tcp: SocketAddr, process: Option<u32>) -> Self {
        Self { tcp, unix: None, process, terms: FOREIGN, company: Company::Alone, notes: Mutex::default() }
    }

    /// Starts the server of the zoo: attackers wait for each other, so it is more patient, and it takes less.
    pub(crate) fn start_zoo(wrapper: &[&str]) -> (Echo, Self) {
        let (server, field) = Self::start(wrapper, &["--max-message", "65536", "--opening-timeout", "6"]);
        let terms = Terms { opening: Duration::from_secs(6), message: 65_536, ..OURS };
        (server, Self { terms, ..field })
    }

    /// The same server, for an attack beside others: its process can't be asked what this one costs.
    pub(crate) fn shared(&self) -> Self {
        Self {
            tcp: self.tcp,
            unix: self.unix.clone(),
            process: None,
            terms: self.terms,
            company: Company::Zoo,
            notes: Mutex::default(),
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Tcp(self.tcp)
    }

    /// Every way to reach the server.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let unix = self.unix.clone().map(Target::Unix);
        std::iter::once(self.target()).chain(unix).collect()
    }

    /// So many, or a tenth of it where others attack as well.
    pub(crate) fn up_to(&self, count: usize) -> usize {
        if self.company == Company::Zoo { count.div_ceil(10) } else { count }
    }

    /// What the rules call a second: more of it where others attack as well.
    pub(crate) fn second(&self) -> Duration {
        Duration::from_secs(if self.company == Company::Zoo { 8 } else { 1 })
    }

    /// Connected, with nothing said.
    pub(crate) fn connect(&self) -> Peer {
        Peer::new(self.target().connect().unwrap())
    }

    /// Connected from one of many addresses of this machine, for attacks that need many ports.
    pub(crate) fn connect_as(&self, number: usize) -> Peer {
        let host = u8::try_from(2 + number % 250).unwrap();
        Peer::new(self.target().connect_from(host).unwrap())
    }

    /// Connected with as small a receive buffer as is asked for.
    pub(crate) fn narrow(&self, receive_buffer: usize) -> Peer {
        Peer::new(self.target().connect_narrow(receive_buffer).unwrap())
    }

    /// Connected and upgraded.
    pub(crate) fn open(&self) -> Peer {
        self.connect().opened()
    }

    /// Notes a figure for the table.
    pub(crate) fn note(&self, figure: impl Into<String>) {
        self.notes.lock().unwrap().push(figure.into());
    }

    pub(crate) fn notes(&self) -> String {
        self.notes.lock().unwrap().join("; ")
    }
}

/// Says something past the capture of the harness.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
