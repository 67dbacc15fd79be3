//! A client over the crate's own reactor, in the thread of the test: it calls, and hands out one by one what it is told.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gnezdo::net::{OsSystem, System};
use gnezdo::ws::{Agreed, CloseCode, CloseFrame};
use gnezdo::{Closed, Config, ConnId, Connect, Context, Handler, Message, Reactor, Reason};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a client is told of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Accepted(Agreed),
    Open,
    Text(String),
    Binary(Vec<u8>),
    Bytes(Vec<u8>),
    Pong(Vec<u8>),
    Ended(Ended),
}

/// How a connection ended, to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The reason as `Debug` shows it.
    pub(crate) reason: String,
    /// All of it as users are shown it.
    pub(crate) said: String,
    pub(crate) is_failure: bool,
    pub(crate) target: Option<String>,
    /// What the peer's close frame said.
    pub(crate) frame: Option<CloseFrame>,
}

impl From<&Closed> for Ended {
    fn from(closed: &Closed) -> Self {
        let frame = match &closed.reason {
            Reason::Handshake { frame, .. } => *frame,
            _ => None,
        };
        Self {
            reason: format!("{:?}", closed.reason),
            said: closed.to_string(),
            is_failure: closed.reason.is_failure(),
            target: closed.target.as_ref().map(ToString::to_string),
            frame,
        }
    }
}

/// A handler that writes everything down.
#[derive(Default)]
pub(crate) struct Notes(VecDeque<(ConnId, Told)>);

impl Handler for Notes {
    type Conn = ();
    type Post = ();

    fn on_accepted(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, agreed: &Agreed) {
        self.0.push_back((id, Told::Accepted(agreed.clone())));
    }

    fn on_open(&mut self, _cx: &mut Context<'_, Self>, id: ConnId) {
        self.0.push_back((id, Told::Open));
    }

    fn on_message(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let told = match message {
            Message::Text(text) => Told::Text(text.to_string()),
            Message::Binary(bytes) => Told::Binary(bytes.to_vec()),
        };
        self.0.push_back((id, told));
    }

    fn on_bytes(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, bytes: &[u8]) {
        self.0.push_back((id, Told::Bytes(bytes.to_vec())));
    }

    fn on_pong(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, payload: &[u8]) {
        self.0.push_back((id, Told::Pong(payload.to_vec())));
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, id: ConnId, closed: &Closed) {
        self.0.push_back((id, Told::Ended(closed.into())));
    }
}

/// A reactor that only calls.
pub(crate) struct Caller<S: System = OsSystem> {
    pub(crate) reactor: Reactor<Notes, S>,
}

impl Caller {
    pub(crate) fn new(config: Config) -> Self {
        Self { reactor: Reactor::new(Notes::default(), config).unwrap() }
    }

    /// One that gives up after so long.
    pub(crate) fn giving_up_after(span: Duration) -> Self {
        Self::new(giving_up_after(span))
    }
}

pub(crate) fn giving_up_after(span: Duration) -> Config {
    let mut config = Config::default();
    config.timeouts.connect = span;
    config
}

impl<S: System> Caller<S> {
    pub(crate) fn with_system(config: Config, system: S) -> Self {
        Self { reactor: Reactor::with_system(Notes::default(), config, system).unwrap() }
    }

    pub(crate) fn call(&mut self, target: &str) -> ConnId {
        self.connect(&Connect::to(target).unwrap())
    }

    pub(crate) fn connect(&mut self, connect: &Connect) -> ConnId {
        self.reactor.with(|_, cx| cx.connect(connect).unwrap())
    }

    pub(crate) fn turn(&mut self) {
        self.reactor.turn(Some(Duration::from_millis(20))).unwrap();
    }

    /// The next thing that is told of a connection.
    pub(crate) fn next(&mut self, id: ConnId) -> Told {
        let began = Instant::now();
        loop {
            let notes = self.reactor.with(|notes, _| {
                let at = notes.0.iter().position(|(of, _)| *of == id);
                at.and_then(|at| notes.0.remove(at))
            });
            if let Some((_, told)) = notes {
                return told;
            }
            assert!(began.elapsed() < PATIENCE, "nothing is told of {id:?}");
            self.turn();
        }
    }

    /// The terms of a WebSocket that has to open next.
    pub(crate) fn opened(&mut self, id: ConnId) -> Agreed {
        let agreed = match self.next(id) {
            Told::Accepted(agreed) => agreed,
            other => unreachable!("{other:?} instead of an accepted call"),
        };
        assert_eq!(self.next(id), Told::Open);
        agreed
    }

    /// How a connection ended, of which nothing else is told before.
    pub(crate) fn ended(&mut self, id: ConnId) -> Ended {
        match self.next(id) {
            Told::Ended(ended) => ended,
            other => unreachable!("{other:?} instead of the end"),
        }
    }

    pub(crate) fn send<'m>(&mut self, id: ConnId, message: impl Into<Message<'m>>) {
        self.reactor.with(|_, cx| cx.send(id, message).map(drop).unwrap());
    }

    pub(crate) fn ping(&mut self, id: ConnId, payload: &[u8]) {
        self.reactor.with(|_, cx| cx.ping(id, payload).map(drop).unwrap());
    }

    /// Starts the closing handshake, and waits for its end.
    pub(crate) fn close(&mut self, id: ConnId, code: CloseCode, reason: &str) -> Ended {
        self.reactor.with(|_, cx| cx.close(id, code, reason).unwrap());
        self.ended(id)
    }

    /// Waits until every slot is free, and no deadline is armed.
    pub(crate) fn settle(&mut self) {
        let began = Instant::now();
        while self.reactor.with(|_, cx| cx.connections()) > 0 || self.reactor.next_deadline().is_some() {
            assert!(began.elapsed() < PATIENCE, "a connection or a deadline stays");
            self.turn();
        }
    }
}
