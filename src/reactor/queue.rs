//! L3, what the kernel refused of one connection's bytes: knows order, and where a message begins that may still be
//! dropped; not what the bytes mean, nor how they are sealed where they are.

use std::collections::{HashMap, VecDeque};

use crate::buf::{BufferPool, NoMemory};
use crate::reactor::connection::ByteQueue;
use crate::reactor::output::{Part, Shared};

/// Bytes of this connection alone, copied, and between them shared messages, which are not.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Of a connection with TLS: what is sealed, before all else. What is behind it is in clear, as on any other.
    sealed: ByteQueue,
    own: ByteQueue,
    /// `None` for most: whoever is sent no shared messages, or keeps up.
    rack: Option<Box<Rack>>,
}

/// The shared messages of a queue, in order.
///
/// Invariants: `led` is the sum of all `before`, and at most the length of the own bytes; `size` that of all messages less
/// `begun`; `begun > 0` only where the first item has nothing before it.
#[derive(Debug, Default)]
struct Rack {
    items: VecDeque<Item>,
    /// How many items ever stood before the first one: an item's number is this and its index.
    number: u64,
    led: usize,
    size: usize,
    /// What the kernel has of the first message.
    begun: usize,
    /// The number of the item with a key.
    latest: HashMap<u64, u64>,
}

/// A shared message, and how many of the own bytes go out between the one before and it.
#[derive(Debug)]
struct Item {
    before: usize,
    shared: Shared,
}

/// What a message that waits does about an earlier one with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Nothing.
    Ignored,
    /// It takes its place.
    Merged,
}

