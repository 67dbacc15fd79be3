//! Runs a plan in a simulated world, and judges it: the oracles are here. A violation is a panic that says what is wrong.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gnezdo::sim::{Calls, FaultPlan, Faults, PeerListener, SimSystem, Stats, Tape, World, WorldConfig};
use gnezdo::time::Time;
use gnezdo::{Overflow, Reactor, Remote};

use super::actor::{Actor, Fate, Part, Step, Until};
use super::book::{Entry, Extent, How, Stage, UNMET};
use super::plan::{Ending, Host, Plan, Visitor, part_of, say};
use super::player::{FIRST_CALL, PING, Player, Way};
use super::wire::Note;

/// What disturbs a world.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    None,
    /// What the tape says.
    Drawn(Faults),
    /// One call.
    One(FaultPlan),
}

/// What came of a world.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) trace: u64,
    pub(crate) stats: Stats,
    pub(crate) turns: u64,
    /// Connections that the handler met, and messages that came to it.
    pub(crate) connections: usize,
    pub(crate) messages: usize,
    /// How each connection ended, in the order in which they were met.
    pub(crate) ends: Vec<String>,
    /// When all was over.
    pub(crate) over: Time,
    /// Calls until the faults stopped.
    pub(crate) calls: Calls,
}

/// Runs `plan` to its end.
pub(crate) fn run(plan: &Plan, tape: Tape, disturbance: Disturbance) -> Report {
    let mut theatre = Theatre::new(plan, tape, disturbance);
    theatre.play();
    theatre.calm_down();
    theatre.check_nobody_waits();
    theatre.send_probes();
    if theatre.settle() {
        theatre.check_probes();
        theatre.check_deliveries();
    }
    theatre.end();
    theatre.check_ends();
    theatre.check_stats();
    theatre.check_nothing_is_left();
    theatre.report()
}

/// A world, our side in it, and the others.
struct Theatre {
    plan: Plan,
    world: World,
    reactor: Reactor<Player, SimSystem>,
    remote: Remote<u32>,
    actors: Vec<Cast>,
    hosts: Vec<(PeerListener, Host)>,
    /// Who is still to come, and when.
    visitors: Vec<(Time, Visitor)>,
    posts: Vec<Time>,
    posted: u64,
    next_tag: u32,
    /// Which listeners were opened, by place.
    opened: Vec<bool>,
    probes: Vec<(usize, u32)>,
    calm_since: Rc<Cell<Option<Time>>>,
    turns: u64,
    acts: u64,
    /// Turns in which nothing happened, one after another, and what was seen in the last of them.
    idle_turns: u32,
    /// Why turns ended before their time.
    wakes: Wakes,
    seen: Option<Progress>,
    /// The loop cannot be polled any more, which ends everything.
    broken: bool,
    /// Nothing can get lost.
    is_gentle: bool,
    /// Calls until the faults stopped.
    calls: Calls,
}

/// An actor, and the visitor it plays, who may come again.
struct Cast {
    actor: Actor,
    visitor: Option<Visitor>,
}

/// What changes where anything happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    acts: u64,
    edges: u64,
    happenings: u64,
    /// A tape may interrupt every wait for a while, which is no spin of the loop's; turns that are disturbed for ever
    /// end at [`MOST_TURNS`].
    faults: u64,
    held: usize,
    sockets: usize,
    calls: u64,
    timers: u64,
    connections: usize,
}

