//! Frame headers, to and from bytes (RFC 6455 §5.2, §5.5). Knows one header at a time: no messages, no roles.

use super::error::ProtocolError;
use super::limits::Lengths;
use super::mask::MaskKey;
use super::message::Kind;

/// What a frame is for (RFC 6455 §5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// The next fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The beginning or the end of the closing handshake.
    Close = 0x8,
    /// To be answered with a pong.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life.
    Pong = 0xA,
}

impl OpCode {
    #[inline]
    fn from_bits(bits: u8) -> Result<OpCode, ProtocolError> {
        match bits {
            0x0 => Ok(OpCode::Continuation),
            0x1 => Ok(OpCode::Text),
            0x2 => Ok(OpCode::Binary),
            0x8 => Ok(OpCode::Close),
            0x9 => Ok(OpCode::Ping),
            0xA => Ok(OpCode::Pong),
            // RFC 6455 §5.2: an unknown opcode MUST fail the connection.
            _ => Err(ProtocolError::ReservedOpCode),
        }
    }

    #[inline]
    fn bits(self) -> u8 {
        self as u8
    }

    /// Close, ping or pong (RFC 6455 §5.5).
    #[inline]
    pub fn is_control(self) -> bool {
        matches!(self, OpCode::Close | OpCode::Ping | OpCode::Pong)
    }
}

impl From<Kind> for OpCode {
    #[inline]
    fn from(kind: Kind) -> OpCode {
        match kind {
            Kind::Text => OpCode::Text,
            Kind::Binary => OpCode::Binary,
        }
    }
}

/// What stands before the payload of a frame (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is for.
    pub opcode: OpCode,
    /// FIN: this is the last frame of its message.
    pub last: bool,
    /// RSV1: this is the first frame of a compressed message (RFC 7692 §6).
    pub compressed: bool,
    /// The key that the payload is masked with, if it is.
    pub mask: Option<MaskKey>,
    /// How many bytes of payload follow.
    pub length: u64,
}

impl FrameHeader {
    /// The whole of an uncompressed, unmasked message in one frame.
    #[inline]
    pub fn message(kind: Kind, length: u64) -> FrameHeader {
        FrameHeader { opcode: kind.into(), last: true, compressed: false, mask: None, length }
    }

    /// Reads the header at the front of `bytes`: with its length in bytes when it is whole, `None` when more bytes
    /// are needed (nothing is consumed). A rule broken in the bytes that are there is reported at once.
    ///
    /// # Errors
    /// The first rule of RFC 6455 §5.2 and §5.5 that the header itself breaks.
    #[inline]
    pub fn parse(bytes: &[u8], lengths: Lengths) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let opcode = check_start(first, second)?;
        let Some((length, rest)) = parse_length(second & LENGTH, rest, lengths)? else { return Ok(None) };
        let (mask, rest) = match (second & MASK, rest.split_first_chunk::<4>()) {
            (0, _) => (None, rest),
            (_, Some((key, rest))) => (Some(MaskKey(*key)), rest),
            (_, None) => return Ok(None),
        };
        let (last, compressed) = (first & FIN != 0, first & RSV1 != 0);
        let size = bytes.len().saturating_sub(rest.len());
        Ok(Some((FrameHeader { opcode, last, compressed, mask, length }, size)))
    }

    /// The header as bytes, with the length in the fewest (RFC 6455 §5.2).
    #[inline]
    pub fn encode(&self) -> FrameHead {
        let mut head = FrameHead { bytes: [0; FrameHead::MAX], size: 0 };
        let masked = if self.mask.is_some() { MASK } else { 0 };
        let last = if self.last { FIN } else { 0 };
        let compressed = if self.compressed { RSV1 } else { 0 };
        let first = self.opcode.bits() | last | compressed;
        match self.length {
            length @ 0..=125 => head.push([first, length.to_le_bytes()[0] | masked]),
            length @ 126..=0xFFFF => {
                head.push([first, LENGTH_16 | masked]);
                let [low, high, ..] = length.to_le_bytes();
                head.push([high, low]);
            }
            length => {
                head.push([first, LENGTH_64 | masked]);
                head.push(length.to_be_bytes());
            }
        }
        if let Some(MaskKey(key)) = self.mask {
            head.push(key);
        }
        head
    }
}

/// The rules that the first two bytes alone can break.
#[inline]
fn check_start(first: u8, second: u8) -> Result<OpCode, ProtocolError> {
    // RFC 6455 §5.2: RSV1, RSV2, RSV3 MUST be 0 unless an extension defines them; RFC 7692 defines the first.
    if first & (RSV2 | RSV3) != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    let opcode = OpCode::from_bits(first & OPCODE)?;
    if opcode.is_control() {
        // RFC 6455 §5.5: control frames MUST NOT be fragmented.
        if first & FIN == 0 {
            return Err(ProtocolError::FragmentedControl);
        }
        // RFC 6455 §5.5: control frames MUST have a payload length of 125 bytes or less.
        if second & LENGTH > MAX_CONTROL {
            return Err(ProtocolError::ControlTooLong);
        }
    }
    Ok(opcode)
}

