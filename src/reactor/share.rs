//! L3, messages that many connections are sent without a copy for each, and what is done for those that do not keep up:
//! knows bytes and where a message begins and ends, not what it means.

use std::sync::Arc;

use crate::net::System;
use crate::reactor::connection::{Connection, Phase};
use crate::reactor::core::{Core, Cut};
use crate::reactor::driver::{Cause, ConnId};
use crate::reactor::output::Shared;
use crate::reactor::queue::{Keys, weight, weight_of};
use crate::reactor::sent::SendError;
use crate::reactor::{Io, write};
use crate::slab::Key;

/// What is done with a shared message for which a connection's queue has no room, because its peer does not keep up.
///
/// It is about shared messages alone: an ordinary send is refused, as its answer says, and what it sent is never dropped.
/// Neither is a message of which the kernel has a part. With TLS what is encrypted is as good as there: at most a record of
/// what waits, or 64 KiB of what one turn sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused, as a send is.
    #[default]
    Reject,
    /// It is dropped; those that wait go out.
    DropNewest,
    /// Those that have waited longest are dropped until it fits. Where it would not fit even then, it is dropped itself.
    DropOldest,
    /// Whatever room there is, it takes the place of the one with its key that waits, if one does: of each key the latest
    /// goes out, and none is pushed back by the others. Where it does not fit, it is dropped: give the queue room for one
    /// message of each key.
    Coalesce,
    /// The connection is cut.
    Close,
}

/// What became of a shared message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a peer that does not keep up may not get it"]
pub enum Delivery {
    /// It goes out, with everything else sent to this connection in this turn, when the turn ends.
    Staged,
    /// It waits behind what the kernel has not taken, or the kernel has it already.
    Queued,
    /// It waits in the place of an earlier one with its key, which is no more ([`Overflow::Coalesce`]).
    Replaced,
    /// It was dropped ([`Overflow::DropNewest`], or where dropping others makes no room).
    Dropped,
    /// The connection was cut ([`Overflow::Close`]).
    Closed,
}

/// Shared messages that were accepted and then not sent, because something was done about an overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    /// Those that were dropped, whether old or new.
    pub dropped: u64,
    /// Those whose place was taken by a later one with their key.
    pub replaced: u64,
}

/// What is kept of a connection for which anything is done about an overflow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    overflow: Overflow,
    shed: Shed,
}

impl<P> Io<'_, P> {
    /// Sends bytes that other connections are sent too: they are not copied, neither here nor where the kernel refuses
    /// them. Those with the same `key` make each other worthless, for [`Overflow::Coalesce`].
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the bytes were not taken.
    pub fn share(&mut self, id: ConnId, bytes: &Arc<[u8]>, key: Option<u64>) -> Result<Delivery, SendError> {
        let Some(connection) = self.core.connections.get_mut(id.0) else { return Err(SendError::Gone) };
        connection.takes()?;
        if bytes.is_empty() {
            return Ok(Delivery::Staged);
        }
        // What is staged may come to wait, and then weighs what waits.
        let messages = self.core.output.messages_of(connection.staged).saturating_add(1);
        let weight = weight(connection.staged.len().saturating_add(bytes.len()), messages);
        if connection.queued() == 0
            && weight <= self.core.settings.max_queue
            && self.core.output.stage_shared(&mut connection.staged, bytes, key)
        {
            self.core.mark_dirty(id.0);
            return Ok(Delivery::Staged);
        }
        self.share_behind(id.0, &Shared { bytes: Arc::clone(bytes), key })
    }

    /// Makes room for so many connections to be sent to in this turn.
    pub fn expect_sends(&mut self, connections: usize) {
        let more = connections.saturating_sub(self.core.dirty.len());
        self.core.dirty.reserve_exact(more);
    }

    /// Says what is done for a connection that does not keep up with what is shared.
    pub fn set_overflow(&mut self, id: ConnId, overflow: Overflow) {
        if self.core.connections.get(id.0).is_some() {
            self.core.accounts.entry(id.0).or_default().overflow = overflow;
        }
    }

    /// What was done for a connection so far.
    #[must_use]
    pub fn shed(&self, id: ConnId) -> Shed {
        self.core.accounts.get(&id.0).map(|account| account.shed).unwrap_or_default()
    }

    /// What was done for all connections together.
    #[must_use]
    pub fn shed_by_all(&self) -> Shed {
        self.core.shed
    }

    /// Behind what is staged or queued: something may be in the way.
    #[cold]
    fn share_behind(&mut self, key: Key, shared: &Shared) -> Result<Delivery, SendError> {
        let is_staged = |connection: &Connection<P>| connection.pending() > connection.queued();
        if self.core.connections.get(key).is_some_and(is_staged) {
            write::flush(self.core, self.system, key, &[], &[]);
        }
        let Some(connection) = self.core.connections.get(key) else { return Err(SendError::Gone) };
        connection.takes()?;
        let (size, limit, pending) = (shared.bytes.len(), self.core.settings.max_queue, connection.queued());
        if size > limit {
            return Err(self.refuse(ConnId(key), size, pending));
        }
        let overflow = self.core.overflow_of(key);
        if overflow == Overflow::Coalesce && self.core.replace(key, shared) {
            return Ok(Delivery::Replaced);
        }
        if overflow == Overflow::DropOldest {
            self.core.make_room(key, shared);
        }
        if pending > 0 && !self.core.has_room(key, weight_of(shared)) {
            return self.overflow(key, size, overflow);
        }
        self.core.keep(self.system, key, shared);
        Ok(Delivery::Queued)
    }

    /// There is no room for a message.
    fn overflow(&mut self, key: Key, size: usize, overflow: Overflow) -> Result<Delivery, SendError> {
        match overflow {
            Overflow::Reject => {
                let pending = self.pending(ConnId(key));
                Err(self.refuse(ConnId(key), size, pending))
            }
            Overflow::DropNewest | Overflow::DropOldest | Overflow::Coalesce => {
                self.core.note_shed(key, Shed { dropped: 1, ..Shed::default() });
                Ok(Delivery::Dropped)
            }
            Overflow::Close => {
                self.core.kill(key, Cause::Overflowed, Cut::Reset);
                Ok(Delivery::Closed)
            }
        }
    }
}

