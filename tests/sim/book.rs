//! What our handler saw and did, connection by connection: the one side of every comparison, and the judge of the order
//! in which a handler is called.

use std::collections::BTreeMap;

use gnezdo::{Closed, ConnId, Message, Overflow, Prepared, Reason, Shed, Side, Timeout};

use super::wire::Note;

/// All connections a handler ever met, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) entries: BTreeMap<u64, Entry>,
    /// Callbacks so far.
    pub(crate) calls: u64,
    /// Messages that a send accepted, shared or not.
    pub(crate) accepted: u64,
    /// How often connections ended for each reason.
    pub(crate) ends: BTreeMap<&'static str, u64>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: ConnId,
    pub(crate) stage: Stage,
    /// Whether it ever opened.
    pub(crate) was_open: bool,
    /// Which actor is on the other side, once that was said.
    pub(crate) tag: Option<u32>,
    pub(crate) raw: bool,
    /// Messages that a send accepted.
    pub(crate) sent: Vec<Note>,
    pub(crate) sent_bytes: Vec<u8>,
    /// Which of those sent were shared with others, so that they may be dropped, and with what key.
    pub(crate) shared: BTreeMap<usize, u64>,
    /// What was dropped of them, as far as our side says.
    pub(crate) shed: Shed,
    /// Messages that came.
    pub(crate) received: Vec<Note>,
    pub(crate) received_bytes: Vec<u8>,
    /// Pings that the handler sent, and what the pongs that came to it said.
    pub(crate) pings: usize,
    pub(crate) pongs: Vec<Vec<u8>>,
    /// The handler ended it, in whatever way.
    pub(crate) left: bool,
    /// The handler does not read it for now.
    pub(crate) paused: bool,
    /// The peer's end of a raw stream was told.
    pub(crate) heard_end: bool,
    pub(crate) end: Option<End>,
    /// Callbacks about it; the connection's own data counts them too.
    pub(crate) calls: u32,
}

/// How far a connection is, as its handler was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A request was seen, and answered otherwise than by holding it.
    Asked,
    /// A request is held.
    Held,
    /// A connection was asked for.
    Calling,
    Open,
    Closed,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) unsent: usize,
    pub(crate) how: How,
    pub(crate) text: String,
}

/// The reasons that oblige to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The peer closed first, by a close frame or by its end of stream: all that it sent before was to be delivered.
    ByPeer,
    /// Our side finished it in good order.
    Finished,
    /// Anything may be lost.
    Otherwise,
}

/// How much of what it was sent a peer has to have heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All but as many as were dropped.
    Exactly,
    /// All but those, and what was published when it was gone already or was refused.
    AtMost,
    FirstPart,
}

impl Entry {
    /// It may hear this, unless that is dropped.
    pub(crate) fn share(&mut self, message: &Prepared) {
        self.shared.insert(self.sent.len(), message.key().unwrap_or(u64::MAX));
        let text = matches!(message.message(), Message::Text(_));
        self.sent.push(Note::new(text, message.message().as_bytes()));
    }

    /// Whether these messages are what was sent, in order, without any but those that may have been dropped; and where it is
    /// all, whether as many of those are missing as our side says.
    pub(crate) fn is_heard(&self, heard: &[Note], extent: Extent, overflow: Overflow) -> bool {
        let found = match overflow {
            Overflow::Coalesce => self.missing_in_any_order(heard, extent),
            Overflow::Reject | Overflow::DropNewest | Overflow::DropOldest | Overflow::Close => {
                self.missing_in_order(heard, extent)
            }
        };
        let shed = usize::try_from(self.shed.dropped + self.shed.replaced).unwrap_or(usize::MAX);
        found.is_some_and(|missing| match extent {
            Extent::Exactly => missing == shed,
            Extent::AtMost => missing >= shed,
            Extent::FirstPart => true,
        })
    }

    /// How many are missing; `None` where it is not what was sent.
    fn missing_in_order(&self, heard: &[Note], extent: Extent) -> Option<usize> {
        let (mut sent, mut missing) = (self.sent.iter().enumerate(), 0);
        for note in heard {
            loop {
                let (at, next) = sent.next()?;
                if next == note {
                    break;
                }
                self.shared.get(&at)?;
                missing += 1;
            }
        }
        let mut rest = sent.map(|(at, _)| self.shared.contains_key(&at));
        let is_all = extent == Extent::FirstPart || rest.clone().all(|is_shared| is_shared);
        is_all.then(|| missing + rest.by_ref().count())
    }

    /// The same where a later one may have taken the place of an earlier one with its key.
    fn missing_in_any_order(&self, heard: &[Note], extent: Extent) -> Option<usize> {
        let (mut own, mut latest, mut shared) = (Vec::new(), BTreeMap::new(), 0);
        for note in heard {
            let is_it = |(at, key): (&usize, &u64)| (&self.sent[*at] == note).then_some((*at, *key));
            let Some((at, key)) = self.shared.iter().find_map(is_it) else {
                own.push(note);
                continue;
            };
            shared += 1;
            if latest.insert(key, at).is_some_and(|earlier| earlier >= at) {
                return None;
            }
        }
        let mut all = self.sent.iter().enumerate().filter(|(at, _)| !self.shared.contains_key(at));
        let is_start = own.into_iter().all(|note| all.next().is_some_and(|(_, sent)| sent == note));
        let is_all = extent == Extent::FirstPart || all.next().is_none();
        (is_start && is_all).then_some(self.shared.len() - shared)
    }
}

