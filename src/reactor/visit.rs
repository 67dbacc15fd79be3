//! L3, a visit to a connection that is ready: one send of what is queued, one receive, or a look at how far it is.

use std::io;

use crate::mutants::mutant;
use crate::net::System;
use crate::reactor::connection::{Flags, Phase};
use crate::reactor::core::Cut;
use crate::reactor::dial::{self, Standing};
use crate::reactor::driver::Cause;
use crate::reactor::{ConnId, Drain, Driver, EventLoop, Io, write};
use crate::slab::Key;
use crate::stats::add;

impl<D: Driver, S: System> EventLoop<D, S> {
    pub(super) fn visit(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        connection.flags.clear(Flags::LISTED);
        if connection.is_plain() {
            if connection.flags.has(Flags::READABLE) {
                self.receive(key);
            }
        } else if connection.phase == Phase::Dialling {
            self.look(key);
        } else if connection.has_handshake_before_it() {
            return self.line_up(key);
        } else if connection.phase == Phase::Announcing {
            self.receive_announcement(key);
        } else {
            self.visit_in_trouble(key);
        }
        if !mutant("forget to list again") {
            self.core.list(key);
        }
    }

    /// A visit to a connection with a backlog, or on its way out.
    fn visit_in_trouble(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        // One that another's visit has just cut is sent no more, and what waited for it is counted no more.
        if connection.may_send() && connection.queued() > 0 {
            self.drain(key);
        }
        let room = self.room_to_tell(key);
        self.read(key);
        // Told only now: a driver that fills the queue again at once would else never hear its peer.
        if let Some(drain) = room {
            let io = &mut Io { core: &mut self.core, system: &mut self.system };
            if io.is_open(ConnId(key)) {
                self.driver.drained(io, ConnId(key), drain);
            }
        }
    }

    fn read(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get(key) else { return };
        match connection.phase {
            Phase::Open if !connection.listens() => {}
            Phase::Open if connection.carried() > 0 => self.redeliver(key),
            Phase::Open if !connection.flags.has(Flags::READABLE) => {}
            Phase::Open if connection.is_secure() => self.receive_secure(key),
            Phase::Open => self.receive(key),
            Phase::Lingering if connection.flags.has(Flags::READABLE) => self.discard(key),
            Phase::Dialling
            | Phase::Announcing
            | Phase::Securing
            | Phase::Finishing
            | Phase::Lingering
            | Phase::Dead => {}
        }
    }

    /// Something happened to a connection that is not there yet.
    fn look(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let seen = std::mem::replace(&mut connection.flags, Flags::none());
        if dial::look(&mut self.core, &mut self.system, key, seen) == Standing::Yes {
            let connection = self.core.connections.get(key);
            if connection.is_some_and(|connection| connection.phase == Phase::Securing) {
                return self.greet(key);
            }
            let io = &mut Io { core: &mut self.core, system: &mut self.system };
            self.driver.connected(io, ConnId(key));
        }
    }

    pub(super) fn drain(&mut self, key: Key) {
        write::drain(&mut self.core, &mut self.system, key);
        self.core.mark_dirty(key);
    }

    /// Whether the driver is owed a word about room; with it the connection listens again.
    fn room_to_tell(&mut self, key: Key) -> Option<Drain> {
        let low_water = self.core.settings.low_water;
        let connection = self.core.connections.get_mut(key)?;
        let owed = connection.phase == Phase::Open && connection.owes_word(low_water);
        owed.then(|| connection.drained(low_water))
    }

