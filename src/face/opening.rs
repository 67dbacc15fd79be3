//! L4, from the first byte to the 101: puts the head together, shows the request to the handler, does what it says.

use std::fmt;

use crate::buf::NoMemory;
use crate::face::closed::Reason;
use crate::face::context::DecideError;
use crate::face::handler::upgrade_required;
use crate::face::runtime::Runtime;
use crate::face::session::{Held, Met, PartialHead, ServiceIndex, Session, Stage};
use crate::face::{Accept, Answer, Context, Handler, Request};
use crate::http::{self, BodyMode, Connection, HeadScanner, HeaderStorage, Response, Scan, Status};
use crate::journal::Kind;
use crate::mutants::mutant;
use crate::net::Peer;
use crate::reactor::{Bound, ConnId, Io};
use crate::stats::add_one;
use crate::ws::{Protocol, Upgrade, encode_accept, examine};

impl<H: Handler> Runtime<H> {
    /// Takes the head off the front of `input`, or all of it where the head does not end in it (R1: a byte is
    /// scanned once, and a head that came whole is not copied).
    pub(super) fn read_head(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, input: &mut &mut [u8]) {
        let Some(session) = io.session(id) else { return };
        let Stage::Opening(partial) = &mut session.stage else { return };
        let limits = self.shared.services.of(session.service).head;
        let bytes = std::mem::take(input);
        let Some(mut head) = partial.take() else {
            let mut scanner = HeadScanner::new();
            match scanner.scan(bytes, &limits) {
                Ok(Scan::Complete { head_len }) => {
                    let (head, rest) = bytes.split_at_mut(head_len);
                    *input = if mutant("lose the tail of the handshake") { &mut [] } else { rest };
                    self.request(io, id, head);
                }
                Ok(Scan::Partial) => {
                    let mut head = Box::new(PartialHead { bytes: Vec::new(), scanner });
                    match head.append(bytes) {
                        Ok(()) => *partial = Some(head),
                        Err(NoMemory) => self.refuse(io, id, &NoMemory, &overloaded(), BodyMode::Send),
                    }
                }
                Err(error) => self.refuse(io, id, &error, &error.response(), BodyMode::Send),
            }
            return;
        };
        let before = head.bytes.len();
        if head.append(bytes).is_err() {
            return self.refuse(io, id, &NoMemory, &overloaded(), BodyMode::Send);
        }
        match head.scanner.scan(&head.bytes, &limits) {
            Ok(Scan::Complete { head_len }) => {
                *input = bytes.get_mut(head_len.saturating_sub(before)..).unwrap_or_default();
                self.request(io, id, head.bytes.get(..head_len).unwrap_or_default());
            }
            Ok(Scan::Partial) => *partial = Some(head),
            Err(error) => self.refuse(io, id, &error, &error.response(), BodyMode::Send),
        }
    }

    /// The head is complete: checks it, shows it to the handler, and does what that answers.
    fn request(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, head: &[u8]) {
        // A connection that has no peer any more failed; its end is on the way.
        let Ok(peer) = io.peer(id) else { return io.abort(id) };
        let is_secure = io.is_secure(id);
        let mut storage = HeaderStorage::new();
        let service = match io.session(id) {
            Some(session) => self.shared.services.of(session.service),
            None => return,
        };
        let head = match http::Request::parse(head, &mut storage, &service.head) {
            Ok(head) => head,
            Err(error) => return self.refuse(io, id, &error, &error.response(), BodyMode::Send),
        };
        let upgrade = match examine(&head) {
            Ok(None) => Ok(None),
            Ok(upgrade) => {
                service.origin.check_with(service.absent_origin, &head, is_secure).map(|()| upgrade)
            }
            Err(refusal) => Err(refusal),
        };
        let upgrade = match upgrade {
            Ok(upgrade) => upgrade,
            Err(refusal) => return self.refuse(io, id, &refusal, &refusal.response(), head.body_mode()),
        };
        self.ask(io, id, &head, &peer, upgrade);
    }

    fn ask(
        &mut self,
        io: &mut Io<'_, Session<H::Conn>>,
        id: ConnId,
        head: &http::Request<'_>,
        peer: &Peer,
        upgrade: Option<Upgrade>,
    ) {
        let request = Request { head, peer, upgrade: upgrade.as_ref() };
        let (handler, mut cx) = self.context(io);
        let answer = handler.on_request(&mut cx, id, &request);
        let body = head.body_mode();
        let Some(session) = io.session(id) else { return };
        if !session.is_opening() || !io.is_open(id) {
            return;
        }
        let Some(session) = io.session(id) else { return };
        session.stage = Stage::Held(Box::new(Held { upgrade, body }));
        session.met = Met::Held;
        match answer {
            Answer::Hold => {
                io.pause(id);
                self.let_go(io, id);
            }
            // The outcome of a failed answer is on the wire already: 426 or 500.
            Answer::Respond(response) => drop(self.context(io).1.decide_respond(id, &response)),
            Answer::Accept(accept) => {
                if self.context(io).1.decide_accept(id, &accept).is_ok() {
                    self.open_to_handler(io, id);
                }
            }
        }
    }

