//! One gRPC call whose answers stream in, over a blocking socket without TLS. Frames and header
//! compression are the engine's; what is here knows one stream of one connection.

use engine::h2::frame::{
    ACK, END_HEADERS, END_STREAM, HEAD, Head, Kind, PADDED, PREFACE, PRIORITY, Setting, ping,
    window_update,
};
use engine::h2::hpack::{Decoder, Encoder};
use std::io::{self, Read, Write};

/// The only stream.
const STREAM: u32 = 1;
/// A message with more bytes than this is none of ours.
const MESSAGE_MAX: usize = 4 << 20;
/// Bytes of a header block.
const BLOCK_MAX: usize = 64 << 10;
/// What a message begins with: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Why no further message comes.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Nothing came for as long as the socket waits. Asking again goes on waiting.
    Silent,
    Failed(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return Self::Silent;
        }
        let ended = kind == io::ErrorKind::UnexpectedEof;
        Self::Failed(if ended { "the connection ended".to_owned() } else { error.to_string() })
    }
}

fn broken(what: &str) -> End {
    End::Failed(format!("the answer is not gRPC: {what}"))
}

pub(super) struct Call<S> {
    socket: S,
    /// Something came since somebody asked.
    heard: bool,
    /// What was read and not understood yet.
    wire: Vec<u8>,
    decoder: Decoder,
    block: Vec<u8>,
    /// The block under way ends the stream.
    block_ends: bool,
    in_block: bool,
    /// Bytes of messages.
    inbox: Vec<u8>,
    ended: bool,
    status: Status,
}

/// What the header fields of the answer say.
#[derive(Default)]
struct Status {
    http: String,
    grpc: String,
    message: String,
}

