//! Our side: one handler that does what a plan says in each callback, and keeps book of all it saw and did.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gnezdo::http::{Response, Status};
use gnezdo::time::Time;
use gnezdo::time::wheel::TimerKey;
use gnezdo::ws::{Agreed, CloseCode};
use gnezdo::{
    Accept, Answer, Closed, ConnId, Connect, Context, DecideError, Delivery, Handler, Listen, Message,
    Overflow, Prepared, Request, Shed, Target,
};

use super::book::{Book, Entry, Stage};
use super::plan::LETTERS;
use super::wire::Note;

/// What the handler does about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum OnRequest {
    #[default]
    Accept,
    /// Answers by HTTP with a body of so many bytes.
    Respond(usize),
    /// Decides after a while: to accept, or to answer by HTTP.
    Hold(Duration, Verdict),
    /// Never decides.
    Forget,
    /// Closes the connection from inside of the callback, and accepts all the same.
    AbortAndAccept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Respond,
}

/// One thing the handler does in a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Sends back what came.
    Echo,
    /// Sends so many messages of so many bytes.
    Say(usize, usize),
    /// Sends, and goes on whenever there is room, until so many messages were sent.
    Pour(usize, usize),
    /// Sends a message of so many bytes to every open connection.
    Tell(usize),
    Ping,
    /// Joins a topic, if it is a WebSocket.
    Subscribe(usize),
    Unsubscribe(usize),
    /// Publishes so many messages of so many bytes to a topic, not to itself where it is asked so.
    Publish(usize, usize, usize),
    PublishToOthers(usize, usize),
    /// Sends itself a prepared message of so many bytes.
    Share(usize),
    Close,
    Finish,
    FinishWriting,
    Abort,
    CloseOthers,
    AbortOthers,
    /// Connects to one of the plan's places.
    Call(usize),
    /// Does not read for a while.
    Pause(Duration),
    Timer(Duration),
    CancelTimers,
    CloseListeners,
    /// Decides about all requests that are held.
    Decide(Verdict),
    /// Opens another listener.
    Listen(usize),
    Shutdown(Duration),
}

/// What the handler does, callback by callback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) request: OnRequest,
    pub(crate) open: Vec<Act>,
    pub(crate) message: Vec<Act>,
    pub(crate) drain: Vec<Act>,
    pub(crate) timer: Vec<Act>,
    pub(crate) pong: Vec<Act>,
    pub(crate) post: Vec<Act>,
    pub(crate) close: Vec<Act>,
    /// What is done for those that do not keep up.
    pub(crate) overflow: Overflow,
    /// Raw connections that come in are connected through to this place.
    pub(crate) through: Option<usize>,
}

/// Where our side can connect to, and what it listens to.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Text of targets; a WebSocket's gets the tag of the call appended.
    pub(crate) targets: Vec<String>,
    pub(crate) listeners: Vec<(gnezdo::Addr, Listen)>,
    pub(crate) max_queue: usize,
}

/// How the handler ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Close,
    Finish,
    FinishWriting,
    Abort,
}

/// What a timer was set for.
#[derive(Clone, Copy, Debug)]
struct Task {
    due: Time,
    key: TimerKey,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Resume(ConnId),
    Decide(ConnId, Verdict),
    Act(ConnId),
}

/// The handler.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) book: Book,
    pub(crate) manner: Manner,
    places: Places,
    /// Who is in which topic, in the order in which they came.
    pub(crate) topics: BTreeMap<usize, Vec<ConnId>>,
    /// Messages prepared so far.
    prepared: usize,
    /// How often what was published was refused.
    pub(crate) refused: usize,
    /// What was dropped for all whose end was told.
    pub(crate) shed: Shed,
    tasks: BTreeMap<u64, Task>,
    next_token: u64,
    next_tag: u32,
    /// Acts still allowed, so that every plan ends.
    acts: usize,
    pours: BTreeMap<u64, (usize, usize)>,
    pairs: BTreeMap<u64, ConnId>,
    /// Bytes for a connection that is on its way.
    waiting: BTreeMap<u64, Vec<u8>>,
    now: Time,
    /// Since when nothing disturbs the kernel, so that deadlines are to be met on time.
    calm_since: Rc<Cell<Option<Time>>>,
    pub(crate) timers_met: u64,
    pub(crate) posts_met: u64,
    pub(crate) failed_listeners: usize,
    pub(crate) closed_listeners: bool,
    listeners: Vec<gnezdo::ListenerId>,
    /// Whose end it is being told.
    closing: Option<ConnId>,
    pub(crate) shutting_down: bool,
}

