//! What each call does when it is disturbed: always something that the operating system may do. So after a short count
//! and after a would-block that need not be, a fresh edge is queued; and a connection that a call finds reset is reset.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::agenda::Happening;
use super::faults::Outcome;
use super::kernel::{Connected, Kernel};
use super::stream::errno;
use crate::net::{self, Addr, CloseHow, Event, Readiness};
use crate::slab::Key;

impl Kernel {
    pub(super) fn receive_as(&mut self, outcome: Outcome, socket: Key, into: &mut [u8]) -> io::Result<usize> {
        let most = match outcome {
            Outcome::Short(most) => most.clamp(1, into.len()),
            Outcome::WouldBlock => return self.block(socket),
            _ => into.len(),
        };
        self.harm(outcome, socket)?;
        let count = self.receive(socket, into.get_mut(..most).unwrap_or_default())?;
        if most < into.len() {
            self.edge(socket);
        }
        Ok(count)
    }

    pub(super) fn send_as(&mut self, outcome: Outcome, socket: Key, bytes: &[u8]) -> io::Result<usize> {
        let most = match outcome {
            Outcome::Short(most) => most.clamp(1, bytes.len().max(1)),
            Outcome::WouldBlock => return self.block(socket),
            _ => bytes.len(),
        };
        self.harm(outcome, socket)?;
        let count = self.send(socket, bytes.get(..most).unwrap_or(bytes))?;
        if most < bytes.len() {
            self.edge(socket);
        }
        Ok(count)
    }

    pub(super) fn shutdown_write_as(&mut self, outcome: Outcome, socket: Key) -> io::Result<()> {
        self.harm(outcome, socket)?;
        self.shutdown_write(socket)
    }

    pub(super) fn take_error_as(&mut self, outcome: Outcome, socket: Key) -> io::Result<Option<io::Error>> {
        self.harm(outcome, socket)?;
        Ok(self.take_error(socket).map(errno))
    }

    pub(super) fn peer_as(&mut self, outcome: Outcome, socket: Key) -> io::Result<net::Peer> {
        self.harm(outcome, socket)?;
        self.peer(socket)
    }

    pub(super) fn register_as(
        &mut self,
        outcome: Outcome,
        socket: Key,
        system: usize,
        key: net::Key,
    ) -> io::Result<()> {
        if outcome == Outcome::NoBuffers {
            return Err(errno(libc::ENOMEM));
        }
        self.register(socket, system, key)
    }

    pub(super) fn listen_as(
        &mut self,
        outcome: Outcome,
        addr: &Addr,
        backlog: usize,
    ) -> io::Result<(Key, Addr)> {
        match outcome {
            Outcome::NoDescriptors => Err(errno(libc::EMFILE)),
            Outcome::NoBuffers => Err(errno(libc::ENOBUFS)),
            Outcome::Busy => Err(errno(libc::EADDRINUSE)),
            _ => self.listen(addr, backlog),
        }
    }

    pub(super) fn accept_as(&mut self, outcome: Outcome, listener: Key) -> io::Result<(Key, net::Peer)> {
        match outcome {
            Outcome::WouldBlock => self.block(listener),
            Outcome::NoDescriptors => Err(errno(libc::EMFILE)),
            Outcome::NoBuffers => Err(errno(libc::ENOBUFS)),
            Outcome::Broken => Err(errno(libc::EINVAL)),
            Outcome::Aborted => {
                let (stream, _) = self.accept(listener)?;
                self.close(stream, CloseHow::Abort);
                Err(errno(libc::ECONNABORTED))
            }
            _ => self.accept(listener),
        }
    }

    pub(super) fn connect_as(
        &mut self,
        outcome: Outcome,
        addr: &Addr,
        source: Option<IpAddr>,
    ) -> io::Result<Connected> {
        match (outcome, addr) {
            (Outcome::NoDescriptors, _) => Err(errno(libc::EMFILE)),
            (Outcome::NoBuffers, _) => Err(errno(libc::ENOBUFS)),
            (Outcome::Unreachable, Addr::Tcp(_)) => Err(errno(libc::ENETUNREACH)),
            (Outcome::Unreachable, Addr::Unix(_)) => Err(errno(libc::EACCES)),
            (Outcome::Refused, Addr::Unix(_)) => Err(errno(libc::ECONNREFUSED)),
            (Outcome::Busy, Addr::Unix(_)) => Ok(Connected::Busy),
            (Outcome::Refused | Outcome::Busy | Outcome::Silent, Addr::Tcp(tcp)) => {
                self.connect_badly(outcome, *tcp, source).map(Connected::InProgress)
            }
            _ => self.connect(addr, source),
        }
    }