impl<S: Read + Write> Call<S> {
    /// Asks for the method at `path` with an empty message.
    pub(super) fn start(mut socket: S, path: &str, metadata: &[(&str, &str)]) -> io::Result<Self> {
        let mut block = Vec::new();
        let mut encoder = Encoder::default();
        encoder.begin(&mut block);
        let fixed = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", concat!("tieline/", env!("CARGO_PKG_VERSION"))),
        ];
        for (name, value) in fixed.iter().chain(metadata) {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
        }
        let mut out = PREFACE.to_vec();
        put(&mut out, Kind::Settings, 0, 0, &Setting::EnablePush(0).bytes());
        put(&mut out, Kind::Headers, END_HEADERS, STREAM, &block);
        put(&mut out, Kind::Data, END_STREAM, STREAM, &[0; PREFIX]);
        socket.write_all(&out)?;
        Ok(Self {
            socket,
            heard: true,
            wire: Vec::new(),
            decoder: Decoder::default(),
            block: Vec::new(),
            block_ends: false,
            in_block: false,
            inbox: Vec::new(),
            ended: false,
            status: Status::default(),
        })
    }

    /// Waits for the next message.
    pub(super) fn next(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(message);
            }
            if self.ended {
                return Err(self.status.end());
            }
            match self.frame() {
                Some((head, payload)) => self.on_frame(head, &payload)?,
                None => self.fill()?,
            }
        }
    }

    /// Whether anything came since this was asked last. A new call is given the benefit of doubt.
    pub(super) fn was_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) -> Result<(), End> {
        Ok(self.socket.write_all(&ping(*b"tieline?", 0))?)
    }

    fn fill(&mut self) -> Result<(), End> {
        let mut bytes = [0; 16 << 10];
        let count = match self.socket.read(&mut bytes) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => count,
            // A signal came first.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.heard = true;
        self.wire.extend_from_slice(&bytes[..count]);
        Ok(())
    }

    fn frame(&mut self) -> Option<(Head, Vec<u8>)> {
        let head = Head::read(self.wire.first_chunk::<HEAD>()?);
        let end = HEAD + head.length as usize;
        if self.wire.len() < end.min(HEAD + MESSAGE_MAX) {
            return None;
        }
        let payload = self.wire.get(HEAD..end).unwrap_or_default().to_vec();
        self.wire.drain(..end.min(self.wire.len()));
        Some((head, payload))
    }

    fn on_frame(&mut self, head: Head, payload: &[u8]) -> Result<(), End> {
        let continues = head.kind == Kind::Continuation && self.in_block;
        if self.in_block && !continues {
            return Err(broken("a header block was interrupted"));
        }
        if !continues {
            head.check().map_err(|_| broken("a frame is malformed"))?;
        }
        match head.kind {
            Kind::Data if head.stream == STREAM => self.on_data(head, payload),
            Kind::Headers if head.stream == STREAM => {
                self.block_ends = head.has(END_STREAM);
                let payload = without_padding(head, payload)?;
                let skipped = if head.has(PRIORITY) { 5 } else { 0 };
                let block = payload.get(skipped..).ok_or_else(|| broken("a head is too short"))?;
                self.on_block(head, block)
            }
            Kind::Continuation => self.on_block(head, payload),
            Kind::Data | Kind::Headers => Err(broken("a stream was not asked for")),
            Kind::Settings if !head.has(ACK) => {
                let mut out = Vec::new();
                put(&mut out, Kind::Settings, ACK, 0, &[]);
                Ok(self.socket.write_all(&out)?)
            }
            Kind::Ping if !head.has(ACK) => {
                let data = payload.first_chunk::<8>().ok_or_else(|| broken("a ping"))?;
                Ok(self.socket.write_all(&ping(*data, ACK))?)
            }
            Kind::RstStream => Err(End::Failed("the call was reset".to_owned())),
            Kind::Goaway => Err(End::Failed("the other side is going away".to_owned())),
            Kind::Settings
            | Kind::Ping
            | Kind::Priority
            | Kind::PushPromise
            | Kind::WindowUpdate
            | Kind::Other(_) => Ok(()),
        }
    }

    fn on_data(&mut self, head: Head, payload: &[u8]) -> Result<(), End> {
        self.inbox.extend_from_slice(without_padding(head, payload)?);
        if self.inbox.len() > MESSAGE_MAX {
            return Err(broken("a message is too large"));
        }
        self.ended |= head.has(END_STREAM);
        if head.length > 0 {
            let mut out = window_update(0, head.length).to_vec();
            out.extend_from_slice(&window_update(STREAM, head.length));
            self.socket.write_all(&out)?;
        }
        Ok(())
    }

    fn on_block(&mut self, head: Head, part: &[u8]) -> Result<(), End> {
        self.block.extend_from_slice(part);
        if self.block.len() > BLOCK_MAX {
            return Err(broken("a head is too large"));
        }
        self.in_block = !head.has(END_HEADERS);
        if self.in_block {
            return Ok(());
        }
        let (block, status) = (std::mem::take(&mut self.block), &mut self.status);
        let decoded = self.decoder.decode(&block, |name, value| status.note(name, value));
        decoded.map_err(|_| broken("a head cannot be decoded"))?;
        self.ended |= self.block_ends;
        Ok(())
    }

    /// A message that is whole.
    fn message(&mut self) -> Result<Option<Vec<u8>>, End> {
        let Some([compressed, length @ ..]) = self.inbox.first_chunk::<PREFIX>().copied() else {
            return Ok(None);
        };
        let end = PREFIX + u32::from_be_bytes(length) as usize;
        if compressed != 0 || end > MESSAGE_MAX {
            return Err(broken("a message is compressed or too large"));
        }
        let Some(message) = self.inbox.get(PREFIX..end).map(<[u8]>::to_vec) else {
            return Ok(None);
        };
        self.inbox.drain(..end);
        Ok(Some(message))
    }
}

impl Status {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        let field = match name {
            b":status" => &mut self.http,
            b"grpc-status" => &mut self.grpc,
            b"grpc-message" => &mut self.message,
            _ => return,
        };
        // It ends up in logs.
        let shown = value.iter().filter(|byte| (b' '..=b'~').contains(*byte)).take(200);
        *field = shown.map(|byte| char::from(*byte)).collect();
    }

    fn end(&self) -> End {
        End::Failed(match (self.grpc.as_str(), self.http.as_str()) {
            ("0", _) => "the call ended".to_owned(),
            ("", "200") => "the call ended without a status".to_owned(),
            ("", http) => format!("the answer is HTTP status {http}"),
            ("7", _) => format!("no identity is issued to us (status 7: {})", self.message),
            (code, _) => format!("status {code}: {}", self.message),
        })
    }
}

fn without_padding(head: Head, payload: &[u8]) -> Result<&[u8], End> {
    if !head.has(PADDED) {
        return Ok(payload);
    }
    let content = payload.split_first().and_then(|(padding, rest)| {
        let len = rest.len().checked_sub(usize::from(*padding))?;
        rest.get(..len)
    });
    content.ok_or_else(|| broken("there is more padding than frame"))
}

