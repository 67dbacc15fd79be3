//! L1, the WebSocket protocol (RFC 6455, RFC 7692) without I/O: knows no sockets, no clocks and no threads.
//!
//! Read it from the bottom up: a [frame's header](FrameHeader), the [mask](mask()), [UTF-8](Utf8Validator) and the
//! [Close](CloseFrame) are leaves; the decoder puts messages together; [`Protocol`] adds the closing handshake and
//! is what a loop drives; [`Endpoint`] is the same for those who have no loop. Before that stands the opening handshake:
//! a server [examines](examine()) a request, a client makes a [`Proposal`].

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]
#![expect(clippy::mut_mut, reason = "input is taken off the front of a slice, as `Read for &[u8]` does")]

mod close;
mod compression;
mod decoder;
#[cfg_attr(not(feature = "deflate"), path = "deflate_absent.rs")]
mod deflate;
mod endpoint;
mod error;
mod event;
mod extension;
mod frame;
mod handshake;
mod inflation;
mod keys;
mod limits;
mod mask;
mod message;
mod origin;
mod outgoing;
mod partial;
mod ping;
mod prepared;
mod proposal;
mod protocol;
mod role;
mod utf8;
mod windows;
mod workspace;

pub use close::{CloseCode, CloseFrame, ForbiddenCloseCode};
pub use endpoint::{Endpoint, OwnedEvent};
pub use error::ProtocolError;
pub use event::{Assembly, Control, Event, Payload};
pub use extension::{DeflateConfig, DeflateConfigError, DeflateParams, negotiate};
pub use frame::{FrameHead, FrameHeader, OpCode};
pub use handshake::{HandshakeError, Refusal, Upgrade, accept_key, encode_accept, examine};
pub use keys::{MaskKeys, NoKeys};
pub use limits::{Lengths, Limits};
pub use mask::{MaskKey, mask, mask_into};
pub use message::{Kind, Message, Text};
pub use origin::{AbsentOrigin, InvalidOrigin, Origin, OriginPolicy};
pub use outgoing::{Compress, NotSent, Outgoing};
pub use prepared::Prepared;
pub use proposal::{Agreed, HandshakeFailure, Proposal, ProposalError};
pub use protocol::{Protocol, State};
pub use role::Role;
pub use utf8::{InvalidUtf8, Utf8Validator};
pub use workspace::{Workspace, WorkspaceConfig};
