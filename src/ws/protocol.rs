//! One connection after its opening handshake: messages both ways, pings, and the closing handshake (RFC 6455 §5.5, §7).
//! Knows no sockets and no clocks: bytes come in, events and bytes go out, and the time is told.

use std::sync::Arc;

use super::close::{CloseCode, CloseFrame};
use super::compression::Agreement;
use super::decoder::Decoder;
use super::error::ProtocolError;
use super::event::{Control, Event, Payload};
use super::extension::DeflateParams;
use super::frame::{FrameHead, FrameHeader, OpCode};
use super::limits::Limits;
use super::mask::MaskKey;
use super::message::{Kind, Message};
use super::outgoing::{Compress, NotSent, Outgoing, write_close, write_control};
use super::ping::PingLimiter;
use super::prepared::Prepared;
use super::role::Role;
use super::windows::Windows;
use super::workspace::Workspace;
use crate::mutants::mutant;

/// One end of a connection. At most 32 bytes, and no buffer while nothing is half done.
///
/// The caller passes what was received to [`receive`](Protocol::receive) until that returns `None`, answers pings
/// with [`pong`](Protocol::pong), and after [`Event::Close`] and [`Event::Failed`] sends what is in
/// [`Workspace::replies`]. For a client's end it also keeps [`Workspace::keys`] filled, one key for each frame that goes
/// out and one for the Close that receiving may answer with. Whoever wants it simpler uses
/// [`Endpoint`](super::Endpoint).
///
/// ```text
///   ┌────── Open ──────────────── close() ──────────────▶ CloseSent ───┐
///   │        │                                             │       │   │
///   │        └─ the peer's Close, answered ──▶ Closed ◀────┘       │   │
///   │                                             the peer's Close     │
///   └─ a broken rule, Close sent ──▶ Failed ◀── a broken rule ─────────┘
/// ```
///
/// In `CloseSent` messages of the peer are dropped (RFC 6455 §1.4: it may not have seen our Close yet) and pings are
/// still events. In `Closed` and `Failed` all input is swallowed.
#[derive(Debug)]
pub struct Protocol {
    decoder: Decoder,
    windows: Windows,
    pings: PingLimiter,
    outgoing: Agreement,
    state: State,
}

/// How far the closing handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// We sent a Close and wait for the peer's; the caller bounds the wait.
    CloseSent,
    /// Both Closes are through: send what is left, then close the transport; a client leaves that to the server for a
    /// while (RFC 6455 §7.1.1).
    Closed,
    /// The peer broke a rule and was told: send what is left, then close the transport (RFC 6455 §7.1.7).
    Failed,
}

impl Protocol {
    /// The server's end of a connection whose opening handshake has agreed on `deflate`.
    pub fn server(deflate: Option<DeflateParams>) -> Protocol {
        Protocol {
            decoder: Decoder::new(Role::Server, Agreement::of_client(deflate)),
            windows: Windows::default(),
            pings: PingLimiter::default(),
            outgoing: Agreement::of_server(deflate),
            state: State::Open,
        }
    }

    /// The client's end of a connection whose opening handshake has agreed on `deflate`.
    pub fn client(deflate: Option<DeflateParams>) -> Protocol {
        Protocol {
            decoder: Decoder::new(Role::Client, Agreement::of_server(deflate)),
            windows: Windows::default(),
            pings: PingLimiter::default(),
            outgoing: Agreement::of_client(deflate),
            state: State::Open,
        }
    }

    /// Which end this is.
    #[inline]
    pub fn role(&self) -> Role {
        self.decoder.role()
    }

