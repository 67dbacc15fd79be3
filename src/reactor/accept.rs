//! L3, the way in: accepts up to a budget, and waits without spinning or stalling where it can't (R26, R30, R48).

use std::os::fd::OwnedFd;
use std::{fmt, io};

use crate::journal::Kind;
use crate::mutants::mutant;
use crate::net::{AcceptError, CloseHow, Peer, SocketId, System};
use crate::proxy::ProxyError;
use crate::reactor::connection::{Connection, Phase};
use crate::reactor::core::{Alarm, Core, Cut, Source, tick_after};
use crate::reactor::driver::Cause;
use crate::reactor::{ConnId, Driver, Io, ListenerId};
use crate::stats::add_one;
use crate::tls::Acceptor;

/// Accepts from one listener until nobody waits or the budget is spent.
///
/// mio is edge-triggered: whoever stops early must come back without an event. A listener whose budget is spent
/// stays listed; one without descriptors or room comes back by [`room`] or by its timer.
pub(super) fn accept<D: Driver, S: System>(
    driver: &mut D,
    core: &mut Core<D::Session>,
    system: &mut S,
    id: ListenerId,
    budget: &mut usize,
) {
    let Some(listener) = core.listeners.get_mut(id.0) else { return };
    listener.listed = false;
    while *budget > 0 {
        // Looked up each time: the driver may have closed it meanwhile, and opened another one.
        let Some(source) = core.listeners.get(id.0).map(|listener| listener.source) else { return };
        let Some(socket) = source.socket() else { return };
        let deals = matches!(source, Source::Dealt(_));
        if is_full(core) && !(deals && driver.may_deal()) {
            return wait(core, id, Lack::Room);
        }
        match system.accept(socket) {
            Ok((stream, peer)) => {
                no_longer_waits(core, id);
                *budget = budget.saturating_sub(1);
                // It may have come after the turn began, and its time for the handshake counts from now.
                core.now = system.now();
                if deals {
                    deal(driver, core, system, id, stream, peer);
                } else {
                    enter(driver, core, system, id, stream, &peer);
                }
            }
            Err(AcceptError::Retry) if mutant("stop at an aborted connection") => return,
            Err(AcceptError::Retry) => {
                *budget = budget.saturating_sub(1);
                add_one(&mut core.stats.refusals.broken);
            }
            Err(AcceptError::WouldBlock) => return no_longer_waits(core, id),
            Err(AcceptError::Broken(error)) => {
                let io = &mut Io { core, system };
                let Some(addr) = io.listener_addr(id).cloned() else { return };
                io.note(Kind::ListenerFailed, format_args!("the listener on {addr} failed: {error}"));
                io.close_listener(id);
                return driver.listener_failed(io, id, &addr, error);
            }
            Err(AcceptError::Exhausted) if mutant("wait without a timer") => return,
            Err(AcceptError::Exhausted) => return wait(core, id, Lack::Descriptors),
        }
    }
    if !mutant("forget the listener after its budget") {
        core.list_listener(id);
    }
}

fn is_full<P>(core: &Core<P>) -> bool {
    core.connections.len() >= core.settings.max_connections
}

/// Offers a stream to other loops. It stays here where the driver says so, or the system cannot let it go.
#[cold]
fn deal<D: Driver, S: System>(
    driver: &mut D,
    core: &mut Core<D::Session>,
    system: &mut S,
    listener: ListenerId,
    socket: SocketId,
    peer: Peer,
) {
    let (socket, peer) = match system.detach(socket) {
        Ok(stream) => {
            let io = &mut Io { core: &mut *core, system: &mut *system };
            let Some((stream, peer)) = driver.deal(io, listener, stream, peer) else { return };
            let Ok(socket) = system.attach(stream) else {
                return add_one(&mut core.stats.refusals.turned_away);
            };
            (socket, peer)
        }
        Err(_) => (socket, peer),
    };
    if is_full(core) {
        return turn_away(core, system, socket, &"no loop has room for it");
    }
    enter(driver, core, system, listener, socket, &peer);
}

/// Makes a connection of a stream that another loop accepted and dealt to this one. `listener` is one that was opened with
/// [`Source::Elsewhere`], and says what the connection speaks.
///
/// # Errors
///
/// Where the listener is closed, there are [`Settings::max_connections`](super::Settings::max_connections), or the system
/// has no real descriptors. The stream is closed then.
pub fn adopt<D: Driver>(
    driver: &mut D,
    io: &mut Io<'_, D::Session>,
    listener: ListenerId,
    stream: OwnedFd,
    peer: &Peer,
) -> io::Result<()> {
    if io.listener_addr(listener).is_none() || is_full(io.core) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let socket = io.system.attach(stream)?;
    // As for one that is accepted here.
    io.core.now = io.system.now();
    enter(driver, io.core, io.system, listener, socket, peer);
    Ok(())
}

