//! One bounded HTTP/1.1 request and its answer, as Control needs them for polls and probes: the
//! request as bytes, and a collector that is fed what arrives. It holds no connection.

use httparse::{EMPTY_HEADER, Header, ParserConfig, Status};
use std::fmt;
use std::sync::Arc;

/// What to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The value of `Host`.
    pub host: &'a str,
    /// Further fields, in order. Those that would change the framing are left out.
    pub fields: &'a [(String, String)],
    /// Whether the connection is wanted again.
    pub again: Again,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    Keep,
    Close,
}

/// How much of the answer is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// The head; the connection is of no use afterwards.
    Head,
    /// The body too, up to this many bytes.
    Body { bytes_max: u32 },
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    /// Of `ETag`, with its quotes.
    pub etag: Option<String>,
    pub location: Option<String>,
    pub body: Vec<u8>,
    /// Nothing of this exchange is left on the connection and the other side keeps it open.
    pub reusable: bool,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Garbled {
    NotHttp,
    HeadTooLarge {
        bytes_max: u32,
    },
    BodyTooLarge {
        bytes_max: u32,
    },
    /// The length of the body is given twice, differently, or not as a number.
    Length,
    Chunk,
    /// The connection ended in the middle.
    CutShort,
    /// It ended before the first byte.
    Silent,
    TooManyInterim,
}

/// Interim answers before the final one; more is a peer that never comes to the point.
const INTERIM_MAX: u32 = 16;
/// Fields in an answer's head.
const FIELDS_MAX: usize = 100;
/// Bytes of a chunk-size line, and of all trailers.
const CHUNK_LINE_MAX: usize = 4096;

impl Ask<'_> {
    pub fn to_bytes(&self) -> Arc<[u8]> {
        let mut out = String::with_capacity(256);
        for part in [self.method, " ", self.target, " HTTP/1.1\r\nHost: ", self.host, "\r\n"] {
            out.push_str(part);
        }
        let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
        let allowed = |name: &str| !framing.iter().any(|known| name.eq_ignore_ascii_case(known));
        for (name, value) in self.fields.iter().filter(|(name, _)| allowed(name)) {
            for part in [name, ": ", value, "\r\n"] {
                out.push_str(part);
            }
        }
        if self.again == Again::Close {
            out.push_str("Connection: close\r\n");
        }
        out.push_str("\r\n");
        out.into_bytes().into()
    }
}

/// Collects one answer.
#[derive(Debug)]
pub struct Collector {
    want: Want,
    head_bytes_max: u32,
    /// Whether the request was a HEAD, whose answer has no body whatever its fields say.
    bodiless: bool,
    buffer: Vec<u8>,
    interim: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Head,
    Body { reply: Reply, left: Left },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Left {
    Bytes(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
}

impl Collector {
    pub fn new(method: &str, want: Want, head_bytes_max: u32) -> Self {
        Self {
            want,
            head_bytes_max,
            bodiless: method == "HEAD",
            buffer: Vec::new(),
            interim: 0,
            state: State::Head,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let body = match &self.state {
            State::Head => 0,
            State::Body { reply, .. } => reply.body.len(),
        };
        self.buffer.len() + body
    }

    /// Whether any byte of an answer has come.
    pub fn begun(&self) -> bool {
        self.interim > 0 || !self.buffer.is_empty() || matches!(self.state, State::Body { .. })
    }

    /// Takes what arrived; the answer once it is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Garbled> {
        self.buffer.extend_from_slice(bytes);
        if matches!(self.state, State::Head) && !self.read_head()? {
            return Ok(None);
        }
        self.read_body()
    }

    /// The other side will send no more.
    pub fn end(&mut self) -> Result<Reply, Garbled> {
        if !self.begun() {
            return Err(Garbled::Silent);
        }
        match std::mem::replace(&mut self.state, State::Head) {
            State::Body { reply, left: Left::UntilClose } => Ok(reply),
            State::Body { .. } | State::Head => Err(Garbled::CutShort),
        }
    }

    /// Whether the final head is complete.
    fn read_head(&mut self) -> Result<bool, Garbled> {
        loop {
            let Some((head, used)) = parse_head(&self.buffer, self.head_bytes_max)? else {
                return Ok(false);
            };
            self.buffer.drain(..used);
            if (100..200).contains(&head.reply.status) {
                self.interim += 1;
                if self.interim > INTERIM_MAX || head.reply.status == 101 {
                    return Err(Garbled::TooManyInterim);
                }
                continue;
            }
            let left = if self.bodiless || matches!(head.reply.status, 204 | 304) {
                Left::Bytes(0)
            } else {
                head.left
            };
            let reusable = head.persistent && left != Left::UntilClose;
            self.state = State::Body { reply: Reply { reusable, ..head.reply }, left };
            return Ok(true);
        }
    }

    fn read_body(&mut self) -> Result<Option<Reply>, Garbled> {
        let State::Body { reply, left } = &mut self.state else { return Ok(None) };
        let done = match self.want {
            Want::Head => {
                reply.reusable = false;
                true
            }
            Want::Body { bytes_max } => {
                let mut input = self.buffer.as_slice();
                let done = advance(&mut input, left, &mut reply.body, bytes_max)?;
                let used = self.buffer.len() - input.len();
                self.buffer.drain(..used);
                done
            }
        };
        if !done {
            return Ok(None);
        }
        // Bytes after the answer belong to nothing that was asked for.
        reply.reusable &= self.buffer.is_empty();
        let State::Body { reply, .. } = std::mem::replace(&mut self.state, State::Head) else {
            return Ok(None);
        };
        Ok(Some(reply))
    }
}

struct Head {
    reply: Reply,
    persistent: bool,
    left: Left,
}

fn parse_head(bytes: &[u8], bytes_max: u32) -> Result<Option<(Head, usize)>, Garbled> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = ParserConfig::default().parse_response(&mut response, bytes);
    let used = match parsed.map_err(|_| Garbled::NotHttp)? {
        Status::Partial if bytes.len() >= bytes_max as usize => {
            return Err(Garbled::HeadTooLarge { bytes_max });
        }
        Status::Partial => return Ok(None),
        Status::Complete(used) if used > bytes_max as usize => {
            return Err(Garbled::HeadTooLarge { bytes_max });
        }
        Status::Complete(used) => used,
    };
    let status = response.code.ok_or(Garbled::NotHttp)?;
    let left = framing(response.headers)?;
    let persistent = response.version == Some(1) && !says(response.headers, "connection", "close");
    let reply = Reply {
        status,
        etag: text_of(response.headers, "etag"),
        location: text_of(response.headers, "location"),
        body: Vec::new(),
        reusable: false,
    };
    Ok(Some((Head { reply, persistent, left }, used)))
}

/// RFC 9112 §6.3, for answers that may have a body.
fn framing(fields: &[Header<'_>]) -> Result<Left, Garbled> {
    let mut lengths = fields.iter().filter(|field| is(field, "content-length"));
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err(Garbled::Length);
    }
    let mut codings = fields.iter().filter(|field| is(field, "transfer-encoding"));
    match (codings.next(), length) {
        (None, None) => Ok(Left::UntilClose),
        (None, Some(length)) => decimal(length.value).map(Left::Bytes).ok_or(Garbled::Length),
        (Some(coding), None) if coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            if codings.next().is_some() {
                Err(Garbled::Length)
            } else {
                Ok(Left::ChunkSize)
            }
        }
        (Some(_), _) => Err(Garbled::Length),
    }
}

