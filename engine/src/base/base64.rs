//! Base64 as HTTP writes credentials (RFC 4648 §4), with or without its padding.

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
}
