//! How long the body is (RFC 9112 §6), and whose request it is (RFC 9112 §3.2): reads no body.

use super::authority::Authority;
use super::error::HttpError;
use super::field::{as_token, list_items};
use super::request::Version;

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes follow the head; none when nothing was announced (RFC 9112 §6.3, items 6 and 7).
    Exactly(u64),
    /// Chunks follow until an empty one (RFC 9112 §7.1).
    Chunked,
}

/// What is gathered from the header lines that decide where a request ends and whom it is for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Survey<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<u64>,
    transfer_encoding: Option<&'a [u8]>,
}

impl<'a> Survey<'a> {
    /// Takes note of one header line. Names are told apart by their length first: most lines cost one comparison.
    pub(super) fn note(&mut self, name: &str, value: &'a [u8]) -> Result<(), HttpError> {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => self.note_host(value),
            14 if name.eq_ignore_ascii_case("content-length") => self.note_content_length(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.note_transfer_encoding(value),
            14 if imitates(name, "content-length") => Err(HttpError::FramingLookalike),
            17 if imitates(name, "transfer-encoding") => Err(HttpError::FramingLookalike),
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &'a [u8]) -> Result<(), HttpError> {
        // RFC 9112 §3.2: more than one Host line is answered with 400.
        if self.host.replace(value).is_some() { Err(HttpError::RepeatedHost) } else { Ok(()) }
    }

    fn note_content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        let length = parse_content_length(value)?;
        // RFC 9110 §8.6: a repetition may be refused even when the values agree.
        if self.content_length.replace(length).is_some() {
            Err(HttpError::RepeatedContentLength)
        } else {
            Ok(())
        }
    }

    fn note_transfer_encoding(&mut self, value: &'a [u8]) -> Result<(), HttpError> {
        // RFC 9112 §6.1 allows several lines; no honest client sends two, and parsers differ about them.
        if self.transfer_encoding.replace(value).is_some() {
            Err(HttpError::InvalidTransferEncoding)
        } else {
            Ok(())
        }
    }

    /// The host of the request: exactly one valid line in HTTP/1.1, at most one in HTTP/1.0.
    pub(super) fn host(&self, version: Version) -> Result<Option<(&'a str, Authority<'a>)>, HttpError> {
        let Some(value) = self.host else {
            // RFC 9112 §3.2: an HTTP/1.1 request without Host is answered with 400.
            return if version == Version::Http11 { Err(HttpError::MissingHost) } else { Ok(None) };
        };
        let text = str::from_utf8(value).map_err(|_| HttpError::InvalidHost)?;
        // RFC 9112 §3.2: so is one with an invalid value.
        let authority = Authority::parse(text).ok_or(HttpError::InvalidHost)?;
        Ok(Some((text, authority)))
    }

    /// RFC 9112 §6.3, with nothing left to interpretation.
    pub(super) fn body_length(&self, version: Version) -> Result<BodyLength, HttpError> {
        let Some(codings) = self.transfer_encoding else {
            return Ok(BodyLength::Exactly(self.content_length.unwrap_or(0)));
        };
        // RFC 9112 §6.3, item 3: such a message ought to be handled as an error.
        if self.content_length.is_some() {
            return Err(HttpError::ContentLengthWithTransferEncoding);
        }
        // RFC 9112 §6.1: such a message has faulty framing.
        if version == Version::Http10 {
            return Err(HttpError::TransferEncodingInHttp10);
        }
        check_codings(codings)
    }
}

/// Accepts `chunked` alone.
fn check_codings(codings: &[u8]) -> Result<BodyLength, HttpError> {
    if codings.eq_ignore_ascii_case(b"chunked") {
        return Ok(BodyLength::Chunked);
    }
    let is_chunked = |item: &[u8]| item.eq_ignore_ascii_case(b"chunked");
    let ends_chunked = list_items(codings).last().is_some_and(is_chunked);
    let chunked_once = list_items(codings).filter(|item| is_chunked(item)).count() == 1;
    let others = list_items(codings).count() > 1 && list_items(codings).all(|item| as_token(item).is_some());
    // RFC 9112 §6.1: a coding that is not understood is answered with 501, and chunked is applied once and last.
    if ends_chunked && chunked_once && others {
        return Err(HttpError::UnsupportedTransferCoding);
    }
    Err(HttpError::InvalidTransferEncoding)
}