type Cx<'a> = Context<'a, Player>;

impl Player {
    pub(crate) fn new(manner: Manner, places: Places, calm_since: Rc<Cell<Option<Time>>>) -> Self {
        Self {
            book: Book::default(),
            manner,
            places,
            topics: BTreeMap::new(),
            prepared: 0,
            refused: 0,
            shed: Shed::default(),
            tasks: BTreeMap::new(),
            next_token: 1,
            next_tag: FIRST_CALL,
            acts: MOST_ACTS,
            pours: BTreeMap::new(),
            pairs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            now: Time::ZERO,
            calm_since,
            timers_met: 0,
            posts_met: 0,
            failed_listeners: 0,
            closed_listeners: false,
            listeners: Vec::new(),
            closing: None,
            shutting_down: false,
        }
    }

    /// Stops whatever it does by itself.
    pub(crate) fn rest(&mut self) {
        self.acts = 0;
    }

    pub(crate) fn listened(&mut self, id: gnezdo::ListenerId) {
        self.listeners.push(id);
    }

    fn tick(&mut self, cx: &Cx<'_>) {
        assert!(cx.now() >= self.now, "the clock of the loop went back");
        self.now = cx.now();
        let alive: Vec<&Entry> = self.book.alive().collect();
        assert!(cx.connections() >= alive.len(), "the loop has lost one of these connections: {alive:?}");
    }

    /// The connection's own data counts its callbacks, as the book does: so data never changes hands.
    fn count(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let calls = self.book.open(id).calls;
        let own = cx.get_mut(id).unwrap_or_else(|| panic!("{id:?} is open and has no data"));
        *own += 1;
        assert_eq!(*own, calls, "{id:?} has another connection's data");
        let pending = cx.pending(id);
        assert!(pending <= self.places.max_queue + EXEMPT, "{pending} bytes wait for {id:?}");
    }

    fn act_all(&mut self, cx: &mut Cx<'_>, id: ConnId, acts: &[Act], message: Option<Message<'_>>) {
        for act in acts {
            if self.acts == 0 {
                return;
            }
            self.acts -= 1;
            self.act(cx, id, act, message);
        }
    }

    fn act(&mut self, cx: &mut Cx<'_>, id: ConnId, act: &Act, message: Option<Message<'_>>) {
        match act {
            Act::Echo => {
                if let Some(message) = message {
                    self.send(cx, id, message);
                }
            }
            Act::Say(count, size) => {
                for _ in 0..*count {
                    self.say(cx, id, *size);
                }
            }
            Act::Pour(count, size) => {
                self.pours.insert(id.to_bits(), (*count, *size));
                self.pour(cx, id);
            }
            Act::Tell(size) => {
                for other in self.book.open_ids() {
                    self.say(cx, other, *size);
                }
                self.try_the_dead(cx);
            }
            Act::Ping => self.book.entry(id).pings += usize::from(cx.ping(id, PING).is_ok()),
            Act::Subscribe(topic) => self.subscribe(cx, id, *topic),
            Act::Unsubscribe(topic) => {
                let was = cx.unsubscribe(id, &name_of(*topic));
                let known = self.topics.entry(*topic).or_default();
                assert!(!was || known.contains(&id), "{id:?} was in a topic that it never joined");
                known.retain(|member| *member != id);
            }
            Act::Publish(topic, count, size) => {
                for _ in 0..*count {
                    self.publish(cx, *topic, *size, None);
                }
            }
            Act::PublishToOthers(topic, size) => self.publish(cx, *topic, *size, Some(id)),
            Act::Share(size) => {
                let mut message = self.prepare(*size, 0);
                if !self.book.entry(id).raw
                    && self.fits(&message)
                    && let Ok(delivery) = cx.send_prepared(id, &mut message)
                {
                    self.book.accepted += u64::from(delivery != Delivery::Closed);
                    self.book.entry(id).share(&message);
                }
            }
            Act::Close => self.leave(cx, id, Way::Close),
            Act::Finish => self.leave(cx, id, Way::Finish),
            Act::FinishWriting => self.leave(cx, id, Way::FinishWriting),
            Act::Abort => self.leave(cx, id, Way::Abort),
            Act::CloseOthers => {
                for other in self.others(id) {
                    self.leave(cx, other, Way::Close);
                }
            }
            Act::AbortOthers => {
                for other in self.others(id) {
                    self.leave(cx, other, Way::Abort);
                }
            }
            Act::Call(place) => self.call(cx, *place),
            Act::Pause(span) => self.pause(cx, id, *span),
            Act::Timer(span) => self.set(cx, *span, What::Act(id)),
            Act::CancelTimers => self.cancel_all(cx),
            Act::CloseListeners => self.close_listeners(cx),
            Act::Decide(verdict) => self.decide_all(cx, *verdict),
            Act::Listen(place) => self.listen(cx, *place),
            Act::Shutdown(grace) => self.shut_down(cx, *grace),
        }
    }

