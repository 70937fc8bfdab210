//! Any bytes as blocks of one connection: a naive decoder reads the same, what is read an encoder
//! can say again, and the tables of both ends never part.

#![no_main]

use engine::h2::hpack::{Decoder, Encoder};
use libfuzzer_sys::fuzz_target;
use sim::actors::h2::hpack::Decoder as Naive;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let (mut theirs, mut ours, mut again) =
        (Decoder::default(), Encoder::default(), Decoder::default());
    let mut naive = Some(Naive::default());
    for (at, block) in data.split(|b| *b == b'\n').enumerate() {
        let fields = read(&mut theirs, block);
        naive = naive.and_then(|naive| compare(naive, block, fields.as_ref()));
        let Some(fields) = fields else { return };
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

/// Says the same of the block, or that it is none. A naive decoder knows text alone: beyond that it
/// is of no use any more.
fn compare(mut naive: Naive, block: &[u8], fields: Option<&Fields>) -> Option<Naive> {
    let said = naive.decode(block).ok();
    let Some(fields) = fields else {
        assert_eq!(said, None);
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| Some((text(name).ok()?, text(value).ok()?));
    let expected: Vec<(String, String)> = fields.iter().map(pair).collect::<Option<_>>()?;
    assert_eq!(said, Some(expected));
    Some(naive)
}