/// RFC 9110 §8.6: digits alone. No sign, no list, and no leading zero, which some read as octal.
fn parse_content_length(value: &[u8]) -> Result<u64, HttpError> {
    let has_leading_zero = matches!(value, [b'0', _, ..]);
    if value.is_empty() || has_leading_zero || !value.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::InvalidContentLength);
    }
    let text = str::from_utf8(value).map_err(|_| HttpError::InvalidContentLength)?;
    text.parse().map_err(|_| HttpError::ContentLengthOverflow)
}

/// Whether a gateway that takes `_` for `-` would read the name as `real`.
fn imitates(name: &str, real: &str) -> bool {
    let folded = name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() });
    folded.eq(real.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_length(lines: &[(&str, &'static str)], version: Version) -> Result<BodyLength, HttpError> {
        let mut survey = Survey::default();
        for (name, value) in lines {
            survey.note(name, value.as_bytes())?;
        }
        survey.body_length(version)
    }

    #[test]
    fn a_content_length_is_plain_digits() {
        let length = |value| body_length(&[("Content-Length", value)], Version::Http11);
        assert_eq!(length("0"), Ok(BodyLength::Exactly(0)));
        assert_eq!(length("18446744073709551615"), Ok(BodyLength::Exactly(u64::MAX)));
        assert_eq!(length("18446744073709551616"), Err(HttpError::ContentLengthOverflow));
        for value in
            ["", "+5", "-1", "-0", "0x5", "0o5", "1_0", "1 0", "5, 5", "5,10", "abc", "005", "00", "5.0", "५"]
        {
            assert_eq!(length(value), Err(HttpError::InvalidContentLength), "{value:?}");
        }
    }

    #[test]
    fn a_content_length_is_said_once() {
        let twice =
            |other| body_length(&[("Content-Length", "5"), ("content-length", other)], Version::Http11);
        assert_eq!(twice("10"), Err(HttpError::RepeatedContentLength));
        assert_eq!(twice("5"), Err(HttpError::RepeatedContentLength));
    }

    #[test]
    fn the_only_transfer_encoding_is_chunked() {
        let coding = |value| body_length(&[("Transfer-Encoding", value)], Version::Http11);
        assert_eq!(coding("chunked"), Ok(BodyLength::Chunked));
        assert_eq!(coding("Chunked"), Ok(BodyLength::Chunked));
        assert_eq!(coding("gzip, chunked"), Err(HttpError::UnsupportedTransferCoding));
        for value in [
            "",
            "gzip",
            "identity",
            "xchunked",
            "chunked, gzip",
            "chunked, chunked",
            ", chunked",
            "chunked,",
            "chunked;ext=val",
            "\"chunked\"",
            "chun ked",
            "gzip;q=1, chunked",
        ] {
            assert_eq!(coding(value), Err(HttpError::InvalidTransferEncoding), "{value:?}");
        }
    }

    #[test]
    fn two_ways_to_frame_a_body_are_refused() {
        let lines = [("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        let error = Err(HttpError::ContentLengthWithTransferEncoding);
        assert_eq!(body_length(&lines, Version::Http11), error);
        assert_eq!(body_length(&[lines[1], lines[0]], Version::Http10), error);
        let repeated = [lines[1], ("Transfer-Encoding", "identity")];
        assert_eq!(body_length(&repeated, Version::Http11), Err(HttpError::InvalidTransferEncoding));
        assert_eq!(body_length(&lines[1..], Version::Http10), Err(HttpError::TransferEncodingInHttp10));
    }

    #[test]
    fn names_that_imitate_framing_are_refused() {
        for name in ["Content_Length", "TRANSFER_ENCODING"] {
            assert_eq!(body_length(&[(name, "5")], Version::Http11), Err(HttpError::FramingLookalike));
        }
        assert_eq!(body_length(&[("Content-Lengths", "x")], Version::Http11), Ok(BodyLength::Exactly(0)));
    }
}
