//! L4, how a reactor behaves ([`Config`]) and what its peers may do (the limits inside): plain values, checked once.

use std::time::Duration;

use crate::http::HeadLimits;
use crate::net::{Addr, ListenOptions};
use crate::proxy::TrustedProxies;
use crate::reactor::{Settings, SettingsError};
use crate::tls::TlsServer;
use crate::topics::TopicLimits;
use crate::ws::{AbsentOrigin, DeflateConfig, DeflateConfigError, Limits, OriginPolicy};

/// How a [`Reactor`](crate::Reactor) behaves. The defaults are the safe ones.
#[derive(Clone, Debug)]
pub struct Config {
    /// What WebSocket listeners offer and allow, where a [`Listen`] says nothing else.
    pub websocket: WebSocketConfig,
    /// How long peers may take.
    pub timeouts: Timeouts,
    /// Budgets, queues and bounds of the loop.
    pub settings: Settings,
    /// Bounds of topics and their subscribers.
    pub topics: TopicLimits,
    /// Most connections that have not completed their opening handshake; beyond, the oldest of them is cut (R4).
    /// `None`, the default, takes a quarter of [`Settings::max_connections`].
    pub max_opening: Option<usize>,
    /// Most values that other threads may have posted and the loop has not taken yet: 1 to 1,048,576, and room for all
    /// of them is made at the start. Default 1,024. In a [`Fleet`](crate::Fleet) as many messages may wait from the other
    /// threads, whatever their size.
    pub max_posts: usize,
    /// Most posts taken per turn. Default 256.
    pub post_budget: usize,
    /// Most messages and control frames taken from a connection per turn, so that none starves the others with very
    /// short ones, which cost more per byte (R24). Default 1,024.
    pub message_budget: usize,
    /// Most bytes of emptied message buffers kept for the next messages; the rest is the system's again. Default 12 MiB.
    /// Raise it when many peers send messages of megabytes at the same time.
    pub message_pool: usize,
    /// Most bytes of messages that are not whole yet, of all connections together. Beyond it the connection that has most
    /// of them is cut, and the next one, until the rest fits (R50): who announces much and sends it slowly pays for all.
    /// Default 1 GiB.
    pub max_partial: usize,
    /// How much inflating may be done for one connection per turn, in units of about a nanosecond or two, so that a few
    /// compressed bytes cannot hold the loop (R15). At least 1. Default 262,144.
    pub inflate_budget: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            websocket: WebSocketConfig::default(),
            timeouts: Timeouts::default(),
            settings: Settings::default(),
            topics: TopicLimits::default(),
            max_opening: None,
            max_posts: 1_024,
            post_budget: 256,
            message_budget: 1_024,
            message_pool: 12 * 1024 * 1024,
            max_partial: 1024 * 1024 * 1024,
            inflate_budget: 256 * 1024,
        }
    }
}

/// How long peers may take. A peer that takes longer is cut off: never early, and at most 4 ms late while the loop is
/// not busy. What a peer sent in time counts, although it is read late, as by a process that was stopped meanwhile.
///
/// What is an `Option` is switched off by `None`, what is not by [`Duration::MAX`]. How long a peer may take none of
/// the bytes waiting for it is [`Settings::stall_timeout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the accept to the end of the opening handshake, however its bytes drip (R4). Default 10 s.
    pub opening: Duration,
    /// From [`Context::connect`](crate::Context::connect) until the connection is open: name, transport and answer.
    /// Default 10 s.
    pub connect: Duration,
    /// Without a byte from a WebSocket peer until it is sent a ping, so that one that lives shows it; half of
    /// [`Timeouts::idle`] where that is shorter. `None` sends none. Default 30 s.
    pub ping: Option<Duration>,
    /// Without a byte from the peer until it is cut off: a pong may take as long as this is longer than
    /// [`Timeouts::ping`]. A byte counts although what it belongs to is not whole yet: a message, or a record of TLS (R42).
    /// `None` keeps silent peers forever. Default 60 s.
    pub idle: Option<Duration>,
    /// From our close frame to the peer's (R21). Default 5 s.
    pub close: Duration,
    /// From the opening to a close frame with 1001, whatever happens meanwhile. Default `None`: no bound.
    pub lifetime: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            ping: Some(Duration::from_secs(30)),
            idle: Some(Duration::from_secs(60)),
            close: Duration::from_secs(5),
            lifetime: None,
        }
    }
}