impl Queue {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.sealed.len().saturating_add(self.in_clear())
    }

    /// What is not sealed yet, if it is to be.
    #[inline]
    pub(super) fn in_clear(&self) -> usize {
        self.own.len().saturating_add(self.rack.as_ref().map_or(0, |rack| rack.size))
    }

    /// What is sealed, and goes out before all else.
    pub(super) fn sealed(&self) -> &[u8] {
        self.sealed.as_slice()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.own.is_empty() && self.rack.is_none()
    }

    /// Bytes of this connection alone, in clear.
    #[inline]
    pub(super) fn own(&self) -> usize {
        self.own.len()
    }

    /// What it costs to keep: its bytes, and what each message takes beside them.
    pub(super) fn weight(&self) -> usize {
        weight(self.len(), self.rack.as_ref().map_or(0, |rack| rack.items.len()))
    }

    /// What it would cost if every message were dropped that can be.
    pub(super) fn least_weight(&self) -> usize {
        let begun = self.rack.as_ref().filter(|rack| rack.begun > 0);
        let begun =
            begun.and_then(|rack| Some(weight_of(&rack.items.front()?.shared).saturating_sub(rack.begun)));
        self.sealed.len().saturating_add(self.own.len()).saturating_add(begun.unwrap_or(0))
    }

    /// How many bytes stand in clear before the first message that may still be dropped.
    pub(super) fn firm(&self) -> usize {
        let front = self.rack.as_ref().and_then(|rack| Some((rack.begun, rack.items.front()?)));
        match front {
            None => self.own.len(),
            Some((0, item)) => item.before,
            Some((begun, item)) => item.shared.bytes.len().saturating_sub(begun),
        }
    }

    /// Keeps bytes behind all that waits.
    pub(super) fn append(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Result<(), NoMemory> {
        self.own.append(bytes, pool)
    }

    /// Keeps what was sealed behind what is.
    pub(super) fn append_sealed(&mut self, bytes: &[u8], pool: &mut BufferPool) -> Result<(), NoMemory> {
        self.sealed.append(bytes, pool)
    }

    /// Keeps a message behind all that waits; the kernel has `begun` bytes of it, if any then before anything else waits.
    pub(super) fn push(&mut self, shared: &Shared, begun: usize, keys: Keys) {
        let own = self.own.len();
        let rack = self.rack.get_or_insert_default();
        match (keys, shared.key, begun) {
            (Keys::Merged, Some(key), 0) => {
                let number = rack.number.saturating_add(count(rack.items.len()));
                rack.latest.insert(key, number);
            }
            // It is the latest, and not to be replaced: nor is one before it, should keys count again.
            (Keys::Ignored, Some(key), _) => {
                rack.latest.remove(&key);
            }
            (Keys::Merged | Keys::Ignored, _, _) => {}
        }
        let before = own.saturating_sub(rack.led);
        rack.led = own;
        rack.begun = rack.begun.max(begun);
        rack.size = rack.size.saturating_add(shared.bytes.len().saturating_sub(begun));
        rack.items.push_back(Item { before, shared: shared.clone() });
    }

    /// The message that a later one with this key would replace: not one that the kernel has a part of.
    pub(super) fn waiting(&self, key: u64) -> Option<&Shared> {
        let rack = self.rack.as_ref()?;
        rack.items.get(rack.index_of(key)?).map(|item| &item.shared)
    }

    /// Puts a message in the place of the one with its key; answers whether there was one.
    pub(super) fn replace(&mut self, shared: &Shared) -> bool {
        let Some(rack) = self.rack.as_mut() else { return false };
        let index = shared.key.and_then(|key| rack.index_of(key));
        let Some(item) = index.and_then(|index| rack.items.get_mut(index)) else { return false };
        rack.size = rack.size.saturating_sub(item.shared.bytes.len()).saturating_add(shared.bytes.len());
        item.shared = shared.clone();
        true
    }

    /// Drops the oldest message of which the kernel has nothing; answers whether there was one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(rack) = self.rack.as_mut() else { return false };
        let is_kept = rack.begun > 0;
        let Some(item) = rack.items.remove(usize::from(is_kept)) else { return false };
        // The bytes before it now go out before the one behind it.
        match rack.items.get_mut(usize::from(is_kept)) {
            Some(next) => next.before = next.before.saturating_add(item.before),
            None => rack.led = rack.led.saturating_sub(item.before),
        }
        rack.size = rack.size.saturating_sub(item.shared.bytes.len());
        rack.forget(item.shared.key);
        rack.number = rack.number.saturating_add(1);
        self.trim();
        true
    }

    /// All that is in clear, in order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let (mut own, mut begun) = (self.own.as_slice(), self.rack.as_ref().map_or(0, |rack| rack.begun));
        let items = self.rack.iter().flat_map(|rack| &rack.items).map(Some).chain([None]);
        items.flat_map(move |item| {
            let Some(item) = item else { return [std::mem::take(&mut own), &[]] };
            let (before, rest) = own.split_at_checked(item.before).unwrap_or((own, &[]));
            own = rest;
            [before, item.shared.bytes.get(std::mem::take(&mut begun)..).unwrap_or_default()]
        })
    }

    /// The kernel took so many bytes from the front.
    pub(super) fn advance(&mut self, count: usize, pool: &mut BufferPool) {
        let sealed = count.min(self.sealed.len());
        if sealed > 0 {
            self.sealed.advance(sealed, pool);
        }
        self.pass(count.saturating_sub(sealed), pool);
    }

    /// So many bytes were taken from the front of what is in clear, to be sealed or by the kernel.
    pub(super) fn pass(&mut self, mut count: usize, pool: &mut BufferPool) {
        while let Some(rack) = self.rack.as_mut().filter(|_| count > 0) {
            let Some(item) = rack.items.front_mut() else { break };
            let own = count.min(item.before);
            item.before = item.before.saturating_sub(own);
            rack.led = rack.led.saturating_sub(own);
            self.own.advance(own, pool);
            count = count.saturating_sub(own);
            count = count.saturating_sub(rack.give(count));
            self.trim();
        }
        if count > 0 {
            self.own.advance(count, pool);
        }
    }

    /// An empty rack is none.
    fn trim(&mut self) {
        self.rack.take_if(|rack| rack.items.is_empty());
    }
}

