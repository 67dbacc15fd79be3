//! L4, where a connection goes, as text: a WebSocket's URL or a raw socket's; knows no socket.

use std::fmt;
use std::str::FromStr;

use crate::http::Authority;
use crate::net::{Addr, AddrError, Destination, UnixAddr};
use crate::tls;

/// What a reactor can connect to.
///
/// | text | what |
/// |---|---|
/// | `ws://example.org:9001/chat?room=1` | a WebSocket over TCP (RFC 6455 §3); the port is 80 where none is given |
/// | `ws+unix:/run/chat.sock:/chat` | a WebSocket over a Unix-domain socket, with the resource behind the colon |
/// | `wss://example.org/chat` | a WebSocket over TLS, with the feature `tls`; the port is 443 where none is given |
/// | `tcp://example.org:7000` | raw bytes over TCP |
/// | `tls://example.org:7000` | raw bytes over TLS, with the feature `tls` |
/// | `unix:/run/service.sock`, `unix:@name` | raw bytes over a Unix-domain socket |
///
/// ```
/// use gnezdo::Target;
///
/// let target: Target = "ws://[::1]:9001/chat?room=1".parse()?;
/// assert_eq!(target.to_string(), "ws://[::1]:9001/chat?room=1");
/// # Ok::<(), gnezdo::TargetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) destination: Destination,
    pub(super) resource: Option<Resource>,
    pub(super) tls: Security,
}

/// Whether TLS lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    None,
    Tls,
}

/// What is asked of a WebSocket server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// For the Host line.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

/// What is wrong with the text of a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The scheme is none of those known.
    #[error(
        "{0:?} has no known scheme: write `ws://host:port/path`, `wss://host/path`, `ws+unix:/path:/resource`, `tcp://host:port`, `tls://host:port` or `unix:/path`"
    )]
    Scheme(String),
    /// TLS is not there.
    #[error(
        "{0:?} asks for TLS, which this build does not have: build it with the feature `tls`, or write `ws://`"
    )]
    Tls(String),
    /// There is no valid host.
    #[error("{0:?} has no valid host: write for example `ws://example.org/chat` or `ws://[::1]:9001/`")]
    Host(String),
    /// There is a fragment, which a WebSocket URL must not have (RFC 6455 §3).
    #[error("{0:?} has a fragment: leave out `#` and what follows it")]
    Fragment(String),
    /// The address is none.
    #[error(transparent)]
    Addr(#[from] AddrError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if let Some(rest) = text.strip_prefix("ws://") {
            return websocket(text, rest, Security::None);
        }
        if let Some(rest) = text.strip_prefix("ws+unix:") {
            return websocket_over_unix(text, rest);
        }
        if !tls::IS_THERE && ["wss:", "tls:"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(TargetError::Tls(text.to_owned()));
        }
        if let Some(rest) = text.strip_prefix("wss://") {
            return websocket(text, rest, Security::Tls);
        }
        let raw = |destination, tls| Ok(Target { destination, resource: None, tls });
        if let Some(rest) = text.strip_prefix("tls://") {
            return raw(rest.parse()?, Security::Tls);
        }
        match text.strip_prefix("tcp://") {
            Some(rest) => raw(rest.parse()?, Security::None),
            None if text.starts_with(UnixAddr::PREFIX) => raw(text.parse()?, Security::None),
            None => Err(TargetError::Scheme(text.to_owned())),
        }
    }
}

fn websocket(text: &str, rest: &str, tls: Security) -> Result<Target, TargetError> {
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host_error = || TargetError::Host(text.to_owned());
    let parsed = Authority::parse(authority).ok_or_else(host_error)?;
    let destination = Destination::host(parsed.host(), parsed.port().unwrap_or(tls.port()))?;
    let resource = Resource { authority: authority.to_owned(), target: path_and_query(text, target)? };
    Ok(Target { destination, resource: Some(resource), tls })
}

fn websocket_over_unix(text: &str, rest: &str) -> Result<Target, TargetError> {
    let (path, target) = rest.split_once(":/").map_or((rest, ""), |(path, _)| rest.split_at(path.len()));
    let addr: Addr = format!("{}{path}", UnixAddr::PREFIX).parse()?;
    let target = path_and_query(text, target.strip_prefix(':').unwrap_or_default())?;
    Ok(Target {
        destination: addr.into(),
        resource: Some(Resource { authority: "localhost".into(), target }),
        tls: Security::None,
    })
}

/// RFC 6455 §3: an empty path is `/`; there is no fragment.
fn path_and_query(text: &str, target: &str) -> Result<String, TargetError> {
    if target.contains('#') {
        return Err(TargetError::Fragment(text.to_owned()));
    }
    Ok(if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.destination, &self.resource) {
            (Destination::Addr(Addr::Unix(addr)), Some(resource)) => {
                write!(f, "ws+{addr}:{}", resource.target)
            }
            (_, Some(Resource { authority, target })) => match self.tls {
                Security::None => write!(f, "ws://{authority}{target}"),
                Security::Tls => write!(f, "wss://{authority}{target}"),
            },
            (Destination::Addr(Addr::Unix(addr)), None) => addr.fmt(f),
            (destination, None) => match self.tls {
                Security::None => write!(f, "tcp://{destination}"),
                Security::Tls => write!(f, "tls://{destination}"),
            },
        }
    }
}

impl Security {
    /// Where a WebSocket goes without a port (RFC 6455 §3).
    fn port(self) -> u16 {
        match self {
            Self::None => 80,
            Self::Tls => 443,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_shown_as_it_is_read() {
        for text in [
            "ws://example.org/",
            "ws://example.org:9001/chat?room=1",
            "ws://[::1]:9001/",
            "ws+unix:/run/chat.sock:/chat?room=1",
            "ws+unix:@name:/",
            "tcp://example.org:7000",
            "tcp://[::1]:7000",
            "unix:/run/service.sock",
            "unix:@name",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_empty_path_is_the_root_and_a_missing_port_80() {
        let target: Target = "ws://example.org?a=b".parse().unwrap();
        assert_eq!(target.resource.unwrap().target, "/?a=b");
        assert!(matches!(target.destination, Destination::Name { port: 80, .. }));
        let target: Target = "ws+unix:/run/chat.sock".parse().unwrap();
        assert_eq!(target.resource.unwrap().target, "/");
    }

    #[test]
    fn a_target_with_tls_is_read_where_the_build_has_it() {
        for (text, port) in
            [("wss://example.org/chat", 443), ("wss://[::1]:9001/", 9001), ("tls://a.org:7", 7)]
        {
            match text.parse::<Target>() {
                Ok(target) => {
                    assert_eq!((tls::IS_THERE, target.to_string().as_str()), (true, text));
                    assert!(target.destination.to_string().ends_with(&format!(":{port}")), "{target:?}");
                }
                Err(error) => assert_eq!((tls::IS_THERE, error), (false, TargetError::Tls(text.to_owned()))),
            }
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_cure() {
        for text in [
            "",
            "example.org:80",
            "http://a/",
            "ws:/a",
            "ws://",
            "ws:///chat",
            "ws://a b/",
            "ws://a:x/",
            "tcp://a",
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains('`'), "{text:?}: {error}");
        }
        assert!(matches!("https://a/".parse::<Target>(), Err(TargetError::Scheme(_))));
        assert!(matches!("ws://a/b#c".parse::<Target>(), Err(TargetError::Fragment(_))));
    }
}