#[inline]
fn parse_length(short: u8, rest: &[u8], lengths: Lengths) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, least, rest) = match short {
        LENGTH_16 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), 126, rest)
        }
        LENGTH_64 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), 0x1_0000, rest)
        }
        length => (u64::from(length), 0, rest),
    };
    // RFC 6455 §5.2: the most significant bit of a 64-bit length MUST be 0.
    if length > i64::MAX.unsigned_abs() {
        return Err(ProtocolError::LengthTopBit);
    }
    // RFC 6455 §5.2: the minimal number of bytes MUST be used to encode the length.
    if length < least && lengths == Lengths::Strict {
        return Err(ProtocolError::NonMinimalLength);
    }
    Ok(Some((length, rest)))
}

/// A frame header as it goes onto the wire: 2 to 14 bytes, ready to be put before its payload.
///
/// ```
/// # use gnezdo::ws::{FrameHeader, Kind};
/// assert_eq!(FrameHeader::message(Kind::Text, 5).encode().as_bytes(), [0x81, 5]);
/// assert_eq!(FrameHeader::message(Kind::Binary, 256).encode().as_bytes(), [0x82, 126, 1, 0]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameHead {
    bytes: [u8; FrameHead::MAX],
    size: u8,
}

impl FrameHead {
    /// The longest head: two bytes, a 64-bit length, a masking key.
    pub const MAX: usize = 14;

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.size)).unwrap_or_default()
    }

    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        let free = self.bytes.get_mut(usize::from(self.size)..).unwrap_or_default();
        if let Some((front, _)) = free.split_first_chunk_mut::<N>() {
            *front = bytes;
            self.size = self.size.saturating_add(u8::try_from(N).unwrap_or(0));
        }
    }
}

/// RFC 6455 §5.2, the first byte.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const OPCODE: u8 = 0x0F;
/// RFC 6455 §5.2, the second byte.
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7F;
/// The length follows in 16 bits.
const LENGTH_16: u8 = 126;
/// The length follows in 64 bits.
const LENGTH_64: u8 = 127;
/// RFC 6455 §5.5: the longest payload of a control frame.
pub(super) const MAX_CONTROL: u8 = 125;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        FrameHeader::parse(bytes, Lengths::Strict)
    }

    #[test]
    fn lengths_stand_in_the_fewest_bytes() {
        for (length, size) in
            [(0, 2), (125, 2), (126, 4), (127, 4), (0xFFFF, 4), (0x1_0000, 10), (i64::MAX.unsigned_abs(), 10)]
        {
            let header = FrameHeader::message(Kind::Binary, length);
            assert_eq!(header.encode().as_bytes().len(), size, "{length}");
            assert_eq!(parse(header.encode().as_bytes()), Ok(Some((header, size))));
        }
    }

    #[test]
    fn non_minimal_lengths_pass_only_when_lenient() {
        for bytes in [&[0x82, 126, 0, 125][..], &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]] {
            assert_eq!(parse(bytes), Err(ProtocolError::NonMinimalLength));
            assert!(FrameHeader::parse(bytes, Lengths::Lenient).is_ok_and(|header| header.is_some()));
        }
    }

    #[test]
    fn the_first_two_bytes_are_judged_before_the_rest_is_there() {
        for (bytes, error) in [
            ([0xA1, 0x80], ProtocolError::ReservedBits),
            ([0x91, 0x80], ProtocolError::ReservedBits),
            ([0x83, 0x80], ProtocolError::ReservedOpCode),
            ([0x8B, 0x80], ProtocolError::ReservedOpCode),
            ([0x09, 0x80], ProtocolError::FragmentedControl),
            ([0x88, 0xFE], ProtocolError::ControlTooLong),
        ] {
            assert_eq!(parse(&bytes), Err(error));
        }
    }

    #[test]
    fn the_top_bit_of_a_length_is_refused_and_the_largest_length_is_not() {
        assert_eq!(parse(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), Err(ProtocolError::LengthTopBit));
        assert!(
            parse(&[0x82, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255]).is_ok_and(|header| header.is_some())
        );
    }

    proptest! {
        #[test]
        fn a_header_survives_the_wire(
            bits in 0usize..6, last: bool, compressed: bool, key: Option<[u8; 4]>, length in 0u64..1 << 63,
        ) {
            let opcode = [OpCode::Continuation, OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong][bits];
            let control = opcode.is_control();
            let length = if control { length % 126 } else { length };
            let header = FrameHeader { opcode, last: last || control, compressed, mask: key.map(MaskKey), length };
            let head = header.encode();
            prop_assert_eq!(parse(head.as_bytes()), Ok(Some((header, head.as_bytes().len()))));
            for cut in 0..head.as_bytes().len() {
                prop_assert_eq!(parse(&head.as_bytes()[..cut]), Ok(None));
            }
        }
    }
}
