//! Status codes and their reason phrases (RFC 9110 §15): knows nothing of when to use which.

/// A status code from 100 to 599.
///
/// ```
/// use gnezdo::http::Status;
///
/// assert_eq!(Status::new(404), Ok(Status::NOT_FOUND));
/// assert_eq!(Status::NOT_FOUND.reason(), "Not Found");
/// assert!(Status::new(600).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

/// The number is no status code (RFC 9110 §15: three digits, first digit 1 to 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an HTTP status code")]
pub struct InvalidStatus(pub u16);

impl Status {
    /// The status of this number.
    ///
    /// # Errors
    ///
    /// [`InvalidStatus`] below 100 and above 599.
    pub const fn new(code: u16) -> Result<Self, InvalidStatus> {
        if code < 100 || code > 599 { Err(InvalidStatus(code)) } else { Ok(Self(code)) }
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether a response of this status may have content (RFC 9110 §6.4.1: not 1xx, 204 and 304).
    pub(super) const fn allows_content(self) -> bool {
        !matches!(self.0, 100..=199 | 204 | 304)
    }
}

/// Declares the named codes once: as constants, and with the phrase that goes on the status line.
macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!($code, " ", $reason)]
                pub const $name: Self = Self($code);
            )*

            /// The reason phrase, empty for a code without a well-known one (RFC 9112 §4 allows that).
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    CONTINUE = 100, "Continue";
    SWITCHING_PROTOCOLS = 101, "Switching Protocols";
    OK = 200, "OK";
    CREATED = 201, "Created";
    ACCEPTED = 202, "Accepted";
    NO_CONTENT = 204, "No Content";
    PARTIAL_CONTENT = 206, "Partial Content";
    MOVED_PERMANENTLY = 301, "Moved Permanently";
    FOUND = 302, "Found";
    SEE_OTHER = 303, "See Other";
    NOT_MODIFIED = 304, "Not Modified";
    TEMPORARY_REDIRECT = 307, "Temporary Redirect";
    PERMANENT_REDIRECT = 308, "Permanent Redirect";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    REQUEST_TIMEOUT = 408, "Request Timeout";
    CONFLICT = 409, "Conflict";
    GONE = 410, "Gone";
    LENGTH_REQUIRED = 411, "Length Required";
    PRECONDITION_FAILED = 412, "Precondition Failed";
    CONTENT_TOO_LARGE = 413, "Content Too Large";
    URI_TOO_LONG = 414, "URI Too Long";
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type";
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable";
    EXPECTATION_FAILED = 417, "Expectation Failed";
    UNPROCESSABLE_CONTENT = 422, "Unprocessable Content";
    UPGRADE_REQUIRED = 426, "Upgrade Required";
    TOO_MANY_REQUESTS = 429, "Too Many Requests";
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    BAD_GATEWAY = 502, "Bad Gateway";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    GATEWAY_TIMEOUT = 504, "Gateway Timeout";
    HTTP_VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_from_100_to_599() {
        for (code, valid) in
            [(0, false), (99, false), (100, true), (599, true), (600, false), (u16::MAX, false)]
        {
            assert_eq!(Status::new(code).is_ok(), valid, "{code}");
        }
    }

    #[test]
    fn an_unnamed_code_has_an_empty_phrase() {
        assert_eq!(Status::new(299).map(Status::reason), Ok(""));
        assert_eq!(Status::UPGRADE_REQUIRED.reason(), "Upgrade Required");
    }
}
