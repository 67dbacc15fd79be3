//! L0, what threads share: the standard library's, or under `--cfg shuttle` stand-ins that a test schedules in every order.
//! Knows nothing of what is shared.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Mutex, PoisonError, atomic::AtomicBool, mpsc};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, PoisonError, atomic::AtomicBool, mpsc};
