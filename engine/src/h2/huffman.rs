//! The Huffman code of RFC 7541 Appendix B. It is canonical: from the length of each symbol's code
//! follows the code itself, so the lengths are all that is written down here.

/// The symbol that ends a string, which no string may contain.
const EOS: usize = 256;
const SYMBOLS: usize = 257;
const LENGTH_MAX: usize = 30;

#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23,
    23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
    27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

struct Codes {
    of: [u32; SYMBOLS],
    /// Symbols by length of code, then by value.
    order: [u16; SYMBOLS],
    /// By length: the first code, how many there are, and where their symbols begin in `order`.
    first: [u32; LENGTH_MAX + 1],
    count: [u32; LENGTH_MAX + 1],
    begin: [usize; LENGTH_MAX + 1],
}

const CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes = Codes {
        of: [0; SYMBOLS],
        order: [0; SYMBOLS],
        first: [0; LENGTH_MAX + 1],
        count: [0; LENGTH_MAX + 1],
        begin: [0; LENGTH_MAX + 1],
    };
    let (mut code, mut at, mut length) = (0, 0, 1);
    while length <= LENGTH_MAX {
        code <<= 1;
        codes.first[length] = code;
        codes.begin[length] = at;
        let mut symbol: u16 = 0;
        while (symbol as usize) < SYMBOLS {
            if LENGTHS[symbol as usize] as usize == length {
                codes.of[symbol as usize] = code;
                codes.order[at] = symbol;
                code += 1;
                at += 1;
            }
            symbol += 1;
        }
        codes.count[length] = code - codes.first[length];
        length += 1;
    }
    codes
}

/// The symbols of codes up to eight bits, with their lengths; zero where the code is longer.
const SHORT: [(u8, u8); 256] = short();

const fn short() -> [(u8, u8); 256] {
    let mut table = [(0, 0); 256];
    let mut byte: u8 = 0;
    while (byte as usize) < 256 {
        let length = LENGTHS[byte as usize];
        if length <= 8 {
            let first = CODES.of[byte as usize] << (8 - length);
            let mut at = first;
            while at < first + (1 << (8 - length)) {
                table[at as usize] = (byte, length);
                at += 1;
            }
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
}

/// The string is not one that the code can make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undecodable;

/// Appends what `coded` stands for.
pub fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let mut input = coded.iter();
    let (mut bits, mut held): (u64, u32) = (0, 0);
    loop {
        while held <= 56 {
            let Some(byte) = input.next() else { break };
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
        }
        let (byte, length) = SHORT[(bits >> 56) as usize];
        if length > 0 && u32::from(length) <= held {
            out.push(byte);
            bits <<= length;
            held -= u32::from(length);
            continue;
        }
        if held < 8 && padded(bits, held) {
            return Ok(());
        }
        let (byte, length) = long(bits, held)?;
        out.push(byte);
        bits <<= length;
        held -= length;
    }
}

/// Less than a byte of the most significant bits of the last symbol (RFC 7541 §5.2).
fn padded(bits: u64, held: u32) -> bool {
    held == 0 || bits >> (64 - held) == (1 << held) - 1
}

fn long(bits: u64, held: u32) -> Result<(u8, u32), Undecodable> {
    for length in 9..=LENGTH_MAX {
        let code = bits >> (64 - length);
        let past = code.checked_sub(u64::from(CODES.first[length]));
        if let Some(past) = past.filter(|past| *past < u64::from(CODES.count[length])) {
            let at = CODES.begin[length] + usize::try_from(past).map_err(|_| Undecodable)?;
            let length = u32::try_from(length).map_err(|_| Undecodable)?;
            let byte = u8::try_from(CODES.order[at]).map_err(|_| Undecodable)?;
            return if length <= held { Ok((byte, length)) } else { Err(Undecodable) };
        }
    }
    Err(Undecodable)
}

/// Bytes that `plain` takes when coded.
pub fn coded_len(plain: &[u8]) -> usize {
    let bits: usize = plain.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the code of `plain`.
pub fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held): (u64, u32) = (0, 0);
    for byte in plain {
        let length = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << length | u64::from(CODES.of[usize::from(*byte)]);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held).to_le_bytes()[0]);
        }
    }
    if held > 0 {
        let padding = u64::from(CODES.of[EOS]) >> (30 - (8 - held));
        out.push((bits << (8 - held) | padding).to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(text, 16).expect("two digits")
        };
        digits.chunks(2).map(pair).collect()
    }

    #[track_caller]
    fn check(plain: &str, coded: &str) {
        let coded = hex(coded);
        let mut out = Vec::new();
        encode(plain.as_bytes(), &mut out);
        assert_eq!(out, coded, "{plain}");
        assert_eq!(coded_len(plain.as_bytes()), coded.len(), "{plain}");
        out.clear();
        assert_eq!(decode(&coded, &mut out), Ok(()), "{plain}");
        assert_eq!(out, plain.as_bytes());
    }

    #[test]
    fn the_examples_of_the_rfc() {
        check("www.example.com", "f1e3 c2e5 f23a 6ba0 ab90 f4ff");
        check("no-cache", "a8eb 1064 9cbf");
        check("custom-key", "25a8 49e9 5ba9 7d7f");
        check("custom-value", "25a8 49e9 5bb8 e8b4 bf");
        check(
            "Mon, 21 Oct 2013 20:13:21 GMT",
            "d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff",
        );
        check("https://www.example.com", "9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3");
        check("", "");
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for start in 0..all.len() {
            let (mut coded, mut plain) = (Vec::new(), Vec::new());
            encode(&all[start..], &mut coded);
            assert_eq!(decode(&coded, &mut plain), Ok(()), "from {start}");
            assert_eq!(plain, &all[start..]);
        }
    }

    #[test]
    fn padding_is_short_and_all_ones() {
        let decodes = |coded: &[u8]| decode(coded, &mut Vec::new()).is_ok();
        assert!(decodes(&[0x1f]), "`a` and three ones");
        assert!(!decodes(&[0x1e]), "a zero among the padding");
        assert!(!decodes(&[0x1f, 0xff]), "a whole byte of padding");
        assert!(!decodes(&[0xff]), "a whole byte of padding and nothing else");
        assert!(!decodes(&[0xff, 0xff, 0xff, 0xfc]), "the end of the string, spelled out");
    }

    /// One bit after another, by looking through all codes.
    fn naive(coded: &[u8]) -> Option<Vec<u8>> {
        let (mut out, mut code, mut length) = (Vec::new(), 0u32, 0u8);
        for bit in coded.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
            code = code << 1 | u32::from(bit);
            length += 1;
            let found = (0..SYMBOLS).find(|s| LENGTHS[*s] == length && CODES.of[*s] == code);
            if let Some(symbol) = found {
                out.push(u8::try_from(symbol).ok()?);
                (code, length) = (0, 0);
            }
            if length > 30 {
                return None;
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(out)
    }

    #[test]
    fn any_bytes_decode_as_a_naive_decoder_says() {
        let mut chance = crate::base::prng::Prng::new(7541);
        for _ in 0..20_000 {
            let len = chance.below(12);
            let coded: Vec<u8> = (0..len)
                .map(|_| match chance.below(3) {
                    0 => 0xff,
                    _ => u8::try_from(chance.below(256)).expect("a byte"),
                })
                .collect();
            let mut out = Vec::new();
            let got = decode(&coded, &mut out).ok().map(|()| out);
            assert_eq!(got, naive(&coded), "{coded:02x?}");
        }
    }
}
