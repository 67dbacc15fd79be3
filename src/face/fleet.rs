//! L4, a fleet: several reactors on as many threads, one handler each, all made by one function and behind the same
//! listeners.

mod context;
mod crew;
mod doors;
mod error;
mod handle;
#[cfg(all(test, shuttle))]
mod model;
mod seat;

use std::fmt;
use std::sync::OnceLock;
use std::thread::{self, Builder};
use std::time::Duration;

pub(super) use self::crew::{Arrival, Mail, Member};
pub use self::error::FleetError;
pub use self::handle::{FleetCounts, FleetHandle, Spread};
use self::seat::Seat;
use crate::face::{Config, Error, Handler, Listen, Remote, Result, ShutdownReport};
use crate::net::{Addr, OsSystem};

/// Several threads, each with a reactor and a handler of its own, behind the same listeners.
///
/// A connection belongs to one thread for as long as it lives, and so do its id, its data and its topics: nothing is
/// locked, and a handler sees of the other threads only what it is posted. What reaches all of them is
/// [`Context::publish_everywhere`](crate::Context::publish_everywhere) and the [`FleetHandle`]. Every bound of the
/// [`Config`] holds for each thread by itself.
///
/// Connections come to the threads in one of two ways. A TCP port is listened on by each thread (`SO_REUSEPORT`), and the
/// kernel spreads connections by a hash of their addresses: so it is on Linux. A Unix-domain socket, and everything
/// elsewhere, is accepted from by thread 0, which gives each connection to the thread that has fewest.
///
/// ```no_run
/// use gnezdo::{Config, ConnId, Context, Fleet, Handler, Message, Prepared};
///
/// struct Chat;
///
/// impl Handler for Chat {
///     type Conn = ();
///     type Post = ();
///     fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
///         let _ = cx.subscribe(id, "room");
///     }
///     fn on_message(&mut self, cx: &mut Context<'_, Self>, _id: ConnId, message: Message<'_>) {
///         let _ = cx.publish_everywhere("room", &mut Prepared::new(message));
///     }
/// }
///
/// fn main() -> gnezdo::Result<()> {
///     let mut fleet = Fleet::new(4, Config::default(), |_thread| Chat)?;
///     fleet.listen(&"127.0.0.1:9001".parse()?)?;
///     fleet.run()?;
///     Ok(())
/// }
/// ```
pub struct Fleet<H: Handler> {
    seats: Vec<Seat<H::Post, OsSystem>>,
    handle: FleetHandle,
    config: Config,
    make: Box<dyn Fn(usize) -> H + Send + Sync>,
}

impl<H: Handler> fmt::Debug for Fleet<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("threads", &self.seats.len()).finish_non_exhaustive()
    }
}

impl<H: Handler> Fleet<H> {
    /// A fleet of 1 to 1,024 threads. `make` is called once on each, with its number from 0, when [`Fleet::run`] begins;
    /// what it makes never leaves its thread.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself, the number of threads is out of its range, or the system has no
    /// descriptors left.
    pub fn new(
        threads: usize,
        config: Config,
        make: impl Fn(usize) -> H + Send + Sync + 'static,
    ) -> Result<Self> {
        config.check()?;
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(FleetError::Threads(threads).into());
        }
        let systems = (0..threads).map(|_| OsSystem::new()).collect::<std::result::Result<_, _>>()?;
        let (seats, handle) = seat::muster(systems, &config);
        Ok(Self { seats, handle, config, make: Box::new(make) })
    }

    /// Listens for WebSocket connections, as [`Config::websocket`] says. Answers with the address really taken, with the
    /// port that the system chose where 0 was asked for.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the address and the cure; then no thread listens there.
    pub fn listen(&mut self, addr: &Addr) -> Result<Addr> {
        self.listen_with(addr, &Listen::default())
    }

    /// Listens for what `listen` says. A port that somebody else listens on is refused, though several threads will share
    /// it, unless [`ListenOptions::reuse_port`](crate::ListenOptions::reuse_port) says that this is meant.
    ///
    /// # Errors
    ///
    /// As [`Fleet::listen`], and [`FleetError::Takeover`] for [`Listen::takeover`] where there are several threads.
    pub fn listen_with(&mut self, addr: &Addr, listen: &Listen) -> Result<Addr> {
        doors::open(&mut self.seats, addr, listen)
    }

    /// Reaches all threads, from any thread.
    #[must_use]
    pub fn handle(&self) -> FleetHandle {
        self.handle.clone()
    }

    /// What posts to the handler of each thread, in their order. Who ends one thread by it ends the others, which then have a
    /// grace of 5 s.
    #[must_use]
    pub fn remotes(&self) -> Vec<Remote<H::Post>> {
        self.seats.iter().map(Seat::remote).collect()
    }

    /// Runs until [`FleetHandle::shutdown`] or [`FleetHandle::stop`], or until one of the handlers asks for that. Thread 0
    /// is the one that calls; the others are named `gnezdo-1` and so on, and are over when this returns. None is pinned
    /// to a core. Answers how the shutdown went on all threads together; `None` where none was asked for.
    ///
    /// Ending, each thread closes its listener. Whoever is in the kernel's backlog of it at that moment, accepted by
    /// nobody, is reset by the kernel.
    ///
    /// # Errors
    ///
    /// [`FleetError`], if a thread cannot be started, its loop fails, or its handler panics: says which and why. The
    /// others are shut down then, with a grace of 5 s, before this returns. A handler that does not return from a call is
    /// waited for.
    pub fn run(self) -> Result<Option<ShutdownReport>> {
        let Self { seats, handle, config, make } = self;
        let failed = OnceLock::new();
        let fail = |error: Error| {
            // The first one counts: others may follow from it.
            let _ = failed.set(error);
            // Who cannot be woken ends at its next event.
            let _ = handle.shutdown(LAST_GRACE);
        };
        let serve = |seat: Seat<H::Post, OsSystem>| {
            let outcome = seat.serve(&handle, &config, &*make);
            if outcome.is_ok() && !handle.crew.ends() {
                // A thread that was ended alone does not leave the others behind.
                let _ = handle.shutdown(LAST_GRACE);
            }
            outcome.unwrap_or_else(|error| {
                fail(error);
                None
            })
        };
        let report = thread::scope(|scope| {
            let mut seats = seats.into_iter();
            let first = seats.next();
            let start = |seat: Seat<_, _>| {
                let thread = seat.thread();
                let builder = Builder::new().name(format!("gnezdo-{thread}"));
                let started = builder.spawn_scoped(scope, || serve(seat));
                started.map_err(|source| fail(FleetError::NotStarted { thread, source }.into())).ok()
            };
            let others: Vec<_> = seats.filter_map(start).collect();
            let first = first.and_then(&serve);
            let others = others.into_iter().filter_map(|other| other.join().ok().flatten());
            first.into_iter().chain(others).reduce(ShutdownReport::merged)
        });
        failed.into_inner().map_or(Ok(report), Err)
    }
}

/// The most threads of a fleet.
const MOST_THREADS: usize = 1024;
/// How long the connections of the others may take to close after a thread failed, or was ended alone.
const LAST_GRACE: Duration = Duration::from_secs(5);
