//! L4, one thread of a fleet: all that its reactor is made of but the handler, which is made on the thread itself.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::face::fleet::crew::{Crew, Mail, Member};
use crate::face::fleet::doors::Door;
use crate::face::remote::{Lines, Posts};
use crate::face::{Config, FleetError, FleetHandle, Handler, Reactor, Remote, Result, ShutdownReport};
use crate::net::System;

/// A thread before it runs.
#[derive(Debug)]
pub(super) struct Seat<P, S> {
    thread: usize,
    pub(super) system: S,
    lines: Lines<P>,
    mail: Posts<Mail>,
    /// Its listeners, by a number that is the same on all threads.
    pub(super) doors: Vec<Door>,
}

/// One thread for each system, and what reaches them all.
pub(super) fn muster<P, S: System>(systems: Vec<S>, config: &Config) -> (Vec<Seat<P, S>>, FleetHandle) {
    let seat = |(thread, system)| Seat::new(thread, system, config.max_posts);
    let seats: Vec<_> = systems.into_iter().enumerate().map(seat).collect();
    let crew = Crew::new(seats.iter().map(|seat| seat.lines.remote(&seat.mail)));
    (seats, FleetHandle { crew: Arc::new(crew) })
}

impl<P, S: System> Seat<P, S> {
    fn new(thread: usize, system: S, max_posts: usize) -> Self {
        let (lines, mail) = (Lines::new(system.waker(), max_posts), Posts::new(max_posts));
        Self { thread, system, lines, mail, doors: Vec::new() }
    }

    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    pub(super) fn remote(&self) -> Remote<P> {
        self.lines.remote(&self.lines.posts)
    }

    /// Runs to the end; says of a failure on which thread it was.
    pub(super) fn serve<H: Handler<Post = P>>(
        self,
        fleet: &FleetHandle,
        config: &Config,
        make: &dyn Fn(usize) -> H,
    ) -> Result<Option<ShutdownReport>> {
        let thread = self.thread;
        // What a panic leaves half done is dropped with the reactor.
        match catch_unwind(AssertUnwindSafe(|| self.run(fleet, config, make))) {
            Ok(outcome) => {
                outcome.map_err(|source| FleetError::Failed { thread, source: Box::new(source) }.into())
            }
            Err(payload) => Err(FleetError::Panicked { thread, message: said(&*payload) }.into()),
        }
    }

    fn run<H: Handler<Post = P>>(
        self,
        fleet: &FleetHandle,
        config: &Config,
        make: &dyn Fn(usize) -> H,
    ) -> Result<Option<ShutdownReport>> {
        let Self { thread, system, lines, mail, doors } = self;
        let mut reactor = Reactor::on_lines(make(thread), config.clone(), system, lines);
        reactor.with(|_, cx| {
            let doors = doors.into_iter().map(|door| door.enter(cx)).collect::<Result<_>>()?;
            let most = config.settings.max_connections;
            cx.shared.member = Some(Box::new(Member::new(thread, fleet.clone(), mail, doors, most)));
            Result::Ok(())
        })?;
        reactor.run()?;
        Ok(reactor.shutdown_report())
    }
}

/// What a panic said.
fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something that is no text").to_owned()
}
