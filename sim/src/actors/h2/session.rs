//! One connection: frames in and out, and the windows of both sides kept by plain arithmetic.

use super::frames::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME, GOAWAY, HEAD, HEADERS, PAYLOAD,
    PING, PREFACE, PUSH, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAMS, TABLE_SIZE, WINDOW,
    WINDOW_UPDATE,
};
use super::hpack::{Decoder, Encoder, Fields};
use std::collections::BTreeMap;

const DEFAULT_WINDOW: u32 = 65_535;

/// How an answer of HTTP/1.1 begins, and how long it is with its status.
const PLAIN: &[u8] = b"HTTP/1.1 ";
const PLAIN_HEAD: usize = PLAIN.len() + 3;

/// What came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A head, interim or final, or trailers.
    Fields {
        stream: u32,
        fields: Fields,
        ended: bool,
    },
    Data {
        stream: u32,
        data: Vec<u8>,
        ended: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    /// Streams above `last` were not looked at.
    GoingAway {
        last: u32,
        code: u32,
    },
}

#[derive(Debug)]
pub struct Session {
    client: bool,
    came: Vec<u8>,
    at: usize,
    /// The other side has shown that it speaks this at all.
    greeted: bool,
    /// To be written.
    pub out: Vec<u8>,
    decoder: Decoder,
    encoder: Encoder,
    streams: BTreeMap<u32, Windows>,
    /// What we may send on the connection, and they.
    send: i64,
    receive: i64,
    /// First windows of streams: theirs for us, ours for them, ours that they have not seen yet.
    theirs: u32,
    ours: u32,
    announced: u32,
    frame_max: usize,
    /// Streams that they let us have at once.
    pub streams_max: u32,
    block: Option<(u32, u8, Vec<u8>)>,
    next: u32,
    /// The highest stream of theirs.
    pub last: u32,
    /// We have told them to go.
    pub leaving: bool,
    /// What is not granted again yet, by stream.
    owed: BTreeMap<u32, u32>,
    /// Grants nothing.
    pub stingy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    send: i64,
    receive: i64,
    /// Which halves are over.
    local: bool,
    remote: bool,
}

