//! What is to happen in one world, said in full before it begins; knows neither how it is run nor how it is judged.

use std::net::IpAddr;
use std::time::Duration;

use gnezdo::ws::DeflateConfig;
use gnezdo::{Addr, Config, Listen, Serve};

use super::actor::{Part, Step, Until};
use super::player::{Manner, Places};
use super::wire::Note;

/// One world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) config: Config,
    pub(crate) manner: Manner,
    pub(crate) places: Places,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) names: Vec<(String, Vec<IpAddr>)>,
    /// Places that our side connects to at the start.
    pub(crate) calls: Vec<usize>,
    /// When another thread posts something.
    pub(crate) posts: Vec<Duration>,
    pub(crate) ending: Ending,
    /// Where nothing gets lost everybody hears all that is sent to them, and nobody is cut off.
    pub(crate) all_is_heard: bool,
    /// How a connection has to end where nothing is disturbed.
    pub(crate) end: Option<&'static str>,
    /// Descriptors our side may have open.
    pub(crate) descriptors: usize,
    /// Bytes that the kernel keeps of one direction of a stream.
    pub(crate) buffer: usize,
}

/// A client that comes to one of our listeners.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) at: Duration,
    pub(crate) place: usize,
    pub(crate) part: Part,
    pub(crate) script: Vec<Step>,
    /// How often it comes back when it is done.
    pub(crate) again: usize,
}

/// A server that our side may connect to: who connects meets this script.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) addr: Addr,
    pub(crate) part: Part,
    pub(crate) script: Vec<Step>,
}

/// How a world ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a shutdown with some grace.
    Shutdown(Duration),
    /// The handler closes every connection and every listener.
    CloseAll,
    AbortAll,
    /// The peers leave.
    PeersLeave,
}

impl Plan {
    /// Nobody comes, and what does is accepted; timeouts are short.
    pub(crate) fn new(name: &str) -> Self {
        let config = quick_config();
        let places =
            Places { targets: Vec::new(), listeners: Vec::new(), max_queue: config.settings.max_queue };
        Self {
            name: name.to_owned(),
            config,
            manner: Manner::default(),
            places,
            visitors: Vec::new(),
            hosts: Vec::new(),
            names: Vec::new(),
            calls: Vec::new(),
            posts: Vec::new(),
            ending: Ending::CloseAll,
            all_is_heard: false,
            end: None,
            descriptors: 64,
            buffer: 32 * 1024,
        }
    }

    /// Serves `WebSockets` over TCP, and listens to raw bytes beside it.
    pub(crate) fn serving(name: &str) -> Self {
        let mut plan = Self::new(name);
        plan.places.listeners.push((addr("10.0.0.1:80"), Listen::default()));
        plan.places.listeners.push((addr("unix:@server"), Listen::default()));
        plan.places.listeners.push((addr("10.0.0.1:7"), Listen::raw()));
        plan
    }

    pub(crate) fn visitor(mut self, script: Vec<Step>) -> Self {
        self.visitors.push(Visitor::to(0, Part::Client, script));
        self
    }

    pub(crate) fn unix_visitor(mut self, script: Vec<Step>) -> Self {
        self.visitors.push(Visitor::to(1, Part::Client, script));
        self
    }

    pub(crate) fn raw_visitor(mut self, script: Vec<Step>) -> Self {
        self.visitors.push(Visitor::to(2, Part::Raw, script));
        self
    }

    /// A server to be called, and the call.
    pub(crate) fn calling(mut self, target: &str, host: &str, part: Part, script: Vec<Step>) -> Self {
        self.calls.push(self.places.targets.len());
        self.places.targets.push(target.to_owned());
        self.hosts.push(Host { addr: addr(host), part, script });
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.places.max_queue = self.config.settings.max_queue;
        self
    }

    /// What the handler is told of one of the connections, where nothing is disturbed.
    pub(crate) fn ends(self, end: &'static str) -> Self {
        self.with(|plan| plan.end = Some(end))
    }

    /// Agrees to compression and offers it.
    pub(crate) fn deflating(self) -> Self {
        self.with(|plan| {
            let deflate = DeflateConfig { threshold: 8, ..DeflateConfig::default() };
            plan.config.websocket.deflate = Some(deflate);
        })
    }
}

impl Visitor {
    pub(crate) fn to(place: usize, part: Part, script: Vec<Step>) -> Self {
        Self { at: Duration::ZERO, place, part, script, again: 0 }
    }
}

pub(crate) fn addr(text: &str) -> Addr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What visitors of a listener speak.
pub(crate) fn part_of(listen: &Listen) -> Part {
    match listen.serve {
        // No plan hands anything over; what a successor says is bytes.
        Serve::Raw | Serve::Takeover(_) => Part::Raw,
        Serve::WebSocket | Serve::WebSocketWith(_) => Part::Client,
    }
}

/// The defaults, but impatient.
pub(crate) fn quick_config() -> Config {
    let mut config = Config::default();
    config.timeouts.opening = Duration::from_secs(2);
    config.timeouts.connect = Duration::from_secs(2);
    config.timeouts.ping = Some(Duration::from_secs(4));
    config.timeouts.idle = Some(Duration::from_secs(8));
    config.timeouts.close = Duration::from_secs(1);
    config.settings.stall_timeout = Duration::from_secs(2);
    config.settings.linger_timeout = Duration::from_millis(500);
    config.settings.receive_budget = 4 * 1024;
    config
}

/// Text that tells itself from others, of so many bytes.
pub(crate) fn note(seed: usize, size: usize) -> Note {
    let payload: Vec<u8> =
        (0..size).map(|at| LETTERS[(at * 31 + seed * 17 + at / 26) % LETTERS.len()]).collect();
    Note::new(seed.is_multiple_of(2), payload)
}

/// What messages are made of.
pub(crate) const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

pub(crate) fn say(seed: usize, size: usize) -> Step {
    Step::Say { note: note(seed, size), frames: 1, compressed: false }
}

pub(crate) fn say_in(seed: usize, size: usize, frames: usize) -> Step {
    Step::Say { note: note(seed, size), frames, compressed: false }
}

pub(crate) fn say_compressed(seed: usize, size: usize, frames: usize) -> Step {
    Step::Say { note: note(seed, size), frames, compressed: true }
}

pub(crate) fn wait(milliseconds: u64) -> Step {
    Step::Wait(Duration::from_millis(milliseconds))
}

/// An opening handshake, waited for.
pub(crate) fn hello() -> Vec<Step> {
    vec![Step::Greet, Step::Until(Until::Open)]
}

/// A closing handshake, waited for.
pub(crate) fn goodbye() -> Vec<Step> {
    vec![Step::Close(1000), Step::Until(Until::Ended)]
}

/// A visit in good order with this in the middle.
pub(crate) fn visit(middle: impl IntoIterator<Item = Step>) -> Vec<Step> {
    hello().into_iter().chain(middle).chain(goodbye()).collect()
}
