//! What a peer can do wrong: one variant per rule, each with its close code and its RFC section. Knows nothing of how
//! it is found out.

use super::close::CloseCode;

/// A rule that the peer broke. The connection fails: one Close goes out, and nothing that follows is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV2 or RSV3 is set, and no extension gives them a meaning.
    #[error("a reserved header bit is set")]
    ReservedBits,
    /// RSV1 is set, but compression was not agreed.
    #[error("a frame is marked as compressed, but compression was not agreed")]
    CompressionNotAgreed,
    /// RSV1 is set on a continuation or a control frame; it belongs on the first frame of a message.
    #[error("RSV1 is set on a frame that does not start a message")]
    MisplacedRsv1,
    /// The opcode is one of those kept for the future.
    #[error("the opcode is reserved")]
    ReservedOpCode,
    /// A client's frame came without a mask.
    #[error("a client's frame is not masked")]
    Unmasked,
    /// A server's frame came with a mask.
    #[error("a server's frame is masked")]
    Masked,
    /// A control frame has FIN clear.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame announces more than 125 bytes.
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A length stands in more bytes than it needs ([`Lengths::Lenient`](super::Lengths) lets it pass).
    #[error("a length is not written in the fewest bytes")]
    NonMinimalLength,
    /// The most significant bit of a 64-bit length is set.
    #[error("the most significant bit of a 64-bit length is set")]
    LengthTopBit,
    /// A continuation frame came with no message to continue.
    #[error("a continuation frame continues nothing")]
    NothingToContinue,
    /// A new message began before the last fragment of the one before.
    #[error("a new message begins inside a fragmented one")]
    MessageInterrupted,
    /// A frame announces more than [`Limits::max_frame`](super::Limits).
    #[error("a frame is longer than the limit")]
    FrameTooBig,
    /// A message is longer than [`Limits::max_message`](super::Limits), after inflation if it is compressed.
    #[error("a message is longer than the limit")]
    MessageTooBig,
    /// A message comes in more than [`Limits::max_fragments`](super::Limits) frames.
    #[error("a message has too many fragments")]
    TooManyFragments,
    /// More than [`Limits::max_empty_fragments`](super::Limits) empty fragments came in a row.
    #[error("too many empty fragments in a row")]
    TooManyEmptyFragments,
    /// Pings come faster than [`Limits::pings_per_second`](super::Limits).
    #[error("pings come too fast")]
    TooManyPings,
    /// A text message is not UTF-8.
    #[error("a text message is not UTF-8")]
    InvalidUtf8,
    /// A Close carries a single byte, half a code.
    #[error("a Close frame carries half a code")]
    CloseTooShort,
    /// A Close carries a code that must never be on the wire.
    #[error("a Close frame carries the code {0}, which must not be sent")]
    CloseCodeForbidden(u16),
    /// The reason in a Close is not UTF-8.
    #[error("the reason in a Close frame is not UTF-8")]
    CloseReasonNotUtf8,
    /// A compressed message is not DEFLATE data.
    #[error("a compressed message cannot be inflated")]
    BadDeflate,
    /// Not the peer's fault: there is no memory for its message.
    #[error("no memory for a message")]
    NoMemory,
}

impl ProtocolError {
    /// The code that the Close carries which answers this error (RFC 6455 §7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::CompressionNotAgreed
            | Self::MisplacedRsv1
            | Self::ReservedOpCode
            | Self::Unmasked
            | Self::Masked
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::NonMinimalLength
            | Self::LengthTopBit
            | Self::NothingToContinue
            | Self::MessageInterrupted
            | Self::CloseTooShort
            | Self::CloseCodeForbidden(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::CloseReasonNotUtf8 | Self::BadDeflate => CloseCode::INVALID_PAYLOAD,
            Self::TooManyFragments | Self::TooManyEmptyFragments | Self::TooManyPings => CloseCode::POLICY,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::TOO_BIG,
            Self::NoMemory => CloseCode::INTERNAL,
        }
    }

    /// The section that states the rule.
    pub fn section(self) -> &'static str {
        match self {
            Self::Unmasked | Self::Masked => "RFC 6455 §5.1",
            Self::ReservedBits
            | Self::CompressionNotAgreed
            | Self::ReservedOpCode
            | Self::NonMinimalLength
            | Self::LengthTopBit => "RFC 6455 §5.2",
            Self::NothingToContinue | Self::MessageInterrupted => "RFC 6455 §5.4",
            Self::FragmentedControl | Self::ControlTooLong => "RFC 6455 §5.5",
            Self::CloseTooShort | Self::CloseReasonNotUtf8 => "RFC 6455 §5.5.1",
            Self::CloseCodeForbidden(_) => "RFC 6455 §7.4",
            Self::InvalidUtf8 => "RFC 6455 §8.1",
            Self::FrameTooBig
            | Self::MessageTooBig
            | Self::TooManyFragments
            | Self::TooManyEmptyFragments
            | Self::TooManyPings => "RFC 6455 §10.4",
            Self::NoMemory => "RFC 6455 §7.4.1",
            Self::MisplacedRsv1 => "RFC 7692 §6.1",
            Self::BadDeflate => "RFC 7692 §7.2.2",
        }
    }
}

impl From<super::utf8::InvalidUtf8> for ProtocolError {
    fn from(_: super::utf8::InvalidUtf8) -> Self {
        ProtocolError::InvalidUtf8
    }
}

impl From<crate::buf::NoMemory> for ProtocolError {
    fn from(_: crate::buf::NoMemory) -> Self {
        ProtocolError::NoMemory
    }
}
