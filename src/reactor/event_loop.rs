//! L3, the loop: one turn after another over a [`System`] and a [`Driver`]; knows no protocol.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::buf::Intake;
use crate::journal::Kind;
use crate::net::{Addr, CloseHow, Event, ListenOptions, NetError, System, Waker};
use crate::reactor::awake::Awake;
use crate::reactor::connection::{Flags, Phase};
use crate::reactor::core::{Alarm, Core, Course, Cut, tick_of};
use crate::reactor::dial;
use crate::reactor::driver::Cause;
use crate::reactor::event::{flags_of, listener_of};
use crate::reactor::secure::Opening;
use crate::reactor::slow::Turn;
use crate::reactor::{ConnId, Driver, Io, ListenerId, LoopStats, Settings, accept, io as face, write};
use crate::slab::Key;
use crate::stats::add_one;
use crate::sync::AtomicBool;
use crate::time::Time;

/// One thread, one readiness loop, every socket.
///
/// A turn is, in this order: poll; read the clock; mark what became ready; accept, up to a budget; visit ready
/// connections, each for one receive and, where that was the beginning of something large, one more for its rest; run
/// timers that were due when the poll began; flush, one send per connection that was written to; tell the driver of the
/// connections that ended, and free them.
#[derive(Debug)]
pub struct EventLoop<D: Driver, S: System> {
    pub(super) driver: D,
    pub(super) system: S,
    pub(super) core: Core<D::Session>,
    /// What is received lands here, unless the driver has a better place for it.
    pub(super) buffer: Intake,
    /// What came encrypted, and what was inside.
    pub(super) opening: Opening,
    pub(super) events: Vec<Event>,
    /// Polls in a row that did not answer with all that was ready.
    unseen: Option<Unseen>,
    awake: Awake,
    pub(super) turn: Turn,
    /// A turn of more nanoseconds is slow.
    pub(super) slow: u64,
    alert: Alert,
}

/// Polls in a row that answered with a part.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    /// When the first of them began.
    since: Time,
    /// How much they answered with.
    events: usize,
}

/// Wakes a loop from another thread.
#[derive(Clone, Debug)]
pub struct Alert {
    woken: Arc<AtomicBool>,
    waker: Waker,
}

impl Alert {
    /// A handle that wakes whoever waits for `waker`, for [`EventLoop::with_alert`].
    pub fn new(waker: Waker) -> Self {
        Self { woken: Arc::default(), waker }
    }

    /// Makes the loop call [`Driver::woken`] in this turn or the next; several before that are one.
    ///
    /// # Errors
    ///
    /// If the system refuses to wake the loop.
    pub fn wake(&self) -> io::Result<()> {
        if self.woken.swap(true, Ordering::AcqRel) { Ok(()) } else { self.waker.wake() }
    }
}

impl<D: Driver, S: System> EventLoop<D, S> {
    /// A loop over `system`, driven by `driver`. The settings are those that [`Settings::check`] accepted.
    pub fn new(driver: D, system: S, settings: Settings) -> Self {
        let alert = Alert::new(system.waker());
        Self::with_alert(driver, system, settings, alert)
    }

    /// The same, where other threads had to know before how to wake it: `alert` was made of the waker of `system`.
    pub fn with_alert(driver: D, system: S, settings: Settings, alert: Alert) -> Self {
        let buffer = Intake::new(settings.receive_budget);
        let awake = Awake::new(settings.busy_poll, system.now());
        let slow = settings.slow_turn.map_or(Time::MAX, |span| Time::ZERO.saturating_add(span)).as_nanos();
        let core = Core::new(settings, system.now());
        let (opening, events, turn) = (Opening::default(), Vec::new(), Turn::default());
        Self { driver, system, core, buffer, opening, events, unseen: None, awake, turn, slow, alert }
    }

    /// Opens a listener; answers its id and the address it really has.
    ///
    /// # Errors
    ///
    /// A [`NetError`] that names the address and the cure.
    pub fn listen(&mut self, addr: &Addr, options: &ListenOptions) -> Result<(ListenerId, Addr), NetError> {
        face::listen(&mut self.core, &mut self.system, addr, options)
    }

    /// A handle that wakes the loop from any thread.
    pub fn alert(&self) -> Alert {
        self.alert.clone()
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// The driver, and the loop as it sees it: for what is asked from outside of a turn. Reads the clock, unless the loop
    /// has stopped.
    pub fn parts(&mut self) -> (&mut D, Io<'_, D::Session>) {
        if !self.is_stopped() {
            self.core.now = self.system.now();
        }
        (&mut self.driver, Io { core: &mut self.core, system: &mut self.system })
    }

    /// The sessions of all connections that there are.
    pub fn sessions(&self) -> impl Iterator<Item = &D::Session> {
        let connections = &self.core.connections;
        let keys = (0..connections.end()).filter_map(|index| connections.key_at(index));
        keys.filter_map(|key| Some(&connections.get(key)?.session))
    }

    /// The time of the last turn, or of the last [`EventLoop::parts`].
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// What was counted so far, and what is there now.
    pub fn stats(&self) -> LoopStats {
        self.core.stats()
    }

    /// The system.
    pub fn system(&self) -> &S {
        &self.system
    }

    /// Whether [`Io::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.core.course == Course::Stopped
    }

