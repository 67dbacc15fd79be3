//! Edge-triggered readiness as epoll(7) has it: an edge puts a socket on its system's list, and a poll tells what the
//! socket is ready for by then; knows no call but the registration.

use std::io;

use super::kernel::{Kernel, Registration};
use super::stream::{Stream, errno};
use crate::net::{self, Readiness};
use crate::slab::Key;

impl Kernel {
    /// Asks for edges of a socket; one is queued at once if it is ready.
    pub(super) fn register(&mut self, socket: Key, system: usize, key: net::Key) -> io::Result<()> {
        let place = self.sockets.get_mut(socket).ok_or_else(|| errno(libc::EBADF))?;
        if place.registration.is_some() {
            return Err(errno(libc::EEXIST));
        }
        place.registration = Some(Registration { system, key, is_listed: false });
        if self.readiness(socket) != Readiness::NONE {
            self.edge(socket);
        }
        Ok(())
    }

    /// Something happened to a socket: whoever registered it is told by the next poll. Several edges before that are one.
    pub(super) fn edge(&mut self, socket: Key) {
        let registration = self.sockets.get_mut(socket).and_then(|socket| socket.registration.as_mut());
        let Some(registration) = registration.filter(|registration| !registration.is_listed) else { return };
        registration.is_listed = true;
        if let Some(table) = self.tables.get_mut(registration.system) {
            table.ready.push_back(socket);
        }
    }

    /// What a socket is ready for now. As in Linux, asking makes the kernel remember that room is wanted.
    pub(super) fn readiness(&mut self, socket: Key) -> Readiness {
        if let Some(listener) = self.listener_mut(socket) {
            return if listener.queue.is_empty() { Readiness::NONE } else { Readiness::READABLE };
        }
        let has_room = self.has_room(socket);
        let Some(stream) = self.stream_mut(socket) else { return Readiness::NONE };
        stream.starved |= !has_room;
        stream.readiness(has_room)
    }

    /// Whether there is room at the other end of a stream; always where nobody is there.
    fn has_room(&self, socket: Key) -> bool {
        let other = self.stream(socket).and_then(|stream| stream.other);
        other.and_then(|other| self.stream(other)).is_none_or(Stream::has_room)
    }

    /// Takes a socket off the readiness queue for good; its key and what it is ready for, if it still is.
    pub(super) fn unlist(&mut self, socket: Key) -> Option<net::Event> {
        let registration = self.sockets.get_mut(socket)?.registration.as_mut()?;
        registration.is_listed = false;
        let key = registration.key;
        let readiness = self.readiness(socket);
        (readiness != Readiness::NONE).then_some(net::Event { key, readiness })
    }

    /// Under which key a socket is registered.
    pub(super) fn registered(&self, socket: Key) -> Option<net::Key> {
        Some(self.sockets.get(socket)?.registration.as_ref()?.key)
    }
}