impl<P> Core<P> {
    fn overflow_of(&self, key: Key) -> Overflow {
        self.accounts.get(&key).map(|account| account.overflow).unwrap_or_default()
    }

    /// What a message that comes to wait does about those of its key.
    pub(super) fn keys_of(&self, key: Key) -> Keys {
        if self.overflow_of(key) == Overflow::Coalesce { Keys::Merged } else { Keys::Ignored }
    }

    /// Counts what was not sent.
    pub(super) fn note_shed(&mut self, key: Key, shed: Shed) {
        if shed == Shed::default() {
            return;
        }
        for all in [&mut self.accounts.entry(key).or_default().shed, &mut self.shed] {
            all.dropped = all.dropped.saturating_add(shed.dropped);
            all.replaced = all.replaced.saturating_add(shed.replaced);
        }
    }

    fn has_room(&self, key: Key, weight: usize) -> bool {
        let queue = self.connections.get(key).and_then(|connection| connection.backlog.as_ref());
        let waiting = queue.map_or(0, |backlog| backlog.queue.weight());
        waiting.saturating_add(weight) <= self.settings.max_queue
    }

    /// Puts a message in the place of the one with its key, where one waits and the later one fits.
    fn replace(&mut self, key: Key, shared: &Shared) -> bool {
        let limit = self.settings.max_queue;
        let Some(backlog) = self.connections.get(key).and_then(|connection| connection.backlog.as_ref())
        else {
            return false;
        };
        let queue = &backlog.queue;
        let Some(earlier) = shared.key.and_then(|key| queue.waiting(key)) else { return false };
        let weight = queue.weight().saturating_sub(earlier.bytes.len()).saturating_add(shared.bytes.len());
        if weight > limit.max(queue.weight())
            || self.change(key, |queue, _| queue.replace(shared)) != Some(true)
        {
            return false;
        }
        self.note_shed(key, Shed { replaced: 1, ..Shed::default() });
        self.watch_queue(key);
        true
    }

    /// Drops what has waited longest until a message fits; nothing where it would not fit even so.
    fn make_room(&mut self, key: Key, shared: &Shared) {
        let weight = weight_of(shared);
        let queue = |core: &Self| Some(core.connections.get(key)?.backlog.as_ref()?.queue.least_weight());
        if queue(self).is_none_or(|least| least.saturating_add(weight) > self.settings.max_queue) {
            return;
        }
        while !self.has_room(key, weight) && self.drop_oldest(key) {
            self.note_shed(key, Shed { dropped: 1, ..Shed::default() });
        }
    }

    fn drop_oldest(&mut self, key: Key) -> bool {
        self.change(key, |queue, _| queue.drop_oldest()) == Some(true)
    }

    /// Puts a message behind what waits. Where nothing does, the kernel is offered it at once.
    fn keep(&mut self, system: &mut dyn System, key: Key, shared: &Shared) {
        let keys = self.keys_of(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let is_first = connection.queued() == 0;
        self.change(key, |queue, _| queue.push(shared, 0, keys));
        if is_first && self.connections.get(key).is_some_and(Connection::may_send) {
            write::drain(self, system, key);
        }
        // What the kernel took waits no more: only what is left may choke a connection, or crowd others out.
        let waits = |connection: &Connection<P>| connection.phase != Phase::Dead && connection.queued() > 0;
        if self.connections.get(key).is_some_and(waits) {
            self.watch_queue(key);
        }
    }
}