    /// When a turn is due without any event; [`Time::ZERO`] where it is due now, `None` where never.
    pub fn next_deadline(&self) -> Option<Time> {
        let is_due = self.core.has_work() || self.system.has_more();
        if is_due { Some(Time::ZERO) } else { self.core.next_deadline() }
    }

    /// Runs turns until [`Io::stop`].
    ///
    /// # Errors
    ///
    /// If the system can no longer be polled.
    pub fn run(&mut self) -> io::Result<()> {
        // One turn ends when the next one begins, so that the clock is read for both at once.
        let mut now = self.system.now();
        while !self.is_stopped() {
            self.turn_from(now, self.core.has_work(), None)?;
            now = self.system.now();
            if self.turn.is_busy {
                self.judge(now);
            }
        }
        Ok(())
    }

    /// Runs one turn; waits for an event or a deadline, but no longer than `max_wait`, and not at all while
    /// [`Settings::busy_poll`] has it stay awake.
    ///
    /// # Errors
    ///
    /// If the system can no longer be polled.
    pub fn turn(&mut self, max_wait: Option<Duration>) -> io::Result<()> {
        let has_work = self.core.has_work();
        let now = if has_work { self.core.now } else { self.system.now() };
        self.turn_from(now, has_work, max_wait)?;
        if self.turn.is_busy {
            let end = self.system.now();
            self.judge(end);
        }
        Ok(())
    }

    /// One turn, whose poll begins at `now`, and does not wait where there `is_due` something anyway.
    fn turn_from(&mut self, now: Time, is_due: bool, max_wait: Option<Duration>) -> io::Result<()> {
        let wait = if is_due { Some(Duration::ZERO) } else { self.wait(now, max_wait) };
        self.gather(now, wait)?;
        (self.turn.began, self.turn.before) = (self.core.now, self.core.flow);
        add_one(&mut self.core.stats.turns.all);
        if self.core.course == Course::Again {
            self.core.course = Course::On;
        }
        self.mark();
        while let Some(answer) = self.system.resolved() {
            dial::resolved(&mut self.core, &mut self.system, answer);
        }
        self.accept();
        // What was put off between two turns, or by an accept, comes before what it is about is visited.
        self.driver.deferred(&mut Io { core: &mut self.core, system: &mut self.system });
        self.tell_left();
        self.visit_ready();
        self.go_on_with_handshakes();
        self.run_timers();
        let woken_again = std::mem::take(&mut self.core.woken);
        let is_woken = self.alert.woken.swap(false, Ordering::AcqRel) || woken_again;
        if is_woken {
            self.awake.stir(self.core.now);
            self.driver.woken(&mut Io { core: &mut self.core, system: &mut self.system });
        }
        self.finish_turn();
        if !self.core.ended.is_empty() {
            self.tell_ends();
            self.finish_turn();
        }
        self.bury();
        let has_moved = || self.core.flow != self.turn.before;
        self.turn.is_busy = is_due || is_woken || !self.events.is_empty() || has_moved();
        Ok(())
    }

    /// What the driver put off, then one send per connection that was written to.
    fn finish_turn(&mut self) {
        self.driver.deferred(&mut Io { core: &mut self.core, system: &mut self.system });
        self.flush();
    }

    /// Polls, from `began` on, and reads the clock.
    ///
    /// A deadline is met by a silence that was looked at (R31): what a peer sent before it, while this process was
    /// stopped or busy, is to be read first. So a deadline that passed during a poll is judged after another one.
    fn gather(&mut self, mut began: Time, wait: Option<Duration>) -> io::Result<()> {
        self.events.clear();
        self.system.poll(&mut self.events, wait)?;
        self.core.now = self.system.now();
        if self.events.is_empty() && self.core.is_due() {
            began = self.core.now;
            self.system.poll(&mut self.events, Some(Duration::ZERO))?;
        }
        if !self.events.is_empty() {
            self.awake.stir(self.core.now);
        }
        self.note_seen(began);
        Ok(())
    }

    /// Notes up to when everything was seen, now that a poll is over which began then.
    fn note_seen(&mut self, began: Time) {
        let unseen = self.unseen.get_or_insert(Unseen { since: began, events: 0 });
        unseen.events = unseen.events.saturating_add(self.events.len());
        // What was ready first is answered first, so a storm cannot hide anything for longer than this.
        let all = self.core.connections.len().saturating_add(self.core.listeners.len());
        if !self.system.has_more() || unseen.events > all {
            self.core.seen = unseen.since;
            self.unseen = None;
        }
    }

