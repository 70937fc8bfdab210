//! The chunked coding (RFC 9112 §7.1): a strict decoder that points at the data where it lies, and
//! the lines that frame data anew. Extensions are read by their grammar and dropped.

use crate::http::blame::{Misbehaved, What, Who};
use crate::http::fields::{self, Field, InTrailer};
use std::ops::Range;

/// What closes a body without trailers.
pub const LAST: &[u8] = b"0\r\n\r\n";
/// What begins a trailer section.
pub const LAST_SIZE: &[u8] = b"0\r\n";
/// What ends each chunk, and a trailer section.
pub const LINE_END: &[u8] = b"\r\n";

/// How far size lines and trailers may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Bytes of one size line.
    pub line_max: u32,
    /// Bytes of the trailer section.
    pub trailer_max: u32,
}

/// Reads one chunked body, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    who: Who,
    bounds: Bounds,
    state: State,
    /// Of the chunk.
    left: u64,
    /// Of the size line so far.
    line: u32,
    /// Bytes of size lines that no data justifies.
    excess: u64,
    /// The section as it came; allocates only if there is one.
    trailers: Vec<u8>,
}

/// What a decoder found in the bytes it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Content lies here; everything up to its end is used up.
    Data(Range<usize>),
    /// Everything is used up and the body goes on.
    More,
    /// The body is over; so many bytes were its last.
    End { used: usize },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    FirstDigit,
    Digits,
    BeforeExtension,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterValue,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    Over,
}

/// Bytes of size lines that all chunks of a body together may have beyond what is usual for the
/// data they carry: tiny chunks with long extensions are work without progress.
const EXCESS_MAX: u64 = 16 * 1024;

impl Decoder {
    pub fn new(who: Who, bounds: Bounds) -> Self {
        let state = State::FirstDigit;
        Self { who, bounds, state, left: 0, line: 0, excess: 0, trailers: Vec::new() }
    }