/// What WebSocket connections of a listener may do.
#[derive(Clone, Debug, Default)]
pub struct WebSocketConfig {
    /// Bounds of the request's head.
    pub head: HeadLimits,
    /// Bounds of frames and messages.
    pub limits: Limits,
    /// Whether permessage-deflate (RFC 7692) is agreed to where the peer offers it, and how. `None`, the default:
    /// compression costs memory and time, and it leaks what is said when secrets and a stranger's words share a
    /// window (R17). Without the crate's feature `deflate` it stays off whatever this says.
    pub deflate: Option<DeflateConfig>,
    /// Which pages may connect (R8). Default: those of the same host, and whatever is no browser.
    pub origin: OriginPolicy,
    /// What of requests without an Origin, which browsers do not send. Default: they are allowed.
    pub absent_origin: AbsentOrigin,
}

/// A listener to open: where, what it serves, and how its sockets are set up.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// What its connections speak.
    pub serve: Serve,
    /// Backlog, address reuse, file mode, socket buffers.
    pub options: ListenOptions,
    /// With it everything above goes through TLS. `None`, the default: in clear. Needs the crate's feature `tls`.
    pub tls: Option<TlsServer>,
    /// With it every connection has to come from one of these proxies and to begin with a header of the PROXY protocol,
    /// version 1 or 2, before TLS and everything else, within [`Timeouts::opening`]. Whatever does not is reset, and
    /// [`Handler::on_proxy_error`](crate::Handler::on_proxy_error) says why, but for who is too slow or leaves before; it
    /// is never guessed whether a header is there. [`Context::peer`](crate::Context::peer) and [`Request::peer`](crate::Request::peer) then answer whom the
    /// proxy names. `None`, the default: clients connect directly.
    pub proxy: Option<TrustedProxies>,
}

/// What the connections of a listener speak.
#[derive(Clone, Debug, Default)]
pub enum Serve {
    /// HTTP/1.1 and, by its upgrade, WebSocket, as [`Config::websocket`] says.
    #[default]
    WebSocket,
    /// The same, as said here.
    WebSocketWith(Box<WebSocketConfig>),
    /// Bytes, as they come: [`Handler::on_bytes`](crate::Handler::on_bytes).
    Raw,
    /// The listeners themselves, all others of the reactor, 64 at most, to a process of the same user that takes this one's place
    /// ([`Predecessor`](crate::net::Predecessor)): once that one serves, this one lets go of them and ends as said here.
    /// At a path in the Unix domain; each message has to come within [`Timeouts::opening`].
    Takeover(Drain),
}

/// How a reactor ends that takes no more connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// For how long those that stand may go on as if nothing had happened. Default 60 s.
    pub patience: Duration,
    /// How long those that are left then may take to end in good order, as by
    /// [`Context::shutdown`](crate::Context::shutdown). Default 5 s.
    pub grace: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60), grace: Duration::from_secs(5) }
    }
}

impl Listen {
    /// A listener for raw bytes.
    #[must_use]
    pub fn raw() -> Self {
        Self { serve: Serve::Raw, ..Self::default() }
    }

    /// A listener for successors, with the default [`Drain`].
    #[must_use]
    pub fn takeover() -> Self {
        Self { serve: Serve::Takeover(Drain::default()), ..Self::default() }
    }

    /// Whether it can be had at `addr`.
    pub(super) fn check(&self, addr: &Addr) -> Result<(), ConfigError> {
        let is_plain = self.tls.is_none() && self.proxy.is_none();
        let has_path = matches!(addr, Addr::Unix(addr) if addr.as_path().is_some());
        match self.serve {
            Serve::Takeover(_) if !is_plain || !has_path => Err(ConfigError::TakeoverElsewhere),
            _ => Ok(()),
        }
    }
}

