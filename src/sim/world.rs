//! The handle to a world: making it, looking at it, and what no system can do; knows no call of a system.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::agenda::Happening;
use super::faults::{FaultPlan, Faults};
use super::kernel::{Connected, Kernel};
use super::peer::{Peer, PeerListener};
use super::stats::Stats;
use super::stream::errno;
use super::system::SimSystem;
use super::table::Table;
use super::tape::Tape;
use crate::net::Addr;
use crate::time::Time;

/// How a world is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldConfig {
    /// How many descriptors one system can have open. Default 20,000. What the real system needs for its own poll is not
    /// counted.
    pub descriptors: usize,
    /// How many bytes one direction of a stream holds, unread or on their way. Default 64 KiB; small ones make many
    /// short counts.
    pub capacity: usize,
    /// The backlog of [`World::listen`]. Default 128. As Linux does, a listener lets one more wait.
    pub backlog: usize,
    /// Whether the number of a closed descriptor is given to the next one at once, as Unix does. Default true; without,
    /// each use after close is a call on a bad descriptor, see [`Stats::bad_descriptors`].
    pub reuse_numbers: bool,
    /// What goes wrong by the tape. Default: nothing.
    pub faults: Faults,
    /// The one call that goes wrong by plan. Default: none.
    pub plan: Option<FaultPlan>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        WorldConfig {
            descriptors: 20_000,
            capacity: 64 * 1024,
            backlog: 128,
            reuse_numbers: true,
            faults: Faults::NONE,
            plan: None,
        }
    }
}

/// A world of simulated systems and scripted peers with one clock. Cheap to clone: all clones are the same world.
///
/// Time passes in [`System::poll`](crate::net::System::poll), and in [`World::pass`]. A poll that has nothing to tell jumps to the earliest
/// of: the end of its own wait, the next happening (a late segment, a connection, a resolved name, a wake-up), the end
/// of another system's wait. Then it returns, with or without events: so one loop can serve them all in turn, and step
/// its peers between two turns. It does not jump while another system of the world has work, nor while a wake-up has
/// not been taken.
#[derive(Clone, Debug)]
pub struct World(Rc<RefCell<Kernel>>);

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(config: WorldConfig, tape: Tape) -> Self {
        World(Rc::new(RefCell::new(Kernel::new(config, tape))))
    }

    /// One more system: the kernel under one reactor.
    #[must_use]
    pub fn system(&self) -> SimSystem {
        SimSystem::new(self.clone())
    }

    /// The time, on the clock of every system of this world.
    #[must_use]
    pub fn now(&self) -> Time {
        self.with(|kernel| kernel.now())
    }

    /// Lets time pass outside of a poll, as work does: in a callback of a handler that is to be a slow one. What happens
    /// within it is met by the next poll.
    pub fn pass(&self, span: Duration) {
        self.with(|kernel| {
            let until = kernel.now().saturating_add(span);
            kernel.agenda.advance_to(until);
        });
    }

    /// Connects a scripted peer. Over TCP it is still on its way where the backlog is full or something is late, see
    /// [`Peer::is_connected`].
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where a Unix-domain listener's backlog is full, and what connect(2) says
    /// where nobody listens on a Unix address. Over TCP the first call on the peer tells.
    pub fn connect(&self, addr: &Addr) -> io::Result<Peer> {
        self.connect_from(None, addr)
    }

    /// The same, from an IP address of the peer's own.
    ///
    /// # Errors
    ///
    /// As [`World::connect`].
    pub fn connect_from(&self, source: Option<IpAddr>, addr: &Addr) -> io::Result<Peer> {
        match self.with(|kernel| kernel.connect(addr, source))? {
            Connected::Established(stream) | Connected::InProgress(stream) => {
                Ok(Peer::new(self.clone(), stream))
            }
            Connected::Busy => Err(errno(libc::EAGAIN)),
        }
    }

    /// Listens for a script, with the backlog of the configuration. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) where somebody listens already.
    pub fn listen(&self, addr: &Addr) -> io::Result<PeerListener> {
        let bound = self.with(|kernel| kernel.listen(addr, kernel.config.backlog));
        bound.map(|(listener, addr)| PeerListener::new(self.clone(), listener, addr))
    }

    /// Makes a TCP address one that never answers: a connection to it stays on its way for 127 seconds.
    pub fn silence(&self, addr: &Addr) {
        self.with(|kernel| kernel.silent.push(addr.clone()));
    }

    /// Gives a host its addresses, for [`System::resolve`](crate::net::System::resolve). An unknown one is not found.
    pub fn name(&self, host: &str, addrs: &[IpAddr]) {
        self.with(|kernel| kernel.names.insert(host.to_owned(), addrs.to_vec()));
    }

    /// Asks for a wake-up: the clock stops there, and [`World::woken`] answers `token`.
    pub fn wake_at(&self, at: Time, token: u64) {
        self.with(|kernel| kernel.agenda.plan(at, Happening::Wakeup(token)));
    }

    /// Takes a wake-up whose time has come.
    #[must_use]
    pub fn woken(&self) -> Option<u64> {
        self.with(|kernel| {
            kernel.run_due();
            kernel.wakeups.pop_front()
        })
    }

    /// From now on nothing goes wrong and nothing new is late.
    pub fn stop_faults(&self) {
        self.with(|kernel| kernel.decider.stop());
    }

    /// Takes a decision of the script's own from the world's tape.
    pub fn decide<T>(&self, decide: impl FnOnce(&mut Tape) -> T) -> T {
        self.with(|kernel| decide(&mut kernel.tape))
    }

    /// What has happened so far, and what is left.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.with(|kernel| Stats {
            calls: kernel.decider.calls.clone(),
            injected: kernel.decider.injected,
            accepted: kernel.record.accepted,
            received: kernel.record.received,
            sent: kernel.record.sent,
            edges: kernel.record.edges,
            empty_polls: kernel.record.empty_polls,
            happenings: kernel.record.happenings,
            bad_descriptors: kernel.record.bad_descriptors,
            deadlocks: kernel.record.deadlocks,
            open: kernel.tables.iter().map(Table::count).collect(),
            sockets: kernel.sockets(),
            held: kernel.held(),
            planned: kernel.agenda.len(),
        })
    }

    /// A hash over each call of each system, with its time, its answer and its bytes: the same for the same run.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.with(|kernel| kernel.record.hash)
    }

    /// The kernel, for the time of one call; no call makes another one.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Kernel) -> T) -> T {
        act(&mut self.0.borrow_mut())
    }
}
