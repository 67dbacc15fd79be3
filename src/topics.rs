//! L0, who subscribes to what: names, members and their order; knows neither connections nor messages.
//!
//! Everything is found in constant time, and a walk over a topic meets its members in the order in which they came. What is
//! not in any topic takes no memory here.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::indexing_slicing))]

use std::collections::HashMap;
use std::hash::Hash;

use slab::Slab;

/// Bounds of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicLimits {
    /// Most topics that have a subscriber. Default 65,536.
    pub topics: usize,
    /// Most topics that a connection subscribes to. Default 1,024.
    pub per_connection: usize,
    /// Most bytes of a topic's name. Default 256.
    pub name: usize,
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self { topics: 64 * 1024, per_connection: 1_024, name: 256 }
    }
}

/// Why a connection was not subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It is gone, closing, or not open yet.
    #[error("the connection is not open")]
    NotOpen,
    /// The name is longer than [`TopicLimits::name`].
    #[error("the topic's name has {size} bytes, {limit} at most are allowed")]
    NameTooLong {
        /// Its bytes.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// The connection has [`TopicLimits::per_connection`] topics.
    #[error("the connection subscribes to {0} topics, which is as many as it may")]
    TooManyOfConnection(usize),
    /// There are [`TopicLimits::topics`] topics.
    #[error("there are {0} topics, which is as many as there may be")]
    TooMany(usize),
}

/// All topics and their members, which are named by an `I`.
#[derive(Debug)]
pub(crate) struct Topics<I> {
    limits: TopicLimits,
    names: HashMap<Box<str>, usize>,
    all: Slab<Topic>,
    /// Each member of each topic.
    links: Slab<Link<I>>,
    /// Where a member of a topic stands in the links.
    places: HashMap<(I, usize), usize>,
    /// The links of each member, in no order; each link knows its place.
    members: HashMap<I, Vec<usize>>,
}

/// A topic has at least one member.
#[derive(Debug)]
struct Topic {
    name: Box<str>,
    first: Option<usize>,
    last: Option<usize>,
    count: usize,
}

/// One member of one topic, between those that came before and after it.
#[derive(Debug)]
struct Link<I> {
    member: I,
    topic: usize,
    before: Option<usize>,
    after: Option<usize>,
    /// The index among the links of its member.
    place: usize,
}

/// A walk over the members of a topic. Meanwhile nobody but the member that was met last may leave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk(Option<usize>);

impl<I: Copy + Eq + Hash> Topics<I> {
    pub(crate) fn new(limits: TopicLimits) -> Self {
        Self {
            limits,
            names: HashMap::new(),
            all: Slab::new(),
            links: Slab::new(),
            places: HashMap::new(),
            members: HashMap::new(),
        }
    }

    /// Puts a member at the end of a topic, where it is not in it.
    pub(crate) fn subscribe(&mut self, member: I, name: &str) -> Result<(), SubscribeError> {
        let known = self.names.get(name).copied();
        if known.is_some_and(|topic| self.places.contains_key(&(member, topic))) {
            return Ok(());
        }
        let TopicLimits { topics, per_connection, name: longest } = self.limits;
        let joined = self.members.get(&member).map_or(0, Vec::len);
        if name.len() > longest {
            return Err(SubscribeError::NameTooLong { size: name.len(), limit: longest });
        } else if joined >= per_connection {
            return Err(SubscribeError::TooManyOfConnection(joined));
        } else if known.is_none() && self.all.len() >= topics {
            return Err(SubscribeError::TooMany(topics));
        }
        let topic = known.unwrap_or_else(|| self.open(name));
        self.join(member, topic);
        Ok(())
    }

    /// Takes a member out of a topic; answers whether it was in it.
    pub(crate) fn unsubscribe(&mut self, member: I, name: &str) -> bool {
        let link = self.names.get(name).and_then(|topic| self.places.get(&(member, *topic)).copied());
        let Some(link) = link else { return false };
        let Some(links) = self.members.get_mut(&member) else { return false };
        let Some(place) = self.links.get(link).map(|link| link.place) else { return false };
        links.swap_remove(place);
        if let Some(moved) = links.get(place).and_then(|moved| self.links.get_mut(*moved)) {
            moved.place = place;
        }
        if links.is_empty() {
            self.members.remove(&member);
        }
        self.unlink(link);
        true
    }

    /// Takes a member out of all topics.
    #[inline]
    pub(crate) fn leave(&mut self, member: I) {
        if !self.members.is_empty() {
            for link in self.members.remove(&member).unwrap_or_default() {
                self.unlink(link);
            }
        }
    }

