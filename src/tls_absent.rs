//! Stands in for `tls` when the feature is off: types of which there are no values, so that no other file forks.

#![expect(missing_docs, reason = "what cannot be had is documented where it can")]
#![expect(clippy::missing_errors_doc, reason = "what cannot be had is documented where it can")]

use std::fmt;

/// Whether this build has TLS.
pub(crate) const IS_THERE: bool = false;

pub const MOST_CARRIED: usize = 0;

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub enum TlsServer {}

impl TlsServer {
    pub(crate) fn acceptor(&self, _protocol: Option<&str>) -> Acceptor {
        match *self {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub enum TlsClient {}

impl TlsClient {
    pub fn platform() -> Result<Self, TlsConfigError> {
        Err(TlsConfigError)
    }

    pub fn session(&self, _host: &str, _protocol: Option<&str>) -> Result<Box<Session>, TlsConfigError> {
        match *self {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug)]
pub enum Acceptor {}

impl Acceptor {
    pub fn session(&self) -> Result<Box<Session>, TlsError> {
        match *self {}
    }
}

/// Cannot exist: needs the feature `tls`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {}

#[derive(Debug)]
pub struct TlsConfigError;
