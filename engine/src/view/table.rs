//! A table by small id that is copied in blocks: a new view with one changed entry shares the rest
//! with the old one.

use std::sync::Arc;

const BLOCK: usize = 256;

type Block<T> = Arc<[Option<Arc<T>>]>;

/// Entries by number. Cloning costs one reference per 256 entries.
#[derive(Debug)]
pub struct Table<T> {
    blocks: Vec<Block<T>>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { blocks: self.blocks.clone() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T> Table<T> {
    #[inline]
    pub fn get(&self, id: u32) -> Option<&Arc<T>> {
        self.blocks.get(id as usize / BLOCK)?[id as usize % BLOCK].as_ref()
    }

    /// Replaces one entry, copying its block unless nobody else holds it.
    pub fn set(&mut self, id: u32, value: Option<Arc<T>>) {
        let block = id as usize / BLOCK;
        while self.blocks.len() <= block {
            self.blocks.push((0..BLOCK).map(|_| None).collect());
        }
        let block = &mut self.blocks[block];
        if Arc::get_mut(block).is_none() {
            *block = block.iter().cloned().collect();
        }
        let entries = Arc::get_mut(block).expect("a fresh copy has one holder");
        entries[id as usize % BLOCK] = value;
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.blocks.iter().flat_map(|block| block.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_copy_leaves_the_original_alone() {
        let mut old = Table::default();
        old.set(3, Some(Arc::new("three")));
        old.set(700, Some(Arc::new("seven hundred")));
        let mut new = old.clone();
        new.set(700, Some(Arc::new("changed")));
        assert_eq!(**old.get(700).expect("set"), "seven hundred");
        assert_eq!(**new.get(700).expect("set"), "changed");
        assert!(Arc::ptr_eq(old.get(3).expect("set"), new.get(3).expect("set")));
        assert!(new.get(4).is_none() && new.get(9_999).is_none());
        assert_eq!(new.iter().count(), 2);
    }
}
