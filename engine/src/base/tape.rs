//! A ring of records in one piece of memory: one machine writes, and whoever wants to may read what
//! has not been written over yet. Nobody waits for anybody.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

const WORD: usize = 8;

/// The newest records of one writer.
///
/// A record is a word with its length in bytes, and as many words as it takes. Positions only grow.
/// The writer moves `oldest` on before it writes over what was there, so that a reader who finds
/// `oldest` unmoved has read what was written.
#[derive(Debug, Default)]
pub struct Tape {
    words: Box<[AtomicU64]>,
    /// Where the oldest record begins that is still whole.
    oldest: AtomicU64,
    /// Where the next record will begin.
    next: AtomicU64,
    /// Records that were written over.
    lost: AtomicU64,
}

/// What a tape held at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reel {
    /// The oldest first.
    pub records: Vec<Vec<u8>>,
    /// How many there were before them.
    pub lost: u64,
}

impl Tape {
    /// With at most this many bytes, rounded down to a power of two; with few or none it records
    /// nothing.
    pub fn new(bytes: u32) -> Self {
        let words = match bytes as usize / WORD {
            0 | 1 => 0,
            words => 1 << words.ilog2(),
        };
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), ..Self::default() }
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        !self.words.is_empty()
    }

    /// For its one writer. False if the record is longer than the whole tape.
    pub fn write(&self, record: &[u8]) -> bool {
        let takes = 1 + record.len().div_ceil(WORD);
        if takes > self.words.len() {
            return false;
        }
        let at = self.next.load(Relaxed);
        let end = at + takes as u64;
        self.make_room(end);
        self.word(at).store(record.len() as u64, Relaxed);
        let (parts, rest) = record.as_chunks();
        let (start, ahead) = self.words.split_at(self.place(at + 1));
        let (before, behind) = parts.split_at(parts.len().min(ahead.len()));
        put(ahead, before);
        put(start, behind);
        if !rest.is_empty() {
            let mut last = [0; WORD];
            last[..rest.len()].copy_from_slice(rest);
            self.word(end - 1).store(u64::from_le_bytes(last), Relaxed);
        }
        self.next.store(end, Release);
        true
    }

    /// Gives up the oldest records until none is left where the tape is written up to `end`.
    fn make_room(&self, end: u64) {
        let first = self.oldest.load(Relaxed);
        let (mut oldest, mut gone) = (first, 0);
        while end - oldest > self.words.len() as u64 {
            oldest += 1 + self.word(oldest).load(Relaxed).div_ceil(WORD as u64);
            gone += 1;
        }
        if oldest != first {
            self.oldest.store(oldest, Relaxed);
            self.lost.store(self.lost.load(Relaxed) + gone, Relaxed);
            fence(Release);
        }
    }

    /// What is there now, at most the newest `bytes`. What is written over meanwhile is left out.
    pub fn read(&self, bytes: usize) -> Reel {
        if !self.is_on() {
            return Reel::default();
        }
        let end = self.next.load(Acquire);
        let from = self.oldest.load(Relaxed).min(end);
        let copy: Vec<u64> = (from..end).map(|at| self.word(at).load(Relaxed)).collect();
        fence(Acquire);
        let whole = self.oldest.load(Relaxed).clamp(from, end);
        let mut reel = Reel { records: Vec::new(), lost: self.lost.load(Relaxed) };
        let mut rest = &copy[usize::try_from(whole - from).unwrap_or(0)..];
        while let Some((length, after)) = rest.split_first() {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            let Some((own, next)) = after.split_at_checked(length.div_ceil(WORD)) else { break };
            let mut record: Vec<u8> = own.iter().flat_map(|word| word.to_le_bytes()).collect();
            record.truncate(length);
            reel.records.push(record);
            rest = next;
        }
        reel.keep_newest(bytes);
        reel
    }

    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[self.place(at)]
    }

    fn place(&self, at: u64) -> usize {
        let mask = self.words.len() as u64 - 1;
        usize::try_from(at & mask).expect("a place lies within the tape")
    }
}

fn put(words: &[AtomicU64], parts: &[[u8; WORD]]) {
    for (word, part) in words.iter().zip(parts) {
        word.store(u64::from_le_bytes(*part), Relaxed);
    }
}

impl Reel {
    fn keep_newest(&mut self, bytes: usize) {
        let mut left = bytes;
        let newest = self.records.iter().rev().take_while(|record| {
            let fits = record.len() <= left;
            left = left.saturating_sub(record.len());
            fits
        });
        let cut = self.records.len() - newest.count();
        self.records.drain(..cut);
        self.lost += cut as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn the_newest_records_are_kept_whole_and_in_order() {
        let mut prng = Prng::new(1);
        for bytes in [0, 7, 8, 16, 64, 200, 1024] {
            let tape = Tape::new(bytes);
            let mut all = VecDeque::new();
            for number in 0..300u64 {
                let length = usize::try_from(prng.below(40)).expect("small");
                let record = vec![number.to_le_bytes()[0]; length];
                if tape.write(&record) {
                    all.push_back(record);
                }
                let reel = tape.read(usize::MAX);
                assert_eq!(reel.lost + reel.records.len() as u64, all.len() as u64);
                let tail: Vec<_> = all.iter().skip(all.len() - reel.records.len()).collect();
                assert_eq!(reel.records.iter().collect::<Vec<_>>(), tail);
                let words = |all: &[Vec<u8>]| {
                    all.iter().map(|it| 1 + it.len().div_ceil(WORD)).sum::<usize>()
                };
                assert!(words(&reel.records) <= tape.words.len());
            }
        }
    }

    #[test]
    fn who_asks_for_less_gets_the_end() {
        let tape = Tape::new(1024);
        (0..5u8).for_each(|number| assert!(tape.write(&[number; 10])));
        let reel = tape.read(25);
        assert_eq!(reel, Reel { records: vec![vec![3; 10], vec![4; 10]], lost: 3 });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a writer beside a reader is what is tested")]
    fn a_reader_beside_the_writer_sees_no_torn_record() {
        let tape = Arc::new(Tape::new(512));
        let over = Arc::new(AtomicBool::new(false));
        let writer = thread::spawn({
            let (tape, over) = (Arc::clone(&tape), Arc::clone(&over));
            move || {
                let mut number = 0u8;
                while !over.load(Relaxed) {
                    number = number.wrapping_add(1);
                    tape.write(&vec![number; 1 + usize::from(number % 90)]);
                }
            }
        });
        for _ in 0..2_000 {
            let reel = tape.read(usize::MAX);
            for record in &reel.records {
                let first = record.first().copied().unwrap_or_default();
                assert!(record.iter().all(|byte| *byte == first), "{record:?}");
                assert_eq!(record.len(), 1 + usize::from(first % 90));
            }
        }
        over.store(true, Relaxed);
        writer.join().expect("the writer ends");
    }
}
