//! The model kernel: every socket of the world and the names they are bound to; knows not what calls do to them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;

use super::agenda::Agenda;
use super::faults::Decider;
use super::stats::Record;
use super::stream::{Stream, errno};
use super::table::Table;
use super::tape::{SplitMix, Tape};
use super::world::WorldConfig;
use crate::net::{self, Addr, SocketId};
use crate::slab::{Key, Slab};
use crate::time::Time;

/// Everything there is in a world.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) config: WorldConfig,
    pub(super) tape: Tape,
    pub(super) agenda: Agenda,
    pub(super) decider: Decider,
    pub(super) record: Record,
    pub(super) random: SplitMix,
    pub(super) tables: Vec<Table>,
    /// Names that a resolver knows.
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    /// Addresses that answer nothing at all.
    pub(super) silent: Vec<Addr>,
    /// Wake-ups that the script asked for and that are due.
    pub(super) wakeups: VecDeque<u64>,
    pub(super) sockets: Slab<Socket>,
    pub(super) bound: HashMap<Addr, Key>,
    pub(super) port: u16,
}

/// Something a descriptor can stand for.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) what: What,
    pub(super) registration: Option<Registration>,
}

#[derive(Debug)]
pub(super) enum What {
    Stream(Box<Stream>),
    Listener(Listener),
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) addr: Addr,
    /// Connections that stand and wait to be accepted.
    pub(super) queue: VecDeque<Key>,
    pub(super) backlog: usize,
}

/// Who is told when a socket becomes ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    pub(super) system: usize,
    pub(super) key: net::Key,
    /// Whether an edge is queued.
    pub(super) is_listed: bool,
}

/// What became of a connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Connected {
    Established(Key),
    InProgress(Key),
    Busy,
}

impl Kernel {
    pub(super) fn new(config: WorldConfig, tape: Tape) -> Self {
        let decider = Decider::new(config.faults, config.plan);
        Kernel {
            decider,
            random: SplitMix(tape.entropy()),
            agenda: Agenda::default(),
            record: Record::default(),
            tables: Vec::new(),
            names: BTreeMap::new(),
            silent: Vec::new(),
            wakeups: VecDeque::new(),
            sockets: Slab::new(),
            bound: HashMap::new(),
            port: FIRST_PORT,
            config,
            tape,
        }
    }

    /// How many sockets are open, accepted or not, and in whosever hands.
    pub(super) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many bytes are unread or on their way, in all queues.
    pub(super) fn held(&self) -> usize {
        let keys = (0..self.sockets.end()).filter_map(|index| self.sockets.key_at(index));
        keys.filter_map(|key| self.stream(key)).map(Stream::held).sum()
    }

    pub(super) fn stream(&self, key: Key) -> Option<&Stream> {
        match &self.sockets.get(key)?.what {
            What::Stream(stream) => Some(stream),
            What::Listener(_) => None,
        }
    }

    pub(super) fn stream_mut(&mut self, key: Key) -> Option<&mut Stream> {
        match &mut self.sockets.get_mut(key)?.what {
            What::Stream(stream) => Some(stream),
            What::Listener(_) => None,
        }
    }

    pub(super) fn listener_mut(&mut self, key: Key) -> Option<&mut Listener> {
        match &mut self.sockets.get_mut(key)?.what {
            What::Stream(_) => None,
            What::Listener(listener) => Some(listener),
        }
    }

    pub(super) fn insert(&mut self, what: What) -> io::Result<Key> {
        self.sockets.insert(Socket { what, registration: None }).map_err(|_| errno(libc::ENOBUFS))
    }

    /// What a number stands for in a system.
    pub(super) fn find(&self, system: usize, socket: SocketId) -> io::Result<Key> {
        self.tables.get(system).and_then(|table| table.get(socket)).ok_or_else(|| errno(libc::EBADF))
    }

    pub(super) fn now(&self) -> Time {
        self.agenda.now()
    }
}

/// The first port that is given to whoever asks for none.
pub(super) const FIRST_PORT: u16 = 32_768;
