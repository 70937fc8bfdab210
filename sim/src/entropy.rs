//! Finite chance. A run is a seed, a number of bytes and a mask of fault kinds; the bytes are split
//! into streams that do not disturb one another. A spent stream answers zero, and zero is always
//! the quiet choice, so fewer bytes make a calmer run: that is what shrinking relies on.

use engine::base::prng::Prng;
use std::fmt;

/// All that is needed to repeat a run of this build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId {
    pub seed: u64,
    pub size: u32,
    /// One bit per fault kind that may be on.
    pub mask: u64,
    /// Who takes part.
    pub crew: Crew,
}

/// One bit per actor that may be left out: clients, then children, then the attacker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crew(pub u32);

impl Crew {
    pub const ALL: Self = Self(u32::MAX);
    /// Positions of bits that mean somebody.
    pub const BITS: u32 = 21;
    const FIRST_CHILD: usize = 16;
    const ATTACKER: usize = 20;

    pub fn client(self, number: usize) -> bool {
        number >= Self::FIRST_CHILD || self.has(number)
    }

    pub fn child(self, number: usize) -> bool {
        self.has(Self::FIRST_CHILD + number)
    }

    pub fn attacker(self) -> bool {
        self.has(Self::ATTACKER)
    }

    fn has(self, bit: usize) -> bool {
        self.0 >> bit & 1 == 1
    }
}

impl RunId {
    pub const SIZE: u32 = 2_048;

    pub const fn new(seed: u64) -> Self {
        Self { seed, size: Self::SIZE, mask: u64::MAX, crew: Crew::ALL }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {:#x} --size {} --mask {:#x}", self.seed, self.size, self.mask)?;
        if self.crew == Crew::ALL { Ok(()) } else { write!(f, " --crew {:#x}", self.crew.0) }
    }
}

/// Everything a run may draw from.
#[derive(Debug)]
pub struct Entropy {
    /// Who exists, with which limits and faults.
    pub topology: Stream,
    /// What clients ask for and operators change.
    pub workload: Stream,
    /// How bytes and completions travel.
    pub network: Stream,
    /// What goes wrong.
    pub faults: Stream,
    /// In which order and how late machines learn of one another.
    pub publication: Stream,
    /// Over what everybody is met, and what goes wrong with that.
    pub wires: Stream,
    /// What documents say beyond the core of the dialect.
    pub dialect: Stream,
}

impl Entropy {
    pub fn new(run: RunId) -> Self {
        let mut root = Prng::new(run.seed);
        let mut stream = |salt, bytes| Stream { prng: root.split(salt), left: bytes };
        let size = run.size;
        Self {
            topology: stream(1, (size / 4).min(512)),
            workload: stream(2, size / 4),
            network: stream(3, size),
            faults: stream(4, size / 2),
            publication: stream(5, size / 8),
            wires: stream(6, size / 8),
            dialect: stream(7, size / 8),
        }
    }
}

/// A source of chance that ends.
#[derive(Clone, Debug)]
pub struct Stream {
    prng: Prng,
    left: u32,
}

impl Stream {
    pub fn spent(&self) -> bool {
        self.left == 0
    }

    /// A number below `bound`; zero once spent.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        if self.left == 0 || bound < 2 {
            return 0;
        }
        let bytes = if bound <= 256 { 1 } else { (64 - (bound - 1).leading_zeros()).div_ceil(8) };
        self.left = self.left.saturating_sub(bytes);
        self.prng.below(bound)
    }

    /// True once in `n` on average; never when `n` is zero or the stream is spent.
    #[inline]
    pub fn one_in(&mut self, n: u64) -> bool {
        n != 0 && self.left != 0 && self.below(n) == 0
    }

    /// A number from `low` to `high`, both included; `low` once spent.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One of `choices`; the first once spent.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.below(choices.len() as u64);
        &choices[usize::try_from(at).expect("below a length")]
    }

    /// A size that is often tiny and sometimes near `max`, so that edges are met; zero once spent.
    pub fn size(&mut self, max: u64) -> u64 {
        let bits = 64 - max.leading_zeros();
        let magnitude = self.below(u64::from(bits) + 1);
        self.below(1 << magnitude.min(63)).min(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_stream_is_quiet_for_ever() {
        let mut entropy = Entropy::new(RunId { size: 64, mask: 0, ..RunId::new(9) });
        while !entropy.faults.spent() {
            entropy.faults.below(1_000);
        }
        assert!((0..100).all(|_| entropy.faults.below(7) == 0 && !entropy.faults.one_in(1)));
        assert_eq!(*entropy.faults.pick(&["first", "second"]), "first");
    }

    #[test]
    fn silencing_one_stream_does_not_shift_another() {
        let draw = |waste: bool| {
            let mut entropy = Entropy::new(RunId::new(5));
            while waste && !entropy.faults.spent() {
                entropy.faults.below(9);
            }
            (0..50).map(|_| entropy.network.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(false), draw(true));
    }
}
