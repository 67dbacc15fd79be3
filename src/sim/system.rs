//! The simulated [`System`]: each call is counted, may be disturbed, and goes into the trace; knows nothing of how the
//! model does it.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::faults::{CallKind, Outcome};
use super::kernel::{Connected, Kernel};
use super::stream::errno;
use super::table::Table;
use super::world::World;
use crate::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, Peer,
    Resolved, SocketId, System, Wake, Waker,
};
use crate::slab;
use crate::time::Time;

/// The kernel under one reactor of a [`World`]. Dropping it closes all it has open, as the end of a process would.
pub struct SimSystem {
    world: World,
    index: usize,
    waker: Waker,
}

impl SimSystem {
    pub(super) fn new(world: World) -> Self {
        let (index, woken) = world.with(|kernel| {
            let table = Table::new(kernel.config.descriptors, kernel.config.reuse_numbers);
            let woken = Arc::clone(&table.woken);
            kernel.tables.push(table);
            (kernel.tables.len().saturating_sub(1), woken)
        });
        SimSystem { world, index, waker: Waker::new(Bell(woken)) }
    }

    /// The world this system is in.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Makes one call: counted, with the outcome the tape or the plan says, and traced.
    fn call<T>(&self, call: CallKind, act: impl FnOnce(&mut Kernel, Outcome) -> T) -> T {
        self.world.with(|kernel| {
            let outcome = kernel.decider.outcome(call, &mut kernel.tape);
            kernel.record.trace(&[self.index as u64, call as u64, kernel.now().as_nanos()]);
            act(kernel, outcome)
        })
    }

    /// The same, for a call on an open socket.
    fn call_on<T>(
        &self,
        call: CallKind,
        socket: SocketId,
        act: impl FnOnce(&mut Kernel, slab::Key, Outcome) -> io::Result<T>,
    ) -> io::Result<T> {
        self.call(call, |kernel, outcome| {
            let answer = match kernel.find(self.index, socket) {
                Ok(key) => act(kernel, key, outcome),
                Err(error) => {
                    kernel.record.bad_descriptor();
                    Err(error)
                }
            };
            let code = answer.as_ref().err().and_then(io::Error::raw_os_error);
            kernel.record.trace(&[u64::from(socket.0), u64::from(code.unwrap_or(0).unsigned_abs())]);
            answer
        })
    }

    /// Gives a new socket a number.
    fn keep(&self, kernel: &mut Kernel, key: slab::Key) -> SocketId {
        kernel.tables.get_mut(self.index).map_or(SocketId(u32::MAX), |table| table.open(key))
    }

    fn is_full(&self, kernel: &Kernel) -> bool {
        kernel.tables.get(self.index).is_none_or(Table::is_full)
    }

    fn close_number(&self, kernel: &mut Kernel, socket: SocketId, how: CloseHow) {
        match kernel.tables.get_mut(self.index).and_then(|table| table.close(socket)) {
            Some(key) => kernel.close(key, how),
            None => kernel.record.bad_descriptor(),
        }
    }

    fn send_bytes(&self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.call_on(CallKind::Send, socket, |kernel, key, outcome| {
            let count = kernel.send_as(outcome, key, bytes)?;
            kernel.record.sent(bytes.get(..count).unwrap_or_default());
            Ok(count)
        })
    }
}