impl Rack {
    fn index_of(&self, key: u64) -> Option<usize> {
        usize::try_from(self.latest.get(&key)?.checked_sub(self.number)?).ok()
    }

    /// The first message is dropped, or the kernel has a part of it: no later one takes its place.
    fn forget(&mut self, key: Option<u64>) {
        if let Some(key) = key
            && self.index_of(key).is_none_or(|index| index <= usize::from(self.begun > 0))
        {
            self.latest.remove(&key);
        }
    }

    /// The kernel took up to `count` bytes of the first message; answers how many of them it had.
    fn give(&mut self, count: usize) -> usize {
        let Some(item) = self.items.front() else { return 0 };
        let left = item.shared.bytes.len().saturating_sub(self.begun);
        let (given, key) = (count.min(left), item.shared.key);
        if given > 0 && self.begun == 0 {
            self.forget(key);
        }
        self.size = self.size.saturating_sub(given);
        self.begun = self.begun.saturating_add(given);
        if given == left && count >= left {
            self.items.pop_front();
            self.number = self.number.saturating_add(1);
            self.begun = 0;
        }
        given
    }
}

/// What so many bytes cost in a queue, with so many shared messages among them.
pub(super) fn weight(bytes: usize, messages: usize) -> usize {
    bytes.saturating_add(messages.saturating_mul(ITEM))
}

/// What a message costs in a queue.
pub(super) fn weight_of(shared: &Shared) -> usize {
    weight(shared.bytes.len(), 1)
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

impl Part<'_> {
    /// Keeps what is left of a part behind all that waits, where the kernel took `skip` bytes of it; answers whether a
    /// message took the place of one that waited.
    pub(super) fn wait(
        self,
        skip: usize,
        queue: &mut Queue,
        keys: Keys,
        pool: &mut BufferPool,
    ) -> Result<bool, NoMemory> {
        match self {
            Part::Bytes(bytes) => queue.append(bytes.get(skip..).unwrap_or_default(), pool).map(|()| false),
            Part::Shared(shared) if skip >= shared.bytes.len() => Ok(false),
            Part::Shared(shared) if skip == 0 && keys == Keys::Merged && queue.replace(shared) => Ok(true),
            Part::Shared(shared) => {
                queue.push(shared, skip, keys);
                Ok(false)
            }
        }
    }
}