    fn close_listeners(&mut self, cx: &mut Cx<'_>) {
        self.closed_listeners = true;
        for listener in std::mem::take(&mut self.listeners) {
            cx.close_listener(listener);
        }
    }

    pub(crate) fn shut_down(&mut self, cx: &mut Cx<'_>, grace: Duration) {
        self.shutting_down = true;
        self.book.entries.values_mut().for_each(|entry| entry.left = true);
        cx.shutdown(grace);
    }

    /// Leaves every connection that it knows of.
    pub(crate) fn leave_all(&mut self, cx: &mut Cx<'_>, way: Way) {
        let all: Vec<_> = self.book.alive().map(|entry| (entry.id, entry.stage)).collect();
        for (id, stage) in all {
            self.leave(cx, id, if stage == Stage::Open { way } else { Way::Abort });
        }
    }

    /// Closes and cancels whatever is not a connection.
    pub(crate) fn give_back(&mut self, cx: &mut Cx<'_>) {
        self.close_listeners(cx);
        assert_eq!(cx.shed_by_all(), self.shed, "what was dropped for all is not what was dropped for each");
        for topic in self.topics.keys() {
            assert_eq!(cx.subscribers(&name_of(*topic)), 0, "of topic {topic}");
        }
        for task in std::mem::take(&mut self.tasks).into_values() {
            assert!(cx.cancel_timer(task.key), "a timer was not armed");
        }
    }

    fn subscribe(&mut self, cx: &mut Cx<'_>, id: ConnId, topic: usize) {
        if self.book.entry(id).raw || cx.subscribe(id, &name_of(topic)).is_err() {
            return;
        }
        let members = self.topics.entry(topic).or_default();
        if !members.contains(&id) {
            members.push(id);
        }
    }

    /// A message that tells itself from all others.
    fn prepare(&mut self, size: usize, topic: usize) -> Prepared {
        self.prepared += 1;
        let mut payload = format!("shared.{}.", self.prepared);
        while payload.len() < size {
            payload.push(char::from(LETTERS[payload.len() * 5 % LETTERS.len()]));
        }
        Prepared::new(&payload).keyed((topic + self.prepared % 2) as u64)
    }

    /// Whether it is not refused for its size alone.
    fn fits(&self, message: &Prepared) -> bool {
        message.plain().len() + MASK <= self.places.max_queue
    }

