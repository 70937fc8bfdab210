//! Any bytes as blocks of one connection: what a decoder reads, an encoder can say again, and the
//! tables of both ends never part.

#![no_main]

use engine::h2::hpack::{Decoder, Encoder};
use libfuzzer_sys::fuzz_target;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let (mut theirs, mut ours, mut again) =
        (Decoder::default(), Encoder::default(), Decoder::default());
    for (at, block) in data.split(|b| *b == b'\n').enumerate() {
        let Some(fields) = read(&mut theirs, block) else { return };
        let mut encoded = Vec::new();
        if block.len() % 5 == 4 {
            ours.allow(u32::try_from(at * 37 % 5_000).unwrap());
        }
        ours.begin(&mut encoded);
        for (name, value) in &fields {
            ours.field(name, value, &mut encoded);
        }
        assert_eq!(read(&mut again, &encoded), Some(fields));
    }
});

fn read(decoder: &mut Decoder, block: &[u8]) -> Option<Fields> {
    let mut fields = Fields::new();
    let each = |name: &[u8], value: &[u8]| fields.push((name.to_vec(), value.to_vec()));
    decoder.decode(block, each).ok()?;
    Some(fields)
}
