//! L3, the way out to others: several addresses race until one answers (RFC 8305); knows no protocol.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crate::mutants::mutant;
use crate::net::{
    Addr, CloseHow, ConnectOptions, Connecting, Destination, NetError, Resolved, SocketId, System,
};
use crate::reactor::connection::{Connection, Flags, Phase};
use crate::reactor::core::{Alarm, Core, Cut, tick_after};
use crate::reactor::driver::{Cause, ConnId};
use crate::slab::Key;
use crate::stats::add_one;
use crate::time::wheel::TimerKey;

/// The attempts of one connection that is not there yet.
#[derive(Debug)]
pub(super) struct Dial {
    options: ConnectOptions,
    /// Addresses not tried yet, in order.
    waiting: VecDeque<Addr>,
    /// Sockets on their way. All are registered under the connection's own key.
    attempts: Vec<Attempt>,
    /// When the next address is tried although the last attempt has not failed, or a full backlog is tried again.
    next: Option<TimerKey>,
    /// How often a full backlog was met.
    met_busy: u32,
    /// What to tell if no address is left.
    last_error: Option<NetError>,
}

#[derive(Debug)]
struct Attempt {
    socket: SocketId,
    addr: Addr,
}

/// Makes a connection that is on its way to `destination`; what becomes of it shows in later turns.
pub(super) fn start<P>(
    core: &mut Core<P>,
    system: &mut dyn System,
    destination: &Destination,
    options: ConnectOptions,
    session: P,
) -> Result<ConnId, NetError> {
    let limit = core.settings.max_connections;
    if core.connections.len() >= limit {
        return Err(NetError::TooMany { limit });
    }
    let key = core
        .connections
        .insert(Connection::dialling(session, Dial::new(options)))
        .map_err(|_| NetError::TooMany { limit })?;
    let outcome = match destination {
        Destination::Addr(addr) => {
            go(core, system, key, vec![addr.clone()]);
            Ok(())
        }
        Destination::Name { host, port } => system.resolve(host, *port, key.to_bits()),
    };
    match outcome {
        Ok(()) => Ok(ConnId(key)),
        Err(source) => {
            core.connections.remove(key);
            Err(NetError::Unresolved { source })
        }
    }
}

/// A name was resolved, or was not.
pub(super) fn resolved<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, answer: Resolved) {
    let Some(key) = Key::from_bits(answer.token) else { return };
    match answer.addrs {
        Ok(addrs) if !addrs.is_empty() => go(core, system, key, addrs.into_iter().map(Addr::Tcp)),
        Ok(_) => fail(core, key, NetError::Unresolved { source: io::ErrorKind::NotFound.into() }),
        Err(source) => fail(core, key, NetError::Unresolved { source }),
    }
}

/// Starts the race.
fn go<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    addrs: impl IntoIterator<Item = Addr>,
) {
    let Some(dial) = dial(core, key) else { return };
    dial.waiting.extend(addrs.into_iter().take(ADDRESSES_AT_MOST));
    attempt(core, system, key);
}

/// Tries the next address, and those after it while they fail at once. Where none is left and nothing is on its way, the
/// connection has failed.
pub(super) fn attempt<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    while let Some(dial) = dial(core, key) {
        let Some(addr) = dial.waiting.pop_front() else { break };
        match connect(system, &addr, &dial.options, key) {
            Ok(Some(socket)) => {
                dial.attempts.push(Attempt { socket, addr });
                return on_its_way(core, key);
            }
            Ok(None) => {
                dial.waiting.push_front(addr);
                dial.met_busy = dial.met_busy.saturating_add(1);
                let pause = BUSY_PAUSE.saturating_mul(1 << dial.met_busy.min(BUSY_DOUBLINGS));
                return pause_for(core, key, pause);
            }
            Err(error) => dial.last_error = Some(error),
        }
    }
    give_up_if_over(core, key);
}

/// Opens and registers one attempt's socket; `None` where a Unix-domain listener's backlog is full.
fn connect<S: System + ?Sized>(
    system: &mut S,
    addr: &Addr,
    options: &ConnectOptions,
    key: Key,
) -> Result<Option<SocketId>, NetError> {
    let socket = match system.connect(addr, options)? {
        Connecting::Busy => return Ok(None),
        Connecting::Established(socket) | Connecting::InProgress(socket) => socket,
    };
    match system.register(socket, Connection::<()>::token(key)) {
        Ok(()) => Ok(Some(socket)),
        Err(error) => {
            system.close(socket, CloseHow::Abort);
            Err(NetError::connect(addr, error))
        }
    }
}

/// An attempt has begun: it is looked at in the next turn, and after a while the next address joins it (RFC 8305 §5).
fn on_its_way<P>(core: &mut Core<P>, key: Key) {
    if let Some(connection) = core.connections.get_mut(key) {
        connection.flags.set(Flags::WRITABLE);
    }
    core.list(key);
    if dial(core, key).is_some_and(|dial| !dial.waiting.is_empty()) {
        pause_for(core, key, ATTEMPT_DELAY);
    }
}

