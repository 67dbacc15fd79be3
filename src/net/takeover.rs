//! Handing live listeners to a successor over a Unix-domain socket, so that a new version of a program takes the place of
//! an old one without a connection refused: the messages of both, and the whole of the successor's part, which is done
//! before its loop begins and may so block, up to a deadline. Knows no loop.
//!
//! ```text
//! successor ── GREETING ──────────────────────────────► predecessor   which accepts all the while
//! successor ◄─ GREETING, claims, descriptors ────────── predecessor
//! successor    serves what it got, and then
//! successor ── READY ─────────────────────────────────► predecessor   lets go: its listeners are closed, no file is removed
//! successor ◄─ DONE ─────────────────────────────────── predecessor   serves those it has, and ends
//! ```
//!
//! Until `READY` everything is the predecessor's: a successor that dies, says nothing or something else changes nothing.
//! Both ends of a listener are one queue in the kernel: whoever connects meanwhile waits there, for one of the two.
//! Only a process of the same user is given anything, or believed.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::unix::{Duty, Inode, PathClaim};
use super::{Inherited, UnixAddr, os};

/// What both begin with; another version says something else.
pub(crate) const GREETING: &[u8] = b"gnezdo takeover 1\n";

/// The successor serves.
pub(crate) const READY: u8 = b'R';

/// The predecessor has let go.
pub(crate) const DONE: u8 = b'D';

/// The most listeners that are handed over.
pub(crate) const MOST_LISTENERS: usize = 64;

/// A listener and its lock.
const MOST_DESCRIPTORS: usize = 2 * MOST_LISTENERS;

/// The longest message.
const MOST_MESSAGE: usize = 64 * 1024;

/// Why this process could not take the place of another one, which then goes on as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeoverError {
    /// Something failed on the way.
    #[error("cannot {doing} the process that listens on {at}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Where it offers its listeners.
        at: UnixAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It belongs to somebody else.
    #[error("the process that listens on {at} is another user's: run both as one user")]
    Stranger {
        /// Where it listens.
        at: UnixAddr,
    },
    /// It did not answer within the time it was given.
    #[error(
        "the process that listens on {at} did not answer in time: it goes on; try again when it is less busy"
    )]
    TimedOut {
        /// Where it offers its listeners.
        at: UnixAddr,
    },
    /// It ended the connection.
    #[error(
        "the process that listens on {at} has hung up: it has no listener to hand over, or is about to end; \
         try again"
    )]
    HungUp {
        /// Where it offers its listeners.
        at: UnixAddr,
    },
    /// What it said is not what a predecessor of this version says.
    #[error("what listens on {at} speaks another version of the takeover, or something else: stop it first")]
    NotUnderstood {
        /// Where it listens.
        at: UnixAddr,
    },
}

/// A process that serves now, and whose place this one is about to take.
///
/// ```no_run
/// use std::time::Duration;
/// use gnezdo::net::{Predecessor, UnixAddr};
/// # use gnezdo::{Config, Handler, Listen, Reactor};
/// # struct Echo;
/// # impl Handler for Echo { type Conn = (); type Post = (); }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut reactor = Reactor::new(Echo, Config::default())?;
///
/// let at = UnixAddr::path("/run/echo.takeover")?;
/// match Predecessor::find(&at, Duration::from_secs(5))? {
///     Some(mut predecessor) => {
///         for inherited in predecessor.listeners() {
///             reactor.listen_on(inherited, &Listen::raw())?;
///         }
///         predecessor.relieve(Duration::from_secs(5))?;
///     }
///     None => drop(reactor.listen_with(&"127.0.0.1:9001".parse()?, &Listen::raw())?),
/// }
/// reactor.listen_with(&at.into(), &Listen::takeover())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Predecessor {
    at: UnixAddr,
    stream: UnixStream,
    listeners: Vec<Inherited>,
    duty: Duty,
}

