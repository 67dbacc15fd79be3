//! The operating system with a clock that a test moves, and with polls that answer with as little as a test likes.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gnezdo::Addr;
use gnezdo::net::{
    AcceptError, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, OsSystem, Peer,
    Resolved, SocketId, System, Waker,
};
use gnezdo::time::Time;

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(20);

/// Real sockets, and a clock ahead of the real one.
pub(crate) struct Jumping {
    system: OsSystem,
    clock: Clock,
    events_at_once: usize,
    /// Gathered, and not answered yet.
    left: Vec<Event>,
}

type Act = Box<dyn FnOnce()>;

/// What a test does to the time of a [`Jumping`].
#[derive(Clone, Default)]
pub(crate) struct Clock {
    ahead: Rc<Cell<Duration>>,
    /// What happens after the next poll.
    interlude: Rc<RefCell<Option<Act>>>,
    /// How many sockets with input the next poll waits for.
    awaited: Rc<Cell<usize>>,
}

impl Clock {
    pub(crate) fn jump(&self, span: Duration) {
        self.ahead.set(self.ahead.get() + span);
    }

    /// The next poll finds so many sockets with input, which was sent before: a busy kernel may not have moved it on yet.
    pub(crate) fn await_input_of(&self, sockets: usize) {
        self.awaited.set(sockets);
    }

    /// When the next poll is over and before the clock is read, `act` happens and so much time passes. What `act` gave
    /// is found in the cell.
    pub(crate) fn jump_after_poll<T: 'static>(
        &self,
        span: Duration,
        act: impl FnOnce() -> T + 'static,
    ) -> Rc<Cell<Option<T>>> {
        let outcome = Rc::new(Cell::new(None));
        let (clock, told) = (self.clone(), Rc::clone(&outcome));
        *self.interlude.borrow_mut() = Some(Box::new(move || {
            told.set(Some(act()));
            clock.jump(span);
        }));
        outcome
    }
}

impl Jumping {
    pub(crate) fn new(events_at_once: usize) -> (Self, Clock) {
        let clock = Clock::default();
        let system = OsSystem::new().unwrap();
        (Self { system, clock: clock.clone(), events_at_once, left: Vec::new() }, clock)
    }

    /// Puts what the real poll answers with behind what is left.
    fn gather_all(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let mut fresh = Vec::new();
        self.system.poll(&mut fresh, timeout)?;
        for event in fresh {
            self.gather(event);
        }
        Ok(())
    }

    fn with_input(&self) -> usize {
        self.left.iter().filter(|event| event.readiness.is_readable()).count()
    }

    /// As the kernel does: a socket waits in line once, and the first comes first.
    fn gather(&mut self, event: Event) {
        match self.left.iter_mut().find(|earlier| earlier.key == event.key) {
            Some(earlier) => earlier.readiness |= event.readiness,
            None => self.left.push(event),
        }
    }
}

impl System for Jumping {
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.left.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.gather_all(timeout)?;
        let (began, awaited) = (Instant::now(), self.clock.awaited.take());
        while self.with_input() < awaited {
            assert!(began.elapsed() < PATIENCE, "input of {} sockets, not of {awaited}", self.with_input());
            self.gather_all(Some(PATIENCE))?;
        }
        events.extend(self.left.drain(..self.left.len().min(self.events_at_once)));
        if let Some(act) = self.clock.interlude.borrow_mut().take() {
            act();
        }
        Ok(())
    }

    fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    fn now(&self) -> Time {
        self.system.now().saturating_add(self.clock.ahead.get())
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.system.random(bytes)
    }

    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        self.system.listen(addr, options)
    }

    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        self.system.accept(listener)
    }

    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError> {
        self.system.connect(addr, options)
    }

    fn resolve(&mut self, host: &str, port: u16, token: u64) -> io::Result<()> {
        self.system.resolve(host, port, token)
    }

    fn resolved(&mut self) -> Option<Resolved> {
        self.system.resolved()
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        self.system.register(socket, key)
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        self.system.receive(socket, into)
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.system.send(socket, bytes)
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.system.send_gathered(socket, parts)
    }

    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()> {
        self.system.shutdown_write(socket)
    }

    fn close(&mut self, socket: SocketId, how: CloseHow) {
        self.system.close(socket, how);
    }

    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>> {
        self.system.take_error(socket)
    }

    fn peer(&self, socket: SocketId) -> io::Result<Peer> {
        self.system.peer(socket)
    }

    fn waker(&self) -> Waker {
        self.system.waker()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        self.system.as_raw_fd()
    }
}