/// Moves body bytes from `input` to `body`; true when the body is complete.
fn advance(
    input: &mut &[u8],
    left: &mut Left,
    body: &mut Vec<u8>,
    bytes_max: u32,
) -> Result<bool, Garbled> {
    loop {
        match *left {
            Left::Bytes(count) => {
                let rest = take(input, count, body, bytes_max)?;
                *left = Left::Bytes(rest);
                return Ok(rest == 0);
            }
            Left::UntilClose => {
                take(input, u64::MAX, body, bytes_max)?;
                return Ok(false);
            }
            Left::ChunkSize => {
                let Some(line) = line(input)? else { return Ok(false) };
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = hex(digits.trim_ascii_end()).ok_or(Garbled::Chunk)?;
                *left = if size == 0 { Left::Trailers } else { Left::ChunkData(size) };
            }
            Left::ChunkData(count) => {
                let rest = take(input, count, body, bytes_max)?;
                *left = if rest == 0 { Left::ChunkEnd } else { Left::ChunkData(rest) };
                if rest != 0 {
                    return Ok(false);
                }
            }
            Left::ChunkEnd => {
                let Some(line) = line(input)? else { return Ok(false) };
                if !line.is_empty() {
                    return Err(Garbled::Chunk);
                }
                *left = Left::ChunkSize;
            }
            Left::Trailers => {
                let Some(line) = line(input)? else { return Ok(false) };
                if line.is_empty() {
                    return Ok(true);
                }
            }
        }
    }
}

/// Moves up to `count` bytes; how many are still to come.
fn take(input: &mut &[u8], count: u64, body: &mut Vec<u8>, bytes_max: u32) -> Result<u64, Garbled> {
    let here = usize::try_from(count).unwrap_or(usize::MAX).min(input.len());
    let known = if count == u64::MAX { here as u64 } else { count };
    if body.len() as u64 + known > u64::from(bytes_max) {
        return Err(Garbled::BodyTooLarge { bytes_max });
    }
    let (now, later) = input.split_at(here);
    body.extend_from_slice(now);
    *input = later;
    Ok(count - here as u64)
}

/// The next line without its end, once it is complete.
fn line<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Garbled> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return if input.len() > CHUNK_LINE_MAX { Err(Garbled::Chunk) } else { Ok(None) };
    };
    let line = input[..end].strip_suffix(b"\r").ok_or(Garbled::Chunk)?;
    if line.len() > CHUNK_LINE_MAX {
        return Err(Garbled::Chunk);
    }
    *input = &input[end + 1..];
    Ok(Some(line))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // The largest number stands for "until the end" in `take`.
    if plain { text.parse().ok().filter(|length| *length != u64::MAX) } else { None }
}

