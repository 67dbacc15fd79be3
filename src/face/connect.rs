//! L4, the client's side of a connection: from the wish to the first frame.

use std::io;

use crate::face::closed::Reason;
use crate::face::context::HTTP;
use crate::face::runtime::{Masks, Runtime};
use crate::face::session::{Call, Met, PartialHead, ServiceIndex, Session, Stage};
use crate::face::shutdown::Shutdown;
use crate::face::target::{Resource, Security, Target, TargetError};
use crate::face::{Context, Handler};
use crate::http::Headers;
use crate::net::{ConnectOptions, NetError};
use crate::reactor::{Bound, ConnId, Io};
use crate::tls::{self, TlsClient, TlsConfigError};
use crate::ws::{Agreed, Compress, Proposal, ProposalError, Protocol};

/// A connection to be made: where to, and how.
///
/// ```
/// use gnezdo::Connect;
///
/// let mut connect = Connect::to("ws://example.org:9001/chat")?;
/// connect.subprotocols.push("chat.v2".to_owned());
/// connect.headers.add("Authorization", "Bearer 123")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Connect {
    /// Where to.
    pub target: Target,
    /// WebSocket subprotocols to offer, the best first. The server may choose one; see [`Handler::on_accepted`].
    pub subprotocols: Vec<String>,
    /// Headers of the request beside those of the handshake.
    pub headers: Headers,
    /// Whether to offer permessage-deflate, where [`WebSocketConfig::deflate`](crate::WebSocketConfig::deflate) of the
    /// reactor's configuration says how. Default: offer it.
    pub compress: Compress,
    /// Source address and socket options.
    pub options: ConnectOptions,
    /// How to speak TLS, where the target's scheme asks for it. `None`, the default: trust whom the system trusts, whose
    /// certificates are read by the first such connection.
    pub tls: Option<TlsClient>,
}

impl Connect {
    /// A connection to a [`Target`] given as text, with nothing special about it.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and how to write it.
    pub fn to(target: &str) -> Result<Self, TargetError> {
        Ok(Self {
            target: target.parse()?,
            subprotocols: Vec::new(),
            headers: Headers::new(),
            compress: Compress::Auto,
            options: ConnectOptions::default(),
            tls: None,
        })
    }
}

/// Why a connection was not even tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The request cannot be made of what was given.
    #[error("cannot ask {target}: {source}")]
    Proposal {
        /// Where to.
        target: Box<Target>,
        /// What is wrong.
        source: ProposalError,
    },
    /// There are as many connections as there may be, or too many names wait to be resolved.
    #[error("cannot connect to {target}: {source}")]
    Net {
        /// Where to.
        target: Box<Target>,
        /// What is wrong.
        source: Box<NetError>,
    },
    /// TLS was asked for, and cannot be had so.
    #[error("cannot connect to {target}: {source}")]
    Tls {
        /// Where to.
        target: Box<Target>,
        /// What is wrong.
        source: TlsConfigError,
    },
    /// The reactor is shutting down.
    #[error("cannot connect to {target}: the reactor is shutting down")]
    ShuttingDown {
        /// Where to.
        target: Box<Target>,
    },
    /// The system has no randomness for the key of the handshake.
    #[error("cannot connect to {target}: no randomness ({source})")]
    Random {
        /// Where to.
        target: Box<Target>,
        /// What the system said.
        source: io::Error,
    },
}

