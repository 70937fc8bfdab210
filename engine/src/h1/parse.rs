//! Heads from bytes. httparse does the reading; what it tolerates and RFC 9112 forbids is refused
//! here, as is every head over its bounds.

use crate::http::alias::Aliases;
use crate::http::blame::{Misbehaved, What};
use crate::http::fields::Field;
use crate::http::framing::Asked;
use crate::http::head::{FIELDS_MAX, RequestHead, ResponseHead, Version};
use std::mem::MaybeUninit;

/// Room for the fields of one head. On the stack, never initialised as a whole.
#[derive(Debug)]
pub struct Scratch<'b>([MaybeUninit<Field<'b>>; FIELDS_MAX]);

/// How large a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub bytes_max: usize,
    /// Beyond [`FIELDS_MAX`] it means that.
    pub fields_max: usize,
    /// Of requests.
    pub aliases: Aliases,
}

impl Bounds {
    /// As large as a head may be that was read before.
    pub fn again(aliases: Aliases) -> Self {
        Self { bytes_max: usize::MAX, fields_max: FIELDS_MAX, aliases }
    }
}

/// What is known of a head that has not arrived whole, so that no byte is read over and over.
/// Starts anew with each message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    scanned: usize,
}

/// What is in the buffer so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<T> {
    Partial,
    /// The head takes `bytes` of the buffer, an empty line before it included.
    Complete {
        head: T,
        bytes: usize,
    },
}

impl Scratch<'_> {
    pub fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; FIELDS_MAX])
    }
}

impl Default for Scratch<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the head of a request at the start of `buf`.
pub fn request_head<'h, 'b: 'h>(
    buf: &'b [u8],
    progress: &mut Progress,
    bounds: Bounds,
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<RequestHead<'h>>, Misbehaved> {
    request(buf, progress, bounds, scratch).map_err(Misbehaved::client)
}

/// Reads the head of a response at the start of `buf`. Interim responses are heads too: see
/// [`crate::http::status::is_interim`].
pub fn response_head<'h, 'b: 'h>(
    buf: &'b [u8],
    asked: Asked,
    progress: &mut Progress,
    bounds: Bounds,
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<ResponseHead<'h>>, Misbehaved> {
    response(buf, asked, progress, bounds, scratch).map_err(Misbehaved::origin)
}

fn request<'h, 'b: 'h>(
    buf: &'b [u8],
    progress: &mut Progress,
    bounds: Bounds,
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<RequestHead<'h>>, What> {
    let Some(lead) = leading_line(buf)? else { return Ok(Parsed::Partial) };
    if !progress.may_be_whole(buf, lead)? {
        return partial(buf, bounds);
    }
    let head = &buf[lead..];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, room(scratch, bounds)) {
        Ok(httparse::Status::Complete(bytes)) => {
            let bytes = lead + bytes;
            check_size(bytes, bounds)?;
            check_line_ends(&buf[..bytes])?;
            let method = request.method.expect("a complete request has a method");
            let target = request.path.expect("a complete request has a target");
            let version = version(request.version);
            *progress = Progress::default();
            let fields = bounds.aliases.settle(request.headers);
            let fields = fields.map_err(|_| What::FieldAlias)?;
            let head = RequestHead::new(method, target, version, fields)?;
            Ok(Parsed::Complete { head, bytes })
        }
        Ok(httparse::Status::Partial) => {
            check_line_ends(buf)?;
            partial(buf, bounds)
        }
        Err(httparse::Error::Version) => Err(version_fault(head.split(|b| *b == b' ').nth(2))),
        Err(error) => Err(violation(error)),
    }
}

fn response<'h, 'b: 'h>(
    buf: &'b [u8],
    asked: Asked,
    progress: &mut Progress,
    bounds: Bounds,
    scratch: &'h mut Scratch<'b>,
) -> Result<Parsed<ResponseHead<'h>>, What> {
    if matches!(buf.first(), Some(b'\r' | b'\n')) {
        return Err(What::BlankLines);
    }
    if !progress.may_be_whole(buf, 0)? {
        return partial(buf, bounds);
    }
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        buf,
        room(scratch, bounds),
    ) {
        Ok(httparse::Status::Complete(bytes)) => {
            check_size(bytes, bounds)?;
            check_line_ends(&buf[..bytes])?;
            let status = response.code.expect("a complete response has a status");
            let reason = response.reason.unwrap_or("");
            let version = version(response.version);
            *progress = Progress::default();
            let head = ResponseHead::new(status, reason, version, response.headers, asked)?;
            Ok(Parsed::Complete { head, bytes })
        }
        Ok(httparse::Status::Partial) => {
            check_line_ends(buf)?;
            partial(buf, bounds)
        }
        Err(httparse::Error::Version) => Err(version_fault(buf.split(|b| *b == b' ').next())),
        Err(error) => Err(violation(error)),
    }
}

