//! What the tests of whole processes share: the release build of the `echo` example as a child, a plain WebSocket
//! client, and what the kernel says of a process.

#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "each test binary uses its own part")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod client;
mod echo;
mod process;

use std::io::Write;
use std::time::Duration;

pub(crate) use client::{BINARY, CLOSE, Client, Frame, PING, PONG, Stream, TEXT, Target, fragment, frame};
pub(crate) use echo::{Echo, build, build_directory, echo_program};
pub(crate) use process::{
    descriptors, peak, processor_time, resident, sockets_of, soft_limit_of_descriptors, switches,
};

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const KIB: u64 = 1024;
pub(crate) const MIB: u64 = 1024 * KIB;

/// Says, past the capture of the test harness, that something was not tested; where everything has to be there
/// (`CI=true`), that is a failure.
pub(crate) fn skipped(what: &str, why: &str) {
    assert!(!is_ci(), "{what} cannot be tested: {why}");
    say(&format!("SKIPPED: {what}: {why}"));
}

/// Says a measured figure, past the capture of the test harness.
pub(crate) fn report(figure: &str) {
    say(&format!("  measured: {figure}"));
}

/// The harness captures what the macros print, but not what is written.
fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}

pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}
