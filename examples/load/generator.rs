//! The connections, and what each of them has under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gnezdo::{Closed, ConnId, Connect, Context, Handler, Message, SendError};

use crate::echoes::Echoes;
use crate::options::Options;
use crate::run::{Run, Stamp};

/// The handler.
#[derive(Debug)]
pub(crate) struct Generator {
    connect: Connect,
    echoes: Echoes,
    connections: usize,
    active: usize,
    in_flight: usize,
    dialled: usize,
    /// Those that are open, in the order in which they opened.
    lanes: Vec<ConnId>,
    run: Option<Run>,
    wishes: VecDeque<Wish>,
    trouble: Option<String>,
}

/// What standard input asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Run(Duration),
    End,
}

/// One connection. The number of a message picks its payload.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    sent: usize,
    echoed: usize,
    under_way: VecDeque<Stamp>,
}

impl Generator {
    pub(crate) fn new(options: &Options) -> Result<Self, std::collections::TryReserveError> {
        let mut lanes = Vec::new();
        lanes.try_reserve(options.connections)?;
        Ok(Self {
            connect: options.connect.clone(),
            echoes: Echoes::new(options.content, options.size),
            connections: options.connections,
            active: options.active,
            in_flight: options.in_flight,
            dialled: 0,
            lanes,
            run: None,
            wishes: VecDeque::new(),
            trouble: None,
        })
    }

    pub(crate) fn connected(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn running(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    pub(crate) fn next_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// What went wrong. Nothing that is measured after counts.
    pub(crate) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    pub(crate) fn take_finished(&mut self) -> Option<Run> {
        let mut run = self.run.take_if(|run| run.is_over(Instant::now()))?;
        run.finish();
        Some(run)
    }

    /// Calls a few servers more, while there are not enough connections.
    pub(crate) fn dial(&mut self, cx: &mut Context<'_, Self>) {
        while self.dialled < self.connections && self.dialled < self.lanes.len() + DIALLED_AT_ONCE {
            match cx.connect(&self.connect) {
                Ok(_) => self.dialled += 1,
                Err(error) => return self.fail(error.to_string()),
            }
        }
    }

    pub(crate) fn begin(&mut self, cx: &mut Context<'_, Self>, run: Run) {
        let now = Instant::now();
        let closed_loop = run.interval.is_none();
        self.run = Some(run);
        if closed_loop {
            for index in 0..self.active {
                for _ in 0..self.in_flight {
                    self.send(cx, self.lanes[index], Stamp { due: now, sent: now });
                }
            }
        }
    }

    /// Sends what is due at a fixed rate; answers how long nothing will be.
    pub(crate) fn tick(&mut self, cx: &mut Context<'_, Self>) -> Duration {
        let now = Instant::now();
        while let Some(run) = &self.run {
            if run.is_stuck(now) {
                self.fail(format!("{} of {} messages did not come back", run.sent - run.echoed, run.sent));
            }
            let Some(run) = &self.run else { break };
            let (Some(due), true) = (run.next_due(), run.goes_on(now)) else { break };
            let wait = due.saturating_duration_since(now);
            if !wait.is_zero() {
                return wait.saturating_sub(SPIN);
            }
            let lane = self.lanes[usize::try_from(run.sent).unwrap_or_default() % self.active];
            if !self.send(cx, lane, Stamp { due, sent: now }) {
                break;
            }
        }
        Duration::MAX
    }

    /// Sends a connection's next message; answers whether it was taken.
    #[inline]
    fn send(&mut self, cx: &mut Context<'_, Self>, id: ConnId, stamp: Stamp) -> bool {
        let Some(lane) = cx.get_mut(id) else { return false };
        let number = lane.sent;
        match cx.send(id, self.echoes.message(number)) {
            Ok(_) => {}
            // At a fixed rate this is tried again, and counted from when it was due.
            Err(SendError::Full { .. }) => return false,
            Err(error) => {
                self.fail(error.to_string());
                return false;
            }
        }
        if let Some(lane) = cx.get_mut(id) {
            lane.sent += 1;
            lane.under_way.push_back(stamp);
        }
        if let Some(run) = &mut self.run {
            run.sent += 1;
        }
        true
    }

    #[cold]
    fn fail(&mut self, trouble: String) {
        self.run = None;
        self.trouble.get_or_insert(trouble);
    }
}

impl Handler for Generator {
    type Conn = Lane;
    type Post = Wish;

    fn on_open(&mut self, _cx: &mut Context<'_, Self>, id: ConnId) {
        self.lanes.push(id);
    }

    fn on_message(&mut self, cx: &mut Context<'_, Self>, id: ConnId, message: Message<'_>) {
        let now = Instant::now();
        let (Some(lane), Some(run)) = (cx.get_mut(id), &mut self.run) else { return };
        let Some(stamp) = lane.under_way.pop_front() else {
            return self.fail("a message came that nobody had sent".to_owned());
        };
        if message != self.echoes.message(lane.echoed) {
            return self.fail(format!("echo {} of a connection is not what was sent", lane.echoed));
        }
        lane.echoed += 1;
        run.record(stamp, now);
        if run.interval.is_none() && run.goes_on(now) {
            self.send(cx, id, Stamp { due: now, sent: now });
        }
    }

    fn on_post(&mut self, _cx: &mut Context<'_, Self>, wish: Wish) {
        self.wishes.push_back(wish);
    }

    fn on_close(&mut self, _cx: &mut Context<'_, Self>, _id: ConnId, closed: &Closed) {
        self.fail(format!("{}: {}", self.connect.target, closed.reason));
    }
}

/// Connections on their way at once: fewer than a listener's backlog holds.
const DIALLED_AT_ONCE: usize = 100;
/// The system's timers are too coarse for the last bit of a wait.
const SPIN: Duration = Duration::from_millis(1);
