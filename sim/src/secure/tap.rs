//! What a control machine says and hears, read from outside: TLS 1.3 is opened with the secrets
//! that the machine logs (RFC 8446 §7.3), and exchanges of HTTP/2 are written down as those of
//! HTTP/1.1.

use crate::actors::h2::frames::{
    self, CONTINUATION, END_HEADERS, GOAWAY, HEAD, HEADERS, PAYLOAD, PREFACE, RST_STREAM,
};
use crate::actors::h2::hpack::{Decoder, Fields};
use crate::oracle::health::Heard;
use engine::base::id::ConnId;
use engine::base::secret::Secret;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;

#[derive(Debug)]
pub struct Tap {
    secrets: Receiver<Secret>,
    known: Known,
    lines: BTreeMap<ConnId, Line>,
}

/// Secrets by what they are for and the number that the client drew.
type Known = BTreeMap<(String, String), Vec<u8>>;

/// What is said on one connection.
#[derive(Debug)]
struct Line {
    ours: Side,
    theirs: Side,
    /// What has been written, and what of it has been read here.
    sent: usize,
    read: usize,
    /// TLS is spoken; unknown before anything was said.
    sealed: Option<bool>,
    /// The number that the client drew.
    client: String,
    /// HTTP/2 is spoken; unknown before anything was said.
    streams: Option<bool>,
    /// The stream of the last request.
    stream: u32,
    /// Nothing that follows means anything.
    over: bool,
}

/// What one side says.
#[derive(Debug)]
struct Side {
    /// Records that are not opened yet.
    came: Vec<u8>,
    /// Names of the secrets that are still to come, the next one last.
    labels: Vec<&'static str>,
    key: Option<Key>,
    /// Opened, and not read yet.
    plain: Vec<u8>,
    greeted: bool,
    decoder: Decoder,
    block: Vec<u8>,
}

#[derive(Debug)]
struct Key {
    key: LessSafeKey,
    iv: [u8; 12],
    opened: u64,
}

/// The exchange has failed. What came before counts.
struct Over;

const CHANGE: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// Before each record: its type, the version, its length.
const RECORD: usize = 5;
/// What the library takes a record for that is longer than any: the bound of TLS 1.2.
const LONGEST: usize = 16_384 + 2_047;
const CLOSE_NOTIFY: u8 = 0;

impl Tap {
    pub fn new(secrets: Receiver<Secret>) -> Self {
        Self { secrets, known: BTreeMap::new(), lines: BTreeMap::new() }
    }

    /// What this means in HTTP/1.1.
    pub fn read(&mut self, heard: Heard) -> Vec<Heard> {
        self.learn();
        match heard {
            Heard::Dialed { conn, .. } => {
                self.lines.insert(conn, Line::new());
                vec![heard]
            }
            Heard::Closed { conn } => {
                self.lines.remove(&conn);
                vec![heard]
            }
            Heard::Sent { conn, count } => {
                self.lines.entry(conn).and_modify(|line| line.sent += count);
                Vec::new()
            }
            Heard::Asked { conn, bytes } => self.follow(conn, true, &bytes),
            Heard::Got { conn, ref bytes } if !bytes.is_empty() => self.follow(conn, false, bytes),
            Heard::Got { .. } | Heard::Failed { .. } => vec![heard],
        }
    }

    fn learn(&mut self) {
        while let Ok(secret) = self.secrets.try_recv() {
            let line = String::from_utf8_lossy(secret.reveal()).into_owned();
            let words: Vec<&str> = line.split_whitespace().collect();
            let [label, client, secret] = words[..] else { continue };
            self.known.insert((label.to_owned(), client.to_owned()), unhex(secret));
        }
    }

