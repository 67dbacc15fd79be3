//! Reads a complete head, once and strictly (RFC 9112 §2–§6), over `httparse`, which alone is too lenient for us.
//!
//! What `httparse` 1.10 lets pass and this file refuses: empty lines before the request line, lines that end with LF
//! alone, bytes above ASCII in the target, and everything that it takes for granted about Host and framing.

use super::error::HttpError;
use super::field::is_token_byte;
use super::framing::{BodyLength, Survey};
use super::lines::HeaderLines;
use super::request::{HeaderStorage, Parts, Version};
use super::response_head::ResponseHead;
use super::scanner::{HeadLimits, refuse_other_protocols};
use super::status::Status;
use super::target::Target;

/// Takes a request's head apart and enforces every rule on it.
pub(super) fn parse<'a, 'h: 'a>(
    head: &'h [u8],
    storage: &'a mut HeaderStorage<'h>,
    limits: &HeadLimits,
) -> Result<Parts<'a>, HttpError> {
    refuse_other_protocols(head)?;
    let slots = storage.slots(limits.max_headers);
    let mut parsed = httparse::Request::new(&mut []);
    let outcome = parsed.parse_with_uninit_headers(head, slots);
    let start = if parsed.method.is_some() { Start::Target } else { Start::Method };
    check_end(head, outcome, limits, start)?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HttpError::InvalidRequestLine);
    };
    let lines = HeaderLines::new(parsed.headers);
    assemble(method, target, version(minor), lines)
}

/// Takes a response's head apart and enforces every rule on it.
pub(super) fn parse_response<'a, 'h: 'a>(
    head: &'h [u8],
    storage: &'a mut HeaderStorage<'h>,
    limits: &HeadLimits,
) -> Result<ResponseHead<'a>, HttpError> {
    refuse_other_protocols(head)?;
    let slots = storage.slots(limits.max_headers);
    let mut parsed = httparse::Response::new(&mut []);
    let outcome =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, slots);
    check_end(head, outcome, limits, Start::Status)?;
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(HttpError::InvalidStatusLine);
    };
    let status = Status::new(code).map_err(|_| HttpError::InvalidStatus)?;
    let (version, lines) = (version(minor), HeaderLines::new(parsed.headers));
    let announces_body = survey(lines)?.body_length(version)? != BodyLength::Exactly(0);
    Ok(ResponseHead { version, status, lines, announces_body })
}

/// What `httparse` was reading of the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Method,
    Target,
    Status,
}

/// The verdict of `httparse`, and what it does not look at.
fn check_end(
    head: &[u8],
    outcome: httparse::Result<usize>,
    limits: &HeadLimits,
    start: Start,
) -> Result<(), HttpError> {
    let length = match outcome {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(HttpError::Incomplete),
        Err(error) => return Err(diagnose(head, error, start)),
    };
    if length > limits.max_bytes {
        return Err(HttpError::HeadTooLarge);
    }
    refuse_bare_line_feeds(head.get(..length).unwrap_or(head))
}

fn version(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

/// Looks at each line once for what decides about the message as a whole.
fn survey(lines: HeaderLines<'_>) -> Result<Survey<'_>, HttpError> {
    let mut survey = Survey::default();
    for (name, value) in lines.iter() {
        survey.note(name, value)?;
    }
    Ok(survey)
}

/// Applies the rules that span several lines.
fn assemble<'a>(
    method: &'a str,
    target: &'a str,
    version: Version,
    lines: HeaderLines<'a>,
) -> Result<Parts<'a>, HttpError> {
    let parsed_target = Target::parse(method, target)?;
    let survey = survey(lines)?;
    let host = survey.host(version)?;
    // RFC 9112 §3.2.2: the client sends both the same; a server that picks one of two may pick the wrong one.
    if parsed_target.authority.zip(host).is_some_and(|(named, (_, host))| !named.is_same(&host)) {
        return Err(HttpError::HostMismatch);
    }
    let body_length = survey.body_length(version)?;
    let (path, query) = (parsed_target.path, parsed_target.query);
    Ok(Parts { method, target, path, query, version, lines, host: host.map(|(text, _)| text), body_length })
}