fn hex(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let plain = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

fn text_of(fields: &[Header<'_>], name: &str) -> Option<String> {
    let field = fields.iter().find(|field| is(field, name))?;
    std::str::from_utf8(field.value).ok().map(|text| text.trim().to_owned())
}

fn says(fields: &[Header<'_>], name: &str, token: &str) -> bool {
    fields
        .iter()
        .filter(|field| is(field, name))
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the answer is not HTTP/1.1"),
            Self::HeadTooLarge { bytes_max } => {
                write!(f, "the head of the answer exceeds {bytes_max} bytes")
            }
            Self::BodyTooLarge { bytes_max } => write!(f, "the answer exceeds {bytes_max} bytes"),
            Self::Length => f.write_str("the length of the answer is ambiguous"),
            Self::Chunk => f.write_str("the answer is not well chunked"),
            Self::CutShort => f.write_str("the connection ended in the middle of the answer"),
            Self::Silent => f.write_str("the connection ended without an answer"),
            Self::TooManyInterim => f.write_str("only interim answers came"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: Want = Want::Body { bytes_max: 10 };

    /// Feeds `answer` whole and byte by byte; both must agree.
    #[track_caller]
    fn check(method: &str, answer: &str, expected: Result<(u16, &str, bool), Garbled>) {
        let seen = |step: usize| {
            let mut collector = Collector::new(method, WANT, 100);
            for part in answer.as_bytes().chunks(step) {
                if let Some(reply) = collector.feed(part)? {
                    return Ok(reply);
                }
            }
            collector.end()
        };
        let expected = expected.map(|(status, body, reusable)| (status, body.to_owned(), reusable));
        for step in [1, 2, answer.len().max(1)] {
            let found = seen(step).map(|reply| {
                let body = String::from_utf8(reply.body).expect("tests answer in text");
                (reply.status, body, reply.reusable)
            });
            assert_eq!(found, expected, "in steps of {step}: {answer:?}");
        }
    }

    #[test]
    fn answers_end_where_their_framing_says() {
        check("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", Ok((200, "[]", true)));
        check("GET", "HTTP/1.1 304 N\r\nContent-Length: 2\r\n\r\n", Ok((304, "", true)));
        check("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Ok((200, "", true)));
        check("GET", "HTTP/1.1 200 OK\r\n\r\nbody", Ok((200, "body", false)));
        check("GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Ok((200, "x", false)));
        let close = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nx";
        check("GET", close, Ok((200, "x", false)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "2;a=b\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n";
        check("GET", &format!("{chunked}{body}"), Ok((200, "abc", true)));
        let interim = "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
        check("GET", interim, Ok((204, "", true)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        check("GET", "", Err(Garbled::Silent));
        check("GET", "SSH-2.0-OpenSSH\r\n", Err(Garbled::NotHttp));
        check("GET", "HTTP/1.1 200 OK\r\nContent-Le", Err(Garbled::CutShort));
        check("GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", Err(Garbled::CutShort));
        check("GET", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n[]", Err(Garbled::Length));
        let twice = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n[]";
        check("GET", twice, Err(Garbled::Length));
        let both = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0";
        check("GET", both, Err(Garbled::Length));
        let large = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n";
        check("GET", large, Err(Garbled::BodyTooLarge { bytes_max: 10 }));
        let endless = "HTTP/1.1 200 OK\r\n\r\n01234567890";
        check("GET", endless, Err(Garbled::BodyTooLarge { bytes_max: 10 }));
        let head = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(100));
        check("GET", &head, Err(Garbled::HeadTooLarge { bytes_max: 100 }));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check("GET", &format!("{chunked}zz\r\n"), Err(Garbled::Chunk));
        check("GET", &format!("{chunked}1\r\nabc\r\n"), Err(Garbled::Chunk));
        check("GET", &"HTTP/1.1 100 C\r\n\r\n".repeat(17), Err(Garbled::TooManyInterim));
    }

    #[test]
    fn bytes_after_the_answer_spoil_the_connection() {
        let mut collector = Collector::new("GET", WANT, 100);
        let reply = collector.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxyz");
        assert_eq!(reply.map(|reply| reply.map(|reply| reply.reusable)), Ok(Some(false)));
    }

    #[test]
    fn a_request_cannot_be_reframed_by_its_fields() {
        let fields = [
            ("Content-Length".to_owned(), "9".to_owned()),
            ("X-A".to_owned(), "1".to_owned()),
            ("HOST".to_owned(), "evil".to_owned()),
        ];
        let ask =
            Ask { method: "GET", target: "/a?b", host: "h", fields: &fields, again: Again::Close };
        let expected: &[u8] =
            b"GET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nConnection: close\r\n\r\n";
        assert_eq!(&*ask.to_bytes(), expected);
    }
}
