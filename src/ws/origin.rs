//! Which web pages may open a connection (RFC 6454, RFC 6455 §10.2): knows no cookies and no users.

use core::fmt;
use core::str::FromStr;

use super::handshake::Refusal;
use crate::http::{Authority, Request};

/// Which origins a WebSocket may be opened from.
///
/// A browser sends the cookies of a site along with every handshake, whichever page asks for it, and asks no
/// permission first. Only the server can tell its own pages from a stranger's, by the Origin line.
///
/// ```
/// use gnezdo::ws::{Origin, OriginPolicy};
///
/// let list = ["https://example.com", "https://app.example.com:8443"];
/// let origins = list.iter().map(|origin| origin.parse()).collect::<Result<Vec<Origin>, _>>()?;
/// let policy = OriginPolicy::List(origins);
/// # Ok::<(), gnezdo::ws::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// The page comes from the host and port that Host names.
    ///
    /// A port that is absent is the default one of the Origin's scheme, on both sides, because a proxy may have taken
    /// TLS off on the way: then `https://example.com` asks a plain listener for `example.com`. Over TLS of our own
    /// the scheme must be `https`; on a plain listener it may be `http` or `https`.
    #[default]
    SameHost,
    /// Any page, for a service that gives nothing away by cookie or by network address.
    Any,
    /// These pages.
    List(Vec<Origin>),
}

/// What to think of a request without an Origin line, which no browser sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbsentOrigin {
    /// It comes from a program, which could have written any Origin: let it pass.
    #[default]
    Allowed,
    /// Only browsers are to be served, or only programs that name an origin that is allowed.
    Refused,
}

impl OriginPolicy {
    /// Judges the Origin of a request that came over TLS of our own (`secure`) or over a plain connection, and lets
    /// a request without one pass.
    ///
    /// # Errors
    ///
    /// [`Refusal::OriginNotAllowed`], or [`Refusal::RepeatedOrigin`] for more than one line.
    pub fn check(&self, request: &Request<'_>, secure: bool) -> Result<(), Refusal> {
        self.check_with(AbsentOrigin::Allowed, request, secure)
    }

    /// The same, with a choice of what to think of a request without Origin.
    ///
    /// # Errors
    ///
    /// As [`OriginPolicy::check`], and [`Refusal::MissingOrigin`].
    pub fn check_with(
        &self,
        absent: AbsentOrigin,
        request: &Request<'_>,
        secure: bool,
    ) -> Result<(), Refusal> {
        let mut lines = request.header_all("origin");
        let (first, second) = (lines.next(), lines.next());
        // RFC 6454 §7.3: there is never more than one; which one would be meant?
        if second.is_some() {
            return Err(Refusal::RepeatedOrigin);
        }
        let Some(value) = first else {
            return if absent == AbsentOrigin::Allowed { Ok(()) } else { Err(Refusal::MissingOrigin) };
        };
        // RFC 6455 §4.2.2, item 4: a server that does not accept the origin answers 403.
        if self.allows(value, request, secure) { Ok(()) } else { Err(Refusal::OriginNotAllowed) }
    }

    fn allows(&self, value: &[u8], request: &Request<'_>, secure: bool) -> bool {
        match self {
            Self::Any => true,
            Self::SameHost => Parsed::sent(value).is_some_and(|origin| origin.is_same_host(request, secure)),
            Self::List(list) => Parsed::sent(value)
                .is_some_and(|origin| list.iter().any(|allowed| origin == allowed.parsed())),
        }
    }
}

/// An origin to be allowed: a scheme, a host and a port (RFC 6454 §4), kept in lower case. There are no wildcards.
///
/// ```
/// use gnezdo::ws::Origin;
///
/// let origin: Origin = "HTTPS://Example.com:443".parse().expect("a scheme and a host");
/// assert_eq!(origin, "https://example.com".parse().expect("the same"));
/// assert!("https://example.com/path".parse::<Origin>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