    fn publish(&mut self, cx: &mut Cx<'_>, topic: usize, size: usize, except: Option<ConnId>) {
        let mut message = self.prepare(size, topic);
        if !self.fits(&message) {
            return;
        }
        let members = self.topics.entry(topic).or_default().iter().copied();
        let members: Vec<ConnId> = members.filter(|member| Some(*member) != except).collect();
        let before: Vec<Shed> = members.iter().map(|member| cx.shed(*member)).collect();
        let published = match except {
            Some(sender) => cx.publish_from(sender, &name_of(topic), &mut message),
            None => cx.publish(&name_of(topic), &mut message),
        };
        self.refused += published.refused;
        let accepted = published.sent + published.queued + published.replaced + published.dropped;
        self.book.accepted += accepted as u64;
        assert!(published.subscribers() <= members.len(), "{published:?} to {members:?}");
        let after = members.iter().map(|member| cx.shed(*member));
        let of_each = |shed: &Shed| usize::try_from(shed.dropped + shed.replaced).unwrap_or(usize::MAX);
        let grown =
            after.map(|shed| of_each(&shed)).sum::<usize>() - before.iter().map(of_each).sum::<usize>();
        let displaced = usize::try_from(published.displaced).unwrap_or(usize::MAX);
        let told = published.dropped + published.replaced + displaced;
        assert!(told <= grown, "{published:?}, but {grown} were dropped");
        for member in members {
            self.book.entry(member).share(&message);
        }
    }

    /// Nobody is in a topic who has not joined it; notes what was dropped so far.
    pub(crate) fn note_shed(&mut self, cx: &mut Cx<'_>) {
        for (topic, members) in &self.topics {
            assert!(cx.subscribers(&name_of(*topic)) <= members.len(), "more than {members:?} in {topic}");
        }
        for entry in self.book.entries.values_mut().filter(|entry| entry.stage == Stage::Open) {
            entry.shed = cx.shed(entry.id);
        }
    }

    fn others(&self, id: ConnId) -> Vec<ConnId> {
        self.book.open_ids().into_iter().filter(|other| *other != id).collect()
    }

    fn leave(&mut self, cx: &mut Cx<'_>, id: ConnId, way: Way) {
        let entry = self.book.entry(id);
        entry.left |= entry.raw || way != Way::FinishWriting;
        match way {
            Way::Close => drop(cx.close(id, CloseCode::GOING_AWAY, "enough")),
            Way::Finish => cx.finish(id),
            Way::FinishWriting => cx.finish_writing(id),
            Way::Abort => cx.abort(id),
        }
    }

    /// Ids of connections that are over name nothing, though their slots may have been used again.
    fn try_the_dead(&mut self, cx: &mut Cx<'_>) {
        let is_dead = |entry: &&Entry| entry.stage == Stage::Closed && self.closing != Some(entry.id);
        for entry in self.book.entries.values().filter(is_dead) {
            assert!(cx.get(entry.id).is_none(), "{:?} is over and has data", entry.id);
            assert!(cx.send(entry.id, "hello?").is_err(), "{:?} is over and can be sent to", entry.id);
            assert!(cx.close(entry.id, CloseCode::NORMAL, "").is_err(), "{:?} is over and closes", entry.id);
        }
    }

    fn send(&mut self, cx: &mut Cx<'_>, id: ConnId, message: Message<'_>) -> bool {
        let is_sent = cx.send(id, message).is_ok();
        self.book.accepted += u64::from(is_sent && !self.book.entry(id).raw);
        let entry = self.book.entry(id);
        if is_sent {
            assert_ne!(entry.stage, Stage::Closed, "{id:?} is over and takes a message");
            if entry.raw {
                entry.sent_bytes.extend_from_slice(message.as_bytes());
            } else {
                entry.sent.push(Note::new(matches!(message, Message::Text(_)), message.as_bytes()));
            }
        }
        is_sent
    }

    /// A message that tells itself from all others.
    fn say(&mut self, cx: &mut Cx<'_>, id: ConnId, size: usize) -> bool {
        let entry = self.book.entry(id);
        let text = entry.sent.len().is_multiple_of(2);
        let mut payload = format!("{:x}.{}.", id.to_bits(), entry.sent.len() + entry.sent_bytes.len());
        while payload.len() < size {
            payload.push(char::from(LETTERS[payload.len() * 7 % LETTERS.len()]));
        }
        if text {
            self.send(cx, id, payload.as_str().into())
        } else {
            self.send(cx, id, payload.as_bytes().into())
        }
    }

    /// Goes on sending until it is refused.
    fn pour(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let Some((mut left, size)) = self.pours.remove(&id.to_bits()) else { return };
        while left > 0 && !cx.is_choked(id) && self.say(cx, id, size) {
            left -= 1;
        }
        if left > 0 {
            self.pours.insert(id.to_bits(), (left, size));
        }
    }

