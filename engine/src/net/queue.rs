//! Slots in the order in which they were added, each at most once, with removal from the middle.

const NONE: u32 = u32::MAX;

/// A list threaded through slots: no step costs more for being one of many.
#[derive(Debug)]
pub struct Queue {
    links: Vec<Links>,
    first: u32,
    last: u32,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Links {
    before: u32,
    after: u32,
    present: bool,
}

const ABSENT: Links = Links { before: NONE, after: NONE, present: false };

impl Default for Queue {
    fn default() -> Self {
        Self { links: Vec::new(), first: NONE, last: NONE, len: 0 }
    }
}

impl Queue {
    /// Appends `slot`; moves it to the end if it is present.
    pub fn push(&mut self, slot: u32) {
        self.remove(slot);
        let index = slot as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, ABSENT);
        }
        self.links[index] = Links { before: self.last, after: NONE, present: true };
        match self.last {
            NONE => self.first = slot,
            last => self.links[last as usize].after = slot,
        }
        self.last = slot;
        self.len += 1;
    }

    /// False if it was not present.
    pub fn remove(&mut self, slot: u32) -> bool {
        let Some(links) = self.links.get_mut(slot as usize).filter(|links| links.present) else {
            return false;
        };
        let Links { before, after, .. } = std::mem::replace(links, ABSENT);
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].before = before,
        }
        self.len -= 1;
        true
    }

    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub fn contains(&self, slot: u32) -> bool {
        self.links.get(slot as usize).is_some_and(|links| links.present)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let next = |slot: &u32| Some(self.links[*slot as usize].after).filter(|next| *next != NONE);
        std::iter::successors(self.first(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    #[test]
    fn agrees_with_a_vector() {
        let mut prng = Prng::new(5);
        let (mut queue, mut naive) = (Queue::default(), Vec::new());
        for _ in 0..10_000 {
            let slot = u32::try_from(prng.below(12)).expect("below 12");
            let was = naive.contains(&slot);
            naive.retain(|other| *other != slot);
            if prng.one_in(2) {
                queue.push(slot);
                naive.push(slot);
            } else {
                assert_eq!(queue.remove(slot), was);
            }
            assert_eq!(queue.iter().collect::<Vec<_>>(), naive);
            assert_eq!((queue.first(), queue.len()), (naive.first().copied(), naive.len()));
        }
    }
}
