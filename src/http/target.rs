//! The request target and its forms (RFC 9112 §3.2): decodes nothing and knows no routes.

use super::authority::Authority;
use super::error::HttpError;

/// A target taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// From the first slash to the question mark; `*` for a request about the server itself.
    pub(super) path: &'a str,
    /// After the first question mark.
    pub(super) query: Option<&'a str>,
    /// The host of a target in absolute form.
    pub(super) authority: Option<Authority<'a>>,
}

impl<'a> Target<'a> {
    /// Reads the target of a request with this method.
    pub(super) fn parse(method: &str, target: &'a str) -> Result<Self, HttpError> {
        check_bytes(target)?;
        // RFC 9112 §3.2.3: the authority form belongs to CONNECT alone, and CONNECT to proxies.
        if method == "CONNECT" {
            return Err(HttpError::ConnectUnsupported);
        }
        // RFC 9112 §3.2.4: the asterisk form belongs to OPTIONS alone.
        if target == "*" && method == "OPTIONS" {
            return Ok(Self { path: target, query: None, authority: None });
        }
        let (authority, rest) = split_authority(target)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        // RFC 3986 §3.3 has none of these in a path; a backslash in particular is a slash to some.
        if path.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'<' | b'>')) {
            return Err(HttpError::InvalidTarget);
        }
        Ok(Self { path, query, authority })
    }
}

/// Whether this is the target of a request in origin form (RFC 9112 §3.2.1): a path that begins with a slash, perhaps a
/// query, and no fragment.
pub(crate) fn is_origin_form(target: &str) -> bool {
    target.starts_with('/') && Target::parse("GET", target).is_ok()
}

/// RFC 9112 §3.2: visible ASCII, and no fragment (RFC 9110 §4.1 keeps it on the client's side).
fn check_bytes(target: &str) -> Result<(), HttpError> {
    for byte in target.bytes() {
        match byte {
            b'#' => return Err(HttpError::FragmentInTarget),
            b'!'..=b'~' => {}
            _ => return Err(HttpError::InvalidTarget),
        }
    }
    Ok(())
}

/// Parts the absolute form `http://authority/path?query` (RFC 9112 §3.2.2) from the origin form `/path?query`.
fn split_authority(target: &str) -> Result<(Option<Authority<'_>>, &str), HttpError> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(HttpError::InvalidTarget)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HttpError::InvalidTarget);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end).ok_or(HttpError::InvalidTarget)?;
    let authority = Authority::parse(authority).ok_or(HttpError::InvalidTarget)?;
    Ok((Some(authority), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(
        method: &'static str,
        target: &'static str,
    ) -> Result<(&'static str, Option<&'static str>), HttpError> {
        Target::parse(method, target).map(|target| (target.path, target.query))
    }

    #[test]
    fn a_path_ends_at_the_first_question_mark() {
        assert_eq!(parts("GET", "/"), Ok(("/", None)));
        assert_eq!(parts("GET", "/a/b?c=d?e"), Ok(("/a/b", Some("c=d?e"))));
        assert_eq!(parts("GET", "/?"), Ok(("/", Some(""))));
        assert_eq!(parts("GET", "/%00|{x}?a=\\<{|}>"), Ok(("/%00|{x}", Some("a=\\<{|}>"))));
    }

    #[test]
    fn the_absolute_form_has_an_authority_and_a_path() {
        assert_eq!(parts("GET", "http://a.example:80/b?c"), Ok(("/b", Some("c"))));
        assert_eq!(parts("GET", "HTTPS://a.example"), Ok(("/", None)));
        assert_eq!(parts("GET", "http://a.example?c"), Ok(("/", Some("c"))));
        for target in ["http://", "http:///a", "http://u@a/", "ftp://a/", "http:/a", "a", "a:80", "?a"] {
            assert_eq!(parts("GET", target), Err(HttpError::InvalidTarget), "{target}");
        }
    }

    #[test]
    fn the_asterisk_is_for_options_and_no_tunnel_is_offered() {
        assert_eq!(parts("OPTIONS", "*"), Ok(("*", None)));
        assert_eq!(parts("GET", "*"), Err(HttpError::InvalidTarget));
        assert_eq!(parts("CONNECT", "a:80"), Err(HttpError::ConnectUnsupported));
    }

    #[test]
    fn fragments_controls_and_bytes_above_ascii_are_refused() {
        assert_eq!(parts("GET", "/a#b"), Err(HttpError::FragmentInTarget));
        for target in ["/\x7f", "/\u{1}", "/é", "/a\\b", "/\"", "/<a>"] {
            assert_eq!(parts("GET", target), Err(HttpError::InvalidTarget), "{target:?}");
        }
    }
}
