//! L0, byte buffers: knows nothing of what the bytes mean.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod pool;

pub use pool::{Buffer, BufferPool, NoMemory};
