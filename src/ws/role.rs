//! Which end of the connection we are, and which masking rules follow from it (RFC 6455 §5.1). Knows nothing else.

use super::error::ProtocolError;
use super::keys::{MaskKeys, NoKeys};
use super::mask::MaskKey;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We accepted the connection: what comes in must be masked. We close the transport first (RFC 6455 §7.1.1).
    Server,
    /// We opened the connection: what comes in must not be masked, what goes out must. After the closing handshake we wait
    /// a while for the server to close the transport (RFC 6455 §7.1.1).
    Client,
}

impl Role {
    /// The key to unmask an incoming frame with; a server's frame is as if masked with zeros.
    #[inline]
    pub(super) fn incoming_key(self, mask: Option<MaskKey>) -> Result<MaskKey, ProtocolError> {
        match (self, mask) {
            (Role::Server, Some(key)) => Ok(key),
            // RFC 6455 §5.1: the server MUST close the connection upon receiving a frame that is not masked.
            (Role::Server, None) => Err(ProtocolError::Unmasked),
            // RFC 6455 §5.1: a client MUST close a connection if it detects a masked frame.
            (Role::Client, Some(_)) => Err(ProtocolError::Masked),
            (Role::Client, None) => Ok(MaskKey::NONE),
        }
    }

    /// The key to mask an outgoing frame with.
    #[inline]
    pub(super) fn outgoing_key(self, keys: &mut MaskKeys) -> Result<Option<MaskKey>, NoKeys> {
        match self {
            // RFC 6455 §5.1: a server MUST NOT mask any frames that it sends.
            Role::Server => Ok(None),
            // RFC 6455 §5.1, §5.3: a client MUST mask all frames, each with a fresh key.
            Role::Client => keys.take().map(Some),
        }
    }
}
