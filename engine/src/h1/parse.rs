//! Heads from bytes. httparse does the reading; what it tolerates and RFC 9112 forbids is refused
//! here, as is every head over its bounds.

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
            let head = RequestHead::new(method, target, version, request.headers)?;
            Ok(Parsed::Complete { head, bytes })
        }
        Ok(httparse::Status::Partial) => partial(buf, bounds),
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
        Ok(httparse::Status::Partial) => partial(buf, bounds),
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
    let pairs = before.zip(&head[1..]);
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