    fn follow(&mut self, conn: ConnId, ours: bool, bytes: &[u8]) -> Vec<Heard> {
        let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.over) else {
            return Vec::new();
        };
        let mut said = Vec::new();
        line.over = line.follow(&self.known, ours, bytes, &mut said).is_err();
        let told = |bytes| match ours {
            true => Heard::Asked { conn, bytes },
            false => Heard::Got { conn, bytes },
        };
        let mut heard: Vec<Heard> = said.into_iter().map(told).collect();
        if line.over {
            heard.push(Heard::Got { conn, bytes: Vec::new() });
        }
        heard
    }
}

impl Line {
    fn new() -> Self {
        Self {
            ours: Side::new("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"),
            theirs: Side::new("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"),
            sent: 0,
            read: 0,
            sealed: None,
            client: String::new(),
            streams: None,
            stream: 0,
            over: false,
        }
    }

    /// Reads on; messages go to `said`.
    fn follow(
        &mut self,
        known: &Known,
        ours: bool,
        bytes: &[u8],
        said: &mut Vec<Vec<u8>>,
    ) -> Result<(), Over> {
        let mut bytes = bytes;
        if ours {
            // What was offered before and not written is offered again.
            bytes = bytes.get(self.read - self.sent..).unwrap_or_default();
            self.read += bytes.len();
        }
        let mut opened = Ok(());
        let sealed = *self.sealed.get_or_insert_with(|| ours && bytes.starts_with(&[HANDSHAKE]));
        let side = if ours { &mut self.ours } else { &mut self.theirs };
        if !sealed {
            side.plain.extend_from_slice(bytes);
        } else {
            side.came.extend_from_slice(bytes);
            // What came before the end counts.
            opened = side.open(known, &mut self.client, ours);
        }
        if self.ours.plain.is_empty() && self.streams.is_none() {
            return opened;
        }
        let begins = || self.ours.plain.starts_with(PREFACE);
        let streams = *self.streams.get_or_insert_with(begins);
        let side = if ours { &mut self.ours } else { &mut self.theirs };
        if streams {
            let framed = side.frames(ours, &mut self.stream, said);
            opened = opened.and(framed);
        } else if !side.plain.is_empty() {
            said.push(std::mem::take(&mut side.plain));
        }
        opened
    }
}

impl Side {
    fn new(first: &'static str, second: &'static str) -> Self {
        Self {
            came: Vec::new(),
            labels: vec![second, first],
            key: None,
            plain: Vec::new(),
            greeted: false,
            decoder: Decoder::default(),
            block: Vec::new(),
        }
    }

    fn open(&mut self, known: &Known, client: &mut String, ours: bool) -> Result<(), Over> {
        self.judge_head()?;
        while let Some((head, rest)) = self.came.split_first_chunk::<RECORD>() {
            let head = *head;
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            if length > LONGEST || (length == 0 && head[0] != DATA) {
                return Err(Over);
            }
            let Some(record) = rest.get(..length) else { return Ok(()) };
            let record = record.to_vec();
            self.came.drain(..RECORD + length);
            match head[0] {
                HANDSHAKE if client.is_empty() => {
                    // Behind its type, its length and a version.
                    *client = hex(record.get(6..38).ok_or(Over)?);
                }
                ALERT => return Err(Over),
                DATA => match self.opened(&head, &record, known, client)? {
                    (DATA, content) => self.plain.extend(content),
                    (ALERT, content) if content.get(1) != Some(&CLOSE_NOTIFY) => {
                        return Err(Over);
                    }
                    (ALERT, _) if !ours => return Err(Over),
                    _ => {}
                },
                _ => {}
            }
            self.judge_head()?;
        }
        Ok(())
    }

    /// What cannot become a record is refused before all of it is there.
    fn judge_head(&self) -> Result<(), Over> {
        let known = self.came.first().is_none_or(|kind| (CHANGE..=DATA).contains(kind));
        let version = self.came.get(1..3).is_none_or(|version| version[0] == 3);
        if known && version { Ok(()) } else { Err(Over) }
    }

