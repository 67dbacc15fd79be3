//! Scripted peers: ends of streams that belong to no system, for whoever writes the world; knows no fault but latency.

use std::fmt;
use std::io;

use super::kernel::Kernel;
use super::stream::{Stage, Stream};
use super::world::World;
use crate::net::{Addr, CloseHow};
use crate::slab::Key;

/// The scripted end of a stream. Every call does at once what it can, and none waits. Dropping it closes it, as the end
/// of a process would.
pub struct Peer {
    world: World,
    stream: Key,
}

impl Peer {
    pub(super) fn new(world: World, stream: Key) -> Self {
        Peer { world, stream }
    }

    /// Whether the connection stands: neither on its way, nor failed, reset or over on both sides.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.look(|stream| stream.stage == Stage::Open && !(stream.ended && stream.shut)).unwrap_or(false)
    }

    /// Whether the connection is still on its way.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.look(|stream| stream.stage == Stage::Connecting).unwrap_or(false)
    }

    /// Sends a first part of `bytes`, as much as fits.
    ///
    /// # Errors
    ///
    /// As [`System::send`](crate::net::System::send).
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|kernel| kernel.send(self.stream, bytes))
    }

    /// Receives up to `into.len()` bytes; zero is the end.
    ///
    /// # Errors
    ///
    /// As [`System::receive`](crate::net::System::receive).
    pub fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        self.with(|kernel| kernel.receive(self.stream, into))
    }

    /// Receives what there is, up to `most` bytes, and appends it to `into`; zero is the end.
    ///
    /// # Errors
    ///
    /// As [`System::receive`](crate::net::System::receive).
    pub fn receive_into(&self, into: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        let before = into.len();
        let room = self.unread().min(most).max(1);
        into.resize(before.saturating_add(room), 0);
        let answer = self.receive(into.get_mut(before..).unwrap_or_default());
        into.truncate(before.saturating_add(*answer.as_ref().unwrap_or(&0)));
        answer
    }

    /// How many bytes can be received now.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.look(|stream| stream.inbox.len()).unwrap_or(0)
    }

    /// Lets at most `bytes` be unread or on their way to here; what is there already stays. Zero closes the window.
    pub fn set_capacity(&self, bytes: usize) {
        self.with(|kernel| {
            let Some(stream) = kernel.stream_mut(self.stream) else { return };
            stream.capacity = bytes;
            if let Some(sender) = stream.other.filter(|_| stream.has_room()) {
                kernel.tell_room(sender, true);
            }
        });
    }

    /// Tells the other side that no more bytes will come.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) when the connection is gone already.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.with(|kernel| kernel.shutdown_write(self.stream))
    }

    /// Closes as close(2) does: what was sent is delivered, and after unread input comes a reset.
    pub fn close(self) {}

    /// Closes with a reset at once.
    pub fn reset(self) {
        self.with(|kernel| kernel.close(self.stream, CloseHow::Abort));
    }

    fn look<T>(&self, look: impl FnOnce(&Stream) -> T) -> Option<T> {
        self.with(|kernel| kernel.stream(self.stream).map(look))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kernel) -> T) -> T {
        self.world.with(|kernel| {
            kernel.run_due();
            act(kernel)
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.with(|kernel| kernel.close(self.stream, CloseHow::Graceful));
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Peer").field(&self.stream).finish()
    }
}

/// The scripted end that listens. Dropping it closes it: who waits is reset.
pub struct PeerListener {
    world: World,
    listener: Key,
    addr: Addr,
}

impl PeerListener {
    pub(super) fn new(world: World, listener: Key, addr: Addr) -> Self {
        PeerListener { world, listener, addr }
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> &Addr {
        &self.addr
    }

    /// Takes the next connection, if somebody waits.
    #[must_use]
    pub fn accept(&self) -> Option<Peer> {
        let accepted = self.world.with(|kernel| {
            kernel.run_due();
            kernel.accept(self.listener)
        });
        accepted.ok().map(|(stream, _)| Peer::new(self.world.clone(), stream))
    }

    /// Closes it.
    pub fn close(self) {}
}

impl Drop for PeerListener {
    fn drop(&mut self) {
        self.world.with(|kernel| kernel.close(self.listener, CloseHow::Graceful));
    }
}

impl fmt::Debug for PeerListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PeerListener").field(&self.addr).finish()
    }
}
