//! L4, the crate's error: what building and running a reactor may meet.

use std::io;

use crate::face::{ConfigError, FleetError};
use crate::net::{AddrError, NetError};

/// What went wrong, and on which address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An address could not be understood.
    #[error(transparent)]
    Addr(#[from] AddrError),
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket could not be had.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The system can no longer be asked for events: the loop cannot go on.
    #[error("the event loop cannot wait for events: {0}")]
    Poll(#[source] io::Error),
    /// A fleet could not be had, or one of its threads failed.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

/// What the crate's fallible functions give.
pub type Result<T> = std::result::Result<T, Error>;
