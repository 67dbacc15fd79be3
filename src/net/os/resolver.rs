//! Names to addresses, off the loop's thread: getaddrinfo(3) blocks. Knows no socket and no loop.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::net::{Resolved, Waker};

/// A few threads, made when they are needed, that each resolve one name and end.
pub(super) struct Resolver {
    answers: Receiver<Resolved>,
    sender: Sender<Resolved>,
    waiting: VecDeque<Query>,
    running: usize,
    waker: Waker,
}

struct Query {
    host: String,
    port: u16,
    token: u64,
}

impl Resolver {
    pub(super) fn new(waker: Waker) -> Self {
        let (sender, answers) = channel();
        Resolver { answers, sender, waiting: VecDeque::new(), running: 0, waker }
    }

    pub(super) fn ask(&mut self, host: &str, port: u16, token: u64) -> io::Result<()> {
        if self.waiting.len() >= WAITING_AT_MOST {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many names wait to be resolved"));
        }
        self.waiting.push_back(Query { host: host.to_owned(), port, token });
        self.start_waiting();
        Ok(())
    }

    /// An answer that has come; the loop asks after each wake-up.
    pub(super) fn answer(&mut self) -> Option<Resolved> {
        if self.running == 0 && self.waiting.is_empty() {
            return None;
        }
        let answer = self.answers.try_recv().ok()?;
        self.running = self.running.saturating_sub(1);
        self.start_waiting();
        Some(answer)
    }

    fn start_waiting(&mut self) {
        while self.running < THREADS_AT_MOST {
            let Some(query) = self.waiting.pop_front() else { return };
            self.running += 1;
            self.start(query);
        }
    }

    fn start(&self, query: Query) {
        let (sender, waker, token) = (self.sender.clone(), self.waker.clone(), query.token);
        let resolve = move || {
            let addrs = (query.host.as_str(), query.port).to_socket_addrs().map(Iterator::collect);
            // Nobody waits for the answer any more where the loop is gone.
            let _ = sender.send(Resolved { token, addrs });
            let _ = waker.wake();
        };
        let spawned = thread::Builder::new().name("gnezdo-resolver".into()).stack_size(STACK).spawn(resolve);
        if let Err(error) = spawned {
            let _ = self.sender.send(Resolved { token, addrs: Err(error) });
            let _ = self.waker.wake();
        }
    }
}

/// What a resolver found, in the order in which to try it: the families take turns, beginning with that of the
/// first address (RFC 8305 §4).
pub(super) fn interleaved(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

const THREADS_AT_MOST: usize = 4;
const WAITING_AT_MOST: usize = 4096;
/// glibc's resolver wants less than 64 KiB.
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_name_too_many_is_an_error() {
        let mut resolver = Resolver::new(Waker::new(Nobody));
        for _ in 0..THREADS_AT_MOST + WAITING_AT_MOST {
            resolver.ask("127.0.0.1", 1, 0).unwrap();
        }
        let error = resolver.ask("127.0.0.1", 1, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        while resolver.answer().is_none() {
            thread::yield_now();
        }
        resolver.ask("127.0.0.1", 1, 0).unwrap();
    }

    #[test]
    fn families_take_turns_beginning_with_the_first() {
        let addrs =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map(|addr| addr.parse().unwrap());
        let order: Vec<String> = interleaved(addrs.to_vec()).iter().map(SocketAddr::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleaved(Vec::new()), []);
    }
}