    pub(crate) fn call(&mut self, cx: &mut Cx<'_>, place: usize) {
        if self.next_tag - FIRST_CALL >= MOST_CALLS {
            return;
        }
        let Some(text) = self.places.targets.get(place % self.places.targets.len().max(1)) else { return };
        let raw = !text.starts_with("ws");
        let tag = self.next_tag;
        let text = if raw { text.clone() } else { format!("{text}{tag}") };
        let target: Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let Ok(connect) = Connect::to(&target.to_string()) else { panic!("{target} is one") };
        if let Ok(id) = cx.connect(&connect) {
            self.next_tag += 1;
            self.book.meet(id, Stage::Calling, raw).tag = Some(tag);
        }
    }

    fn pause(&mut self, cx: &mut Cx<'_>, id: ConnId, span: Duration) {
        if self.book.entry(id).stage == Stage::Open {
            self.book.entry(id).paused = true;
            cx.pause(id);
            self.set(cx, span, What::Resume(id));
        }
    }

    fn set(&mut self, cx: &mut Cx<'_>, span: Duration, what: What) {
        let token = self.next_token;
        self.next_token += 1;
        let key = cx.set_timer(span, token).expect("there is room for a timer");
        self.tasks.insert(token, Task { due: cx.now().saturating_add(span), key, what });
    }

    fn cancel_all(&mut self, cx: &mut Cx<'_>) {
        let tasks = std::mem::take(&mut self.tasks).into_iter();
        let (plain, others) = tasks.partition(|(_, task)| matches!(task.what, What::Act(_)));
        self.tasks = others;
        let plain: BTreeMap<u64, Task> = plain;
        for task in plain.into_values() {
            assert!(cx.cancel_timer(task.key), "a timer was not armed");
            assert!(!cx.cancel_timer(task.key), "a timer was cancelled twice");
        }
    }

    fn listen(&mut self, cx: &mut Cx<'_>, place: usize) {
        let Some((addr, listen)) = self.places.listeners.get(place % self.places.listeners.len().max(1))
        else {
            return;
        };
        if let Ok(listening) = cx.listen(addr, listen) {
            self.listeners.push(listening.id);
        }
    }

    fn decide(&mut self, cx: &mut Cx<'_>, id: ConnId, verdict: Verdict) {
        if self.book.entry(id).stage != Stage::Held {
            return;
        }
        match verdict {
            Verdict::Accept => {
                // Then it was answered by HTTP, and nothing follows.
                if cx.accept(id, &Accept::new()) == Err(DecideError::NotWebSocket) {
                    self.book.entry(id).stage = Stage::Asked;
                }
            }
            Verdict::Respond => {
                if cx.respond(id, &Response::new(Status::NOT_FOUND).text("later\n")).is_ok() {
                    self.book.entry(id).stage = Stage::Asked;
                }
            }
        }
    }

    fn decide_all(&mut self, cx: &mut Cx<'_>, verdict: Verdict) {
        let held = self.book.entries.values().filter(|entry| entry.stage == Stage::Held);
        let held: Vec<ConnId> = held.map(|entry| entry.id).collect();
        for id in held {
            self.decide(cx, id, verdict);
        }
    }

    /// Hands bytes to the other end of a proxied pair, and stops reading where they do not go out.
    fn relay(&mut self, cx: &mut Cx<'_>, from: ConnId, to: ConnId, bytes: &[u8]) {
        let stage = self.book.entry(to).stage;
        match stage {
            Stage::Open if self.send(cx, to, bytes.into()) => {}
            Stage::Open => self.leave(cx, to, Way::Abort),
            Stage::Calling => self.waiting.entry(to.to_bits()).or_default().extend_from_slice(bytes),
            Stage::Asked | Stage::Held | Stage::Closed => {}
        }
        if cx.is_choked(to) {
            self.book.entry(from).paused = true;
            cx.pause(from);
        }
    }

    fn connect_through(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        let Some(place) = self.manner.through else { return };
        let before = self.next_tag;
        self.call(cx, place);
        let upstream = self.book.of_tag(before).map(|entry| entry.id);
        match upstream {
            Some(upstream) => {
                self.pairs.insert(id.to_bits(), upstream);
                self.pairs.insert(upstream.to_bits(), id);
            }
            None => self.leave(cx, id, Way::Abort),
        }
    }
}

