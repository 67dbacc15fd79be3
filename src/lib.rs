//! Gnezdo: one thread, one readiness loop, every socket.
//!
//! The layers, lowest first; each may use those above it in this list and knows nothing of those below:
//! `buf`, `slab` and `time`; [`http`] and [`ws`], which know neither sockets nor clocks; [`net`], the sockets;
//! `reactor`, the loop; and the face in this module.

pub mod buf;
pub mod http;
#[cfg(feature = "net")]
pub mod net;
pub mod ws;
