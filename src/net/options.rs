//! How listeners and streams are set up: plain values with safe defaults; knows no socket.

use std::net::IpAddr;
use std::time::Duration;

/// How a listener is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections may wait to be accepted. Default 4096, and the system cuts it at its own limit
    /// (`net.core.somaxconn`, 4096 on Linux). Raise both when thousands of clients come back within one moment;
    /// what does not fit waits for its next SYN, a second or more.
    pub backlog: u32,
    /// TCP: take the port although connections of an earlier run linger in `TIME_WAIT`. Default true; turn it off only
    /// where a restart must wait for them. It does not let two live listeners share a port.
    pub reuse_address: bool,
    /// TCP: let several processes or threads listen on the same port, the kernel spreading connections among them.
    /// Default false: with it a second server started by mistake takes half of the clients without an error.
    pub reuse_port: bool,
    /// TCP over IPv6: listen for IPv6 alone. Default true, so that `[::]:9001` and `0.0.0.0:9001` can both be opened;
    /// set it to false to serve both with one listener (IPv4 peers then show as `::ffff:…`).
    pub only_v6: bool,
    /// Unix path: the permission bits of the socket file, exactly, whatever the umask. Default `0o600`, this user
    /// alone; `0o660` lets the group in, as a proxy under another user needs it. At most `0o777`.
    pub unix_mode: u32,
    /// What every accepted stream is set up with.
    pub stream: StreamOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            backlog: 4096,
            reuse_address: true,
            reuse_port: false,
            only_v6: true,
            unix_mode: 0o600,
            stream: StreamOptions::default(),
        }
    }
}

/// How a connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The local address to connect from, for a machine with several; the port is the system's choice, and each
    /// connection uses one up. Default: the system's choice too. Unix-domain connections have none.
    pub source: Option<IpAddr>,
    /// How the stream is set up, before it connects.
    pub stream: StreamOptions,
}

/// How a stream is set up, accepted or connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// TCP: send small segments at once rather than wait for an acknowledgement (`TCP_NODELAY`). Default true; turn it
    /// off only for bulk that is written in many small pieces.
    pub nodelay: bool,
    /// Bytes of the kernel's receive buffer. Default `None`: the kernel grows it as the connection needs. Set it small to
    /// bound memory with very many connections, large for one fast and distant peer. The kernel doubles the value.
    pub receive_buffer: Option<usize>,
    /// Bytes of the kernel's send buffer. Default `None`: the kernel grows it as the connection needs. Set it (64 KiB, say)
    /// where many peers read slowly and the kernel's memory must not fill with what they do not take.
    pub send_buffer: Option<usize>,
    /// TCP: probes on an idle connection. Default `None`: for protocols that have a ping of their own. Set it for raw
    /// connections whose peers may vanish without a word.
    pub keepalive: Option<Keepalive>,
    /// TCP: how long sent bytes may stay unacknowledged before the connection fails (Linux; nothing elsewhere). Default
    /// `None`: about 15 minutes. Set it to the idle timeout, so that a vanished peer is noticed as soon while there is
    /// something to send as while there is not.
    pub user_timeout: Option<Duration>,
    /// TCP: how long a receive or a poll that finds nothing looks into the network card's own queue, in whole microseconds
    /// (`SO_BUSY_POLL`; Linux, nothing elsewhere). Default `None`: `net.core.busy_read` says. It saves the interrupt, not
    /// the sleep, for which see [`Settings::busy_poll`](crate::Settings::busy_poll); it does nothing for loopback, costs
    /// the core, and to raise it takes `CAP_NET_ADMIN`.
    pub busy_poll: Option<Duration>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        StreamOptions {
            nodelay: true,
            receive_buffer: None,
            send_buffer: None,
            keepalive: None,
            user_timeout: None,
            busy_poll: None,
        }
    }
}

/// TCP's own probes of an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a connection is idle before the first probe; whole seconds, at least one.
    pub idle: Duration,
    /// How long after one probe the next follows; whole seconds, at least one.
    pub interval: Duration,
    /// How many unanswered probes end the connection.
    pub probes: u32,
}

impl Default for Keepalive {
    /// A first probe after a minute and the end after three more, ten seconds apart.
    fn default() -> Self {
        Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_safe_ones() {
        let options = ListenOptions::default();
        assert_eq!(options.unix_mode, 0o600);
        assert!(options.reuse_address && !options.reuse_port && options.only_v6 && options.stream.nodelay);
    }
}