impl Predecessor {
    /// Asks the process that offers its listeners at `at` for them, and waits for `patience` at most; `None` where there
    /// is no such process. It goes on serving until it is [relieved](Predecessor::relieve).
    ///
    /// # Errors
    ///
    /// See [`TakeoverError`].
    pub fn find(at: &UnixAddr, patience: Duration) -> Result<Option<Self>, TakeoverError> {
        let end = Instant::now().checked_add(patience);
        let Some(stream) = reach(at)? else { return Ok(None) };
        let mut line = Line { at, stream: &stream, end };
        line.check_user()?;
        line.say(GREETING)?;
        let (message, descriptors) = line.receive()?;
        let duty = Duty::of_another();
        let listeners = unpacked(&message, descriptors, &duty);
        let listeners = listeners.map_err(|source| line.fail("take the listeners of", source))?;
        Ok(Some(Predecessor { at: at.clone(), stream, listeners, duty }))
    }

    /// What it listens on, to be served by [`Reactor::listen_on`](crate::Reactor::listen_on); there once. One that is
    /// not served is closed with the predecessor.
    pub fn listeners(&mut self) -> Vec<Inherited> {
        std::mem::take(&mut self.listeners)
    }

    /// Tells it that this process serves now: it accepts no more, its files and its path are this process's, and it ends
    /// when its connections have. Waits for `patience` at most.
    ///
    /// To be called with the listeners in the loop and nothing left that can fail: from here on connections may be
    /// nobody's but this process's.
    ///
    /// # Errors
    ///
    /// See [`TakeoverError`]. Where it did not answer in time it may have let go or not; both may go on, since
    /// the listeners are shared.
    pub fn relieve(self, patience: Duration) -> Result<(), TakeoverError> {
        let end = Instant::now().checked_add(patience);
        let mut line = Line { at: &self.at, stream: &self.stream, end };
        line.say(&[READY])?;
        match line.hear_byte()? {
            DONE => self.duty.take(),
            _ => return Err(line.not_understood()),
        }
        Ok(())
    }
}

/// Connects without a wait: a predecessor whose backlog is full has no time for a successor.
fn reach(at: &UnixAddr) -> Result<Option<UnixStream>, TakeoverError> {
    let fail = |source| TakeoverError::System { doing: "reach", at: at.clone(), source };
    let socket = os::unix_socket().map_err(fail)?;
    match at.to_kernel().and_then(|name| socket.connect(&name)) {
        Ok(()) => {}
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ECONNREFUSED)) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(error)),
    }
    let stream = UnixStream::from(OwnedFd::from(socket));
    stream.set_nonblocking(false).map_err(fail)?;
    Ok(Some(stream))
}

/// The connection to a predecessor, up to a deadline.
struct Line<'a> {
    at: &'a UnixAddr,
    stream: &'a UnixStream,
    /// None where it is beyond all time.
    end: Option<Instant>,
}

impl Line<'_> {
    fn check_user(&self) -> Result<(), TakeoverError> {
        match is_of(self.stream, rustix::process::geteuid()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(TakeoverError::Stranger { at: self.at.clone() }),
            Err(source) => Err(self.fail("ask for the user of", source)),
        }
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), TakeoverError> {
        self.arm()?;
        self.stream.write_all(bytes).map_err(|source| self.fail("speak to", source))
    }

    fn hear_byte(&mut self) -> Result<u8, TakeoverError> {
        let mut byte = [0];
        self.arm()?;
        let heard = self.stream.read_exact(&mut byte);
        heard.map_err(|source| self.fail("hear", source))?;
        Ok(byte[0])
    }

    /// The whole message, and the descriptors that came with it.
    fn receive(&mut self) -> Result<(Vec<u8>, Vec<OwnedFd>), TakeoverError> {
        let (mut message, mut descriptors) = (Vec::new(), Vec::new());
        loop {
            match rest_of(&message) {
                Some(0) => return Ok((message, descriptors)),
                None => return Err(self.not_understood()),
                Some(rest) => {
                    self.arm()?;
                    let received = receive_some(self.stream, rest, &mut message, &mut descriptors);
                    received.map_err(|source| self.fail("hear", source))?;
                }
            }
        }
    }

    /// Gives the next call as much time as is left.
    fn arm(&self) -> Result<(), TakeoverError> {
        let left = self.end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(TakeoverError::TimedOut { at: self.at.clone() });
        }
        let set = self.stream.set_read_timeout(left).and_then(|()| self.stream.set_write_timeout(left));
        set.map_err(|source| self.fail("wait for", source))
    }

    fn not_understood(&self) -> TakeoverError {
        TakeoverError::NotUnderstood { at: self.at.clone() }
    }

    fn fail(&self, doing: &'static str, source: io::Error) -> TakeoverError {
        let at = self.at.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => TakeoverError::TimedOut { at },
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                TakeoverError::HungUp { at }
            }
            io::ErrorKind::InvalidData => TakeoverError::NotUnderstood { at },
            _ => TakeoverError::System { doing, at, source },
        }
    }
}

