#![cfg_attr(feature = "net", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "net"), doc = "The protocols of gnezdo alone, without I/O: [`http`] and [`ws`].")]

pub mod buf;
#[cfg(feature = "net")]
mod face;
pub mod http;
#[cfg(feature = "net")]
mod journal;
mod mutants;
#[cfg(feature = "net")]
pub mod net;
pub mod proxy;
#[cfg(feature = "net")]
pub mod reactor;
#[cfg(feature = "sim")]
pub mod sim;
pub mod slab;
#[cfg(feature = "net")]
pub mod stats;
#[cfg(feature = "net")]
mod sync;
pub mod time;
#[cfg(feature = "net")]
#[cfg_attr(not(feature = "_tls"), path = "tls_absent.rs")]
pub mod tls;
#[cfg(feature = "net")]
mod topics;
pub mod ws;

#[cfg(feature = "net")]
pub use face::{
    Accept, Answer, CloseError, Closed, Config, ConfigError, Connect, ConnectError, Context, DecideError,
    Drain, Error, Fleet, FleetCounts, FleetError, FleetHandle, Handler, Listen, Listening, PostError,
    Published, Reactor, Reason, Remote, Request, Result, Serve, ShutdownReport, Side, Spread, Stats, Target,
    TargetError, Timeout, Timeouts, WebSocketConfig,
};
#[cfg(feature = "net")]
pub use net::{Addr, ListenOptions, Peer};
pub use proxy::{ProxyError, TrustedProxies};
#[cfg(feature = "net")]
pub use reactor::{ConnId, Delivery, ListenerId, Overflow, SendError, Sent, Settings, Shed, SlowTurn};
#[cfg(feature = "net")]
pub use tls::{TlsClient, TlsError, TlsServer};
#[cfg(feature = "net")]
pub use topics::{SubscribeError, TopicLimits};
pub use ws::{Limits, Message, Prepared};
