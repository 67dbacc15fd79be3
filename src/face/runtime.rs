//! L4, the driver of the loop: sends each event of a connection to the protocol that it speaks.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::face::closed::Reason;
use crate::face::config::Timeouts;
use crate::face::fleet::{Arrival, Mail, Member};
use crate::face::relief::Relief;
use crate::face::remote::{Ending, Posts, Wish};
use crate::face::services::{Service, Services};
use crate::face::session::{Met, Moment, Outcome, ServiceIndex, Session, Stage};
use crate::face::shutdown::Shutdown;
use crate::face::stats::Tally;
use crate::face::{Closed, Config, Context, Handler, Timeout, shutdown};
use crate::http::HttpError;
use crate::journal::Kind;
use crate::mutants::mutant;
use crate::net::{Addr, Peer};
use crate::reactor::{ConnId, Drain, Driver, End, Io, ListenerId, SlowTurn, adopt};
use crate::stats::add_one;
use crate::time::Time;
use crate::time::wheel::TimerKey;
use crate::tls::TlsClient;
use crate::topics::Topics;
use crate::ws::{Control, Workspace, WorkspaceConfig};

/// The user's handler, and what all of its connections share.
pub(super) struct Runtime<H: Handler> {
    pub(super) handler: H,
    pub(super) posts: Posts<H::Post>,
    post_budget: usize,
    pub(super) message_budget: usize,
    pub(super) shared: Shared,
}

/// What all connections of a reactor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) services: Services,
    pub(super) topics: Topics<ConnId>,
    pub(super) timeouts: Timeouts,
    pub(super) space: Workspace,
    pub(super) max_partial: usize,
    /// For small frames on their way out; empty between calls.
    pub(super) scratch: Vec<u8>,
    /// Connections that have not completed their opening handshake, oldest first, with some that have.
    openings: VecDeque<ConnId>,
    /// How many really have not.
    opening: usize,
    max_opening: usize,
    /// Accepted by [`Context::accept`], to be told when the turn ends.
    pub(super) accepted: Vec<ConnId>,
    pub(super) shutdown: Option<Shutdown>,
    pub(super) tally: Tally,
    pub(super) wish: Arc<Wish>,
    /// This thread's part in a fleet, where it is one of several.
    pub(super) member: Option<Box<Member>>,
    pub(super) masks: Masks,
    /// How clients of this loop speak TLS where nothing else is said, once that was needed.
    pub(super) platform: Option<TlsClient>,
    /// Answers to pings of peers that do not read: the latest of each, there is never more than one (R13).
    pub(super) late_pongs: HashMap<ConnId, Control>,
    /// The turn in which the process was last looked at, and which one it was.
    keys_checked: Option<Time>,
    process: u32,
}

/// Whether anything this loop sends needs a masking key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Masks {
    /// It has only been a server so far.
    NotNeeded,
    /// It has been a client.
    Needed,
}

/// A call of the protocol takes one key at most.
const KEYS_AT_LEAST: usize = 2;

impl Shared {
    pub(super) fn new(config: &Config, wish: Arc<Wish>) -> Self {
        let (pool_bytes, inflate_budget) = (config.message_pool, config.inflate_budget);
        let space = WorkspaceConfig { pool_bytes, inflate_budget, ..WorkspaceConfig::default() };
        Self {
            services: Services::new(config.websocket.clone()),
            topics: Topics::new(config.topics),
            timeouts: config.timeouts.clone(),
            space: Workspace::new(space),
            max_partial: config.max_partial,
            scratch: Vec::new(),
            openings: VecDeque::new(),
            opening: 0,
            max_opening: config.max_opening(),
            accepted: Vec::new(),
            shutdown: None,
            tally: Tally::default(),
            wish,
            member: None,
            masks: Masks::NotNeeded,
            platform: None,
            late_pongs: HashMap::new(),
            keys_checked: None,
            process: 0,
        }
    }

