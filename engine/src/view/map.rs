//! A map that is copied in shards: a new version with one changed entry shares the rest with the
//! old one. Finding something costs a hash and a short search, however many entries there are.

use std::sync::Arc;

/// Entries of a shard, on average, before the shards are doubled.
const CROWDED: usize = 8;

/// Values by the bytes of a name.
#[derive(Clone, Debug)]
pub(super) struct Map<V> {
    /// A power of two of them, or none.
    shards: Vec<Arc<Vec<Entry<V>>>>,
    len: usize,
}

/// Sorted by hash, then by key: names that were chosen to collide cost no more than a search.
#[derive(Clone, Debug)]
struct Entry<V> {
    hash: u32,
    key: Arc<[u8]>,
    value: V,
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { shards: Vec::new(), len: 0 }
    }
}

impl<V> Map<V> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        if self.len == 0 {
            return None;
        }
        let hash = hash(key);
        let shard = &self.shards[hash as usize & (self.shards.len() - 1)];
        let from = shard.partition_point(|entry| entry.hash < hash);
        let same = shard[from..].iter().take_while(|entry| entry.hash == hash);
        same.into_iter().find(|entry| *entry.key == *key).map(|entry| &entry.value)
    }
}

impl<V: Clone + Default> Map<V> {
    /// Changes the value of `key`, or the default in its place. It stays if `change` says so.
    pub(super) fn edit(&mut self, key: &[u8], change: impl FnOnce(&mut V) -> Stay) {
        if self.len >= self.shards.len() * CROWDED {
            self.double();
        }
        let hash = hash(key);
        let at = hash as usize & (self.shards.len() - 1);
        let shard = Arc::make_mut(&mut self.shards[at]);
        match shard.binary_search_by(|entry| (entry.hash, &*entry.key).cmp(&(hash, key))) {
            Ok(place) => {
                if change(&mut shard[place].value) == Stay::No {
                    shard.remove(place);
                    self.len -= 1;
                }
            }
            Err(place) => {
                let mut value = V::default();
                if change(&mut value) == Stay::Yes {
                    shard.insert(place, Entry { hash, key: key.into(), value });
                    self.len += 1;
                }
            }
        }
    }

    fn double(&mut self) {
        let count = (self.shards.len() * 2).max(1);
        let mut shards: Vec<Vec<Entry<V>>> = (0..count).map(|_| Vec::new()).collect();
        for shard in std::mem::take(&mut self.shards) {
            for entry in Arc::unwrap_or_clone(shard) {
                shards[entry.hash as usize & (count - 1)].push(entry);
            }
        }
        self.shards = shards.into_iter().map(Arc::new).collect();
    }
}

/// Whether a changed value is to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stay {
    Yes,
    No,
}

impl Stay {
    pub(super) const fn unless(empty: bool) -> Self {
        if empty { Self::No } else { Self::Yes }
    }
}

/// Eight bytes at a time.
fn hash(key: &[u8]) -> u32 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = key.len() as u64;
    for part in key.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
    }
    u32::try_from(state >> 32).expect("the upper half of 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use std::collections::BTreeMap;

    #[test]
    fn a_map_in_shards_holds_what_a_tree_holds() {
        let mut prng = Prng::new(11);
        let mut map: Map<u64> = Map::default();
        let mut tree: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut snapshots = Vec::new();
        for round in 0..4_000 {
            let key = format!("name-{}", prng.below(700)).into_bytes();
            let value = prng.below(3);
            map.edit(&key, |slot| {
                *slot = value;
                Stay::unless(value == 0)
            });
            match value {
                0 => drop(tree.remove(&key)),
                _ => drop(tree.insert(key, value)),
            }
            if round % 500 == 0 {
                snapshots.push((map.clone(), tree.clone()));
            }
        }
        snapshots.push((map, tree));
        for (map, tree) in &snapshots {
            assert_eq!((map.len, map.is_empty()), (tree.len(), tree.is_empty()));
            for n in 0..700 {
                let key = format!("name-{n}").into_bytes();
                assert_eq!(map.get(&key), tree.get(&key), "name-{n}");
            }
        }
    }
}
