//! Bugs on purpose, to see that the simulated worlds find them: none of them is in a build without
//! `--cfg gnezdo_mutants`, where every question asked here is `false` before the program runs.

/// Whether the bug of this name is wanted: the one that `GNEZDO_MUTANT` names.
#[cfg(gnezdo_mutants)]
pub(crate) fn mutant(name: &str) -> bool {
    static WANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    WANTED.get_or_init(|| std::env::var("GNEZDO_MUTANT").ok()).as_deref() == Some(name)
}

/// Whether the bug of this name is wanted: never.
#[cfg(not(gnezdo_mutants))]
#[inline]
pub(crate) const fn mutant(_name: &str) -> bool {
    false
}