    /// One receive, into the place the driver names or into the loop's buffer.
    #[inline]
    fn receive(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let socket = connection.socket;
        if let Some(place) = self.driver.landing(&mut connection.session) {
            let end = place.len().min(self.core.settings.landing_budget);
            let place = place.get_mut(..end).unwrap_or_default();
            let (asked, answer) = (place.len(), self.system.receive(socket, place));
            if let Some(count) = self.received(key, asked, answer) {
                let io = &mut Io { core: &mut self.core, system: &mut self.system };
                self.driver.landed(io, ConnId(key), count);
            }
            return;
        }
        let answer = self.system.receive(socket, self.buffer.as_mut_slice());
        let Some(count) = self.received(key, self.buffer.size(), answer) else { return };
        let bytes = self.buffer.first_mut(count);
        let io = &mut Io { core: &mut self.core, system: &mut self.system };
        let taken = self.driver.receive(io, ConnId(key), bytes);
        let left = bytes.get(taken..).unwrap_or_default();
        if !left.is_empty() && !mutant("drop what the driver left") {
            self.core.carry(key, left);
        }
        if count == self.buffer.size() {
            self.receive_rest(key);
        }
    }

    /// A full buffer may have been the beginning of something large. The rest of that is received in the same visit, before
    /// others begin theirs: so fewer places are in use at once, and those are still in the processor's caches.
    #[cold]
    fn receive_rest(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let goes_on = connection.is_plain() && connection.flags.has(Flags::READABLE);
        if goes_on && self.driver.landing(&mut connection.session).is_some() {
            self.receive(key);
        }
    }

    /// What a receive's answer means; gives the count where there are bytes to deliver.
    #[inline]
    pub(super) fn received(&mut self, key: Key, asked: usize, answer: io::Result<usize>) -> Option<usize> {
        let connection = self.core.connections.get_mut(key)?;
        match answer {
            Ok(0) if connection.flags.has(Flags::ENDED) => {
                connection.flags.clear(Flags::READABLE);
                if connection.flags.has(Flags::HUNG_UP) {
                    self.core.kill(key, Cause::Lost(io::ErrorKind::BrokenPipe.into()), Cut::Reset);
                }
                None
            }
            Ok(0) => {
                connection.flags.set(Flags::ENDED);
                // Where nobody is left to send to, the next visit ends what the driver did not.
                if !connection.flags.has(Flags::HUNG_UP) {
                    connection.flags.clear(Flags::READABLE);
                }
                let io = &mut Io { core: &mut self.core, system: &mut self.system };
                self.driver.end_of_stream(io, ConnId(key));
                self.core.mark_dirty(key);
                None
            }
            Ok(count) => {
                add(&mut self.core.flow.received, count as u64);
                let may_be_more =
                    connection.flags.has(Flags::HALF_CLOSED) && !mutant("miss the end behind data");
                if count < asked && !may_be_more {
                    connection.flags.clear(Flags::READABLE);
                }
                Some(count.min(asked))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.found_nothing();
                None
            }
            Err(error) => {
                self.core.kill(key, Cause::Lost(error), Cut::Reset);
                None
            }
        }
    }

    /// Offers what the driver left for later.
    fn redeliver(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let mut carried = std::mem::take(&mut connection.backlog().carry);
        let io = &mut Io { core: &mut self.core, system: &mut self.system };
        let taken = self.driver.receive(io, ConnId(key), carried.as_mut_slice());
        carried.advance(taken, &mut self.core.buffers);
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if connection.phase == Phase::Open && !carried.is_empty() {
            connection.backlog().carry = carried;
        }
        connection.trim();
    }

    /// Reads what the peer of a finished connection still sends, so that its last bytes are not lost to a reset
    /// (R41): until its end of stream, or until it was too much.
    fn discard(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let cut = match self.system.receive(connection.socket, self.buffer.as_mut_slice()) {
            Ok(0) => Cut::Clean,
            Ok(count) => {
                add(&mut self.core.flow.received, count as u64);
                if count < self.buffer.size() && !connection.flags.has(Flags::HALF_CLOSED) {
                    connection.flags.clear(Flags::READABLE);
                }
                if connection.discard(count) <= self.core.settings.linger_bytes {
                    return;
                }
                Cut::Reset
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return connection.found_nothing(),
            Err(_) => Cut::Clean,
        };
        self.core.kill(key, Cause::Finished, cut);
    }
}