fn put(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short payload");
    out.extend_from_slice(&Head { length, kind, flags, stream }.bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives, and what was said.
    struct Wire {
        incoming: Vec<u8>,
        said: Vec<u8>,
    }

    impl Read for Wire {
        /// In small pieces.
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let count = self.incoming.len().min(buf.len()).min(7);
            buf[..count].copy_from_slice(&self.incoming[..count]);
            self.incoming.drain(..count);
            Ok(count)
        }
    }

    impl Write for Wire {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.said.extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        let (mut encoder, mut block) = (Encoder::default(), Vec::new());
        encoder.begin(&mut block);
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
        }
        block
    }

    /// What a call makes of these frames.
    fn play(frames: &[(Kind, u8, u32, &[u8])]) -> (Vec<Vec<u8>>, End, Vec<u8>) {
        let mut incoming = Vec::new();
        for (kind, flags, stream, payload) in frames {
            put(&mut incoming, *kind, *flags, *stream, payload);
        }
        let wire = Wire { incoming, said: Vec::new() };
        let mut call = Call::start(wire, "/x", &[]).expect("a vector takes every byte");
        let mut messages = Vec::new();
        loop {
            match call.next() {
                Ok(message) => messages.push(message),
                Err(end) => return (messages, end, call.socket.said),
            }
        }
    }

    fn failed(text: &str) -> End {
        End::Failed(text.to_owned())
    }

    #[test]
    fn messages_arrive_in_pieces_of_any_size() {
        let head = block(&[(":status", "200"), ("content-type", "application/grpc")]);
        let trailers = block(&[("grpc-status", "0")]);
        let (first, second) = head.split_at(1);
        let (messages, end, said) = play(&[
            (Kind::Settings, 0, 0, &[]),
            (Kind::Headers, 0, 1, first),
            (Kind::Continuation, END_HEADERS, 1, second),
            (Kind::Data, 0, 1, &[0, 0, 0]),
            (Kind::Ping, 0, 0, b"12345678"),
            (Kind::Data, PADDED, 1, &[2, 0, 3, b'a', 9, 9]),
            (Kind::Other(200), 0xff, 7, b"?"),
            (Kind::Data, 0, 1, b"bc\0\0\0\0\0\0\0\0\0\x01d"),
            (Kind::Headers, END_HEADERS | END_STREAM, 1, &trailers),
        ]);
        assert_eq!(messages, [&b"abc"[..], b"", b"d"]);
        assert_eq!(end, failed("the call ended"));
        let said = said.strip_prefix(PREFACE).expect("the preface comes first");
        let kinds = [Kind::Settings, Kind::Headers, Kind::Data, Kind::Settings, Kind::WindowUpdate];
        let mut rest = said;
        for kind in kinds {
            let head = Head::read(rest.first_chunk().expect("a frame"));
            assert_eq!(head.kind, kind);
            rest = &rest[HEAD + head.length as usize..];
        }
    }

    #[test]
    fn the_end_of_a_call_has_a_reason() {
        let denied = block(&[(":status", "200"), ("grpc-status", "7"), ("grpc-message", "no\n")]);
        let html = block(&[(":status", "404")]);
        let end = END_HEADERS | END_STREAM;
        let gone = failed("the connection ended");
        for (frames, expected) in [
            (vec![], gone),
            (
                vec![(Kind::Headers, end, 1, &denied[..])],
                failed("no identity is issued to us (status 7: no)"),
            ),
            (vec![(Kind::Headers, end, 1, &html[..])], failed("the answer is HTTP status 404")),
            (vec![(Kind::RstStream, 0, 1, &[0; 4][..])], failed("the call was reset")),
            (vec![(Kind::Goaway, 0, 0, &[0; 8][..])], failed("the other side is going away")),
            (
                vec![(Kind::Data, 0, 1, &[1, 0, 0, 0, 0][..])],
                broken("a message is compressed or too large"),
            ),
            (
                vec![(Kind::Data, 0, 1, &[0, 255, 0, 0, 0][..])],
                broken("a message is compressed or too large"),
            ),
            (
                vec![(Kind::Data, PADDED, 1, &[2, 0][..])],
                broken("there is more padding than frame"),
            ),
            (vec![(Kind::Data, 0, 3, &[][..])], broken("a stream was not asked for")),
            (vec![(Kind::Headers, end, 1, &[0xff; 20][..])], broken("a head cannot be decoded")),
            (vec![(Kind::Headers, PRIORITY, 1, &[0][..])], broken("a head is too short")),
            (
                vec![(Kind::Headers, 0, 1, &[][..]), (Kind::Data, 0, 1, &[][..])],
                broken("a header block was interrupted"),
            ),
            (vec![(Kind::Settings, 0, 1, &[][..])], broken("a frame is malformed")),
        ] {
            let (messages, end, _) = play(&frames);
            assert_eq!((messages.len(), end), (0, expected));
        }
    }
}
