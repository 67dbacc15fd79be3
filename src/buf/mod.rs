//! L0, byte buffers: knows nothing of what the bytes mean.

mod pool;

pub use pool::{Buffer, BufferPool, NoMemory};
