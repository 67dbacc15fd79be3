//! L0, a hierarchical timing wheel over integers: knows ticks, not clocks, and never calls anybody.
//!
//! After G. Varghese and A. Lauck, "Hashed and hierarchical timing wheels" (IEEE/ACM Transactions on Networking 5:6, 1997): setting,
//! moving and cancelling cost O(1), and a deadline is moved at most once per level before it is due.

use crate::slab::{Key, Slab};

/// A point in time, counted in the wheel's unit from an origin the owner chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

/// Names one armed deadline of a [`Wheel`] until it is popped or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey(Key);

/// Deadlines in slots, eleven levels of sixty-four, which cover every tick that 64 bits can count.
///
/// ```text
/// level 0   one tick per slot         the next 64 ticks
/// level 1   64 ticks per slot         the next 4,096
/// level n   64^n ticks per slot       …
/// ```
///
/// A deadline lies at the level of the highest six bits in which it differs from `now`, so all deadlines of a
/// level come before all of the next one. The invariant: every armed deadline is ≥ `now`.
#[derive(Debug)]
pub struct Wheel<T> {
    now: Tick,
    /// One bit per slot that holds a deadline.
    occupied: [u64; LEVELS],
    slots: Vec<Slot>,
    timers: Slab<Timer<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: Link,
    /// No deadline in the slot is earlier than this.
    earliest: Tick,
}

/// Sixteen bytes and the value: which slot it lies in follows from its deadline.
#[derive(Debug)]
struct Timer<T> {
    /// A [`Tick`] as bytes, which need no alignment.
    deadline: [u8; 8],
    previous: Link,
    next: Link,
    value: T,
}

/// The index of an armed timer, or [`Link::NONE`]. Those that lie in a slot are armed, so a link needs no generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

/// A level and one of its slots. Invariant: `level < LEVELS` and `slot < SLOTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    level: u8,
    slot: u8,
}

impl Link {
    const NONE: Self = Self(u32::MAX);

    fn to(key: TimerKey) -> Self {
        Self(key.0.index())
    }
}

