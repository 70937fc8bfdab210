//! Words shared by all cores, for what nobody knows in advance: each thing has a place by its keyed
//! hash, and two things may have one place.

use crate::base::sip::{Sip, SipKey, below};
use std::fmt;
use std::sync::atomic::AtomicU64;

pub struct Words {
    key: SipKey,
    words: Box<[AtomicU64]>,
}

impl Words {
    pub fn new(key: SipKey, count: u32) -> Self {
        Self { key, words: (0..count.max(1)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A hash of a thing.
    pub(super) fn hash(&self) -> Sip {
        self.key.start()
    }

    pub(super) fn place(&self, hash: u64) -> usize {
        below(hash, self.words.len())
    }

    pub(super) fn word(&self, place: usize) -> &AtomicU64 {
        &self.words[place]
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.words.len())
    }
}
