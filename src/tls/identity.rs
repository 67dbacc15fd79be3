//! Who one is: a certificate with its chain and its key, and whom one trusts; read from PEM.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::TlsConfigError;
use super::provider::provider;

/// A certificate with those of its issuers, and its private key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
}

impl Identity {
    /// From PEM text: the certificate first, then those of its issuers up to the root, which may be left out; and the
    /// key as PKCS#8, PKCS#1 or SEC1, not encrypted. Both may be the same text.
    ///
    /// # Errors
    ///
    /// What is missing, or that the key is not the certificate's.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsConfigError::NoKey)?;
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        Ok(Self { key: Arc::new(key) })
    }

    /// From PEM files, as [`Identity::from_pem`].
    ///
    /// # Errors
    ///
    /// The file that cannot be read, or what is wrong with it.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsConfigError> {
        Self::from_pem(&read(chain.as_ref())?, &read(key.as_ref())?)
    }

    /// Whether the certificate is for this name, which may match a wildcard of it.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.key.end_entity_cert().and_then(ParsedCertificate::try_from);
        certificate.is_ok_and(|it| rustls::client::verify_server_name(&it, name).is_ok())
    }
}

/// The certificates of a PEM text: at least one.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(TlsConfigError::NoCertificate)
}

/// Those whose signature counts.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsConfigError> {
    std::fs::read(path).map_err(|source| TlsConfigError::File { path: path.to_owned(), source })
}
