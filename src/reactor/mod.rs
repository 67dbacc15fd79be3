//! L3, the event loop: connections, listeners, readiness, budgets, deadlines and backpressure; knows no protocol.
//!
//! An [`EventLoop`] runs over a [`System`](crate::net::System), real or simulated, and gives bytes to a [`Driver`],
//! which answers through [`Io`]. Everything is single-threaded; nothing calls back into a call that is not over.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod accept;
mod announce;
mod awake;
mod connection;
mod core;
mod dial;
mod driver;
mod event;
mod event_loop;
mod io;
mod output;
mod queue;
mod secure;
mod sent;
mod settings;
mod share;
mod slow;
mod stats;
mod visit;
mod write;

pub use self::core::Source;
pub use accept::adopt;
pub use driver::{Cause, ConnId, Drain, Driver, End, ListenerId};
pub use event_loop::{Alert, EventLoop};
pub use io::Io;
pub use sent::{Bound, SendError, Sent};
pub use settings::{Settings, SettingsError};
pub use share::{Delivery, Overflow, Shed};
pub use slow::SlowTurn;
pub use stats::LoopStats;
