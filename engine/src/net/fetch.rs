//! One bounded request and its answer, as Control needs them for polls and probes: the request as
//! the bytes of HTTP/1.1, and a collector that is fed what arrives. It holds no connection.

use crate::h1::chunked::{self, Decoder, Step};
use crate::h1::parse::{self, Parsed, Progress, Scratch};
use crate::http::alias::Aliases;
use crate::http::blame::{What, Who};
use crate::http::fields;
use crate::http::framing::{Asked, Framing};
use crate::http::head::{FIELDS_MAX, Persistence, ResponseHead};
use crate::http::status::is_interim;
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
    /// Of `Grpc-Status`, in the head or behind the content.
    pub grpc_status: Option<u32>,
    pub body: Vec<u8>,
    /// Nothing of this exchange is left on the connection and the other side keeps it open.
    pub reusable: bool,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Garbled {
    Broke(What),
    BodyTooLarge { bytes_max: u32 },
}

/// Interim answers before the final one; more is a peer that never comes to the point.
const INTERIM_MAX: u32 = 16;

const CHUNKS: chunked::Bounds = chunked::Bounds { line_max: 4_096, trailer_max: 16 * 1024 };

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
    asked: Asked,
    bounds: parse::Bounds,
    buffer: Vec<u8>,
    interim: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Progress),
    Body { reply: Reply, left: Left },
}

#[derive(Debug)]
enum Left {
    Bytes(u64),
    UntilClose,
    Chunks(Decoder),
}

impl Collector {
    pub fn new(asked: Asked, want: Want, head_bytes_max: u32) -> Self {
        Self {
            want,
            asked,
            bounds: parse::Bounds {
                bytes_max: head_bytes_max as usize,
                fields_max: FIELDS_MAX,
                aliases: Aliases::KEPT,
            },
            buffer: Vec::new(),
            interim: 0,
            state: State::Head(Progress::default()),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let body = match &self.state {
            State::Head(_) => 0,
            State::Body { reply, .. } => reply.body.len(),
        };
        self.buffer.len() + body
    }

    /// Whether the end of the answer is awaited.
    pub fn wants_end(&self) -> bool {
        matches!(self.want, Want::Body { .. })
    }

    /// Whether any byte of an answer has come.
    pub fn begun(&self) -> bool {
        self.interim > 0 || !self.buffer.is_empty() || matches!(self.state, State::Body { .. })
    }

    /// Takes what arrived; the answer once it is complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Garbled> {
        self.buffer.extend_from_slice(bytes);
        while let State::Head(progress) = &mut self.state {
            let mut scratch = Scratch::new();
            let parsed =
                parse::response_head(&self.buffer, self.asked, progress, self.bounds, &mut scratch);
            match parsed.map_err(|broken| Garbled::Broke(broken.what))? {
                Parsed::Partial => return Ok(None),
                Parsed::Complete { head, bytes } if is_interim(head.status) => {
                    self.buffer.drain(..bytes);
                    self.interim += 1;
                    if self.interim > INTERIM_MAX {
                        return Err(Garbled::Broke(What::TooManyInterims));
                    }
                }
                Parsed::Complete { head, bytes } => {
                    self.state = State::Body { reply: begin(&head), left: left(head.framing) };
                    self.buffer.drain(..bytes);
                }
            }
        }
        self.read_body()
    }

    /// The other side will send no more.
    pub fn end(&mut self) -> Result<Reply, Garbled> {
        if !self.begun() {
            return Err(Garbled::Broke(What::NoAnswer));
        }
        match std::mem::replace(&mut self.state, State::Head(Progress::default())) {
            State::Body { reply, left: Left::UntilClose } => Ok(reply),
            State::Body { .. } => Err(Garbled::Broke(What::BodyCut)),
            State::Head(_) => Err(Garbled::Broke(What::HeadCut)),
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
                let (used, done) = advance(&self.buffer, left, &mut reply.body, bytes_max)?;
                self.buffer.drain(..used);
                done
            }
        };
        if !done {
            return Ok(None);
        }
        // Bytes after the answer belong to nothing that was asked for.
        reply.reusable &= self.buffer.is_empty();
        match std::mem::replace(&mut self.state, State::Head(Progress::default())) {
            State::Body { reply, .. } => Ok(Some(reply)),
            State::Head(_) => Ok(None),
        }
    }
}

fn begin(head: &ResponseHead<'_>) -> Reply {
    let text = |name: &str| {
        let value = fields::first(head.fields, name)?;
        std::str::from_utf8(value).ok().map(|text| text.trim().to_owned())
    };
    Reply {
        status: head.status,
        etag: text("etag"),
        location: text("location"),
        grpc_status: text("grpc-status").and_then(|status| status.parse().ok()),
        body: Vec::new(),
        reusable: head.persistence == Persistence::Keep && head.framing != Framing::UntilClose,
    }
}

