//! L4, the predecessor's part of a takeover: hands every listener of the loop to a successor, and lets go of them once
//! that one serves; the messages are those of [`takeover`](crate::net::takeover).

use crate::face::runtime::Runtime;
use crate::face::session::{Session, Stage};
use crate::face::{Drain, Handler, shutdown};
use crate::journal::Kind;
use crate::net::takeover::{DONE, GREETING, READY};
use crate::reactor::{Bound, ConnId, Io, ListenerId};

/// How far the successor at the other end of a connection is.
#[derive(Debug)]
pub(super) struct Relief {
    step: Step,
    drain: Drain,
}

#[derive(Debug)]
enum Step {
    /// So much of the greeting came.
    Greeting(usize),
    /// It has these listeners too, and will say when it serves.
    Handed(Vec<ListenerId>),
}

/// What came of what it said.
enum Heard {
    Part,
    Greeting,
    Ready(Vec<ListenerId>),
    Nonsense,
}

impl Relief {
    pub(super) fn new(drain: Drain) -> Self {
        Self { step: Step::Greeting(0), drain }
    }

    fn hear(&mut self, bytes: &[u8]) -> Heard {
        match &mut self.step {
            Step::Greeting(heard) => {
                let expected = GREETING.get(*heard..).unwrap_or_default();
                if !expected.starts_with(bytes) {
                    return Heard::Nonsense;
                }
                *heard = heard.saturating_add(bytes.len());
                if bytes.len() == expected.len() { Heard::Greeting } else { Heard::Part }
            }
            Step::Handed(listeners) if bytes == [READY] => Heard::Ready(std::mem::take(listeners)),
            Step::Handed(_) => Heard::Nonsense,
        }
    }
}

impl<H: Handler> Runtime<H> {
    /// Bytes came from what may be a successor.
    pub(super) fn hear_successor(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, bytes: &[u8]) {
        let Some(Stage::Successor(relief)) = io.session(id).map(|session| &mut session.stage) else { return };
        let drain = relief.drain;
        match relief.hear(bytes) {
            Heard::Part => {}
            Heard::Greeting => self.hand_over(io, id),
            Heard::Ready(listeners) => self.let_go_of(io, id, &listeners, drain),
            Heard::Nonsense => io.abort(id),
        }
    }

    /// What the handler listens on, but not where successors ask.
    fn ours(&self, io: &Io<'_, Session<H::Conn>>) -> Vec<ListenerId> {
        let services = &self.shared.services;
        io.listeners().map(|(id, _)| id).filter(|id| !services.is_for_successors(*id)).collect()
    }

    fn hand_over(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let listeners = self.ours(io);
        if let Err(error) = io.hand_over(id, &listeners) {
            io.note(Kind::TurnedAway, format_args!("{id:?} takes nothing over: {error}"));
            return io.abort(id);
        }
        if let Some(Stage::Successor(relief)) = io.session(id).map(|session| &mut session.stage) {
            relief.step = Step::Handed(listeners);
        }
        io.set_deadline(id, Some(io.now().saturating_add(self.shared.timeouts.opening)));
    }

    /// The successor serves: what it has is no longer ours, and its path is free before it hears so.
    fn let_go_of(
        &mut self,
        io: &mut Io<'_, Session<H::Conn>>,
        id: ConnId,
        listeners: &[ListenerId],
        drain: Drain,
    ) {
        // Who is gone serves nobody, and who has what is not all of ours, or not ours any more, is not the one to follow.
        if io.has_left(id) || self.ours(io) != listeners {
            return io.abort(id);
        }
        for listener in listeners {
            self.shared.services.unbind(*listener);
            io.release_listener(*listener);
        }
        shutdown::drain(&mut self.context(io).1, drain);
        // Where it is gone meanwhile there is nobody to tell.
        let _ = io.send(id, &[DONE], &[], Bound::Exempt);
        self.context(io).1.end(id, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relief() -> Relief {
        Relief::new(Drain::default())
    }

    #[test]
    fn a_greeting_is_heard_in_pieces_and_once() {
        let mut relief = relief();
        let (first, rest) = GREETING.split_at(5);
        assert!(matches!(relief.hear(first), Heard::Part));
        assert!(matches!(relief.hear(rest), Heard::Greeting));
        relief.step = Step::Handed(Vec::new());
        assert!(matches!(relief.hear(GREETING), Heard::Nonsense));
    }

    #[test]
    fn a_successor_is_not_ready_before_it_has_something_to_serve() {
        for said in [&[READY][..], b"GET / HTTP/1.1\r\n\r\n", &[GREETING, &[READY]].concat()] {
            assert!(matches!(relief().hear(said), Heard::Nonsense), "{said:?}");
        }
        let mut relief = relief();
        relief.step = Step::Handed(Vec::new());
        assert!(matches!(relief.hear(&[READY]), Heard::Ready(_)));
    }
}
