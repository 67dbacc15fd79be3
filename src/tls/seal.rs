//! Where what goes out is put together: a buffer that grows as rustls asks for room; knows bytes only.

use rustls::unbuffered::{EncodeError, EncryptError, InsufficientSizeError};

use super::TlsError;

/// What is written: kept by the loop for all of its sessions, empty between calls.
#[derive(Debug, Default)]
pub struct Seal {
    /// Small parts on their way into one record.
    pub(super) record: Vec<u8>,
    pub(super) out: Sink,
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
}

/// A buffer that is filled from its beginning. It is not cleared with zeroes again and again.
#[derive(Debug, Default)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    /// At most the length of `bytes`.
    used: usize,
}

impl Sink {
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Appends what `write` writes, with at least `room` bytes for it, or as many as it says it needs.
    pub(super) fn append(
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
pub(super) enum Short {
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
