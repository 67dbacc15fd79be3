//! L4, one message to many: prepared once, published to topics, and what is done for those that do not keep up.

use std::sync::Arc;

use crate::face::context::not_sent;
use crate::face::session::{Met, Stage};
use crate::face::{Context, Handler};
use crate::reactor::{ConnId, Delivery, Overflow, SendError, Shed};
use crate::topics::SubscribeError;
use crate::ws::{Prepared, State};

/// What became of a message that was published: each subscriber is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it says whether anybody did not get it"]
pub struct Published {
    /// It goes out to so many when the turn ends.
    pub sent: usize,
    /// For so many it waits behind what the kernel has not taken.
    pub queued: usize,
    /// For so many it took the place of an earlier one with its key ([`Overflow::Coalesce`]).
    pub replaced: usize,
    /// For so many it was dropped, because it did not fit.
    pub dropped: usize,
    /// So many did not keep up and were cut ([`Overflow::Close`]).
    pub closed: usize,
    /// For so many it was refused, as a send would have been ([`Overflow::Reject`]), or could not be made ready.
    pub refused: usize,
    /// So many were gone or closing already, though not all know yet.
    pub gone: usize,
    /// Beside these, so many earlier messages were dropped to make room for it ([`Overflow::DropOldest`]).
    pub displaced: u64,
}

impl Published {
    /// How many subscribers it was meant for.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        let Self { sent, queued, replaced, dropped, closed, refused, gone, displaced: _ } = *self;
        [sent, queued, replaced, dropped, closed, refused, gone].iter().sum()
    }

    fn count(&mut self, outcome: Result<Delivery, SendError>) {
        let count = match outcome {
            Ok(Delivery::Staged) => &mut self.sent,
            Ok(Delivery::Queued) => &mut self.queued,
            Ok(Delivery::Replaced) => &mut self.replaced,
            Ok(Delivery::Dropped) => &mut self.dropped,
            Ok(Delivery::Closed) => &mut self.closed,
            Err(SendError::Gone | SendError::Closing) => &mut self.gone,
            Err(
                SendError::Full { .. } | SendError::TooBig { .. } | SendError::NoKeys | SendError::NoMemory,
            ) => &mut self.refused,
        };
        *count = count.saturating_add(1);
    }
}

