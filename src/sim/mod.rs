//! L2, a simulated kernel in the place of the real one: virtual sockets, a virtual clock, and every decision from one
//! tape; knows no protocol and no loop.
//!
//! A [`World`] holds everything: [`World::system`] gives the [`System`](crate::net::System) under a reactor, and
//! [`World::connect`] and [`World::listen`] give scripted peers outside of any. Time passes in a poll, in jumps, and in [`World::pass`]. A
//! [`Tape`] decides what goes wrong ([`Faults`]), how late things are and in which order events come; the same tape makes
//! the same world, and [`World::trace_hash`] proves it.
//!
//! The model is Linux: readiness as epoll(7) tells it at an edge, FIN and reset in order with the bytes, the backlog, what
//! each call answers before, at and after the end of a stream. It is one host without a file system: a Unix path is a
//! name, with neither directory nor permissions. Options of listeners and streams change nothing but the backlog and the
//! source address, nobody shares a port, and no address is held back after a close.
//!
//! ```
//! use std::time::Duration;
//!
//! use gnezdo::sim::{Tape, World, WorldConfig};
//! use gnezdo::{Config, ConnId, Context, Handler, Message, Reactor};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type Conn = ();
//!     type Post = ();
//!     fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
//!         let _ = cx.send(id, message);
//!     }
//! }
//!
//! let world = World::new(WorldConfig::default(), Tape::calm());
//! let mut reactor = Reactor::with_system(Echo, Config::default(), world.system())?;
//! let listening = reactor.listen(&"127.0.0.1:9001".parse()?)?;
//!
//! // A client that says nothing is sent away when its time is up: ten virtual seconds, no real ones.
//! let silent = world.connect(&listening.addr)?;
//! while world.now().as_nanos() < 20_000_000_000 && silent.is_connected() {
//!     reactor.turn(Some(Duration::from_secs(1)))?;
//! }
//! assert_eq!(world.now().as_nanos() / 1_000_000_000, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agenda;
mod closing;
mod disturbed;
mod edges;
mod faults;
mod happen;
mod kernel;
mod link;
mod listener;
mod peer;
mod stats;
mod stream;
mod system;
mod table;
mod tape;
mod wait;
mod world;

pub use faults::{CallKind, Calls, FaultPlan, Faults, Outcome};
pub use peer::{Peer, PeerListener};
pub use stats::Stats;
pub use system::SimSystem;
pub use tape::Tape;
pub use world::{World, WorldConfig};
