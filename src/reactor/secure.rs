//! L3, connections with TLS: opens what comes, seals what goes, and does handshakes a few per turn; knows no records.
//!
//! What was received is opened before the driver gets it, and what the driver sent is sealed when it is offered to the
//! kernel; in between everything is as on any other connection. What is sealed goes out in the order of its keys, so it is
//! sealed late: a queue holds in clear what the kernel is not to be offered yet, and messages in it may be dropped.

use std::io;

use crate::buf::NoMemory;
use crate::net::System;
use crate::reactor::connection::{Connection, Flags, Phase};
use crate::reactor::core::{Core, Cut};
use crate::reactor::driver::Cause;
use crate::reactor::output::{Part, Parts, Staged};
use crate::reactor::queue::Queue;
use crate::reactor::{ConnId, Driver, EventLoop, Io, write};
use crate::slab::Key;
use crate::stats::{add, add_one};
use crate::tls::{MOST_CARRIED, RECORD, Seal, Session, TlsError};

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
    /// that a stranger can ask for. To keep a part of a record is no step, so that those who drip do not spend what the
    /// others wait for; but it costs a receive and a copy, so that this is bounded as well.
    pub(super) fn go_on_with_handshakes(&mut self) {
        let mut budget = self.core.settings.handshake_budget;
        for _ in 0..LOOKS {
            if budget == 0 {
                return;
            }
            let Some(key) = self.core.handshakes.pop_front() else { return };
            let Some(connection) = self.core.connections.get_mut(key) else { continue };
            connection.flags.clear(Flags::LISTED);
            if connection.has_handshake_before_it() && self.goes_on(key) {
                budget = budget.saturating_sub(1);
            }
            self.core.list(key);
        }
    }

    /// One receive of a handshake; answers whether that was a step of it.
    fn goes_on(&mut self, key: Key) -> bool {
        let Some(connection) = self.core.connections.get_mut(key) else { return false };
        if connection.flags.has(Flags::WRITABLE) && connection.queued() > 0 {
            self.drain(key);
        }
        let before = self.steps(key);
        let Some(connection) = self.core.connections.get(key) else { return false };
        match connection.phase {
            _ if !connection.flags.has(Flags::READABLE) => {}
            Phase::Announcing => self.receive_announcement(key),
            Phase::Securing => self.receive_secure(key),
            Phase::Dialling | Phase::Open | Phase::Finishing | Phase::Lingering | Phase::Dead => {}
        }
        // To come and to leave is no step.
        let is_dead = self.core.connections.get(key).is_none_or(|connection| connection.phase == Phase::Dead);
        !is_dead && self.steps(key) != before
    }

    /// How far a handshake is; none where it is over.
    fn steps(&mut self, key: Key) -> Option<u32> {
        let connection = self.core.connections.get_mut(key)?;
        if connection.phase == Phase::Securing { connection.tls().map(|tls| tls.steps()) } else { None }
    }

    /// The connection to a server stands: sends the client's greeting.
    pub(super) fn greet(&mut self, key: Key) {
        let outcome = talk(&mut self.core, &mut self.system, key, Session::start);
        if let Some(Err(error)) = outcome {
            self.fail(key, error);
        }
    }

    /// Takes the first step of a handshake with bytes that came in clear, behind a proxy's header, in the loop's buffer.
    pub(super) fn begin_with(&mut self, key: Key, from: usize, end: usize) {
        let bytes = self.buffer.first_mut(end).get(from..).unwrap_or_default();
        let place = self.opening.place(0, self.core.settings.receive_budget);
        let Some(place) = place.get_mut(..bytes.len()) else { return };
        place.copy_from_slice(bytes);
        let end = place.len();
        if end > 0 {
            self.open(key, end);
        }
    }

    /// One receive of encrypted bytes.
    pub(super) fn receive_secure(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        let (socket, has_ended) = (connection.socket, connection.flags.has(Flags::ENDED));
        let is_securing = connection.phase == Phase::Securing;
        let Some(tls) = connection.tls() else { return };
        let (carried, is_over) = (tls.carried(), tls.is_peer_closed());
        // The end that TLS told of comes before whatever else there may be, and after all that was left for later.
        if is_over && !has_ended {
            return self.end(key);
        }
        let place = self.opening.place(carried, self.core.settings.receive_budget);
        let (asked, answer) = (place.len(), self.system.receive(socket, place));
        let has_left = match &answer {
            Ok(count) => *count == 0 && !has_ended,
            Err(error) => is_securing && is_reset(error),
        };
        if has_left {
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
        deliver(&mut self.driver, &mut self.core, &mut self.system, key, &mut plain);
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
        add_one(&mut self.core.stats.tls.done);
        let io = &mut Io { core: &mut self.core, system: &mut self.system };
        if is_client { self.driver.connected(io, ConnId(key)) } else { self.driver.admitted(io, ConnId(key)) }
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
        // What waits in clear is never sealed any more; the alert stands behind what is.
        if !connection.sealed().is_empty() || self.system.shutdown_write(connection.socket).is_err() {
            return self.core.kill(key, Cause::Tls(error), Cut::Reset);
        }
        self.core.linger_after(key, Cause::Tls(error));
        if let Some(connection) = self.core.connections.get_mut(key) {
            connection.staged = Staged::default();
        }
    }
}