fn partial<T>(buf: &[u8], bounds: Bounds) -> Result<Parsed<T>, What> {
    if buf.len() >= bounds.bytes_max { Err(What::HeadTooLarge) } else { Ok(Parsed::Partial) }
}

fn room<'h, 'b>(scratch: &'h mut Scratch<'b>, bounds: Bounds) -> &'h mut [MaybeUninit<Field<'b>>] {
    &mut scratch.0[..bounds.fields_max.min(FIELDS_MAX)]
}

/// The bytes of the empty line that RFC 9112 §2.2 lets come before a request; nothing while that
/// is not settled.
fn leading_line(buf: &[u8]) -> Result<Option<usize>, What> {
    match buf {
        [] | [b'\r'] | [b'\r', b'\n'] => Ok(None),
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(What::BlankLines),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\r' | b'\n', ..] => Err(What::LineEnd),
        _ => Ok(Some(0)),
    }
}

impl Progress {
    /// Whether to run the parser. At first it does, since a head mostly arrives whole; after that
    /// only once the empty line is there.
    fn may_be_whole(&mut self, buf: &[u8], lead: usize) -> Result<bool, What> {
        let from = self.scanned.max(lead);
        if self.scanned == 0 {
            self.scanned = buf.len();
            return Ok(true);
        }
        for at in (from..buf.len()).filter(|at| buf[*at] == b'\n') {
            match &buf[lead..=at] {
                [.., b'\r', b'\n', b'\r', b'\n'] => return Ok(true),
                [.., b'\r', b'\n'] => {}
                _ => return Err(What::LineEnd),
            }
        }
        self.scanned = buf.len();
        Ok(false)
    }
}

fn check_size(bytes: usize, bounds: Bounds) -> Result<(), What> {
    if bytes > bounds.bytes_max { Err(What::HeadTooLarge) } else { Ok(()) }
}

