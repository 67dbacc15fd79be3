//! Listening, connecting and accepting: the backlog, and what becomes of who finds it full; knows no byte that is sent.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::agenda::Happening;
use super::kernel::{Connected, FIRST_PORT, Kernel, Listener, What};
use super::stream::{Family, Stage, Stream, errno};
use crate::net::{self, Addr};
use crate::slab::Key;

impl Kernel {
    /// Listens on an address; a port of zero takes a free one.
    pub(super) fn listen(&mut self, addr: &Addr, backlog: usize) -> io::Result<(Key, Addr)> {
        let addr = self.free_addr(addr).ok_or_else(|| errno(libc::EADDRINUSE))?;
        let listener = Listener { addr: addr.clone(), queue: VecDeque::new(), backlog };
        let key = self.insert(What::Listener(listener))?;
        self.bound.insert(addr.clone(), key);
        Ok((key, addr))
    }

    /// The address itself if nobody has it, or with a port that nobody has where it leaves the choice.
    fn free_addr(&mut self, addr: &Addr) -> Option<Addr> {
        let ip = addr.as_tcp().filter(|tcp| tcp.port() == 0).map(|tcp| tcp.ip());
        let Some(ip) = ip else { return self.listener_at(addr).is_none().then(|| addr.clone()) };
        for _ in FIRST_PORT..=u16::MAX {
            let chosen = Addr::Tcp(SocketAddr::new(ip, self.free_port()));
            if self.listener_at(&chosen).is_none() {
                return Some(chosen);
            }
        }
        None
    }

    fn free_port(&mut self) -> u16 {
        let port = self.port;
        self.port = port.checked_add(1).unwrap_or(FIRST_PORT);
        port
    }

    /// Who listens on an address, itself or as one of all.
    fn listener_at(&self, addr: &Addr) -> Option<Key> {
        let every = addr.as_tcp().map(|tcp| Addr::Tcp(SocketAddr::new(unspecified(tcp), tcp.port())));
        let every = every.and_then(|every| self.bound.get(&every));
        self.bound.get(addr).or(every).copied()
    }

    /// Takes the next connection.
    pub(super) fn accept(&mut self, listener: Key) -> io::Result<(Key, net::Peer)> {
        let listener = self.listener_mut(listener).ok_or_else(|| errno(libc::EINVAL))?;
        let stream = listener.queue.pop_front().ok_or_else(|| errno(libc::EAGAIN))?;
        let remote = self.stream(stream).map(|stream| stream.remote.clone());
        Ok((stream, remote.unwrap_or(net::Peer::Unix(None))))
    }

    /// Starts a connection.
    pub(super) fn connect(&mut self, addr: &Addr, source: Option<IpAddr>) -> io::Result<Connected> {
        match addr {
            Addr::Tcp(tcp) => self.connect_tcp(*tcp, source).map(Connected::InProgress),
            Addr::Unix(_) => self.connect_unix(addr),
        }
    }

    fn connect_unix(&mut self, addr: &Addr) -> io::Result<Connected> {
        let is_path = matches!(addr, Addr::Unix(unix) if unix.as_path().is_some());
        let missing = if is_path { libc::ENOENT } else { libc::ECONNREFUSED };
        let listener = self.listener_at(addr).ok_or_else(|| errno(missing))?;
        if self.is_backlog_full(listener) {
            return Ok(Connected::Busy);
        }
        let remote = net::Peer::Unix(match addr {
            Addr::Unix(unix) => Some(unix.clone()),
            Addr::Tcp(_) => None,
        });
        let client = Stream::new(Family::Unix, Stage::Open, self.config.capacity, remote);
        let client = self.insert(What::Stream(Box::new(client)))?;
        self.join(client, listener, Family::Unix, net::Peer::Unix(None))?;
        Ok(Connected::Established(client))
    }

    fn connect_tcp(&mut self, addr: SocketAddr, source: Option<IpAddr>) -> io::Result<Key> {
        let (client, local) = self.begin_tcp(addr, source)?;
        let delay = self.latency();
        if delay.is_zero() {
            self.knock(client, local, 0);
        } else {
            let knock = Happening::Knock { client: client.to_bits(), local, attempt: 0 };
            self.agenda.plan_after(delay, knock);
        }
        Ok(client)
    }

    /// Makes the client's end, which is on its way from the address that comes with it.
    pub(super) fn begin_tcp(
        &mut self,
        addr: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<(Key, SocketAddr)> {
        let remote = net::Peer::Tcp(addr);
        let client = Stream::new(Family::Tcp, Stage::Connecting, self.config.capacity, remote);
        let client = self.insert(What::Stream(Box::new(client)))?;
        Ok((client, SocketAddr::new(source.unwrap_or_else(|| loopback(addr)), self.free_port())))
    }

    /// A connection's first segment reaches the listener, or finds none; one that finds a full backlog comes again.
    pub(super) fn knock(&mut self, client: Key, local: SocketAddr, attempt: u32) {
        let Some(Stream { stage: Stage::Connecting, remote: net::Peer::Tcp(addr), .. }) = self.stream(client)
        else {
            return;
        };
        let addr = Addr::Tcp(*addr);
        let listener = self.listener_at(&addr);
        let is_silent = self.silent.contains(&addr);
        match listener {
            _ if is_silent => self.knock_later(client, local, attempt),
            None => self.fail(client, libc::ECONNREFUSED),
            Some(listener) if self.is_backlog_full(listener) => self.knock_later(client, local, attempt),
            Some(listener) => {
                if self.join(client, listener, Family::Tcp, net::Peer::Tcp(local)).is_err() {
                    return self.fail(client, libc::ECONNREFUSED);
                }
                if let Some(stream) = self.stream_mut(client) {
                    stream.stage = Stage::Open;
                }
                self.edge(client);
            }
        }
    }

    /// The next try is after a second, and each further one after twice the time, as Linux has it.
    pub(super) fn knock_later(&mut self, client: Key, local: SocketAddr, attempt: u32) {
        if attempt >= KNOCKS_AT_MOST {
            return self.fail(client, libc::ETIMEDOUT);
        }
        let delay = Duration::from_secs(1 << attempt);
        let knock = Happening::Knock { client: client.to_bits(), local, attempt: attempt.saturating_add(1) };
        self.agenda.plan_after(delay, knock);
    }

    /// Linux lets one more wait than was asked for.
    fn is_backlog_full(&mut self, listener: Key) -> bool {
        self.listener_mut(listener).is_some_and(|listener| listener.queue.len() > listener.backlog)
    }

    /// Makes the accepted end of a client's connection and puts it into the backlog.
    fn join(&mut self, client: Key, listener: Key, family: Family, remote: net::Peer) -> io::Result<()> {
        let mut server = Stream::new(family, Stage::Open, self.config.capacity, remote);
        server.other = Some(client);
        let server = self.insert(What::Stream(Box::new(server)))?;
        if let Some(client) = self.stream_mut(client) {
            client.other = Some(server);
        }
        if let Some(listener) = self.listener_mut(listener) {
            listener.queue.push_back(server);
        }
        self.edge(listener);
        Ok(())
    }
}

/// Every interface of the family of an address.
const fn unspecified(addr: SocketAddr) -> IpAddr {
    match addr {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// Where a connection to an address comes from if nobody says.
const fn loopback(addr: SocketAddr) -> IpAddr {
    match addr {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// After so many tries without an answer, 127 seconds, a connection has failed (`tcp_syn_retries`).
const KNOCKS_AT_MOST: u32 = 7;
