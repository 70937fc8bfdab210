//! Small numbers for keys, kept for as long as somebody holds the key.
//!
//! A number that was given back rests until many others have been given back after it, so that
//! whoever still carries an old number by mistake finds nothing rather than somebody else. Who
//! keeps state by number across views must still compare what the number stands for.

use std::collections::{BTreeMap, VecDeque};

/// Numbers at rest before the first is given out again.
const RESTING: usize = 1_024;

/// Keys with numbers.
#[derive(Debug)]
pub struct Interner<K> {
    numbers: BTreeMap<K, u32>,
    slots: Vec<Slot<K>>,
    resting: VecDeque<u32>,
}

#[derive(Debug)]
struct Slot<K> {
    key: Option<K>,
    holds: u32,
}

impl<K> Default for Interner<K> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), slots: Vec::new(), resting: VecDeque::new() }
    }
}

impl<K: Ord + Clone> Interner<K> {
    /// The number of `key`, new if nobody holds it yet. Every hold needs its release.
    pub fn hold(&mut self, key: &K) -> u32 {
        if let Some(&number) = self.numbers.get(key) {
            self.slots[number as usize].holds += 1;
            return number;
        }
        let number = self.fresh();
        self.slots[number as usize] = Slot { key: Some(key.clone()), holds: 1 };
        self.numbers.insert(key.clone(), number);
        number
    }

    /// One more hold on a number that is held.
    pub fn hold_again(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        debug_assert!(slot.holds > 0);
        slot.holds += 1;
    }

    /// Ends one hold. True if that was the last and the number now rests.
    pub fn release(&mut self, number: u32) -> bool {
        let slot = &mut self.slots[number as usize];
        slot.holds = slot.holds.checked_sub(1).expect("every release has its hold");
        if slot.holds > 0 {
            return false;
        }
        let key = slot.key.take().expect("a held number has a key");
        self.numbers.remove(&key);
        self.resting.push_back(number);
        true
    }

    pub fn find<Q>(&self, key: &Q) -> Option<u32>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.numbers.get(key).copied()
    }

    /// `None` for a number at rest.
    pub fn key(&self, number: u32) -> Option<&K> {
        self.slots.get(number as usize)?.key.as_ref()
    }

    /// How often a number is held; never for one at rest.
    pub fn holds(&self, number: u32) -> u32 {
        self.slots.get(number as usize).map_or(0, |slot| slot.holds)
    }

    /// Held keys, in order, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&K, u32)> {
        self.numbers.iter().map(|(key, number)| (key, *number))
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    fn fresh(&mut self) -> u32 {
        if self.resting.len() > RESTING
            && let Some(number) = self.resting.pop_front()
        {
            return number;
        }
        self.slots.push(Slot { key: None, holds: 0 });
        u32::try_from(self.slots.len() - 1).expect("fewer keys than memory has bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_number_while_anybody_holds_it() {
        let mut names = Interner::default();
        let a = names.hold(&"a");
        assert_eq!(names.hold(&"a"), a);
        assert_ne!(names.hold(&"b"), a);
        assert!(!names.release(a));
        assert_eq!((names.find("a"), names.key(a)), (Some(a), Some(&"a")));
        assert!(names.release(a));
        assert_eq!((names.find("a"), names.key(a), names.len()), (None, None, 1));
    }

    #[test]
    fn a_number_rests_before_it_comes_back() {
        let mut numbers = Interner::default();
        let first = numbers.hold(&0u64);
        numbers.release(first);
        for key in 1..=RESTING as u64 {
            let number = numbers.hold(&key);
            assert_ne!(number, first);
            numbers.release(number);
        }
        assert_eq!(numbers.hold(&u64::MAX), first);
    }
}