/// RFC 9112 §2.2: a recipient may take a lone LF for a line end; this one does not.
fn refuse_bare_line_feeds(head: &[u8]) -> Result<(), HttpError> {
    let mut line_feeds = memchr::memchr_iter(b'\n', head);
    let all_follow_cr =
        line_feeds.all(|at| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\r'));
    if all_follow_cr { Ok(()) } else { Err(HttpError::BareLineFeed) }
}

/// Says which rule a head breaks that `httparse` refused. One pass, on the way out, and none over what follows the head.
fn diagnose(bytes: &[u8], error: httparse::Error, start: Start) -> HttpError {
    const END: &[u8] = b"\r\n\r\n";
    let length = memchr::memmem::find(bytes, END).map_or(bytes.len(), |at| at.saturating_add(END.len()));
    let head = bytes.get(..length).unwrap_or(bytes);
    match error {
        httparse::Error::TooManyHeaders => HttpError::TooManyHeaders,
        httparse::Error::HeaderName => diagnose_header_name(head),
        httparse::Error::HeaderValue | httparse::Error::NewLine | httparse::Error::Status
            if has_bare_carriage_return(head) =>
        {
            HttpError::BareCarriageReturn
        }
        httparse::Error::HeaderValue => HttpError::InvalidHeaderValue,
        httparse::Error::Version => diagnose_version(head, start),
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => match (start, error) {
            (Start::Method, httparse::Error::Token) => HttpError::InvalidMethod,
            (Start::Target, httparse::Error::Token) => HttpError::InvalidTarget,
            (Start::Method | Start::Target, _) => HttpError::InvalidRequestLine,
            (Start::Status, _) => HttpError::InvalidStatusLine,
        },
    }
}

/// RFC 9112 §2.3: a well-formed version of another protocol is told from a malformed one.
fn diagnose_version(head: &[u8], start: Start) -> HttpError {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let before = if start == Start::Status { 0 } else { 2 };
    match line.splitn(3, |byte| *byte == b' ').nth(before) {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HttpError::UnsupportedVersion
        }
        _ => HttpError::InvalidVersion,
    }
}

/// Finds the first header line whose name is wrong, and what is wrong with it.
fn diagnose_header_name(head: &[u8]) -> HttpError {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines {
        let name_len = line.iter().take_while(|byte| is_token_byte(**byte)).count();
        match (name_len, line.get(name_len)) {
            // RFC 9112 §5.2: obsolete folding is refused; §2.2: so is white space before the first line.
            (0, Some(b' ' | b'\t')) => return HttpError::FoldedHeader,
            // RFC 9112 §5.1: no white space between the name and the colon.
            (1.., Some(b' ' | b'\t')) => return HttpError::SpaceBeforeColon,
            (1.., Some(b':')) => {}
            _ => return HttpError::InvalidHeaderName,
        }
    }
    HttpError::InvalidHeaderName
}

