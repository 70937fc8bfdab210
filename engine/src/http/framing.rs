//! Which body follows a head: RFC 9112 §6 as a table. What is ambiguous there is refused here,
//! because two readers of one ambiguous message is how requests are smuggled.

use super::blame::What;
use super::fields;
use super::head::Version;
use crate::base::mutant::{Mutant, planted};

/// How the end of a message is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Framing {
    /// Nothing follows the head.
    Empty,
    /// Exactly this many bytes.
    Length(u64),
    Chunked,
    /// Everything until the connection ends. Responses only.
    UntilClose,
    /// HTTP is over: bytes flow both ways (101, and 2xx to CONNECT).
    Tunnel,
}

impl Framing {
    /// Whether there is no content to wait for.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

/// What about a request decides how its response is framed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Asked {
    Plain,
    Head,
    Connect,
    /// With `Upgrade`, so that 101 is a possible answer.
    Upgrade,
}

/// The framing fields of one head, gathered line by line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Declared {
    length: Option<u64>,
    chunked: bool,
}

impl Declared {
    /// Notes a `Content-Length` line. A second one is refused even if it says the same.
    pub fn on_length(&mut self, value: &[u8]) -> Result<(), What> {
        if self.length.is_some() {
            return Err(What::LengthRepeated);
        }
        self.length = Some(length(value)?);
        Ok(())
    }

    /// Notes a `Transfer-Encoding` line.
    pub fn on_coding(&mut self, value: &[u8]) -> Result<(), What> {
        if self.chunked {
            return Err(What::CodingMalformed);
        }
        only_chunked(value)?;
        self.chunked = true;
        Ok(())
    }

    pub fn of_request(self, version: Version) -> Result<Framing, What> {
        match self.consistent(version)? {
            Self { chunked: true, .. } => Ok(Framing::Chunked),
            Self { length: Some(length), .. } => Ok(Framing::Length(length)),
            Self { .. } => Ok(Framing::Empty),
        }
    }

    pub fn of_response(self, version: Version, status: u16, asked: Asked) -> Result<Framing, What> {
        let Self { length, chunked } = self.consistent(version)?;
        let connected = asked == Asked::Connect && (200..300).contains(&status);
        if connected || status < 200 || status == 204 {
            return self.of_bare(status, asked, connected);
        }
        let head = asked == Asked::Head && !planted(Mutant::HeadAnswerHasBody);
        if head || status == 304 {
            return Ok(Framing::Empty);
        }
        match length {
            _ if chunked => Ok(Framing::Chunked),
            Some(length) => Ok(Framing::Length(length)),
            None => Ok(Framing::UntilClose),
        }
    }

    /// The content length that was declared, whether or not content follows.
    pub fn length(self) -> Option<u64> {
        self.length
    }

    /// Responses that have no content whatever their fields say: 1xx, 204, 2xx to CONNECT. RFC 9110
    /// §8.6 forbids them both framing fields; `Content-Length: 0` is common and harmless.
    fn of_bare(self, status: u16, asked: Asked, connected: bool) -> Result<Framing, What> {
        if self.chunked {
            return Err(What::CodingUnexpected);
        }
        if self.length.is_some_and(|length| length > 0) {
            return Err(What::LengthUnexpected);
        }
        match status {
            101 if asked == Asked::Upgrade => Ok(Framing::Tunnel),
            101 => Err(What::SwitchUnasked),
            _ if connected => Ok(Framing::Tunnel),
            _ => Ok(Framing::Empty),
        }
    }

    fn consistent(self, version: Version) -> Result<Self, What> {
        if self.chunked && version == Version::Http10 {
            return Err(What::CodingOnOldVersion);
        }
        if self.chunked && self.length.is_some() && !planted(Mutant::BothLengths) {
            return Err(What::LengthAndCoding);
        }
        Ok(self)
    }
}

/// `1*DIGIT`, below 2⁶³: beyond, some reader on the way wraps around.
fn length(value: &[u8]) -> Result<u64, What> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        let several = value.contains(&b',');
        return Err(if several { What::LengthRepeated } else { What::LengthMalformed });
    }
    let mut length = 0u64;
    for digit in value {
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
            .filter(|length| *length <= i64::MAX.unsigned_abs())
            .ok_or(What::LengthTooLarge)?;
    }
    Ok(length)
}

