//! The examples of the RFC, and a decoder written down as plainly as the RFC reads.

use super::*;
use crate::base::prng::Prng;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(text, 16).expect("two digits")
    };
    digits.chunks(2).map(pair).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Broken> {
    let mut fields = Vec::new();
    decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
    Ok(fields)
}

#[track_caller]
fn check(decoder: &mut Decoder, block: &str, expected: &str) {
    let fields = decoded(decoder, &hex(block)).expect("a fine block");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<_> = fields.iter().map(|(n, v)| format!("{}: {}", text(n), text(v))).collect();
    assert_eq!(lines.join("\n"), expected);
}

const FIRST: &str = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com";
const SECOND: &str = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n\
    cache-control: no-cache";
const THIRD: &str = ":method: GET\n:scheme: https\n:path: /index.html\n\
    :authority: www.example.com\ncustom-key: custom-value";

#[test]
fn requests_of_appendix_c() {
    let mut plain = Decoder::default();
    check(&mut plain, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST);
    check(&mut plain, "8286 84be 5808 6e6f 2d63 6163 6865", SECOND);
    let third = "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65";
    check(&mut plain, third, THIRD);
    let mut coded = Decoder::default();
    check(&mut coded, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST);
    check(&mut coded, "8286 84be 5886 a8eb 1064 9cbf", SECOND);
    let third = "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf";
    check(&mut coded, third, THIRD);
}

#[test]
fn responses_of_appendix_c_in_a_small_table() {
    let mut decoder = Decoder::default();
    check(
        &mut decoder,
        "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
         location: https://www.example.com",
    );
    check(
        &mut decoder,
        "4883 640e ffc1 c0bf",
        ":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
         location: https://www.example.com",
    );
    check(
        &mut decoder,
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad \
         94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 \
         03ed 4ee5 b106 3d50 07",
        ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n\
         location: https://www.example.com\ncontent-encoding: gzip\n\
         set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    );
}

#[test]
fn blocks_that_no_encoder_makes() {
    for (block, why) in [
        ("80", "index zero"),
        ("be", "an index beyond the table"),
        ("7e 01 61", "a name beyond the table"),
        ("ff", "an integer without an end"),
        ("ff ff ff ff ff ff 7f", "an integer that is too large"),
        ("40", "a literal without a name"),
        ("40 05 61", "a string that is too short"),
        ("40 81 fe 00", "a string that is badly coded"),
        ("82 20", "a change of size behind a field"),
        ("3f e2 1f", "a size beyond what we allow"),
    ] {
        assert_eq!(decoded(&mut Decoder::default(), &hex(block)), Err(Broken), "{why}");
    }
    assert_eq!(decoded(&mut Decoder::default(), &hex("20 3f e1 1f 82")).map(|it| it.len()), Ok(1));
}

#[test]
fn a_smaller_table_is_told_of_before_the_next_field() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut block = Vec::new();
    encoder.begin(&mut block);
    assert!(block.is_empty(), "nothing has changed");
    encoder.field(b"x-a", b"1", &mut block);
    encoder.allow(0);
    encoder.allow(100);
    encoder.allow(1 << 20);
    let before = block.len();
    encoder.begin(&mut block);
    assert_eq!(block[before..], hex("20 3f e1 1f"));
    encoder.field(b"x-a", b"1", &mut block);
    assert_eq!(decoded(&mut decoder, &block[..before]).map(|it| it.len()), Ok(1));
    assert_eq!(decoded(&mut decoder, &block[before..]).map(|it| it.len()), Ok(1));
}

#[test]
fn secrets_enter_no_table() {
    let (mut encoder, mut block) = (Encoder::default(), Vec::new());
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization"] {
        for _ in 0..2 {
            block.clear();
            encoder.field(name.as_bytes(), b"secret", &mut block);
            assert_eq!(block[0] & 0xf0, 0x10, "{name} is never indexed");
        }
    }
}

/// The tables as one list, integers without a bound worth mentioning, bits one by one.
#[derive(Default)]
struct Naive {
    list: Fields,
    size_max: Option<usize>,
}

