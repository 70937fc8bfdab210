//! The protocol of Redis (RESP2), as far as counting needs it: commands out, one line or two
//! numbers back. Whatever else comes is a breach, and the connection is of no more use.

use crate::base::text::number;

/// Bytes of one reply. What is asked for fits many times.
pub const REPLY_MAX: usize = 4 * 1024;

/// What Redis says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// `+OK`, or text of a length that was announced.
    Text(&'a [u8]),
    Error(&'a [u8]),
    Number(i64),
    Nothing,
    Pair(i64, i64),
}

/// No reply, or none that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Garbled;

/// Appends a command and its arguments.
pub fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    put_length(out, b'*', parts.len());
    for part in parts {
        put_length(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn put_length(out: &mut Vec<u8>, kind: u8, length: usize) {
    out.push(kind);
    number(length as u64, out);
    out.extend_from_slice(b"\r\n");
}

/// The first reply and how many bytes it takes. None if more bytes are needed.
pub fn read(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Garbled> {
    let found = first(bytes)?;
    match found {
        None if bytes.len() >= REPLY_MAX => Err(Garbled),
        Some((_, end)) if end > REPLY_MAX => Err(Garbled),
        found => Ok(found),
    }
}

fn first(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Garbled> {
    let Some((kind, line, end)) = line(bytes)? else { return Ok(None) };
    match kind {
        b'+' => Ok(Some((Reply::Text(line), end))),
        b'-' => Ok(Some((Reply::Error(line), end))),
        b':' => Ok(Some((Reply::Number(integer(line)?), end))),
        b'$' if line == b"-1" => Ok(Some((Reply::Nothing, end))),
        b'$' => {
            let length = usize::try_from(integer(line)?).map_err(|_| Garbled)?;
            if length > REPLY_MAX {
                return Err(Garbled);
            }
            let Some(text) = bytes.get(end..end + length) else { return Ok(None) };
            match bytes.get(end + length..end + length + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some((Reply::Text(text), end + length + 2))),
                Some(_) => Err(Garbled),
            }
        }
        b'*' if line == b"2" => {
            let Some((one, after)) = member(bytes, end)? else { return Ok(None) };
            let Some((other, after)) = member(bytes, after)? else { return Ok(None) };
            Ok(Some((Reply::Pair(one, other), after)))
        }
        _ => Err(Garbled),
    }
}

/// A number at this place, and where it ends.
fn member(bytes: &[u8], at: usize) -> Result<Option<(i64, usize)>, Garbled> {
    match line(&bytes[at..])? {
        None => Ok(None),
        Some((b':', line, end)) => Ok(Some((integer(line)?, at + end))),
        Some(_) => Err(Garbled),
    }
}

/// Kind and content of a line, and where the next begins.
type Line<'a> = (u8, &'a [u8], usize);

fn line(bytes: &[u8]) -> Result<Option<Line<'_>>, Garbled> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !b"+-:$*".contains(kind) {
        return Err(Garbled);
    }
    let Some(end) = rest.iter().position(|b| *b == b'\n') else { return Ok(None) };
    let line = rest[..end].strip_suffix(b"\r").ok_or(Garbled)?;
    if line.contains(&b'\r') { Err(Garbled) } else { Ok(Some((*kind, line, end + 2))) }
}

fn integer(line: &[u8]) -> Result<i64, Garbled> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Garbled);
    }
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lists_of_texts_with_their_lengths() {
        let mut out = Vec::new();
        put(&mut out, &[b"EVALSHA", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$7\r\nEVALSHA\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    /// The reply, whole and cut off at every byte before its end.
    #[track_caller]
    fn check(bytes: &[u8], expected: Reply<'_>) {
        assert_eq!(read(bytes), Ok(Some((expected, bytes.len()))));
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]), Ok(None), "{end} of {bytes:?}");
        }
        let longer = [bytes, b":1\r\n"].concat();
        assert_eq!(read(&longer), Ok(Some((expected, bytes.len()))));
    }

    #[test]
    fn replies_are_read_once_they_are_whole() {
        check(b"+OK\r\n", Reply::Text(b"OK"));
        check(b"-NOSCRIPT no such script\r\n", Reply::Error(b"NOSCRIPT no such script"));
        check(b":-12\r\n", Reply::Number(-12));
        check(b"$4\r\na\r\nb\r\n", Reply::Text(b"a\r\nb"));
        check(b"$0\r\n\r\n", Reply::Text(b""));
        check(b"$-1\r\n", Reply::Nothing);
        check(b"*2\r\n:1\r\n:250000\r\n", Reply::Pair(1, 250_000));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"+OK\n",
            b"+O\rK\r\n",
            b":\r\n",
            b":+1\r\n",
            b":1x\r\n",
            b":99999999999999999999\r\n",
            b"$-2\r\n",
            b"$3\r\nabcd\r\n",
            b"$5000\r\n",
            b"*1\r\n:1\r\n",
            b"*-1\r\n",
            b"*2\r\n:1\r\n+x\r\n",
            b"*2\r\n*2\r\n",
        ] {
            assert_eq!(read(bytes), Err(Garbled), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_reply_without_end_is_given_up() {
        assert_eq!(read(&[b"+", [b'x'; REPLY_MAX - 2].as_slice()].concat()), Ok(None));
        assert_eq!(read(&[b"+", [b'x'; REPLY_MAX].as_slice()].concat()), Err(Garbled));
        let long = [b"+", [b'x'; REPLY_MAX].as_slice(), b"\r\n"].concat();
        assert_eq!(read(&long), Err(Garbled));
    }
}
