//! Text for lines that are written once per request: appended to a buffer that is kept, without
//! allocating and without the formatting machinery.

use super::line::civil;

/// Appends a number in decimal.
pub fn number(value: u64, out: &mut Vec<u8>) {
    padded(value, 1, out);
}

/// Appends a number in decimal with zeros in front up to `width` digits.
pub fn padded(value: u64, width: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(decimal(value, width, &mut [0; 20]));
}

/// A number in decimal with zeros in front up to `width` digits, 20 at most.
pub fn decimal(value: u64, width: usize, room: &mut [u8; 20]) -> &[u8] {
    let (mut at, mut rest) = (room.len(), value);
    while rest > 0 || room.len() - at < width.min(20) {
        at -= 1;
        room[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    &room[at..]
}

/// Appends `2026-11-21T06:30:00.000000001Z` for nanoseconds since 1970.
pub fn rfc3339(nanos: u64, out: &mut Vec<u8>) {
    date_and_time(nanos, out);
    out.push(b'.');
    padded(nanos % SECOND, 9, out);
    out.push(b'Z');
}

/// Appends `2026-11-21T06:30:00Z` for nanoseconds since 1970.
pub fn rfc3339_seconds(nanos: u64, out: &mut Vec<u8>) {
    date_and_time(nanos, out);
    out.push(b'Z');
}

fn date_and_time(nanos: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(nanos / DAY);
    for (value, width, before) in [(year, 4, None), (month, 2, Some(b'-')), (day, 2, Some(b'-'))] {
        out.extend(before);
        padded(value, width, out);
    }
    out.push(b'T');
    time_of_day(nanos, out);
}

/// Appends `21/Nov/2026:06:30:00 +0000` for nanoseconds since 1970.
pub fn clf_date(nanos: u64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(nanos / DAY);
    padded(day, 2, out);
    out.push(b'/');
    out.extend_from_slice(month_name(month).as_bytes());
    out.push(b'/');
    padded(year, 4, out);
    out.push(b':');
    time_of_day(nanos, out);
    out.extend_from_slice(b" +0000");
}

/// Appends `Sat, 21 Nov 2026 06:30:00 GMT` for nanoseconds since 1970: the date of RFC 9110 §5.6.7.
pub fn http_date(nanos: u64, out: &mut Vec<u8>) {
    // The first day of 1970 was a Thursday.
    const NAMES: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    let days = nanos / DAY;
    let (year, month, day) = civil(days);
    out.extend_from_slice(NAMES[usize::try_from(days % 7).unwrap_or(0)]);
    out.extend_from_slice(b", ");
    padded(day, 2, out);
    out.push(b' ');
    out.extend_from_slice(month_name(month).as_bytes());
    out.push(b' ');
    padded(year, 4, out);
    out.push(b' ');
    time_of_day(nanos, out);
    out.extend_from_slice(b" GMT");
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

fn time_of_day(nanos: u64, out: &mut Vec<u8>) {
    let secs = nanos / SECOND;
    padded(secs / 3_600 % 24, 2, out);
    out.push(b':');
    padded(secs / 60 % 60, 2, out);
    out.push(b':');
    padded(secs % 60, 2, out);
}

fn month_name(month: u64) -> &'static str {
    const NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = usize::try_from(month).map_or(0, |month| month.saturating_sub(1));
    NAMES[at.min(11)]
}

/// Appends a JSON string with its quotes. What is not UTF-8 becomes U+FFFD.
pub fn json_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json_inside(bytes, out);
    out.push(b'"');
}

/// As [`json_string`], without the quotes.
pub fn json_inside(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.utf8_chunks() {
        for byte in piece.valid().bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1F | 0x7F => {
                    out.extend_from_slice(b"\\u00");
                    hex(byte, out);
                }
                byte => out.push(byte),
            }
        }
        if !piece.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// Appends a value inside the quotes of a common-log line: quotes and backslashes escaped, all
/// that does not print as `\xhh`, so that no request can forge a line.
pub fn clf_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            byte => {
                out.extend_from_slice(b"\\x");
                hex(byte, out);
            }
        }
    }
}

/// As [`clf_quoted`], for values that stand between spaces; `-` when empty.
pub fn clf_word(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    for &byte in bytes {
        if byte == b' ' {
            out.extend_from_slice(b"\\x20");
        } else {
            clf_quoted(&[byte], out);
        }
    }
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(write: impl Fn(&mut Vec<u8>), expected: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn numbers_are_decimal() {
        check(|out| number(0, out), "0");
        check(|out| number(1_203, out), "1203");
        check(|out| number(u64::MAX, out), "18446744073709551615");
        check(|out| padded(7, 3, out), "007");
        check(|out| padded(1_234, 3, out), "1234");
    }

    #[test]
    fn instants_are_utc() {
        let leap = 1_709_251_199_000_000_042;
        check(|out| rfc3339(leap, out), "2024-02-29T23:59:59.000000042Z");
        check(|out| rfc3339_seconds(leap, out), "2024-02-29T23:59:59Z");
        check(|out| clf_date(leap, out), "29/Feb/2024:23:59:59 +0000");
        check(|out| clf_date(0, out), "01/Jan/1970:00:00:00 +0000");
        check(|out| rfc3339(u64::MAX, out), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn nothing_a_client_sends_ends_a_string_or_a_line() {
        check(
            |out| json_string(b"a\"b\\c\nd\r\te\x00\x7f", out),
            r#""a\"b\\c\nd\r\te\u0000\u007f""#,
        );
        check(|out| json_string(b"\xffgr\xc3\xbc\xc3", out), "\"\u{FFFD}gr\u{fc}\u{FFFD}\"");
        check(|out| clf_quoted(b"a\"b\\c\n\xc3 d", out), r#"a\"b\\c\x0a\xc3 d"#);
        check(|out| clf_word(b"1.2.3.4 - evil", out), r"1.2.3.4\x20-\x20evil");
        check(|out| clf_word(b"", out), "-");
    }

    #[test]
    fn every_byte_alone_stays_valid_json() {
        for byte in 0..=u8::MAX {
            let mut out = Vec::new();
            json_string(&[byte], &mut out);
            let text = serde_json::from_slice::<String>(&out);
            assert!(text.is_ok(), "{byte:#x}: {}", String::from_utf8_lossy(&out));
        }
    }
}