fn left(framing: Framing) -> Left {
    match framing {
        Framing::Empty => Left::Bytes(0),
        Framing::Length(length) => Left::Bytes(length),
        Framing::Chunked => Left::Chunks(Decoder::new(Who::Origin, CHUNKS)),
        Framing::UntilClose | Framing::Tunnel => Left::UntilClose,
    }
}

/// Moves body bytes from `input` to `body`: how many were used, and whether the body is complete.
fn advance(
    input: &[u8],
    left: &mut Left,
    body: &mut Vec<u8>,
    bytes_max: u32,
) -> Result<(usize, bool), Garbled> {
    let too_large = Garbled::BodyTooLarge { bytes_max };
    let room = (bytes_max as usize).saturating_sub(body.len());
    match left {
        Left::Bytes(count) => {
            if *count > room as u64 {
                return Err(too_large);
            }
            let here = usize::try_from(*count).map_or(input.len(), |it| it.min(input.len()));
            body.extend_from_slice(&input[..here]);
            *count -= here as u64;
            Ok((here, *count == 0))
        }
        Left::UntilClose if input.len() > room => Err(too_large),
        Left::UntilClose => {
            body.extend_from_slice(input);
            Ok((input.len(), false))
        }
        Left::Chunks(decoder) => {
            let mut at = 0;
            loop {
                let step = decoder.step(&input[at..]);
                match step.map_err(|broken| Garbled::Broke(broken.what))? {
                    Step::Data(range) if body.len() + range.len() > bytes_max as usize => {
                        return Err(too_large);
                    }
                    Step::Data(range) => {
                        body.extend_from_slice(&input[at + range.start..at + range.end]);
                        at += range.end;
                    }
                    Step::More => return Ok((input.len(), false)),
                    Step::End { used } => return Ok((at + used, true)),
                }
            }
        }
    }
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broke(what) => f.write_str(what.about()),
            Self::BodyTooLarge { bytes_max } => write!(f, "the answer exceeds {bytes_max} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: Want = Want::Body { bytes_max: 10 };
    const GET: Asked = Asked::Plain;

    /// Feeds `answer` whole and byte by byte; both must agree.
    #[track_caller]
    fn check(asked: Asked, answer: &str, expected: Result<(u16, &str, bool), Garbled>) {
        let seen = |step: usize| {
            let mut collector = Collector::new(asked, WANT, 100);
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
        check(GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", Ok((200, "[]", true)));
        check(GET, "HTTP/1.1 304 N\r\nContent-Length: 2\r\n\r\n", Ok((304, "", true)));
        check(Asked::Head, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Ok((200, "", true)));
        check(GET, "HTTP/1.1 200 OK\r\n\r\nbody", Ok((200, "body", false)));
        check(GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Ok((200, "x", false)));
        let close = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nx";
        check(GET, close, Ok((200, "x", false)));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = "2;a=b\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n";
        check(GET, &format!("{chunked}{body}"), Ok((200, "abc", true)));
        let interim = "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n";
        check(GET, interim, Ok((204, "", true)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(100));
        for (answer, what) in [
            ("", What::NoAnswer),
            ("SSH-2.0-OpenSSH\r\n", What::StartLine),
            ("HTTP/1.1 200 OK\r\nContent-Le", What::HeadCut),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]", What::BodyCut),
            ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n[]", What::LengthMalformed),
            (&large, What::HeadTooLarge),
            (&format!("{chunked}zz\r\n"), What::ChunkSize),
            (&format!("{chunked}1\r\nabc\r\n"), What::ChunkEnd),
            (&format!("{chunked}1\r\na"), What::BodyCut),
            (&"HTTP/1.1 100 C\r\n\r\n".repeat(17), What::TooManyInterims),
        ] {
            check(GET, answer, Err(Garbled::Broke(what)));
        }
    }

    #[test]
    fn what_is_too_large_is_given_up() {
        let too_large = Err(Garbled::BodyTooLarge { bytes_max: 10 });
        check(GET, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", too_large);
        check(GET, "HTTP/1.1 200 OK\r\n\r\n01234567890", too_large);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(GET, &format!("{chunked}6\r\n012345\r\n6\r\n012345\r\n"), too_large);
    }

    #[test]
    fn bytes_after_the_answer_spoil_the_connection() {
        let mut collector = Collector::new(GET, WANT, 100);
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
