//! A stream of pipelined requests, cut at arbitrary places: the same messages come out wherever it
//! is cut, and an accepted body is what a naive reader makes of it.

#![no_main]

use engine::http::alias::Aliases;
use engine::base::prng::Prng;
use engine::h1::chunked::{self, Decoder, Step};
use engine::h1::parse::{self, Bounds, Parsed, Progress, Scratch};
use engine::http::blame::{What, Who};
use engine::http::framing::Framing;
use libfuzzer_sys::fuzz_target;

const HEAD: Bounds = Bounds { bytes_max: 1024, fields_max: 16, aliases: Aliases::KEPT };
const BODY: chunked::Bounds = chunked::Bounds { line_max: 64, trailer_max: 128 };

/// What happened on a connection, in order.
#[derive(Clone, PartialEq, Debug)]
enum Event {
    Head { text: Vec<u8>, framing: Framing },
    Body { content: Vec<u8>, trailers: Vec<(String, Vec<u8>)>, wire: Vec<u8> },
    Refused { what: What },
}

fuzz_target!(|data: &[u8]| {
    let [seed, stream @ ..] = data else { return };
    let whole = read(stream, |rest| rest);
    let in_bytes = read(stream, |_| 1);
    same(&whole, &in_bytes);
    let mut prng = Prng::new(u64::from(*seed));
    let in_pieces = read(stream, |rest| 1 + usize::try_from(prng.below(rest as u64)).unwrap());
    same(&whole, &in_pieces);
    for pair in whole.windows(2) {
        if let [Event::Head { framing, .. }, Event::Body { content, trailers, wire }] = pair {
            match framing {
                Framing::Chunked => naive_chunks(wire, content, trailers),
                Framing::Length(length) => {
                    assert_eq!((*length, wire), (content.len() as u64, content));
                }
                Framing::Empty | Framing::UntilClose | Framing::Tunnel => {
                    assert!(content.is_empty() && *framing == Framing::Empty);
                }
            }
        }
    }
});

/// Cut differently, a head may be refused for another of its faults or its refusal may have to wait
/// for the empty line, but nothing else differs.
fn same(whole: &[Event], cut: &[Event]) {
    for (a, b) in whole.iter().zip(cut) {
        match (a, b) {
            (Event::Refused { .. }, Event::Refused { .. }) => {}
            _ => assert_eq!(a, b),
        }
    }
    match (whole, cut) {
        _ if whole.len() == cut.len() => {}
        ([before @ .., Event::Refused { .. }], _) => assert_eq!(before.len(), cut.len()),
        _ => panic!("{whole:?} against {cut:?}"),
    }
}

/// Reads `stream`, which arrives in pieces whose sizes `cut` chooses.
fn read(stream: &[u8], mut cut: impl FnMut(usize) -> usize) -> Vec<Event> {
    let mut events = Vec::new();
    let mut arrived = 0;
    let mut used = 0;
    let mut progress = Progress::default();
    let mut body: Option<Body> = None;
    while arrived < stream.len() {
        arrived += cut(stream.len() - arrived);
        loop {
            let buf = &stream[used..arrived];
            let done = match &mut body {
                Some(body) => body.advance(buf).inspect(|taken| used += taken.0).map(|t| t.1),
                None => head(buf, &mut progress).map(|head| {
                    head.map(|(event, framing, bytes)| {
                        used += bytes;
                        body = Some(Body::new(framing));
                        event
                    })
                }),
            };
            match done {
                Ok(Some(event)) => {
                    if matches!(event, Event::Body { .. }) {
                        body = None;
                    }
                    events.push(event);
                }
                Ok(None) => break,
                Err(what) => {
                    events.push(Event::Refused { what });
                    return events;
                }
            }
        }
    }
    events
}

fn head(buf: &[u8], progress: &mut Progress) -> Result<Option<(Event, Framing, usize)>, What> {
    let mut scratch = Scratch::new();
    match parse::request_head(buf, progress, HEAD, &mut scratch) {
        Ok(Parsed::Partial) => Ok(None),
        Ok(Parsed::Complete { head, bytes }) => {
            let framing = head.framing;
            Ok(Some((Event::Head { text: buf[..bytes].to_vec(), framing }, framing, bytes)))
        }
        Err(misbehaved) => Err(misbehaved.what),
    }
}

/// A body being read.
struct Body {
    framing: Framing,
    decoder: Decoder,
    content: Vec<u8>,
    wire: Vec<u8>,
}

impl Body {
    fn new(framing: Framing) -> Self {
        let decoder = Decoder::new(Who::Client, BODY);
        Self { framing, decoder, content: Vec::new(), wire: Vec::new() }
    }

    /// How much of `buf` was used, and the body if it is over.
    fn advance(&mut self, buf: &[u8]) -> Result<(usize, Option<Event>), What> {
        let (used, over) = match self.framing {
            Framing::Chunked => self.decode(buf)?,
            Framing::Length(length) => {
                let left = usize::try_from(length).unwrap_or(usize::MAX) - self.content.len();
                let count = left.min(buf.len());
                self.content.extend_from_slice(&buf[..count]);
                (count, count == left)
            }
            Framing::Empty | Framing::UntilClose | Framing::Tunnel => (0, true),
        };
        self.wire.extend_from_slice(&buf[..used]);
        let event = over.then(|| Event::Body {
            content: self.content.clone(),
            trailers: self
                .decoder
                .trailers()
                .map(|field| (field.name.to_owned(), field.value.to_owned()))
                .collect(),
            wire: self.wire.clone(),
        });
        Ok((used, event))
    }

    fn decode(&mut self, buf: &[u8]) -> Result<(usize, bool), What> {
        let mut used = 0;
        loop {
            match self.decoder.step(&buf[used..]).map_err(|misbehaved| misbehaved.what)? {
                Step::Data(data) => {
                    self.content.extend_from_slice(&buf[used..][data.clone()]);
                    used += data.end;
                }
                Step::More => return Ok((buf.len(), false)),
                Step::End { used: last } => return Ok((used + last, true)),
            }
        }
    }
}

/// Reads an accepted chunked body the simple way and compares.
fn naive_chunks(wire: &[u8], content: &[u8], trailers: &[(String, Vec<u8>)]) {
    let mut rest = wire;
    let mut joined = Vec::new();
    loop {
        let line = take_line(&mut rest);
        let size = line.split(|b| *b == b';').next().expect("a first part").trim_ascii();
        let size = std::str::from_utf8(size).expect("digits");
        assert!(!size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit()), "{size}");
        let size = usize::from_str_radix(size, 16).expect("an accepted size");
        if size == 0 {
            break;
        }
        joined.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        assert!(take_line(&mut rest).is_empty());
    }
    assert_eq!(joined, content);
    let mut lines = Vec::new();
    loop {
        let line = take_line(&mut rest);
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    assert!(rest.is_empty());
    for (name, value) in trailers {
        let found = lines
            .iter()
            .any(|line| line.starts_with(name.as_bytes()) && line.trim_ascii().ends_with(value));
        assert!(found, "{name}");
        let name = name.to_ascii_lowercase();
        assert!(!["content-length", "transfer-encoding", "host"].contains(&name.as_str()));
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.windows(2).position(|two| two == b"\r\n").expect("a line that ends");
    let line = &rest[..end];
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    *rest = &rest[end + 2..];
    line
}
