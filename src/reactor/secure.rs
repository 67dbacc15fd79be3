//! L3, connections with TLS: opens what comes, seals what goes, and does handshakes a few per turn; knows no records.
//!
//! What was received is opened before the driver gets it, and what the driver sent is sealed when it is offered to the
//! kernel; in between everything is as on any other connection. A queue holds what is sealed, so that the order of
//! records is the order of their keys.

use std::io;

use crate::net::System;
use crate::reactor::connection::{Flags, Phase};
use crate::reactor::core::{Core, Cut};
use crate::reactor::driver::Cause;
use crate::reactor::output::{Part, Staged};
use crate::reactor::{ConnId, Driver, EventLoop, Io, write};
use crate::slab::Key;
use crate::tls::{MOST_CARRIED, Seal, Session, TlsError};

/// Where what comes is opened: one place for all connections of a loop, empty until the first with TLS.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Room for what a session carries, and for a receive behind it.
    input: Vec<u8>,
    plain: Vec<u8>,
}

impl Opening {
    /// Where to receive `most` bytes, behind those that are carried.
    fn place(&mut self, carried: usize, most: usize) -> &mut [u8] {
        if self.input.is_empty() {
            self.input.resize(MOST_CARRIED.saturating_add(most), 0);
        }
        self.input.get_mut(carried..carried.saturating_add(most)).unwrap_or_default()
    }
}

impl<D: Driver, S: System> EventLoop<D, S> {
    /// A connection in its handshake waits for its turn among those.
    pub(super) fn line_up(&mut self, key: Key) {
        if let Some(connection) = self.core.connections.get_mut(key) {
            connection.flags.set(Flags::LISTED);
            self.core.handshakes.push_back(key);
        }
    }

    /// Takes the next steps of the handshakes that waited longest, up to a budget: they cost more than anything else
    /// that a stranger can ask for.
    pub(super) fn go_on_with_handshakes(&mut self) {
        let mut budget = self.core.settings.handshake_budget;
        while budget > 0
            && let Some(key) = self.core.handshakes.pop_front()
        {
            let Some(connection) = self.core.connections.get_mut(key) else { continue };
            connection.flags.clear(Flags::LISTED);
            if connection.phase == Phase::Securing {
                budget = budget.saturating_sub(1);
                self.go_on(key);
            }
            self.core.list(key);
        }
    }

    fn go_on(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if connection.flags.has(Flags::WRITABLE) && connection.queued() > 0 {
            self.drain(key);
        }
        let Some(connection) = self.core.connections.get(key) else { return };
        if connection.phase == Phase::Securing && connection.flags.has(Flags::READABLE) {
            self.receive_secure(key);
        }
    }

    /// The connection to a server stands: sends the client's greeting.
    pub(super) fn greet(&mut self, key: Key) {
        let outcome = talk(&mut self.core, &mut self.system, key, Session::start);
        if let Some(Err(error)) = outcome {
            self.fail(key, error);
        }
    }

    /// One receive of encrypted bytes.
    pub(super) fn receive_secure(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let (socket, has_ended) = (connection.socket, connection.flags.has(Flags::ENDED));
        let Some(tls) = connection.tls() else { return };
        let (carried, is_over) = (tls.carried(), tls.is_peer_closed());
        // The end that TLS told of comes before whatever else there may be, and after all that was left for later.
        if is_over && !has_ended {
            return self.end(key);
        }
        let place = self.opening.place(carried, self.core.settings.receive_budget);
        let (asked, answer) = (place.len(), self.system.receive(socket, place));
        if matches!(answer, Ok(0)) && !has_ended {
            return self.end(key);
        }
        if let Some(count) = self.received(key, asked, answer)
            && !is_over
        {
            self.open(key, carried.saturating_add(count));
        }
    }

    /// The peer sends no more, whether TLS said so or not.
    fn end(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if connection.phase == Phase::Securing {
            let cut = connection.tls().and_then(|tls| tls.cut());
            let cause = cut.map_or(Cause::Lost(io::ErrorKind::UnexpectedEof.into()), Cause::Tls);
            return self.core.kill(key, cause, Cut::Clean);
        }
        let _ = self.received(key, 1, Ok(0));
    }

    /// Opens what was received, at the beginning of the loop's own place for it, and gives the driver what was inside.
    fn open(&mut self, key: Key, end: usize) {
        let mut plain = std::mem::take(&mut self.opening.plain);
        let input = self.opening.input.get_mut(..end).unwrap_or_default();
        let outcome =
            talk(&mut self.core, &mut self.system, key, |tls, seal| tls.open(input, &mut plain, seal));
        self.stand(key);
        self.deliver(key, &mut plain);
        plain.clear();
        self.opening.plain = plain;
        match outcome {
            Some(Err(error)) => self.fail(key, error),
            Some(Ok(())) => self.look_for_end(key),
            None => {}
        }
    }