impl Theatre {
    fn new(plan: &Plan, tape: Tape, disturbance: Disturbance) -> Self {
        let (faults, fault) = match disturbance {
            Disturbance::None => (Faults::NONE, None),
            Disturbance::Drawn(faults) => (faults, None),
            Disturbance::One(fault) => (Faults::NONE, Some(fault)),
        };
        let config = WorldConfig {
            descriptors: plan.descriptors,
            capacity: plan.buffer,
            faults,
            plan: fault,
            ..WorldConfig::default()
        };
        let world = World::new(config, tape);
        let calm_since = Rc::new(Cell::new(None));
        let player = Player::new(plan.manner.clone(), plan.places.clone(), Rc::clone(&calm_since));
        let reactor = Reactor::with_system(player, plan.config.clone(), world.system());
        let reactor = reactor.expect("the configuration of a plan is good");
        for (name, addrs) in &plan.names {
            world.name(name, addrs);
        }
        let hosts = plan
            .hosts
            .iter()
            .map(|host| (world.listen(&host.addr).expect("a host's address is free"), host.clone()));
        let mut theatre = Self {
            hosts: hosts.collect(),
            visitors: plan
                .visitors
                .iter()
                .map(|visitor| (Time::ZERO.saturating_add(visitor.at), visitor.clone()))
                .collect(),
            posts: plan.posts.iter().map(|at| Time::ZERO.saturating_add(*at)).collect(),
            remote: reactor.remote(),
            plan: plan.clone(),
            world,
            reactor,
            actors: Vec::new(),
            posted: 0,
            next_tag: 1,
            opened: Vec::new(),
            probes: Vec::new(),
            calm_since,
            turns: 0,
            acts: 0,
            idle_turns: 0,
            wakes: Wakes { stays_awake: !plan.config.settings.busy_poll.is_zero(), ..Wakes::default() },
            seen: None,
            broken: false,
            is_gentle: fault.is_none() && faults.only_gentle,
            calls: Calls::default(),
        };
        theatre.open();
        theatre
    }

    /// Opens our listeners and makes our calls; what a fault prevents stays shut.
    fn open(&mut self) {
        for (addr, listen) in self.plan.places.listeners.clone() {
            let listening = self.reactor.listen_with(&addr, &listen);
            self.opened.push(listening.is_ok());
            if let Ok(listening) = listening {
                self.reactor.with(|player, _| player.listened(listening.id));
            }
        }
        for place in self.plan.calls.clone() {
            self.reactor.with(|player, cx| player.call(cx, place));
        }
    }

    fn now(&self) -> Time {
        self.world.now()
    }

    /// Lets the script run until everybody is done, or for long enough.
    fn play(&mut self) {
        let until = self.now().saturating_add(PLAY);
        while self.now() < until && !self.is_over() && !self.is_played() {
            self.step(until);
        }
    }

    fn is_over(&self) -> bool {
        self.broken || self.reactor.is_stopped()
    }

    fn is_played(&self) -> bool {
        self.visitors.is_empty()
            && self.posts.is_empty()
            && self.actors.iter().all(|cast| cast.actor.is_done())
    }

    /// One round: who is to come comes, everybody acts, and the loop turns once, for no longer than to the next of all this.
    fn step(&mut self, until: Time) {
        self.enter();
        let now = self.now();
        let mut acted = false;
        for cast in &mut self.actors {
            acted |= cast.actor.act(now);
        }
        self.acts += u64::from(acted);
        self.come_again();
        let wakes = self.actors.iter().filter_map(|cast| cast.actor.wakes_at()).filter(|at| *at > now);
        let comings = self.visitors.iter().map(|(at, _)| *at).chain(self.posts.iter().copied());
        let until = wakes.chain(comings).chain([until]).min().unwrap_or(until);
        self.turn(until.since(now));
    }

    fn turn(&mut self, wait: Duration) {
        if self.is_over() {
            return;
        }
        let before = self.now();
        let (seen, next) = (self.progress(), self.reactor.next_deadline());
        self.turns += 1;
        self.broken = self.reactor.turn(Some(wait)).is_err();
        if self.now() > before || wait.is_zero() {
            self.idle_turns = 0;
        } else {
            let progress = Some(self.progress());
            self.idle_turns = if self.seen == progress { self.idle_turns + 1 } else { 0 };
            self.seen = progress;
        }
        let in_vain = self.progress() == seen && self.now() < before.saturating_add(wait);
        self.wakes.count(next, before, self.now(), in_vain);
        assert!(self.idle_turns < MOST_IDLE_TURNS, "the loop spins");
        self.check_accounts();
        assert!(self.turns < MOST_TURNS, "the world does not come to rest");
    }