/// What a shared message counts for in a queue beside its bytes: its place, and that of its key.
const ITEM: usize = 64;

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "a test draws small numbers")]

    use super::*;
    use crate::buf::BufferPool;

    /// The same, as plainly as can be: what is left of each piece, and whether it may still be dropped.
    #[derive(Debug, Default)]
    struct Naive(VecDeque<(Vec<u8>, Option<u64>, bool)>);

    impl Naive {
        fn bytes(&self) -> Vec<u8> {
            self.0.iter().flat_map(|(bytes, ..)| bytes).copied().collect()
        }

        fn advance(&mut self, mut count: usize) {
            while let Some((bytes, key, free)) = self.0.front_mut().filter(|_| count > 0) {
                let taken = count.min(bytes.len());
                bytes.drain(..taken);
                (*free, *key, count) = (false, None, count - taken);
                if bytes.is_empty() {
                    self.0.pop_front();
                }
            }
        }

        fn replace(&mut self, shared: &Shared) -> bool {
            let latest = self.0.iter_mut().rfind(|(_, key, _)| *key == shared.key && key.is_some());
            latest.map(|(bytes, ..)| *bytes = shared.bytes.to_vec()).is_some()
        }

        fn drop_oldest(&mut self) -> bool {
            self.0.iter().position(|(.., free)| *free).map(|at| self.0.remove(at)).is_some()
        }
    }

    fn message(seed: u64, size: usize, key: Option<u64>) -> Shared {
        Shared { bytes: (0..size).map(|at| (seed as usize * 31 + at) as u8).collect(), key }
    }

    #[test]
    fn a_queue_is_the_same_as_a_plain_list_of_pieces() {
        let mut random = 7_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..300 {
            let (mut queue, mut naive) = (Queue::default(), Naive::default());
            let mut pool = BufferPool::new(1 << 20);
            for step in 0..200 {
                match draw(6) {
                    0 => {
                        let own = message(step, draw(9) as usize, None).bytes.to_vec();
                        queue.append(&own, &mut pool).unwrap();
                        naive.0.extend((!own.is_empty()).then_some((own, None, false)));
                    }
                    1 | 2 => {
                        let shared =
                            message(step, 1 + draw(9) as usize, Some(draw(4)).filter(|key| *key > 0));
                        let part = Part::Shared(&shared);
                        let replaced = part.wait(0, &mut queue, Keys::Merged, &mut pool).unwrap();
                        assert_eq!(replaced, naive.replace(&shared));
                        if !replaced {
                            naive.0.push_back((shared.bytes.to_vec(), shared.key, true));
                        }
                    }
                    3 => assert_eq!(queue.drop_oldest(), naive.drop_oldest()),
                    4 if queue.is_empty() => {
                        let shared = message(step, 9, Some(1));
                        Part::Shared(&shared).wait(4, &mut queue, Keys::Merged, &mut pool).unwrap();
                        naive.0.push_back((shared.bytes[4..].to_vec(), None, false));
                    }
                    _ => {
                        let count = draw(queue.len() as u64 + 1) as usize;
                        queue.advance(count, &mut pool);
                        naive.advance(count);
                    }
                }
                let bytes: Vec<u8> = queue.slices().flatten().copied().collect();
                assert_eq!(bytes, naive.bytes());
                assert_eq!((queue.len(), queue.is_empty()), (bytes.len(), bytes.is_empty()));
                assert!(queue.least_weight() <= queue.weight());
                for key in 1..4 {
                    let waiting = naive.0.iter().rfind(|(_, other, _)| *other == Some(key));
                    assert_eq!(
                        queue.waiting(key).map(|shared| shared.bytes.to_vec()),
                        waiting.map(|w| w.0.clone())
                    );
                }
            }
            queue.advance(usize::MAX, &mut pool);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn what_is_sealed_goes_first_and_is_not_dropped_any_more() {
        let (mut queue, mut pool) = (Queue::default(), BufferPool::new(0));
        for seed in 0..2 {
            queue.push(&message(seed, 9, None), 0, Keys::Ignored);
        }
        queue.append(b"own", &mut pool).unwrap();
        assert_eq!((queue.firm(), queue.in_clear()), (0, 21));
        queue.append_sealed(b"sealed", &mut pool).unwrap();
        queue.pass(4, &mut pool);
        assert_eq!((queue.firm(), queue.in_clear(), queue.len()), (5, 17, 23));
        assert!(queue.drop_oldest() && !queue.drop_oldest(), "the first was begun");
        queue.advance(4, &mut pool);
        assert_eq!((queue.sealed(), queue.in_clear()), (&b"ed"[..], 8));
        queue.pass(5, &mut pool);
        assert_eq!((queue.firm(), queue.own(), queue.is_empty()), (3, 3, false));
        queue.pass(3, &mut pool);
        queue.advance(2, &mut pool);
        assert!(queue.is_empty());
    }

    #[test]
    fn keys_mean_nothing_where_they_are_ignored() {
        let (mut queue, mut pool) = (Queue::default(), BufferPool::new(0));
        for seed in 0..3 {
            let part = message(seed, 5, Some(1));
            assert!(!Part::Shared(&part).wait(0, &mut queue, Keys::Ignored, &mut pool).unwrap());
        }
        assert_eq!((queue.len(), queue.waiting(1).is_some()), (15, false));
    }
}
