//! From bytes to messages and control frames (RFC 6455 §5): the fast way for messages that arrive whole, the door to the
//! slow way for all else. Knows nothing of the closing handshake.

use super::compression::Agreement;
use super::deflate::Inflater;
use super::error::ProtocolError;
use super::event::Event;
use super::frame::{FrameHeader, OpCode};
use super::limits::Limits;
use super::mask::{MaskKey, mask};
use super::message::{Kind, Message};
use super::partial::Partial;
use super::role::Role;
use super::utf8;
use super::windows::Windows;
use super::workspace::Workspace;
use crate::mutants::mutant;

/// One direction of a connection. Idle, it is 16 bytes and holds no buffer.
#[derive(Debug)]
pub(super) struct Decoder {
    /// There only while something is not whole.
    partial: Option<Box<Partial>>,
    role: Role,
    agreement: Agreement,
    /// Failure is for good.
    failed: Option<ProtocolError>,
}

/// What every step of decoding goes by.
pub(super) struct Terms<'t> {
    pub(super) role: Role,
    pub(super) limits: &'t Limits,
    pub(super) space: &'t mut Workspace,
    agreement: Agreement,
    windows: &'t mut Windows,
}

/// A message in one frame that lies whole at the front of the input.
struct Whole {
    kind: Kind,
    key: Option<MaskKey>,
    head: usize,
    length: usize,
}

impl Decoder {
    pub(super) fn new(role: Role, agreement: Agreement) -> Decoder {
        Decoder { partial: None, role, agreement, failed: None }
    }

    #[inline]
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Whether a rule was broken, by whichever way.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The fast way: a message that lies whole at the front of `input`, if one does. Whatever else is there, right or wrong,
    /// is left to [`decode`](Decoder::decode).
    #[inline]
    pub(super) fn lend<'a>(&mut self, input: &mut &'a mut [u8], limits: &Limits) -> Option<Message<'a>> {
        if self.partial.is_some() || self.failed.is_some() {
            return None;
        }
        let whole = Whole::find(input, self.role, limits)?;
        advance(input, whole.head);
        let payload = advance(input, whole.length);
        if let Some(key) = whole.key {
            mask(payload, key);
        }
        match whole.kind {
            Kind::Binary => Some(Message::Binary(payload)),
            // RFC 6455 §8.1: text is UTF-8.
            Kind::Text => {
                let text = utf8::check(payload).map_err(|error| self.fail(error.into(), input)).ok()?;
                Some(Message::from(text))
            }
        }
    }

    /// Takes the next event off the front of `input`: whatever is cut, fragmented, compressed, a control frame or wrong.
    ///
    /// `Ok(None)` says that nothing more can be had now: either `input` is used up, or it is not and the inflate budget
    /// is spent; then the rest has to be offered again later.
    pub(super) fn decode(
        &mut self,
        input: &mut &mut [u8],
        space: &mut Workspace,
        limits: &Limits,
        windows: &mut Windows,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(self.fail(error, input));
        }
        if input.is_empty() {
            return Ok(None);
        }
        let mut partial = self.partial.take().unwrap_or_else(|| space.take_partial());
        let before = partial.held();
        let outcome = partial.advance(input, &mut self.terms(space, limits, windows));
        self.settle(partial, before, outcome, space).map_err(|error| self.fail(error, input))
    }

    /// Where the rest of a large frame can be received without a copy; `None` when there is no such frame.
    #[inline]
    pub(super) fn landing(&mut self, space: &mut Workspace) -> Option<&mut [u8]> {
        self.partial.as_deref_mut()?.landing(space)
    }

    /// Takes in the first `count` bytes of what [`landing`](Decoder::landing) lent.
    pub(super) fn landed(
        &mut self,
        count: usize,
        space: &mut Workspace,
        limits: &Limits,
        windows: &mut Windows,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let Some(mut partial) = self.partial.take() else { return self.failed.map_or(Ok(None), Err) };
        let before = partial.held();
        let outcome = partial.landed(count, &mut self.terms(space, limits, windows));
        self.settle(partial, before, outcome, space)
            .map_err(|error| self.fail(error, &mut Default::default()))
    }

    /// Gives back what is held, at the end of the connection.
    pub(super) fn release(&mut self, space: &mut Workspace) {
        if let Some(mut partial) = self.partial.take() {
            if !mutant("forget what was given back") {
                space.count_held(partial.held(), 0);
            }
            partial.abandon(space);
            space.give_partial(partial);
        }
    }

    /// How many bytes there are of a message in progress.
    pub(super) fn held(&self) -> usize {
        self.partial.as_deref().map_or(0, Partial::held)
    }

    /// Keeps `partial`, which had so many bytes before, if it is needed, and gives it back if not.
    fn settle<T>(
        &mut self,
        mut partial: Box<Partial>,
        before: usize,
        outcome: Result<T, ProtocolError>,
        space: &mut Workspace,
    ) -> Result<T, ProtocolError> {
        if outcome.is_err() {
            partial.abandon(space);
        }
        space.count_held(before, partial.held());
        if partial.is_idle() {
            space.give_partial(partial);
        } else {
            self.partial = Some(partial);
        }
        outcome
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError, input: &mut &mut [u8]) -> ProtocolError {
        *input = &mut [];
        self.failed = Some(error);
        error
    }

    fn terms<'t>(&self, space: &'t mut Workspace, limits: &'t Limits, windows: &'t mut Windows) -> Terms<'t> {
        Terms { role: self.role, limits, space, agreement: self.agreement, windows }
    }
}

