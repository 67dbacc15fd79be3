//! Stands in for `tls` when the feature is off: types of which there are no values, so that no other file forks.

#![expect(missing_docs, reason = "what cannot be had is documented where it can")]
#![expect(clippy::missing_errors_doc, reason = "what cannot be had is documented where it can")]

/// What there is none of; hidden, so that no other file is told what it can't reach.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Never {}

/// Whether this build has TLS.
pub(crate) const IS_THERE: bool = false;

pub const MOST_CARRIED: usize = 0;
pub const RECORD: usize = 0;

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub struct TlsServer(Never);

impl TlsServer {
    pub(crate) fn acceptor(&self, _protocol: Option<&str>) -> Acceptor {
        match self.0 {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub struct TlsClient(Never);

impl TlsClient {
    pub fn platform() -> Result<Self, TlsConfigError> {
        Err(TlsConfigError)
    }

    pub fn session(&self, _host: &str, _protocol: Option<&str>) -> Result<Box<Session>, TlsConfigError> {
        match self.0 {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub struct Acceptor(Never);

impl Acceptor {
    pub fn session(&self) -> Result<Box<Session>, TlsError> {
        match self.0 {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("no TLS")]
pub struct TlsError(Never);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("this build has no TLS: build it with the feature `tls`")]
pub struct TlsConfigError;

/// Cannot exist: needs the feature `tls`.
#[derive(Debug)]
pub struct Session(Never);

impl Session {
    pub fn is_ready(&self) -> bool {
        match self.0 {}
    }

    pub fn is_peer_closed(&self) -> bool {
        match self.0 {}
    }

    pub fn is_client(&self) -> bool {
        match self.0 {}
    }

    pub fn carried(&self) -> usize {
        match self.0 {}
    }

    pub fn steps(&self) -> u32 {
        match self.0 {}
    }

    pub fn cut(&self) -> Option<TlsError> {
        match self.0 {}
    }

    pub fn start(&mut self, _seal: &mut Seal) -> Result<(), TlsError> {
        match self.0 {}
    }

    pub fn open(
        &mut self,
        _input: &mut [u8],
        _plain: &mut Vec<u8>,
        _seal: &mut Seal,
    ) -> Result<(), TlsError> {
        match self.0 {}
    }

    pub fn seal<'p>(
        &mut self,
        _next: impl FnMut(usize) -> Option<&'p [u8]>,
        _most: usize,
        _seal: &mut Seal,
    ) -> Result<usize, TlsError> {
        match self.0 {}
    }

    pub fn close(&mut self, _seal: &mut Seal) {
        match self.0 {}
    }
}

/// Where nothing is written.
#[derive(Debug, Default)]
pub struct Seal {}

impl Seal {
    pub fn written(&self) -> &[u8] {
        &[]
    }

    pub fn clear(&mut self) {}
}