/// How many bytes of a message are still to come, as far as can be told; `None` where it is none.
fn rest_of(message: &[u8]) -> Option<usize> {
    let (greeting, rest) = message.split_at_checked(GREETING.len()).unwrap_or((message, &[]));
    if !GREETING.starts_with(greeting) {
        return None;
    }
    let Some((length, rest)) = rest.split_first_chunk() else {
        return Some((GREETING.len() + LENGTH).saturating_sub(message.len()));
    };
    let length =
        usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= MOST_MESSAGE)?;
    length.checked_sub(rest.len())
}

/// Bytes of the length that follows the greeting.
const LENGTH: usize = size_of::<u32>();

/// One receive of at most `most` bytes.
fn receive_some(
    stream: &UnixStream,
    most: usize,
    message: &mut Vec<u8>,
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; most];
    let received = os::again_if_interrupted(|| {
        let into = &mut [IoSliceMut::new(&mut bytes)];
        Ok(rustix::net::recvmsg(stream, into, &mut control, RecvFlags::CMSG_CLOEXEC)?)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    message.extend(bytes.into_iter().take(received.bytes));
    Ok(())
}

/// What is handed over of one listener.
pub(super) struct Parcel<'a> {
    pub(super) socket: BorrowedFd<'a>,
    /// Of one at a path of its own.
    pub(super) claim: Option<&'a PathClaim>,
}

impl<'a> Parcel<'a> {
    fn descriptors(&self) -> [Option<BorrowedFd<'a>>; 2] {
        [Some(self.socket), self.claim.map(|claim| claim.lock().as_fd())]
    }
}

/// Sends listeners to a successor, all or none, at once.
pub(super) fn send(to: impl AsFd, parcels: &[Parcel<'_>]) -> io::Result<()> {
    if !is_of(&to, rustix::process::geteuid())? {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the successor is another user's"));
    }
    if parcels.is_empty() || parcels.len() > MOST_LISTENERS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no listeners to hand over, or too many"));
    }
    let message = packed(parcels)?;
    let descriptors: Vec<BorrowedFd<'_>> = parcels.iter().flat_map(Parcel::descriptors).flatten().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let parts = [IoSlice::new(&message)];
    let sent = os::again_if_interrupted(|| {
        Ok(rustix::net::sendmsg(&to, &parts, &mut control, SendFlags::NOSIGNAL)?)
    });
    // The other side of a new connection has room for all of it; what has not is no successor.
    if sent? == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The greeting, the length of what follows, and for each listener whether it has a claim, and which.
fn packed(parcels: &[Parcel<'_>]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    for parcel in parcels {
        let Some(claim) = parcel.claim else {
            body.push(PLAIN);
            continue;
        };
        let path = claim.path().as_os_str().as_bytes();
        let length = u16::try_from(path.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        body.push(CLAIMED);
        body.extend(claim.inode().device.to_be_bytes());
        body.extend(claim.inode().number.to_be_bytes());
        body.extend(length.to_be_bytes());
        body.extend(path);
    }
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MOST_MESSAGE);
    let length = length.ok_or(io::ErrorKind::InvalidInput)?;
    Ok([GREETING, &length.to_be_bytes(), &body].concat())
}

/// What [`packed`] wrote, with the descriptors that came along.
fn unpacked(message: &[u8], descriptors: Vec<OwnedFd>, duty: &Duty) -> io::Result<Vec<Inherited>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let mut body = message.get(GREETING.len() + LENGTH..).ok_or_else(wrong)?;
    let (mut descriptors, mut listeners) = (descriptors.into_iter(), Vec::new());
    while let Some((kind, rest)) = body.split_first() {
        let socket = descriptors.next().ok_or_else(wrong)?;
        let (claim, rest) = match *kind {
            PLAIN => (None, rest),
            CLAIMED => {
                let (path, inode, rest) = unpacked_claim(rest).ok_or_else(wrong)?;
                let lock = File::from(descriptors.next().ok_or_else(wrong)?);
                (Some(PathClaim::of_another(path, inode, lock, duty.clone())?), rest)
            }
            _ => return Err(wrong()),
        };
        listeners.push(Inherited::new(socket, None, claim)?);
        body = rest;
    }
    if descriptors.next().is_some() { Err(wrong()) } else { Ok(listeners) }
}

