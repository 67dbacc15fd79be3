//! The client's side: whom it trusts, what it shows, and whom it means to talk to.

use std::sync::Arc;

use rustls::client::{ClientConfig, UnbufferedClientConnection};
use rustls::sign::SingleCertAndKey;
use rustls::{RootCertStore, pki_types};

use super::identity::{Identity, roots};
use super::provider::provider;
use super::{Session, TlsConfigError, TlsError};

/// How a client speaks TLS. Cheap to clone; clones share the sessions that can be resumed.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: Option<ServerName>,
}

/// The name or address that a server's certificate has to be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pki_types::ServerName<'static>);

impl ServerName {
    /// Of a host name or an IP address, IPv6 in brackets or not.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn new(name: &str) -> Result<Self, TlsConfigError> {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let parsed = pki_types::ServerName::try_from(bare.to_owned());
        parsed.map(Self).map_err(|_| TlsConfigError::Name(name.to_owned()))
    }
}

impl TlsClient {
    /// A client that trusts whom the system trusts. Reads the system's certificates: once is enough.
    ///
    /// They are read here, and not by a verifier that asks the system in each handshake, since that would hold up the
    /// loop.
    ///
    /// # Errors
    ///
    /// If the system trusts nobody.
    pub fn platform() -> Result<Self, TlsConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(TlsConfigError::NoPlatformRoots(why));
        }
        Self::trusting(roots)
    }

    /// A client that trusts these certificates and whom they issued certificates to (PEM), and nobody else.
    ///
    /// # Errors
    ///
    /// If they cannot be used.
    pub fn with_roots(pem: &[u8]) -> Result<Self, TlsConfigError> {
        Self::trusting(roots(pem)?)
    }

    /// With a configuration of rustls, for what this type does not offer.
    #[must_use]
    pub fn with_rustls(config: Arc<ClientConfig>) -> Self {
        Self { config, name: None }
    }

    fn trusting(roots: RootCertStore) -> Result<Self, TlsConfigError> {
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(Self::with_rustls(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Shows this certificate to a server that asks for one.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        let key = SingleCertAndKey::from(Arc::clone(&identity.key));
        Arc::make_mut(&mut self.config).client_auth_cert_resolver = Arc::new(key);
        self
    }

    /// The protocols to offer by ALPN (RFC 7301), the best first; by default none on raw connections, and on a
    /// WebSocket's `http/1.1`.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        Arc::make_mut(&mut self.config).alpn_protocols = protocols.collect();
        self
    }

    /// Expects the server's certificate to be for this name, whatever host is called.
    #[must_use]
    pub fn server_name(self, name: ServerName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The session of a connection to `host` that speaks `protocol`, where nothing else was said.
    ///
    /// # Errors
    ///
    /// If the host's is no name that a certificate could have, or the configuration contradicts itself.
    pub fn session(&self, host: &str, protocol: Option<&str>) -> Result<Box<Session>, TlsConfigError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::new(host)?,
        };
        let offered = match protocol {
            Some(protocol) if self.config.alpn_protocols.is_empty() => vec![protocol.as_bytes().to_vec()],
            _ => self.config.alpn_protocols.clone(),
        };
        let config = Arc::clone(&self.config);
        let connection = UnbufferedClientConnection::new_with_alpn(config, name.0, offered)?;
        Ok(Session::of_server(connection))
    }
}

impl From<TlsError> for TlsConfigError {
    fn from(error: TlsError) -> Self {
        Self::Unusable(rustls::Error::General(error.to_string()))
    }
}