/// The text is not `scheme://host[:port]`: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is scheme://host[:port], and nothing else")]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let text = text.to_ascii_lowercase();
        // A host may contain an asterisk by RFC 3986 §3.2.2. Here it is a wildcard that somebody hopes for.
        if text.contains('*') {
            return Err(InvalidOrigin);
        }
        let Parsed { scheme, host, port } = Parsed::new(&text).ok_or(InvalidOrigin)?;
        Ok(Self { scheme: scheme.into(), host: host.into(), port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if self.port != default_port(&self.scheme) => write!(formatter, ":{port}"),
            _ => Ok(()),
        }
    }
}

impl Origin {
    fn parsed(&self) -> Parsed<'_> {
        Parsed { scheme: &self.scheme, host: &self.host, port: self.port }
    }
}

/// An origin taken apart; its port is there if it was written or its scheme has a default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parsed<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Parsed<'a> {
    /// Reads `scheme://host[:port]`. `null` is none, and neither is a path, even an empty one.
    fn new(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let mut bytes = scheme.bytes();
        // RFC 3986 §3.1.
        let valid = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let authority = Authority::parse(authority).filter(|_| valid)?;
        let port = authority.port().or_else(|| default_port(scheme));
        Some(Self { scheme, host: authority.host(), port })
    }

    /// Reads the value of an Origin line. Browsers write it in lower case (RFC 6454 §4, §6.2), so that anything else
    /// comes from something that only pretends to be one.
    fn sent(value: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok()?;
        let is_lower_case = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        Self::new(text).filter(|_| is_lower_case)
    }

    /// See [`OriginPolicy::SameHost`].
    fn is_same_host(&self, request: &Request<'_>, secure: bool) -> bool {
        let scheme_fits = self.scheme == "https" || (self.scheme == "http" && !secure);
        let Some(host) = request.authority() else { return false };
        let host_port = host.port().or_else(|| default_port(self.scheme));
        scheme_fits && host.host().eq_ignore_ascii_case(self.host) && host_port == self.port
    }
}

