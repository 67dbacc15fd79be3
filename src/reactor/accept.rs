//! L3, the way in: accepts up to a budget, and waits without spinning or stalling where it can't (R26, R30, R48).

use crate::mutants::mutant;
use crate::net::{AcceptError, Peer, SocketId, System};
use crate::reactor::connection::Connection;
use crate::reactor::core::{Alarm, Core, tick_after};
use crate::reactor::{ConnId, Driver, Io, ListenerId};
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
        let Some(socket) = core.listeners.get(id.0).map(|listener| listener.socket) else { return };
        if core.connections.len() >= core.settings.max_connections {
            return wait(core, id);
        }
        match system.accept(socket) {
            Ok((stream, peer)) => {
                *budget = budget.saturating_sub(1);
                // It may have come after the turn began, and its time for the handshake counts from now.
                core.now = system.now();
                enter(driver, core, system, id, stream, &peer);
            }
            Err(AcceptError::Retry) if mutant("stop at an aborted connection") => return,
            Err(AcceptError::Retry) => *budget = budget.saturating_sub(1),
            Err(AcceptError::WouldBlock) => return,
            Err(AcceptError::Broken(error)) => {
                let io = &mut Io { core, system };
                let Some(addr) = io.listener_addr(id).cloned() else { return };
                io.close_listener(id);
                return driver.listener_failed(io, id, &addr, error);
            }
            Err(AcceptError::Exhausted) if mutant("wait without a timer") => return,
            Err(AcceptError::Exhausted) => return wait(core, id),
        }
    }
    if !mutant("forget the listener after its budget") {
        core.list_listener(id);
    }
}

/// Makes a connection of a stream.
fn enter<D: Driver, S: System>(
    driver: &mut D,
    core: &mut Core<D::Session>,
    system: &mut S,
    listener: ListenerId,
    socket: SocketId,
    peer: &Peer,
) {
    let tls = core.listeners.get(listener.0).and_then(|listener| listener.tls.as_ref());
    let Ok(tls) = tls.map(Acceptor::session).transpose() else {
        return system.close(socket, crate::net::CloseHow::Abort);
    };
    let session = driver.open(listener, peer);
    let mut connection = Connection::new(session, socket);
    if let Some(tls) = tls {
        connection.secure(tls);
    }
    let Ok(key) = core.connections.insert(connection) else {
        return system.close(socket, crate::net::CloseHow::Abort);
    };
    if system.register(socket, Connection::<D::Session>::token(key)).is_err() {
        core.connections.remove(key);
        return system.close(socket, crate::net::CloseHow::Abort);
    }
    driver.opened(&mut Io { core, system }, ConnId(key));
}

/// Leaves the waiting clients in the kernel's backlog until there is room again.
#[cold]
fn wait<P>(core: &mut Core<P>, id: ListenerId) {
    let at = core.now.saturating_add(core.settings.accept_retry);
    let retry = core.wheel.set(tick_after(at), Alarm::Accept(id));
    if let Some(listener) = core.listeners.get_mut(id.0) {
        listener.retry = retry;
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
