//! Lengths of time as the dialect writes them: `1m30s`, `250ms`, or a bare number of seconds.

use crate::base::time::Span;
use std::fmt::Write as _;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Go's limit: what fits 63 bits of nanoseconds, 292 years.
const NANOS_MAX: u64 = i64::MAX as u64;

/// Why a text is not a length of time, for people.
pub fn span(text: &str) -> Result<Span, &'static str> {
    if let Some(rest) = text.strip_prefix('-') {
        let zero = span(rest)?.is_zero();
        return if zero { Ok(Span::ZERO) } else { Err("it is below 0") };
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.is_empty() {
        return Err(SYNTAX);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return scaled(text, "", 1_000_000_000).map(Span::from_nanos);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (part, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && part.is_empty() {
            return Err(SYNTAX);
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, nanos) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(SYNTAX)?;
        total = total.saturating_add(scaled(whole, part, nanos)?);
        rest = after;
    }
    if total > NANOS_MAX { Err(TOO_LONG) } else { Ok(Span::from_nanos(total)) }
}

const SYNTAX: &str = "write 10s, 1m30s, 250ms or a number of seconds";
const TOO_LONG: &str = "it is longer than 292 years";

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `whole.part` units of `nanos` each; what is smaller than a nanosecond is cut off.
fn scaled(whole: &str, part: &str, nanos: u64) -> Result<u64, &'static str> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| TOO_LONG)? };
    let mut total = whole.checked_mul(nanos).filter(|n| *n <= NANOS_MAX).ok_or(TOO_LONG)?;
    let mut unit = nanos;
    for digit in part.bytes() {
        // Nanoseconds of all units divide by their decimal places, and minutes end in zeros.
        total += u64::from(digit - b'0') * (unit / 10) + u64::from(digit - b'0') * (unit % 10) / 10;
        unit /= 10;
    }
    Ok(total)
}

/// Appends a length of time as Go writes it: `1m30s`, `1.5s`, `350.123ms`.
pub fn show(span: Span, out: &mut String) {
    let nanos = span.nanos();
    let (unit, name) = match nanos {
        0 => return out.push_str("0s"),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let mut whole = nanos / unit;
    if name == "s" && whole >= 60 {
        if whole >= 3_600 {
            write!(out, "{}h", whole / 3_600).expect("a text takes every letter");
        }
        write!(out, "{}m", whole / 60 % 60).expect("a text takes every letter");
        whole %= 60;
    }
    write!(out, "{whole}").expect("a text takes every letter");
    let (mut rest, mut digit) = (nanos % unit, unit / 10);
    if rest > 0 {
        out.push('.');
    }
    while rest > 0 {
        let shown = u8::try_from(rest / digit).expect("a digit");
        out.push(char::from(b'0' + shown));
        rest %= digit;
        digit /= 10;
    }
    out.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_shown_as_go_shows_them() {
        for text in ["0s", "7ns", "1.5µs", "350.123ms", "1s", "1.000000001s", "1m30s", "2h0m0.5s"]
        {
            let mut shown = String::new();
            show(span(text).expect("a length of time"), &mut shown);
            assert_eq!(shown, text);
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = span(text).map_or_else(str::to_owned, |span| span.to_string());
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn go_forms_and_bare_seconds() {
        check("5", "5s");
        check("0", "0s");
        check("5s", "5s");
        check("1m30s", "90s");
        check("1h2m3.5s", "3723500ms");
        check("250ms", "250ms");
        check("1.5h", "5400s");
        check("0.1m", "6s");
        check(".5s", "500ms");
        check("1.s", "1s");
        check("10µs", "10µs");
        check("10μs", "10µs");
        check("10us", "10µs");
        check("7ns", "7ns");
        check("1.9ns", "1ns");
        check("+3s", "3s");
        check("-0s", "0s");
    }

    #[test]
    fn other_texts_are_refused_with_a_reason() {
        for text in ["", "s", "5x", "1m 30s", "5 s", "1..5s", "5.", "d", "1d", "+", "ten"] {
            check(text, SYNTAX);
        }
        check("-5s", "it is below 0");
        check("-5", "it is below 0");
        check("99999999999999999999", TOO_LONG);
        check("2562048h", TOO_LONG);
        check("292y", SYNTAX);
    }
}