    /// Keeps masking keys at hand for what clients of this loop send (RFC 6455 §5.3, R18). Costs a server nothing.
    ///
    /// A forked child throws its parent's keys away: the process is looked at once per turn.
    #[inline]
    pub(super) fn provide_keys<P>(&mut self, io: &mut Io<'_, P>) {
        if self.masks == Masks::Needed {
            self.refill_keys(io);
        }
    }

    #[cold]
    fn refill_keys<P>(&mut self, io: &mut Io<'_, P>) {
        let keys = self.space.keys();
        if self.keys_checked != Some(io.now()) {
            self.keys_checked = Some(io.now());
            let process = std::process::id();
            if std::mem::replace(&mut self.process, process) != process {
                keys.discard();
            }
        }
        if keys.remaining() < KEYS_AT_LEAST {
            // Where the system has no randomness nothing is sent, and the send says so.
            let _ = keys.refill(|bytes| io.random(bytes));
        }
    }

    /// Has what is sent next compressed as a service wants it.
    pub(super) fn choose_compression(&mut self, service: ServiceIndex) {
        if let Some(deflate) = &self.services.of(service).deflate {
            self.space.set_compression(deflate.threshold, deflate.level);
        }
    }

    /// Counts a connection that has not completed its opening handshake.
    fn enter(&mut self, id: ConnId) {
        self.openings.push_back(id);
        self.opening = self.opening.saturating_add(1);
    }

    /// A connection is in `stage` no more: its buffers go back to the pools, its place among the openings is free.
    pub(super) fn left(&mut self, stage: Stage) {
        match stage {
            Stage::Admitting | Stage::Opening(_) | Stage::Held(_) => {
                self.opening = self.opening.saturating_sub(1);
            }
            Stage::Socket(mut protocol) => protocol.release(&mut self.space),
            Stage::Successor(_) | Stage::Dialling(_) | Stage::Calling(_) | Stage::Raw | Stage::Ended(_) => {}
        }
    }
}

impl<H: Handler> Runtime<H> {
    pub(super) fn new(handler: H, config: &Config, posts: Posts<H::Post>, wish: Arc<Wish>) -> Self {
        let shared = Shared::new(config, wish);
        let (post_budget, message_budget) = (config.post_budget, config.message_budget);
        Self { handler, posts, post_budget, message_budget, shared }
    }

    /// Gives the handler what other threads posted, up to a budget; the rest waits for the next turn.
    fn take_posts(&mut self, io: &mut Io<'_, Session<H::Conn>>) {
        for _ in 0..self.post_budget {
            let Some(post) = self.posts.next() else { return };
            let (handler, mut cx) = self.context(io);
            handler.on_post(&mut cx, post);
        }
        io.wake_again();
    }

    /// Does what the other threads of the fleet sent, up to the same budget.
    fn take_mail(&mut self, io: &mut Io<'_, Session<H::Conn>>) {
        for _ in 0..self.post_budget {
            let Some(mail) = self.shared.member.as_ref().and_then(|member| member.next()) else { return };
            match mail {
                // Whoever published it is not there to be told who got it; policies and their counts hold all the same.
                Mail::Publish(notice) => drop(self.context(io).1.publish_notice(&notice)),
                Mail::Adopt(arrival) => self.take_in(io, arrival),
                Mail::Report(question) => question.answer(self.context(io).1.stats()),
            }
        }
        io.wake_again();
    }

    /// Makes a connection of one that another thread accepted, if it still may be one.
    fn take_in(&mut self, io: &mut Io<'_, Session<H::Conn>>, arrival: Arrival) {
        let Some(listener) = self.shared.member.as_ref().and_then(|member| member.door(&arrival)) else {
            return;
        };
        let taken = adopt(self, io, listener, arrival.stream, &arrival.peer);
        if let Some(member) = &self.shared.member {
            member.took(&taken, io.connections());
        }
    }