/// Gives the driver what comes behind a header or out of a record, and keeps what it leaves.
pub(super) fn deliver<D: Driver>(
    driver: &mut D,
    core: &mut Core<D::Session>,
    system: &mut dyn System,
    key: Key,
    bytes: &mut [u8],
) {
    let Some(connection) = core.connections.get(key) else { return };
    if connection.phase != Phase::Open {
        return;
    }
    if bytes.is_empty() {
        return driver.stirred(&mut Io { core, system }, ConnId(key));
    }
    // The driver may have paused what it was just told of.
    let listens = connection.listens();
    let taken = if listens { driver.receive(&mut Io { core, system }, ConnId(key), bytes) } else { 0 };
    let left = bytes.get(taken..).unwrap_or_default();
    if !left.is_empty() {
        core.carry(key, left);
    }
}

/// Seals a connection's staged bytes, and `head` and `payload` behind them, for as long as the kernel takes them; queues the
/// rest.
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
    let mut taken = 0;
    if connection.queued() == 0 && connection.flags.has(Flags::WRITABLE) {
        let mut output = std::mem::take(&mut core.output);
        output.line_up(staged);
        let parts = output.parts().map(Part::bytes).chain([head, payload]);
        let outcome = pass(core, system, key, parts, &mut taken);
        core.output = output;
        if let Err(cause) = outcome {
            // What is lost is counted, so that the end tells of it; nobody else has to go for it.
            let _ = core.hold(key, staged, head, payload, taken);
            return core.kill(key, cause, Cut::Reset);
        }
    }
    if taken < staged.len().saturating_add(head.len()).saturating_add(payload.len()) {
        core.enqueue(key, staged, head, payload, taken);
    } else if has_sealed(core, key) {
        core.watch_queue(key);
    }
}

/// Seals and offers `parts`, a run at a time, until the kernel refuses some. Counts in `taken` those that are sealed, and are
/// the kernel's or wait for it.
fn pass<'p, P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    parts: impl Iterator<Item = &'p [u8]>,
    taken: &mut usize,
) -> Result<(), Cause> {
    let mut parts = Parts::of(parts);
    let outcome = apart(core, key, |core, tls, seal| {
        loop {
            let outcome = tls.seal(|most| parts.give(most), RUN, seal);
            let count = offer_run(core, system, key, seal, outcome)?;
            *taken = taken.saturating_add(count);
            if count == 0 || has_sealed(core, key) {
                return Ok(());
            }
        }
    });
    outcome.unwrap_or(Ok(()))
}

/// Writes what is queued: what is sealed, and once that is gone a run more. Of messages that may still be dropped no more
/// than a record is sealed ahead of the kernel.
#[cold]
pub(super) fn drain<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    drain_sealed(core, system, key);
    let waits = |connection: &Connection<P>| connection.in_clear() > 0 && connection.may_send();
    if has_sealed(core, key) || !core.connections.get(key).is_some_and(waits) {
        return;
    }
    let outcome = apart(core, key, |core, tls, seal| {
        let Some(connection) = core.connections.get_mut(key) else { return Ok(()) };
        let outcome = seal_run(&connection.backlog().queue, tls, seal);
        let count = offer_run(core, system, key, seal, outcome)?;
        core.change(key, |queue, pool| queue.pass(count, pool));
        Ok(())
    });
    match outcome {
        Some(Err(cause)) => core.kill(key, cause, Cut::Reset),
        Some(Ok(())) => core.watch_no_more(key),
        None => {}
    }
}

