//! The states of rustls' unbuffered interface, met one after the other until nothing more is to be done; knows no end.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{AppDataRecord, ConnectionState, UnbufferedStatus, WriteTraffic};

use super::TlsError;
use super::seal::{Short, Sink};

/// What is wanted of a session beside what its input asks for.
#[derive(Clone, Copy)]
pub(super) enum Wish<'a> {
    Nothing,
    /// At most a record's worth.
    Send(&'a [u8]),
    Close,
}

/// Where what comes of a run goes.
pub(super) struct Flow<'a> {
    pub(super) plain: &'a mut Vec<u8>,
    pub(super) out: &'a mut Sink,
    pub(super) is_peer_closed: &'a mut bool,
}

/// What both roles have in common.
pub(super) trait Role {
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
pub(super) fn run<R: Role>(
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
            // Early data is never offered, nor may a configuration of rustls offer any: none is ever read.
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

/// More than header, explicit nonce, padding and tag of any cipher suite add to a record.
const OVERHEAD: usize = 64;
