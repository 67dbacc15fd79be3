//! L0, byte buffers: knows nothing of what the bytes mean.