/// RFC 9112 §2.2: a CR that no LF follows.
fn has_bare_carriage_return(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\r', head).any(|at| head.get(at.saturating_add(1)) != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn error_of(head: impl AsRef<[u8]>) -> Option<HttpError> {
        let mut storage = HeaderStorage::new();
        Request::parse(head.as_ref(), &mut storage, &HeadLimits::default()).err()
    }

    /// A good head with `line` between its two header lines.
    fn error_of_line(line: &str) -> Option<HttpError> {
        error_of(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nAccept: */*\r\n\r\n"))
    }

    #[test]
    fn the_lines_of_a_head_end_with_cr_and_lf() {
        assert_eq!(error_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), None);
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
        ] {
            assert_eq!(error_of(head), Some(HttpError::BareLineFeed), "{head:?}");
        }
        for head in [
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n",
        ] {
            assert_eq!(error_of(head), Some(HttpError::BareCarriageReturn), "{head:?}");
        }
        assert_eq!(error_of("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(HttpError::NotHttp));
        assert_eq!(error_of("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(HttpError::NotHttp));
    }

    #[test]
    fn what_follows_a_head_does_not_change_what_is_said_of_it() {
        for (head, error) in [
            ("GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", HttpError::InvalidHeaderValue),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HttpError::SpaceBeforeColon),
        ] {
            assert_eq!(error_of(head), Some(error));
            assert_eq!(error_of(format!("{head}GET / HTTP/1.1\r\r\n fold")), Some(error), "{head:?}");
        }
    }

    #[test]
    fn the_request_line_has_three_parts_and_single_spaces() {
        for (line, error) in [
            ("GET  / HTTP/1.1", HttpError::InvalidTarget),
            ("GET HTTP/1.1", HttpError::InvalidTarget),
            ("GET", HttpError::InvalidMethod),
            ("GET\t/ HTTP/1.1", HttpError::InvalidMethod),
            ("GE(T / HTTP/1.1", HttpError::InvalidMethod),
            ("GET /", HttpError::InvalidTarget),
            ("GET /pa th HTTP/1.1", HttpError::InvalidVersion),
            ("GET /\0 HTTP/1.1", HttpError::InvalidTarget),
            ("GET /é HTTP/1.1", HttpError::InvalidTarget),
            ("GET /#f HTTP/1.1", HttpError::FragmentInTarget),
            ("GET * HTTP/1.1", HttpError::InvalidTarget),
            ("CONNECT a:80 HTTP/1.1", HttpError::ConnectUnsupported),
            ("GET / HTTP/1.1 ", HttpError::InvalidRequestLine),
            ("GET /  HTTP/1.1", HttpError::InvalidVersion),
        ] {
            assert_eq!(error_of(format!("{line}\r\nHost: a\r\n\r\n")), Some(error), "{line}");
        }
    }

    #[test]
    fn the_version_is_1_0_or_1_1() {
        for (version, error) in [
            ("HTTP/2.0", HttpError::UnsupportedVersion),
            ("HTTP/1.2", HttpError::UnsupportedVersion),
            ("HTTP/0.9", HttpError::UnsupportedVersion),
            ("HTTP/9.9", HttpError::UnsupportedVersion),
            ("HTTP/1", HttpError::InvalidVersion),
            ("HTTP/01.01", HttpError::InvalidVersion),
            ("HTTP/ 1.1", HttpError::InvalidVersion),
            ("http/1.1", HttpError::InvalidVersion),
            ("HTTP/1.1.1", HttpError::InvalidRequestLine),
        ] {
            assert_eq!(error_of(format!("GET / {version}\r\nHost: a\r\n\r\n")), Some(error), "{version}");
        }
        assert_eq!(error_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(HttpError::UnsupportedVersion));
    }

    #[test]
    fn a_header_line_is_a_token_a_colon_and_a_value_without_controls() {
        for (line, error) in [
            (" folded", HttpError::FoldedHeader),
            ("\tfolded", HttpError::FoldedHeader),
            ("X : y", HttpError::SpaceBeforeColon),
            ("X\t: y", HttpError::SpaceBeforeColon),
            ("Content\tLength: 5", HttpError::SpaceBeforeColon),
            (": y", HttpError::InvalidHeaderName),
            ("X", HttpError::InvalidHeaderName),
            ("B[d: y", HttpError::InvalidHeaderName),
            ("É: y", HttpError::InvalidHeaderName),
            ("X\0: y", HttpError::InvalidHeaderName),
            ("X: a\0b", HttpError::InvalidHeaderValue),
            ("X: a\u{1}b", HttpError::InvalidHeaderValue),
            ("X: \u{b}chunked", HttpError::InvalidHeaderValue),
            ("X: a\u{7f}", HttpError::InvalidHeaderValue),
        ] {
            assert_eq!(error_of_line(line), Some(error), "{line:?}");
        }
        for line in ["X:", "X: ", "X:y", "X:\ty \t", "X: é", "x_y~: z"] {
            assert_eq!(error_of_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn the_host_is_said_once_and_is_one() {
        let with = |lines: &str| error_of(format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(with(""), Some(HttpError::MissingHost));
        assert_eq!(with("Host: a\r\nhOST: a\r\n"), Some(HttpError::RepeatedHost));
        for host in ["", "a, b", "u@a", "a/b", "a:99999", "é"] {
            assert_eq!(with(&format!("Host: {host}\r\n")), Some(HttpError::InvalidHost), "{host:?}");
        }
        assert_eq!(error_of("GET / HTTP/1.0\r\n\r\n"), None);
        assert_eq!(error_of("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), Some(HttpError::InvalidHost));
    }

    #[test]
    fn an_absolute_target_names_the_host_that_host_names() {
        assert_eq!(error_of("GET http://A.b:80/ HTTP/1.1\r\nHost: a.b:80\r\n\r\n"), None);
        assert_eq!(error_of("GET http://c/ HTTP/1.1\r\nHost: a\r\n\r\n"), Some(HttpError::HostMismatch));
        assert_eq!(error_of("GET http://a:1/ HTTP/1.1\r\nHost: a:2\r\n\r\n"), Some(HttpError::HostMismatch));
    }

    #[test]
    fn r2_header_lines_are_counted_wherever_the_last_one_stands() {
        let start = Instant::now();
        for (lines, error) in [
            (99, None),
            (100, None),
            (101, Some(HttpError::TooManyHeaders)),
            (20_000, Some(HttpError::TooManyHeaders)),
        ] {
            let others = "a: b\r\n".repeat(lines - 1);
            let limits = HeadLimits { max_bytes: 1 << 20, ..HeadLimits::default() };
            for head in [
                format!("GET / HTTP/1.1\r\nHost: a\r\n{others}\r\n"),
                format!("GET / HTTP/1.1\r\n{others}Host: a\r\n\r\n"),
            ] {
                let mut storage = HeaderStorage::new();
                assert_eq!(Request::parse(head.as_bytes(), &mut storage, &limits).err(), error, "{lines}");
            }
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn the_limits_hold_for_whoever_did_not_scan() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for (max_bytes, error) in [(head.len() - 1, Some(HttpError::HeadTooLarge)), (head.len(), None)] {
            let limits = HeadLimits { max_bytes, max_headers: usize::MAX };
            assert_eq!(Request::parse(head, &mut HeaderStorage::new(), &limits).err(), error);
        }
        assert_eq!(error_of(&head[..head.len() - 1]), Some(HttpError::Incomplete));
        assert_eq!(error_of(""), Some(HttpError::Incomplete));
    }

    /// The grammar once more, slowly and from another side (RFC 9112 §2.1): every line on its own.
    fn is_strict(head: &[u8]) -> bool {
        let Ok(text) =
            String::from_utf8(head.iter().map(|byte| if *byte < 0x80 { *byte } else { b'\x01' }).collect())
        else {
            return false;
        };
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        let mut lines = head.split("\r\n");
        let request_line: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, target, "HTTP/1.0" | "HTTP/1.1"] = request_line[..] else { return false };
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        is_token(method)
            && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && lines.clone().filter(|line| line.to_ascii_lowercase().starts_with("host:")).count() < 2
            && lines.all(|line| {
                let parts = line.split_once(':');
                parts.is_some_and(|(name, value)| {
                    is_token(name) && !value.contains(['\0', '\r', '\n', '\u{7f}'])
                })
            })
    }

    const GOOD: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\nX: \xe9 y\r\n\r\n";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_accepted_after_damage_is_still_strict(
            damage in proptest::collection::vec((0..GOOD.len(), prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b' ')]), 1..4),
            insert in any::<bool>(),
        ) {
            let mut head = GOOD.to_vec();
            for (at, byte) in damage {
                if insert { head.insert(at, byte) } else { head[at] = byte }
            }
            if error_of(&head).is_none() {
                prop_assert!(is_strict(&head), "{:?}", String::from_utf8_lossy(&head));
            }
        }
    }
}
