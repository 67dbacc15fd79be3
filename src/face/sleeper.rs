//! Tests alone: a system that only sleeps and wakes, with a listener by which one client comes, under the scheduler that
//! tries the threads in thousands of orders.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::net::{
    AcceptError, Addr, CloseHow, ConnectOptions, Connecting, Event, Key, ListenOptions, NetError, Peer,
    Resolved, SocketId, System, Wake, Waker,
};
use crate::time::Time;

/// What a poll waits for: like an eventfd, it counts what came before the wait.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<Rung>,
    rings: Condvar,
}

#[derive(Debug, Default)]
struct Rung {
    pending: bool,
    /// How often it was rung in all.
    times: usize,
}

impl Bell {
    fn ring(&self) {
        let mut rung = self.state.lock().unwrap();
        rung.pending = true;
        rung.times += 1;
        self.rings.notify_one();
    }

    /// Sleeps until it rings. Nobody rings for a lost post: the model then finds all threads asleep, and says so.
    fn wait(&self) {
        let rung = self.state.lock().unwrap();
        self.rings.wait_while(rung, |rung| !std::mem::take(&mut rung.pending)).unwrap();
    }

    pub(super) fn times(&self) -> usize {
        self.state.lock().unwrap().times
    }
}

/// A system with one client, who comes by whatever is listened on and says nothing.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    pub(super) bell: Arc<Bell>,
    /// What the client was sent.
    pub(super) heard: Arc<Mutex<Vec<u8>>>,
    /// Whether the client was accepted.
    came: bool,
}

const LISTENER: SocketId = SocketId(0);
const CLIENT: SocketId = SocketId(1);

struct Ringer(Arc<Bell>);

impl Wake for Ringer {
    fn wake(&self) -> io::Result<()> {
        self.0.ring();
        Ok(())
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

impl System for Sleeper {
    fn poll(&mut self, _: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            thread::yield_now();
        } else {
            self.bell.wait();
        }
        Ok(())
    }

    fn now(&self) -> Time {
        Time::ZERO
    }

    fn waker(&self) -> Waker {
        Waker::new(Ringer(Arc::clone(&self.bell)))
    }

    fn random(&mut self, _: &mut [u8]) -> io::Result<()> {
        unsupported()
    }

    fn listen(&mut self, addr: &Addr, _: &ListenOptions) -> Result<(SocketId, Addr), NetError> {
        Ok((LISTENER, addr.clone()))
    }

    fn accept(&mut self, _: SocketId) -> Result<(SocketId, Peer), AcceptError> {
        let came = std::mem::replace(&mut self.came, true);
        if came { Err(AcceptError::WouldBlock) } else { Ok((CLIENT, Peer::Unix(None))) }
    }

    fn connect(&mut self, addr: &Addr, _: &ConnectOptions) -> Result<Connecting, NetError> {
        Err(NetError::connect(addr, io::ErrorKind::Unsupported.into()))
    }

    fn resolve(&mut self, _: &str, _: u16, _: u64) -> io::Result<()> {
        unsupported()
    }

    fn resolved(&mut self) -> Option<Resolved> {
        None
    }

    fn register(&mut self, _: SocketId, _: Key) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self, _: SocketId, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send(&mut self, _: SocketId, bytes: &[u8]) -> io::Result<usize> {
        self.heard.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn send_gathered(&mut self, socket: SocketId, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        parts.iter().map(|part| self.send(socket, part)).sum()
    }

    fn shutdown_write(&mut self, _: SocketId) -> io::Result<()> {
        unsupported()
    }

    fn close(&mut self, _: SocketId, _: CloseHow) {}

    fn take_error(&mut self, _: SocketId) -> io::Result<Option<io::Error>> {
        unsupported()
    }

    fn peer(&self, _: SocketId) -> io::Result<Peer> {
        unsupported()
    }

    fn as_raw_fd(&self) -> Option<RawFd> {
        None
    }
}
