//! Slots with generations: an id of a removed entry never finds its successor.

use std::fmt;

/// Key of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub slot: u32,
    pub generation: u32,
}

/// A table with stable keys. Freed slots are reused, last freed first.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity), len: 0 }
    }

    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.entries[slot as usize];
            debug_assert!(entry.value.is_none(), "a free slot is empty");
            entry.value = Some(value);
            return Key { slot, generation: entry.generation };
        }
        let slot = u32::try_from(self.entries.len()).expect("limits keep tables below 2^32 slots");
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Key { slot, generation: 0 }
    }

    /// The key that the next [`Slab::insert`] will return.
    pub fn next_key(&self) -> Key {
        match self.free.last() {
            Some(&slot) => Key { slot, generation: self.entries[slot as usize].generation },
            None => Key {
                slot: u32::try_from(self.entries.len())
                    .expect("limits keep tables below 2^32 slots"),
                generation: 0,
            },
        }
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(key.slot);
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub fn get(&self, key: Key) -> Option<&T> {
        let entry = self.entries.get(key.slot as usize)?;
        if entry.generation == key.generation { entry.value.as_ref() } else { None }
    }

    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// Two entries at once, if both are there and they are two.
    pub fn pair_mut(&mut self, one: Key, two: Key) -> Option<(&mut T, &mut T)> {
        let slots = [one.slot as usize, two.slot as usize];
        let [first, second] = self.entries.get_disjoint_mut(slots).ok()?;
        if first.generation != one.generation || second.generation != two.generation {
            return None;
        }
        first.value.as_mut().zip(second.value.as_mut())
    }

    /// The current tenant of `slot`, with its key.
    pub fn at(&self, slot: u32) -> Option<(Key, &T)> {
        let entry = self.entries.get(slot as usize)?;
        let value = entry.value.as_ref()?;
        Some((Key { slot, generation: entry.generation }, value))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots ever used: an upper bound for walking by slot.
    pub fn slots(&self) -> u32 {
        u32::try_from(self.entries.len()).expect("limits keep tables below 2^32 slots")
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..self.slots()).filter_map(|slot| self.at(slot))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.next_key().slot, first.slot);
        let second = slab.insert("second");
        assert_eq!(second.slot, first.slot);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
        assert_eq!(slab.len(), 1);
    }
}
