//! Deadlines of many owners, with one entry each. Pushing a deadline back, which happens on every
//! request, is one store: the entry fires early, sees that the deadline moved, and re-enters.
//! Setting an earlier deadline adds an entry and leaves the old one to be skipped.

use super::time::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Deadlines of owners numbered by slot. An owner that wants several keeps them itself and sets
/// the earliest here.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Time, u32)>>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When the owner wants to be called.
    deadline: Time,
    /// The time of the one heap entry that counts; others of this slot are stale.
    armed: Time,
}

const IDLE: Slot = Slot { deadline: Time::NEVER, armed: Time::NEVER };

impl Timers {
    /// Sets the owner's deadline; [`Time::NEVER`] clears it.
    #[inline]
    pub fn set(&mut self, slot: u32, deadline: Time) {
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, IDLE);
        }
        let entry = &mut self.slots[index];
        entry.deadline = deadline;
        if deadline < entry.armed {
            entry.armed = deadline;
            self.heap.push(Reverse((deadline, slot)));
        }
    }

    pub fn deadline(&self, slot: u32) -> Time {
        self.slots.get(slot as usize).map_or(Time::NEVER, |entry| entry.deadline)
    }

    /// The next owner whose deadline is due at `now`; its deadline is cleared.
    pub fn pop_due(&mut self, now: Time) -> Option<u32> {
        while let Some(&Reverse((at, slot))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            let entry = &mut self.slots[slot as usize];
            if entry.armed != at {
                continue;
            }
            if entry.deadline <= now {
                *entry = IDLE;
                return Some(slot);
            }
            entry.armed = entry.deadline;
            if entry.deadline != Time::NEVER {
                self.heap.push(Reverse((entry.deadline, slot)));
            }
        }
        None
    }

    /// The earliest entry: never later than the earliest deadline, sometimes earlier.
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// The same entry with its owner.
    pub fn first(&self) -> Option<(Time, u32)> {
        self.heap.peek().map(|&Reverse(entry)| entry)
    }

    /// Owners with a deadline.
    pub fn armed(&self) -> usize {
        self.slots.iter().filter(|slot| slot.deadline != Time::NEVER).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    fn at(nanos: u64) -> Time {
        Time::from_nanos(nanos)
    }

    #[test]
    fn a_deadline_pushed_back_fires_late_and_once() {
        let mut timers = Timers::default();
        timers.set(3, at(10));
        timers.set(3, at(20));
        assert_eq!(timers.pop_due(at(15)), None);
        assert_eq!(timers.pop_due(at(20)), Some(3));
        assert_eq!(timers.pop_due(at(99)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut prng = Prng::new(11);
        let mut timers = Timers::default();
        let mut naive = [Time::NEVER; 8];
        let mut now = 0;
        for _ in 0..20_000 {
            let slot = u32::try_from(prng.below(8)).expect("below 8");
            let deadline = if prng.one_in(4) { Time::NEVER } else { at(now + prng.below(50)) };
            timers.set(slot, deadline);
            naive[slot as usize] = deadline;
            now += prng.below(10);
            let mut fired = Vec::new();
            while let Some(slot) = timers.pop_due(at(now)) {
                fired.push(slot);
            }
            fired.sort_unstable();
            let expected: Vec<u32> = (0..8).filter(|&s| naive[s as usize] <= at(now)).collect();
            expected.iter().for_each(|&s| naive[s as usize] = Time::NEVER);
            assert_eq!(fired, expected);
            assert_eq!(timers.armed(), naive.iter().filter(|d| **d != Time::NEVER).count());
            let earliest = naive.iter().min().copied().unwrap_or(Time::NEVER);
            assert!(earliest == Time::NEVER || timers.next().is_some_and(|at| at <= earliest));
        }
    }
}