impl Handler for Player {
    type Conn = u32;
    type Post = u32;

    fn on_request(&mut self, cx: &mut Cx<'_>, id: ConnId, request: &Request<'_>) -> Answer {
        self.tick(cx);
        let tag = request.path().strip_prefix("/from/").and_then(|tag| tag.parse().ok());
        self.book.meet(id, Stage::Asked, false).tag = tag;
        match self.manner.request {
            OnRequest::Accept if request.is_websocket() => Accept::new().into(),
            OnRequest::Accept => Response::new(Status::OK).text("hello\n").into(),
            OnRequest::Respond(size) => Response::new(Status::OK).body(vec![b'.'; size]).into(),
            OnRequest::Hold(span, verdict) => {
                self.book.entry(id).stage = Stage::Held;
                self.set(cx, span, What::Decide(id, verdict));
                Answer::Hold
            }
            OnRequest::Forget => {
                self.book.entry(id).stage = Stage::Held;
                Answer::Hold
            }
            OnRequest::AbortAndAccept => {
                self.leave(cx, id, Way::Abort);
                Accept::new().into()
            }
        }
    }

    fn on_accepted(&mut self, cx: &mut Cx<'_>, id: ConnId, _agreed: &Agreed) {
        self.tick(cx);
        assert_eq!(self.book.entry(id).stage, Stage::Calling, "{id:?} is accepted, but was not called");
    }

    fn on_open(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        self.tick(cx);
        self.book.opened(id);
        cx.set_overflow(id, self.manner.overflow);
        if self.book.entry(id).raw {
            match self.book.entry(id).tag {
                None => self.connect_through(cx, id),
                Some(tag) => drop(self.send(cx, id, (&tag.to_be_bytes()).into())),
            }
            if let Some(bytes) = self.waiting.remove(&id.to_bits()) {
                self.send(cx, id, bytes.as_slice().into());
            }
        }
        let acts = self.manner.open.clone();
        self.act_all(cx, id, &acts, None);
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, id: ConnId, message: Message<'_>) {
        self.tick(cx);
        self.count(cx, id);
        let entry = self.book.entry(id);
        assert!(!entry.paused, "a message on {id:?}, which is paused");
        assert!(!entry.left, "a message on {id:?}, which the handler has left");
        let note = Note::new(matches!(message, Message::Text(_)), message.as_bytes());
        self.book.entry(id).received.push(note);
        let acts = self.manner.message.clone();
        self.act_all(cx, id, &acts, Some(message));
    }

    fn on_bytes(&mut self, cx: &mut Cx<'_>, id: ConnId, bytes: &[u8]) {
        self.tick(cx);
        self.count(cx, id);
        let entry = self.book.entry(id);
        assert!(!bytes.is_empty(), "no bytes are no event");
        assert!(!entry.heard_end, "bytes after the end on {id:?}");
        entry.received_bytes.extend_from_slice(bytes);
        if entry.tag.is_none() && entry.received_bytes.len() >= 4 {
            entry.tag = entry.received_bytes.first_chunk::<4>().map(|tag| u32::from_be_bytes(*tag));
        }
        if let Some(other) = self.pairs.get(&id.to_bits()).copied() {
            return self.relay(cx, id, other, bytes);
        }
        let acts = self.manner.message.clone();
        self.act_all(cx, id, &acts, Some(bytes.into()));
    }

    fn on_end(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        self.tick(cx);
        let entry = self.book.open(id);
        assert!(!entry.heard_end, "{id:?} ends twice");
        entry.calls -= 1;
        entry.heard_end = true;
        match self.pairs.get(&id.to_bits()).copied() {
            Some(other) if self.book.entry(other).stage == Stage::Open => cx.finish_writing(other),
            _ => self.leave(cx, id, Way::Finish),
        }
    }

    fn on_pong(&mut self, cx: &mut Cx<'_>, id: ConnId, payload: &[u8]) {
        self.tick(cx);
        self.count(cx, id);
        self.book.entry(id).pongs.push(payload.to_vec());
        let acts = self.manner.pong.clone();
        self.act_all(cx, id, &acts, None);
    }

