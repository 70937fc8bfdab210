//! SipHash-2-4: a hash that whoever does not know the key cannot aim. It spreads what strangers
//! send over tables, and stands for secrets that are better not kept.

/// The key. Two with one seed are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SipKey(u64, u64);

impl SipKey {
    pub fn new(prng: &mut super::prng::Prng) -> Self {
        Self(prng.next_u64(), prng.next_u64())
    }

    pub fn start(self) -> Sip {
        let Self(k0, k1) = self;
        Sip {
            state: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            word: 0,
            length: 0,
        }
    }
}

/// A hash that is being fed.
#[derive(Clone, Debug)]
pub struct Sip {
    state: [u64; 4],
    /// Bytes that do not make a whole word yet.
    word: u64,
    length: u64,
}

impl Sip {
    #[inline]
    pub fn write(mut self, bytes: &[u8]) -> Self {
        if !self.length.is_multiple_of(8) {
            return self.write_each(bytes);
        }
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.word = u64::from_le_bytes(*word);
            self.compress();
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word = u64::from_le_bytes(last);
        self.length = self.length.wrapping_add(bytes.len() as u64);
        self
    }

    /// Bytes that begin within a word.
    fn write_each(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            let place = self.length % 8 * 8;
            self.word |= u64::from(*byte) << place;
            self.length = self.length.wrapping_add(1);
            if place == 56 {
                self.compress();
            }
        }
        self
    }

    /// A part of its own: two that differ only in where one ends are different.
    #[inline]
    pub fn part(self, bytes: &[u8]) -> Self {
        let length = bytes.len() as u64;
        self.write(&length.to_le_bytes()).write(bytes)
    }

    pub fn finish(mut self) -> u64 {
        self.word |= self.length << 56;
        self.compress();
        self.state[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        let [a, b, c, d] = self.state;
        a ^ b ^ c ^ d
    }

    #[inline]
    fn compress(&mut self) {
        self.state[3] ^= self.word;
        self.round();
        self.round();
        self.state[0] ^= self.word;
        self.word = 0;
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

/// A number below `bound` that a hash stands for.
pub fn below(hash: u64, bound: usize) -> usize {
    let product = u128::from(hash) * bound as u128;
    usize::try_from(product >> 64).expect("below a bound that is a usize")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// The key and the messages of the paper's appendix: the bytes 0, 1, 2, and so on.
    #[test]
    fn the_paper_s_vectors() {
        let key = SipKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let message: Vec<u8> = (0..64).collect();
        let hash = |length: usize| key.start().write(&message[..length]).finish();
        assert_eq!(hash(15), 0xa129_ca61_49be_45e5);
        assert_eq!(hash(0), 0x726f_db47_dd0e_0e31);
        assert_eq!(hash(8), 0x93f5_f579_9a93_2462);
        assert_eq!(key.start().write(&message[..7]).write(&message[7..15]).finish(), hash(15));
    }

    #[test]
    fn parts_are_told_apart() {
        let key = SipKey::new(&mut Prng::new(1));
        let hash = |a: &str, b: &str| key.start().part(a.as_bytes()).part(b.as_bytes()).finish();
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
        assert_ne!(hash("", "a"), hash("a", ""));
    }

    #[test]
    fn a_hash_falls_below_its_bound() {
        assert_eq!((below(0, 10), below(u64::MAX, 10), below(u64::MAX / 2, 10)), (0, 9, 4));
        assert_eq!(below(u64::MAX, 1), 0);
    }
}
