//! Base64 as HTTP writes it (RFC 4648 §4); credentials may come without its padding.

/// Decodes into `out`, which is emptied first. False if the text is not Base64.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return false;
    }
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits {
        let Some(value) = value(*digit) else { return false };
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.extend(u8::try_from(bits >> count & 0xff));
        }
    }
    true
}

/// Decodes what [`encode`] writes, and nothing else, into as much of `room` as it takes.
pub fn decode_to<'r>(text: &[u8], room: &'r mut [u8]) -> Option<&'r [u8]> {
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let bytes = (text.len() / 4 * 3).checked_sub(padding)?;
    if !text.len().is_multiple_of(4) || padding > 2 || bytes > room.len() {
        return None;
    }
    let groups = text.chunks_exact(4).zip(room[..bytes].chunks_mut(3));
    for (digits, out) in groups {
        let digit = |at: usize| if at <= out.len() { value(digits[at]) } else { Some(0) };
        let bits = digit(0)? << 18 | digit(1)? << 12 | digit(2)? << 6 | digit(3)?;
        let whole = [bits >> 16, bits >> 8, bits].map(|byte| u8::try_from(byte & 0xff));
        let (taken, rest) = whole.split_at(out.len());
        if rest.iter().any(|byte| *byte != Ok(0)) {
            return None;
        }
        for (out, byte) in out.iter_mut().zip(taken) {
            *out = byte.ok()?;
        }
    }
    Some(&room[..bytes])
}

/// Appends `bytes` as text, with its padding.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 0x3f) as usize];
            out.push(if at <= group.len() { digit } else { b'=' });
        }
    }
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let mut out = b"before".to_vec();
        let decoded = decode(text.as_bytes(), &mut out).then(|| String::from_utf8_lossy(&out));
        assert_eq!(decoded.as_deref(), expected, "{text}");
    }

    #[test]
    fn the_vectors_of_the_rfc() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin:open sesame"),
        ] {
            check(text, Some(plain));
            check(text.trim_end_matches('='), Some(plain));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["Z", "Zg=", "Zg===", "Zm9v=", "Zm 9v", "Zm9-", "=", "Zg==Zg=="] {
            check(text, None);
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
        let all: Vec<u8> = (0..=255).collect();
        let (mut text, mut back) = (Vec::new(), Vec::new());
        encode(&all, &mut text);
        assert!(decode(&text, &mut back));
        assert_eq!(back, all);
    }

    #[test]
    fn the_strict_reading_takes_what_was_written_and_nothing_else() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(37) ^ 0xa5).collect();
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            assert_eq!(decode_to(&text, &mut [0; 20]), Some(&bytes[..]));
            assert_eq!(decode_to(&text, &mut [0; 20][..usize::from(length.max(1)) - 1]), {
                if length == 0 { Some(&[][..]) } else { None }
            });
        }
        for wrong in ["A", "AA", "AAA", "A===", "====", "AB==", "AAB=", "AA=A", "A A=", "AA-_"] {
            assert_eq!(decode_to(wrong.as_bytes(), &mut [0; 20]), None, "{wrong}");
        }
    }
}