    /// How many members a topic has.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.named(name).map_or(0, |topic| topic.count)
    }

    /// Begins a walk over a topic.
    pub(crate) fn walk(&self, name: &str) -> Walk {
        Walk(self.named(name).and_then(|topic| topic.first))
    }

    /// The next member of a walk.
    #[inline]
    pub(crate) fn next(&self, walk: &mut Walk) -> Option<I> {
        let link = self.links.get(walk.0?)?;
        walk.0 = link.after;
        Some(link.member)
    }

    fn named(&self, name: &str) -> Option<&Topic> {
        self.all.get(*self.names.get(name)?)
    }

    fn open(&mut self, name: &str) -> usize {
        let topic = self.all.insert(Topic { name: name.into(), first: None, last: None, count: 0 });
        self.names.insert(name.into(), topic);
        topic
    }

    fn join(&mut self, member: I, topic: usize) {
        let Some(joined) = self.all.get_mut(topic) else { return };
        let links = self.members.entry(member).or_default();
        let (before, place) = (joined.last, links.len());
        let link = self.links.insert(Link { member, topic, before, after: None, place });
        match before.and_then(|before| self.links.get_mut(before)) {
            Some(before) => before.after = Some(link),
            None => joined.first = Some(link),
        }
        joined.last = Some(link);
        joined.count = joined.count.saturating_add(1);
        links.push(link);
        self.places.insert((member, topic), link);
    }

    /// Takes a link out of its topic, and the topic away with its last one. Its member has forgotten it already.
    fn unlink(&mut self, link: usize) {
        let Some(link) = self.links.try_remove(link) else { return };
        self.places.remove(&(link.member, link.topic));
        let Some(topic) = self.all.get_mut(link.topic) else { return };
        match link.before.and_then(|before| self.links.get_mut(before)) {
            Some(before) => before.after = link.after,
            None => topic.first = link.after,
        }
        match link.after.and_then(|after| self.links.get_mut(after)) {
            Some(after) => after.before = link.before,
            None => topic.last = link.before,
        }
        topic.count = topic.count.saturating_sub(1);
        if topic.count == 0 {
            self.names.remove(&topic.name);
            self.all.remove(link.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "a test draws small numbers")]

    use super::*;
    use std::collections::BTreeMap;

    /// The same, as plainly as can be.
    #[derive(Default)]
    struct Naive(BTreeMap<String, Vec<u32>>);

    impl Naive {
        fn joined(&self, member: u32) -> usize {
            self.0.values().filter(|members| members.contains(&member)).count()
        }

        fn subscribe(&mut self, member: u32, name: &str, limits: TopicLimits) -> Result<(), SubscribeError> {
            if self.0.get(name).is_some_and(|members| members.contains(&member)) {
                return Ok(());
            }
            let joined = self.joined(member);
            if name.len() > limits.name {
                return Err(SubscribeError::NameTooLong { size: name.len(), limit: limits.name });
            }
            if joined == limits.per_connection {
                return Err(SubscribeError::TooManyOfConnection(joined));
            }
            if !self.0.contains_key(name) && self.0.len() == limits.topics {
                return Err(SubscribeError::TooMany(limits.topics));
            }
            self.0.entry(name.to_owned()).or_default().push(member);
            Ok(())
        }

        fn retain(&mut self, keep: impl Fn(&str, u32) -> bool) {
            for (name, members) in &mut self.0 {
                members.retain(|member| keep(name, *member));
            }
            self.0.retain(|_, members| !members.is_empty());
        }
    }

    fn members(topics: &Topics<u32>, name: &str) -> Vec<u32> {
        let mut walk = topics.walk(name);
        std::iter::from_fn(|| topics.next(&mut walk)).collect()
    }

    #[test]
    fn topics_are_the_same_as_plain_lists() {
        let limits = TopicLimits { topics: 5, per_connection: 4, name: 7 };
        let names: Vec<String> =
            (0..9).map(|n| "topic".to_owned() + &"x".repeat(n % 3) + &(n / 3).to_string()).collect();
        let (mut topics, mut naive) = (Topics::new(limits), Naive::default());
        let mut random = 11_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..20_000 {
            let (member, name) = (draw(12) as u32, &names[draw(9) as usize]);
            match draw(8) {
                0..=4 => {
                    assert_eq!(topics.subscribe(member, name), naive.subscribe(member, name, limits));
                }
                5 | 6 => {
                    let was = naive.0.get(name).is_some_and(|members| members.contains(&member));
                    assert_eq!(topics.unsubscribe(member, name), was);
                    naive.retain(|other, one| other != name || one != member);
                }
                _ => {
                    topics.leave(member);
                    naive.retain(|_, one| one != member);
                }
            }
            for name in &names {
                let expected = naive.0.get(name).cloned().unwrap_or_default();
                assert_eq!((topics.count(name), members(&topics, name)), (expected.len(), expected));
            }
        }
        for member in 0..12 {
            topics.leave(member);
        }
        let left = (topics.names.len(), topics.all.len(), topics.links.len());
        assert_eq!((left, topics.places.len(), topics.members.len()), ((0, 0, 0), 0, 0));
    }

    #[test]
    fn each_bound_holds_to_the_unit() {
        let limits = TopicLimits { topics: 2, per_connection: 2, name: 3 };
        let mut topics = Topics::new(limits);
        assert_eq!(topics.subscribe(1, "abc"), Ok(()));
        assert_eq!(topics.subscribe(1, "abcd"), Err(SubscribeError::NameTooLong { size: 4, limit: 3 }));
        assert_eq!(topics.subscribe(1, "b"), Ok(()));
        assert_eq!(topics.subscribe(2, "c"), Err(SubscribeError::TooMany(2)));
        assert_eq!(topics.subscribe(1, "c"), Err(SubscribeError::TooManyOfConnection(2)));
        assert_eq!(topics.subscribe(2, "b"), Ok(()));
        assert_eq!(topics.subscribe(1, "b"), Ok(()), "it is in it already");
        assert!(topics.unsubscribe(1, "abc") && !topics.unsubscribe(1, "abc"));
        assert_eq!(topics.subscribe(2, "c"), Ok(()), "a topic went with its last member");
    }
}