    /// Reads on in `input`. After [`Step::Data`] call again with what follows its end.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Misbehaved> {
        self.advance(input).map_err(|what| Misbehaved { who: self.who, what })
    }

    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The trailer fields that may be passed on. Complete once the body is over.
    pub fn trailers(&self) -> impl Iterator<Item = Field<'_>> {
        trailer_lines(&self.trailers)
            .filter_map(|line| trailer(line).ok())
            .filter(|field| fields::in_trailer(field.name) == InTrailer::Allowed)
    }

    fn advance(&mut self, input: &[u8]) -> Result<Step, What> {
        let mut at = 0;
        while at < input.len() && self.state != State::Over {
            if self.state == State::Data {
                return Ok(Step::Data(self.data(at, input.len() - at)));
            }
            self.state = self.on_byte(input[at])?;
            at += 1;
        }
        if self.state == State::Over { Ok(Step::End { used: at }) } else { Ok(Step::More) }
    }

    fn data(&mut self, at: usize, available: usize) -> Range<usize> {
        let count = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= count as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        at..at + count
    }

    fn on_byte(&mut self, b: u8) -> Result<State, What> {
        match self.state {
            State::FirstDigit | State::Digits => self.on_size_byte(b),
            State::BeforeExtension
            | State::BeforeName
            | State::Name
            | State::AfterName
            | State::BeforeValue
            | State::Value
            | State::Quoted
            | State::Escaped
            | State::AfterValue => {
                self.grow_line()?;
                extension(self.state, b)
            }
            State::SizeLf => self.on_size_line_end(b),
            State::DataCr if b == b'\r' => Ok(State::DataLf),
            State::DataLf if b == b'\n' => Ok(State::FirstDigit),
            State::DataCr | State::DataLf => Err(What::ChunkEnd),
            State::TrailerStart | State::Trailer | State::TrailerLf | State::EndLf => {
                self.on_trailer_byte(b)
            }
            State::Data | State::Over => unreachable!("neither is read byte by byte"),
        }
    }

    fn on_size_byte(&mut self, b: u8) -> Result<State, What> {
        if self.state == State::FirstDigit {
            self.line = 0;
            self.left = 0;
        }
        self.grow_line()?;
        if let Some(digit) = char::from(b).to_digit(16) {
            // Below 2⁶³, as for Content-Length.
            if self.left >= 1 << 59 {
                return Err(What::ChunkTooLarge);
            }
            self.left = self.left << 4 | u64::from(digit);
            return Ok(State::Digits);
        }
        match b {
            _ if self.state == State::FirstDigit => Err(What::ChunkSize),
            b'\r' => Ok(State::SizeLf),
            b';' => Ok(State::BeforeName),
            b' ' | b'\t' => Ok(State::BeforeExtension),
            _ => Err(What::ChunkSize),
        }
    }

    fn grow_line(&mut self) -> Result<(), What> {
        self.line += 1;
        if self.line > self.bounds.line_max { Err(What::ChunkLineTooLong) } else { Ok(()) }
    }

    fn on_size_line_end(&mut self, b: u8) -> Result<State, What> {
        if b != b'\n' {
            return Err(What::LineEnd);
        }
        let usual = self.left.saturating_mul(2).saturating_add(16);
        self.excess = (self.excess + u64::from(self.line)).saturating_sub(usual);
        if self.excess > EXCESS_MAX {
            return Err(What::ChunkLineTooLong);
        }
        Ok(if self.left == 0 { State::TrailerStart } else { State::Data })
    }

    fn on_trailer_byte(&mut self, b: u8) -> Result<State, What> {
        let next = match (self.state, b) {
            (State::TrailerStart, b'\r') => return Ok(State::EndLf),
            (State::EndLf, b'\n') => {
                self.check_trailers()?;
                return Ok(State::Over);
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf | State::TrailerLf, _) | (_, b'\n') => return Err(What::LineEnd),
            (_, b'\r') => State::TrailerLf,
            _ => State::Trailer,
        };
        if self.trailers.len() >= self.bounds.trailer_max as usize {
            return Err(What::TrailerTooLarge);
        }
        self.trailers.push(b);
        Ok(next)
    }

    fn check_trailers(&self) -> Result<(), What> {
        for line in trailer_lines(&self.trailers) {
            if fields::in_trailer(trailer(line)?.name) == InTrailer::Refused {
                return Err(What::TrailerForbidden);
            }
        }
        Ok(())
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` up to the CR.
fn extension(state: State, b: u8) -> Result<State, What> {
    use State::{
        AfterName, AfterValue, BeforeExtension, BeforeName, BeforeValue, Escaped, Name, Quoted,
        SizeLf, Value,
    };
    let token = fields::is_token(&[b]);
    match (state, b) {
        (Quoted, b'"') => Ok(AfterValue),
        (Quoted, b'\\') => Ok(Escaped),
        (Quoted | Escaped, b) if fields::is_value(&[b]) => Ok(Quoted),
        (BeforeExtension | BeforeName | BeforeValue | AfterName | AfterValue, b' ' | b'\t') => {
            Ok(state)
        }
        (BeforeName | Name, _) if token => Ok(Name),
        (BeforeValue | Value, _) if token => Ok(Value),
        (BeforeValue, b'"') => Ok(Quoted),
        (Name, b' ' | b'\t') => Ok(AfterName),
        (Name | AfterName, b'=') => Ok(BeforeValue),
        (Value, b' ' | b'\t') => Ok(AfterValue),
        (BeforeExtension | Name | AfterName | Value | AfterValue, b';') => Ok(BeforeName),
        (Name | Value | AfterValue, b'\r') => Ok(SizeLf),
        _ => Err(What::ChunkExtension),
    }
}

fn trailer_lines(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.split(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\r"))
}

fn trailer(line: &[u8]) -> Result<Field<'_>, What> {
    let colon = line.iter().position(|b| *b == b':').ok_or(What::TrailerField)?;
    let (name, value) = (&line[..colon], fields::trim(&line[colon + 1..]));
    if !fields::is_token(name) || !fields::is_value(value) {
        return Err(What::TrailerField);
    }
    let name = std::str::from_utf8(name).map_err(|_| What::TrailerField)?;
    Ok(Field { name, value })
}

/// The line before a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SizeLine {
    bytes: [u8; 18],
    start: u8,
}

impl SizeLine {
    /// For a chunk of `count` bytes; a chunk of none would end the body.
    pub fn new(count: usize) -> Self {
        debug_assert!(count > 0, "the last chunk is written as such");
        let mut line = Self { bytes: [0; 18], start: 16 };
        line.bytes[16..].copy_from_slice(LINE_END);
        let mut rest = count;
        loop {
            line.start -= 1;
            line.bytes[usize::from(line.start)] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
            if rest == 0 {
                return line;
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { line_max: 64, trailer_max: 64 };

    /// Decodes `pieces`; what was content, what was left over, and the trailers.
    fn decode(pieces: &[&[u8]], bounds: Bounds) -> Result<Option<String>, What> {
        let mut decoder = Decoder::new(Who::Client, bounds);
        let mut content = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let mut rest = *piece;
            loop {
                match decoder.step(rest).map_err(|misbehaved| misbehaved.what)? {
                    Step::Data(data) => {
                        assert!(!data.is_empty(), "data is something");
                        content.extend_from_slice(&rest[data.clone()]);
                        rest = &rest[data.end..];
                    }
                    Step::More => break,
                    Step::End { used } => {
                        let left = [&[&rest[used..]], &pieces[at + 1..]].concat().concat();
                        return Ok(Some(told(&content, &decoder, &left)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn told(content: &[u8], decoder: &Decoder, left: &[u8]) -> String {
        let mut text = content.escape_ascii().to_string();
        for field in decoder.trailers() {
            text += &format!(" {}={}", field.name, field.value.escape_ascii());
        }
        text + "|" + &left.escape_ascii().to_string()
    }

    /// The result is the same however the bytes are split in two or three, and byte by byte.
    #[track_caller]
    fn check(body: &str, expected: Result<Option<&str>, What>) {
        let body = body.as_bytes();
        let expected = expected.map(|text| text.map(str::to_owned));
        assert_eq!(decode(&[body], BOUNDS), expected, "{}", body.escape_ascii());
        for first in 0..=body.len() {
            let (a, rest) = body.split_at(first);
            for second in 0..=rest.len() {
                let (b, c) = rest.split_at(second);
                let got = decode(&[a, b, c], BOUNDS);
                assert_eq!(got, expected, "{} at {first}+{second}", body.escape_ascii());
            }
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(decode(&bytes, BOUNDS), expected, "{} in bytes", body.escape_ascii());
    }

    #[test]
    fn bodies_under_all_splits() {
        check("0\r\n\r\n", Ok(Some("|")));
        check("5\r\nhello\r\n0\r\n\r\n", Ok(Some("hello|")));
        check("5\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", Ok(Some("hello!|")));
        check("A\r\n0123456789\r\n0\r\n\r\nGET /", Ok(Some("0123456789|GET /")));
        check("0a\r\n0123456789\r\n0\r\n\r\n\r\n", Ok(Some("0123456789|\\r\\n")));
        check("2\r\n\r\n\r\n0\r\n\r\n", Ok(Some("\\r\\n|")));
        check("5\r\nhello\r\n0\r\n", Ok(None));
        check("5\r\nhel", Ok(None));
        check("", Ok(None));
    }

    #[test]
    fn extensions_are_dropped() {
        check("1;a\r\nx\r\n0;b=c\r\n\r\n", Ok(Some("x|")));
        check("1;a=\"q\\\"; \\\\\";b ; c = d\r\nx\r\n0\r\n\r\n", Ok(Some("x|")));
        check("1 ;a\r\nx\r\n0\r\n\r\n", Ok(Some("x|")));
        for broken in [";", ";;a", ";a=", ";=b", ";a b", ";a=\"q", ";a=\"q\"x", " "] {
            check(&format!("1{broken}\r\nx\r\n0\r\n\r\n"), Err(What::ChunkExtension));
        }
        check("1;a\nx\r\n0\r\n\r\n", Err(What::ChunkExtension));
        check("1;a=\"\n\"\r\nx\r\n0\r\n\r\n", Err(What::ChunkExtension));
        check("1;a\rb\r\nx\r\n0\r\n\r\n", Err(What::LineEnd));
    }

    #[test]
    fn sizes_are_hexadecimal_digits_and_nothing_else() {
        for broken in ["", "g", "+1", "-1", "0x1", "_1", "1_0", "1h", "\t1", " 1", "1,", "\n1"] {
            check(&format!("{broken}\r\nx\r\n0\r\n\r\n"), Err(What::ChunkSize));
        }
        check("1\nx\r\n0\r\n\r\n", Err(What::ChunkSize));
        check("1\r\rx\r\n0\r\n\r\n", Err(What::LineEnd));
        check("7fffffffffffffff\r\nx", Ok(None));
        check("8000000000000000\r\nx", Err(What::ChunkTooLarge));
        check("10000000000000001\r\nx", Err(What::ChunkTooLarge));
        check(&format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(62)), Ok(Some("x|")));
        check(&format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(64)), Err(What::ChunkLineTooLong));
    }

    #[test]
    fn data_ends_where_its_size_says() {
        check("5\r\nhello0\r\n\r\n", Err(What::ChunkEnd));
        check("5\r\nhello\n0\r\n\r\n", Err(What::ChunkEnd));
        check("5\r\nhello\r0\r\n\r\n", Err(What::ChunkEnd));
        check("4\r\nhello\r\n0\r\n\r\n", Err(What::ChunkEnd));
        check("6\r\nhello\r\n0\r\n\r\n", Err(What::ChunkEnd));
    }

    #[test]
    fn trailers_are_fields_that_may_come_late() {
        check("0\r\na: b\r\n\r\n", Ok(Some(" a=b|")));
        check("0\r\na:\r\nX-B: \t c d \r\n\r\nz", Ok(Some(" a= X-B=c d|z")));
        check("0\r\nCookie: x\r\nTE: y\r\nk: v\r\n\r\n", Ok(Some(" k=v|")));
        for refused in ["Content-Length: 3", "transfer-encoding: chunked", "HOST: a"] {
            check(&format!("0\r\n{refused}\r\n\r\n"), Err(What::TrailerForbidden));
        }
        for broken in ["a", "a : b", " a: b", ": b", "a: b\r\n c", "a: \u{1}", "a: \u{7f}"] {
            check(&format!("0\r\n{broken}\r\n\r\n"), Err(What::TrailerField));
        }
        check("0\r\na: b\n\r\n", Err(What::LineEnd));
        check("0\r\na: b\rc\r\n\r\n", Err(What::LineEnd));
        check("0\r\n\n", Err(What::LineEnd));
        check("0\r\n\rx", Err(What::LineEnd));
        let long = "x".repeat(60);
        check(&format!("0\r\na:{long}\r\n\r\n"), Ok(Some(&format!(" a={long}|"))));
        check(&format!("0\r\na:{long}y\r\n\r\n"), Err(What::TrailerTooLarge));
    }

    #[test]
    fn long_extensions_on_tiny_chunks_run_out() {
        let chunk = format!("1;{}\r\nx\r\n", "e".repeat(1000));
        let bounds = Bounds { line_max: 4096, trailer_max: 0 };
        let few = chunk.repeat(16) + "0\r\n\r\n";
        assert_eq!(decode(&[few.as_bytes()], bounds), Ok(Some("x".repeat(16) + "|")));
        let many = chunk.repeat(17);
        assert_eq!(decode(&[many.as_bytes()], bounds), Err(What::ChunkLineTooLong));
        let plain = "1\r\nx\r\n".repeat(100_000);
        assert_eq!(decode(&[plain.as_bytes()], bounds), Ok(None));
    }

    #[test]
    fn what_is_framed_decodes_to_itself() {
        for count in [1, 9, 10, 15, 16, 17, 255, 256, 4096, 65_537] {
            let data = vec![b'x'; count];
            let line = SizeLine::new(count);
            assert_eq!(line.bytes(), format!("{count:x}\r\n").as_bytes());
            let body = [line.bytes(), &data, LINE_END, LAST].concat();
            assert_eq!(decode(&[&body], BOUNDS), Ok(Some("x".repeat(count) + "|")));
        }
        assert_eq!(SizeLine::new(usize::MAX).bytes(), format!("{:x}\r\n", usize::MAX).as_bytes());
    }
}
