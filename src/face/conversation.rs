//! L4, a WebSocket after its opening handshake: hands input to the protocol and what comes of it to the handler.

use crate::face::Handler;
use crate::face::closed::{Reason, Side};
use crate::face::runtime::Runtime;
use crate::face::session::{Session, Stage, milliseconds};
use crate::mutants::mutant;
use crate::reactor::{Bound, ConnId, Io};
use crate::stats::add_one;
use crate::ws::{Control, Event, Payload};

impl<H: Handler> Runtime<H> {
    /// Takes messages off the front of `input` until it is used up, the connection listens no more, or it has had its
    /// share of the turn: the shorter messages are, the more of them a receive brings (R24).
    #[inline]
    pub(super) fn converse(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, input: &mut &mut [u8]) {
        let count = self.take_messages(io, id, input);
        io.count_messages(count as u64);
    }

    /// The same; answers how many there were.
    #[inline]
    fn take_messages(
        &mut self,
        io: &mut Io<'_, Session<H::Conn>>,
        id: ConnId,
        input: &mut &mut [u8],
    ) -> usize {
        let now = milliseconds(io.now());
        self.shared.space.renew_inflate_budget();
        self.shared.provide_keys(io);
        for taken in 0..self.message_budget {
            let Some(session) = io.session(id) else { return taken };
            let Stage::Socket(protocol) = &mut session.stage else { return taken };
            let limits = &self.shared.services.of(session.service).limits;
            if let Some(message) = protocol.lend(input, limits) {
                self.shared.tally.count_text(message.kind());
                let (handler, mut cx) = self.context(io);
                handler.on_message(&mut cx, id, message);
            } else if let Some(event) = protocol.receive(input, &mut self.shared.space, limits, now) {
                self.meet(io, id, event);
            } else {
                self.bound_held(io);
                return taken;
            }
            if input.is_empty() || !io.listens(id) {
                return taken.saturating_add(1);
            }
        }
        self.message_budget
    }

    /// What was received straight into the message's own buffer.
    pub(super) fn converse_landed(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, count: usize) {
        let now = milliseconds(io.now());
        let Some(session) = io.session(id) else { return };
        let Stage::Socket(protocol) = &mut session.stage else { return };
        let limits = &self.shared.services.of(session.service).limits;
        if let Some(event) = protocol.landed(count, &mut self.shared.space, limits, now) {
            io.count_messages(1);
            self.meet(io, id, event);
        }
        self.bound_held(io);
    }

    /// After more of a message came that is not whole yet; whole ones never come here.
    fn bound_held(&mut self, io: &mut Io<'_, Session<H::Conn>>) {
        if self.shared.space.held() > self.shared.max_partial && !mutant("hold whatever comes") {
            self.relieve(io);
        }
    }

    fn meet(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, event: Event<'_>) {
        match event {
            Event::Message(payload) => self.message(io, id, payload),
            other => self.meet_control(io, id, &other),
        }
    }

    fn message(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, payload: Payload<'_>) {
        let message = payload.message();
        self.shared.tally.count_text(message.kind());
        let (handler, mut cx) = self.context(io);
        handler.on_message(&mut cx, id, message);
        self.shared.space.recycle(payload);
    }

    #[cold]
    fn meet_control(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, event: &Event<'_>) {
        self.send_replies(io, id);
        add_one(&mut self.shared.tally.controls);
        match event {
            Event::Message(_) => {}
            Event::Ping(payload) => {
                add_one(&mut self.shared.tally.received.pings);
                self.answer_ping(io, id, payload);
            }
            Event::Pong(payload) => {
                add_one(&mut self.shared.tally.received.pongs);
                let (handler, mut cx) = self.context(io);
                handler.on_pong(&mut cx, id, payload.as_bytes());
            }
            Event::Close(frame) => {
                let ours = io.session(id).is_some_and(|session| session.closing);
                let by = if ours { Side::Local } else { Side::Peer };
                self.end(io, id, Reason::Handshake { by, frame: *frame });
            }
            Event::Failed(error) => self.end(io, id, Reason::Protocol(*error)),
        }
        self.bound_held(io);
    }

    /// Sends what the protocol answered by itself. Bounded: one close frame per connection.
    fn send_replies(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        if !self.shared.space.replies.is_empty() {
            // A refusal means that the connection failed meanwhile; its end is on the way.
            let _ = io.send(id, &self.shared.space.replies, &[], Bound::Exempt);
            self.shared.space.replies.clear();
        }
    }

    /// Answers a ping now, or, where the peer does not read, the latest ping later (RFC 6455 §5.5.3, R13). Shared messages
    /// that wait are not in its way: one pong at a time waits behind them.
    fn answer_ping(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, ping: &Control) {
        if io.own_queued(id) == 0 {
            // One that waited has been overtaken.
            self.shared.late_pongs.remove(&id);
            return self.send_pong(io, id, ping);
        }
        if mutant("answer the oldest ping") {
            self.shared.late_pongs.entry(id).or_insert(*ping);
        } else {
            self.shared.late_pongs.insert(id, *ping);
        }
        io.want_drained(id);
    }

    /// Sends the pong that waited for room.
    pub(super) fn send_late_pong(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        if let Some(ping) = self.shared.late_pongs.remove(&id) {
            self.send_pong(io, id, &ping);
        }
    }

    fn send_pong(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, ping: &Control) {
        self.shared.provide_keys(io);
        let Some(session) = io.session(id) else { return };
        let Stage::Socket(protocol) = &session.stage else { return };
        let frame = &mut self.shared.scratch;
        frame.clear();
        if protocol.pong(ping, &mut self.shared.space, frame).is_ok()
            && io.send(id, frame, &[], Bound::Exempt).is_ok()
        {
            add_one(&mut self.shared.tally.sent.pongs);
        }
        frame.clear();
    }
}
