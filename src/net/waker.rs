//! The handle that ends a wait from another thread: knows not who waits, nor for what.

use std::fmt;
use std::io;
use std::sync::Arc;

/// What a system does to end a wait.
pub trait Wake: Send + Sync {
    /// Makes the current wait, or the next one if there is none now, end at once.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn wake(&self) -> io::Result<()>;
}

/// Wakes one system's [`poll`](super::System::poll) from any thread. Cheap to clone.
///
/// A wake-up is never lost: one that comes before the wait ends the wait that follows. Several may fall together into
/// one. The real one costs a system call each time; who wakes often should remember that a wake-up is on its way.
#[derive(Clone)]
pub struct Waker(Arc<dyn Wake>);

impl Waker {
    /// A handle to `wake`, for a system of one's own.
    pub fn new(wake: impl Wake + 'static) -> Self {
        Waker(Arc::new(wake))
    }

    /// Ends the current wait, or the next.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Waker")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counter(Arc<AtomicU32>);

    impl Wake for Counter {
        fn wake(&self) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn a_system_of_ones_own_can_be_woken_from_another_thread() {
        let count = Arc::new(AtomicU32::new(0));
        let waker = Waker::new(Counter(Arc::clone(&count)));
        let other = waker.clone();
        std::thread::spawn(move || other.wake()).join().unwrap().unwrap();
        waker.wake().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }
}
