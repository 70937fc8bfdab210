//! Bytes to events. What breaks the rules of a stream ends that stream; what breaks those of the
//! connection ends the connection, after the other side was told why.

mod data;
mod heads;
mod others;

use super::frame::{self, ACK, Code, HEAD, Head, Kind, PREFACE};
use super::ledger::{Cheap, Over};
use super::link::{Event, Fatal, Io, Link, Reading};

/// Memory that is kept for the next frame in pieces.
const KEPT_MAX: usize = 1_024;

enum Step {
    /// More bytes are needed.
    Starved,
    Went(Option<Event>),
}

impl From<Over> for Fatal {
    fn from(Over(kind): Over) -> Self {
        Self::Abuse(kind)
    }
}

fn violation<T>(code: Code) -> Result<T, Fatal> {
    Err(Fatal::Violation(code))
}

impl Link {
    /// Reads on; nothing if more bytes are needed. After an error nothing more is to be read, but
    /// what is in the outbox should still be written.
    pub fn next(&mut self, io: &mut Io<'_>) -> Result<Option<Event>, Fatal> {
        let result = self.advance(io);
        match result {
            Err(Fatal::Violation(code)) => self.go_away(io, code)?,
            Err(Fatal::Abuse(_)) => self.go_away(io, Code::EnhanceYourCalm)?,
            Err(Fatal::NoPage) | Ok(_) => {}
        }
        result
    }

    fn advance(&mut self, io: &mut Io<'_>) -> Result<Option<Event>, Fatal> {
        loop {
            let step = match self.reading {
                Reading::Preface(at) => self.read_preface(io, at)?,
                Reading::Frame => self.read_frame(io)?,
                Reading::Data(frame) => self.read_data(io, frame)?,
            };
            match step {
                Step::Starved => return Ok(None),
                Step::Went(None) => {}
                Step::Went(event) => return Ok(event),
            }
        }
    }

    fn read_preface(&mut self, io: &mut Io<'_>, at: usize) -> Result<Step, Fatal> {
        let rest = &PREFACE[at..];
        let Some(slice) = io.inbox.take(rest.len()) else { return Ok(Step::Starved) };
        if !rest.starts_with(slice.bytes()) {
            return violation(Code::Protocol);
        }
        let at = at + slice.len();
        self.reading = if at == PREFACE.len() { Reading::Frame } else { Reading::Preface(at) };
        Ok(Step::Went(None))
    }

    fn read_frame(&mut self, io: &mut Io<'_>) -> Result<Step, Fatal> {
        if self.partial.is_empty() {
            let Some(front) = io.inbox.front() else { return Ok(Step::Starved) };
            if let Some(head) = front.bytes().first_chunk() {
                let head = self.check_head(head)?;
                if head.kind == Kind::Data {
                    io.inbox.skip(HEAD);
                    return self.on_data_head(io, head);
                }
                let whole = HEAD + head.length as usize;
                if front.len() >= whole {
                    let frame = io.inbox.take(whole).expect("just measured");
                    return self.on_frame(io, head, &frame.bytes()[HEAD..]);
                }
            }
        }
        self.read_pieces(io)
    }

    /// Reads a frame that lies in more than one page.
    fn read_pieces(&mut self, io: &mut Io<'_>) -> Result<Step, Fatal> {
        loop {
            let head = self.partial.first_chunk().map(Head::read);
            let wanted = HEAD + head.map_or(0, |head| head.length as usize);
            let Some(piece) = io.inbox.take(wanted - self.partial.len()) else {
                return Ok(Step::Starved);
            };
            self.partial.extend_from_slice(piece.bytes());
            if self.partial.len() < wanted {
                continue;
            }
            let first = self.partial.first_chunk().expect("at least a head was wanted");
            let first = *first;
            let head = self.check_head(&first)?;
            if head.kind == Kind::Data {
                self.partial.clear();
                return self.on_data_head(io, head);
            }
            if self.partial.len() == HEAD + head.length as usize {
                let mut frame = std::mem::take(&mut self.partial);
                let step = self.on_frame(io, head, &frame[HEAD..]);
                if frame.capacity() <= KEPT_MAX {
                    frame.clear();
                    self.partial = frame;
                }
                return step;
            }
        }
    }

    fn check_head(&self, bytes: &[u8; HEAD]) -> Result<Head, Fatal> {
        let head = Head::read(bytes);
        if let Some(block) = self.block_of {
            let continues = head.kind == Kind::Continuation && head.stream == block.stream;
            return match (continues, head.length > frame::PAYLOAD_MAX) {
                (false, _) => violation(Code::Protocol),
                (true, true) => violation(Code::FrameSize),
                (true, false) => Ok(head),
            };
        }
        let first = head.kind == Kind::Settings && !head.has(ACK);
        if !self.greeted && !first {
            return violation(Code::Protocol);
        }
        head.check().map_err(Fatal::Violation)?;
        Ok(head)
    }

    fn on_frame(&mut self, io: &mut Io<'_>, head: Head, payload: &[u8]) -> Result<Step, Fatal> {
        let event = match head.kind {
            Kind::Headers => self.on_headers(io, head, payload)?,
            Kind::Continuation => self.on_continuation(io, head, payload)?,
            Kind::Priority => self.on_priority(io, head, payload)?,
            Kind::RstStream => {
                self.on_reset(io.now, head.stream, Code::of(frame::number(payload)))?
            }
            Kind::Settings => self.on_settings(io, head, payload)?,
            Kind::Ping => self.on_ping(io, head, payload)?,
            Kind::Goaway => Some(self.on_goaway(payload)),
            Kind::WindowUpdate => self.on_window_update(io, head.stream, frame::number(payload))?,
            Kind::Other(_) => {
                self.ledger.charge(Cheap::Unknown, io.now)?;
                None
            }
            Kind::Data | Kind::PushPromise => unreachable!("read or refused with its head"),
        };
        Ok(Step::Went(event))
    }

    /// Ends one stream for what it did.
    fn break_stream(
        &mut self,
        io: &mut Io<'_>,
        id: u32,
        code: Code,
    ) -> Result<Option<Event>, Fatal> {
        self.ledger.charge(Cheap::Broken, io.now)?;
        Ok(self.reset(io, id, code)?)
    }
}
