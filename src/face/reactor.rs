//! L4, the reactor: a handler, a configuration and a system, put together and run.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::face::remote::{Lines, Remote, Wish};
use crate::face::runtime::Runtime;
use crate::face::{Config, Context, Error, Handler, Listen, Result, ShutdownReport};
use crate::net::{Addr, Inherited, OsSystem, System};
use crate::reactor::{EventLoop, ListenerId};
use crate::time::Time;

/// One thread, one loop, every socket: owns a [`Handler`] and calls it.
///
/// ```no_run
/// use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Conn = ();
///     type Post = ();
///     fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
///         let _ = cx.send(id, message);
///     }
/// }
///
/// fn main() -> gnezdo::Result<()> {
///     let mut reactor = Reactor::new(Echo, Config::default())?;
///     reactor.listen(&"127.0.0.1:9001".parse()?)?;
///     reactor.run()
/// }
/// ```
pub struct Reactor<H: Handler, S: System = OsSystem> {
    pub(super) inner: EventLoop<Runtime<H>, S>,
    wish: Arc<Wish>,
}

impl<H: Handler, S: System> std::fmt::Debug for Reactor<H, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("next_deadline", &self.next_deadline()).finish_non_exhaustive()
    }
}

/// A listener that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// What [`Context::close_listener`] takes.
    pub id: ListenerId,
    /// Where it really listens: with the port that the system chose, where 0 was asked for.
    pub addr: Addr,
}

impl<H: Handler> Reactor<H> {
    /// A reactor on the operating system.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself, or the system has no descriptors left.
    pub fn new(handler: H, config: Config) -> Result<Self> {
        Self::with_system(handler, config, OsSystem::new()?)
    }
}

impl<H: Handler, S: System> Reactor<H, S> {
    /// A reactor on a system of the caller's.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself.
    pub fn with_system(handler: H, config: Config, system: S) -> Result<Self> {
        config.check()?;
        let lines = Lines::new(system.waker(), config.max_posts);
        Ok(Self::on_lines(handler, config, system, lines))
    }

    /// The same, with a configuration that was checked, where other threads may have a handle already.
    pub(super) fn on_lines(handler: H, config: Config, system: S, lines: Lines<H::Post>) -> Self {
        let Lines { alert, wish, posts } = lines;
        let runtime = Runtime::new(handler, &config, posts, Arc::clone(&wish));
        let inner = EventLoop::with_alert(runtime, system, config.settings, alert);
        Self { inner, wish }
    }

    /// Listens for WebSocket connections, as [`Config::websocket`] says.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the address and the cure.
    pub fn listen(&mut self, addr: &Addr) -> Result<Listening> {
        self.listen_with(addr, &Listen::default())
    }

    /// Listens for what `listen` says.
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the address and the cure.
    pub fn listen_with(&mut self, addr: &Addr, listen: &Listen) -> Result<Listening> {
        self.with(|_, cx| cx.listen(addr, listen))
    }

    /// Serves a listener that another process opened, as [`Context::listen_on`].
    ///
    /// # Errors
    ///
    /// An [`Error`] that names the address.
    pub fn listen_on(&mut self, inherited: Inherited, listen: &Listen) -> Result<Listening> {
        self.with(|_, cx| cx.listen_on(inherited, listen))
    }

    /// Runs until [`Context::stop`], or until a shutdown is complete; [`Reactor::shutdown_report`] then tells how it went.
    ///
    /// # Errors
    ///
    /// [`Error::Poll`] if the system can no longer be asked for events.
    pub fn run(&mut self) -> Result<()> {
        self.inner.run().map_err(Error::Poll)
    }

    /// Runs one turn: waits for an event or a deadline, but no longer than `max_wait` (zero: looks and comes back;
    /// `None`: as long as it takes). While [`Settings::busy_poll`](crate::Settings::busy_poll) has it stay awake it only
    /// looks.
    ///
    /// # Errors
    ///
    /// [`Error::Poll`] if the system can no longer be asked for events.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> Result<()> {
        self.inner.turn(max_wait).map_err(Error::Poll)
    }

    /// Whether the reactor was stopped; [`Reactor::run`] would return at once.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.inner.is_stopped()
    }

    /// How the shutdown went, once the reactor has stopped; `None` before, and where none was asked for.
    #[must_use]
    pub fn shutdown_report(&self) -> Option<ShutdownReport> {
        let shutdown = self.inner.driver().shared.shutdown.as_ref()?;
        self.is_stopped().then(|| shutdown.report(self.inner.now(), self.inner.sessions()))
    }

    /// When a turn is due even without an event: [`Time::ZERO`] where it is due now, `None` where never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.inner.next_deadline()
    }

    /// How long a foreign loop may wait before it runs a turn although there is no event; `None` for as long as it likes.
    /// Reads the clock.
    #[must_use]
    pub fn next_wait(&self) -> Option<Duration> {
        self.next_deadline().map(|at| at.since(self.inner.system().now()))
    }

    /// The descriptor that becomes readable when a turn has events, to wait for it in another loop.
    #[must_use]
    pub fn as_raw_fd(&self) -> Option<RawFd> {
        self.inner.system().as_raw_fd()
    }

    /// A handle for other threads.
    #[must_use]
    pub fn remote(&self) -> Remote<H::Post> {
        self.inner.driver().posts.remote(self.inner.alert(), Arc::clone(&self.wish))
    }

    /// The handler.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.inner.driver().handler
    }

    /// Calls `act` between two turns with the handler and a context, as if from a callback; what it sends goes out
    /// in the next turn.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut H, &mut Context<'_, H>) -> T) -> T {
        let (runtime, mut io) = self.inner.parts();
        let (handler, mut cx) = runtime.context(&mut io);
        act(handler, &mut cx)
    }
}
