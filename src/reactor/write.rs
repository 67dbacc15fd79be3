//! L3, the way out: offers a connection's bytes to the kernel and keeps what it refuses, in order (R20).
//!
//! Generic over the system, so that the loop's own calls are static while [`Io`](super::Io) needs no type parameter.

use std::io;

use crate::mutants::mutant;
use crate::net::{SocketId, System};
use crate::reactor::connection::{Flags, Phase};
use crate::reactor::core::{Core, Cut};
use crate::reactor::driver::Cause;
use crate::reactor::output::{GATHER, GATHER_MANY, Gather, Output, Part};
use crate::reactor::secure;
use crate::slab::Key;
use crate::stats::add;

/// Offers a connection's staged bytes, and `head` and `payload` behind them, in one call; queues the rest.
#[inline]
pub(super) fn flush<P, S: System + ?Sized>(
    core: &mut Core<P>,
    system: &mut S,
    key: Key,
    head: &[u8],
    payload: &[u8],
) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    if connection.is_secure() {
        return secure::flush(core, system, key, head, payload);
    }
    let staged = std::mem::take(&mut connection.staged);
    if connection.phase == Phase::Dead {
        return;
    }
    let willing = connection.queued() == 0 && connection.flags.has(Flags::WRITABLE);
    let all = staged.len().saturating_add(head.len()).saturating_add(payload.len());
    let (offered, answer) = if !willing {
        (0, Ok(0))
    } else if let Some(single) = core.output.single(staged).filter(|single| single.len() == all) {
        (all, system.send(connection.socket, single))
    } else if core.output.line_up(staged).saturating_add(BEHIND) <= GATHER {
        gathered::<S, GATHER>(system, connection.socket, &core.output, head, payload)
    } else {
        gathered::<S, GATHER_MANY>(system, connection.socket, &core.output, head, payload)
    };
    let taken = match taken(answer, offered) {
        Ok(taken) => taken,
        Err(error) => {
            // What is lost is counted, so that the end tells of it; nobody else has to go for it.
            let _ = core.hold(key, staged, head, payload, 0);
            return core.kill(key, Cause::Lost(error), Cut::Reset);
        }
    };
    add(&mut core.flow.sent, taken as u64);
    // What was not offered says nothing about the kernel: no event would follow.
    if taken < offered {
        connection.flags.clear(Flags::WRITABLE);
    }
    if taken < all {
        core.enqueue(key, staged, head, payload, taken);
    }
}

/// A head and a payload, behind the pieces that were lined up.
const BEHIND: usize = 2;

/// Offers what was lined up, and `head` and `payload` behind it, in one call.
fn gathered<S: System + ?Sized, const N: usize>(
    system: &mut S,
    socket: SocketId,
    output: &Output,
    head: &[u8],
    payload: &[u8],
) -> (usize, io::Result<usize>) {
    let gather = Gather::<N>::of(output.parts().map(Part::bytes).chain([head, payload]));
    (gather.len(), system.send_gathered(socket, gather.slices()))
}

/// What the kernel took of so many bytes: none where it would block.
#[inline]
pub(super) fn taken(answer: io::Result<usize>, offered: usize) -> io::Result<usize> {
    match answer {
        Ok(taken) => Ok(taken.min(offered)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes what is queued.
pub(super) fn drain<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    if connection.is_secure() {
        return secure::drain(core, system, key);
    }
    let Some(backlog) = connection.backlog.as_ref() else { return };
    let waiting = Gather::<GATHER_MANY>::of(backlog.queue.slices());
    let answer = match waiting.slices() {
        [single] => system.send(connection.socket, single),
        many => system.send_gathered(connection.socket, many),
    };
    let taken = match taken(answer, waiting.len()) {
        Ok(taken) => taken,
        Err(error) => return core.kill(key, Cause::Lost(error), Cut::Reset),
    };
    let offered = waiting.len();
    add(&mut core.flow.sent, taken as u64);
    if taken < offered {
        connection.flags.clear(Flags::WRITABLE);
    }
    if mutant("advance by what was offered") {
        core.dequeue(key, offered);
    } else if taken > 0 {
        core.dequeue(key, taken);
    }
}

/// Flushes a connection at the end of a turn, and shuts it once it is finished and nothing waits.
#[inline]
pub(super) fn settle<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    connection.flags.clear(Flags::DIRTY);
    if connection.staged.len() > 0 {
        flush(core, system, key, &[], &[]);
    }
    let Some(connection) = core.connections.get_mut(key) else { return };
    if !connection.says_last() {
        return;
    }
    if connection.is_secure() {
        secure::farewell(core, system, key);
    }
    let Some(connection) = core.connections.get_mut(key) else { return };
    if connection.pending() > 0 && !mutant("shut before all is flushed") {
        return;
    }
    if connection.phase == Phase::Open {
        return half_close(core, system, key);
    }
    if connection.phase == Phase::Finishing {
        if connection.flags.has(Flags::YIELDS) {
            return core.linger(key);
        }
        match system.shutdown_write(connection.socket) {
            Ok(()) if mutant("close without lingering") => core.kill(key, Cause::Finished, Cut::Clean),
            Ok(()) => core.linger(key),
            // The peer is gone already (R54): all was sent, so this is an end and no failure.
            Err(_) => core.kill(key, Cause::Finished, Cut::Clean),
        }
    }
}

/// Shuts the write side of a connection that goes on receiving; where the peer has ended too, that was all.
#[cold]
fn half_close<P, S: System + ?Sized>(core: &mut Core<P>, system: &mut S, key: Key) {
    let Some(connection) = core.connections.get_mut(key) else { return };
    if !connection.flags.has(Flags::SHUT) {
        connection.flags.set(Flags::SHUT);
        // Where the peer is gone already, a receive tells (R54).
        let _ = system.shutdown_write(connection.socket);
    }
    if connection.flags.has(Flags::ENDED) {
        core.linger(key);
    }
}