    fn wait(&mut self, now: Time, max_wait: Option<Duration>) -> Option<Duration> {
        if self.awake.stays(now) {
            return Some(Duration::ZERO);
        }
        let deadline = self.core.next_deadline().map(|at| at.since(now));
        deadline.into_iter().chain(max_wait).min()
    }

    /// Remembers what became ready. An event for what is no longer there changes nothing (R23).
    fn mark(&mut self) {
        for event in &self.events {
            if let Some(listener) = listener_of(event.key) {
                self.core.list_listener(listener);
                continue;
            }
            let Some(key) = Key::from_bits(event.key.0) else { continue };
            let Some(connection) = self.core.connections.get_mut(key) else { continue };
            let flags = flags_of(event.readiness);
            connection.flags.set(flags);
            if flags.has(Flags::HALF_CLOSED) && connection.is_paused() {
                self.core.left.push(key);
            }
            self.core.list(key);
        }
    }

    /// Who does not read would not hear that the peer has left.
    fn tell_left(&mut self) {
        for key in std::mem::take(&mut self.core.left) {
            self.driver.left(&mut Io { core: &mut self.core, system: &mut self.system }, ConnId(key));
        }
    }

    fn accept(&mut self) {
        let mut budget = self.core.settings.accept_budget;
        for _ in 0..self.core.accepting.len() {
            // Those that the budget does not reach are the first of the next turn.
            if budget == 0 {
                return;
            }
            let Some(id) = self.core.accepting.pop_front() else { return };
            accept::accept(&mut self.driver, &mut self.core, &mut self.system, id, &mut budget);
        }
    }

    /// Visits every connection that was ready when the turn began; what gets ready meanwhile is for the next one.
    fn visit_ready(&mut self) {
        for _ in 0..self.core.ready.len() {
            let Some(key) = self.core.ready.pop_front() else { return };
            self.visit(key);
        }
    }

    fn run_timers(&mut self) {
        let now = tick_of(self.core.seen);
        for _ in 0..self.core.settings.timer_budget {
            let Some((timer, alarm)) = self.core.wheel.pop(now) else { return };
            add_one(&mut self.core.flow.timers);
            match alarm {
                Alarm::Connection(key) => self.connection_alarm(key),
                Alarm::Stall(key) => self.core.stall_alarm(key),
                Alarm::Dial(key) => dial::alarm(&mut self.core, &mut self.system, key),
                Alarm::Accept(id) => accept::retry(&mut self.core, id),
                Alarm::Timer(token) => {
                    let io = &mut Io { core: &mut self.core, system: &mut self.system };
                    self.driver.timer(io, timer, u64::from_ne_bytes(token));
                }
            }
        }
    }

    fn connection_alarm(&mut self, key: Key) {
        let Some(connection) = self.core.connections.get_mut(key) else { return };
        connection.deadline = None;
        match connection.phase {
            Phase::Open | Phase::Dialling | Phase::Announcing | Phase::Securing => {
                self.driver.deadline(&mut Io { core: &mut self.core, system: &mut self.system }, ConnId(key));
            }
            Phase::Lingering => self.core.kill(key, Cause::Finished, Cut::Clean),
            Phase::Finishing | Phase::Dead => {}
        }
    }

    /// One send per connection that was written to.
    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.core.dirty);
        for key in dirty.drain(..) {
            write::settle(&mut self.core, &mut self.system, key);
        }
        // Nothing was staged while flushing, so the emptied list can be used again.
        self.core.dirty = dirty;
        self.core.output.clear();
    }

    fn tell_ends(&mut self) {
        for _ in 0..self.core.ended.len() {
            let Some((key, end)) = self.core.ended.pop_front() else { return };
            let io = &mut Io { core: &mut self.core, system: &mut self.system };
            self.driver.closed(io, ConnId(key), end);
        }
    }

    /// Closes the descriptors of dead connections and frees their slots, once their driver knows.
    fn bury(&mut self) {
        if !self.core.ended.is_empty() {
            return;
        }
        let freed = !self.core.dead.is_empty();
        while let Some((key, cut)) = self.core.dead.pop() {
            let Some(mut connection) = self.core.connections.remove(key) else { continue };
            self.core.accounts.remove(&key);
            if !self.core.announced.is_empty() {
                self.core.announced.remove(&key);
            }
            if let Some(dial) = connection.backlog.as_mut().and_then(|backlog| backlog.dial.as_mut()) {
                dial.close(&mut self.system);
                continue;
            }
            let how = match cut {
                Cut::Clean => CloseHow::Graceful,
                Cut::Reset => CloseHow::Abort,
            };
            self.system.close(connection.socket, how);
        }
        if freed {
            accept::room(&mut self.core);
            self.driver.freed(self.core.connections.len());
        }
        if self.core.course == Course::UntilEmpty && self.core.connections.is_empty() {
            self.core.course = Course::Stopped;
            let now = self.core.now;
            self.core.journal.note(now, Kind::Shutdown, format_args!("shutdown: nobody is left"));
        }
    }
}