    /// The handler, and the context to call it with.
    #[inline]
    pub(super) fn context<'a>(
        &'a mut self,
        io: &'a mut Io<'_, Session<H::Conn>>,
    ) -> (&'a mut H, Context<'a, H>) {
        (&mut self.handler, Context { io: io.reborrow(), shared: &mut self.shared })
    }

    /// Ends a connection once all is flushed, for a reason.
    pub(super) fn end(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, reason: Reason) {
        self.context(io).1.end(id, Some(reason));
    }

    /// Ends a connection at once, because it took too long.
    pub(super) fn cut(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, timeout: Timeout) {
        self.end(io, id, Reason::TimedOut(timeout));
        io.abort(id);
    }

    /// The connection is open: tells the handler.
    pub(super) fn open_to_handler(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let now = Moment::of(io.now());
        if let Some(session) = io.session(id) {
            session.met = Met::Open;
            (session.heard, session.opened) = (now, now);
        }
        self.watch(io, id);
        let (handler, mut cx) = self.context(io);
        handler.on_open(&mut cx, id);
    }

    /// Tells of a client's connection that never opened, where that is worth a word.
    fn tell_why_not(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, reason: &Reason) {
        match reason {
            Reason::Tls(error) => {
                io.note(Kind::Tls, format_args!("{id:?} never opened: {error}"));
                let (handler, mut cx) = self.context(io);
                handler.on_tls_error(&mut cx, id, error);
            }
            Reason::Proxy(error) => {
                io.note(Kind::TurnedAway, format_args!("{id:?} was not let in: {error}"));
                let (handler, mut cx) = self.context(io);
                handler.on_proxy_error(&mut cx, id, error);
            }
            _ => {}
        }
    }

    /// Cuts the connections that hold most of what is not whole yet, until all of that is within its bound (R50).
    #[cold]
    pub(super) fn relieve(&mut self, io: &mut Io<'_, Session<H::Conn>>) {
        while self.shared.space.held() > self.shared.max_partial {
            let held = |id: &ConnId| io.peek(*id).map_or(0, Session::held);
            let ids = (0..io.connections_end()).filter_map(|index| io.connection_at(index));
            let Some(most) = ids.max_by_key(held).filter(|id| held(id) > 0) else { return };
            self.end(io, most, Reason::Crowded);
            io.abort(most);
        }
    }

    /// Cuts the oldest connections that have not completed their opening handshake, where they are too many (R4).
    fn bound_openings(&mut self, io: &mut Io<'_, Session<H::Conn>>) {
        while self.shared.opening > self.shared.max_opening {
            let Some(oldest) = self.shared.openings.pop_front() else { return };
            if io.session(oldest).is_some_and(|session| session.is_opening()) {
                add_one(&mut self.shared.tally.requests.crowded_out);
                io.note(
                    Kind::Refused,
                    format_args!("{oldest:?} is the oldest of too many that are not open"),
                );
                self.cut(io, oldest, Timeout::Opening);
            }
        }
        // Those that have opened meanwhile are forgotten before they are as many as those that have not.
        if self.shared.openings.len() > self.shared.opening.saturating_mul(2).saturating_add(LEAST_OPENINGS) {
            self.shared.openings.retain(|id| io.session(*id).is_some_and(|session| session.is_opening()));
        }
    }
}

impl<H: Handler> Driver for Runtime<H> {
    type Session = Session<H::Conn>;

    fn open(&mut self, listener: ListenerId, _peer: &Peer) -> Self::Session {
        match self.shared.services.at(listener) {
            Service::WebSocket(index) => Session::new(index, Stage::Opening(None)),
            Service::Raw => Session::new(ServiceIndex(0), Stage::Raw),
            Service::RawLater => Session::new(ServiceIndex(0), Stage::Admitting),
            Service::Takeover(drain) => {
                Session::new(ServiceIndex(0), Stage::Successor(Box::new(Relief::new(drain))))
            }
        }
    }

    fn may_deal(&self) -> bool {
        self.shared.member.as_ref().is_some_and(|member| member.may_deal())
    }

