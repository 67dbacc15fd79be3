//! The codec for those who use it alone: one end of a connection with all that it needs, in the style of `handle_*` in and
//! `poll_*` out. Knows no sockets and no clocks.

use std::collections::VecDeque;
use std::fmt;

use super::close::{CloseCode, CloseFrame};
use super::error::ProtocolError;
use super::event::{Control, Event};
use super::extension::DeflateParams;
use super::keys::NoKeys;
use super::limits::Limits;
use super::message::Message;
use super::outgoing::{Compress, NotSent};
use super::protocol::{Protocol, State};
use super::role::Role;
use super::workspace::Workspace;

/// One end of one connection, for those who use the codec alone.
///
/// After the opening handshake, in any order and as often as wanted: what was received goes to
/// [`handle_input`](Endpoint::handle_input), the passing of the time of [`poll_timeout`](Endpoint::poll_timeout) to
/// [`handle_timeout`](Endpoint::handle_timeout), and the application's wishes to [`send`](Endpoint::send),
/// [`ping`](Endpoint::ping) and [`close`](Endpoint::close). After each of these, take
/// [`poll_event`](Endpoint::poll_event) until it gives `None`, send what [`poll_output`](Endpoint::poll_output) gives, and
/// ask for `poll_timeout` again. Once [`is_over`](Endpoint::is_over) and all output is sent, close the transport; a client
/// first gives the server a while to do so (RFC 6455 §7.1.1).
///
/// Pings are answered and closing handshakes completed without help. Times are in milliseconds of any clock that
/// never goes back.
///
/// ```
/// use gnezdo::ws::{CloseCode, Compress, Control, DeflateParams, Endpoint, Limits, NoKeys, OwnedEvent};
///
/// # fn random(bytes: &mut [u8]) -> Result<(), NoKeys> { bytes.fill(7); Ok(()) }
/// let deflate = cfg!(feature = "deflate").then(DeflateParams::default);
/// let mut client = Endpoint::client(deflate, Limits::default(), random);
/// let mut server = Endpoint::server(deflate, Limits::default());
///
/// // What one end gives out goes into the other.
/// fn carry(from: &mut Endpoint, to: &mut Endpoint, now_ms: u64) -> Vec<OwnedEvent> {
///     if let Some(mut wire) = from.poll_output() {
///         to.handle_input(&mut wire, now_ms);
///     }
///     std::iter::from_fn(|| to.poll_event()).collect()
/// }
///
/// let long = "a message that is worth compressing ".repeat(100);
/// client.send("hello", Compress::Auto)?;
/// client.send(&[1, 2, 3], Compress::Auto)?;
/// client.send(&long, Compress::Auto)?;
/// client.ping(&Control::new(b"?").unwrap())?;
/// let events = carry(&mut client, &mut server, 1_000);
/// assert_eq!(events[..2], [OwnedEvent::Text("hello".into()), OwnedEvent::Binary(vec![1, 2, 3])]);
/// assert_eq!(events[2..], [OwnedEvent::Text(long), OwnedEvent::Ping(Control::new(b"?").unwrap())]);
///
/// // The server has answered the ping; now it answers the greeting, and closes.
/// server.send("hello yourself", Compress::Auto)?;
/// server.close(CloseCode::NORMAL, "done", 1_000)?;
/// let events = carry(&mut server, &mut client, 1_001);
/// assert_eq!(events[..2], [OwnedEvent::Pong(Control::new(b"?").unwrap()), OwnedEvent::Text("hello yourself".into())]);
/// assert!(client.is_over());
///
/// // The client's answer to the Close is lost, and the clock jumps.
/// drop(client.poll_output());
/// assert_eq!(server.poll_timeout(), Some(6_000));
/// server.handle_timeout(6_000);
/// assert_eq!(server.poll_event(), Some(OwnedEvent::TimedOut));
/// assert!(server.is_over());
/// # Ok::<(), gnezdo::ws::NotSent>(())
/// ```
#[derive(Debug)]
pub struct Endpoint {
    protocol: Protocol,
    space: Workspace,
    limits: Limits,
    events: VecDeque<OwnedEvent>,
    output: Vec<u8>,
    /// The latest ping that waits for its answer because nobody takes the output.
    unanswered: Option<Control>,
    close_deadline: Option<u64>,
    random: Option<Random>,
}

/// Where a client's masking keys come from.
struct Random(Box<Fill>);

type Fill = dyn FnMut(&mut [u8]) -> Result<(), NoKeys> + Send;

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

/// One thing that the peer did, or did not do, in memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedEvent {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping; it has been answered.
    Ping(Control),
    /// A pong, asked for or not.
    Pong(Control),
    /// The peer's Close, and what it said; it has been answered.
    Close(Option<CloseFrame>),
    /// The peer broke a rule and has been told.
    Failed(ProtocolError),
    /// The peer did not answer our Close in time.
    TimedOut,
}

impl Endpoint {
    /// The server's end of a connection whose opening handshake has agreed on `deflate`.
    pub fn server(deflate: Option<DeflateParams>, limits: Limits) -> Endpoint {
        Endpoint::new(Protocol::server(deflate), limits, None)
    }

