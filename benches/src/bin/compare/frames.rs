//! HTTP/2 as a load generator speaks it: heads that were encoded once, answers of which no more is
//! read than their status and their end.

use engine::h2::frame::window_update;
use engine::h2::frame::{ACK, END_HEADERS, END_STREAM, HEAD, Head, Kind, PREFACE, Setting};

/// What a stream and the connection may take.
const WINDOW: u32 = 1 << 30;
/// How much is taken before more is granted.
const GRANT: u32 = 1 << 20;

/// One HTTP/2 connection.
pub(crate) struct Frames {
    pub(crate) out: Vec<u8>,
    pub(crate) heard: Vec<u8>,
    block: Vec<u8>,
    next: u32,
    taken: u32,
}

/// A request came to its end.
pub(crate) struct Done {
    pub(crate) stream: u32,
    pub(crate) fine: bool,
}

impl Frames {
    pub(crate) fn new(path: &str, scheme: &str) -> Self {
        let fields = [
            (":method", "GET"),
            (":scheme", scheme),
            (":authority", "bench.example"),
            (":path", path),
            ("user-agent", "load/1.0"),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("x-request", "1234567890"),
        ];
        let mut frames = Self {
            out: PREFACE.to_vec(),
            heard: Vec::with_capacity(64 << 10),
            block: block(&fields),
            next: 1,
            taken: 0,
        };
        frames.put(Kind::Settings, 0, 0, &Setting::InitialWindowSize(WINDOW).bytes());
        frames.out.extend_from_slice(&window_update(0, WINDOW));
        frames
    }

    /// Asks on a new stream; its number.
    pub(crate) fn ask(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        let block = std::mem::take(&mut self.block);
        self.put(Kind::Headers, END_HEADERS | END_STREAM, stream, &block);
        self.block = block;
        stream
    }

    /// Reads what came; calls `done` for each stream that ended. False if the server leaves.
    pub(crate) fn hear(&mut self, mut done: impl FnMut(Done)) -> bool {
        let heard = std::mem::take(&mut self.heard);
        let (mut at, mut stays) = (0, true);
        while let Some(head) = heard[at..].first_chunk().map(Head::read) {
            let whole = HEAD + head.length as usize;
            if heard.len() < at + whole {
                break;
            }
            let payload = &heard[at + HEAD..at + whole];
            at += whole;
            let ended = head.has(END_STREAM);
            match head.kind {
                Kind::Headers if !is_200(payload) => {
                    done(Done { stream: head.stream, fine: false });
                }
                Kind::Headers if ended => done(Done { stream: head.stream, fine: true }),
                Kind::Data => {
                    self.take(head.length);
                    if ended {
                        done(Done { stream: head.stream, fine: true });
                    }
                }
                Kind::RstStream => done(Done { stream: head.stream, fine: false }),
                Kind::Settings if !head.has(ACK) => self.put(Kind::Settings, ACK, 0, &[]),
                Kind::Ping if !head.has(ACK) => self.put(Kind::Ping, ACK, 0, payload),
                Kind::Goaway => stays = false,
                Kind::Headers
                | Kind::Settings
                | Kind::Ping
                | Kind::Priority
                | Kind::PushPromise
                | Kind::WindowUpdate
                | Kind::Continuation
                | Kind::Other(_) => {}
            }
        }
        self.heard = heard;
        self.heard.drain(..at);
        stays
    }

    fn take(&mut self, bytes: u32) {
        self.taken += bytes;
        if self.taken >= GRANT {
            self.out.extend_from_slice(&window_update(0, std::mem::take(&mut self.taken)));
        }
    }

    pub(crate) fn put(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.out.extend_from_slice(&Head { length, kind, flags, stream }.bytes());
        self.out.extend_from_slice(payload);
    }
}

/// Whether a block of fields begins with the indexed `:status: 200`, behind changes of the table.
fn is_200(block: &[u8]) -> bool {
    block.iter().find(|byte| **byte & 0xe0 != 0x20) == Some(&0x88)
}

/// Fields as literals that no table remembers.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