    fn on_drain(&mut self, cx: &mut Cx<'_>, id: ConnId) {
        self.tick(cx);
        self.count(cx, id);
        self.pour(cx, id);
        if let Some(other) = self.pairs.get(&id.to_bits()).copied()
            && self.book.entry(other).stage == Stage::Open
        {
            self.book.entry(other).paused = false;
            cx.resume(other);
        }
        let acts = self.manner.drain.clone();
        self.act_all(cx, id, &acts, None);
    }

    fn on_timer(&mut self, cx: &mut Cx<'_>, token: u64) {
        self.tick(cx);
        self.timers_met += 1;
        let task = self.tasks.remove(&token).unwrap_or_else(|| panic!("timer {token} is not armed"));
        assert!(cx.now() >= task.due, "a timer of {:?} fires at {:?}", task.due, cx.now());
        let late = cx.now().since(task.due);
        let is_calm = self.calm_since.get().is_some_and(|since| task.due > since);
        assert!(!is_calm || late <= TICK, "a timer fires {late:?} late");
        match task.what {
            What::Resume(id) => {
                if self.book.entry(id).stage == Stage::Open {
                    self.book.entry(id).paused = false;
                    cx.resume(id);
                }
            }
            What::Decide(id, verdict) => self.decide(cx, id, verdict),
            What::Act(id) => {
                let acts = self.manner.timer.clone();
                self.act_all(cx, id, &acts, None);
            }
        }
        self.try_the_dead(cx);
    }

    fn on_post(&mut self, cx: &mut Cx<'_>, _post: u32) {
        self.tick(cx);
        self.posts_met += 1;
        let acts = self.manner.post.clone();
        for id in self.book.open_ids() {
            self.act_all(cx, id, &acts, None);
        }
    }

    fn on_close(&mut self, cx: &mut Cx<'_>, id: ConnId, closed: &Closed) {
        self.tick(cx);
        self.book.closed(id, closed);
        let shed = cx.shed(id);
        self.book.entry(id).shed = shed;
        (self.shed.dropped, self.shed.replaced) =
            (self.shed.dropped + shed.dropped, self.shed.replaced + shed.replaced);
        for (topic, members) in &mut self.topics {
            members.retain(|member| *member != id);
            assert!(cx.subscribers(&name_of(*topic)) <= members.len(), "{id:?} is over, but subscribes");
        }
        assert_ne!(cx.send_prepared(id, &mut Prepared::new("late")), Ok(Delivery::Staged));
        let own = *cx.get(id).unwrap_or_else(|| panic!("{id:?} has no data while it closes"));
        assert_eq!(own, self.book.entry(id).calls, "{id:?} has another connection's data");
        assert!(cx.send(id, "late").is_err(), "{id:?} closes and takes a message");
        self.waiting.remove(&id.to_bits());
        self.pours.remove(&id.to_bits());
        if let Some(other) = self.pairs.remove(&id.to_bits())
            && self.book.entry(other).stage != Stage::Closed
        {
            self.leave(cx, other, Way::Finish);
        }
        self.closing = Some(id);
        let acts = self.manner.close.clone();
        self.act_all(cx, id, &acts, None);
        self.closing = None;
    }

    fn on_listener_error(&mut self, cx: &mut Cx<'_>, _addr: &gnezdo::Addr, _error: &std::io::Error) {
        self.tick(cx);
        self.failed_listeners += 1;
    }
}

fn name_of(topic: usize) -> String {
    format!("topic {topic}")
}

/// What a client adds to a frame (RFC 6455 §5.2).
const MASK: usize = 4;
/// What the handler says in its pings; the loop's own say something else.
pub(crate) const PING: &[u8] = b"there?";
/// Tags of connections that our side makes begin here; those of visitors are below.
pub(crate) const FIRST_CALL: u32 = 1 << 16;
/// More than any plan needs, and few enough for all of them to end.
const MOST_ACTS: usize = 400;
const MOST_CALLS: u32 = 8;
/// Control frames and heads are not held to the queue's bound.
const EXEMPT: usize = 4 * 1024;
/// One tick of the loop's wheel, and a little for its rounding.
const TICK: Duration = Duration::from_micros(2_200);