impl Session {
    /// `window` is what the other side may send on a stream before it is granted more.
    pub fn new(client: bool, window: u32) -> Self {
        let mut out = Vec::new();
        if client {
            out.extend_from_slice(PREFACE);
        }
        let push = (PUSH, 0);
        let settings = [(WINDOW, window), push];
        frames::put_settings(&mut out, &settings[..1 + usize::from(client)]);
        Self {
            client,
            came: Vec::new(),
            at: 0,
            greeted: false,
            out,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            streams: BTreeMap::new(),
            send: DEFAULT_WINDOW.into(),
            receive: DEFAULT_WINDOW.into(),
            theirs: DEFAULT_WINDOW,
            ours: DEFAULT_WINDOW,
            announced: window,
            frame_max: PAYLOAD,
            streams_max: u32::MAX,
            block: None,
            next: 1,
            last: 0,
            leaving: false,
            owed: BTreeMap::new(),
            stingy: false,
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.came.drain(..std::mem::take(&mut self.at));
        self.came.extend_from_slice(bytes);
    }

    /// The status, if an answer of HTTP/1.1 came instead of frames.
    pub fn plain_answer(&self) -> Option<u16> {
        let plain = self.client && !self.greeted && self.came.starts_with(PLAIN);
        let status = self.came.get(PLAIN.len()..PLAIN_HEAD).filter(|_| plain)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }

    /// Whether what came may be the beginning of one.
    fn is_plain(&self) -> bool {
        let known = self.came.len().min(PLAIN.len());
        self.client && !self.greeted && self.came[..known] == PLAIN[..known]
    }

    /// Streams that are not over on both sides.
    pub fn open(&self) -> usize {
        self.streams.len()
    }

    /// The next thing that came, if enough of it did.
    pub fn next_event(&mut self) -> Result<Option<Event>, String> {
        loop {
            if !self.client && !self.greeted && !self.greet()? {
                return Ok(None);
            }
            if self.is_plain() {
                let whole = self.came.len() >= PLAIN_HEAD;
                return if whole { Err("an answer of HTTP/1.1".into()) } else { Ok(None) };
            }
            let rest = &self.came[self.at..];
            if frames::length(rest).is_some_and(|length| length > PAYLOAD) {
                return Err("a frame beyond what was allowed".into());
            }
            let Some((frame, payload)) = frames::first(rest) else { return Ok(None) };
            let payload = payload.to_vec();
            self.at += HEAD + payload.len();
            self.greeted = true;
            if let Some(event) = self.on_frame(frame, &payload)? {
                return Ok(Some(event));
            }
        }
    }

    fn greet(&mut self) -> Result<bool, String> {
        let rest = &self.came[self.at..];
        let known = rest.len().min(PREFACE.len());
        if rest[..known] != PREFACE[..known] {
            return Err("no preface".into());
        }
        if known < PREFACE.len() {
            return Ok(false);
        }
        self.at += known;
        self.greeted = true;
        Ok(true)
    }

    fn on_frame(&mut self, frame: frames::Frame, payload: &[u8]) -> Result<Option<Event>, String> {
        if self.block.is_some() && frame.kind != CONTINUATION {
            return Err("another frame within a block of fields".into());
        }
        let stream = frame.stream;
        match frame.kind {
            DATA => return self.on_data(frame, payload),
            HEADERS | CONTINUATION => return self.on_fields(frame, payload),
            RST_STREAM => {
                let code = frames::word(payload)?;
                if stream == 0 || (self.client && stream >= self.next) {
                    return Err("a reset of a stream that never was".into());
                }
                let known = self.streams.remove(&stream).is_some();
                return Ok(known.then_some(Event::Reset { stream, code }));
            }
            SETTINGS => self.on_settings(frame, payload)?,
            PING if !frame.has(ACK) => frames::put(&mut self.out, PING, ACK, 0, payload),
            GOAWAY => {
                let (last, rest) = payload.split_at_checked(4).ok_or("a short GOAWAY")?;
                let code = frames::word(rest.get(..4).unwrap_or_default())?;
                let last = frames::word(last)? & 0x7fff_ffff;
                return Ok(Some(Event::GoingAway { last, code }));
            }
            WINDOW_UPDATE => self.on_grant(stream, frames::word(payload)?)?,
            PUSH_PROMISE => return Err("a push that nobody wants".into()),
            _ => {}
        }
        Ok(None)
    }

    fn on_grant(&mut self, stream: u32, more: u32) -> Result<(), String> {
        if more == 0 {
            return Err("a grant of nothing".into());
        }
        let window = match stream {
            0 => Some(&mut self.send),
            stream => self.streams.get_mut(&stream).map(|it| &mut it.send),
        };
        let Some(window) = window else { return Ok(()) };
        *window += i64::from(more);
        if *window > i64::from(i32::MAX) { Err("a window beyond 2^31".into()) } else { Ok(()) }
    }

    fn on_settings(&mut self, frame: frames::Frame, payload: &[u8]) -> Result<(), String> {
        if frame.has(ACK) {
            let change = i64::from(self.announced) - i64::from(self.ours);
            self.ours = self.announced;
            self.streams.values_mut().for_each(|it| it.receive += change);
            return Ok(());
        }
        for six in payload.chunks(6) {
            let [a, b, rest @ ..] = six else { return Err("settings that are cut".into()) };
            let (key, value) = (u16::from_be_bytes([*a, *b]), frames::word(rest)?);
            match key {
                TABLE_SIZE => self.encoder.bare |= value < 4_096,
                STREAMS => self.streams_max = value,
                WINDOW => {
                    let change = i64::from(value) - i64::from(self.theirs);
                    self.theirs = value;
                    self.streams.values_mut().for_each(|it| it.send += change);
                }
                FRAME => self.frame_max = PAYLOAD.min(value as usize),
                _ => {}
            }
        }
        frames::put(&mut self.out, SETTINGS, ACK, 0, &[]);
        Ok(())
    }

    fn on_data(&mut self, frame: frames::Frame, payload: &[u8]) -> Result<Option<Event>, String> {
        let (stream, ended) = (frame.stream, frame.has(END_STREAM));
        if frame.flags & !END_STREAM != 0 {
            return Err("padding that nobody should send".into());
        }
        let size = size(payload);
        let length = i64::from(size);
        self.receive -= length;
        let Some(windows) = self.streams.get_mut(&stream) else {
            // We have left the stream; the connection's window is given back.
            self.grant(0, size);
            return Ok(None);
        };
        windows.receive -= length;
        if windows.receive < 0 || self.receive < 0 {
            return Err(format!("more than was granted on stream {stream}"));
        }
        if windows.remote {
            return Err(format!("data behind the end of stream {stream}"));
        }
        windows.remote = ended;
        self.forget_if_over(stream);
        Ok(Some(Event::Data { stream, data: payload.to_vec(), ended }))
    }

    fn on_fields(&mut self, frame: frames::Frame, payload: &[u8]) -> Result<Option<Event>, String> {
        let (stream, flags, block) = match self.block.take() {
            Some((stream, flags, mut block)) if frame.kind == CONTINUATION => {
                if stream != frame.stream {
                    return Err("a block of fields that goes on elsewhere".into());
                }
                block.extend_from_slice(payload);
                (stream, flags, block)
            }
            None if frame.kind == HEADERS => {
                if frame.flags & !(END_STREAM | END_HEADERS) != 0 {
                    return Err("padding or priority that nobody should send".into());
                }
                (frame.stream, frame.flags, payload.to_vec())
            }
            _ => return Err("a continuation of nothing".into()),
        };
        if !frame.has(END_HEADERS) {
            self.block = Some((stream, flags, block));
            return Ok(None);
        }
        let fields = self.decoder.decode(&block)?;
        let ended = flags & END_STREAM != 0;
        if !self.client && stream > self.last {
            if stream.is_multiple_of(2) {
                return Err("a stream of the other side's numbers".into());
            }
            self.last = stream;
            if self.leaving {
                return Ok(None);
            }
            self.begin(stream);
        }
        let Some(windows) = self.streams.get_mut(&stream) else { return Ok(None) };
        if windows.remote {
            return Err(format!("fields behind the end of stream {stream}"));
        }
        windows.remote = ended;
        self.forget_if_over(stream);
        Ok(Some(Event::Fields { stream, fields, ended }))
    }

    fn begin(&mut self, stream: u32) {
        let (send, receive) = (self.theirs.into(), self.ours.into());
        self.streams.insert(stream, Windows { send, receive, local: false, remote: false });
    }

    fn forget_if_over(&mut self, stream: u32) {
        if self.streams.get(&stream).is_some_and(|it| it.local && it.remote) {
            self.streams.remove(&stream);
        }
    }

    /// Begins a stream of ours.
    pub fn ask(&mut self, fields: &[(&str, &str)], ended: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.begin(stream);
        self.fields(stream, fields, ended);
        stream
    }

    /// Sends a head or trailers.
    pub fn fields(&mut self, stream: u32, fields: &[(&str, &str)], ended: bool) {
        if self.streams.get(&stream).is_none_or(|it| it.local) {
            return;
        }
        let block = self.encoder.encode(fields);
        let parts = block.chunks(self.frame_max.min(PAYLOAD)).count().max(1);
        for (n, part) in block.chunks(self.frame_max.min(PAYLOAD)).enumerate() {
            let mut flags = if n + 1 == parts { END_HEADERS } else { 0 };
            flags |= if n == 0 && ended { END_STREAM } else { 0 };
            let kind = if n == 0 { HEADERS } else { CONTINUATION };
            frames::put(&mut self.out, kind, flags, stream, part);
        }
        if ended {
            self.end(stream);
        }
    }

    fn end(&mut self, stream: u32) {
        if let Some(windows) = self.streams.get_mut(&stream) {
            windows.local = true;
        }
        self.forget_if_over(stream);
    }

    /// Sends as much as windows allow; how much that was. The end goes with the last byte.
    pub fn data(&mut self, stream: u32, bytes: &[u8], ended: bool) -> usize {
        let mut sent = 0;
        loop {
            let Some(windows) = self.streams.get_mut(&stream).filter(|it| !it.local) else {
                return bytes.len();
            };
            let open = usize::try_from(windows.send.min(self.send)).unwrap_or(0);
            let count = open.min(bytes.len() - sent).min(self.frame_max);
            let last = sent + count == bytes.len();
            if count == 0 && !(last && ended) {
                return sent;
            }
            let taken = i64::try_from(count).expect("frames are small");
            windows.send -= taken;
            self.send -= taken;
            let flags = if last && ended { END_STREAM } else { 0 };
            frames::put(&mut self.out, DATA, flags, stream, &bytes[sent..sent + count]);
            sent += count;
            if last && ended {
                self.end(stream);
                return sent;
            }
        }
    }

    pub fn reset(&mut self, stream: u32, code: u32) {
        if self.streams.remove(&stream).is_some() {
            frames::put(&mut self.out, RST_STREAM, 0, stream, &code.to_be_bytes());
        }
    }

    /// Whether both halves of a stream are over, or it was reset.
    pub fn is_over(&self, stream: u32) -> bool {
        !self.streams.contains_key(&stream)
    }

    /// Takes no further streams.
    pub fn go_away(&mut self, code: u32) {
        self.leaving = true;
        let payload = [self.last.to_be_bytes(), code.to_be_bytes()].concat();
        frames::put(&mut self.out, GOAWAY, 0, 0, &payload);
    }

    /// Whoever reads the stream has taken so much.
    pub fn take(&mut self, stream: u32, size: usize) {
        let size = u32::try_from(size).expect("frames are small");
        if size > 0 {
            self.grant(0, size);
            self.grant(stream, size);
        }
    }

    fn grant(&mut self, stream: u32, size: u32) {
        *self.owed.entry(stream).or_default() += size;
        self.settle();
    }

    /// Grants what is owed, unless nothing is to be granted.
    pub fn settle(&mut self) {
        if self.stingy {
            return;
        }
        // Often enough that nothing ever waits for a grant that waits for it.
        let (whole, each) = (DEFAULT_WINDOW / 4, (self.announced.min(self.ours) / 2).max(1));
        for (stream, size) in std::mem::take(&mut self.owed) {
            if size < if stream == 0 { whole } else { each } {
                self.owed.insert(stream, size);
                continue;
            }
            let window = match stream {
                0 => Some(&mut self.receive),
                stream => {
                    let stream = self.streams.get_mut(&stream).filter(|it| !it.remote);
                    stream.map(|it| &mut it.receive)
                }
            };
            let Some(window) = window else { continue };
            *window += i64::from(size);
            frames::put(&mut self.out, WINDOW_UPDATE, 0, stream, &size.to_be_bytes());
        }
    }
}

fn size(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("frames are small")
}
