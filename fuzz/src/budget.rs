//! What one input may cost, as an oracle of its own: counted and never timed, so that no busy machine can fail it.

/// The most that some work may take.
pub(crate) struct Budget {
    /// Bytes of heap that are live at one time.
    pub(crate) live: usize,
    /// Bytes of heap taken over all the work: as good as a count of what was copied and cleared.
    pub(crate) taken: usize,
    /// Calls of the allocator.
    pub(crate) calls: usize,
}

impl Budget {
    /// Nothing at all.
    pub(crate) const NOTHING: Budget = Budget { live: 0, taken: 0, calls: 0 };
}

/// Does the work, and holds it to the budget.
pub(crate) fn within<T>(budget: &Budget, work: impl FnOnce() -> T) -> T {
    let mut outcome = None;
    let used = allocation_counter::measure(|| outcome = Some(work()));
    assert_within("live bytes", used.bytes_max, budget.live);
    assert_within("bytes in all", used.bytes_total, budget.taken);
    assert_within("allocations", used.count_total, budget.calls);
    outcome.expect("the work was done")
}

fn assert_within(what: &str, used: u64, most: usize) {
    assert!(used <= most as u64, "{used} {what}, over the budget of {most}");
}
