//! Both ends of a stream together: what one sends travels to the other, in order, with its end or its reset; knows no
//! descriptor.

use std::io;
use std::time::Duration;

use super::agenda::Happening;
use super::kernel::Kernel;
use super::stream::{Family, Segment, Stage, Stream, errno};
use crate::net;
use crate::slab::Key;

impl Kernel {
    /// Receives; the sender is told of the room.
    pub(super) fn receive(&mut self, socket: Key, into: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream_mut(socket).ok_or_else(|| errno(libc::ENOTCONN))?;
        let count = stream.receive(into)?;
        let frees = stream.frees(count);
        let sender = stream.other.filter(|_| stream.has_room());
        if let Some(sender) = sender {
            self.tell_room(sender, frees);
        }
        Ok(count)
    }

    /// TCP tells of room only who met a full queue; Unix-domain streams tell whenever memory comes back to them.
    pub(super) fn tell_room(&mut self, sender: Key, frees: bool) {
        let Some(stream) = self.stream_mut(sender) else { return };
        let is_owed = match stream.family {
            Family::Tcp => std::mem::take(&mut stream.starved),
            Family::Unix => frees,
        };
        if is_owed {
            self.edge(sender);
        }
    }

    /// Sends as much as there is room for.
    pub(super) fn send(&mut self, socket: Key, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream_mut(socket).ok_or_else(|| errno(libc::ENOTCONN))?;
        stream.refuse_send()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let Some(other) = stream.other else {
            // The other end is closed: it answers data with a reset.
            self.dispatch(socket, Segment::Reset);
            return Ok(bytes.len());
        };
        let free = self.stream(other).map_or(0, Stream::free);
        let taken = bytes.get(..free).unwrap_or(bytes);
        if taken.len() < bytes.len()
            && let Some(stream) = self.stream_mut(socket)
        {
            stream.starved = true;
        }
        if taken.is_empty() {
            return Err(errno(libc::EAGAIN));
        }
        self.dispatch(other, Segment::Bytes(taken.to_vec()));
        Ok(taken.len())
    }

    /// Ends this end's direction. However it goes, shutdown(2) wakes whoever polls the socket.
    pub(super) fn shutdown_write(&mut self, socket: Key) -> io::Result<()> {
        self.edge(socket);
        let stream = self.stream_mut(socket).ok_or_else(|| errno(libc::ENOTCONN))?;
        if stream.family == Family::Tcp && stream.stage != Stage::Open {
            return Err(errno(libc::ENOTCONN));
        }
        let was_shut = std::mem::replace(&mut stream.shut, true);
        match stream.other {
            Some(other) if !was_shut || stream.family == Family::Unix => self.dispatch(other, Segment::Fin),
            Some(_) => {}
            None => stream.end_if_both_shut(),
        }
        Ok(())
    }

    /// Sends a segment on its way to `to`. What is not late arrives at once.
    pub(super) fn dispatch(&mut self, to: Key, segment: Segment) {
        let is_unix = self.stream(to).is_some_and(|stream| stream.family == Family::Unix);
        let delay = if is_unix { Duration::ZERO } else { self.latency() };
        let now = self.agenda.now();
        let Some(stream) = self.stream_mut(to) else { return };
        let last = stream.wire.back().map_or(now, |(at, _)| *at);
        let at = now.saturating_add(delay).max(last);
        if at <= now && stream.wire.is_empty() {
            return self.arrive(to, segment);
        }
        stream.wire.push_back((at, segment));
        self.agenda.plan(at, Happening::Arrival(to.to_bits()));
    }

    pub(super) fn arrive(&mut self, to: Key, segment: Segment) {
        let is_fin = segment == Segment::Fin;
        let Some(stream) = self.stream_mut(to).filter(|stream| stream.stage != Stage::Over) else { return };
        stream.arrive(segment);
        let other = stream.other;
        self.edge(to);
        if let Some(other) = other.filter(|_| is_fin) {
            self.acknowledge_fin(other);
        }
    }

    /// The other end has this end's FIN; where this end has the other's too, that was the last acknowledgement.
    fn acknowledge_fin(&mut self, sender: Key) {
        let Some(stream) = self.stream_mut(sender) else { return };
        let before = stream.stage;
        stream.end_if_both_shut();
        if stream.stage != before {
            self.edge(sender);
        }
    }

    /// Takes the error a socket holds.
    pub(super) fn take_error(&mut self, socket: Key) -> Option<i32> {
        self.stream_mut(socket)?.error.take()
    }

    /// Who is on the other side.
    pub(super) fn peer(&self, socket: Key) -> io::Result<net::Peer> {
        let stream = self.stream(socket).ok_or_else(|| errno(libc::ENOTCONN))?;
        match stream.stage {
            Stage::Open => Ok(stream.remote.clone()),
            Stage::Connecting | Stage::Over => Err(errno(libc::ENOTCONN)),
        }
    }

    /// The connection fails at one end.
    pub(super) fn fail(&mut self, socket: Key, code: i32) {
        if let Some(stream) = self.stream_mut(socket) {
            stream.fail(code);
            self.edge(socket);
        }
    }

    /// The connection fails at one end with `code`, and the other end is reset. One that is over stays as it is.
    pub(super) fn sever(&mut self, socket: Key, code: i32) {
        if self.stream(socket).is_none_or(|stream| stream.stage == Stage::Over) {
            return;
        }
        self.fail(socket, code);
        if let Some(other) = self.part(socket) {
            self.dispatch(other, Segment::Reset);
        }
    }

    /// Parts the two ends of a connection; gives the other one.
    pub(super) fn part(&mut self, socket: Key) -> Option<Key> {
        let other = self.stream_mut(socket)?.other.take()?;
        self.stream_mut(other)?.other = None;
        Some(other)
    }
}