impl Book {
    pub(crate) fn entry(&mut self, id: ConnId) -> &mut Entry {
        self.entries.get_mut(&id.to_bits()).unwrap_or_else(|| panic!("{id:?} was never met"))
    }

    /// A connection is met for the first time.
    pub(crate) fn meet(&mut self, id: ConnId, stage: Stage, raw: bool) -> &mut Entry {
        let entry = Entry {
            id,
            stage,
            was_open: false,
            tag: None,
            raw,
            sent: Vec::new(),
            sent_bytes: Vec::new(),
            shared: BTreeMap::new(),
            shed: Shed::default(),
            received: Vec::new(),
            received_bytes: Vec::new(),
            pings: 0,
            pongs: Vec::new(),
            left: false,
            paused: false,
            heard_end: false,
            end: None,
            calls: 0,
        };
        let earlier = self.entries.insert(id.to_bits(), entry);
        assert!(earlier.is_none(), "{id:?} is met a second time: {earlier:?}");
        self.entry(id)
    }

    /// A callback that only an open connection may have.
    pub(crate) fn open(&mut self, id: ConnId) -> &mut Entry {
        self.calls += 1;
        let entry = self.entry(id);
        assert_eq!(entry.stage, Stage::Open, "a callback about {id:?}, which is not open: {:?}", entry.end);
        entry.calls += 1;
        entry
    }

    pub(crate) fn opened(&mut self, id: ConnId) {
        self.calls += 1;
        if !self.entries.contains_key(&id.to_bits()) {
            self.meet(id, Stage::Asked, true);
        }
        let entry = self.entry(id);
        let may_open = matches!(entry.stage, Stage::Asked | Stage::Held | Stage::Calling);
        assert!(may_open, "{id:?} opens, but is {:?}", entry.stage);
        (entry.stage, entry.was_open) = (Stage::Open, true);
    }

    pub(crate) fn closed(&mut self, id: ConnId, closed: &Closed) {
        self.calls += 1;
        let entry = self.entry(id);
        let may_close = matches!(entry.stage, Stage::Held | Stage::Calling | Stage::Open);
        assert!(may_close, "{id:?} closes, but is {:?}", entry.stage);
        entry.stage = Stage::Closed;
        let how = match &closed.reason {
            Reason::Handshake { by: Side::Peer, .. } | Reason::EndOfStream => How::ByPeer,
            Reason::Finished if entry.heard_end => How::ByPeer,
            Reason::Finished | Reason::Handshake { .. } => How::Finished,
            _ => How::Otherwise,
        };
        entry.end = Some(End { unsent: closed.unsent, how, text: closed.reason.to_string() });
        *self.ends.entry(name_of(&closed.reason)).or_default() += 1;
    }

    /// Those of whom a callback may still come.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .values()
            .filter(|entry| matches!(entry.stage, Stage::Held | Stage::Calling | Stage::Open))
    }

    pub(crate) fn open_ids(&self) -> Vec<ConnId> {
        self.entries.values().filter(|entry| entry.stage == Stage::Open).map(|entry| entry.id).collect()
    }

    pub(crate) fn of_tag(&self, tag: u32) -> Option<&Entry> {
        self.entries.values().find(|entry| entry.tag == Some(tag))
    }
}

/// What a reason is called among the counts of a reactor.
fn name_of(reason: &Reason) -> &'static str {
    match reason {
        Reason::Handshake { by: Side::Local, .. } => "closed_here",
        Reason::Handshake { by: Side::Peer, .. } => "closed_by_peer",
        Reason::Protocol(_) => "protocol",
        Reason::EndOfStream => "end_of_stream",
        Reason::Finished => "finished",
        Reason::TimedOut(Timeout::Connect) => "connect_timeout",
        Reason::TimedOut(Timeout::Opening) => "opening_timeout",
        Reason::TimedOut(Timeout::Idle) => "idle_timeout",
        Reason::TimedOut(Timeout::Close) => "close_timeout",
        Reason::TimedOut(Timeout::Write) => "write_timeout",
        Reason::Aborted => "aborted",
        Reason::Crowded => "crowded",
        Reason::Overflowed => "overflowed",
        Reason::NotConnected(_) => "not_connected",
        Reason::Refused(_) => "refused",
        Reason::Lost(_) => "lost",
        other => panic!("a simulated connection ends by {other:?}"),
    }
}

/// How connections end of which the handler has heard nothing yet, or only a request that it answered.
pub(crate) const UNMET: [&str; 7] =
    ["end_of_stream", "finished", "opening_timeout", "write_timeout", "aborted", "crowded", "lost"];
