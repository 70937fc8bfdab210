//! What the ends of the rig say, and what they understand: as little of HTTP as a steady state
//! needs, and nothing that allocates once it has grown.

use engine::h2::frame::{ACK, END_HEADERS, END_STREAM, HEAD, Head, Kind, PREFACE, window_update};

/// Which version an end speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speech {
    Http1,
    /// So many requests of a client at once.
    Http2(u32),
}

/// A request as a browser-like client sends it, about 290 bytes.
pub const REQUEST: &[u8] = b"GET /banking/accounts/17?currency=eur HTTP/1.1\r\nHost: \
bank.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\nAccept: \
application/json\r\nAccept-Language: en\r\nAccept-Encoding: identity\r\nCookie: \
session=0123456789abcdef\r\nX-Request-Id: 7b1c2d3e\r\nCache-Control: no-cache\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 10:00:00 \
GMT\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: \
128\r\n\r\n{................................................................................\
..............................................}";

/// The same request and response as fields.
const ASKED: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "bank.example.com"),
    (":path", "/banking/accounts/17?currency=eur"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) bench/1.0"),
    ("accept", "application/json"),
    ("accept-language", "en"),
    ("accept-encoding", "identity"),
    ("cookie", "session=0123456789abcdef"),
    ("x-request-id", "7b1c2d3e"),
    ("cache-control", "no-cache"),
];
const ANSWERED: &[(&str, &str)] = &[
    (":status", "200"),
    ("server", "origin"),
    ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("content-length", "128"),
];

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Mouth {
    speech: Speech,
    client: bool,
    /// What is to be said.
    pub(super) out: Vec<u8>,
    heard: Vec<u8>,
    /// Messages that came whole.
    whole: u64,
    /// The next stream of a client.
    next: u32,
    /// The head of whatever is said.
    head: Vec<u8>,
    /// Whether a cookie that comes would be a new one.
    wants_cookie: bool,
}

impl Mouth {
    pub(super) fn client(speech: Speech, more: &str) -> Self {
        let lines = [&REQUEST[..REQUEST.len() - 2], more.as_bytes(), b"\r\n"].concat();
        Self::new(speech, true, if speech == Speech::Http1 { lines } else { block(ASKED) })
    }

    pub(super) fn origin(speech: Speech) -> Self {
        let lines = RESPONSE.to_vec();
        Self::new(speech, false, if speech == Speech::Http1 { lines } else { block(ANSWERED) })
    }

    fn new(speech: Speech, client: bool, head: Vec<u8>) -> Self {
        let (out, heard) = (Vec::with_capacity(1 << 12), Vec::with_capacity(1 << 12));
        let wants_cookie = client && speech == Speech::Http1;
        let mut mouth = Self { speech, client, out, heard, whole: 0, next: 1, head, wants_cookie };
        if speech != Speech::Http1 {
            if client {
                mouth.out.extend_from_slice(PREFACE);
            }
            mouth.put(Kind::Settings, 0, 0, &[]);
            mouth.out.extend_from_slice(&window_update(0, 1 << 30));
        }
        mouth
    }

    /// A client asks.
    pub(super) fn ask(&mut self) {
        match self.speech {
            Speech::Http1 => self.out.extend_from_slice(&self.head),
            Speech::Http2(streams) => {
                for _ in 0..streams {
                    self.put_head(self.next, END_HEADERS | END_STREAM);
                    self.next += 2;
                }
            }
        }
    }

    /// Takes what the worker sent. A server answers every request in it.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        let messages =
            if self.speech == Speech::Http1 { self.hear_text() } else { self.hear_frames() };
        self.whole += messages;
        if self.speech == Speech::Http1 && !self.client {
            (0..messages).for_each(|_| self.out.extend_from_slice(&self.head));
        }
    }

    /// Messages that came since the last time.
    pub(super) fn answers(&mut self) -> u64 {
        let whole = std::mem::take(&mut self.whole);
        if self.client { whole } else { 0 }
    }

    /// A request is its head, a response has 128 bytes behind it.
    fn hear_text(&mut self) -> u64 {
        let mut messages = 0;
        while let Some(end) = self.heard.windows(4).position(|window| window == b"\r\n\r\n") {
            let whole = end + 4 + if self.client { 128 } else { 0 };
            if self.heard.len() < whole {
                break;
            }
            if self.wants_cookie {
                self.take_cookies(end);
            }
            self.heard.drain(..whole);
            messages += 1;
        }
        messages
    }

    /// A client keeps the cookies of its first response.
    fn take_cookies(&mut self, end: usize) {
        self.wants_cookie = false;
        let text = String::from_utf8_lossy(&self.heard[..end]).into_owned();
        let lines = text.split("\r\n").filter_map(|line| line.strip_prefix("Set-Cookie: "));
        for cookie in lines.filter_map(|cookie| cookie.split(';').next()) {
            self.head.truncate(self.head.len() - 2);
            self.head.extend_from_slice(format!("Cookie: {cookie}\r\n\r\n").as_bytes());
        }
    }

    fn hear_frames(&mut self) -> u64 {
        let mut at = if self.heard.starts_with(PREFACE) { PREFACE.len() } else { 0 };
        let mut ended = 0;
        while let Some(head) = self.heard[at..].first_chunk().map(Head::read) {
            let whole = HEAD + head.length as usize;
            if self.heard.len() < at + whole {
                break;
            }
            at += whole;
            let message = matches!(head.kind, Kind::Headers | Kind::Data);
            if head.kind == Kind::Settings && !head.has(ACK) {
                self.put(Kind::Settings, ACK, 0, &[]);
            } else if message && head.has(END_STREAM) {
                ended += 1;
                if !self.client {
                    self.put_head(head.stream, END_HEADERS);
                    self.put(Kind::Data, END_STREAM, head.stream, &[b'.'; 128]);
                }
            }
        }
        self.heard.drain(..at);
        ended
    }

    fn put_head(&mut self, stream: u32, flags: u8) {
        let block = std::mem::take(&mut self.head);
        self.put(Kind::Headers, flags, stream, &block);
        self.head = block;
    }

    fn put(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a small payload");
        self.out.extend_from_slice(&Head { length, kind, flags, stream }.bytes());
        self.out.extend_from_slice(payload);
    }
}

/// Fields as literals that no table remembers.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