    /// The client's end of such a connection. `random` fills what it is given with bytes of a generator fit for secrets,
    /// or fails; see [`MaskKeys`](super::MaskKeys).
    pub fn client(
        deflate: Option<DeflateParams>,
        limits: Limits,
        random: impl FnMut(&mut [u8]) -> Result<(), NoKeys> + Send + 'static,
    ) -> Endpoint {
        Endpoint::new(Protocol::client(deflate), limits, Some(Random(Box::new(random))))
    }

    fn new(protocol: Protocol, limits: Limits, random: Option<Random>) -> Endpoint {
        Endpoint {
            protocol,
            space: Workspace::default(),
            limits,
            events: VecDeque::new(),
            output: Vec::new(),
            unanswered: None,
            close_deadline: None,
            random,
        }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.protocol.role()
    }

    /// Forgets the masking keys that were fetched ahead. After a `fork` the child does so, and makes sure that its
    /// generator gives other bytes than its parent's.
    pub fn discard_keys(&mut self) {
        self.space.keys().discard();
    }

    /// Takes in what was received, however it was cut; unmasks it in place.
    pub fn handle_input(&mut self, bytes: &mut [u8], now_ms: u64) {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.space.renew_inflate_budget();
            self.fetch_keys();
            while let Some(event) = self.protocol.receive(&mut rest, &mut self.space, &self.limits, now_ms) {
                self.answer(&event);
                self.fetch_keys();
                self.events.push_back(OwnedEvent::of(&event));
                self.recycle(event);
            }
        }
    }

    /// Takes in the passing of time.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let due = self.close_deadline.is_some_and(|deadline| deadline <= now_ms);
        if due && self.protocol.state() == State::CloseSent {
            self.protocol.release(&mut self.space);
            self.close_deadline = None;
            self.events.push_back(OwnedEvent::TimedOut);
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] once the connection is closing, [`NotSent::NoKeys`] for a client without randomness.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>, compress: Compress) -> Result<(), NotSent> {
        self.fetch_keys();
        self.protocol.encode(message.into(), compress, &mut self.space)?.write_to(&mut self.output);
        Ok(())
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] once the connection is closing, [`NotSent::NoKeys`] for a client without randomness.
    pub fn ping(&mut self, payload: &Control) -> Result<(), NotSent> {
        self.fetch_keys();
        self.protocol.ping(payload, &mut self.space, &mut self.output)
    }

    /// Starts the closing handshake, which the peer has five seconds to end.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] when it was started before, by whichever side, [`NotSent::NoKeys`] for a client without
    /// randomness.
    pub fn close(&mut self, code: CloseCode, reason: &str, now_ms: u64) -> Result<(), NotSent> {
        self.fetch_keys();
        self.protocol.close(code, reason, &mut self.space, &mut self.output)?;
        self.close_deadline = Some(now_ms.saturating_add(CLOSE_TIMEOUT_MS));
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<OwnedEvent> {
        self.events.pop_front()
    }

    /// What is to be sent to the peer now, all of it.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        if let Some(ping) = self.unanswered.take() {
            self.fetch_keys();
            // After the peer's Close no answer is due any more (RFC 6455 §5.5.2).
            let written = self.protocol.pong(&ping, &mut self.space, &mut self.output);
            self.unanswered = (written == Err(NotSent::NoKeys)).then_some(ping);
        }
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// When to call [`handle_timeout`](Endpoint::handle_timeout), if ever.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.close_deadline.filter(|_| self.protocol.state() == State::CloseSent)
    }

    /// Whether the connection is to be closed as soon as the output is sent.
    pub fn is_over(&self) -> bool {
        matches!(self.protocol.state(), State::Closed | State::Failed)
    }

    /// Keeps a client from running out of masking keys. Whoever needs one that did not come says so.
    fn fetch_keys(&mut self) {
        if let Some(Random(random)) = &mut self.random
            && self.space.keys().remaining() == 0
        {
            let _ = self.space.keys().refill(random);
        }
    }

    fn answer(&mut self, event: &Event<'_>) {
        match event {
            Event::Ping(ping) if self.output.len() < PATIENCE => {
                let written = self.protocol.pong(ping, &mut self.space, &mut self.output);
                self.unanswered = written.is_err().then_some(*ping);
            }
            // RFC 6455 §5.5.3: of several pings only the latest need be answered.
            Event::Ping(ping) => self.unanswered = Some(*ping),
            Event::Close(_) | Event::Failed(_) => self.output.append(&mut self.space.replies),
            Event::Message(_) | Event::Pong(_) => {}
        }
    }

    fn recycle(&mut self, event: Event<'_>) {
        if let Event::Message(payload) = event {
            self.space.recycle(payload);
        }
    }
}

impl OwnedEvent {
    fn of(event: &Event<'_>) -> OwnedEvent {
        match event {
            Event::Message(payload) => match payload.message() {
                Message::Text(text) => OwnedEvent::Text(text.as_str().to_owned()),
                Message::Binary(bytes) => OwnedEvent::Binary(bytes.to_vec()),
            },
            Event::Ping(ping) => OwnedEvent::Ping(*ping),
            Event::Pong(pong) => OwnedEvent::Pong(*pong),
            Event::Close(close) => OwnedEvent::Close(*close),
            Event::Failed(error) => OwnedEvent::Failed(*error),
        }
    }
}

/// How long the peer may take to answer a Close.
const CLOSE_TIMEOUT_MS: u64 = 5_000;
/// With this much output waiting, pongs are no longer queued one by one.
const PATIENCE: usize = 64 * 1024;
