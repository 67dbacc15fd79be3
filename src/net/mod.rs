//! L2, listeners and streams: knows no protocol and no loop.
//!
//! [`System`] is the one door to the operating system: readiness, sockets, clock and randomness. [`OsSystem`] is the
//! real one, over `mio`, `socket2` and `rustix`; a simulated one can stand in for it. [`Addr`] names what is listened on or
//! connected to, [`Peer`] who is on the other side, and [`NetError`] says what went wrong and what cures it.

mod accept;
mod activation;
mod addr;
mod destination;
mod error;
mod inherited;
mod options;
mod os;
mod peer;
mod readiness;
mod system;
pub(crate) mod takeover;
mod unix;
mod unix_addr;
mod waker;

pub use accept::AcceptError;
pub use activation::ActivationError;
pub use addr::{Addr, AddrError};
pub use destination::Destination;
pub use error::NetError;
pub use inherited::Inherited;
pub use options::{ConnectOptions, Keepalive, ListenOptions, StreamOptions};
pub use os::OsSystem;
pub use peer::Peer;
pub use readiness::{Event, Key, Readiness};
pub use system::{CloseHow, Connecting, Resolved, SocketId, System};
pub use takeover::{Predecessor, TakeoverError};
pub use unix_addr::UnixAddr;
pub use waker::{Wake, Waker};
