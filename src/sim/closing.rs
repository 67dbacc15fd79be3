//! Closing a socket, and what the other side hears of it; knows no call but this one.

use super::kernel::{Kernel, Listener, Registration, Socket, What};
use super::stream::{Family, Segment, Stream};
use crate::net::CloseHow;
use crate::slab::Key;

impl Kernel {
    /// Closes a socket.
    pub(super) fn close(&mut self, socket: Key, how: CloseHow) {
        let other = self.part(socket);
        let Some(Socket { what, registration }) = self.sockets.remove(socket) else { return };
        if let Some(registration) = registration {
            self.forget(registration);
        }
        match what {
            What::Listener(listener) => self.close_listener(listener),
            What::Stream(stream) => self.close_stream(&stream, other, how),
        }
    }

    /// Closing ends the registration. Edges that were not told yet are never told: their socket is not there any more.
    fn forget(&mut self, registration: Registration) {
        let Some(table) = self.tables.get_mut(registration.system) else { return };
        table.remember(registration.key);
    }

    /// Who still waits in the backlog is reset.
    fn close_listener(&mut self, listener: Listener) {
        self.bound.remove(&listener.addr);
        for waiting in listener.queue {
            if listener.addr.is_unix() {
                self.tell_unix_closed(waiting);
            }
            self.close(waiting, CloseHow::Abort);
        }
    }

    /// A client that was never accepted is told so even where it has sent nothing.
    fn tell_unix_closed(&mut self, waiting: Key) {
        let client = self.stream(waiting).and_then(|stream| stream.other);
        if let Some(client) = client.and_then(|client| self.stream_mut(client)) {
            client.error = Some(libc::ECONNRESET);
        }
    }

    fn close_stream(&mut self, stream: &Stream, other: Option<Key>, how: CloseHow) {
        let Some(other) = other else { return };
        match stream.family {
            Family::Unix => self.close_unix(stream, other),
            Family::Tcp if how == CloseHow::Abort || !stream.inbox.is_empty() => {
                self.lose_late_bytes(other);
                self.dispatch(other, Segment::Reset);
            }
            Family::Tcp => {
                if !stream.shut {
                    self.dispatch(other, Segment::Fin);
                }
                if stream.held() > 0 {
                    self.dispatch(other, Segment::Reset);
                }
            }
        }
    }

    /// A reset throws away what was not sent yet: what is late may have been, or not.
    fn lose_late_bytes(&mut self, to: Key) {
        let is_late = self.stream(to).is_some_and(|stream| !stream.wire.is_empty());
        if is_late
            && self.tape.chance(2)
            && let Some(stream) = self.stream_mut(to)
        {
            // What was lost is never followed by its end.
            stream.wire.retain(|(_, segment)| *segment == Segment::Reset);
        }
    }

    /// What was sent can still be read, then comes the end; after unread input it is a reset.
    fn close_unix(&mut self, stream: &Stream, other: Key) {
        let Some(end) = self.stream_mut(other) else { return };
        (end.ended, end.shut) = (true, true);
        if !stream.inbox.is_empty() {
            end.error = Some(libc::ECONNRESET);
        }
        self.edge(other);
    }
}