    /// A TCP connection that is refused, or whose first segment is lost, or every one.
    fn connect_badly(
        &mut self,
        outcome: Outcome,
        addr: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<Key> {
        let (client, local) = self.begin_tcp(addr, source)?;
        match outcome {
            Outcome::Refused => self.fail(client, libc::ECONNREFUSED),
            Outcome::Busy => self.knock_later(client, local, 0),
            _ => self.agenda.plan_after(CONNECT_TIMEOUT, Happening::GiveUp(client.to_bits())),
        }
        Ok(client)
    }

    pub(super) fn resolve_as(
        &mut self,
        outcome: Outcome,
        system: usize,
        host: (&str, u16),
        token: u64,
    ) -> io::Result<()> {
        if outcome == Outcome::NoBuffers {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many names wait to be resolved"));
        }
        let (host, port) = host;
        let known = self.names.get(host).filter(|_| outcome != Outcome::Refused);
        let addrs = known.map(|ips| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect());
        let delay = if outcome == Outcome::Late { RESOLVER_TIMEOUT } else { self.latency() };
        self.agenda.plan_after(delay, Happening::Resolved { system, token, addrs });
        Ok(())
    }

    /// What a disturbed poll adds to what is ready.
    pub(super) fn odd_event(&mut self, outcome: Outcome, system: usize) -> Option<Event> {
        let table = self.tables.get(system)?;
        if outcome == Outcome::Stale {
            let late = self.tape.choose(table.closed.len());
            let key = table.closed.iter().rev().nth(late)?;
            return Some(Event { key: *key, readiness: Readiness::READABLE | Readiness::WRITABLE });
        }
        let registered = table.numbers().into_iter().filter_map(|socket| table.get(socket));
        let registered: Vec<net::Key> = registered.filter_map(|socket| self.registered(socket)).collect();
        let key = registered.get(self.tape.choose(registered.len()))?;
        let both = Readiness::READABLE | Readiness::WRITABLE;
        let readiness = [both, Readiness::READABLE, Readiness::WRITABLE].get(self.tape.choose(3)).copied();
        Some(Event { key: *key, readiness: readiness.unwrap_or(both) })
    }

    /// By how much a wait is too long.
    pub(super) fn oversleep(&mut self) -> Duration {
        let most = self.decider.faults.oversleep;
        let most = if most.is_zero() { OVERSLEEP } else { most };
        let millis = usize::try_from(most.as_millis()).unwrap_or(usize::MAX);
        most.saturating_sub(Duration::from_millis(self.tape.choose(millis) as u64))
    }

    /// A would-block that need not be: the edge tells that it was none.
    fn block<T>(&mut self, socket: Key) -> io::Result<T> {
        self.edge(socket);
        Err(errno(libc::EAGAIN))
    }

    /// Breaks the connection, or fails the call alone.
    fn harm(&mut self, outcome: Outcome, socket: Key) -> io::Result<()> {
        match outcome {
            Outcome::NoBuffers => return Err(errno(libc::ENOBUFS)),
            Outcome::Reset => self.sever(socket, libc::ECONNRESET),
            Outcome::BrokenPipe => self.sever(socket, libc::EPIPE),
            Outcome::TimedOut => self.sever(socket, libc::ETIMEDOUT),
            Outcome::Refused => self.sever(socket, libc::ECONNREFUSED),
            Outcome::NotConnected => {
                self.sever(socket, libc::ECONNRESET);
                return Err(errno(libc::ENOTCONN));
            }
            _ => {}
        }
        Ok(())
    }
}

/// How long a connection is tried for that nobody answers (`tcp_syn_retries` of 6).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// How late a slow resolver answers.
const RESOLVER_TIMEOUT: Duration = Duration::from_secs(5);
/// How late a wait ends that is late by plan.
const OVERSLEEP: Duration = Duration::from_secs(1);