impl<T> Timer<T> {
    fn deadline(&self) -> Tick {
        Tick(u64::from_ne_bytes(self.deadline))
    }
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel whose time is `now`.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        let slots = vec![Slot { first: Link::NONE, earliest: Tick(u64::MAX) }; LEVELS * SLOTS];
        Self { now, occupied: [0; LEVELS], slots, timers: Slab::with_capacity(TIMERS_AT_FIRST) }
    }

    /// Arms a deadline that [`Wheel::pop`] gives out, with `value`, once its time has come.
    ///
    /// A deadline that has passed is due at the wheel's own time. `None` past 2^32 armed deadlines.
    pub fn set(&mut self, deadline: Tick, value: T) -> Option<TimerKey> {
        let deadline = deadline.max(self.now);
        let (bytes, none) = (deadline.0.to_ne_bytes(), Link::NONE);
        let timer = Timer { deadline: bytes, previous: none, next: none, value };
        let key = TimerKey(self.timers.insert(timer).ok()?);
        self.link(Link::to(key), deadline);
        Some(key)
    }

    /// Moves an armed deadline to another time; `false` where `key` is no longer armed.
    pub fn reset(&mut self, key: TimerKey, deadline: Tick) -> bool {
        if !self.unlink(key) {
            return false;
        }
        let deadline = deadline.max(self.now);
        if let Some(timer) = self.timers.get_mut(key.0) {
            timer.deadline = deadline.0.to_ne_bytes();
        }
        self.link(Link::to(key), deadline);
        true
    }

    /// Disarms a deadline and gives its value back; `None` where `key` is no longer armed.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.unlink(key).then(|| self.timers.remove(key.0))?.map(|timer| timer.value)
    }

    /// Takes out one deadline that is due at `now`, if any is: earlier ones first, equal ones in no order.
    ///
    /// To be called until it gives `None`, or until the caller's budget is spent.
    pub fn pop(&mut self, now: Tick) -> Option<(TimerKey, T)> {
        loop {
            let Some(place) = self.first_place() else {
                self.now = self.now.max(now);
                return None;
            };
            let start = self.start(place);
            if start > now {
                self.now = self.now.max(now);
                return None;
            }
            self.now = self.now.max(start);
            if place.level == 0 {
                let key = TimerKey(self.timers.key_at(self.slot(place).first.0 as usize)?);
                return self.cancel(key).map(|value| (key, value));
            }
            self.cascade(place);
        }
    }

    /// When the owner has to look again, at the latest: no armed deadline is earlier.
    ///
    /// It is exact, unless the earliest deadline of a coarse slot was cancelled or moved away; then it may be
    /// earlier than needed, once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        self.first_place().map(|place| self.slot(place).earliest)
    }

    /// How many deadlines are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no deadline is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Where a deadline lies, seen from `now`.
    #[expect(clippy::cast_possible_truncation, reason = "there are 11 levels of 64 slots")]
    fn place(&self, deadline: Tick) -> Place {
        let differing = (deadline.0 ^ self.now.0) | SLOT_MASK;
        let level = differing.ilog2() / SLOT_BITS;
        let slot = deadline.0.wrapping_shr(level.saturating_mul(SLOT_BITS)) & SLOT_MASK;
        Place { level: level as u8, slot: slot as u8 }
    }

    /// The first tick that a slot covers, seen from `now`: levels above it are the same as now's.
    fn start(&self, place: Place) -> Tick {
        let shift = u32::from(place.level).saturating_mul(SLOT_BITS);
        let shift_above = shift.saturating_add(SLOT_BITS);
        let above = self.now.0.checked_shr(shift_above).unwrap_or(0);
        let above = above.checked_shl(shift_above).unwrap_or(0);
        Tick(above | u64::from(place.slot).wrapping_shl(shift))
    }

    /// The slot that holds the earliest deadline. No slot before now's own is ever occupied.
    #[expect(clippy::cast_possible_truncation, reason = "there are 11 levels of 64 slots")]
    fn first_place(&self) -> Option<Place> {
        let (level, slots) = self.occupied.iter().enumerate().find(|(_, slots)| **slots != 0)?;
        let slot = slots.trailing_zeros();
        Some(Place { level: level as u8, slot: slot as u8 })
    }

    /// Spreads a slot over the levels below it; `now` has reached the slot's first tick.
    fn cascade(&mut self, place: Place) {
        *self.occupied_mut(place) &= !place.bit();
        let slot = self.slot_mut(place);
        let mut next = std::mem::replace(&mut slot.first, Link::NONE);
        slot.earliest = Tick(u64::MAX);
        while let Some(timer) = self.timers.at_mut(next.0) {
            let (timer, deadline) = (std::mem::replace(&mut next, timer.next), timer.deadline());
            self.link(timer, deadline);
        }
    }

    /// Puts a timer, which no slot holds, at the front of its slot.
    fn link(&mut self, timer: Link, deadline: Tick) {
        let place = self.place(deadline);
        let slot = self.slot_mut(place);
        let after = std::mem::replace(&mut slot.first, timer);
        slot.earliest = slot.earliest.min(deadline);
        *self.occupied_mut(place) |= place.bit();
        if let Some(timer) = self.timers.at_mut(timer.0) {
            timer.previous = Link::NONE;
            timer.next = after;
        }
        if let Some(after) = self.timers.at_mut(after.0) {
            after.previous = timer;
        }
    }

    /// Takes a timer out of its slot; `false` where there is no such timer.
    fn unlink(&mut self, key: TimerKey) -> bool {
        let Some(timer) = self.timers.get(key.0) else { return false };
        let (previous, next) = (timer.previous, timer.next);
        // The same place as when it was linked: the wheel's time has not reached the slot, or it would be spread by now.
        let place = self.place(timer.deadline());
        if let Some(next) = self.timers.at_mut(next.0) {
            next.previous = previous;
        }
        match self.timers.at_mut(previous.0) {
            Some(previous) => previous.next = next,
            None => self.slot_mut(place).first = next,
        }
        if self.slot(place).first == Link::NONE {
            self.slot_mut(place).earliest = Tick(u64::MAX);
            *self.occupied_mut(place) &= !place.bit();
        }
        true
    }

    #[expect(clippy::indexing_slicing, reason = "every place is one of the wheel's")]
    fn slot(&self, place: Place) -> &Slot {
        &self.slots[place.index()]
    }

    #[expect(clippy::indexing_slicing, reason = "every place is one of the wheel's")]
    fn slot_mut(&mut self, place: Place) -> &mut Slot {
        &mut self.slots[place.index()]
    }

    #[expect(clippy::indexing_slicing, reason = "every place is one of the wheel's")]
    fn occupied_mut(&mut self, place: Place) -> &mut u64 {
        &mut self.occupied[usize::from(place.level)]
    }
}

