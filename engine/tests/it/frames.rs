//! HTTP/2 spoken by hand: frames from their parts, and what came back as lines to compare.

use engine::h2::frame::{ACK, END_HEADERS, END_STREAM, HEAD, Head, Kind, PREFACE};
use engine::h2::hpack::Decoder;

/// A frame.
pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small payload");
    let mut bytes = Head { length, kind, flags, stream }.bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// Fields as literals that no table remembers.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            assert!(text.len() < 127, "longer texts need more than a byte of length");
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The first bytes of a client.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(Kind::Settings, 0, 0, &[])].concat()
}

/// HEADERS of a request with more fields behind the usual ones.
pub(crate) fn request(stream: u32, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", method), (":scheme", "http"), (":authority", "s"), (":path", path)];
    let fields: Vec<_> = usual.into_iter().chain(more.iter().copied()).collect();
    frame(Kind::Headers, END_HEADERS, stream, &block(&fields))
}

/// The same, and no content.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    ended(request(stream, "GET", path, &[]))
}

/// Sets END_STREAM.
pub(crate) fn ended(mut frame: Vec<u8>) -> Vec<u8> {
    frame[4] |= END_STREAM;
    frame
}

pub(crate) fn data(stream: u32, content: &str) -> Vec<u8> {
    frame(Kind::Data, 0, stream, content.as_bytes())
}

/// What a peer hears.
#[derive(Default, Debug)]
pub(crate) struct Ear {
    decoder: Decoder,
    rest: Vec<u8>,
}

impl Ear {
    /// One line for each frame; SETTINGS and what merely grants more are left
    /// out, and the date of heads.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(head) = self.rest.first_chunk().map(Head::read) {
            let whole = HEAD + head.length as usize;
            if self.rest.len() < whole {
                break;
            }
            let frame: Vec<u8> = self.rest.drain(..whole).collect();
            lines.extend(self.line(head, &frame[HEAD..]));
        }
        lines
    }

    fn line(&mut self, head: Head, payload: &[u8]) -> Option<String> {
        let end = if head.has(END_STREAM) { " end" } else { "" };
        let number = |at: usize| {
            u32::from_be_bytes(*payload[at..].first_chunk().expect("four bytes of a number"))
        };
        let stream = head.stream;
        match head.kind {
            Kind::Headers => {
                let mut fields = String::new();
                let each = |name: &[u8], value: &[u8]| {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    if name == b"date" {
                        return;
                    }
                    fields.push_str(&format!(" {}={}", text(name), text(value)));
                };
                self.decoder.decode(payload, each).expect("a block that can be read");
                Some(format!("{stream} head{fields}{end}"))
            }
            Kind::Data => Some(format!("{stream} data {}{end}", String::from_utf8_lossy(payload))),
            Kind::RstStream => Some(format!("{stream} reset {}", number(0))),
            Kind::Goaway => Some(format!("goaway {} {}", number(0), number(4))),
            Kind::Ping if head.has(ACK) => Some("pong".to_owned()),
            Kind::Settings | Kind::WindowUpdate => None,
            Kind::Priority
            | Kind::PushPromise
            | Kind::Ping
            | Kind::Continuation
            | Kind::Other(_) => Some(format!("unexpected {head:?}")),
        }
    }
}