/// Seals the first bytes that wait in clear.
fn seal_run(queue: &Queue, tls: &mut Session, seal: &mut Seal) -> Result<usize, TlsError> {
    let mut parts = Parts::of(queue.slices());
    tls.seal(|most| parts.give(most), queue.firm().clamp(RECORD, RUN), seal)
}

fn drain_sealed<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    let (socket, sealed) = (connection.socket, connection.sealed());
    if sealed.is_empty() {
        return;
    }
    let offered = sealed.len();
    match write::taken(system.send(socket, sealed), offered) {
        Ok(taken) => {
            if taken < offered {
                connection.flags.clear(Flags::WRITABLE);
            }
            if taken > 0 {
                add(&mut core.flow.sent, taken as u64);
                core.dequeue(key, taken);
            }
        }
        Err(error) => lose(core, key, error),
    }
}

/// A send failed. Whether a peer has left its handshake, and why, a receive tells.
fn lose<P>(core: &mut Core<P>, key: Key, error: io::Error) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    if connection.phase != Phase::Securing || !is_reset(&error) {
        return core.kill(key, Cause::Lost(error), Cut::Reset);
    }
    connection.flags.clear(Flags::WRITABLE);
    connection.flags.set(Flags::READABLE);
    core.list(key);
}

/// Whether the peer has closed both directions.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Says, once and when all else is sealed, that nothing follows.
#[cold]
pub(super) fn farewell<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    if core.connections.get(key).is_some_and(|connection| connection.in_clear() == 0) {
        talk(core, system, key, Session::close);
    }
}

/// Does something with a connection's session, and sends what that wrote. What is staged is not touched.
fn talk<P, S: System + ?Sized, T>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    act: impl FnOnce(&mut Session, &mut Seal) -> T,
) -> Option<T> {
    apart(core, key, |core, tls, seal| {
        let outcome = act(tls, seal);
        match offer(core, system, key, seal) {
            Ok(()) if has_sealed(core, key) => core.watch_queue(key),
            Ok(()) => {}
            Err(error) => lose(core, key, error),
        }
        outcome
    })
}

/// Offers what a sealing wrote, even where it failed: keys that are used up (TLS 1.2) leave a `close_notify`.
fn offer_run<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    seal: &mut Seal,
    outcome: Result<usize, TlsError>,
) -> Result<usize, Cause> {
    let offered = offer(core, system, key, seal);
    let count = outcome.map_err(Cause::Tls)?;
    offered.map(|()| count).map_err(Cause::Lost)
}

/// Offers what was sealed, behind what was sealed before; keeps what the kernel refuses.
fn offer<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    seal: &mut Seal,
) -> io::Result<()> {
    let Some(connection) = core.connections.get_mut(key) else { return Ok(()) };
    let sealed = seal.written();
    // Behind our last byte nothing goes out, not even an alert: the write side is shut.
    if sealed.is_empty() || connection.phase == Phase::Dead || connection.flags.has(Flags::SHUT) {
        return Ok(());
    }
    let mut taken = 0;
    if connection.sealed().is_empty() && connection.flags.has(Flags::WRITABLE) {
        taken = write::taken(system.send(connection.socket, sealed), sealed.len())?;
        add(&mut core.flow.sent, taken as u64);
        if taken > 0 {
            connection.flags.set(Flags::PROGRESSED);
        }
        if taken < sealed.len() {
            connection.flags.clear(Flags::WRITABLE);
        }
    }
    let rest = sealed.get(taken..).unwrap_or_default();
    let kept = core.change(key, |queue, pool| queue.append_sealed(rest, pool));
    seal.clear();
    kept.unwrap_or(Ok(())).map_err(|NoMemory| io::ErrorKind::OutOfMemory.into())
}

/// Whether the kernel refused some of what is sealed.
fn has_sealed<P>(core: &Core<P>, key: Key) -> bool {
    core.connections.get(key).is_some_and(|connection| !connection.sealed().is_empty())
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

/// So many bytes are sealed before the kernel is offered them.
const RUN: usize = 64 * 1024;

/// At most so many handshakes are looked at in a turn, whether they come further or not.
const LOOKS: usize = 64;
