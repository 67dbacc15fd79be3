//! One end of a stream as the kernel sees it: its queue, its end and its error, TCP and Unix; knows no descriptor and
//! no clock.

use std::collections::VecDeque;
use std::io;

use crate::net::{self, Readiness};
use crate::slab::Key;
use crate::time::Time;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) family: Family,
    pub(super) stage: Stage,
    /// The other end, until one of the two is closed.
    pub(super) other: Option<Key>,
    /// Bytes that can be received.
    pub(super) inbox: VecDeque<u8>,
    /// Unix: how many bytes of each send are unread. The sender is told of room when one has been read whole.
    unread: VecDeque<usize>,
    /// What is on its way to here, in order.
    pub(super) wire: VecDeque<(Time, Segment)>,
    /// How many bytes may be unread or on their way to here.
    pub(super) capacity: usize,
    /// The other end will send no more: its FIN is here.
    pub(super) ended: bool,
    /// This end will send no more.
    pub(super) shut: bool,
    /// The error the kernel holds for this end (`SO_ERROR`).
    pub(super) error: Option<i32>,
    /// This end met a full queue and is owed an edge when there is room.
    pub(super) starved: bool,
    pub(super) remote: net::Peer,
}

/// What differs between the kinds of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Tcp,
    Unix,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// On its way (`SYN_SENT`).
    Connecting,
    /// Established, also where one or both ends have shut down.
    Open,
    /// Reset, failed, or both FINs are exchanged (`CLOSE`).
    Over,
}

/// What travels from one end to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Fin,
    Reset,
}

impl Stream {
    pub(super) fn new(family: Family, stage: Stage, capacity: usize, remote: net::Peer) -> Self {
        Stream {
            family,
            stage,
            other: None,
            inbox: VecDeque::new(),
            unread: VecDeque::new(),
            wire: VecDeque::new(),
            capacity,
            ended: false,
            shut: false,
            error: None,
            starved: false,
            remote,
        }
    }

    /// How many bytes fit on the way to here.
    pub(super) fn free(&self) -> usize {
        self.capacity.saturating_sub(self.held())
    }

    /// How many bytes are unread here or on their way.
    pub(super) fn held(&self) -> usize {
        let travelling = self.wire.iter().map(|(_, segment)| segment.len());
        self.inbox.len().saturating_add(travelling.sum())
    }

    /// Whether the sender at the other end is told that it may send. Linux does so for TCP when a third is free, and for
    /// a Unix-domain stream when three quarters are.
    pub(super) fn has_room(&self) -> bool {
        let held = self.held();
        held < self.capacity
            && match self.family {
                Family::Tcp => held.saturating_mul(3) <= self.capacity.saturating_mul(2),
                Family::Unix => held.saturating_mul(4) <= self.capacity,
            }
    }

    /// The readiness of this end, given whether there is room at the other: tcp(7) and unix(7) as poll(2) sees them.
    pub(super) fn readiness(&self, room: bool) -> Readiness {
        if self.stage == Stage::Connecting {
            return Readiness::NONE;
        }
        let is_over = self.stage == Stage::Over;
        let bits = [
            (!self.inbox.is_empty() || self.ended || is_over, Readiness::READABLE),
            (self.can_tell_writable(room), Readiness::WRITABLE),
            (self.ended || is_over, Readiness::READ_CLOSED),
            (is_over || self.error.is_some() || (self.ended && self.shut), Readiness::HANGUP),
        ];
        let set = bits.into_iter().filter(|(on, _)| *on).fold(Readiness::NONE, |set, (_, bit)| set | bit);
        set.with_consequences()
    }

    /// TCP calls an end writable that has shut down: a send tells it at once.
    fn can_tell_writable(&self, room: bool) -> bool {
        room || (self.family == Family::Tcp && (self.shut || self.stage == Stage::Over))
    }

    /// Receives what is there.
    pub(super) fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inbox.len().min(into.len());
        if count == 0 {
            return self.end();
        }
        for (place, byte) in into.iter_mut().zip(self.inbox.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    /// What a receive says where there are no bytes.
    fn end(&mut self) -> io::Result<usize> {
        if self.ended && self.family == Family::Tcp {
            return Ok(0);
        }
        match self.error.take() {
            Some(code) => Err(errno(code)),
            None if self.ended || self.stage == Stage::Over => Ok(0),
            None => Err(errno(libc::EAGAIN)),
        }
    }

    /// Counts bytes as read; whether that gave back the memory of a send, of which Unix-domain streams tell.
    pub(super) fn frees(&mut self, mut count: usize) -> bool {
        let before = self.unread.len();
        while let Some(first) = self.unread.front_mut().filter(|_| count > 0) {
            let part = count.min(*first);
            *first = first.saturating_sub(part);
            count = count.saturating_sub(part);
            if *first == 0 {
                self.unread.pop_front();
            }
        }
        self.unread.len() < before
    }

    /// Why nothing can be sent, if nothing can.
    pub(super) fn refuse_send(&mut self) -> io::Result<()> {
        if self.stage == Stage::Connecting {
            return Err(errno(libc::EAGAIN));
        }
        if self.family == Family::Tcp
            && let Some(code) = self.error.take()
        {
            return Err(errno(code));
        }
        if self.shut || self.stage == Stage::Over { Err(errno(libc::EPIPE)) } else { Ok(()) }
    }

    /// Takes in a segment that has arrived; none arrives where the stream is over.
    pub(super) fn arrive(&mut self, segment: Segment) {
        match segment {
            Segment::Bytes(bytes) => {
                self.unread.push_back(bytes.len());
                self.inbox.extend(bytes);
            }
            Segment::Fin => {
                self.ended = true;
                self.end_if_both_shut();
            }
            Segment::Reset => self.fail(if self.ended { libc::EPIPE } else { libc::ECONNRESET }),
        }
    }

    /// The connection is over, and the next call is told why.
    pub(super) fn fail(&mut self, code: i32) {
        self.error = Some(code);
        self.stage = Stage::Over;
        self.wire.clear();
    }

    /// Where both FINs are exchanged, a TCP connection is over.
    pub(super) fn end_if_both_shut(&mut self) {
        if self.family == Family::Tcp && self.ended && self.shut {
            self.stage = Stage::Over;
        }
    }
}

impl Segment {
    fn len(&self) -> usize {
        match self {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::Fin | Segment::Reset => 0,
        }
    }
}

/// An error as the kernel gives it.
pub(super) fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
