//! The WebSocket codec from outside: bytes in, events and bytes out, however the bytes are cut.
//!
//! The vectors are written by the book (`rig`), not with the crate's own encoder.
#![expect(
    clippy::cast_possible_truncation,
    clippy::large_stack_arrays,
    clippy::mut_mut,
    clippy::unwrap_used,
    reason = "what would be careless in the crate is plain in its tests, helpers included"
)]

mod client;
#[cfg(feature = "deflate")]
mod deflate;
mod endpoint;
mod limits;
mod mirror;
mod pair;
#[cfg(feature = "deflate")]
mod prepared;
mod protocol;
mod rig;
mod splits;
#[cfg(feature = "deflate")]
mod windows;