/// Exactly one element, and that is `chunked`.
fn only_chunked(value: &[u8]) -> Result<(), What> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut last_is_chunked = false;
    let mut unknown = false;
    for coding in value.split(|b| *b == b',').map(fields::trim) {
        if !fields::is_token(coding) || last_is_chunked {
            return Err(What::CodingMalformed);
        }
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        unknown |= !last_is_chunked;
    }
    Err(if unknown { What::CodingUnknown } else { What::CodingMalformed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Asked::{Connect, Head, Plain, Upgrade};
    use Version::{Http10, Http11};

    fn declared(lengths: &[&str], codings: &[&str]) -> Result<Declared, What> {
        let mut declared = Declared::default();
        lengths.iter().try_for_each(|value| declared.on_length(value.as_bytes()))?;
        codings.iter().try_for_each(|value| declared.on_coding(value.as_bytes()))?;
        Ok(declared)
    }

    #[track_caller]
    fn request(
        version: Version,
        lengths: &[&str],
        codings: &[&str],
        expected: Result<Framing, What>,
    ) {
        let framing = declared(lengths, codings).and_then(|declared| declared.of_request(version));
        assert_eq!(framing, expected, "{version:?} {lengths:?} {codings:?}");
    }

    #[test]
    fn framing_of_requests() {
        request(Http11, &[], &[], Ok(Framing::Empty));
        request(Http10, &[], &[], Ok(Framing::Empty));
        request(Http11, &["0"], &[], Ok(Framing::Length(0)));
        request(Http10, &["7"], &[], Ok(Framing::Length(7)));
        request(Http11, &["007"], &[], Ok(Framing::Length(7)));
        request(Http11, &[], &["chunked"], Ok(Framing::Chunked));
        request(Http11, &[], &["CHUNKED"], Ok(Framing::Chunked));
        request(Http10, &[], &["chunked"], Err(What::CodingOnOldVersion));
        request(Http11, &["5"], &["chunked"], Err(What::LengthAndCoding));
    }

    #[test]
    fn a_length_is_one_decimal_number() {
        let largest = i64::MAX.to_string();
        request(Http11, &[&largest], &[], Ok(Framing::Length(i64::MAX.unsigned_abs())));
        request(Http11, &["9223372036854775808"], &[], Err(What::LengthTooLarge));
        request(Http11, &["18446744073709551616"], &[], Err(What::LengthTooLarge));
        request(Http11, &[&"9".repeat(99)], &[], Err(What::LengthTooLarge));
        for repeated in [&["5", "5"][..], &["5", "6"], &["5, 5"], &["5,6"], &[","]] {
            request(Http11, repeated, &[], Err(What::LengthRepeated));
        }
        for malformed in ["", "+5", "-5", "5 5", "0x5", "5.0", "5;", "\u{665}", "1_0"] {
            request(Http11, &[malformed], &[], Err(What::LengthMalformed));
        }
    }

    #[test]
    fn a_coding_is_chunked_once_and_last() {
        for unknown in ["gzip", "identity", "xchunked", "gzip, chunked", "chunke", "chunked-x"] {
            request(Http11, &[], &[unknown], Err(What::CodingUnknown));
        }
        let malformed = [
            "",
            ",",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chunked, gzip",
            "chunked;q=1",
            "\"chunked\"",
            "chunked chunked",
            "gzip,,chunked",
            "chunked, identity",
        ];
        for malformed in malformed {
            request(Http11, &[], &[malformed], Err(What::CodingMalformed));
        }
        request(Http11, &[], &["chunked", "chunked"], Err(What::CodingMalformed));
        request(Http11, &[], &["chunked", "gzip"], Err(What::CodingMalformed));
        request(Http11, &[], &["gzip", "chunked"], Err(What::CodingUnknown));
    }

    /// The rules of RFC 9112 §6.3 once more, in the order in which the RFC has them.
    fn by_the_letter(
        version: Version,
        status: u16,
        asked: Asked,
        length: Option<u64>,
        chunked: bool,
    ) -> Result<Framing, What> {
        if chunked && version == Http10 {
            return Err(What::CodingOnOldVersion);
        }
        if chunked && length.is_some() {
            return Err(What::LengthAndCoding);
        }
        let tunnel = status == 101 || asked == Connect && status / 100 == 2;
        if tunnel || status / 100 == 1 || status == 204 {
            return match (chunked, length) {
                (true, _) => Err(What::CodingUnexpected),
                (_, Some(1..)) => Err(What::LengthUnexpected),
                _ if status == 101 && asked != Upgrade => Err(What::SwitchUnasked),
                _ if tunnel => Ok(Framing::Tunnel),
                _ => Ok(Framing::Empty),
            };
        }
        Ok(match (asked, status, chunked, length) {
            (Head, ..) | (_, 304, ..) => Framing::Empty,
            (_, _, true, _) => Framing::Chunked,
            (_, _, _, Some(length)) => Framing::Length(length),
            _ => Framing::UntilClose,
        })
    }

    #[test]
    fn framing_of_responses_is_that_of_the_rfc_for_every_status() {
        for version in [Http10, Http11] {
            for asked in [Plain, Head, Connect, Upgrade] {
                for status in 100..=999 {
                    for (length, chunked) in [
                        (None, false),
                        (Some(0), false),
                        (Some(9), false),
                        (None, true),
                        (Some(9), true),
                        (Some(0), true),
                    ] {
                        let framing =
                            Declared { length, chunked }.of_response(version, status, asked);
                        let expected = by_the_letter(version, status, asked, length, chunked);
                        assert_eq!(
                            framing, expected,
                            "{version:?} {asked:?} {status} {length:?} {chunked}"
                        );
                    }
                }
            }
        }
    }
}
