//! What holds of every input: one check for each fuzz target, a plain function of bytes that panics where a rule is broken.
//! Knows no fuzzer, so that the tests of the crate replay the same checks over what the fuzzers have found.

pub mod answer;
mod budget;
pub mod close;
pub mod deflate;
pub mod frames;
pub mod head;
pub mod negotiate;
mod play;
pub mod proxy;
mod reference;
mod tape;
pub mod wheel;
#[cfg(feature = "sim")]
pub mod world;

/// A target's name and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("answer", answer::check),
    ("close", close::check),
    ("deflate", deflate::check),
    ("frames_client", frames::check_client),
    ("frames_server", frames::check_server),
    ("head", head::check),
    ("negotiate", negotiate::check),
    ("proxy", proxy::check),
    ("wheel", wheel::check),
    #[cfg(feature = "sim")]
    ("world", world::check),
];
