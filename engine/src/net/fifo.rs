//! A queue whose first entry lies in place: most hold no second one, and need no memory for it.

use std::collections::VecDeque;

#[derive(Debug)]
pub struct Fifo<T> {
    /// Empty only if `rest` is.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }
}

impl<T> Fifo<T> {
    #[inline]
    pub fn push(&mut self, entry: T) {
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.rest.push_back(entry);
        }
    }

    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let next = if self.rest.is_empty() { None } else { self.rest.pop_front() };
        std::mem::replace(&mut self.first, next)
    }

    #[inline]
    pub fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    #[inline]
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Entries that there is memory for beside the first.
    pub fn room(&self) -> usize {
        self.rest.capacity()
    }

    pub fn clear(&mut self) {
        self.first = None;
        self.rest.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn agrees_with_a_deque() {
        let mut prng = Prng::new(3);
        let (mut fifo, mut naive) = (Fifo::default(), VecDeque::new());
        for number in 0..10_000 {
            if prng.one_in(2) {
                fifo.push(number);
                naive.push_back(number);
            } else {
                assert_eq!(fifo.pop(), naive.pop_front());
            }
            assert_eq!(fifo.front(), naive.front());
            assert_eq!(fifo.front_mut(), naive.front_mut());
            assert!(fifo.iter().eq(&naive));
            assert_eq!((fifo.len(), fifo.is_empty()), (naive.len(), naive.is_empty()));
        }
        fifo.clear();
        assert_eq!(fifo.pop(), None);
    }
}