impl System for SimSystem {
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.call(CallKind::Poll, |kernel, outcome| {
            let mut new = Vec::new();
            kernel.poll_as(outcome, self.index, &mut new, timeout)?;
            kernel.record.polled(&new);
            events.append(&mut new);
            Ok(())
        })
    }

    fn has_more(&self) -> bool {
        self.world.with(|kernel| kernel.tables.get(self.index).is_some_and(|table| table.has_more))
    }

    fn now(&self) -> Time {
        self.world.now()
    }

    fn random(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.call(CallKind::Random, |kernel, outcome| {
            if outcome == Outcome::Broken {
                return Err(errno(libc::EIO));
            }
            bytes.fill_with(|| kernel.random.next().to_be_bytes()[0]);
            Ok(())
        })
    }

    fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        self.call(CallKind::Listen, |kernel, outcome| {
            if self.is_full(kernel) {
                return Err(NetError::listen(addr, "open a socket", errno(libc::EMFILE)));
            }
            let listened = kernel.listen_as(outcome, addr, options.backlog as usize);
            let (key, bound) = listened.map_err(|source| NetError::listen(addr, "bind", source))?;
            Ok((self.keep(kernel, key), bound))
        })
    }

    fn accept(&mut self, listener: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        let accepted = self.call_on(CallKind::Accept, listener, |kernel, key, outcome| {
            if self.is_full(kernel) {
                return Err(errno(libc::EMFILE));
            }
            let (key, peer) = kernel.accept_as(outcome, key)?;
            kernel.record.accepted();
            Ok((self.keep(kernel, key), peer))
        });
        accepted.map_err(AcceptError::from)
    }

    fn connect(&mut self, addr: &Addr, options: &ConnectOptions) -> Result<Connecting, NetError> {
        let connected = self.call(CallKind::Connect, |kernel, outcome| {
            if self.is_full(kernel) {
                return Err(errno(libc::EMFILE));
            }
            Ok(match kernel.connect_as(outcome, addr, options.source)? {
                Connected::Established(key) => Connecting::Established(self.keep(kernel, key)),
                Connected::InProgress(key) => Connecting::InProgress(self.keep(kernel, key)),
                Connected::Busy => Connecting::Busy,
            })
        });
        connected.map_err(|source| NetError::connect(addr, source))
    }

    fn resolve(&mut self, host: &str, port: u16, token: u64) -> io::Result<()> {
        self.call(CallKind::Resolve, |kernel, outcome| {
            kernel.resolve_as(outcome, self.index, (host, port), token)
        })
    }

    fn resolved(&mut self) -> Option<Resolved> {
        self.world.with(|kernel| kernel.tables.get_mut(self.index)?.resolved.pop_front())
    }

    fn register(&mut self, socket: SocketId, key: Key) -> io::Result<()> {
        if key == Key::RESERVED {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "this key is the waker's"));
        }
        self.call_on(CallKind::Register, socket, |kernel, place, outcome| {
            kernel.register_as(outcome, place, self.index, key)
        })
    }

    fn receive(&mut self, socket: SocketId, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no room to receive into"));
        }
        self.call_on(CallKind::Receive, socket, |kernel, key, outcome| {
            let count = kernel.receive_as(outcome, key, into)?;
            kernel.record.received(into.get(..count).unwrap_or_default());
            Ok(count)
        })
    }

    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.send_bytes(socket, bytes)
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().take(PARTS_AT_MOST).flat_map(|part| part.iter().copied()).collect();
        self.send_bytes(socket, &bytes)
    }

    fn shutdown_write(&mut self, socket: SocketId) -> io::Result<()> {
        self.call_on(CallKind::ShutdownWrite, socket, |kernel, key, outcome| {
            kernel.shutdown_write_as(outcome, key)
        })
    }

    fn close(&mut self, socket: SocketId, how: CloseHow) {
        self.call(CallKind::Close, |kernel, _| self.close_number(kernel, socket, how));
    }

    fn take_error(&mut self, socket: SocketId) -> io::Result<Option<io::Error>> {
        self.call_on(CallKind::TakeError, socket, |kernel, key, outcome| kernel.take_error_as(outcome, key))
    }

    fn peer(&self, socket: SocketId) -> io::Result<Peer> {
        self.call_on(CallKind::Peer, socket, |kernel, key, outcome| kernel.peer_as(outcome, key))
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        None
    }
}

impl Drop for SimSystem {
    fn drop(&mut self) {
        self.world.with(|kernel| {
            let Some(table) = kernel.tables.get_mut(self.index) else { return };
            table.is_gone = true;
            for socket in table.numbers() {
                self.close_number(kernel, socket, CloseHow::Graceful);
            }
        });
    }
}

impl fmt::Debug for SimSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimSystem").field("index", &self.index).finish_non_exhaustive()
    }
}

/// What a waker rings.
struct Bell(Arc<AtomicBool>);

impl Wake for Bell {
    fn wake(&self) -> io::Result<()> {
        self.0.store(true, Ordering::Release);
        Ok(())
    }
}

/// As many parts as the real system takes in one call.
const PARTS_AT_MOST: usize = 1024;