    /// The type and the content of a record.
    fn opened(
        &mut self,
        head: &[u8; RECORD],
        record: &[u8],
        known: &Known,
        client: &str,
    ) -> Result<(u8, Vec<u8>), Over> {
        loop {
            if let Some(found) = self.key.as_mut().and_then(|key| key.open(head, record)) {
                return Ok(found);
            }
            let label = self.labels.pop().ok_or(Over)?;
            let secret = known.get(&(label.to_owned(), client.to_owned())).ok_or(Over)?;
            self.key = Some(Key::of(secret));
        }
    }

    fn frames(
        &mut self,
        ours: bool,
        stream: &mut u32,
        said: &mut Vec<Vec<u8>>,
    ) -> Result<(), Over> {
        if ours && !self.greeted {
            self.plain.drain(..PREFACE.len());
            self.greeted = true;
        }
        loop {
            if frames::length(&self.plain).is_some_and(|length| length > PAYLOAD) {
                return Err(Over);
            }
            let Some((frame, payload)) = frames::first(&self.plain) else { return Ok(()) };
            let payload = payload.to_vec();
            self.plain.drain(..HEAD + payload.len());
            match frame.kind {
                HEADERS | CONTINUATION => {
                    self.block.extend_from_slice(&payload);
                    if ours {
                        *stream = frame.stream;
                    }
                    if frame.has(END_HEADERS) {
                        let block = std::mem::take(&mut self.block);
                        let fields = self.decoder.decode(&block).map_err(|_| Over)?;
                        said.extend(written(&fields, ours));
                    }
                }
                RST_STREAM if !ours && frame.stream == *stream => return Err(Over),
                GOAWAY if !ours => {
                    let last = payload.first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
                    if last & 0x7fff_ffff < *stream {
                        return Err(Over);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A head, as HTTP/1.1 writes it. Trailers are none.
fn written(fields: &Fields, ours: bool) -> Option<Vec<u8>> {
    let get = |name: &str| fields.iter().find(|(at, _)| at == name).map(|(_, value)| value);
    let mut text = if ours {
        let (method, path, host) = (get(":method")?, get(":path")?, get(":authority")?);
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n")
    } else {
        format!("HTTP/1.1 {} \r\n", get(":status")?)
    };
    for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with(':')) {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    Some(text.into_bytes())
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    fn of(secret: &[u8]) -> Self {
        let secret = Prk::new_less_safe(HKDF_SHA256, secret);
        let (key, iv) = (expand::<16>(&secret, "key"), expand::<12>(&secret, "iv"));
        let key = UnboundKey::new(&AES_128_GCM, &key).expect("16 bytes");
        Self { key: LessSafeKey::new(key), iv, opened: 0 }
    }

    /// Nothing if it was sealed by another key, or changed on its way.
    fn open(&mut self, head: &[u8; RECORD], record: &[u8]) -> Option<(u8, Vec<u8>)> {
        let mut nonce = self.iv;
        for (at, byte) in nonce[4..].iter_mut().zip(self.opened.to_be_bytes()) {
            *at ^= byte;
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut record = record.to_vec();
        // The version says nothing any more, whatever becomes of it on its way.
        let head = [head[0], 3, 3, head[3], head[4]];
        let opened = self.key.open_in_place(nonce, Aad::from(&head), &mut record).ok()?;
        self.opened += 1;
        let end = opened.iter().rposition(|byte| *byte != 0)?;
        Some((opened[end], opened[..end].to_vec()))
    }
}

fn expand<const N: usize>(secret: &Prk, label: &str) -> [u8; N] {
    let label = format!("tls13 {label}");
    let small = |length: usize| u8::try_from(length).expect("labels and keys are short");
    let info = [&[0, small(N), small(label.len())], label.as_bytes(), &[0]].concat();
    let mut out = [0; N];
    let info = [info.as_slice()];
    let bytes = secret.expand(&info, Length(N)).expect("not much is asked for");
    bytes.fill(&mut out).expect("as long as was asked for");
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).collect()
}