    /// What is counted over all connections is within its bounds, and nothing is counted of those that are gone.
    fn check_accounts(&mut self) {
        let (queued, held, count) = self.reactor.with(|_, cx| (cx.queued(), cx.partial(), cx.connections()));
        assert!(queued <= self.plan.config.settings.max_queued, "{queued} bytes wait in all");
        assert!(held <= self.plan.config.max_partial, "{held} bytes are not whole");
        assert!(count > 0 || (queued, held) == (0, 0), "{queued} bytes wait and {held} are held for nobody");
    }

    fn progress(&self) -> Progress {
        let stats = self.world.stats();
        let player = self.reactor.handler();
        Progress {
            acts: self.acts,
            edges: stats.edges,
            happenings: stats.happenings,
            faults: stats.injected,
            held: stats.held,
            sockets: stats.sockets,
            calls: player.book.calls,
            timers: player.timers_met,
            connections: player.book.entries.len(),
        }
    }

    /// Lets in whoever is due: visitors, posts, and those who called our hosts.
    fn enter(&mut self) {
        let now = self.now();
        for at in self.posts.extract_if(.., |at| *at <= now) {
            let _ = at;
            self.posted += u64::from(self.remote.try_post(0).is_ok());
        }
        let due: Vec<_> = self.visitors.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, visitor) in due {
            self.admit(visitor);
        }
        for (listener, host) in &self.hosts {
            while let Some(peer) = listener.accept() {
                let actor = Actor::new(host.part, &host.addr, None, peer, &host.script);
                self.actors.push(Cast { actor, visitor: None });
            }
        }
    }

    fn admit(&mut self, visitor: Visitor) -> u32 {
        let tag = self.next_tag;
        self.next_tag += 1;
        assert!(tag < FIRST_CALL, "there are more visitors than tags");
        let Some((addr, _)) = self.plan.places.listeners.get(visitor.place) else { return tag };
        if let Ok(peer) = self.world.connect(addr) {
            let actor = Actor::new(visitor.part, addr, Some(tag), peer, &visitor.script);
            self.actors.push(Cast { actor, visitor: Some(visitor) });
        }
        tag
    }

    fn come_again(&mut self) {
        let at = self.now().saturating_add(Duration::from_millis(20));
        for cast in &mut self.actors {
            let is_gone = cast.actor.fate.is_some();
            let Some(mut visitor) = cast.visitor.take_if(|visitor| is_gone && visitor.again > 0) else {
                continue;
            };
            visitor.again -= 1;
            self.visitors.push((at, visitor));
        }
    }

    /// No more faults; from now on every deadline is to be met.
    fn calm_down(&mut self) {
        self.calls = self.world.stats().calls;
        self.world.stop_faults();
        self.turn(Duration::ZERO);
        self.calm_since.set(Some(self.now()));
    }

    /// Whoever waits in a backlog is let in without anybody coming after.
    fn check_nobody_waits(&mut self) {
        let waits = (0..LOOKS).all(|_| {
            self.run_for(A_MOMENT);
            !self.is_over() && !self.is_shut() && self.waiting() > 0
        });
        assert!(!waits, "somebody waits in a backlog though there is room");
    }

    /// Sockets that are nobody's yet.
    fn waiting(&self) -> usize {
        let stats = self.world.stats();
        let theirs = self.hosts.len() + self.actors.iter().filter(|cast| cast.actor.is_there()).count();
        stats.sockets - stats.open.iter().sum::<usize>() - theirs
    }

    /// Whether some of our listeners do not let in whoever comes.
    fn is_shut(&mut self) -> bool {
        let connections = self.connections();
        let player = self.reactor.handler();
        let stats = self.world.stats();
        let is_full = connections >= self.plan.config.settings.max_connections
            || stats.open.first().is_some_and(|open| *open >= self.plan.descriptors);
        is_full || player.shutting_down || player.closed_listeners || player.failed_listeners > 0
    }

    /// Whoever comes now finds a world in order, and must be served.
    fn send_probes(&mut self) {
        if self.is_over() || self.reactor.handler().shutting_down {
            return;
        }
        for (place, (_, listen)) in self.plan.places.listeners.clone().iter().enumerate() {
            let part = part_of(listen);
            let script = if part == Part::Raw {
                vec![Step::Greet, say(1, 40), Step::Until(Until::Heard(44))]
            } else {
                vec![Step::Greet, Step::Until(Until::Open), say(1, 40), Step::Until(Until::Heard(1))]
            };
            let tag = self.admit(Visitor::to(place, part, script));
            self.probes.push((place, tag));
            // One after another, so that none of them is one opening too many.
            self.run_for(Duration::from_millis(60));
        }
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.now().saturating_add(span);
        while self.now() < until && !self.is_over() {
            self.step(until);
        }
    }

    /// Waits until nothing has happened for a while; answers whether that came to be.
    fn settle(&mut self) -> bool {
        let until = self.now().saturating_add(SETTLE);
        let mut quiet_since = self.now();
        let mut before = None;
        while self.now() < until && !self.is_over() {
            self.step(self.now().saturating_add(QUIET));
            let now = Some(self.progress());
            if now != before || !self.is_played() {
                quiet_since = self.now();
            }
            before = now;
            if self.now().since(quiet_since) >= QUIET {
                return true;
            }
        }
        false
    }

    fn check_probes(&mut self) {
        if self.is_over() || self.is_shut() || self.plan.manner.through.is_some() {
            return;
        }
        let player = self.reactor.handler();
        for (place, tag) in &self.probes {
            let is_met = player.book.of_tag(*tag).is_some();
            let is_sent_away =
                self.actors.iter().any(|cast| cast.actor.tag() == Some(*tag) && cast.actor.fate.is_some());
            assert!(
                is_met || is_sent_away || !self.opened[*place],
                "who comes to listener {place} when all is calm is not served"
            );
        }
    }

    /// What stands between two that are both there and willing has arrived.
    fn check_deliveries(&mut self) {
        if self.is_over() {
            return;
        }
        self.reactor.with(Player::note_shed);
        let player = self.reactor.handler();
        // Whose time is over is no subscriber any more, though that is told only when it is gone.
        let is_exact = player.refused == 0 && self.plan.config.timeouts.lifetime.is_none();
        let (book, extent) = (&player.book, if is_exact { Extent::Exactly } else { Extent::AtMost });
        for cast in &self.actors {
            let actor = &cast.actor;
            let Some(entry) = actor.tag().and_then(|tag| book.of_tag(tag)) else { continue };
            if !actor.listens() || entry.stage != Stage::Open || entry.left {
                continue;
            }
            assert!(
                entry.is_heard(actor.heard(), extent, self.plan.manner.overflow),
                "not all that was sent has arrived at {:?}: {:?} of {entry:?}",
                actor.tag(),
                actor.heard()
            );
            assert!(
                actor.heard_bytes() == entry.sent_bytes,
                "not all bytes have arrived at {:?}",
                actor.tag()
            );
            if !actor.wild && actor.is_silent() && !actor.lost && !entry.paused {
                assert_eq!(entry.received, actor.spoken, "not all that {:?} said was delivered", actor.tag());
                let all = actor.is_raw() && entry.received_bytes != actor.uttered;
                assert!(!all, "not all bytes of {:?} were delivered", actor.tag());
                check_all_pongs(actor, entry);
            }
        }
    }

    /// Ends the world as the plan says, and waits until nobody is left.
    fn end(&mut self) {
        if self.is_over() {
            return;
        }
        self.reactor.with(|player, _| player.rest());
        for cast in &mut self.actors {
            cast.actor.hush();
        }
        self.visitors.clear();
        let began = self.now();
        if let Ending::Shutdown(grace) = self.plan.ending {
            self.shut_down(grace);
        }
        while !self.is_over() && self.connections() > 0 {
            self.see_off();
            self.run_for(Duration::from_millis(100));
            assert!(self.now().since(began) < MOST_ENDING, "{} connections do not end", self.connections());
        }
    }

    /// Sends everybody away; again and again, for who waited in a backlog comes in only now.
    fn see_off(&mut self) {
        for cast in &mut self.actors {
            cast.visitor = None;
            if self.plan.ending == Ending::PeersLeave {
                cast.actor.leave();
            }
        }
        match self.plan.ending {
            Ending::CloseAll => self.reactor.with(|player, cx| player.leave_all(cx, Way::Close)),
            Ending::AbortAll => self.reactor.with(|player, cx| player.leave_all(cx, Way::Abort)),
            Ending::Shutdown(_) | Ending::PeersLeave => {}
        }
    }

    fn connections(&mut self) -> usize {
        self.reactor.with(|_, cx| cx.connections())
    }

    /// The loop stops within the grace, whatever the peers do.
    fn shut_down(&mut self, grace: Duration) {
        let until = self.now().saturating_add(grace).saturating_add(TICKS);
        self.reactor.with(|player, cx| player.shut_down(cx, grace));
        while self.now() < until && !self.is_over() {
            self.step(until);
        }
        assert!(self.is_over(), "the shutdown takes longer than its grace");
    }

    /// What each of both sides knows of each connection agrees.
    fn check_ends(&self) {
        if self.broken {
            return;
        }
        let player = self.reactor.handler();
        let left: Vec<&Entry> = player.book.alive().collect();
        assert!(left.is_empty(), "the end of these was never told: {left:?}");
        let is_idle = self.reactor.is_stopped() || player.posts_met == self.posted;
        assert!(is_idle, "{} posts were taken and {} came", self.posted, player.posts_met);
        for cast in &self.actors {
            let Some(entry) = cast.actor.tag().and_then(|tag| player.book.of_tag(tag)) else { continue };
            check_connection(&cast.actor, entry, self.plan.manner.overflow);
            // Whose time is over is sent a close, and what it says after that is dropped.
            if self.plan.config.timeouts.lifetime.is_none() {
                check_last_words(&cast.actor, entry);
            }
            if self.plan.all_is_heard && self.is_gentle {
                assert_eq!(cast.actor.heard(), entry.sent, "{:?} has not heard all", cast.actor.tag());
                assert_ne!(cast.actor.fate, Some(Fate::Broken), "{:?} was cut off", cast.actor.tag());
            }
        }
    }

    /// What the reactor has counted is what the kernel moved, and what the handler saw and did.
    fn check_stats(&self) {
        let (stats, world) = (self.reactor.stats(), self.world.stats());
        let book = &self.reactor.handler().book;
        assert_eq!(stats.bytes.received, world.received, "bytes were received that were not counted");
        assert_eq!(stats.bytes.sent, world.sent, "bytes were sent that were not counted");
        assert_eq!(stats.arrivals.accepted + stats.refusals.turned_away, world.accepted, "{stats:?}");
        let of_all = |count: fn(&Entry) -> usize| book.entries.values().map(count).sum::<usize>() as u64;
        assert_eq!(stats.received.texts + stats.received.binaries, of_all(|entry| entry.received.len()));
        assert_eq!(stats.received.pongs, of_all(|entry| entry.pongs.len()));
        assert_eq!(stats.sent.texts + stats.sent.binaries, book.accepted, "messages that a send accepted");
        assert!(stats.sent.pings >= of_all(|entry| entry.pings), "the reactor sends some by itself");
        for (name, count) in stats.ends.each() {
            let told = book.ends.get(name).copied().unwrap_or_default();
            let is_met = !UNMET.contains(&name);
            assert!(told == count || !is_met && told < count, "{name}: {count}, but {told} were told");
        }
        let came = stats.arrivals.accepted + stats.arrivals.dialled;
        assert!(came - stats.ends.total() <= stats.connections as u64, "{stats:?}");
    }

    /// Our side has given everything back.
    fn check_nothing_is_left(&mut self) {
        let stats = self.world.stats();
        assert_eq!(stats.bad_descriptors, 0, "a descriptor was used that is not open");
        self.wakes.check(self.now(), self.reactor.handler().timers_met, &stats);
        if self.broken {
            return;
        }
        self.reactor.with(Player::give_back);
        if !self.is_over() {
            self.turn(Duration::ZERO);
            assert_eq!(self.reactor.next_deadline(), None, "a deadline is left");
        }
        let stats = self.world.stats();
        assert_eq!(stats.open, [0], "descriptors are left");
    }

    fn report(self) -> Report {
        let book = &self.reactor.handler().book;
        let ends = book.entries.values().filter_map(|entry| entry.end.as_ref()).map(|end| end.text.clone());
        let report = Report {
            trace: self.world.trace_hash(),
            stats: self.world.stats(),
            turns: self.turns,
            connections: book.entries.len(),
            messages: book.entries.values().map(|entry| entry.received.len()).sum(),
            ends: ends.collect(),
            over: self.now(),
            calls: self.calls.clone(),
        };
        let world = self.world.clone();
        drop(self);
        let stats = world.stats();
        assert_eq!((stats.sockets, stats.held), (0, 0), "sockets outlive everybody");
        report
    }
}

