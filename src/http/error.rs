//! Why a head is refused, one variant per rule, each with its status code: knows no bytes.

use super::response::Response;
use super::status::Status;

/// A head that will not be understood: the peer's fault, answered by [`HttpError::response`] and a close.
///
/// The variants follow the head from its first byte to its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    // The head as a whole.
    /// The first byte cannot begin a request line or a status line (RFC 9112 §3, §4).
    #[error("this is not HTTP")]
    NotHttp,
    /// The head does not end within [`HeadLimits::max_bytes`](super::HeadLimits).
    #[error("the head is too large")]
    HeadTooLarge,
    /// More header lines than [`HeadLimits::max_headers`](super::HeadLimits).
    #[error("too many header lines")]
    TooManyHeaders,
    /// The head was given for parsing without its end.
    #[error("the head is incomplete")]
    Incomplete,
    /// A line ends with LF alone (RFC 9112 §2.2).
    #[error("a line feed without a carriage return")]
    BareLineFeed,
    /// A CR is not followed by LF (RFC 9112 §2.2).
    #[error("a carriage return without a line feed")]
    BareCarriageReturn,

    // The request line.
    /// The request line is not `method SP target SP version` (RFC 9112 §3).
    #[error("malformed request line")]
    InvalidRequestLine,
    /// The method is not a token (RFC 9110 §9.1).
    #[error("malformed method")]
    InvalidMethod,
    /// A tunnel is asked for, and this is no proxy (RFC 9110 §9.3.6).
    #[error("tunnels are not offered")]
    ConnectUnsupported,
    /// The target has none of the forms that the method allows, or a byte that no URI has (RFC 9112 §3.2).
    #[error("malformed request target")]
    InvalidTarget,
    /// The target carries a fragment (RFC 9112 §3.2, RFC 9110 §4.1).
    #[error("a fragment in the request target")]
    FragmentInTarget,
    /// The version is not `HTTP/digit.digit` (RFC 9112 §2.3).
    #[error("malformed HTTP version")]
    InvalidVersion,
    /// The version is neither 1.0 nor 1.1 (RFC 9110 §15.6.6).
    #[error("HTTP version not supported")]
    UnsupportedVersion,

    // The status line.
    /// The status line is not `version SP status SP reason` (RFC 9112 §4).
    #[error("malformed status line")]
    InvalidStatusLine,
    /// The status is not three digits, the first of them 1 to 5 (RFC 9110 §15).
    #[error("malformed status code")]
    InvalidStatus,

    // The header lines.
    /// A header line begins with white space: obsolete folding, or space before the first line (RFC 9112 §5.2, §2.2).
    #[error("a folded header line")]
    FoldedHeader,
    /// White space between a header's name and its colon (RFC 9112 §5.1).
    #[error("white space before the colon of a header line")]
    SpaceBeforeColon,
    /// A header's name is empty or no token, or its line has no colon (RFC 9112 §5).
    #[error("malformed header name")]
    InvalidHeaderName,
    /// A header's value contains a control character (RFC 9110 §5.5).
    #[error("malformed header value")]
    InvalidHeaderValue,

    // The host.
    /// An HTTP/1.1 request without a Host line (RFC 9112 §3.2).
    #[error("no Host")]
    MissingHost,
    /// More than one Host line (RFC 9112 §3.2).
    #[error("more than one Host")]
    RepeatedHost,
    /// The value of Host is not `host[:port]`, or is empty (RFC 9110 §7.2).
    #[error("malformed Host")]
    InvalidHost,
    /// The target names another host than the Host line (RFC 9112 §3.2.2).
    #[error("the request target and Host differ")]
    HostMismatch,

    // The framing of the body.
    /// Content-Length is not plain decimal digits without leading zeros (RFC 9110 §8.6).
    #[error("malformed Content-Length")]
    InvalidContentLength,
    /// Content-Length is too large for 64 bits (RFC 9110 §8.6).
    #[error("Content-Length is too large")]
    ContentLengthOverflow,
    /// More than one Content-Length line, equal or not (RFC 9110 §8.6).
    #[error("more than one Content-Length")]
    RepeatedContentLength,
    /// Content-Length beside Transfer-Encoding (RFC 9112 §6.3, item 3).
    #[error("both Content-Length and Transfer-Encoding")]
    ContentLengthWithTransferEncoding,
    /// Transfer-Encoding is repeated, malformed, or its last coding is not `chunked` (RFC 9112 §6.3, item 4).
    #[error("malformed Transfer-Encoding")]
    InvalidTransferEncoding,
    /// Transfer-Encoding applies other codings before `chunked` (RFC 9112 §6.1).
    #[error("transfer coding not supported")]
    UnsupportedTransferCoding,
    /// Transfer-Encoding in HTTP/1.0, which has none (RFC 9112 §6.1).
    #[error("Transfer-Encoding in HTTP/1.0")]
    TransferEncodingInHttp10,
    /// A name that a gateway may rewrite to a framing header, as `Content_Length` (RFC 9110 §5.1 allows the name).
    #[error("a header name that imitates a framing header")]
    FramingLookalike,
}

impl HttpError {
    /// The status that tells the peer.
    pub fn status(&self) -> Status {
        match self {
            Self::HeadTooLarge | Self::TooManyHeaders => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ConnectUnsupported | Self::UnsupportedTransferCoding => Status::NOT_IMPLEMENTED,
            Self::UnsupportedVersion => Status::HTTP_VERSION_NOT_SUPPORTED,
            // Faults of a server, for whoever hands them on to a client (RFC 9110 §15.6.3).
            Self::InvalidStatusLine | Self::InvalidStatus => Status::BAD_GATEWAY,
            Self::NotHttp
            | Self::Incomplete
            | Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::InvalidRequestLine
            | Self::InvalidMethod
            | Self::InvalidTarget
            | Self::FragmentInTarget
            | Self::InvalidVersion
            | Self::FoldedHeader
            | Self::SpaceBeforeColon
            | Self::InvalidHeaderName
            | Self::InvalidHeaderValue
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::InvalidHost
            | Self::HostMismatch
            | Self::InvalidContentLength
            | Self::ContentLengthOverflow
            | Self::RepeatedContentLength
            | Self::ContentLengthWithTransferEncoding
            | Self::InvalidTransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::FramingLookalike => Status::BAD_REQUEST,
        }
    }

    /// The whole answer: the status and a line that says why, nothing of what the peer sent. Close after it.
    pub fn response(&self) -> Response {
        Response::new(self.status()).text(format!("{self}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{BodyMode, Connection};

    #[test]
    fn each_kind_of_refusal_has_its_status() {
        for (error, code) in [
            (HttpError::HeadTooLarge, 431),
            (HttpError::TooManyHeaders, 431),
            (HttpError::UnsupportedTransferCoding, 501),
            (HttpError::ConnectUnsupported, 501),
            (HttpError::UnsupportedVersion, 505),
            (HttpError::BareLineFeed, 400),
            (HttpError::ContentLengthWithTransferEncoding, 400),
        ] {
            assert_eq!(error.status().code(), code, "{error}");
        }
    }

    #[test]
    fn the_answer_to_an_error_says_why_in_one_line() {
        let mut out = Vec::new();
        HttpError::MissingHost.response().encode(&mut out, Connection::Close, BodyMode::Send);
        assert!(out.starts_with(b"HTTP/1.1 400 Bad Request\r\n") && out.ends_with(b"\r\n\r\nno Host\n"));
    }
}