fn unpacked_claim(body: &[u8]) -> Option<(PathBuf, Inode, &[u8])> {
    let (device, body) = body.split_first_chunk()?;
    let (number, body) = body.split_first_chunk()?;
    let (length, body) = body.split_first_chunk()?;
    let (path, rest) = body.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let inode = Inode { device: u64::from_be_bytes(*device), number: u64::from_be_bytes(*number) };
    Some((PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())), inode, rest))
}

/// A listener whose name the kernel tells, and nobody has to take away.
const PLAIN: u8 = 0;

/// One at a path, with a lock.
const CLAIMED: u8 = 1;

/// Whether the process at the other end belongs to `user`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_of(stream: impl AsFd, user: rustix::process::Uid) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid == user)
}

/// Where the system does not tell so, nothing is handed over.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_of(_: impl AsFd, _: rustix::process::Uid) -> io::Result<bool> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system does not tell whose a process is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_of_the_same_user_is_believed() {
        let (one, _other) = UnixStream::pair().unwrap();
        let user = rustix::process::geteuid();
        assert!(is_of(&one, user).unwrap());
        assert!(!is_of(&one, rustix::process::Uid::from_raw(user.as_raw() + 1)).unwrap());
    }

    #[test]
    fn a_message_is_received_up_to_its_end_and_no_further() {
        let message = [GREETING, &3u32.to_be_bytes(), b"abc"].concat();
        for end in 0..message.len() {
            let rest = rest_of(&message[..end]).unwrap();
            assert!(rest > 0 && rest <= message.len() - end, "{rest} more after {end}");
        }
        assert_eq!(rest_of(&message), Some(0));
        assert_eq!(rest_of(&[&message[..], b"d"].concat()), None);
        assert_eq!(rest_of(b"gnezdo takeover 2\n"), None);
        assert_eq!(rest_of(b"H"), None);
    }

    #[test]
    fn a_message_has_a_bound() {
        let with = |length: usize| [GREETING, &u32::try_from(length).unwrap().to_be_bytes()].concat();
        assert_eq!(rest_of(&with(MOST_MESSAGE)), Some(MOST_MESSAGE));
        assert_eq!(rest_of(&with(MOST_MESSAGE + 1)), None);
    }

    #[test]
    fn what_is_no_list_of_listeners_is_refused() {
        let unpack = |body: &[u8], descriptors: Vec<OwnedFd>| {
            let message = [GREETING, &[0; LENGTH], body].concat();
            unpacked(&message, descriptors, &Duty::of_another()).map_err(|error| error.kind())
        };
        let listener = || OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let claim = [&[CLAIMED][..], &[0; 16], &[0, 2], b"/a"].concat();
        assert_eq!(unpack(&[PLAIN, PLAIN], vec![listener(), listener()]).unwrap().len(), 2);
        for (body, count) in [
            (&[PLAIN][..], 0),
            (&[PLAIN], 2),
            (&[7], 1),
            (&claim, 1),
            (&claim[..claim.len() - 1], 2),
            (&claim[..9], 2),
        ] {
            let descriptors = (0..count).map(|_| listener()).collect();
            assert_eq!(unpack(body, descriptors).unwrap_err(), io::ErrorKind::InvalidData, "{body:?}");
        }
        let stream = || OwnedFd::from(UnixStream::pair().unwrap().0);
        assert_eq!(unpack(&[PLAIN], vec![stream()]).unwrap_err(), io::ErrorKind::InvalidInput);
    }
}
