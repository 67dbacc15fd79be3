//! L3, connections behind proxies: reads the header that comes before all else, and hands on what follows it; knows
//! nothing of how a header is written.

use std::io;

use crate::net::{Peer, System, UnixAddr};
use crate::proxy::{self, Header, Parsed, Relayed};
use crate::reactor::connection::{Flags, Phase};
use crate::reactor::core::Cut;
use crate::reactor::driver::Cause;
use crate::reactor::secure::deliver;
use crate::reactor::{ConnId, Driver, EventLoop, Io};
use crate::slab::Key;

impl<D: Driver, S: System> EventLoop<D, S> {
    /// One receive of a connection whose proxy has not said yet whose it is.
    pub(super) fn receive_announcement(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get(key) else { return };
        if !connection.flags.has(Flags::READABLE) {
            return;
        }
        // What came before stands in front of what comes now: the loop's buffer is larger than any header.
        let before = connection.backlog.as_ref().map_or(&[][..], |backlog| backlog.carry.as_slice());
        let Some((front, place)) = self.buffer.as_mut_slice().split_at_mut_checked(before.len()) else {
            return;
        };
        front.copy_from_slice(before);
        let (carried, asked) = (front.len(), place.len());
        let answer = self.system.receive(connection.socket, place);
        if matches!(answer, Ok(0)) {
            // As of those who only look whether somebody listens.
            let cause = Cause::Lost(io::ErrorKind::UnexpectedEof.into());
            return self.core.kill(key, cause, Cut::Clean);
        }
        if let Some(count) = self.received(key, asked, answer) {
            self.read_announcement(key, carried, carried.saturating_add(count));
        }
    }

    /// Judges the first `end` bytes of the buffer, of which `carried` are kept already.
    fn read_announcement(&mut self, key: Key, carried: usize, end: usize) {
        let bytes = self.buffer.first_mut(end);
        match proxy::parse(bytes) {
            Ok(Parsed::Partial) => self.core.carry(key, bytes.get(carried..).unwrap_or_default()),
            Ok(Parsed::Complete { header, length }) => self.admit(key, header, length, end),
            Err(error) => self.core.kill(key, Cause::Proxy(error), Cut::Reset),
        }
    }

    /// The header is complete: what follows it in the buffer is for TLS, or for the driver.
    fn admit(&mut self, key: Key, header: Header, length: usize, end: usize) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if let Some(backlog) = connection.backlog.as_mut() {
            backlog.carry.advance(usize::MAX, &mut self.core.buffers);
        }
        connection.trim();
        let is_secure = connection.is_secure();
        connection.phase = if is_secure { Phase::Securing } else { Phase::Open };
        self.core.announced.insert(key, header);
        if is_secure {
            return self.begin_with(key, length, end);
        }
        self.driver.admitted(&mut Io { core: &mut self.core, system: &mut self.system }, ConnId(key));
        let rest = self.buffer.first_mut(end).get_mut(length..).unwrap_or_default();
        if !rest.is_empty() {
            deliver(&mut self.driver, &mut self.core, &mut self.system, key, rest);
        }
    }
}

/// Who a proxy says is on the other side, where it says so of somebody else than itself.
pub(super) fn peer_of(header: &Header) -> Option<Peer> {
    match &header.relayed {
        Relayed::Tcp { source, .. } => Some(Peer::Tcp(*source)),
        Relayed::Unix { source, .. } => Some(Peer::Unix(UnixAddr::from_bytes(source))),
        Relayed::Own | Relayed::Unknown => None,
    }
}