/// Why the loop's turns ended before their time.
#[derive(Clone, Copy, Debug, Default)]
struct Wakes {
    /// A deadline was due.
    due: u64,
    /// It had work from the turn before, of which nothing was to be seen.
    busy: u64,
    /// For nothing that can be seen.
    early: u64,
    /// The loop is to look once more, without sleeping, whenever time has passed.
    stays_awake: bool,
    /// Time has passed since it last did.
    has_slept: bool,
}

impl Wakes {
    /// A turn has ended before which the loop wanted to be called at `next`.
    fn count(&mut self, next: Option<Time>, before: Time, now: Time, in_vain: bool) {
        match next {
            Some(Time::ZERO) => self.busy += u64::from(in_vain),
            Some(next) if next <= now => self.due += 1,
            _ if in_vain && self.stays_awake && std::mem::take(&mut self.has_slept) => {}
            _ => self.early += u64::from(in_vain),
        }
        self.has_slept |= now > before;
    }

    /// The loop never turns for nothing: each turn has an event, a deadline or a fault to show for itself, and deadlines
    /// but those of the handler are as rare as the shortest of the configured spans.
    fn check(self, over: Time, timers: u64, stats: &Stats) {
        let seconds = over.since(Time::ZERO).as_secs();
        let rare = MOST_DEADLINES_PER_SECOND * (seconds + 1) + timers + stats.edges + stats.injected;
        assert!(self.due <= rare, "{self:?} in {seconds} s");
        assert!(self.busy <= 4 * (stats.edges + self.due + 1), "{self:?} for {} events", stats.edges);
        assert!(self.early <= stats.injected + FEW, "{self:?} with {} faults", stats.injected);
    }
}

