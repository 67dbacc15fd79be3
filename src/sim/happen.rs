//! What happens by itself when its time has come; knows not how time passes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::agenda::Happening;
use super::kernel::Kernel;
use super::stream::Stage;
use crate::net;
use crate::slab::Key;

impl Kernel {
    /// How long something is on its way.
    pub(super) fn latency(&mut self) -> Duration {
        let most = usize::try_from(self.decider.faults.latency.as_micros()).unwrap_or(usize::MAX);
        if most == 0 || !self.tape.chance(LATE_ONE_IN) {
            return Duration::ZERO;
        }
        Duration::from_micros(self.tape.choose(most.saturating_add(1)) as u64)
    }

    /// Lets everything happen whose time has come.
    pub(super) fn run_due(&mut self) {
        while let Some(happening) = self.agenda.pop_due() {
            self.record.happened();
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival(to) => self.arrive_next(to),
            Happening::Knock { client, local, attempt } => {
                if let Some(client) = Key::from_bits(client) {
                    self.knock(client, local, attempt);
                }
            }
            Happening::GiveUp(client) => self.give_up(client),
            Happening::Resolved { system, token, addrs } => self.resolved(system, token, addrs),
            Happening::Wakeup(token) => self.wakeups.push_back(token),
        }
    }

    /// The first segment on the way to a socket has arrived, unless the socket is closed or was reset meanwhile.
    fn arrive_next(&mut self, to: u64) {
        let Some(to) = Key::from_bits(to) else { return };
        let now = self.agenda.now();
        let Some(stream) = self.stream_mut(to) else { return };
        if stream.wire.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, segment)) = stream.wire.pop_front()
        {
            self.arrive(to, segment);
        }
    }

    /// A connection that nobody answers has been tried for long enough.
    fn give_up(&mut self, client: u64) {
        let client = Key::from_bits(client);
        let is_waiting =
            |client: &Key| self.stream(*client).is_some_and(|stream| stream.stage == Stage::Connecting);
        if let Some(client) = client.filter(is_waiting) {
            self.fail(client, libc::ETIMEDOUT);
        }
    }

    fn resolved(&mut self, system: usize, token: u64, addrs: Option<Vec<SocketAddr>>) {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "no such host in this world");
        if let Some(table) = self.tables.get_mut(system) {
            table.resolved.push_back(net::Resolved { token, addrs: addrs.ok_or_else(unknown) });
        }
    }
}

/// One thing in so many is late where there is latency.
const LATE_ONE_IN: usize = 3;
