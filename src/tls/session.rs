//! One connection's TLS: ciphertext in and plaintext out, and the other way round; knows neither peer nor time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;

use super::TlsError;
use super::records::{Flow, Wish, run};
use super::seal::{Seal, Sink};

/// One end of a TLS connection.
///
/// Whoever calls first [`Session::start`]s; then [`Session::open`] takes what comes in, and [`Session::seal`] what goes
/// out, once the session [`Session::is_ready`]. What either writes goes to the peer in the order of the calls. After an
/// error nothing but what is in the output is to be sent.
pub struct Session {
    end: End,
    /// The beginning of what did not come whole.
    carried: Vec<u8>,
    /// How often some of what came was used up.
    steps: u32,
    /// Whether anything came in yet.
    has_begun: bool,
    is_peer_closed: bool,
    is_closed: bool,
}

enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let carried = self.carried.len();
        f.debug_struct("Session").field("carried", &carried).finish_non_exhaustive()
    }
}

/// Most bytes that a session keeps of what did not come whole: rustls takes no handshake message above 64 KiB and no
/// record above 16 KiB of contents, and both have headers.
pub const MOST_CARRIED: usize = 96 * 1024;

impl Session {
    /// That of a server, with a client that was accepted.
    pub(super) fn of_client(connection: UnbufferedServerConnection) -> Box<Self> {
        Self::boxed(End::Server(connection))
    }

    /// That of a client, with a server that was called.
    pub(super) fn of_server(connection: UnbufferedClientConnection) -> Box<Self> {
        Self::boxed(End::Client(connection))
    }

    fn boxed(end: End) -> Box<Self> {
        let (carried, steps) = (Vec::new(), 0);
        Box::new(Self { end, carried, steps, has_begun: false, is_peer_closed: false, is_closed: false })
    }