/// httparse takes a lone LF for a line end. One pass without a branch, so that it vectorises.
fn check_line_ends(head: &[u8]) -> Result<(), What> {
    let before = head.iter();
    let pairs = before.zip(head.get(1..).unwrap_or(&[]));
    let bare =
        pairs.fold(0u8, |bare, (a, b)| bare | (u8::from(*b == b'\n') & u8::from(*a != b'\r')));
    if bare == 0 { Ok(()) } else { Err(What::LineEnd) }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

/// Tells a version that is not ours from what is no version at all.
fn version_fault(word: Option<&[u8]>) -> What {
    match word.and_then(|word| word.strip_prefix(b"HTTP/")) {
        Some(
            [b'0'..=b'9']
            | [b'0'..=b'9', b'.']
            | [b'0'..=b'9', b'.', b'0'..=b'9']
            | [b'0'..=b'9', b'.', b'0'..=b'9', b'\r' | b'\n', ..],
        ) => What::Version,
        _ => What::StartLine,
    }
}

fn violation(error: httparse::Error) -> What {
    match error {
        httparse::Error::HeaderName => What::FieldName,
        httparse::Error::HeaderValue => What::FieldValue,
        httparse::Error::NewLine => What::LineEnd,
        httparse::Error::TooManyHeaders => What::TooManyFields,
        httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => {
            What::StartLine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::framing::Framing;
    use crate::http::head::Persistence;

    const BOUNDS: Bounds = Bounds { bytes_max: 400, fields_max: 8, aliases: Aliases::KEPT };

    fn told(head: &RequestHead<'_>, bytes: usize) -> String {
        let RequestHead { method, target, version, framing, persistence, .. } = head;
        format!("{} {target} {version:?} {framing:?} {persistence:?} {bytes}", method.as_str())
    }

    fn read(buf: &[u8], progress: &mut Progress) -> Result<Option<String>, What> {
        let mut scratch = Scratch::new();
        match request_head(buf, progress, BOUNDS, &mut scratch) {
            Ok(Parsed::Partial) => Ok(None),
            Ok(Parsed::Complete { head, bytes }) => Ok(Some(told(&head, bytes))),
            Err(misbehaved) => Err(misbehaved.what),
        }
    }

    /// Whole, and byte by byte with what was learned before: an accepted head is partial until its
    /// last byte, a refused one is refused no later than whole.
    #[track_caller]
    fn check(text: &str, expected: Result<&str, What>) {
        let whole = read(text.as_bytes(), &mut Progress::default());
        assert_eq!(whole, expected.map(|text| Some(text.to_owned())), "{text:?}");
        let mut progress = Progress::default();
        for end in 1..text.len() {
            let result = read(&text.as_bytes()[..end], &mut progress);
            match (&result, expected) {
                (Ok(None), _) => {}
                (Err(_), Err(_)) => return,
                _ => panic!("{result:?} after {end} of {text:?}"),
            }
        }
        assert_eq!(read(text.as_bytes(), &mut progress), whole, "{text:?} byte by byte");
    }

    #[test]
    fn heads_of_requests() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("GET / Http11 Empty Keep 27"));
        check("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("GET / Http11 Empty Keep 29"));
        check("GET / HTTP/1.0\r\n\r\n", Ok("GET / Http10 Empty Close 18"));
        check(
            "POST /x HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\n",
            Ok("POST /x Http10 Length(3) Keep 63"),
        );
        check(
            "PUT /x HTTP/1.1\r\nhost:\r\nconnection: close\r\nTransfer-Encoding: Chunked\r\n\r\n",
            Ok("PUT /x Http11 Chunked Close 73"),
        );
        check("x! / HTTP/1.1\r\nhost: a\r\nb: \tc \r\n\r\n", Ok("x! / Http11 Empty Keep 34"));
    }

    #[test]
    fn start_lines_are_strict() {
        for broken in
            ["GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP/1.1.1", " GET / HTTP/1.1"]
        {
            let result =
                read(format!("{broken}\r\nHost: a\r\n\r\n").as_bytes(), &mut Progress::default());
            assert!(matches!(result, Err(What::StartLine | What::LineEnd)), "{broken} {result:?}");
        }
        for other in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.0"] {
            check(&format!("GET / {other}\r\nHost: a\r\n\r\n"), Err(What::Version));
        }
        for broken in ["http/1.1", "HTTP/11", "HTTX/1.1", "HTTP/1.x", "HTTP/ 1.1"] {
            check(&format!("GET / {broken}\r\nHost: a\r\n\r\n"), Err(What::StartLine));
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_at_most_one() {
        check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(What::BlankLines));
        check("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(What::LineEnd));
        check("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Err(What::LineEnd));
    }

    #[test]
    fn a_head_over_its_bounds_is_refused() {
        let head = |bytes: usize| {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nb: ";
            format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
        };
        check(&head(400), Ok("GET / Http11 Empty Keep 400"));
        check(&head(401), Err(What::HeadTooLarge));
        let fields =
            |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "b: c\r\n".repeat(count));
        check(&fields(7), Ok("GET / Http11 Empty Keep 69"));
        check(&fields(8), Err(What::TooManyFields));
    }

    #[test]
    fn a_bare_line_feed_is_refused_before_the_head_is_whole() {
        check("GET / HTTP/1.1\nHost: a\r\nb: c", Err(What::LineEnd));
        check("GET / HTTP/1.1\r\nHost: a\n", Err(What::LineEnd));
    }

    #[test]
    fn what_comes_after_a_head_is_left_alone() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/9.9\n\n";
        let result = read(text, &mut Progress::default());
        assert_eq!(result, Ok(Some("GET / Http11 Empty Keep 27".to_owned())));
    }

    #[test]
    fn reading_byte_by_byte_parses_only_at_both_ends() {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nb: {}\r\n\r\n", "x".repeat(300));
        let mut progress = Progress::default();
        for end in 1..text.len() {
            assert_eq!(read(&text.as_bytes()[..end], &mut progress), Ok(None));
            assert_eq!(progress.scanned, end);
        }
        assert!(read(text.as_bytes(), &mut progress).expect("fine").is_some());
        assert_eq!(progress, Progress::default());
    }

    #[track_caller]
    fn answer(text: &str, asked: Asked, expected: Result<(u16, Framing), What>) {
        let mut scratch = Scratch::new();
        let mut progress = Progress::default();
        let result = response_head(text.as_bytes(), asked, &mut progress, BOUNDS, &mut scratch);
        let result = match result {
            Ok(Parsed::Complete { head, bytes }) => {
                assert_eq!(bytes, text.len());
                Ok((head.status, head.framing))
            }
            Ok(Parsed::Partial) => panic!("{text:?} is partial"),
            Err(misbehaved) => Err(misbehaved.what),
        };
        assert_eq!(result, expected, "{text:?}");
    }

    #[test]
    fn heads_of_responses() {
        let ok = |framing| Ok((200, framing));
        answer("HTTP/1.1 200 OK\r\n\r\n", Asked::Plain, ok(Framing::UntilClose));
        answer("HTTP/1.1 200\r\n\r\n", Asked::Plain, ok(Framing::UntilClose));
        answer("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n", Asked::Plain, ok(Framing::Length(2)));
        answer("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n", Asked::Head, ok(Framing::Empty));
        answer(
            "HTTP/1.1 101 \r\nConnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            Asked::Upgrade,
            Ok((101, Framing::Tunnel)),
        );
        answer("HTTP/1.1 101 \r\nupgrade: x\r\n\r\n", Asked::Upgrade, Err(What::SwitchUnasked));
        answer("HTTP/1.1 099 \r\n\r\n", Asked::Plain, Err(What::StatusMalformed));
        answer("HTTP/1.1 200 OK\n\n", Asked::Plain, Err(What::LineEnd));
        answer("\r\nHTTP/1.1 200 OK\r\n\r\n", Asked::Plain, Err(What::BlankLines));
        answer("HTTP/2 200 OK\r\n\r\n", Asked::Plain, Err(What::Version));
        answer("SSH-2.0-OpenSSH\r\n\r\n", Asked::Plain, Err(What::StartLine));
        answer("HTTP/1.1 2000 OK\r\n\r\n", Asked::Plain, Err(What::StartLine));
        answer("HTTP/1.1 200 OK\r\na : b\r\n\r\n", Asked::Plain, Err(What::FieldName));
        answer("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Asked::Plain, Err(What::FieldName));
    }

    #[test]
    fn blame_falls_on_the_sender() {
        let mut scratch = Scratch::new();
        let mut progress = Progress::default();
        let refused = request_head(b"\n", &mut progress, BOUNDS, &mut scratch);
        assert_eq!(refused.map(|_| ()), Err(Misbehaved::client(What::LineEnd)));
        let refused = response_head(b"\n", Asked::Plain, &mut progress, BOUNDS, &mut scratch);
        assert_eq!(refused.map(|_| ()), Err(Misbehaved::origin(What::BlankLines)));
    }

    #[test]
    fn upgrades_and_expectations() {
        let of = |fields: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let mut scratch = Scratch::new();
            match request_head(text.as_bytes(), &mut Progress::default(), BOUNDS, &mut scratch) {
                Ok(Parsed::Complete { head, .. }) => {
                    let RequestHead { upgrade, expects_continue, takes_trailers, .. } = head;
                    assert_eq!(head.persistence, Persistence::Keep);
                    Ok(format!("{} {expects_continue} {takes_trailers}", upgrade.unwrap_or("-")))
                }
                Ok(Parsed::Partial) => panic!("{text:?} is partial"),
                Err(misbehaved) => Err(misbehaved.status()),
            }
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(of("Connection: Upgrade\r\nUpgrade: websocket"), ok("websocket false false"));
        assert_eq!(of("Upgrade: websocket"), ok("- false false"));
        assert_eq!(of("Connection: Upgrade\r\nUpgrade: h2c"), ok("- false false"));
        assert_eq!(of("Connection: Upgrade\r\nUpgrade: a\r\nUpgrade: b"), ok("- false false"));
        assert_eq!(
            of("Connection: Upgrade\r\nUpgrade: a\r\nContent-Length: 1"),
            ok("- false false")
        );
        assert_eq!(of("Expect: 100-continue\r\nTE: trailers"), ok("- true true"));
        assert_eq!(of("Expect: cake"), Err(417));
    }
}