fn pause_for<P>(core: &mut Core<P>, key: Key, pause: Duration) {
    let at = tick_after(core.now.saturating_add(pause));
    let timer = core.wheel.set(at, Alarm::Dial(key));
    let earlier = dial(core, key).and_then(|dial| std::mem::replace(&mut dial.next, timer));
    if let Some(earlier) = earlier {
        core.wheel.cancel(earlier);
    }
}

/// Time for the next address.
pub(super) fn alarm<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    if let Some(dial) = dial(core, key) {
        dial.next = None;
        attempt(core, system, key);
    }
}

/// Something happened to an attempt, of which `seen` is known: looks at each. Answers whether the connection stands.
pub(super) fn look<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    seen: Flags,
) -> Standing {
    let Some(dial) = dial(core, key) else { return Standing::NotYet };
    // What several share cannot be told apart.
    let known = if dial.attempts.len() > 1 { seen.and(Flags::HALF_CLOSED) } else { seen };
    let mut failed = false;
    let mut index = 0;
    while let Some(attempt) = dial.attempts.get(index) {
        match system.finish_connect(attempt.socket) {
            Ok(Some(_)) => {
                let winner = dial.attempts.swap_remove(index).socket;
                win(core, system, key, winner, known);
                return Standing::Yes;
            }
            Ok(None) => index = index.saturating_add(1),
            Err(error) => {
                dial.last_error = Some(NetError::connect(&attempt.addr, error));
                if !mutant("leak a failed attempt") {
                    system.close(attempt.socket, CloseHow::Graceful);
                }
                dial.attempts.swap_remove(index);
                failed = true;
            }
        }
    }
    if failed {
        attempt_now(core, system, key);
    }
    Standing::NotYet
}

/// Whether a dialled connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Yes,
    NotYet,
}

/// An attempt failed: the next address does not wait for its turn (RFC 8305 §5).
fn attempt_now<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    if let Some(next) = dial(core, key).and_then(|dial| dial.next.take()) {
        core.wheel.cancel(next);
    }
    attempt(core, system, key);
}

/// The first that stands is the connection; the others are dropped.
///
/// A server may have said its last word already. No second event tells of that, so `known` must not be forgotten. Said of
/// the winner though it was a loser's, it is taken back by the first receive that finds nothing.
fn win<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key, winner: SocketId, known: Flags) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    if let Some(mut dial) = connection.backlog().dial.take() {
        dial.close(system);
        if let Some(next) = dial.next {
            core.wheel.cancel(next);
        }
    }
    connection.trim();
    add_one(&mut core.stats.arrivals.connected);
    connection.socket = winner;
    connection.phase = if connection.is_secure() { Phase::Securing } else { Phase::Open };
    connection.flags = known;
    connection.flags.set(Flags::fresh());
    connection.flags.set(Flags::READABLE);
}

fn give_up_if_over<P>(core: &mut Core<P>, key: Key) {
    let Some(dial) = dial(core, key) else { return };
    if dial.attempts.is_empty() && dial.waiting.is_empty() {
        let unknown = || NetError::Unresolved { source: io::ErrorKind::NotFound.into() };
        let error = dial.last_error.take().unwrap_or_else(unknown);
        fail(core, key, error);
    }
}

fn fail<P>(core: &mut Core<P>, key: Key, error: NetError) {
    if dial(core, key).is_some() {
        core.kill(key, Cause::NotConnected(error), Cut::Clean);
    }
}

/// The dial of a connection that is not there yet and not over either.
fn dial<P>(core: &mut Core<P>, key: Key) -> Option<&mut Dial> {
    let connection =
        core.connections.get_mut(key).filter(|connection| connection.phase == Phase::Dialling)?;
    connection.backlog.as_mut()?.dial.as_deref_mut()
}

impl Dial {
    fn new(options: ConnectOptions) -> Box<Self> {
        let (waiting, attempts) = (VecDeque::new(), Vec::new());
        Box::new(Self { options, waiting, attempts, next: None, met_busy: 0, last_error: None })
    }

    /// Closes what is on its way.
    pub(super) fn close<S: System + ?Sized>(&mut self, system: &mut S) {
        for attempt in self.attempts.drain(..) {
            system.close(attempt.socket, CloseHow::Abort);
        }
    }

    /// The timer that has to be cancelled when the connection ends.
    pub(super) fn take_timer(&mut self) -> Option<TimerKey> {
        self.next.take()
    }
}

/// How long an attempt is alone before the next address joins it (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// More addresses than this a host has for other reasons than reliability.
const ADDRESSES_AT_MOST: usize = 16;
/// The first pause before a full Unix backlog is tried again; it doubles up to 64 ms.
const BUSY_PAUSE: Duration = Duration::from_millis(1);
const BUSY_DOUBLINGS: u32 = 6;
