//! L2, listeners and streams: knows no protocol and no loop.
