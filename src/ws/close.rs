//! Close frames: codes that may stand on the wire and the payload that carries them (RFC 6455 §5.5.1, §7.4). Knows
//! nothing of the closing handshake.

use std::fmt;

use super::error::ProtocolError;
use super::utf8;

/// A status code that may stand in a Close frame: 1000–1003, 1007–1014 and 3000–4999 (RFC 6455 §7.4 and the IANA
/// registry). 1004, 1005, 1006 and 1015 never do.
///
/// ```
/// # use gnezdo::ws::CloseCode;
/// assert_eq!(CloseCode::new(1001), Ok(CloseCode::GOING_AWAY));
/// assert!(CloseCode::new(4999).is_ok());
/// assert!(CloseCode::new(1006).is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: a server goes down, a browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: this kind of data is not accepted here.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// 1007: the payload is not what its kind says, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: the peer broke a rule of the house.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: a client misses an extension.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: something unexpected went wrong here.
    pub const INTERNAL: CloseCode = CloseCode(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: the service is overloaded; try again later.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);
    /// 1014: a gateway got a bad answer from behind.
    pub const BAD_GATEWAY: CloseCode = CloseCode(1014);

    /// Checks a code.
    ///
    /// # Errors
    /// [`ForbiddenCloseCode`] for one that must not be sent (RFC 6455 §7.4.1, §7.4.2).
    pub fn new(code: u16) -> Result<CloseCode, ForbiddenCloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(CloseCode(code)),
            _ => Err(ForbiddenCloseCode(code)),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = ForbiddenCloseCode;

    fn try_from(code: u16) -> Result<Self, ForbiddenCloseCode> {
        CloseCode::new(code)
    }
}

/// This code must not stand in a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the close code {0} must not be sent")]
pub struct ForbiddenCloseCode(pub u16);

/// What a Close frame says: a code and a reason of at most 123 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CloseFrame {
    code: CloseCode,
    length: u8,
    reason: [u8; MAX_REASON],
}

impl CloseFrame {
    /// A Close with this code and reason. A reason longer than 123 bytes is cut at the last character that fits: a
    /// connection that should close must not stay open because of a long explanation.
    ///
    /// ```
    /// # use gnezdo::ws::{CloseCode, CloseFrame};
    /// let close = CloseFrame::new(CloseCode::POLICY, &"é".repeat(99));
    /// assert_eq!(close.reason(), "é".repeat(61));
    /// ```
    pub fn new(code: CloseCode, reason: &str) -> CloseFrame {
        let fitting = (0..=MAX_REASON).rev().find_map(|end| reason.get(..end));
        let whole = (reason.len() <= MAX_REASON).then_some(reason);
        CloseFrame::from_checked(code, whole.or(fitting).unwrap_or_default().as_bytes())
    }

    /// Reads the payload of a Close frame; an empty one says nothing.
    ///
    /// # Errors
    /// One byte (RFC 6455 §5.5.1), more than 125 (§5.5), a forbidden code (§7.4), a reason that is not UTF-8 (§5.5.1, §8.1).
    pub fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, ProtocolError> {
        if payload.is_empty() {
            return Ok(None);
        }
        // RFC 6455 §5.5.1: if there is a body, the first two bytes MUST be a status code.
        let Some((code, reason)) = payload.split_first_chunk::<2>() else {
            return Err(ProtocolError::CloseTooShort);
        };
        // RFC 6455 §5.5: no frame carries more, and what is longer could not be kept whole.
        if reason.len() > MAX_REASON {
            return Err(ProtocolError::ControlTooLong);
        }
        let code = u16::from_be_bytes(*code);
        // RFC 6455 §7.4: codes that MUST NOT be set in a Close frame, and those not yet defined.
        let code = CloseCode::new(code).map_err(|_| ProtocolError::CloseCodeForbidden(code))?;
        // RFC 6455 §5.5.1: the rest is UTF-8.
        utf8::check(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
        Ok(Some(CloseFrame::from_checked(code, reason)))
    }

    /// Why, as a number.
    pub fn code(&self) -> CloseCode {
        self.code
    }

    /// Why, in words; may be empty.
    pub fn reason(&self) -> &str {
        utf8::check(self.reason_bytes()).unwrap_or_default()
    }

    /// Appends the payload of a Close frame that says this.
    pub(crate) fn payload_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.0.to_be_bytes());
        out.extend_from_slice(self.reason_bytes());
    }

    /// The length of that payload.
    pub(crate) fn payload_len(&self) -> usize {
        usize::from(self.length).saturating_add(2)
    }

    fn from_checked(code: CloseCode, bytes: &[u8]) -> CloseFrame {
        let mut reason = [0; MAX_REASON];
        for (to, from) in reason.iter_mut().zip(bytes) {
            *to = *from;
        }
        let length = u8::try_from(bytes.len().min(MAX_REASON)).unwrap_or(0);
        CloseFrame { code, length, reason }
    }

    fn reason_bytes(&self) -> &[u8] {
        self.reason.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseFrame({}, {:?})", self.code, self.reason())
    }
}

/// RFC 6455 §5.5: a control frame carries 125 bytes at most, two of which are the code.
const MAX_REASON: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_that_may_stand_on_the_wire() {
        let legal = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        for code in 0..=u16::MAX {
            assert_eq!(CloseCode::new(code).is_ok(), legal(code), "{code}");
        }
    }

    #[test]
    fn a_payload_is_empty_or_a_code_and_a_reason() {
        let parse = |payload: &[u8]| CloseFrame::parse(payload);
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"\x03"), Err(ProtocolError::CloseTooShort));
        assert_eq!(parse(b"\x03\xE8"), Ok(Some(CloseFrame::new(CloseCode::NORMAL, ""))));
        assert_eq!(parse(b"\x03\xE9bye"), Ok(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye"))));
        assert_eq!(parse(b"\x03\xEE"), Err(ProtocolError::CloseCodeForbidden(1006)));
        assert_eq!(parse(b"\x03\xE8\xFF"), Err(ProtocolError::CloseReasonNotUtf8));
        let with_reason = |length: usize| [b"\x03\xE8", "é".repeat(length).as_bytes()].concat();
        assert_eq!(parse(&with_reason(61)), Ok(Some(CloseFrame::new(CloseCode::NORMAL, &"é".repeat(61)))));
        assert_eq!(parse(&with_reason(62)), Err(ProtocolError::ControlTooLong));
    }

    #[test]
    fn a_reason_is_cut_at_a_character_when_it_is_longer_than_123_bytes() {
        for (length, kept) in [(122, 122), (123, 123), (124, 123)] {
            assert_eq!(CloseFrame::new(CloseCode::NORMAL, &"x".repeat(length)).reason().len(), kept);
        }
        let mut payload = Vec::new();
        CloseFrame::new(CloseCode::NORMAL, &"€".repeat(100)).payload_into(&mut payload);
        assert_eq!(payload, [&[0x03, 0xE8], "€".repeat(41).as_bytes()].concat());
    }

    #[test]
    fn a_close_is_printed_as_a_number_and_words() {
        let close = CloseFrame::new(CloseCode::GOING_AWAY, "bye");
        assert_eq!(format!("{close:?}"), "CloseFrame(1001, \"bye\")");
        assert_eq!(format!("{} {:?}", close.code(), close.code()), "1001 CloseCode(1001)");
    }
}