impl<H: Handler> Context<'_, H> {
    /// Starts a connection. It opens by [`Handler::on_open`], or ends by [`Handler::on_close`] with a reason, within
    /// [`Timeouts::connect`](crate::Timeouts::connect): names are resolved off the loop's thread, and the addresses
    /// of a host race (RFC 8305).
    ///
    /// # Errors
    ///
    /// What stood in the way before anything was tried; then there is no [`Handler::on_close`].
    pub fn connect(&mut self, connect: &Connect) -> Result<ConnId, ConnectError> {
        let target = &connect.target;
        // Else a handler that calls again whenever it is cut off would never let the loop end.
        if self.shared.shutdown.as_ref().is_some_and(Shutdown::is_final) {
            return Err(ConnectError::ShuttingDown { target: Box::new(target.clone()) });
        }
        let proposal = match &target.resource {
            Some(resource) => Some(self.propose(connect, resource)?),
            None => None,
        };
        let tls = match target.tls {
            Security::Tls => Some(self.secure(connect)?),
            Security::None => None,
        };
        let call = Box::new(Call { target: target.clone(), proposal, answer: PartialHead::default() });
        let mut session = Session::new(ServiceIndex(0), Stage::Dialling(call));
        session.met = Met::Held;
        let (destination, options) = (&target.destination, connect.options.clone());
        self.shared.masks = Masks::Needed;
        let id = self.io.connect(destination, options, session);
        let id = id.map_err(|source| ConnectError::Net {
            target: Box::new(target.clone()),
            source: Box::new(source),
        })?;
        if let Some(tls) = tls {
            self.io.secure(id, tls);
        }
        let at = self.io.now().saturating_add(self.shared.timeouts.connect);
        self.io.set_deadline(id, Some(at));
        Ok(id)
    }

    fn secure(&mut self, connect: &Connect) -> Result<Box<tls::Session>, ConnectError> {
        let target = &connect.target;
        let protocol = target.resource.as_ref().map(|_| HTTP);
        let client = match (&connect.tls, &self.shared.platform) {
            (Some(client), _) | (None, Some(client)) => Ok(client.clone()),
            (None, None) => {
                TlsClient::platform().inspect(|client| self.shared.platform = Some(client.clone()))
            }
        };
        let session = client.and_then(|client| client.session(&target.destination.host_text(), protocol));
        session.map_err(|source| ConnectError::Tls { target: Box::new(target.clone()), source })
    }

    fn propose(&mut self, connect: &Connect, resource: &Resource) -> Result<Proposal, ConnectError> {
        let mut key = [0; 16];
        let target = || Box::new(connect.target.clone());
        self.io.random(&mut key).map_err(|source| ConnectError::Random { target: target(), source })?;
        let deflate = self.shared.services.of(ServiceIndex(0)).deflate.as_ref();
        let deflate = deflate.filter(|_| connect.compress == Compress::Auto);
        let proposal = Proposal::new(&resource.authority, &resource.target, key)
            .and_then(|proposal| proposal.subprotocols(connect.subprotocols.iter().map(String::as_str)))
            .and_then(|proposal| proposal.headers(&connect.headers))
            .and_then(|proposal| match deflate {
                Some(deflate) => proposal.deflate(deflate),
                None => Ok(proposal),
            });
        proposal.map_err(|source| ConnectError::Proposal { target: target(), source })
    }
}

impl<H: Handler> Runtime<H> {
    /// The transport stands: a raw connection is open, a WebSocket asks.
    pub(super) fn call(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId) {
        let Some(session) = io.session(id) else { return };
        let Stage::Dialling(call) = std::mem::replace(&mut session.stage, Stage::Raw) else { return };
        let Some(proposal) = &call.proposal else { return self.open_to_handler(io, id) };
        let request = &mut self.shared.scratch;
        request.clear();
        proposal.encode(request);
        session.stage = Stage::Calling(call);
        // A refusal means that the connection failed meanwhile; its end is on the way.
        let _ = io.send(id, request, &[], Bound::Exempt);
        self.shared.scratch.clear();
    }

    /// Takes the answer's head off the front of `input`, or all of it where it does not end there.
    pub(super) fn read_answer(
        &mut self,
        io: &mut Io<'_, Session<H::Conn>>,
        id: ConnId,
        input: &mut &mut [u8],
    ) {
        let Some(session) = io.session(id) else { return };
        let limits = self.shared.services.of(session.service).head;
        let Stage::Calling(call) = &mut session.stage else { return };
        let Some(proposal) = &call.proposal else { return };
        let bytes = std::mem::take(input);
        let before = call.answer.bytes.len();
        if call.answer.append(bytes).is_err() {
            return self.end(io, id, Reason::Lost(io::ErrorKind::OutOfMemory.into()));
        }
        match proposal.read_answer(&call.answer.bytes, &mut call.answer.scanner, &limits) {
            Ok(None) => {}
            Ok(Some((agreed, head_len))) => {
                *input = bytes.get_mut(head_len.saturating_sub(before)..).unwrap_or_default();
                self.begin(io, id, &agreed);
            }
            Err(failure) => self.end(io, id, Reason::Refused(failure)),
        }
    }

    fn begin(&mut self, io: &mut Io<'_, Session<H::Conn>>, id: ConnId, agreed: &Agreed) {
        let Some(session) = io.session(id) else { return };
        session.stage = Stage::Socket(Protocol::client(agreed.deflate));
        let (handler, mut cx) = self.context(io);
        handler.on_accepted(&mut cx, id, agreed);
        // The handler may have thought better of it.
        if io.is_open(id) {
            self.open_to_handler(io, id);
        }
    }
}
