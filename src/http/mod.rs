//! L1, HTTP/1.1 heads (RFC 9110, RFC 9112): knows no sockets, no clocks and no WebSocket.