impl Place {
    /// Where it stands among all slots.
    fn index(self) -> usize {
        usize::from(self.level).saturating_mul(SLOTS).saturating_add(usize::from(self.slot))
    }

    /// Its bit among those of its level.
    fn bit(self) -> u64 {
        1_u64.wrapping_shl(u32::from(self.slot))
    }
}

/// Room from the start, so that outgrown blocks leave no holes in memory.
const TIMERS_AT_FIRST: usize = 8192;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: u64 = SLOTS as u64 - 1;
/// Enough for every bit of a tick: 11 × 6 ≥ 64.
const LEVELS: usize = 64usize.div_ceil(SLOT_BITS as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn drain(wheel: &mut Wheel<u64>, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| wheel.pop(Tick(now)).map(|(_, value)| value)).collect()
    }

    #[test]
    fn a_deadline_is_due_at_its_tick_and_not_one_before() {
        for deadline in [0, 1, 63, 64, 65, 4_095, 4_096, 1 << 40, u64::MAX] {
            let mut wheel = Wheel::new(Tick(0));
            wheel.set(Tick(deadline), deadline).unwrap();
            assert_eq!((wheel.next_deadline(), wheel.is_empty()), (Some(Tick(deadline)), false));
            if deadline > 0 {
                assert_eq!(drain(&mut wheel, deadline - 1), []);
            }
            assert_eq!(drain(&mut wheel, deadline), [deadline]);
            assert!(wheel.is_empty());
        }
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_once() {
        let mut wheel = Wheel::new(Tick(1_000));
        wheel.set(Tick(3), 7).unwrap();
        assert_eq!(wheel.next_deadline(), Some(Tick(1_000)));
        assert_eq!(drain(&mut wheel, 1_000), [7]);
    }

    #[test]
    fn a_cancelled_deadline_gives_its_value_back_once() {
        let mut wheel = Wheel::new(Tick(0));
        let key = wheel.set(Tick(5), 7).unwrap();
        assert_eq!(wheel.cancel(key), Some(7));
        assert_eq!(wheel.cancel(key), None);
        assert!(!wheel.reset(key, Tick(9)));
        assert_eq!(drain(&mut wheel, 100), []);
    }

    #[test]
    fn a_far_deadline_needs_no_look_before_it_is_due() {
        let mut wheel = Wheel::new(Tick(12_345));
        wheel.set(Tick(12_345 + 60_000), 1).unwrap();
        assert_eq!(wheel.next_deadline(), Some(Tick(72_345)));
        assert_eq!(drain(&mut wheel, 40_000), []);
        assert_eq!(wheel.next_deadline(), Some(Tick(72_345)));
    }

    #[test]
    fn a_budget_may_stop_in_the_middle_of_equal_deadlines() {
        let mut wheel = Wheel::new(Tick(0));
        for value in 0..10 {
            wheel.set(Tick(70), value).unwrap();
        }
        assert_eq!((0..4).filter_map(|_| wheel.pop(Tick(80))).count(), 4);
        wheel.set(Tick(75), 99).unwrap();
        assert_eq!(wheel.next_deadline(), Some(Tick(70)));
        assert_eq!(drain(&mut wheel, 80).len(), 7);
    }

    /// Where every armed deadline lies, and between which others.
    fn layout(wheel: &Wheel<u64>) -> Vec<(Place, Link, Link)> {
        let keys = (0..wheel.timers.end()).filter_map(|index| wheel.timers.key_at(index));
        let timers = keys.filter_map(|key| wheel.timers.get(key));
        timers.map(|timer| (wheel.place(timer.deadline()), timer.previous, timer.next)).collect()
    }

    #[test]
    fn a_hundred_thousand_far_deadlines_are_not_touched_before_their_slot_begins() {
        let mut wheel = Wheel::new(Tick(0));
        for value in 0..100_000 {
            wheel.set(Tick((1 << 24) + value * 7), value).unwrap();
        }
        let before = layout(&wheel);
        for now in (0..1 << 24).step_by(999) {
            assert_eq!(wheel.pop(Tick(now)), None);
            assert_eq!(wheel.next_deadline(), Some(Tick(1 << 24)));
        }
        assert!(layout(&wheel) == before, "a look that found nothing moved something");
    }

    #[test]
    fn a_deadline_is_moved_at_most_once_per_level() {
        let mut wheel = Wheel::new(Tick(0));
        let deadlines: Vec<u64> = (0..64).map(|number| 200_000 + number * 13).collect();
        for deadline in &deadlines {
            wheel.set(Tick(*deadline), *deadline).unwrap();
        }
        let (mut before, mut moves) = (layout(&wheel), 0);
        for now in 0..200_000 {
            assert_eq!(wheel.pop(Tick(now)), None);
            let after = layout(&wheel);
            moves += before.iter().zip(&after).filter(|(before, after)| before.0 != after.0).count();
            before = after;
        }
        let levels = usize::try_from(200_000_u32.ilog2() / SLOT_BITS).unwrap();
        assert!(moves <= levels * deadlines.len(), "{moves} moves of {} deadlines", deadlines.len());
    }

    /// A naive wheel: a map of deadlines, searched from end to end.
    #[derive(Default)]
    struct Naive(HashMap<u64, u64>);

    impl Naive {
        fn due(&mut self, now: u64) -> Vec<u64> {
            let mut due: Vec<(u64, u64)> =
                self.0.iter().filter(|(_, at)| **at <= now).map(|(value, at)| (*at, *value)).collect();
            due.sort_unstable();
            self.0.retain(|_, at| *at > now);
            due.into_iter().map(|(_, value)| value).collect()
        }
    }

    #[test]
    fn a_million_random_operations_agree_with_the_naive_wheel() {
        let (mut wheel, mut naive) = (Wheel::new(Tick(0)), Naive::default());
        let mut keys = HashMap::new();
        let (mut now, mut seed) = (0u64, 0x9E37_79B9_7F4A_7C15u64);
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for value in 0..1_000_000u64 {
            let span = 1u64 << (random() % 24);
            let deadline = now + random() % span;
            match random() % 8 {
                0..=2 => {
                    keys.insert(value, wheel.set(Tick(deadline), value).unwrap());
                    naive.0.insert(value, deadline);
                }
                3 | 4 => {
                    if let Some((&value, key)) = keys.iter().next() {
                        assert!(wheel.reset(*key, Tick(deadline)));
                        naive.0.insert(value, deadline);
                    }
                }
                5 => {
                    if let Some(value) = keys.keys().next().copied() {
                        let key = keys.remove(&value).unwrap();
                        assert_eq!(wheel.cancel(key), Some(value));
                        naive.0.remove(&value);
                    }
                }
                _ => {
                    now += random() % 40;
                    let mut fired = drain(&mut wheel, now);
                    keys.retain(|value, _| !fired.contains(value));
                    fired.sort_unstable();
                    let mut due = naive.due(now);
                    due.sort_unstable();
                    assert_eq!(fired, due);
                }
            }
            if keys.len() > 300 {
                now += 1 << 12;
                let fired = drain(&mut wheel, now);
                keys.retain(|value, _| !fired.contains(value));
                naive.due(now);
            }
            assert_eq!(wheel.len(), naive.0.len());
            if let (Some(next), Some(least)) = (wheel.next_deadline(), naive.0.values().min()) {
                assert!(next.0 <= *least, "a look at {next:?} would miss {least}");
            }
        }
    }
}
