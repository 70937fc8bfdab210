//! The hashes that sticky cookies and rendezvous hashing are made of. None of them keeps a secret
//! but HMAC, which signs with one.

use std::fmt;

/// SHA-1 of FIPS 180-4.
pub fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded(message).chunks_exact(64) {
        let mut words = [0u32; 80];
        first_words(block, &mut words);
        for t in 16..80 {
            words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in words.iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e);
            let next = next.wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        add(&mut state, &[a, b, c, d, e]);
    }
    bytes_of(&state)
}

/// SHA-256 of FIPS 180-4.
pub fn sha256(message: &[u8]) -> [u8; 32] {
    sha256_of(&[message])
}

/// HMAC-SHA256 of RFC 2104, of what these parts are together.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::default();
    inner.feed(&block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.feed(part));
    sha256_of(&[&block.map(|byte| byte ^ 0x5c), &inner.finish()])
}

fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::default();
    parts.iter().for_each(|part| hash.feed(part));
    hash.finish()
}

/// A hash that is being fed.
struct Sha256 {
    state: [u32; 8],
    block: [u8; 64],
    bytes: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Self { state: INITIAL, block: [0; 64], bytes: 0 }
    }
}

impl Sha256 {
    fn feed(&mut self, part: &[u8]) {
        for byte in part {
            let at = usize::try_from(self.bytes % 64).expect("below 64");
            self.block[at] = *byte;
            self.bytes += 1;
            if at == 63 {
                self.mix();
            }
        }
    }

    fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes * 8;
        self.feed(&[0x80]);
        while self.bytes % 64 != 56 {
            self.feed(&[0]);
        }
        self.feed(&bits.to_be_bytes());
        bytes_of(&self.state)
    }

    fn mix(&mut self) {
        let mut words = [0u32; 64];
        first_words(&self.block, &mut words);
        let state = &mut self.state;
        for t in 16..64 {
            let (early, late) = (words[t - 15], words[t - 2]);
            let early = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
            let late = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
            words[t] =
                words[t - 16].wrapping_add(early).wrapping_add(words[t - 7]).wrapping_add(late);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        for (k, word) in ROUNDS.iter().zip(words) {
            let big = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let one = h.wrapping_add(big).wrapping_add(choice).wrapping_add(*k).wrapping_add(word);
            let big = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = big.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e) = (g, f, e, d.wrapping_add(one));
            (d, c, b, a) = (c, b, a, one.wrapping_add(two));
        }
        add(state, &[a, b, c, d, e, f, g, h]);
    }
}

/// FNV-1 of 64 bits.
pub fn fnv1(text: &[u8]) -> u64 {
    text.iter().fold(FNV_BASIS, |hash, byte| hash.wrapping_mul(FNV_PRIME) ^ u64::from(*byte))
}

/// FNV-1a of 64 bits, of what is written to it.
#[derive(Clone, Copy, Debug)]
pub struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(FNV_BASIS)
    }
}

impl Fnv1a {
    #[must_use]
    pub fn with(self, text: &[u8]) -> Self {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        Self(text.iter().fold(self.0, hash))
    }

    pub fn finish(self) -> u64 {
        self.0
    }
}

impl fmt::Write for Fnv1a {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self = self.with(text.as_bytes());
        Ok(())
    }
}

/// The first `len` digits of a digest.
pub fn hex(digest: &[u8], len: usize) -> String {
    hex_digits(digest).take(len).map(char::from).collect()
}

/// Hexadecimal digits in lower case, two of each byte.
pub fn hex_digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// A one, zeros, and the length in bits, up to whole blocks.
fn padded(message: &[u8]) -> Vec<u8> {
    let mut all = message.to_vec();
    all.push(0x80);
    while all.len() % 64 != 56 {
        all.push(0);
    }
    all.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    all
}

fn first_words(block: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
    }
}

fn add(state: &mut [u32], block: &[u32]) {
    for (word, more) in state.iter_mut().zip(block) {
        *word = word.wrapping_add(*more);
    }
}

fn bytes_of<const N: usize>(state: &[u32]) -> [u8; N] {
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().zip(state.iter().flat_map(|word| word.to_be_bytes())) {
        *place = byte;
    }
    bytes
}

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

const ROUNDS: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        for (key, parts, expected) in [
            (&[0x0b; 20][..], &[&b"Hi There"[..]][..], "b0344c61d8db38535ca8afceaf0bf12b"),
            (b"Jefe", &[b"what do ya ", b"want for nothing?"], "5bdcc146bf60754e6a042426089575c7"),
            (&[0xaa; 20], &[&[0xdd; 50]], "773ea91e36800e46854db8ebd09181a7"),
            (
                &[0xaa; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
                "60e431591ee0b67f0d8a26aacbf5b77f",
            ),
        ] {
            assert_eq!(hex(&hmac_sha256(key, parts), 32), expected);
        }
    }

    #[test]
    fn digests_are_those_that_others_compute() {
        let long = "a".repeat(119);
        for (text, one, two) in [
            (
                "",
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                "abc",
                "a9993e364706816aba3e25717850c26c9cd0d89d",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (
                &*long,
                "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56",
                "31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb",
            ),
            (
                "http://10.42.0.6:80",
                "dbde877bc653cefd7909c3e8797abf39d8798c7a",
                "08e1f9a2357f532a3401cedfd493b70d7564f0926f3ba5b8a5b9515cbfd31712",
            ),
        ] {
            assert_eq!(hex(&sha1(text.as_bytes()), 40), one, "{text}");
            assert_eq!(hex(&sha256(text.as_bytes()), 64), two, "{text}");
        }
    }

    #[test]
    fn both_orders_of_fnv_are_told_apart() {
        assert_eq!(fnv1(b"http://10.42.0.6:80"), 0x5b04_d5b1_6b33_3734);
        assert_eq!(Fnv1a::default().with(b"http://10.42.0.6:80").finish(), 0x048f_c83d_00cd_05f2);
        assert_eq!(fnv1(b""), Fnv1a::default().finish());
    }
}
