//! L4, the paved road: a [`Handler`] called by a [`Reactor`], with the protocols below it wired to the loop.

#![expect(clippy::mut_mut, reason = "input is taken off the front of a slice, as `Read for &[u8]` does")]

mod answer;
mod closed;
mod config;
mod connect;
mod context;
mod conversation;
mod error;
mod fleet;
mod handler;
mod opening;
mod publish;
mod reactor;
mod relief;
mod remote;
mod runtime;
mod services;
mod session;
mod shutdown;
#[cfg(all(test, shuttle))]
mod sleeper;
mod stats;
mod target;
mod watch;

pub use answer::{Accept, Answer, Request};
pub use closed::{Closed, Reason, Side, Timeout};
pub use config::{Config, ConfigError, Drain, Listen, Serve, Timeouts, WebSocketConfig};
pub use connect::{Connect, ConnectError};
pub use context::{CloseError, Context, DecideError};
pub use error::{Error, Result};
pub use fleet::{Fleet, FleetCounts, FleetError, FleetHandle, Spread};
pub use handler::Handler;
pub use publish::Published;
pub use reactor::{Listening, Reactor};
pub use remote::{PostError, Remote};
pub use shutdown::ShutdownReport;
pub use stats::Stats;
pub use target::{Target, TargetError};
