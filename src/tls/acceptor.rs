//! The server's side: its certificates, by the name that is asked for, and what it asks of clients.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::{DnsName, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoClientAuth, ResolvesServerCert, ServerConfig, UnbufferedServerConnection,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::identity::{Identity, roots};
use super::provider::provider;
use super::{Session, TlsConfigError, TlsError};

/// How a listener speaks TLS. Clones are one and the same: [`TlsServer::reload`] changes them all.
///
/// ```no_run
/// use gnezdo::tls::{Identity, TlsServer};
///
/// let identity = Identity::from_files("/etc/tls/chain.pem", "/etc/tls/key.pem")?;
/// let listen = gnezdo::Listen { tls: Some(TlsServer::new(vec![identity])?), ..Default::default() };
/// # Ok::<(), gnezdo::tls::TlsConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsServer {
    certificates: Arc<Certificates>,
    config: Arc<ServerConfig>,
    alpn: Option<Vec<Vec<u8>>>,
}

impl TlsServer {
    /// A server with these certificates. A client that names the server gets the first one that is for the name (SNI,
    /// wildcards too); one that names none, or one that nobody has, gets the first.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn new(identities: Vec<Identity>) -> Result<Self, TlsConfigError> {
        let certificates = Arc::new(Certificates { identities: RwLock::new(checked(identities)?) });
        let config = configure(Arc::clone(&certificates), Arc::new(NoClientAuth))?;
        Ok(Self { certificates, config, alpn: None })
    }

    /// The same, for clients alone that have a certificate issued by one of these (PEM).
    ///
    /// # Errors
    ///
    /// If they cannot be used.
    pub fn require_clients_of(self, issuers: &[u8]) -> Result<Self, TlsConfigError> {
        let roots = Arc::new(roots(issuers)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        let config = configure(Arc::clone(&self.certificates), verifier)?;
        Ok(Self { config, ..self })
    }

    /// The protocols to choose from by ALPN (RFC 7301), the best first. By default `http/1.1` where the listener speaks
    /// HTTP and WebSocket, and none where it is raw. A client that offers others alone is refused.
    #[must_use]
    pub fn alpn(self, protocols: &[&str]) -> Self {
        Self { alpn: Some(protocols.iter().map(|name| name.as_bytes().to_vec()).collect()), ..self }
    }

    /// Other certificates from the next handshake on, also from another thread. Connections that stand keep theirs.
    ///
    /// # Errors
    ///
    /// If there is none; then the old ones stay.
    pub fn reload(&self, identities: Vec<Identity>) -> Result<(), TlsConfigError> {
        let identities = checked(identities)?;
        *self.certificates.identities.write().unwrap_or_else(PoisonError::into_inner) = identities;
        Ok(())
    }

    /// What a listener needs, which speaks `protocol` where [`TlsServer::alpn`] said nothing else.
    pub(crate) fn acceptor(&self, protocol: Option<&str>) -> Acceptor {
        let default = || protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = self.alpn.clone().unwrap_or_else(default);
        Acceptor { config: Arc::new(config) }
    }
}

/// What makes sessions of the connections of a listener.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// With a configuration of rustls, for what [`TlsServer`] does not offer.
    ///
    /// # Errors
    ///
    /// If it allows early data, which nobody here would read: the handshakes of clients that send some would stand still.
    pub fn with_rustls(config: Arc<ServerConfig>) -> Result<Self, TlsConfigError> {
        if config.max_early_data_size > 0 {
            return Err(TlsConfigError::EarlyData(config.max_early_data_size));
        }
        Ok(Self { config })
    }

    /// The session of a client that was just accepted.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself.
    pub fn session(&self) -> Result<Box<Session>, TlsError> {
        Ok(Session::of_client(UnbufferedServerConnection::new(Arc::clone(&self.config))?))
    }
}

fn checked(identities: Vec<Identity>) -> Result<Vec<Identity>, TlsConfigError> {
    if identities.is_empty() { Err(TlsConfigError::NoIdentity) } else { Ok(identities) }
}

fn configure(
    certificates: Arc<Certificates>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_client_cert_verifier(clients).with_cert_resolver(certificates)))
}

/// The certificates of a server, of which a handshake takes one.
#[derive(Debug)]
struct Certificates {
    /// At least one.
    identities: RwLock<Vec<Identity>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        let name = hello.server_name().and_then(|name| DnsName::try_from(name).ok()).map(ServerName::DnsName);
        let fits = name.and_then(|name| identities.iter().find(|identity| identity.is_for(&name)));
        fits.or(identities.first()).map(|identity| Arc::clone(&identity.key))
    }
}
