//! What a world broke, told apart from what another one breaks: by the place in the source that says so.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// The place of a panic: one for each oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation(String);

/// What came of `play`, or the oracle that it fails; nothing is printed.
pub(crate) fn quietly<T>(play: impl FnOnce() -> T) -> Result<T, Violation> {
    static HOOK: Once = Once::new();
    HOOK.call_once(note_the_places);
    FIRST.set(Some(Violation(String::new())));
    let outcome = panic::catch_unwind(AssertUnwindSafe(play));
    let violation = FIRST.take();
    outcome.map_err(|_| violation.unwrap_or(Violation(String::new())))
}

/// Panics of those who play quietly are noted, all others are told as ever.
fn note_the_places() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let noted = FIRST.with_borrow_mut(|first| {
            let Violation(place) = first.as_mut()?;
            // The first is the cause of any other.
            if place.is_empty() {
                *place = info.location().map_or(String::new(), ToString::to_string);
            }
            Some(())
        });
        if noted.is_none() {
            tell(info);
        }
    }));
}

thread_local! {
    /// The place of the first panic, once there was one, while this thread plays quietly.
    static FIRST: RefCell<Option<Violation>> = const { RefCell::new(None) };
}

#[test]
fn the_same_oracle_is_the_same_violation_whatever_it_says() {
    let fail = |word: &str| quietly(|| assert_eq!(word, "", "is {word}"));
    assert_eq!(quietly(|| 1), Ok(1));
    assert!(fail("one").is_err());
    assert_eq!(fail("one"), fail("two"));
    assert_ne!(fail("one"), quietly(|| panic!("is one")));
}