    /// Whether the handshake is over, in both directions.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.end {
            End::Server(server) => !server.is_handshaking(),
            End::Client(client) => !client.is_handshaking(),
        }
    }

    /// Whether the peer's `close_notify` came: nothing it sends is read any more.
    #[must_use]
    pub fn is_peer_closed(&self) -> bool {
        self.is_peer_closed
    }

    /// Whether this side called the other one.
    #[must_use]
    pub fn is_client(&self) -> bool {
        matches!(self.end, End::Client(_))
    }

    /// Which protocol was agreed on by ALPN.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        match &self.end {
            End::Server(server) => server.alpn_protocol(),
            End::Client(client) => client.alpn_protocol(),
        }
    }

    /// How many bytes of room [`Session::open`] needs before those that came.
    #[must_use]
    pub fn carried(&self) -> usize {
        self.carried.len()
    }

    /// How often [`Session::open`] used some of what came up, and did not only keep it until more comes.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// What it means that the stream ends now: nothing, behind the peer's `close_notify`.
    #[must_use]
    pub fn cut(&self) -> Option<TlsError> {
        match (self.is_peer_closed, self.is_ready()) {
            (true, _) => None,
            (false, true) => Some(TlsError::Truncated),
            (false, false) => Some(TlsError::Interrupted),
        }
    }

    /// Writes what this side says first: a client its greeting, a server nothing.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub fn start(&mut self, seal: &mut Seal) -> Result<(), TlsError> {
        self.write(&mut seal.out, Wish::Nothing)
    }

    /// Opens what came in: `input` is room for [`Session::carried`] bytes, and behind it what was received, which is
    /// decrypted in place. What was inside is appended to `plain`, what is to be answered is written to `seal`.
    ///
    /// # Errors
    ///
    /// See [`TlsError`]; what was found before is in `plain`, and the alert, where there is one, in `seal`.
    pub fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>, seal: &mut Seal) -> Result<(), TlsError> {
        if !self.has_begun && input.first().is_some_and(|first| !is_of_tls(*first)) {
            return Err(TlsError::NotTls);
        }
        self.has_begun |= !input.is_empty();
        if self.is_peer_closed {
            return Ok(());
        }
        let outcome = match input.get(self.carried.len()..) {
            Some(few) if few.len() < self.carried.len() => self.open_few(few, plain, seal),
            _ => self.open_many(input, plain, seal),
        };
        // rustls remembers places in what was not kept: it must not be asked for anything any more.
        outcome.inspect_err(|_| (self.is_closed, self.is_peer_closed) = (true, true))
    }

    /// Opens more than is carried, where it lies.
    fn open_many(&mut self, input: &mut [u8], plain: &mut Vec<u8>, seal: &mut Seal) -> Result<(), TlsError> {
        if let Some(room) = input.get_mut(..self.carried.len()) {
            room.copy_from_slice(&self.carried);
        }
        self.carried.clear();
        let taken = self.run(input, plain, &mut seal.out, Wish::Nothing)?;
        self.carry(input.get(taken..).unwrap_or_default())?;
        self.note_step(taken)
    }

    /// Opens less than is carried, behind that: else what drips would be copied over and over.
    fn open_few(&mut self, few: &[u8], plain: &mut Vec<u8>, seal: &mut Seal) -> Result<(), TlsError> {
        self.carry(few)?;
        let taken = self.run_again(plain, &mut seal.out, Wish::Nothing)?;
        self.note_step(taken)
    }

    fn carry(&mut self, rest: &[u8]) -> Result<(), TlsError> {
        self.carried.try_reserve(rest.len()).map_err(|_| TlsError::NoMemory)?;
        self.carried.extend_from_slice(rest);
        Ok(())
    }

    /// After something was opened, and so much used up: what is carried keeps no more memory than it needs.
    fn note_step(&mut self, taken: usize) -> Result<(), TlsError> {
        self.steps = self.steps.wrapping_add(u32::from(taken > 0));
        if self.is_peer_closed {
            self.carried.clear();
        }
        if self.carried.len() > MOST_CARRIED {
            return Err(TlsError::Protocol(rustls::Error::PeerSentOversizedRecord));
        }
        self.carried.shrink_to(self.carried.len().saturating_mul(2));
        Ok(())
    }

    /// Seals what `next` gives, as one stream, in as few records as it fills, until it gives no more or `most` bytes are
    /// sealed; answers how many are. `next` is asked for at most so many bytes at a time, and says by `None` that there are
    /// no more. Seals nothing after [`Session::close`].
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub fn seal<'p>(
        &mut self,
        mut next: impl FnMut(usize) -> Option<&'p [u8]>,
        most: usize,
        seal: &mut Seal,
    ) -> Result<usize, TlsError> {
        let mut sealed = 0usize;
        while sealed < most && !self.is_closed {
            match self.seal_record(&mut next, RECORD.min(most.saturating_sub(sealed)), seal)? {
                0 => break,
                count => sealed = sealed.saturating_add(count),
            }
        }
        Ok(sealed)
    }

    /// Seals one record of `most` bytes, or what there is; answers how many.
    fn seal_record<'p>(
        &mut self,
        next: &mut impl FnMut(usize) -> Option<&'p [u8]>,
        most: usize,
        seal: &mut Seal,
    ) -> Result<usize, TlsError> {
        let Some(first) = next(most) else { return Ok(0) };
        if first.len() == most {
            return self.write(&mut seal.out, Wish::Send(first)).map(|()| most);
        }
        seal.record.clear();
        seal.record.extend_from_slice(first);
        while let left @ 1.. = most.saturating_sub(seal.record.len())
            && let Some(part) = next(left)
        {
            seal.record.extend_from_slice(part);
        }
        self.write(&mut seal.out, Wish::Send(&seal.record)).map(|()| seal.record.len())
    }

    /// Writes `close_notify`, once: nothing is sealed after it. Before the handshake is over there is nobody to tell.
    pub fn close(&mut self, seal: &mut Seal) {
        if !std::mem::replace(&mut self.is_closed, true) && self.is_ready() {
            // One that cannot even close is as good as closed.
            let _ = self.write(&mut seal.out, Wish::Close);
        }
    }

    /// Runs on what is carried alone; answers how much of it is used up. What did not come whole is shown to rustls each time:
    /// it remembers places in it.
    fn run_again(&mut self, plain: &mut Vec<u8>, out: &mut Sink, wish: Wish<'_>) -> Result<usize, TlsError> {
        let mut carried = std::mem::take(&mut self.carried);
        let taken = self.run(&mut carried, plain, out, wish)?;
        carried.drain(..taken.min(carried.len()));
        self.carried = carried;
        Ok(taken)
    }

    /// The same, where nothing can come of it but what goes out.
    fn write(&mut self, out: &mut Sink, wish: Wish<'_>) -> Result<(), TlsError> {
        self.run_again(&mut Vec::new(), out, wish).map(drop)
    }

    fn run(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Sink,
        wish: Wish<'_>,
    ) -> Result<usize, TlsError> {
        let flow = Flow { plain, out, is_peer_closed: &mut self.is_peer_closed };
        let end = &mut self.end;
        let run = || match end {
            End::Server(server) => run(server, input, flow, wish),
            End::Client(client) => run(client, input, flow, wish),
        };
        let outcome = if self.is_closed { without_alert(run) } else { run() };
        // Failure is sticky: nothing is opened or sealed after it.
        outcome.inspect_err(|_| (self.is_closed, self.is_peer_closed) = (true, true))
    }
}

/// Runs a session that has said its last. Of what is broken behind that the peer is told no more; where it would have to be,
/// a build of rustls with debug assertions asserts that it was not told to close, and no peer may make this one panic.
fn without_alert(run: impl FnOnce() -> Result<usize, TlsError>) -> Result<usize, TlsError> {
    let broken = |_| {
        let what = "something was broken that came behind our close_notify";
        Err(TlsError::Protocol(rustls::Error::General(what.to_owned())))
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(broken)
}

/// Whether a record can begin with this byte (RFC 8446 §5.1): its content type, 20 to 24.
fn is_of_tls(first: u8) -> bool {
    (20..=24).contains(&first)
}

/// The most bytes that a record may hold (RFC 8446 §5.1).
pub const RECORD: usize = 1 << 14;
