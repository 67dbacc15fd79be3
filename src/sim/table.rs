//! The descriptors of one simulated system and its readiness queue: knows no socket's state.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::net::{self, Resolved, SocketId};
use crate::slab::Key;
use crate::time::Time;

/// One system's descriptors, and what became ready among them.
#[derive(Debug)]
pub(super) struct Table {
    /// What each number stands for.
    open: Vec<Option<Key>>,
    /// Numbers that were used and are free, the lowest first as in Unix; `None` where no number is given twice.
    free: Option<BinaryHeap<Reverse<u32>>>,
    /// How many may be open at once.
    limit: usize,
    count: usize,
    /// Registered sockets that an edge has been queued for, in the order of the edges.
    pub(super) ready: VecDeque<Key>,
    /// Whether the last poll told only some of it.
    pub(super) has_more: bool,
    /// Keys of sockets that were registered here and are closed, the latest last.
    pub(super) closed: VecDeque<net::Key>,
    pub(super) resolved: VecDeque<Resolved>,
    /// Whether its waker was used.
    pub(super) woken: Arc<AtomicBool>,
    /// Until when the last wait was to last; `None` without end.
    pub(super) due: Option<Time>,
    /// Whether another system's wait has ended for the sake of this one since this one polled.
    pub(super) was_yielded_to: bool,
    /// Whether the system is dropped.
    pub(super) is_gone: bool,
}

impl Table {
    pub(super) fn new(limit: usize, reuse: bool) -> Self {
        Table {
            open: Vec::new(),
            free: reuse.then(BinaryHeap::new),
            limit,
            count: 0,
            ready: VecDeque::new(),
            has_more: false,
            closed: VecDeque::new(),
            resolved: VecDeque::new(),
            woken: Arc::default(),
            due: Some(Time::ZERO),
            was_yielded_to: false,
            is_gone: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= self.limit
    }

    /// How many descriptors are open.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What a number stands for.
    pub(super) fn get(&self, socket: SocketId) -> Option<Key> {
        self.open.get(socket.index()).copied().flatten()
    }

    /// Gives a number to a socket.
    pub(super) fn open(&mut self, key: Key) -> SocketId {
        let free = self.free.as_mut().and_then(BinaryHeap::pop);
        let number = free.map_or_else(|| self.next_number(), |Reverse(number)| number);
        if let Some(place) = self.open.get_mut(number as usize) {
            *place = Some(key);
        }
        self.count = self.count.saturating_add(1);
        SocketId(number)
    }

    fn next_number(&mut self) -> u32 {
        self.open.push(None);
        u32::try_from(self.open.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Takes a number back; it may be given again at once.
    pub(super) fn close(&mut self, socket: SocketId) -> Option<Key> {
        let key = self.open.get_mut(socket.index()).and_then(Option::take)?;
        self.count = self.count.saturating_sub(1);
        if let Some(free) = &mut self.free {
            free.push(Reverse(socket.0));
        }
        Some(key)
    }

    /// All that is open.
    pub(super) fn numbers(&self) -> Vec<SocketId> {
        let numbers = (0..).map(SocketId);
        numbers.zip(&self.open).filter(|(_, key)| key.is_some()).map(|(number, _)| number).collect()
    }

    /// Remembers the key of a closed socket, for events that come too late.
    pub(super) fn remember(&mut self, key: net::Key) {
        if self.closed.len() >= CLOSED_AT_MOST {
            self.closed.pop_front();
        }
        self.closed.push_back(key);
    }
}

/// How many closed sockets are remembered.
const CLOSED_AT_MOST: usize = 64;