impl<H: Handler> Context<'_, H> {
    /// Sends a message that was prepared once: it is not copied for this connection, even if it has to wait. On a raw
    /// connection its bytes are sent. What becomes of it where there is no room is up to [`Context::set_overflow`].
    ///
    /// ```no_run
    /// # use std::collections::VecDeque;
    /// # use gnezdo::{ConnId, Context, Handler, Prepared};
    /// # struct Chat { history: VecDeque<Prepared> }
    /// # impl Handler for Chat {
    /// #     type Conn = ();
    /// #     type Post = ();
    /// fn on_open(&mut self, cx: &mut Context<'_, Self>, id: ConnId) {
    ///     for line in &mut self.history {
    ///         let _ = cx.send_prepared(id, line);
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SendError`]; the message was not taken.
    pub fn send_prepared(&mut self, id: ConnId, message: &mut Prepared) -> Result<Delivery, SendError> {
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        match &session.stage {
            Stage::Ended(_) if session.met == Met::Closed => Err(SendError::Gone),
            Stage::Socket(protocol) if !protocol.is_plain() => self.send_agreed(id, message),
            Stage::Socket(protocol) if protocol.state() == State::Open => {
                self.share(id, message.plain(), message)
            }
            Stage::Raw => {
                let (bytes, key) = (Arc::clone(message.bytes()), message.key());
                self.io.share(id, &bytes, key)
            }
            Stage::Socket(_)
            | Stage::Admitting
            | Stage::Successor(_)
            | Stage::Opening(_)
            | Stage::Held(_)
            | Stage::Dialling(_)
            | Stage::Calling(_)
            | Stage::Ended(_) => Err(SendError::Closing),
        }
    }

    /// In the form that was agreed on.
    fn send_agreed(&mut self, id: ConnId, message: &mut Prepared) -> Result<Delivery, SendError> {
        self.shared.provide_keys(&mut self.io);
        let session = self.io.session(id).ok_or(SendError::Gone)?;
        let Stage::Socket(protocol) = &mut session.stage else { return Err(SendError::Closing) };
        self.shared.choose_compression(session.service);
        let bytes = protocol.share(message, &mut self.shared.space).map_err(not_sent)?;
        self.share(id, &bytes, message)
    }

    /// Sends what a message is on the wire, and counts it where it was taken.
    fn share(&mut self, id: ConnId, bytes: &Arc<[u8]>, message: &Prepared) -> Result<Delivery, SendError> {
        let delivery = self.io.share(id, bytes, message.key())?;
        if delivery != Delivery::Closed {
            self.shared.tally.sent.count(message.message().kind());
        }
        Ok(delivery)
    }

    /// Adds an open connection to those that [`Context::publish`] to this topic reaches, behind all others; does nothing
    /// where it is one of them. The end of the connection takes it out, before [`Handler::on_close`].
    ///
    /// # Errors
    ///
    /// Where it is not open, or at one of the bounds of [`Config::topics`](crate::Config::topics).
    pub fn subscribe(&mut self, id: ConnId, topic: &str) -> Result<(), SubscribeError> {
        let is_open = self.io.is_open(id)
            && self.io.peek(id).is_some_and(|session| match &session.stage {
                Stage::Socket(protocol) => protocol.state() == State::Open,
                Stage::Raw => true,
                Stage::Admitting
                | Stage::Successor(_)
                | Stage::Opening(_)
                | Stage::Held(_)
                | Stage::Dialling(_)
                | Stage::Calling(_)
                | Stage::Ended(_) => false,
            });
        if is_open { self.shared.topics.subscribe(id, topic) } else { Err(SubscribeError::NotOpen) }
    }

    /// Takes a connection out of a topic; answers whether it was in it.
    pub fn unsubscribe(&mut self, id: ConnId, topic: &str) -> bool {
        self.shared.topics.unsubscribe(id, topic)
    }

    /// How many connections subscribe to a topic.
    #[must_use]
    pub fn subscribers(&self, topic: &str) -> usize {
        self.shared.topics.count(topic)
    }

    /// Sends a message to all that subscribe to a topic, in the order in which they came. Its bytes are there once,
    /// whatever their number.
    pub fn publish(&mut self, topic: &str, message: &mut Prepared) -> Published {
        self.publish_except(topic, None, message)
    }

    /// The same, but not to `sender`: for what one subscriber has to say to the others.
    pub fn publish_from(&mut self, sender: ConnId, topic: &str, message: &mut Prepared) -> Published {
        self.publish_except(topic, Some(sender), message)
    }

    fn publish_except(&mut self, topic: &str, except: Option<ConnId>, message: &mut Prepared) -> Published {
        let mut published = Published::default();
        let before = self.io.shed_by_all().dropped;
        self.io.expect_sends(self.shared.topics.count(topic));
        let mut walk = self.shared.topics.walk(topic);
        while let Some(id) = self.shared.topics.next(&mut walk) {
            if Some(id) != except {
                let outcome = self.send_prepared(id, message);
                published.count(outcome);
            }
        }
        let dropped = self.io.shed_by_all().dropped.saturating_sub(before);
        published.displaced = dropped.saturating_sub(published.dropped as u64);
        published
    }

    /// Says what is done for a connection that does not keep up with what is published to it, or sent to it by
    /// [`Context::send_prepared`]. The default is [`Overflow::Reject`].
    pub fn set_overflow(&mut self, id: ConnId, overflow: Overflow) {
        self.io.set_overflow(id, overflow);
    }

    /// How many messages were dropped or replaced for a connection so far; still known in [`Handler::on_close`].
    #[must_use]
    pub fn shed(&self, id: ConnId) -> Shed {
        self.io.shed(id)
    }

    /// How many were, for all connections together, since the reactor began.
    #[must_use]
    pub fn shed_by_all(&self) -> Shed {
        self.io.shed_by_all()
    }
}
