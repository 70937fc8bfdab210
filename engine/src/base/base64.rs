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
}