/// Makes a connection of a stream.
fn enter<D: Driver>(
    driver: &mut D,
    core: &mut Core<D::Session>,
    system: &mut dyn System,
    listener: ListenerId,
    socket: SocketId,
    peer: &Peer,
) {
    let way_in = core.listeners.get(listener.0);
    let proxies = way_in.and_then(|listener| listener.proxies.as_ref());
    let is_trusted = proxies.map(|proxies| proxies.trusts(peer.ip()));
    // Who is sent away at once costs no handshake.
    let tls = way_in.and_then(|listener| listener.tls.as_ref()).filter(|_| is_trusted != Some(false));
    let tls = match tls.map(Acceptor::session).transpose() {
        Ok(tls) => tls,
        Err(error) => return turn_away(core, system, socket, &error),
    };
    let session = driver.open(listener, peer);
    let mut connection = Connection::new(session, socket);
    if let Some(tls) = tls {
        connection.secure(tls);
    }
    if is_trusted.is_some() {
        connection.phase = Phase::Announcing;
    }
    let Ok(key) = core.connections.insert(connection) else {
        return turn_away(core, system, socket, &"there is no place for it");
    };
    if let Err(error) = system.register(socket, Connection::<D::Session>::token(key)) {
        core.connections.remove(key);
        return turn_away(core, system, socket, &error);
    }
    add_one(&mut core.flow.accepted);
    let (id, io) = (ConnId(key), &mut Io { core, system });
    io.note(Kind::Arrival, format_args!("{id:?} came from {peer}"));
    driver.opened(io, id);
    if is_trusted == Some(false) {
        core.kill(key, Cause::Proxy(ProxyError::Untrusted(peer.ip())), Cut::Reset);
    }
}

/// Closes what was accepted and cannot be taken in.
#[cold]
fn turn_away<P>(core: &mut Core<P>, system: &mut dyn System, socket: SocketId, why: &dyn fmt::Display) {
    add_one(&mut core.stats.refusals.turned_away);
    core.journal.note(core.now, Kind::TurnedAway, format_args!("a connection was not let in: {why}"));
    system.close(socket, CloseHow::Abort);
}

/// What a listener waits for.
#[derive(Clone, Copy, Debug)]
enum Lack {
    Room,
    Descriptors,
}

/// Leaves the waiting clients in the kernel's backlog until there is room again.
#[cold]
fn wait<P>(core: &mut Core<P>, id: ListenerId, lack: Lack) {
    let at = core.now.saturating_add(core.settings.accept_retry);
    let retry = core.wheel.set(tick_after(at), Alarm::Accept(id));
    let Some(listener) = core.listeners.get_mut(id.0) else { return };
    listener.retry = retry;
    if std::mem::replace(&mut listener.waits, true) {
        return;
    }
    let (count, why) = match lack {
        Lack::Room => (&mut core.stats.refusals.no_room, "there are as many connections as there may be"),
        Lack::Descriptors => (&mut core.stats.refusals.no_descriptors, "descriptors or memory have run out"),
    };
    add_one(count);
    let addr = &listener.addr;
    core.journal.note(core.now, Kind::Waiting, format_args!("the listener on {addr} waits: {why}"));
}

fn no_longer_waits<P>(core: &mut Core<P>, id: ListenerId) {
    if let Some(listener) = core.listeners.get_mut(id.0) {
        listener.waits = false;
    }
}

/// A descriptor was freed: every waiting listener looks again, without an event.
pub(super) fn room<P>(core: &mut Core<P>) {
    for index in 0..core.listeners.end() {
        let Some(key) = core.listeners.key_at(index) else { continue };
        let retry = core.listeners.get_mut(key).and_then(|listener| listener.retry.take());
        if let Some(retry) = retry {
            core.wheel.cancel(retry);
            core.list_listener(ListenerId(key));
        }
    }
}

/// The time to look again has come.
pub(super) fn retry<P>(core: &mut Core<P>, id: ListenerId) {
    if let Some(listener) = core.listeners.get_mut(id.0) {
        listener.retry = None;
    }
    core.list_listener(id);
}