    /// How far the closing handshake is.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether all messages go out as they are, neither masked nor compressed: then [`head`](Protocol::head) is all they
    /// need, and otherwise [`encode`](Protocol::encode) is to be asked.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.role() == Role::Server && self.outgoing == Agreement::Plain
    }

    /// Takes the next event off the front of `input`, which it unmasks on the way.
    ///
    /// `None` says that nothing more can be had now. Then `input` is used up, unless the inflate budget of `space` is
    /// spent: in that case the rest has to be kept and offered again, before anything that is received later, once the
    /// budget has been renewed. `now_ms` is any clock in milliseconds that never goes back.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        space: &mut Workspace,
        limits: &Limits,
        now_ms: u64,
    ) -> Option<Event<'a>> {
        if let Some(message) = self.lend(input, limits) {
            return Some(Event::Message(Payload::Lent(message)));
        }
        // A message that was no text is used up, but has not been answered for.
        let is_done = input.is_empty() && !self.decoder.has_failed();
        if is_done { None } else { self.receive_slowly(input, space, limits, now_ms) }
    }

    /// The fast part of [`receive`](Protocol::receive): the message that lies whole at the front of `input`, if one does.
    /// For all else, right or wrong, `receive` is to be asked.
    #[inline]
    pub fn lend<'a>(&mut self, input: &mut &'a mut [u8], limits: &Limits) -> Option<Message<'a>> {
        if self.state == State::Open { self.decoder.lend(input, limits) } else { None }
    }

    /// All that is not a whole message on an open connection.
    #[inline(never)]
    fn receive_slowly(
        &mut self,
        input: &mut &mut [u8],
        space: &mut Workspace,
        limits: &Limits,
        now_ms: u64,
    ) -> Option<Event<'static>> {
        while !matches!(self.state, State::Closed | State::Failed) {
            let outcome = self.decoder.decode(input, space, limits, &mut self.windows);
            if let Ok(None) = outcome {
                return None;
            }
            let event = self.handle(outcome, space, limits, now_ms);
            if event.is_some() {
                return event;
            }
        }
        // RFC 6455 §5.5.1, §7.1.7: whatever follows is not processed.
        *input = &mut [];
        None
    }

    /// Where to receive the next bytes of a large frame, so that they need no copy; `None` when there is no such frame:
    /// then they go into the receive buffer as ever.
    #[inline]
    pub fn landing(&mut self, space: &mut Workspace) -> Option<&mut [u8]> {
        self.decoder.landing(space)
    }

    /// Takes in the first `count` bytes of what [`landing`](Protocol::landing) lent just before. More than was lent counts
    /// as all of it.
    pub fn landed(
        &mut self,
        count: usize,
        space: &mut Workspace,
        limits: &Limits,
        now_ms: u64,
    ) -> Option<Event<'static>> {
        match self.decoder.landed(count, space, limits, &mut self.windows) {
            Ok(None) => None,
            Err(_) if self.state == State::Failed => None,
            outcome => self.handle(outcome, space, limits, now_ms),
        }
    }

    /// How many bytes a message of `length` bytes takes on the wire at most: what cannot be compressed gets longer by an
    /// eighth where a window that lives on has it compressed all the same.
    #[must_use]
    pub fn longest(&self, length: usize, compress: Compress) -> usize {
        let may_grow = compress == Compress::Auto && matches!(self.outgoing, Agreement::Takeover(_));
        let growth = if may_grow { length.saturating_div(8).saturating_add(FLUSH) } else { 0 };
        length.saturating_add(growth).saturating_add(FrameHead::MAX)
    }

    /// The head of an uncompressed message of `length` bytes from a server, whose payload is sent after it as it is.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] once the connection is closing (RFC 6455 §5.5.1); [`NotSent::NoKeys`] for a client, which sends
    /// no payload as it is.
    #[inline]
    pub fn head(&self, kind: Kind, length: usize) -> Result<FrameHead, NotSent> {
        self.require_open()?;
        match self.role() {
            Role::Server => Ok(message_head(kind, length, None, false)),
            // RFC 6455 §5.1: a client MUST mask all frames that it sends.
            Role::Client => Err(NotSent::NoKeys),
        }
    }

    /// A message as it goes onto the wire, compressed if that was agreed, allowed, and worth it, and masked by a client.
    /// What comes back must be sent, and in this order: the peer's window moves with it.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] once the connection is closing (RFC 6455 §5.5.1), and [`NotSent::NoKeys`] for a client without
    /// [keys](Workspace::keys). Nothing has moved then.
    #[inline]
    pub fn encode<'m>(
        &mut self,
        message: Message<'m>,
        compress: Compress,
        space: &'m mut Workspace,
    ) -> Result<Outgoing<'m>, NotSent> {
        self.require_open()?;
        let (kind, payload) = (message.kind(), message.as_bytes());
        if self.is_plain() || (compress == Compress::Never && self.role() == Role::Server) {
            return Ok(Outgoing { head: message_head(kind, payload.len(), None, false), payload });
        }
        self.transform(message, compress, space)
    }

    /// A message that others are sent too, as it goes onto this end's wire: in bytes that it shares with all who agreed on
    /// the same, unless it is a client, which masks. It may be sent late, or not at all, without any harm to those that
    /// are [encoded](Protocol::encode) later.
    ///
    /// # Errors
    /// As [`encode`](Protocol::encode).
    pub fn share(&mut self, message: &mut Prepared, space: &mut Workspace) -> Result<Arc<[u8]>, NotSent> {
        self.require_open()?;
        let key = self.role().outgoing_key(&mut space.keys)?;
        let (bytes, compressed) = message.agreed(self.outgoing, key, space);
        // A later one with its key may go out in its place, compressed or not: before all that is encoded meanwhile.
        if compressed || message.key().is_some() {
            self.windows.restart_deflater();
        }
        Ok(bytes)
    }

    /// Compresses, masks, or both.
    fn transform<'m>(
        &mut self,
        message: Message<'m>,
        compress: Compress,
        space: &'m mut Workspace,
    ) -> Result<Outgoing<'m>, NotSent> {
        let (kind, payload) = (message.kind(), message.as_bytes());
        let key = self.role().outgoing_key(&mut space.keys)?;
        let agreement = if compress == Compress::Auto { self.outgoing } else { Agreement::Plain };
        // RFC 7692 §6: RSV1 marks a compressed message, and the masking comes last.
        let compressed = space.compress(payload, agreement, &mut self.windows);
        let payload = match (compressed, key) {
            (true, Some(key)) => space.masked(key),
            (true, None) => space.outgoing(),
            (false, Some(key)) => space.masked_copy(payload, key)?,
            (false, None) => payload,
        };
        Ok(Outgoing { head: message_head(kind, payload.len(), key, compressed), payload })
    }

    /// Appends a ping to `out`.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] once the connection is closing, and [`NotSent::NoKeys`] for a client without
    /// [keys](Workspace::keys).
    pub fn ping(&self, payload: &Control, space: &mut Workspace, out: &mut Vec<u8>) -> Result<(), NotSent> {
        self.require_open()?;
        let key = self.role().outgoing_key(&mut space.keys)?;
        write_control(OpCode::Ping, payload.as_bytes(), key, out);
        Ok(())
    }

    /// Appends the answer to a ping to `out` (RFC 6455 §5.5.3: with the payload of the ping).
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] after the peer's Close, when none is due any more (§5.5.2), and [`NotSent::NoKeys`] for a client
    /// without [keys](Workspace::keys).
    pub fn pong(&self, ping: &Control, space: &mut Workspace, out: &mut Vec<u8>) -> Result<(), NotSent> {
        if matches!(self.state, State::Closed | State::Failed) {
            return Err(NotSent::NotOpen);
        }
        let key = self.role().outgoing_key(&mut space.keys)?;
        write_control(OpCode::Pong, ping.as_bytes(), key, out);
        Ok(())
    }

    /// Starts the closing handshake: appends a Close to `out`. The peer's [`Event::Close`] ends it; how long to wait for
    /// that is up to the caller. A reason longer than 123 bytes is cut.
    ///
    /// # Errors
    /// [`NotSent::NotOpen`] when it was started before, by whichever side, and [`NotSent::NoKeys`] for a client without
    /// [keys](Workspace::keys).
    pub fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        space: &mut Workspace,
        out: &mut Vec<u8>,
    ) -> Result<(), NotSent> {
        self.require_open()?;
        let key = self.role().outgoing_key(&mut space.keys)?;
        write_close(Some(CloseFrame::new(code, reason)), key, out);
        self.state = State::CloseSent;
        Ok(())
    }

    /// How many bytes there are of a message that is not whole yet.
    pub fn held(&self) -> usize {
        self.decoder.held()
    }

    /// Ends a connection without the peer's Close, which was waited for too long or cannot come any more, and gives the
    /// buffers of whatever is half done back to the pools.
    pub fn release(&mut self, space: &mut Workspace) {
        self.end(State::Closed, space);
    }

    #[inline]
    fn require_open(&self) -> Result<(), NotSent> {
        if self.state == State::Open { Ok(()) } else { Err(NotSent::NotOpen) }
    }

    /// What follows from an event; `None` if the caller need not see it.
    fn handle(
        &mut self,
        outcome: Result<Option<Event<'static>>, ProtocolError>,
        space: &mut Workspace,
        limits: &Limits,
        now_ms: u64,
    ) -> Option<Event<'static>> {
        match outcome {
            Ok(Some(Event::Message(payload)))
                if self.state != State::Open && !mutant("deliver after the close") =>
            {
                space.recycle(payload);
                None
            }
            // RFC 6455 §10.4: a flood of pings is no better than any other flood.
            Ok(Some(Event::Ping(_))) if !self.pings.admit(now_ms, limits.pings_per_second) => {
                Some(self.fail(ProtocolError::TooManyPings, space))
            }
            Ok(Some(Event::Close(close))) => Some(self.finish(close, space)),
            Ok(event) => event,
            Err(error) => Some(self.fail(error, space)),
        }
    }

    /// The peer's Close: RFC 6455 §5.5.1 wants it answered if we have not sent ours, with its code.
    fn finish(&mut self, close: Option<CloseFrame>, space: &mut Workspace) -> Event<'static> {
        if self.state == State::Open || mutant("close twice") {
            self.reply(close.map(|close| CloseFrame::new(close.code(), "")), space);
        }
        self.end(State::Closed, space);
        Event::Close(close)
    }

    /// RFC 6455 §7.1.7: a Close that says why, unless one is on its way, and the end.
    fn fail(&mut self, error: ProtocolError, space: &mut Workspace) -> Event<'static> {
        if self.state == State::Open {
            let close = CloseFrame::new(error.close_code(), &error.to_string());
            self.reply(Some(close), space);
        }
        self.end(State::Failed, space);
        Event::Failed(error)
    }

    /// A Close that goes out by itself. A client whose keys have run out ends without one, rather than with a key that
    /// is none.
    fn reply(&self, close: Option<CloseFrame>, space: &mut Workspace) {
        if let Ok(key) = self.role().outgoing_key(&mut space.keys) {
            write_close(close, key, &mut space.replies);
        }
    }

    fn end(&mut self, state: State, space: &mut Workspace) {
        self.state = state;
        self.decoder.release(space);
        self.windows.clear();
    }
}

/// What the last block of a compressed message and its flush add (RFC 1951 §3.2.3): a fixed code, which takes up to nine bits
/// for a byte, is where the eighth comes from.
const FLUSH: usize = 16;

#[inline]
fn message_head(kind: Kind, length: usize, mask: Option<MaskKey>, compressed: bool) -> FrameHead {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    FrameHeader { compressed, mask, ..FrameHeader::message(kind, length) }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_small() {
        assert_eq!(size_of::<Protocol>(), 32);
    }
}
