//! L1, HTTP/1.1 heads (RFC 9110, RFC 9112): knows no sockets, no clocks and no WebSocket.
//!
//! A head arrives in pieces: [`HeadScanner`] finds its end without reading a byte twice, then [`Request::parse`]
//! reads it once, strictly and without allocating. The way back is a [`Response`] written by
//! [`Response::encode`]; clients read it as a [`ResponseHead`]. Whatever two servers could understand differently is refused with an [`HttpError`],
//! after which the connection is to be answered and closed (RFC 9112 §11.2).
//!
//! ```
//! use gnezdo::http::{Connection, HeadLimits, HeadScanner, HeaderStorage, Request, Response, Scan, Status};
//!
//! let limits = HeadLimits::default();
//! let mut scanner = HeadScanner::new();
//! assert_eq!(scanner.scan(b"GET /hello?name=you HTTP/1.1\r\nHost: exa", &limits)?, Scan::Partial);
//!
//! let received = b"GET /hello?name=you HTTP/1.1\r\nHost: example.com\r\n\r\nwhat follows";
//! let Scan::Complete { head_len } = scanner.scan(received, &limits)? else { panic!("the head is whole") };
//! let (head, rest) = received.split_at(head_len);
//! assert_eq!(rest, b"what follows");
//!
//! let mut storage = HeaderStorage::new();
//! let request = Request::parse(head, &mut storage, &limits)?;
//! assert_eq!((request.path(), request.query()), ("/hello", Some("name=you")));
//!
//! let mut out = Vec::new();
//! let response = Response::new(Status::OK).text("hello");
//! response.encode(&mut out, request.connection(), request.body_mode());
//! assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n") && out.ends_with(b"\r\n\r\nhello"));
//! # Ok::<(), gnezdo::http::HttpError>(())
//! ```
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

mod authority;
mod cookie;
mod error;
pub(crate) mod field;
mod framing;
mod headers;
mod lines;
mod parse;
mod request;
mod response;
mod response_head;
mod scanner;
mod status;
pub(crate) mod target;
#[cfg(test)]
pub(crate) mod vectors;

pub use authority::Authority;
pub use cookie::Cookies;
pub use error::HttpError;
pub use framing::BodyLength;
pub use headers::{HeaderError, Headers};
pub use request::{HeaderStorage, Request, Version};
pub use response::{BodyMode, Connection, Response};
pub use response_head::ResponseHead;
pub use scanner::{HeadLimits, HeadScanner, Scan};
pub use status::{InvalidStatus, Status};
