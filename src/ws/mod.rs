//! L1, the WebSocket protocol (RFC 6455, RFC 7692) without I/O: knows no sockets, no clocks and no threads.