/// What one connection looks like from both of its ends, when it is over.
fn check_connection(actor: &Actor, entry: &Entry, overflow: Overflow) {
    let tag = actor.tag();
    assert!(
        entry.is_heard(actor.heard(), Extent::FirstPart, overflow),
        "{tag:?} heard what was not sent: {:?} of {:?}",
        actor.heard(),
        entry.sent
    );
    assert!(entry.sent_bytes.starts_with(actor.heard_bytes()), "{tag:?} heard bytes that were not sent");
    if !actor.wild {
        let (received, spoken) = (&entry.received, &actor.spoken);
        assert!(
            is_start(received, spoken),
            "what was delivered of {tag:?} was not said: {received:?} of {spoken:?}"
        );
    }
    check_pongs(actor, entry);
    if actor.is_raw() {
        assert!(
            actor.uttered.starts_with(&entry.received_bytes),
            "bytes were delivered that {tag:?} did not say"
        );
    }
    let Some(end) = &entry.end else { return };
    let is_in_order = !actor.is_unix || end.how != How::Otherwise;
    if actor.fate == Some(Fate::Ended) && end.unsent == 0 && is_in_order {
        assert!(
            entry.is_heard(actor.heard(), Extent::AtMost, overflow),
            "{tag:?} met the end before all that was sent: {:?} of {:?}; it ended: {}",
            actor.heard(),
            entry.sent,
            end.text
        );
        assert!(
            actor.heard_bytes() == entry.sent_bytes,
            "{tag:?} met the end before all bytes; it ended: {}",
            end.text
        );
    }
}