    fn deal(
        &mut self,
        io: &mut Io<'_, Self::Session>,
        listener: ListenerId,
        stream: OwnedFd,
        peer: Peer,
    ) -> Option<(OwnedFd, Peer)> {
        match &mut self.shared.member {
            Some(member) => member.deal(io.connections(), listener, stream, peer),
            None => Some((stream, peer)),
        }
    }

    fn opened(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        let Some(session) = io.session(id) else { return };
        self.shared.services.share(session.service);
        match &session.stage {
            Stage::Successor(_) => {}
            _ if session.is_opening() => {
                self.shared.enter(id);
                self.bound_openings(io);
            }
            _ => return self.open_to_handler(io, id),
        }
        io.set_deadline(id, Some(io.now().saturating_add(self.shared.timeouts.opening)));
    }

    fn admitted(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        let Some(session) = io.session(id) else { return };
        if matches!(session.stage, Stage::Admitting) {
            self.shared.left(std::mem::replace(&mut session.stage, Stage::Raw));
            self.open_to_handler(io, id);
        }
    }

    #[inline]
    fn receive(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, bytes: &mut [u8]) -> usize {
        let total = bytes.len();
        let mut input = bytes;
        let heard = Moment::of(io.now());
        while !input.is_empty() {
            let Some(session) = io.session(id) else { return total };
            (session.heard, session.probed) = (heard, false);
            match &mut session.stage {
                Stage::Socket(_) => {
                    self.converse(io, id, &mut input);
                    break;
                }
                Stage::Successor(_) => {
                    self.hear_successor(io, id, input);
                    return total;
                }
                Stage::Opening(_) => self.read_head(io, id, &mut input),
                Stage::Calling(_) => self.read_answer(io, id, &mut input),
                Stage::Raw => {
                    let (handler, mut cx) = self.context(io);
                    handler.on_bytes(&mut cx, id, input);
                    return total;
                }
                Stage::Admitting | Stage::Held(_) | Stage::Dialling(_) => break,
                Stage::Ended(_) => return total,
            }
            // The handler may have paused what it just opened.
            if !io.listens(id) {
                break;
            }
        }
        total.saturating_sub(input.len())
    }

    #[inline]
    fn stirred(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        let heard = Moment::of(io.now());
        if let Some(session) = io.session(id) {
            (session.heard, session.probed) = (heard, false);
        }
    }

