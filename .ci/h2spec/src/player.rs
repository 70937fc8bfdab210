//! Plays one of our own cases: writes its bytes and reads frames until what it wants has come.

use crate::further::{ACK, Case, END_STREAM, Want, frame, kind};
use crate::transport::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:status: 200` of the static table.
const STATUS_200: u8 = 0x88;
const COMPRESSION_ERROR: u32 = 9;
const LAST_PING: [u8; 8] = *b"are you?";

/// A frame that the gateway sent.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// What has come so far.
#[derive(Default)]
struct Seen {
    settings: bool,
    acks: usize,
    pongs: Vec<[u8; 8]>,
    good: Vec<u32>,
    ended: Vec<u32>,
}

pub async fn play(case: Case, mut io: Box<dyn Bytes>) -> Result<(), String> {
    let begin = [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
    send(&mut *io, &[begin, case.bytes].concat()).await?;
    let mut seen = Seen::default();
    while !seen.has(case.wants) {
        let frame = read(&mut *io).await.ok_or("the connection has ended")?;
        match frame.kind {
            kind::GOAWAY if case.wants == Want::Garbled => return told_why(&frame),
            kind::GOAWAY | kind::RST_STREAM => {
                let code = code_of(&frame);
                return Err(format!("frame {} with code {code:?}", frame.kind));
            }
            _ => seen.take(&frame),
        }
    }
    send(&mut *io, &frame(kind::PING, 0, 0, &LAST_PING)).await?;
    while !seen.pongs.contains(&LAST_PING) {
        let frame = read(&mut *io).await.ok_or("the connection ended before the last ping")?;
        seen.take(&frame);
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, frame: &Frame) {
        let acknowledges = frame.flags & ACK != 0;
        match frame.kind {
            kind::SETTINGS if acknowledges => self.acks += 1,
            kind::SETTINGS => self.settings = true,
            kind::PING if acknowledges => {
                self.pongs.extend(<[u8; 8]>::try_from(&frame.payload[..]).ok());
            }
            kind::HEADERS if frame.payload.first() == Some(&STATUS_200) => {
                self.good.push(frame.stream);
            }
            _ => {}
        }
        if matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & END_STREAM != 0 {
            self.ended.push(frame.stream);
        }
    }

    fn has(&self, wants: Want) -> bool {
        match wants {
            Want::Settings => self.settings,
            Want::Acks(count) => self.acks >= count,
            Want::Pong(bytes) => self.pongs.contains(&bytes),
            Want::Answer(stream) => self.good.contains(&stream) && self.ended.contains(&stream),
            Want::Life => true,
            Want::Garbled => false,
        }
    }
}

fn told_why(goaway: &Frame) -> Result<(), String> {
    match code_of(goaway) {
        Some(COMPRESSION_ERROR) => Ok(()),
        other => Err(format!("GOAWAY with code {other:?} instead of COMPRESSION_ERROR")),
    }
}

fn code_of(frame: &Frame) -> Option<u32> {
    let at = if frame.kind == kind::GOAWAY { 4 } else { 0 };
    let bytes = frame.payload.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

async fn send(io: &mut dyn Bytes, bytes: &[u8]) -> Result<(), String> {
    let sent = async {
        io.write_all(bytes).await?;
        io.flush().await
    };
    sent.await.map_err(|error| format!("nothing more is taken: {error}"))
}

/// Nothing once the connection has ended.
async fn read(io: &mut dyn Bytes) -> Option<Frame> {
    let mut head = [0; 9];
    io.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]);
    let mut payload = vec![0; usize::try_from(length).ok()?];
    io.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}