/// RFC 6455 §5.5.3: a pong says what a ping said, and each ping is answered once at most, in order.
fn check_pongs(actor: &Actor, entry: &Entry) {
    let (false, Some(judge)) = (actor.wild, actor.judge()) else { return };
    let (tag, found) = (actor.tag(), &judge.found);
    let mut pings = actor.pinged.iter();
    let is_answer = found.pongs.iter().all(|pong| pings.any(|ping| ping == pong));
    assert!(is_answer, "{tag:?} heard the pongs {:?} after {:?}", found.pongs, actor.pinged);
    let answered = &found.pings[..actor.ponged];
    assert!(answered.starts_with(&entry.pongs), "pongs of {tag:?} came that it did not send");
    assert!(pings_of(actor) <= entry.pings, "{tag:?} heard pings that the handler did not send");
}

/// RFC 6455 §5.5.2: where all is calm, the newest ping of each side has its answer.
fn check_all_pongs(actor: &Actor, entry: &Entry) {
    let Some(judge) = actor.judge() else { return };
    let tag = actor.tag();
    assert_eq!(judge.found.pongs.last(), actor.pinged.last(), "the last ping of {tag:?} has no answer");
    assert_eq!(pings_of(actor), entry.pings, "{tag:?} has not heard all pings");
    assert_eq!(entry.pongs.len(), actor.ponged, "not all pongs of {tag:?} were delivered");
    check_pongs(actor, entry);
}