    #[inline]
    fn landing<'s>(&mut self, session: &'s mut Self::Session) -> Option<&'s mut [u8]> {
        match &mut session.stage {
            Stage::Socket(protocol) => protocol.landing(&mut self.shared.space),
            Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Dialling(_)
            | Stage::Calling(_)
            | Stage::Raw
            | Stage::Ended(_) => None,
        }
    }

    fn landed(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, count: usize) {
        self.stirred(io, id);
        self.converse_landed(io, id, count);
    }

    fn connected(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        self.call(io, id);
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        let truncation = io.truncation(id);
        let Some(session) = io.session(id) else { return };
        match (&session.stage, truncation) {
            // Of a raw stream nothing else tells whether it is all that was sent.
            (Stage::Raw, Some(error)) => self.end(io, id, Reason::Tls(error)),
            (Stage::Raw, None) => {
                let (handler, mut cx) = self.context(io);
                handler.on_end(&mut cx, id);
            }
            (Stage::Calling(_), _) => self.end(io, id, Reason::Refused(HttpError::Incomplete.into())),
            (
                Stage::Admitting
                | Stage::Successor(_)
                | Stage::Opening(_)
                | Stage::Held(_)
                | Stage::Dialling(_)
                | Stage::Socket(_)
                | Stage::Ended(_),
                _,
            ) => self.end(io, id, Reason::EndOfStream),
        }
    }

    fn left(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        self.let_go(io, id);
    }

    fn drained(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, drain: Drain) {
        self.send_late_pong(io, id);
        // A request or an answer of the opening handshake fills a queue too, and there is nobody to tell.
        let is_met = io.session(id).is_some_and(|session| session.met == Met::Open);
        if drain == Drain::Crossed && is_met {
            let (handler, mut cx) = self.context(io);
            handler.on_drain(&mut cx, id);
        }
    }

    fn deadline(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId) {
        match io.session(id).map(|session| &session.stage) {
            Some(Stage::Admitting | Stage::Successor(_) | Stage::Opening(_) | Stage::Held(_)) => {
                self.cut(io, id, Timeout::Opening);
            }
            Some(Stage::Dialling(_) | Stage::Calling(_)) => self.cut(io, id, Timeout::Connect),
            Some(Stage::Socket(_) | Stage::Raw) => self.overdue(io, id),
            Some(Stage::Ended(_)) | None => {}
        }
    }

    fn timer(&mut self, io: &mut Io<'_, Self::Session>, timer: TimerKey, token: u64) {
        let (handler, mut cx) = self.context(io);
        if cx.shared.shutdown.as_ref().is_some_and(|shutdown| shutdown.waits_for(timer)) {
            return shutdown::go_on(&mut cx);
        }
        handler.on_timer(&mut cx, token);
    }

    fn woken(&mut self, io: &mut Io<'_, Self::Session>) {
        self.take_posts(io);
        self.take_mail(io);
        match self.shared.wish.take() {
            Some(Ending::Graceful(grace)) => shutdown::begin(&mut self.context(io).1, grace),
            Some(Ending::Now) => io.stop(),
            None => {}
        }
    }

    fn deferred(&mut self, io: &mut Io<'_, Self::Session>) {
        if let Some(member) = &self.shared.member {
            member.note(io.connections());
        }
        for id in std::mem::take(&mut self.shared.accepted) {
            if io.session(id).is_some_and(|session| session.met == Met::Open) {
                self.open_to_handler(io, id);
            }
        }
    }

    fn freed(&mut self, connections: usize) {
        if let Some(member) = &self.shared.member {
            member.note(connections);
        }
    }

    fn slow_turn(&mut self, io: &mut Io<'_, Self::Session>, turn: &SlowTurn) {
        let (handler, mut cx) = self.context(io);
        handler.on_slow_turn(&mut cx, turn);
    }

    fn listener_failed(
        &mut self,
        io: &mut Io<'_, Self::Session>,
        id: ListenerId,
        addr: &Addr,
        error: io::Error,
    ) {
        self.shared.services.unbind(id);
        let (handler, mut cx) = self.context(io);
        handler.on_listener_error(&mut cx, addr, &error);
    }

    fn closed(&mut self, io: &mut Io<'_, Self::Session>, id: ConnId, end: End) {
        self.shared.late_pongs.remove(&id);
        self.shared.topics.leave(id);
        let Some(session) = io.session(id) else { return };
        let met = session.met;
        let outcome = match std::mem::replace(&mut session.stage, Stage::Ended(None)) {
            Stage::Ended(outcome) => outcome.map(|outcome| *outcome).unwrap_or_default(),
            stage => {
                let outcome = Outcome::of(&stage, None);
                self.shared.left(stage);
                outcome
            }
        };
        let closed = Closed::new(end, outcome);
        self.shared.tally.ends.count(&closed);
        io.note(Kind::End, format_args!("{id:?} is over: {closed}"));
        if matches!(met, Met::Held | Met::Open) {
            if let Some(shutdown) = &mut self.shared.shutdown {
                shutdown.count(&closed);
            }
            let (handler, mut cx) = self.context(io);
            handler.on_close(&mut cx, id, &closed);
        } else {
            self.tell_why_not(io, id, &closed.reason);
        }
        if let Some(session) = io.session(id) {
            session.met = if mutant("tell the end twice") { met } else { Met::Closed };
            self.shared.services.release(session.service);
        }
    }
}

/// Fewer openings than this are not worth a look through all of them.
const LEAST_OPENINGS: usize = 64;