/// The ports that a serialized origin leaves out (RFC 6454 §4, item 5).
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadLimits, HeaderStorage};

    const PLAIN: bool = false;
    const SECURE: bool = true;

    fn check(policy: &OriginPolicy, absent: AbsentOrigin, lines: &str, secure: bool) -> Result<(), Refusal> {
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let mut storage = HeaderStorage::new();
        let request = Request::parse(head.as_bytes(), &mut storage, &HeadLimits::default()).expect("valid");
        policy.check_with(absent, &request, secure)
    }

    fn same_host(origin: &str, host: &str, secure: bool) -> bool {
        let lines = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        check(&OriginPolicy::SameHost, AbsentOrigin::Allowed, &lines, secure).is_ok()
    }

    #[test]
    fn r8_only_the_same_origin_passes() {
        assert!(same_host("http://good.com:8080", "good.com:8080", PLAIN));
        for origin in [
            "http://good.com",
            "http://good.com:8081",
            "http://good.com:80800",
            "https://good.com",
            "https://good.evil.com",
            "http://good.evil.com:8080",
            "http://evilgood.com:8080",
            "http://good.com.evil:8080",
            "http://sub.good.com:8080",
            "http://good.co:8080",
            "null",
            "",
            "good.com:8080",
            "//good.com:8080",
            "http://good.com:8080/",
            "http://good.com:8080/a",
            "http://good.com:8080 http://evil.com",
            "http://user@good.com:8080",
            "http://evil.com#good.com:8080",
            "http://good.com:8080:8080",
            "HTTP://GOOD.COM:8080",
            "http://Good.com:8080",
            "file://good.com:8080",
            "ws://good.com:8080",
            "http://",
            "http:good.com:8080",
            "1http://good.com:8080",
            "\u{e9}",
        ] {
            assert!(!same_host(origin, "good.com:8080", PLAIN), "{origin}");
        }
    }

    #[test]
    fn default_ports_follow_the_scheme_of_the_origin() {
        for (origin, host, secure, same) in [
            ("http://good.com", "good.com", PLAIN, true),
            ("http://good.com", "GOOD.com:80", PLAIN, true),
            ("http://good.com:80", "good.com", PLAIN, true),
            ("https://good.com", "good.com", SECURE, true),
            ("https://good.com", "good.com:443", SECURE, true),
            ("https://good.com:8443", "good.com:8443", SECURE, true),
            // A proxy took TLS off.
            ("https://good.com", "good.com", PLAIN, true),
            // A page that anyone on the way may have changed asks for the secure site.
            ("http://good.com", "good.com", SECURE, false),
            ("https://good.com", "good.com:80", PLAIN, false),
            ("http://good.com:443", "good.com", PLAIN, false),
            ("http://[::1]:9001", "[::1]:9001", PLAIN, true),
        ] {
            assert_eq!(same_host(origin, host, secure), same, "{origin} at {host}");
        }
    }

    #[test]
    fn two_origins_are_refused_by_every_policy() {
        let list = OriginPolicy::List(vec!["http://a".parse().expect("valid")]);
        for policy in [OriginPolicy::SameHost, OriginPolicy::Any, list] {
            let lines = "Host: a\r\nOrigin: http://a\r\nOrigin: http://a\r\n";
            assert_eq!(check(&policy, AbsentOrigin::Allowed, lines, PLAIN), Err(Refusal::RepeatedOrigin));
        }
    }

    #[test]
    fn an_absent_origin_passes_unless_it_is_required() {
        for (absent, verdict) in
            [(AbsentOrigin::Allowed, Ok(())), (AbsentOrigin::Refused, Err(Refusal::MissingOrigin))]
        {
            assert_eq!(check(&OriginPolicy::SameHost, absent, "Host: a\r\n", PLAIN), verdict);
            assert_eq!(
                check(&OriginPolicy::SameHost, absent, "Host: a\r\nOrigin: http://a\r\n", PLAIN),
                Ok(())
            );
        }
    }

    #[test]
    fn a_list_is_matched_whole() {
        let origins = ["https://Good.com", "http://good.com:81", "chrome-extension://abcdef"];
        let list = OriginPolicy::List(origins.iter().map(|origin| origin.parse().expect("valid")).collect());
        for (origin, allowed) in [
            ("https://good.com", true),
            ("https://good.com:443", true),
            ("http://good.com:81", true),
            ("chrome-extension://abcdef", true),
            ("http://good.com", false),
            ("https://good.com:81", false),
            ("https://good.com.evil", false),
            ("https://a.good.com", false),
            ("chrome-extension://abcdefg", false),
            ("null", false),
            ("", false),
        ] {
            let lines = format!("Host: elsewhere\r\nOrigin: {origin}\r\n");
            assert_eq!(check(&list, AbsentOrigin::Allowed, &lines, PLAIN).is_ok(), allowed, "{origin}");
        }
        assert_eq!(
            check(&OriginPolicy::Any, AbsentOrigin::Refused, "Host: a\r\nOrigin: null\r\n", PLAIN),
            Ok(())
        );
    }

    #[test]
    fn an_origin_to_allow_is_checked_and_shown_as_browsers_write_it() {
        for (text, shown) in
            [("HTTP://A.b:80", "http://a.b"), ("https://a:80", "https://a:80"), ("x-y://z", "x-y://z")]
        {
            assert_eq!(text.parse::<Origin>().map(|origin| origin.to_string()).as_deref(), Ok(shown));
        }
        for text in
            ["", "null", "*", "a.b", "http://", "http://a/", "http://*.a", "://a", "http://a:b", "h ttp://a"]
        {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn without_further_choice_a_stranger_is_refused_and_a_program_is_not() {
        for (lines, verdict) in [
            ("Host: a\r\nOrigin: http://evil\r\n", Err(Refusal::OriginNotAllowed)),
            ("Host: a\r\nOrigin: http://a\r\n", Ok(())),
            ("Host: a\r\n", Ok(())),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{lines}\r\n");
            let mut storage = HeaderStorage::new();
            let request = Request::parse(head.as_bytes(), &mut storage, &HeadLimits::default()).unwrap();
            assert_eq!(OriginPolicy::SameHost.check(&request, PLAIN), verdict, "{lines:?}");
        }
    }
}