/// How many pings of the handler came.
fn pings_of(actor: &Actor) -> usize {
    actor.judge().map_or(0, |judge| judge.found.pings.iter().filter(|ping| *ping == PING).count())
}

/// Who left in good order was heard to the end.
fn check_last_words(actor: &Actor, entry: &Entry) {
    let Some(end) = &entry.end else { return };
    if end.how == How::ByPeer
        && entry.was_open
        && !entry.left
        && !actor.wild
        && !actor.lost
        && actor.is_silent()
    {
        assert_eq!(entry.received, actor.spoken, "{:?} left, and not all it said was delivered", actor.tag());
    }
}

fn is_start(received: &[Note], spoken: &[Note]) -> bool {
    spoken.starts_with(received)
}

/// Longer than a listener that had no descriptor waits.
const A_MOMENT: Duration = Duration::from_millis(150);
/// Who waits at each of so many looks waits for good.
const LOOKS: usize = 4;
/// How long scripts may take before the faults stop.
const PLAY: Duration = Duration::from_secs(12);
/// How long a calm world may take to come to rest.
const SETTLE: Duration = Duration::from_secs(300);
/// Where nothing has happened for so long, nothing will but pings.
const QUIET: Duration = Duration::from_millis(900);
/// Every bound together that stands between a connection and its end.
const MOST_ENDING: Duration = Duration::from_secs(30);
/// What a deadline may be late by.
const TICKS: Duration = Duration::from_millis(5);
/// Three listeners that look for room every 100 ms, and twice as much for all else.
const MOST_DEADLINES_PER_SECOND: u64 = 90;
/// Of those who end a wait without an event: wake-ups of the loop by itself.
const FEW: u64 = 16;
/// Turns without any change and without any passing of time.
const MOST_IDLE_TURNS: u32 = 8;
const MOST_TURNS: u64 = 200_000;
