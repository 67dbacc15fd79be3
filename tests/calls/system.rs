//! The operating system with a resolver that answers what a test wants, and a record of what it was asked for.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gnezdo::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, OsSystem,
    Peer, Resolved, SocketId, System, Wake, Waker,
};
use gnezdo::time::Time;

/// What a system was asked for.
#[derive(Default)]
pub(crate) struct Record {
    /// The addresses that were tried, and when.
    pub(crate) tried: Mutex<Vec<(Addr, Time)>>,
    /// How many streams are open now.
    pub(crate) streams: AtomicUsize,
    /// How often the loop was woken.
    pub(crate) wakes: AtomicUsize,
}

impl Record {
    pub(crate) fn tried(&self) -> Vec<Addr> {
        self.tried.lock().unwrap().iter().map(|(addr, _)| addr.clone()).collect()
    }

    /// The time between two attempts.
    pub(crate) fn between(&self, first: usize, second: usize) -> Duration {
        let tried = self.tried.lock().unwrap();
        tried[second].1.since(tried[first].1)
    }
}

pub(crate) struct Recorded {
    inner: OsSystem,
    /// What every name leads to.
    addrs: Vec<SocketAddr>,
    answers: VecDeque<Resolved>,
    record: Arc<Record>,
}

impl Recorded {
    pub(crate) fn new(addrs: impl IntoIterator<Item = SocketAddr>) -> (Self, Arc<Record>) {
        let record = Arc::<Record>::default();
        let (addrs, answers) = (addrs.into_iter().collect(), VecDeque::new());
        (Self { inner: OsSystem::new().unwrap(), addrs, answers, record: Arc::clone(&record) }, record)
    }
}

/// Counts, and wakes.
struct CountedWake {
    inner: Waker,
    record: Arc<Record>,
}

impl Wake for CountedWake {
    fn wake(&self) -> io::Result<()> {
        self.record.wakes.fetch_add(1, Ordering::SeqCst);
        self.inner.wake()
    }
}

impl System for Recorded {
    fn resolve(&mut self, _host: &str, _port: u16, token: u64) -> io::Result<()> {
        self.answers.push_back(Resolved { token, addrs: Ok(self.addrs.clone()) });
        self.inner.waker().wake()
    }

    fn resolved(&mut self) -> Option<Resolved> {
        self.answers.pop_front()
    }

    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError> {
        self.record.tried.lock().unwrap().push((addr.clone(), self.inner.now()));
        let connecting = self.inner.connect(addr, options)?;
        if connecting != Connecting::Busy {
            self.record.streams.fetch_add(1, Ordering::SeqCst);
        }
        Ok(connecting)
    }

    fn close(&mut self, socket: SocketId, how: CloseHow) {
        self.record.streams.fetch_sub(1, Ordering::SeqCst);
        self.inner.close(socket, how);
    }

    fn waker(&self) -> Waker {
        Waker::new(CountedWake { inner: self.inner.waker(), record: Arc::clone(&self.record) })
    }

    // The rest is the operating system's.

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(events, timeout)
    }

    fn has_more(&self) -> bool {
        self.inner.has_more()
    }

    fn now(&self) -> Time {
        self.inner.now()
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.random(bytes)
    }

    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        self.inner.listen(addr, options)
    }

    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        self.inner.accept(listener)
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        self.inner.register(socket, key)
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        self.inner.receive(socket, into)
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.inner.send(socket, bytes)
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.send_gathered(socket, parts)
    }

    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()> {
        self.inner.shutdown_write(socket)
    }

    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>> {
        self.inner.take_error(socket)
    }

    fn peer(&self, socket: SocketId) -> io::Result<Peer> {
        self.inner.peer(socket)
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        self.inner.as_raw_fd()
    }
}