    /// Ends a held request that nobody waits for any more. Who asked for a WebSocket and ends its stream can't even close
    /// one well; a client of plain HTTP may end its stream after the request and still read the answer.
    pub(super) fn let_go(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let Some(Stage::Held(held)) = io.session(id).map(|session| &session.stage) else { return };
        let needs_both_ways = held.upgrade.is_some();
        if io.has_hung_up(id) || needs_both_ways && io.has_left(id) {
            self.end(io, id, Reason::EndOfStream);
        }
    }

    /// Answers a request that never reached the handler, and closes.
    fn refuse(
        &mut self,
        io: &mut Io<'_, Session<H::Conn>>,
        id: ConnId,
        why: &dyn fmt::Display,
        response: &Response,
        body: BodyMode,
    ) {
        add_one(&mut self.shared.tally.requests.refused);
        io.note(Kind::Refused, format_args!("the request of {id:?} was refused: {why}"));
        self.context(io).1.respond_and_end(id, response, body);
    }
}

/// What a peer gets for whose request there is no memory (RFC 9110 §15.6.4).
fn overloaded() -> Response {
    Response::new(Status::SERVICE_UNAVAILABLE).text("no memory for the request\n")
}

impl<H: Handler> Context<'_, H> {
    pub(super) fn decide_respond(&mut self, id: ConnId, response: &Response) -> Result<(), DecideError> {
        let (_, held) = self.held(id)?;
        add_one(&mut self.shared.tally.requests.answered);
        self.respond_and_end(id, response, held.body);
        Ok(())
    }

    pub(super) fn decide_accept(&mut self, id: ConnId, accept: &Accept) -> Result<(), DecideError> {
        let (service, held) = self.held(id)?;
        let Some(upgrade) = &held.upgrade else {
            add_one(&mut self.shared.tally.requests.refused);
            self.respond_and_end(id, &upgrade_required(), held.body);
            return Err(DecideError::NotWebSocket);
        };
        let mut out = std::mem::take(&mut self.shared.scratch);
        out.clear();
        let deflate = self.shared.services.deflate(service, upgrade);
        let subprotocol = accept.subprotocol.as_deref();
        let outcome = encode_accept(&mut out, upgrade, subprotocol, &accept.headers, deflate.as_ref());
        if outcome.is_ok() {
            // A refusal means that the connection failed meanwhile; its end is on the way.
            let _ = self.io.send(id, &out, &[], Bound::Exempt);
        }
        out.clear();
        self.shared.scratch = out;
        if let Err(error) = outcome {
            add_one(&mut self.shared.tally.requests.refused);
            let response = Response::new(Status::INTERNAL_SERVER_ERROR);
            self.respond_and_end(id, &response, held.body);
            return Err(error.into());
        }
        add_one(&mut self.shared.tally.requests.accepted);
        self.become_socket(id, Protocol::server(deflate));
        Ok(())
    }

    /// Takes a held request out; the caller decides about it at once.
    fn held(&mut self, id: ConnId) -> Result<(ServiceIndex, Held), DecideError> {
        if !self.io.is_open(id) {
            return Err(DecideError::Gone);
        }
        let session = self.io.session(id).ok_or(DecideError::Gone)?;
        match std::mem::replace(&mut session.stage, Stage::Opening(None)) {
            Stage::Held(held) => Ok((session.service, *held)),
            stage => {
                session.stage = stage;
                Err(DecideError::NotHeld)
            }
        }
    }

    fn become_socket(&mut self, id: ConnId, protocol: Protocol) {
        let Some(session) = self.io.session(id) else { return };
        let stage = std::mem::replace(&mut session.stage, Stage::Socket(protocol));
        session.met = Met::Open;
        self.shared.left(stage);
    }

    /// Answers by HTTP and closes (R6: whatever follows the request is not read as another one).
    fn respond_and_end(&mut self, id: ConnId, response: &Response, body: BodyMode) {
        let mut out = std::mem::take(&mut self.shared.scratch);
        out.clear();
        // RFC 9110 §15.2: an interim answer is none.
        let interim = response.status().code() < 200;
        let fallback = Response::new(Status::INTERNAL_SERVER_ERROR);
        let response = if interim { &fallback } else { response };
        response.encode(&mut out, Connection::Close, body);
        let _ = self.io.send(id, &out, &[], Bound::Exempt);
        out.clear();
        self.shared.scratch = out;
        if let Some(session) = self.io.session(id) {
            session.met = Met::No;
        }
        self.end(id, None);
    }
}