    /// The handshake may be over: then the connection stands.
    fn stand(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if connection.phase != Phase::Securing {
            return;
        }
        let Some(tls) = connection.tls().filter(|tls| tls.is_ready()) else { return };
        let is_client = tls.is_client();
        connection.phase = Phase::Open;
        let io = &mut Io { core: &mut self.core, system: &mut self.system };
        if is_client { self.driver.connected(io, ConnId(key)) } else { self.driver.secured(io, ConnId(key)) }
    }

    fn deliver(&mut self, key: Key, plain: &mut [u8]) {
        let Some(connection) = self.core.connections.get(key) else { return };
        if plain.is_empty() || connection.phase != Phase::Open {
            return;
        }
        // The driver may have paused what it was just told of.
        let taken = if connection.listens() {
            let io = &mut Io { core: &mut self.core, system: &mut self.system };
            self.driver.receive(io, ConnId(key), plain)
        } else {
            0
        };
        let left = plain.get(taken..).unwrap_or_default();
        if !left.is_empty() {
            self.core.carry(key, left);
        }
    }

    /// The end that TLS told of is met by the next visit, for which nothing else may come.
    fn look_for_end(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if connection.tls().is_some_and(|tls| tls.is_peer_closed()) && !connection.flags.has(Flags::ENDED) {
            connection.flags.set(Flags::READABLE);
        }
    }

    /// TLS failed: the peer has its alert, and time to read it.
    fn fail(&mut self, key: Key, error: TlsError) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        if !matches!(connection.phase, Phase::Securing | Phase::Open | Phase::Finishing) {
            return;
        }
        if connection.queued() > 0 || self.system.shutdown_write(connection.socket).is_err() {
            return self.core.kill(key, Cause::Tls(error), Cut::Reset);
        }
        self.core.linger_after(key, Cause::Tls(error));
        if let Some(connection) = self.core.connections.get_mut(key) {
            connection.staged = Staged::default();
        }
    }
}

/// Seals a connection's staged bytes, and `head` and `payload` behind them, and offers them to the kernel.
#[cold]
pub(super) fn flush<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    head: &[u8],
    payload: &[u8],
) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    let staged = std::mem::take(&mut connection.staged);
    if connection.phase == Phase::Dead {
        return;
    }
    let mut output = std::mem::take(&mut core.output);
    output.line_up(staged);
    let outcome = apart(core, key, |core, tls, seal| {
        let parts = output.parts().map(Part::bytes).chain([head, payload]);
        let outcome = tls.seal(parts, seal, |sealed| offer(core, system, key, sealed));
        // Keys that are used up (TLS 1.2) leave a close_notify behind what was sealed before.
        if outcome.is_err() && !seal.written().is_empty() {
            offer(core, system, key, seal.written());
        }
        outcome
    });
    core.output = output;
    if let Some(Err(error)) = outcome {
        core.kill(key, Cause::Tls(error), Cut::Reset);
    }
}

/// Says, once, that nothing follows.
#[cold]
pub(super) fn farewell<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    talk(core, system, key, Session::close);
}

/// Does something with a connection's session, and sends what that wrote.
fn talk<P, S: System + ?Sized, T>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    act: impl FnOnce(&mut Session, &mut Seal) -> T,
) -> Option<T> {
    apart(core, key, |core, tls, seal| {
        let outcome = act(tls, seal);
        if !seal.written().is_empty() {
            offer(core, system, key, seal.written());
        }
        outcome
    })
}

/// What is staged, in clear, is not to be touched by this.
fn offer<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key, sealed: &[u8]) {
    // Behind our last byte nothing goes out, not even an alert: the write side is shut.
    if core.connections.get(key).is_some_and(|connection| connection.flags.has(Flags::SHUT)) {
        return;
    }
    write::offer(core, system, key, Staged::default(), sealed, &[]);
}

/// Takes a connection's session out for as long as `act` takes.
fn apart<P, T>(
    core: &mut Core<P>,
    key: Key,
    act: impl FnOnce(&mut Core<P>, &mut Session, &mut Seal) -> T,
) -> Option<T> {
    let mut tls = core.connections.get_mut(key)?.backlog.as_mut()?.tls.take()?;
    let mut seal = std::mem::take(&mut core.seal);
    let outcome = act(core, &mut tls, &mut seal);
    seal.clear();
    core.seal = seal;
    if let Some(connection) = core.connections.get_mut(key) {
        connection.backlog().tls = Some(tls);
    }
    Some(outcome)
}
