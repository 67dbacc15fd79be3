//! What goes wrong with TLS, by whose fault and with its cure: values only.

use std::io;
use std::path::PathBuf;

use rustls::{AlertDescription, CertificateError, Error as Rustls, PeerIncompatible};

/// Why a connection with TLS failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer's first bytes are none of TLS: it speaks plain HTTP, for example.
    #[error("the peer does not speak TLS: it has to use `wss://`, `https://` or `tls://` here")]
    NotTls,
    /// The peer's certificate is refused: unknown issuer, expired, or for another name.
    #[error(
        "the peer's certificate is refused ({0}): correct the name, renew the certificate or trust its issuer"
    )]
    Certificate(CertificateError),
    /// The peer showed no certificate, and needs one.
    #[error("the peer showed no certificate: it has to be given one that this side trusts")]
    NoCertificate,
    /// The peer refuses us, by this alert.
    #[error("the peer refuses with the alert {0:?}: {cure}", cure = cure_of(*.0))]
    Alert(AlertDescription),
    /// There is no version, cipher suite or protocol that both sides know.
    #[error("nothing in common with the peer ({0}): one side has to allow what the other one offers")]
    Incompatible(Rustls),
    /// The peer ended its stream in the middle of the handshake.
    #[error(
        "the peer left in the middle of the TLS handshake: it may not like our certificate, or not speak TLS"
    )]
    Interrupted,
    /// The stream ended without the peer's `close_notify`: what came may not be all that was sent.
    #[error("the stream ended without close_notify: it may have been cut on its way")]
    Truncated,
    /// The peer broke the protocol; it was told by an alert.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(Rustls),
    /// This side cannot go on: no randomness, no clock, or a key that cannot sign.
    #[error("TLS cannot go on here: {0}")]
    Local(Rustls),
    /// There is no memory for a record.
    #[error("there is no memory for a TLS record")]
    NoMemory,
}

impl TlsError {
    /// Whether this side is at fault, rather than the peer or somebody between.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Local(_) | Self::NoMemory)
    }
}

impl From<Rustls> for TlsError {
    fn from(error: Rustls) -> Self {
        match error {
            Rustls::InvalidCertificate(error) => Self::Certificate(error),
            Rustls::NoCertificatesPresented => Self::NoCertificate,
            Rustls::AlertReceived(alert) => Self::Alert(alert),
            // We never ask for it: who refuses it is a broken peer. Others may just be too old.
            Rustls::PeerIncompatible(PeerIncompatible::ServerRejectedEncryptedClientHello(_)) => {
                Self::Protocol(error)
            }
            Rustls::PeerIncompatible(_) | Rustls::NoApplicationProtocol => Self::Incompatible(error),
            Rustls::FailedToGetCurrentTime
            | Rustls::FailedToGetRandomBytes
            | Rustls::EncryptError
            | Rustls::General(_)
            | Rustls::Other(_) => Self::Local(error),
            _ => Self::Protocol(error),
        }
    }
}

/// What to do about an alert (RFC 8446 §6.2).
fn cure_of(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "it has to trust the issuer of our certificate",
        AlertDescription::CertificateExpired => "our certificate has to be renewed, or a clock is wrong",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown => "our certificate is not for this name, or not fit for use",
        AlertDescription::CertificateRequired | AlertDescription::AccessDenied => {
            "give this side a certificate that it trusts"
        }
        AlertDescription::UnrecognisedName => "ask for a name that it serves",
        AlertDescription::NoApplicationProtocol => "offer a protocol that it speaks",
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "one side has to allow what the other one offers"
        }
        _ => "look at what it logged",
    }
}

/// Why a certificate, a key or a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate in the PEM text.
    #[error("no certificate found: the PEM text needs at least one `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// There is no private key in the PEM text.
    #[error("no private key found: the PEM text needs a `-----BEGIN PRIVATE KEY-----`, not encrypted")]
    NoKey,
    /// A server needs at least one certificate.
    #[error("a server needs at least one certificate with its key")]
    NoIdentity,
    /// The system trusts nobody.
    #[error(
        "the system has no trusted certificates ({0}): install `ca-certificates`, or give the roots as PEM"
    )]
    NoPlatformRoots(String),
    /// The certificates given cannot be used.
    #[error("these certificates cannot be used: {0}")]
    Unusable(#[from] Rustls),
    /// A server's configuration allows early data.
    #[error("early data is not supported, but max_early_data_size is {0}: leave it at 0")]
    EarlyData(u32),
    /// The name is neither a host name nor an IP address.
    #[error("{0:?} is no name that a certificate could have: give a host name or an IP address")]
    Name(String),
}
