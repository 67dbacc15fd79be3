//! Calls of ours to servers that answer well, badly, slowly, never or from several addresses: each ends as it should,
//! within its deadline, and leaves nothing behind.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod answers;
mod caller;
mod endings;
mod fake;
mod ledger;
mod posts;
mod race;
mod system;
mod transports;