impl Terms<'_> {
    /// The stream for a message that begins: the connection's own, or one that is shared.
    pub(super) fn inflater(&mut self) -> Result<Box<Inflater>, ProtocolError> {
        let inflater = match self.agreement {
            // RFC 6455 §5.2: RSV1 MUST be 0 unless an extension was negotiated that defines it.
            Agreement::Plain => return Err(ProtocolError::CompressionNotAgreed),
            Agreement::PerMessage(_) => self.space.take_inflater(),
            Agreement::Takeover(bits) => self.windows.take_inflater().or_else(|| Inflater::boxed(bits)),
        };
        inflater.ok_or(ProtocolError::BadDeflate)
    }

    /// The stream of a message that has ended.
    pub(super) fn return_inflater(&mut self, inflater: Box<Inflater>) {
        match self.agreement {
            Agreement::Plain | Agreement::PerMessage(_) => self.space.give_inflater(inflater),
            Agreement::Takeover(_) => self.windows.keep_inflater(inflater),
        }
    }
}

impl Whole {
    #[inline]
    fn find(input: &[u8], role: Role, limits: &Limits) -> Option<Whole> {
        let (header, head) = FrameHeader::parse(input, limits.lengths).ok()??;
        let kind = match (header.opcode, header.last, header.compressed) {
            (OpCode::Text, true, false) => Kind::Text,
            (OpCode::Binary, true, false) => Kind::Binary,
            _ => return None,
        };
        let length = usize::try_from(header.length).ok()?;
        let here = length <= input.len().saturating_sub(head);
        let allowed = header.length <= limits.max_frame && length <= limits.max_message;
        let masked = header.mask.is_some() == (role == Role::Server);
        (here && allowed && masked).then_some(Whole { kind, key: header.mask, head, length })
    }
}

/// Takes at most `count` bytes off the front of `input`.
#[inline]
pub(super) fn advance<'a>(input: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    let bytes = std::mem::take(input);
    let (front, rest) = bytes.split_at_mut(count.min(bytes.len()));
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(role: Role, wire: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let (mut wire, mut space) = (wire.to_vec(), Workspace::default());
        let mut decoder = Decoder::new(role, Agreement::Plain);
        let (mut input, limits) = (wire.as_mut_slice(), Limits::default());
        if let Some(message) = decoder.lend(&mut input, &limits) {
            return Ok(message.as_bytes().to_vec());
        }
        let outcome = decoder.decode(&mut input, &mut space, &limits, &mut Windows::default());
        outcome.map(|event| panic!("{event:?}"))
    }

    #[test]
    fn a_server_refuses_unmasked_frames_and_a_client_masked_ones() {
        let (plain, masked) = (b"\x82\x02ab", b"\x82\x82\x01\x02\x03\x04\x60\x60");
        assert_eq!(decode(Role::Server, masked), Ok(b"ab".to_vec()));
        assert_eq!(decode(Role::Server, plain), Err(ProtocolError::Unmasked));
        assert_eq!(decode(Role::Client, plain), Ok(b"ab".to_vec()));
        assert_eq!(decode(Role::Client, masked), Err(ProtocolError::Masked));
    }

    #[test]
    fn failure_is_for_good() {
        let (mut space, limits) = (Workspace::default(), Limits::default());
        let mut decoder = Decoder::new(Role::Server, Agreement::Plain);
        for wire in [&b"\x82\x00"[..], b"\x82\x80\0\0\0\0", b""] {
            let mut wire = wire.to_vec();
            let mut input = wire.as_mut_slice();
            assert_eq!(decoder.lend(&mut input, &limits), None);
            let windows = &mut Windows::default();
            let outcome = decoder.decode(&mut input, &mut space, &limits, windows);
            assert_eq!(outcome.map(drop), Err(ProtocolError::Unmasked));
            assert!(input.is_empty());
            let outcome = decoder.landed(1, &mut space, &limits, windows);
            assert_eq!(outcome.map(drop), Err(ProtocolError::Unmasked));
        }
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert_eq!(size_of::<Decoder>(), 16);
        assert!(size_of::<Partial>() <= 256, "{}", size_of::<Partial>());
    }
}
