//! What a cut leaves behind: the head, the frame and the message that are not whole yet (RFC 6455 §5.2, §5.4, §5.5).
//! Knows nothing of the closing handshake and of whole frames, which never come here.

use super::close::CloseFrame;
use super::decoder::{Terms, advance};
use super::deflate::Inflater;
use super::error::ProtocolError;
use super::event::{Assembly, Control, Event, Payload};
use super::frame::{FrameHead, FrameHeader, OpCode};
use super::inflation::end_compressed;
use super::limits::Limits;
use super::mask::{MaskKey, mask, mask_copy};
use super::message::Kind;
use super::utf8::Utf8Validator;
use super::workspace::Workspace;
use crate::buf::Buffer;

/// A connection in the middle of something. Idle connections have none.
///
/// ```text
///          the head is whole: ping, pong, close             its payload is whole
///   Head ────────────────────────────────────────▶ Control ─────────────────────▶ Head, with an event
///    │     the head is whole: text, binary, continuation    its payload is whole
///    └───────────────────────────────────────────▶ Data ────────────────────────▶ Head, with an event if FIN was set
/// ```
///
/// `message` is there from the first frame of a message to the end of its last one, whatever control frames come in
/// between.
#[derive(Debug, Default)]
pub(super) struct Partial {
    stage: Stage,
    head: Head,
    control: Control,
    /// Bytes of the frame's payload still to come.
    pub(super) left: u64,
    /// The key for the next byte to come.
    pub(super) key: MaskKey,
    last: bool,
    message: Option<Open>,
    pub(super) text: Option<Utf8Validator>,
    pub(super) buffer: Buffer,
    /// There while a compressed message is.
    pub(super) inflater: Option<Box<Inflater>>,
    /// How many bytes of `buffer` are lent to be received into.
    lent: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    Control(OpCode),
    Data,
}

/// A frame's head, cut short.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; FrameHead::MAX],
    length: usize,
}

/// A message of which at least one frame has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    fragments: u32,
    /// Empty fragments in a row, up to now.
    empty: u32,
}

