//! Waiting in a simulated system: what is ready, and how far the clock jumps when nothing is; knows no call but poll.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faults::Outcome;
use super::kernel::Kernel;
use super::stream::errno;
use super::table::Table;
use crate::net::{Event, Readiness};
use crate::slab::Key;
use crate::time::Time;

impl Kernel {
    /// One wait of one system: see [`World`](super::World) for when it ends.
    pub(super) fn poll_as(
        &mut self,
        outcome: Outcome,
        system: usize,
        events: &mut Vec<Event>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match outcome {
            Outcome::Interrupted => return Ok(()),
            Outcome::Broken => return Err(errno(libc::EIO)),
            Outcome::Spurious | Outcome::Stale => events.extend(self.odd_event(outcome, system)),
            _ => {}
        }
        let timeout = if events.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.poll(outcome, system, events, timeout)
    }

    fn poll(
        &mut self,
        outcome: Outcome,
        system: usize,
        events: &mut Vec<Event>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.run_due();
        let until = timeout.map(|timeout| self.now().saturating_add(timeout));
        let Some(table) = self.tables.get_mut(system) else { return Ok(()) };
        table.was_yielded_to = false;
        table.due = until;
        let is_woken = table.woken.swap(false, Ordering::AcqRel) || !table.resolved.is_empty();
        self.gather(outcome, system, events);
        if events.is_empty() && !is_woken && timeout != Some(Duration::ZERO) {
            self.pass_time(system, until)?;
            if outcome == Outcome::Late {
                let late = self.now().saturating_add(self.oversleep());
                self.agenda.advance_to(late);
                self.run_due();
            }
            self.gather(outcome, system, events);
        }
        Ok(())
    }

    /// Moves what is ready into `events`; a split poll leaves some for the next one.
    fn gather(&mut self, outcome: Outcome, system: usize, events: &mut Vec<Event>) {
        let Some(table) = self.tables.get_mut(system) else { return };
        let listed = std::mem::take(&mut table.ready);
        let ready = listed.into_iter().filter_map(|socket| Some((socket, self.unlist(socket)?)));
        let ready: Vec<(Key, Event)> = ready.collect();
        if outcome == Outcome::Split {
            self.split(ready, events);
        } else {
            events.extend(ready.into_iter().map(|(_, event)| event));
        }
        if let Some(table) = self.tables.get_mut(system) {
            table.has_more = !table.ready.is_empty();
        }
    }

    /// Tells some of what is ready, in the tape's order.
    fn split(&mut self, mut ready: Vec<(Key, Event)>, events: &mut Vec<Event>) {
        let count = ready.len().min(self.tape.choose(ready.len()).saturating_add(1));
        for _ in 0..count {
            let (socket, event) = ready.remove(self.tape.choose(ready.len()));
            events.push(self.part_bits(socket, event));
        }
        for (socket, _) in ready {
            self.edge(socket);
        }
    }

    /// Tells that a socket is readable now, and the rest with the next poll.
    fn part_bits(&mut self, socket: Key, event: Event) -> Event {
        let readiness = event.readiness.without(Readiness::WRITABLE);
        if readiness == event.readiness || readiness.is_empty() || event.readiness.contains(Readiness::HANGUP)
        {
            return event;
        }
        self.edge(socket);
        Event { readiness, ..event }
    }

    /// Jumps to the next thing that happens, unless that is now.
    fn pass_time(&mut self, system: usize, until: Option<Time>) -> io::Result<()> {
        if self.yields_to_another(system) || !self.wakeups.is_empty() {
            return Ok(());
        }
        let others = self.others(system).filter(|other| !other.was_yielded_to).filter_map(|other| other.due);
        let Some(at) = others.chain(until).chain(self.agenda.next()).min() else {
            self.record.deadlock();
            return Err(io::Error::new(io::ErrorKind::Deadlock, NEVER_ENDS));
        };
        self.agenda.advance_to(at);
        self.run_due();
        Ok(())
    }

    fn others(&self, system: usize) -> impl Iterator<Item = &Table> {
        let tables = self.tables.iter().enumerate().filter(move |(index, _)| *index != system);
        tables.map(|(_, table)| table).filter(|table| !table.is_gone)
    }

    /// Whether another system has something to do now. Each is waited for once: one that is never polled again must not
    /// stop the clock.
    fn yields_to_another(&mut self, system: usize) -> bool {
        let now = self.now();
        let tables = self.tables.iter_mut().enumerate().filter(|(index, _)| *index != system);
        let due = tables.map(|(_, table)| table).find(|table| !table.was_yielded_to && table.is_due(now));
        due.map(|table| table.was_yielded_to = true).is_some()
    }
}

impl Table {
    fn is_due(&self, now: Time) -> bool {
        let has_work =
            !self.ready.is_empty() || !self.resolved.is_empty() || self.woken.load(Ordering::Acquire);
        !self.is_gone && (has_work || self.due.is_some_and(|due| due <= now))
    }
}

/// What a poll for ever answers where nothing is planned.
const NEVER_ENDS: &str = "nothing is ready and nothing will happen in this world: the wait would never end";
