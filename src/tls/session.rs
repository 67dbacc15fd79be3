//! One connection's TLS: ciphertext in and plaintext out, and the other way round; knows neither peer nor time.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    AppDataRecord, ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
    WriteTraffic,
};

use super::TlsError;

/// One end of a TLS connection.
///
/// Whoever calls first [`Session::start`]s; then [`Session::open`] takes what comes in, and [`Session::seal`] what goes
/// out, once the session [`Session::is_ready`]. What either writes goes to the peer in the order of the calls. After an
/// error nothing but what is in the output is to be sent.
pub struct Session {
    end: End,
    /// The beginning of what did not come whole.
    carried: Vec<u8>,
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
        let carried = Vec::new();
        Box::new(Self { end, carried, has_begun: false, is_peer_closed: false, is_closed: false })
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
        self.run_again(&mut seal.out, Wish::Nothing)
    }

    /// Opens what came in: `input` is room for [`Session::carried`] bytes, and behind it what was received, which is
    /// decrypted in place. What was inside is appended to `plain`, what is to be answered is written to `seal`.
    ///
    /// # Errors
    ///
    /// See [`TlsError`]; what was found before is in `plain`, and the alert, where there is one, in `seal`.
    pub fn open(&mut self, input: &mut [u8], plain: &mut Vec<u8>, seal: &mut Seal) -> Result<(), TlsError> {
        let carried = std::mem::take(&mut self.carried);
        if let Some(room) = input.get_mut(..carried.len()) {
            room.copy_from_slice(&carried);
        }
        if !self.has_begun && input.first().is_some_and(|first| !is_of_tls(*first)) {
            return Err(TlsError::NotTls);
        }
        self.has_begun |= !input.is_empty();
        if self.is_peer_closed {
            return Ok(());
        }
        let taken = self.run(input, plain, &mut seal.out, Wish::Nothing)?;
        if self.is_peer_closed { Ok(()) } else { self.carry(input.get(taken..).unwrap_or_default()) }
    }

    fn carry(&mut self, rest: &[u8]) -> Result<(), TlsError> {
        if rest.len() > MOST_CARRIED {
            return Err(TlsError::Protocol(rustls::Error::PeerSentOversizedRecord));
        }
        self.carried.try_reserve_exact(rest.len()).map_err(|_| TlsError::NoMemory)?;
        self.carried.extend_from_slice(rest);
        Ok(())
    }

    /// Seals `parts`, as one stream, in as few records as they fill. Calls `write` with what is to be sent, in order, each
    /// time about 64 KiB or the end is reached. Writes nothing after [`Session::close`].
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    pub fn seal<'p>(
        &mut self,
        parts: impl Iterator<Item = &'p [u8]>,
        seal: &mut Seal,
        mut write: impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        if self.is_closed {
            return Ok(());
        }
        let mut record = std::mem::take(&mut seal.record);
        for mut part in parts {
            while !part.is_empty() {
                if record.is_empty() && part.len() >= RECORD {
                    let (full, rest) = part.split_at(RECORD);
                    self.seal_record(full, seal)?;
                    part = rest;
                } else {
                    part = fill(&mut record, part);
                    if record.len() >= RECORD {
                        self.seal_record(&record, seal)?;
                        record.clear();
                    }
                }
                seal.write_above(RUN, &mut write);
            }
        }
        if !record.is_empty() {
            self.seal_record(&record, seal)?;
            record.clear();
        }
        seal.record = record;
        seal.write_above(0, &mut write);
        Ok(())
    }

    fn seal_record(&mut self, bytes: &[u8], seal: &mut Seal) -> Result<(), TlsError> {
        self.run_again(&mut seal.out, Wish::Send(bytes))
    }

    /// Writes `close_notify`, once: nothing is sealed after it. Before the handshake is over there is nobody to tell.
    pub fn close(&mut self, seal: &mut Seal) {
        if !std::mem::replace(&mut self.is_closed, true) && self.is_ready() {
            // One that cannot even close is as good as closed.
            let _ = self.run_again(&mut seal.out, Wish::Close);
        }
    }

    /// Runs without new input. What did not come whole is shown to rustls each time: it remembers places in it.
    fn run_again(&mut self, out: &mut Sink, wish: Wish<'_>) -> Result<(), TlsError> {
        let mut carried = std::mem::take(&mut self.carried);
        let taken = self.run(&mut carried, &mut Vec::new(), out, wish)?;
        carried.drain(..taken.min(carried.len()));
        self.carried = carried;
        Ok(())
    }

    fn run(
        &mut self,
        input: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Sink,
        wish: Wish<'_>,
    ) -> Result<usize, TlsError> {
        let flow = Flow { plain, out, is_peer_closed: &mut self.is_peer_closed };
        let outcome = match &mut self.end {
            End::Server(server) => run(server, input, flow, wish),
            End::Client(client) => run(client, input, flow, wish),
        };
        // Failure is sticky: nothing is opened or sealed after it.
        outcome.inspect_err(|_| (self.is_closed, self.is_peer_closed) = (true, true))
    }
}

/// What is written: kept by the loop for all of its sessions, empty between calls.
#[derive(Debug, Default)]
pub struct Seal {
    /// Small parts on their way into one record.
    record: Vec<u8>,
    out: Sink,
}

impl Seal {
    /// What was written and not taken yet.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.out.written()
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.record.clear();
        self.out.used = 0;
    }

    fn write_above(&mut self, bound: usize, write: &mut impl FnMut(&[u8])) {
        if self.out.used > bound {
            write(self.out.written());
            self.out.used = 0;
        }
    }
}