impl Partial {
    /// Nothing is in progress: the box can go back to its pool.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Head && self.head.length == 0 && self.message.is_none()
    }

    /// How many bytes there are of the message in progress.
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Gives back all that is held and forgets the rest.
    pub(super) fn abandon(&mut self, space: &mut Workspace) {
        space.buffers.give(std::mem::take(&mut self.buffer));
        *self = Partial::default();
    }

    /// Goes on until something is whole or the input is used up, or the inflate budget is.
    pub(super) fn advance(
        &mut self,
        input: &mut &mut [u8],
        terms: &mut Terms<'_>,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        loop {
            match self.stage {
                Stage::Head => {
                    let Some(header) = self.head.take(input, terms.limits)? else { return Ok(None) };
                    self.begin(&header, terms)?;
                }
                Stage::Control(opcode) => return self.take_control(opcode, input),
                Stage::Data => {
                    self.take_data(input, terms)?;
                    if self.left > 0 {
                        return Ok(None);
                    }
                    if let Some(event) = self.end_data_frame(terms)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    fn begin(&mut self, header: &FrameHeader, terms: &mut Terms<'_>) -> Result<(), ProtocolError> {
        self.key = terms.role.incoming_key(header.mask)?;
        self.left = header.length;
        if header.opcode.is_control() {
            // RFC 7692 §6.1: the bit MUST NOT be set on control frames.
            refuse_rsv1(header)?;
            self.control = Control::EMPTY;
            self.stage = Stage::Control(header.opcode);
            return Ok(());
        }
        // RFC 6455 §10.4: compared with the limit before any of it is read.
        if header.length > terms.limits.max_frame {
            return Err(ProtocolError::FrameTooBig);
        }
        self.begin_data(header, terms)?;
        self.last = header.last;
        self.stage = Stage::Data;
        Ok(())
    }

    fn begin_data(&mut self, header: &FrameHeader, terms: &mut Terms<'_>) -> Result<(), ProtocolError> {
        let mut open = match (header.opcode, self.message) {
            (OpCode::Continuation, Some(open)) => {
                // RFC 7692 §6.1: the bit MUST NOT be set on fragments but the first.
                refuse_rsv1(header)?;
                open
            }
            // RFC 6455 §5.4: a continuation frame needs a message to continue.
            (OpCode::Continuation, None) => return Err(ProtocolError::NothingToContinue),
            // RFC 6455 §5.4: the fragments of one message MUST NOT be interleaved with those of another.
            (_, Some(_)) => return Err(ProtocolError::MessageInterrupted),
            (OpCode::Text, None) => self.open(Kind::Text, header, terms)?,
            (_, None) => self.open(Kind::Binary, header, terms)?,
        };
        open.count(header, terms.limits)?;
        self.message = Some(open);
        self.check_size(terms.limits)
    }

    fn open(
        &mut self,
        kind: Kind,
        header: &FrameHeader,
        terms: &mut Terms<'_>,
    ) -> Result<Open, ProtocolError> {
        self.text = (kind == Kind::Text).then(Utf8Validator::default);
        self.inflater = if header.compressed { Some(terms.inflater()?) } else { None };
        Ok(Open { kind, fragments: 0, empty: 0 })
    }

    /// RFC 6455 §10.4: what is announced is compared before any of it is read. (What is compressed is counted as
    /// it comes out.)
    fn check_size(&self, limits: &Limits) -> Result<(), ProtocolError> {
        let room = limits.max_message.checked_sub(self.buffer.len());
        let fits = room.is_some_and(|room| self.left <= u64::try_from(room).unwrap_or(u64::MAX));
        if fits || self.inflater.is_some() { Ok(()) } else { Err(ProtocolError::MessageTooBig) }
    }

    fn take_control(
        &mut self,
        opcode: OpCode,
        input: &mut &mut [u8],
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let piece = advance(input, usize::try_from(self.left).unwrap_or(usize::MAX));
        mask(piece, self.key);
        self.moved(piece.len());
        // RFC 6455 §5.5: at most 125 bytes, as the head was made to promise.
        if !self.control.append(piece) {
            return Err(ProtocolError::ControlTooLong);
        }
        if self.left > 0 {
            return Ok(None);
        }
        self.stage = Stage::Head;
        Ok(Some(match opcode {
            OpCode::Ping => Event::Ping(self.control),
            OpCode::Pong => Event::Pong(self.control),
            OpCode::Close | OpCode::Continuation | OpCode::Text | OpCode::Binary => {
                Event::Close(CloseFrame::parse(self.control.as_bytes())?)
            }
        }))
    }

    fn take_data(&mut self, input: &mut &mut [u8], terms: &mut Terms<'_>) -> Result<(), ProtocolError> {
        self.lent = 0;
        if self.inflater.is_some() {
            return self.take_compressed(input, terms);
        }
        let piece = advance(input, usize::try_from(self.left).unwrap_or(usize::MAX));
        self.take_plain(piece, terms.space)
    }

    /// Copies plain bytes to where the message is put together, in pieces that stay in the first-level cache
    /// between unmasking and checking.
    fn take_plain(&mut self, mut piece: &[u8], space: &mut Workspace) -> Result<(), ProtocolError> {
        while !piece.is_empty() {
            let expected = self.expected();
            if self.buffer.spare_mut().is_empty() {
                space.buffers.grow(&mut self.buffer, expected)?;
            }
            let free = self.buffer.spare_mut();
            let count = piece.len().min(free.len()).min(CACHED);
            let (Some(target), Some((source, rest))) = (free.get_mut(..count), piece.split_at_checked(count))
            else {
                break;
            };
            mask_copy(target, source, self.key);
            check_text(self.text.as_mut(), target)?;
            self.buffer.commit(count);
            self.moved(count);
            piece = rest;
        }
        Ok(())
    }

    /// Where the rest of a large plain frame can be received without a copy.
    pub(super) fn landing(&mut self, space: &mut Workspace) -> Option<&mut [u8]> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        if self.stage != Stage::Data || self.inflater.is_some() || left < LANDING {
            return None;
        }
        let expected = self.expected();
        if self.buffer.spare_mut().len() < LANDING {
            space.buffers.grow(&mut self.buffer, expected).ok()?;
        }
        let free = self.buffer.spare_mut();
        self.lent = free.len().min(left);
        free.get_mut(..self.lent)
    }

    /// Takes in the first `count` bytes of what [`landing`](Partial::landing) lent.
    pub(super) fn landed(
        &mut self,
        count: usize,
        terms: &mut Terms<'_>,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        // Not a byte more than was lent, whatever the transport says.
        let mut rest = count.min(std::mem::take(&mut self.lent));
        if rest == 0 {
            return Ok(None);
        }
        while rest > 0 {
            let count = rest.min(CACHED);
            let Some(piece) = self.buffer.spare_mut().get_mut(..count) else { break };
            mask(piece, self.key);
            check_text(self.text.as_mut(), piece)?;
            self.buffer.commit(count);
            self.moved(count);
            rest = rest.saturating_sub(count);
        }
        if self.left > 0 { Ok(None) } else { self.end_data_frame(terms) }
    }

    fn end_data_frame(&mut self, terms: &mut Terms<'_>) -> Result<Option<Event<'static>>, ProtocolError> {
        self.stage = Stage::Head;
        if !self.last {
            return Ok(None);
        }
        if let Some(inflater) = self.inflater.take() {
            end_compressed(inflater, terms)?;
        }
        // RFC 6455 §8.1: text that ends inside a character is not UTF-8.
        if let Some(text) = self.text.take() {
            text.finish()?;
        }
        let kind = self.message.take().map_or(Kind::Binary, |open| open.kind);
        let assembly = Assembly::from_checked(kind, std::mem::take(&mut self.buffer));
        Ok(Some(Event::Message(Payload::Assembled(assembly))))
    }

    /// How long the message is going to be, as far as is known.
    fn expected(&self) -> usize {
        self.buffer.len().saturating_add(usize::try_from(self.left).unwrap_or(usize::MAX))
    }

    /// Counts bytes of the payload as taken.
    pub(super) fn moved(&mut self, count: usize) {
        self.left = self.left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.key = self.key.rotated(count);
    }
}

impl Head {
    /// The next frame's header, once all of it is here; what there is of it is taken anyway.
    fn take(&mut self, input: &mut &mut [u8], limits: &Limits) -> Result<Option<FrameHeader>, ProtocolError> {
        let before = self.length;
        let free = self.bytes.get_mut(before..).unwrap_or_default();
        let mut count = 0_usize;
        for (to, from) in free.iter_mut().zip(input.iter()) {
            *to = *from;
            count = count.saturating_add(1);
        }
        self.length = before.saturating_add(count);
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        let parsed = FrameHeader::parse(bytes, limits.lengths)?;
        if let Some((_, size)) = parsed {
            count = size.saturating_sub(before);
            self.length = 0;
        }
        advance(input, count);
        Ok(parsed.map(|(header, _)| header))
    }
}

impl Open {
    /// Counts one more frame (RFC 6455 §10.4).
    fn count(&mut self, header: &FrameHeader, limits: &Limits) -> Result<(), ProtocolError> {
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > limits.max_fragments.max(1) {
            return Err(ProtocolError::TooManyFragments);
        }
        let empty = header.length == 0 && !header.last;
        self.empty = if empty { self.empty.saturating_add(1) } else { 0 };
        if self.empty > limits.max_empty_fragments {
            Err(ProtocolError::TooManyEmptyFragments)
        } else {
            Ok(())
        }
    }
}

fn refuse_rsv1(header: &FrameHeader) -> Result<(), ProtocolError> {
    if header.compressed { Err(ProtocolError::MisplacedRsv1) } else { Ok(()) }
}

/// RFC 6455 §8.1: text is UTF-8, and is refused at the first byte that cannot be.
pub(super) fn check_text(text: Option<&mut Utf8Validator>, piece: &[u8]) -> Result<(), ProtocolError> {
    text.map_or(Ok(()), |text| text.push(piece).map_err(ProtocolError::from))
}

/// How much to unmask before it is checked: half of a first-level cache.
const CACHED: usize = 16 * 1024;
/// Direct landing pays for itself from this many bytes to come.
const LANDING: usize = 4 * 1024;
