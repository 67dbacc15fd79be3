//! Socket activation: the listeners that systemd opened for a service before it started it (`sd_listen_fds(3)`); knows no
//! loop.
//!
//! The variables are read by the crate `listenfd`, which takes them out of the environment, so that no child of this
//! process takes them for its own, and makes the descriptors close-on-exec. `LISTEN_FDNAMES` stays, and means nothing
//! without the others.

use std::os::fd::OwnedFd;

use listenfd::ListenFd;

use super::Inherited;

/// Why what systemd should have given could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// `LISTEN_FDS` is no number, or more than anybody passes.
    #[error("LISTEN_FDS is {text:?}: it has to be a number from 0 to {MOST_SOCKETS}, as systemd sets it")]
    Count {
        /// What it says.
        text: String,
    },
    /// One of the descriptors is no listening stream socket.
    #[error(
        "descriptor {index} of the socket unit is no listening stream socket ({source}): \
         have it opened by ListenStream=, with Accept=no"
    )]
    NotListening {
        /// Which, from 0 on.
        index: usize,
        /// What was found.
        source: std::io::Error,
    },
}

impl Inherited {
    /// The listeners that systemd passed to this process, in the order of the socket unit; none where it was not started
    /// so. They are there once: a second call gives none.
    ///
    /// To be called first of all, before there are threads, which might read the environment meanwhile, or descriptors
    /// of one's own: what the variables name is taken for the service's.
    ///
    /// # Errors
    ///
    /// If the variables are not as systemd sets them, or name something else than listening TCP and Unix-domain stream
    /// sockets.
    pub fn from_systemd() -> Result<Vec<Inherited>, ActivationError> {
        let count = passed()?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut passed = ListenFd::from_env();
        let take = |index| {
            let name = names.next().filter(|name| !name.is_empty());
            let taken = taken(&mut passed, index).and_then(|socket| Inherited::new(socket, name, None));
            taken.map_err(|source| ActivationError::NotListening { index, source })
        };
        // All are taken, so that none stays open behind a wrong one.
        let taken: Vec<_> = (0..count).map(take).collect();
        taken.into_iter().collect()
    }
}

/// How many descriptors are for this process.
fn passed() -> Result<usize, ActivationError> {
    let process = std::process::id().to_string();
    if std::env::var("LISTEN_PID").ok() != Some(process) {
        return Ok(0);
    }
    let text = std::env::var("LISTEN_FDS").unwrap_or_default();
    match text.parse() {
        Ok(count) if count <= MOST_SOCKETS => Ok(count),
        _ => Err(ActivationError::Count { text }),
    }
}

fn taken(passed: &mut ListenFd, index: usize) -> std::io::Result<OwnedFd> {
    let gone = || std::io::ErrorKind::NotFound.into();
    match passed.take_tcp_listener(index) {
        Ok(listener) => listener.map(OwnedFd::from).ok_or_else(gone),
        Err(_) => passed.take_unix_listener(index)?.map(OwnedFd::from).ok_or_else(gone),
    }
}

/// More than any socket unit has.
const MOST_SOCKETS: usize = 1_024;