impl Naive {
    fn decode(&mut self, mut block: &[u8]) -> Option<Fields> {
        let mut fields = Vec::new();
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = Self::integer(&mut block, 7)?;
                fields.push(self.get(index)?);
            } else if first & 0xe0 == 0x20 {
                let size = Self::integer(&mut block, 5)?;
                if size > 4096 || !fields.is_empty() {
                    return None;
                }
                self.size_max = Some(size);
                self.trim();
            } else {
                let indexed = first & 0x40 != 0;
                let index = Self::integer(&mut block, if indexed { 6 } else { 4 })?;
                let name = if index == 0 { Self::string(&mut block)? } else { self.get(index)?.0 };
                let value = Self::string(&mut block)?;
                fields.push((name.clone(), value.clone()));
                if indexed {
                    self.list.insert(0, (name, value));
                    self.trim();
                }
            }
        }
        Some(fields)
    }

    fn trim(&mut self) {
        let most = self.size_max.unwrap_or(4096);
        let size = |list: &Fields| list.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>();
        while size(&self.list) > most {
            self.list.pop();
        }
    }

    fn get(&self, index: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let fixed = Table::new(0);
        match index {
            0 => None,
            1..=61 => fixed.get(index).map(|(name, value)| (name.to_vec(), value.to_vec())),
            _ => self.list.get(index - 62).cloned(),
        }
    }

    fn integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
        let mask = (1usize << prefix) - 1;
        let mut value = usize::from(block[0]) & mask;
        *block = &block[1..];
        if value < mask {
            return Some(value);
        }
        for place in 0..4 {
            let next = usize::from(*block.first()?);
            *block = &block[1..];
            value += (next & 0x7f) << (7 * place);
            if next & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn string(block: &mut &[u8]) -> Option<Vec<u8>> {
        let coded = block.first()? & 0x80 != 0;
        let len = Self::integer(block, 7)?;
        let text = block.get(..len)?;
        *block = &block[len..];
        if !coded {
            return Some(text.to_vec());
        }
        let mut plain = Vec::new();
        huffman::decode(text, &mut plain).ok()?;
        Some(plain)
    }
}

fn below(chance: &mut Prng, most: usize) -> usize {
    usize::try_from(chance.below(most as u64)).expect("a small number")
}

fn byte(chance: &mut Prng, most: u64) -> u8 {
    u8::try_from(chance.below(most)).expect("a byte")
}

fn field(chance: &mut Prng) -> (Vec<u8>, Vec<u8>) {
    const NAMES: [&str; 8] =
        [":path", "cookie", "accept", "x-a", "x-bb", "date", "etag", "content-length"];
    let name = NAMES[below(chance, 8)].as_bytes().to_vec();
    let len = if chance.one_in(20) { 600 } else { chance.below(12) };
    let value = (0..len).map(|_| b' ' + byte(chance, 90)).collect();
    (name, value)
}

#[test]
fn what_is_encoded_is_what_two_decoders_read() {
    let mut chance = Prng::new(7540);
    for _ in 0..30 {
        let (mut encoder, mut ours, mut naive) =
            (Encoder::default(), Decoder::default(), Naive::default());
        for _ in 0..60 {
            let mut block = Vec::new();
            if chance.one_in(8) {
                encoder.allow(u32::try_from(chance.below(5_000)).expect("small"));
            }
            let fields: Fields = (0..chance.below(9)).map(|_| field(&mut chance)).collect();
            encoder.begin(&mut block);
            for (name, value) in &fields {
                encoder.field(name, value, &mut block);
            }
            assert_eq!(naive.decode(&block).as_ref(), Some(&fields));
            assert_eq!(decoded(&mut ours, &block), Ok(fields));
        }
    }
}

#[test]
fn any_bytes_are_read_as_the_naive_decoder_reads_them() {
    let mut chance = Prng::new(9113);
    let (mut fine, mut broken) = (0, 0);
    for _ in 0..20_000 {
        let (mut encoder, mut block) = (Encoder::default(), Vec::new());
        for _ in 0..chance.below(4) {
            let (name, value) = field(&mut chance);
            encoder.field(&name, &value, &mut block);
        }
        for _ in 0..chance.below(4) {
            let at = below(&mut chance, block.len() + 1);
            block.insert(at, byte(&mut chance, 256));
        }
        let (mut ours, mut naive) = (Decoder::default(), Naive::default());
        for _ in 0..2 {
            let expected = naive.decode(&block);
            let got = decoded(&mut ours, &block).ok();
            assert_eq!(got, expected, "{block:02x?}");
            fine += u32::from(got.is_some());
            broken += u32::from(got.is_none());
            if got.is_none() {
                break;
            }
        }
    }
    assert!(fine > 1_000 && broken > 1_000, "{fine} fine, {broken} broken");
}
