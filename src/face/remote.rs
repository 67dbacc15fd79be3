//! L4, the handle by which other threads reach a reactor: values in a bounded queue, wishes in one cell, a wake-up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::net::Waker;
use crate::reactor::Alert;
use crate::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use crate::sync::{Mutex, PoisonError};

/// Reaches a running reactor from any thread: `Send`, `Sync`, and cheap to clone.
#[derive(Debug)]
pub struct Remote<P> {
    alert: Alert,
    wish: Arc<Wish>,
    posts: SyncSender<P>,
}

impl<P> Clone for Remote<P> {
    fn clone(&self) -> Self {
        Self { alert: self.alert.clone(), wish: Arc::clone(&self.wish), posts: self.posts.clone() }
    }
}

/// A post that was not taken; the value comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError<P> {
    /// As many posts wait as may: try again later, or drop it.
    Full(P),
    /// The reactor is gone.
    Gone(P),
}

/// What the other threads want.
#[derive(Debug, Default)]
pub(super) struct Wish(Mutex<Option<Ending>>);

/// How a reactor is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// In good order, within a span.
    Graceful(Duration),
    /// After this turn.
    Now,
}

/// The loop's end of all its remotes.
#[derive(Debug)]
pub(super) struct Posts<P> {
    receiver: Receiver<P>,
    /// Cloned into each remote; the queue so never looks abandoned.
    sender: SyncSender<P>,
}

/// All that other threads reach a loop by, at the loop's end. It may be there before the loop is.
#[derive(Debug)]
pub(super) struct Lines<P> {
    pub(super) alert: Alert,
    pub(super) wish: Arc<Wish>,
    pub(super) posts: Posts<P>,
}

impl<P> Lines<P> {
    pub(super) fn new(waker: Waker, bound: usize) -> Self {
        Self { alert: Alert::new(waker), wish: Arc::default(), posts: Posts::new(bound) }
    }

    /// A handle for other threads, by which `posts` are taken in.
    pub(super) fn remote<Q>(&self, posts: &Posts<Q>) -> Remote<Q> {
        posts.remote(self.alert.clone(), Arc::clone(&self.wish))
    }
}

impl<P> Posts<P> {
    pub(super) fn new(bound: usize) -> Self {
        let (sender, receiver) = sync_channel(bound);
        Self { receiver, sender }
    }

    pub(super) fn remote(&self, alert: Alert, wish: Arc<Wish>) -> Remote<P> {
        Remote { alert, wish, posts: self.sender.clone() }
    }

    pub(super) fn next(&self) -> Option<P> {
        self.receiver.try_recv().ok()
    }
}

impl<P> Remote<P> {
    /// Hands a value to [`Handler::on_post`](crate::Handler::on_post), in the order of each thread's posts. Never
    /// blocks; a loop that sleeps is woken once for all posts until it looks.
    ///
    /// # Errors
    ///
    /// The value back, where [`Config::max_posts`](crate::Config::max_posts) wait already or the reactor is gone.
    pub fn try_post(&self, post: P) -> Result<(), PostError<P>> {
        match self.posts.try_send(post) {
            Ok(()) => {
                // Where the system refuses to wake the loop, its next event does.
                let _ = self.alert.wake();
                Ok(())
            }
            Err(TrySendError::Full(post)) => Err(PostError::Full(post)),
            Err(TrySendError::Disconnected(post)) => Err(PostError::Gone(post)),
        }
    }

    /// Ends the reactor in good order, as [`Context::shutdown`](crate::Context::shutdown).
    ///
    /// # Errors
    ///
    /// If the system refuses to wake the loop.
    pub fn shutdown(&self, grace: Duration) -> io::Result<()> {
        self.wish.set(Ending::Graceful(grace));
        self.alert.wake()
    }

    /// Ends the reactor after its current turn; connections are not told.
    ///
    /// # Errors
    ///
    /// If the system refuses to wake the loop.
    pub fn stop(&self) -> io::Result<()> {
        self.wish.set(Ending::Now);
        self.alert.wake()
    }
}

impl<P> std::fmt::Display for PostError<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the reactor has as many posts waiting as it may: try again later",
            Self::Gone(_) => "the reactor is gone",
        })
    }
}

impl<P: std::fmt::Debug> std::error::Error for PostError<P> {}

impl Wish {
    /// The last wish counts, but nothing takes [`Ending::Now`] back.
    fn set(&self, ending: Ending) {
        let mut wish = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *wish != Some(Ending::Now) {
            *wish = Some(ending);
        }
    }

    pub(super) fn take(&self) -> Option<Ending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(all(test, shuttle))]
mod model;