/// A buffer that is filled from its beginning. It is not cleared with zeroes again and again.
#[derive(Debug, Default)]
struct Sink {
    bytes: Vec<u8>,
    /// At most the length of `bytes`.
    used: usize,
}

impl Sink {
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Appends what `write` writes, with at least `room` bytes for it, or as many as it says it needs.
    fn append(
        &mut self,
        room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>,
    ) -> Result<(), TlsError> {
        let mut room = room;
        loop {
            let end = self.used.saturating_add(room);
            if end > self.bytes.len() {
                let more = end.saturating_sub(self.bytes.len());
                self.bytes.try_reserve(more).map_err(|_| TlsError::NoMemory)?;
                self.bytes.resize(end, 0);
            }
            match write(self.bytes.get_mut(self.used..).unwrap_or_default()) {
                Ok(count) => {
                    self.used = self.used.saturating_add(count).min(self.bytes.len());
                    return Ok(());
                }
                Err(Short::Of(needed)) if needed > room => room = needed,
                Err(_) => return Err(TlsError::Local(rustls::Error::EncryptError)),
            }
        }
    }
}

/// Why nothing was written.
enum Short {
    /// So many bytes of room are needed.
    Of(usize),
    /// The keys are used up.
    Forever,
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Self::Of(required_size),
            EncodeError::AlreadyEncoded => Self::Forever,
        }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Of(required_size)
            }
            EncryptError::EncryptExhausted => Self::Forever,
        }
    }
}

/// What is wanted of a session beside what its input asks for.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Nothing,
    /// At most [`RECORD`] bytes.
    Send(&'a [u8]),
    Close,
}

/// Where what comes of a run goes.
struct Flow<'a> {
    plain: &'a mut Vec<u8>,
    out: &'a mut Sink,
    is_peer_closed: &'a mut bool,
}

/// What both roles have in common.
trait Role {
    type Data;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something waits to be encoded.
    fn has_to_write(&self) -> bool;
}

impl Role for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn has_to_write(&self) -> bool {
        self.wants_write()
    }
}

impl Role for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn has_to_write(&self) -> bool {
        self.wants_write()
    }
}

/// Goes on until nothing more comes of the input, then does what is wished; answers how much of the input is used up.
fn run<R: Role>(
    end: &mut R,
    input: &mut [u8],
    mut flow: Flow<'_>,
    wish: Wish<'_>,
) -> Result<usize, TlsError> {
    let mut taken = 0usize;
    loop {
        let UnbufferedStatus { discard, state } = end.process(input.get_mut(taken..).unwrap_or_default());
        let step = match state {
            Ok(state) => flow.step(state, wish),
            Err(error) => Err(error.into()),
        };
        match step {
            Ok(Step::On { discard: more }) => taken = taken.saturating_add(discard).saturating_add(more),
            Ok(Step::Over) => return Ok(taken.saturating_add(discard)),
            Err(error) => {
                say_why(end, flow.out);
                return Err(error);
            }
        }
    }
}

/// Whether more may come.
enum Step {
    On { discard: usize },
    Over,
}

impl Flow<'_> {
    fn step<D>(&mut self, state: ConnectionState<'_, '_, D>, wish: Wish<'_>) -> Result<Step, TlsError> {
        let mut discard = 0usize;
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let AppDataRecord { discard: more, payload } = record?;
                    self.plain.try_reserve(payload.len()).map_err(|_| TlsError::NoMemory)?;
                    self.plain.extend_from_slice(payload);
                    discard = discard.saturating_add(more);
                }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                self.out.append(0, |room| data.encode(room).map_err(Short::from))?;
            }
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => *self.is_peer_closed = true,
            ConnectionState::WriteTraffic(traffic) => {
                self.write(traffic, wish)?;
                return Ok(Step::Over);
            }
            // Early data is never offered, so none is ever read.
            _ => return Ok(Step::Over),
        }
        Ok(Step::On { discard })
    }

    fn write<D>(&mut self, mut traffic: WriteTraffic<'_, D>, wish: Wish<'_>) -> Result<(), TlsError> {
        match wish {
            Wish::Nothing => Ok(()),
            Wish::Send(bytes) => {
                let room = bytes.len().saturating_add(OVERHEAD);
                self.out.append(room, |room| traffic.encrypt(bytes, room).map_err(Short::from))
            }
            Wish::Close => {
                self.out.append(OVERHEAD, |room| traffic.queue_close_notify(room).map_err(Short::from))
            }
        }
    }
}

/// Writes the alert that tells the peer of a failure, where there is one. While something waits to be encoded, rustls
/// looks at no input; after a failure it must not be shown any.
fn say_why<R: Role>(end: &mut R, out: &mut Sink) {
    while end.has_to_write() {
        let Ok(ConnectionState::EncodeTlsData(mut data)) = end.process(&mut []).state else { return };
        if out.append(0, |room| data.encode(room).map_err(Short::from)).is_err() {
            return;
        }
    }
}

/// Moves bytes from the front of `part` to `record` until that is full; answers the rest.
fn fill<'p>(record: &mut Vec<u8>, part: &'p [u8]) -> &'p [u8] {
    let room = RECORD.saturating_sub(record.len());
    let (now, rest) = part.split_at(room.min(part.len()));
    record.extend_from_slice(now);
    rest
}

/// Whether a record can begin with this byte (RFC 8446 §5.1): its content type, 20 to 24.
fn is_of_tls(first: u8) -> bool {
    (20..=24).contains(&first)
}

/// The most bytes that a record may hold (RFC 8446 §5.1).
const RECORD: usize = 1 << 14;
/// More than header, explicit nonce, padding and tag of any cipher suite add to a record.
const OVERHEAD: usize = 64;
/// So many bytes are sealed before the first are offered to the kernel.
const RUN: usize = 64 * 1024;
