//! Gnezdo: one thread, one readiness loop, every socket.

pub mod buf;
pub mod http;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod reactor;
pub mod slab;
pub mod time;
pub mod ws;
