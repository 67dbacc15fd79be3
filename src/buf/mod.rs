//! L0, byte buffers: knows nothing of what the bytes mean.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod intake;
mod memory;
mod pool;

pub use intake::Intake;
pub use memory::NoMemory;
pub use pool::{Buffer, BufferPool};