/// A configuration that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Budgets or marks.
    #[error("configuration: {0}")]
    Settings(#[from] SettingsError),
    /// A span of zero would cut every connection.
    #[error(
        "configuration: timeouts.{0} is zero, which would cut every connection; one that is an Option is switched off by None"
    )]
    ZeroTimeout(&'static str),
    /// A bound of zero would refuse every peer.
    #[error("configuration: {0} is 0, which would refuse every peer")]
    ZeroLimit(&'static str),
    /// The room for posts is made at the start, so it has a bound of its own.
    #[error("configuration: max_posts is {0}: give it 1 to 1,048,576")]
    TooManyPosts(usize),
    /// A compression setting is out of its range.
    #[error("configuration: {0}")]
    Deflate(#[from] DeflateConfigError),
    /// Successors have to come to a path of the Unix domain, in clear and without a proxy.
    #[error(
        "configuration: a takeover is listened for at a path, as `unix:/run/echo.takeover`, without tls or proxy"
    )]
    TakeoverElsewhere,
    /// There are more kinds of WebSocket service than can be counted.
    #[error("configuration: more than 65,535 listeners with a WebSocketConfig of their own")]
    TooManyServices,
}

impl Config {
    /// Whether a reactor can run with this.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.settings.check()?;
        let zero = |span: Duration| span.is_zero();
        let spans = [
            ("opening", zero(self.timeouts.opening)),
            ("connect", zero(self.timeouts.connect)),
            ("ping", self.timeouts.ping.is_some_and(zero)),
            ("idle", self.timeouts.idle.is_some_and(zero)),
            ("lifetime", self.timeouts.lifetime.is_some_and(zero)),
            ("close", zero(self.timeouts.close)),
        ];
        if let Some((name, _)) = spans.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::ZeroTimeout(name));
        }
        let counts = [
            ("max_opening", self.max_opening),
            ("max_posts", Some(self.max_posts)),
            ("post_budget", Some(self.post_budget)),
            ("message_budget", Some(self.message_budget)),
            ("inflate_budget", Some(self.inflate_budget)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
            return Err(ConfigError::ZeroLimit(name));
        }
        if self.max_posts > MOST_POSTS {
            return Err(ConfigError::TooManyPosts(self.max_posts));
        }
        self.websocket.check()
    }

    pub(super) fn max_opening(&self) -> usize {
        self.max_opening.unwrap_or(self.settings.max_connections.div_ceil(4))
    }
}

impl WebSocketConfig {
    /// Whether a listener can serve with this.
    ///
    /// # Errors
    ///
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("head.max_bytes", self.head.max_bytes == 0),
            ("head.max_headers", self.head.max_headers == 0),
            ("limits.max_frame", self.limits.max_frame == 0),
            ("limits.max_message", self.limits.max_message == 0),
            ("limits.max_fragments", self.limits.max_fragments == 0),
        ];
        if let Some((name, _)) = bounds.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::ZeroLimit(name));
        }
        self.deflate.as_ref().map_or(Ok(()), |deflate| deflate.validate().map_err(ConfigError::from))
    }
}

const MOST_POSTS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn a_contradiction_is_an_error_that_names_it() {
        let mut config = Config::default();
        config.timeouts.idle = Some(Duration::ZERO);
        assert_eq!(config.check(), Err(ConfigError::ZeroTimeout("idle")));
        let mut config = Config::default();
        config.websocket.limits.max_message = 0;
        assert_eq!(config.check(), Err(ConfigError::ZeroLimit("limits.max_message")));
        let config = Config { max_opening: Some(0), ..Config::default() };
        assert!(config.check().unwrap_err().to_string().contains("max_opening"));
        for (max_posts, is_fine) in [(MOST_POSTS, true), (MOST_POSTS + 1, false), (usize::MAX, false)] {
            assert_eq!(Config { max_posts, ..Config::default() }.check().is_ok(), is_fine);
        }
        let mut config = Config::default();
        config.settings.low_water = usize::MAX;
        assert!(matches!(config.check(), Err(ConfigError::Settings(_))));
    }
}
