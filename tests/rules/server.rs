//! A reactor in a thread of its own, with a handler made of closures that keeps a ledger of every connection.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};

use gnezdo::{
    Accept, Addr, Answer, Closed, Config, ConnId, Context, Handler, Listen, ListenerId, Message, Reactor,
    Remote, Request,
};

pub(crate) type Cx<'a> = Context<'a, Scripted>;

type OnRequest = Box<dyn FnMut(&mut Cx<'_>, ConnId, &Request<'_>) -> Answer + Send>;
type OnMessage = Box<dyn FnMut(&mut Cx<'_>, ConnId, Message<'_>) + Send>;
type OnBytes = Box<dyn FnMut(&mut Cx<'_>, ConnId, &[u8]) + Send>;
type OnConn = Box<dyn FnMut(&mut Cx<'_>, ConnId) + Send>;
type OnTimer = Box<dyn FnMut(&mut Cx<'_>, u64) + Send>;
type OnClose = Box<dyn FnMut(&mut Cx<'_>, ConnId, &Closed) + Send>;

/// A handler of closures. It panics, and so fails the test, where the order of calls is not the documented one:
/// `on_request → on_open → ( on_message | on_bytes | on_pong | on_drain )* → on_end? → on_close`, once each.
#[derive(Default)]
pub(crate) struct Scripted {
    request: Option<OnRequest>,
    open: Option<OnConn>,
    message: Option<OnMessage>,
    bytes: Option<OnBytes>,
    pong: Option<OnBytes>,
    end: Option<OnConn>,
    drain: Option<OnConn>,
    timer: Option<OnTimer>,
    close: Option<OnClose>,
    ledger: HashMap<u64, Life>,
    pub(crate) watch: Arc<Watch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Held,
    Open,
    Ended,
    Closed,
}

/// What the test sees of the server's thread.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) turns: AtomicU64,
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: AtomicUsize,
    pub(crate) opened: AtomicUsize,
    pub(crate) messages: AtomicUsize,
    pub(crate) drains: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    /// How connections ended, in order: the reason as `Debug` shows it.
    pub(crate) reasons: Mutex<Vec<String>>,
    /// The listeners, in the order of the addresses.
    pub(crate) listeners: Mutex<Vec<ListenerId>>,
    thread: Mutex<String>,
}

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::SeqCst);
}

macro_rules! setters {
    ($($name:ident: $field:ident, ($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        $(
            pub(crate) fn $name(mut self, act: impl FnMut($($argument),*) $(-> $answer)? + Send + 'static) -> Self {
                self.$field = Some(Box::new(act));
                self
            }
        )*
    };
}

impl Scripted {
    /// Sends every message and every byte back.
    pub(crate) fn echo() -> Self {
        let echo = Self::default().on_message(|cx, id, message| {
            let _ = cx.send(id, message).unwrap();
        });
        echo.on_bytes(|cx, id, bytes| {
            let _ = cx.send(id, bytes).unwrap();
        })
    }

    /// Takes everything and says nothing.
    pub(crate) fn sink() -> Self {
        Self::default()
    }

    setters! {
        on_request: request, (&mut Cx<'_>, ConnId, &Request<'_>) -> Answer;
        on_open: open, (&mut Cx<'_>, ConnId);
        on_message: message, (&mut Cx<'_>, ConnId, Message<'_>);
        on_bytes: bytes, (&mut Cx<'_>, ConnId, &[u8]);
        on_pong: pong, (&mut Cx<'_>, ConnId, &[u8]);
        on_end: end, (&mut Cx<'_>, ConnId);
        on_drain: drain, (&mut Cx<'_>, ConnId);
        on_timer: timer, (&mut Cx<'_>, u64);
        on_close: close, (&mut Cx<'_>, ConnId, &Closed);
    }

    /// Notes that `call` was made for `id`, which was in one of these states before.
    fn note(&mut self, call: &str, id: ConnId, allowed: &[Option<Life>], next: Option<Life>) {
        let before = self.ledger.get(&id.to_bits()).copied();
        assert!(allowed.contains(&before), "{call} for {id:?}, which was {before:?}");
        if let Some(next) = next {
            self.ledger.insert(id.to_bits(), next);
        }
    }
}

impl Handler for Scripted {
    type Conn = ();
    type Post = ();

    fn on_request(&mut self, cx: &mut Context<'_, Self>, id: ConnId, request: &Request<'_>) -> Answer {
        self.note("on_request", id, &[None], None);
        add(&self.watch.requests);
        let answer = match &mut self.request {
            Some(act) => act(cx, id, request),
            None => Accept::new().into(),
        };
        if matches!(answer, Answer::Hold) {
            self.ledger.insert(id.to_bits(), Life::Held);
        }
        answer
    }

    fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.note("on_open", id, &[None, Some(Life::Held)], Some(Life::Open));
        add(&self.watch.opened);
        if let Some(act) = &mut self.open {
            act(cx, id);
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        self.note("on_message", id, &[Some(Life::Open)], None);
        add(&self.watch.messages);
        if let Some(act) = &mut self.message {
            act(cx, id, message);
        }
    }

    fn on_bytes(&mut self, cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        self.note("on_bytes", id, &[Some(Life::Open)], None);
        if let Some(act) = &mut self.bytes {
            act(cx, id, bytes);
        }
    }

    fn on_pong(&mut self, cx: &mut Context<'_, Self>, id: ConnId, payload: &[u8]) {
        self.note("on_pong", id, &[Some(Life::Open)], None);
        if let Some(act) = &mut self.pong {
            act(cx, id, payload);
        }
    }

    fn on_end(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.note("on_end", id, &[Some(Life::Open)], Some(Life::Ended));
        match &mut self.end {
            Some(act) => act(cx, id),
            None => cx.finish(id),
        }
    }

    fn on_drain(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
        self.note("on_drain", id, &[Some(Life::Open), Some(Life::Ended)], None);
        add(&self.watch.drains);
        if let Some(act) = &mut self.drain {
            act(cx, id);
        }
    }

    fn on_timer(&mut self, cx: &mut Context<'_, Self>, token: u64) {
        if let Some(act) = &mut self.timer {
            act(cx, token);
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        let lives = [Life::Held, Life::Open, Life::Ended].map(Some);
        self.note("on_close", id, &lives, Some(Life::Closed));
        assert!(cx.get(id).is_some(), "the data is there until on_close returned");
        self.watch.reasons.lock().unwrap().push(format!("{:?}", closed.reason));
        add(&self.watch.closed);
        if let Some(act) = &mut self.close {
            act(cx, id, closed);
        }
    }
}

/// A reactor in its thread; dropped, it stops, and hands on the panic of a handler.
pub(crate) struct Server {
    pub(crate) addrs: Vec<Addr>,
    pub(crate) remote: Remote<()>,
    pub(crate) watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// On one port of the loopback, for `WebSocket`s.
    pub(crate) fn start(handler: Scripted, config: Config) -> Self {
        Self::start_on(handler, config, vec![("127.0.0.1:0".parse().unwrap(), Listen::default())])
    }

    pub(crate) fn echo() -> Self {
        Self::start(Scripted::echo(), Config::default())
    }

    pub(crate) fn start_on(handler: Scripted, config: Config, listens: Vec<(Addr, Listen)>) -> Self {
        let (sender, receiver) = mpsc::channel();
        let watch = Arc::clone(&handler.watch);
        let seen = Arc::clone(&watch);
        let thread = std::thread::spawn(move || {
            let task = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            *seen.thread.lock().unwrap() = format!("/proc/{}/schedstat", task.display());
            let mut reactor = Reactor::new(handler, config).unwrap();
            let mut addrs = Vec::new();
            for (addr, listen) in &listens {
                let listening = reactor.listen_with(addr, listen).unwrap();
                seen.listeners.lock().unwrap().push(listening.id);
                addrs.push(listening.addr);
            }
            sender.send((addrs, reactor.remote())).unwrap();
            let mut turns = Turns::of(&reactor);
            while !reactor.is_stopped() {
                turns.next(&mut reactor);
                seen.turns.fetch_add(1, Ordering::SeqCst);
                seen.connections.store(reactor.with(|_, cx| cx.connections()), Ordering::SeqCst);
            }
        });
        let (addrs, remote) = receiver.recv().unwrap();
        Self { addrs, remote, watch, thread: Some(thread) }
    }

    /// What the handler was asked and told so far.
    pub(crate) fn count(&self, of: impl Fn(&Watch) -> &AtomicUsize) -> usize {
        of(&self.watch).load(Ordering::SeqCst)
    }

    pub(crate) fn opened(&self) -> usize {
        self.count(|watch| &watch.opened)
    }

    pub(crate) fn closed(&self) -> usize {
        self.count(|watch| &watch.closed)
    }

    pub(crate) fn reasons(&self) -> Vec<String> {
        self.watch.reasons.lock().unwrap().clone()
    }

    pub(crate) fn turns(&self) -> u64 {
        self.watch.turns.load(Ordering::SeqCst)
    }

    /// Waits until the last slot is back and every connection that opened was closed once.
    pub(crate) fn expect_empty(&self) {
        super::eventually("all slots are back", || {
            self.thread.as_ref().unwrap().is_finished()
                || self.count(|watch| &watch.connections) == 0 && self.opened() <= self.closed()
        });
    }

    /// The loop sleeps: it makes next to no turns, at the latest when a busy machine has told it of all that was before.
    pub(crate) fn expect_idle(&self) {
        const SPANS: usize = 5;
        let turns_of_a_span = || {
            let turns = self.turns();
            std::thread::sleep(Duration::from_millis(400));
            self.turns() - turns
        };
        let busy: Vec<u64> = (0..SPANS).map(|_| turns_of_a_span()).take_while(|turns| *turns > 20).collect();
        assert!(busy.len() < SPANS, "{busy:?} turns in each 400 ms of nothing");
    }

    /// CPU time of the loop's thread so far.
    pub(crate) fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(&*self.watch.thread.lock().unwrap()).unwrap_or_default();
        let spent = text.split(' ').next().and_then(|field| field.parse().ok());
        Duration::from_nanos(spent.unwrap_or_default())
    }

    /// Waits for the thread to end by itself, within a limit.
    pub(crate) fn expect_end(mut self, limit: Duration) {
        let began = Instant::now();
        while !self.thread.as_ref().unwrap().is_finished() {
            assert!(began.elapsed() < limit, "the loop still runs after {limit:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Who runs the turns of a server: the reactor itself, or a loop around it that waits for other things too.
enum Turns {
    Own,
    Foreign { poll: Poll, events: Events },
}

impl Turns {
    /// The foreign loop where the tests stand in `embedded.rs`, the reactor's own everywhere else.
    fn of(reactor: &Reactor<Scripted>) -> Self {
        if env!("CARGO_CRATE_NAME") != "embedded" {
            return Self::Own;
        }
        let (poll, descriptor) = (Poll::new().unwrap(), reactor.as_raw_fd().unwrap());
        poll.registry().register(&mut SourceFd(&descriptor), mio::Token(0), Interest::READABLE).unwrap();
        Self::Foreign { poll, events: Events::with_capacity(4) }
    }

    fn next(&mut self, reactor: &mut Reactor<Scripted>) {
        let Self::Foreign { poll, events } = self else { return reactor.turn(None).unwrap() };
        match poll.poll(events, reactor.next_wait()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => reactor.turn(Some(Duration::ZERO)).unwrap(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.remote.stop();
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
