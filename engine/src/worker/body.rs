//! A body on its way through: how its end is found, and how it is framed for the next reader.

use crate::base::mutant::{Mutant, planted};
use crate::base::page::{Chunk, Pool};
use crate::h1::chunked::{Decoder, LAST, LAST_SIZE, LINE_END, SizeLine, Step};
use crate::http::blame::{Misbehaved, What};
use crate::http::framing::Framing;
use crate::net::inbox::Inbox;
use crate::net::outbox::{NoPage, Outbox};
use crate::service::middleware::grpc_web::Decoder as Base64;

#[derive(Debug)]
pub(super) struct Body {
    reader: Reader,
    over: bool,
    /// Written in chunks.
    chunked: bool,
    /// Bytes of content so far.
    pub(super) bytes: u64,
    /// Field lines that came behind the content of a stream.
    pub(super) came: Vec<u8>,
    /// The content comes as base64, and goes on as what that says.
    text: Option<Base64>,
    /// No trailers are written: they were told otherwise.
    mute: bool,
}

#[derive(Debug)]
enum Reader {
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

/// What the bytes that are here gave.
#[derive(Debug)]
pub(super) enum Piece {
    Content(Chunk),
    /// Nothing until more arrives.
    Starved,
    Over,
}

impl Body {
    /// No body, or one that is complete elsewhere.
    pub(super) fn none() -> Self {
        Self {
            reader: Reader::Length(0),
            over: true,
            chunked: false,
            bytes: 0,
            came: Vec::new(),
            text: None,
            mute: false,
        }
    }

    /// Read with `framing`, written with `next`.
    pub(super) fn new(framing: Framing, next: Framing, decoder: impl FnOnce() -> Decoder) -> Self {
        let reader = match framing {
            Framing::Empty => Reader::Length(0),
            Framing::Length(length) => Reader::Length(length),
            Framing::Chunked => Reader::Chunked(decoder()),
            Framing::UntilClose | Framing::Tunnel => Reader::UntilClose,
        };
        let over = matches!(reader, Reader::Length(0));
        let chunked = next == Framing::Chunked;
        Self { reader, over, chunked, ..Self::none() }
    }

    /// From here on the content is read as base64.
    pub(super) fn read_base64(&mut self) {
        self.text = Some(Base64::default());
    }

    /// The trailers are not written behind the content.
    pub(super) fn mute_trailers(&mut self) {
        self.mute = true;
    }

    /// Settles how the content is framed for the next reader.
    pub(super) fn frame(&mut self, chunked: bool) {
        self.chunked = chunked;
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether fields came behind the content.
    pub(super) fn has_trailers(&self) -> bool {
        let decoded = match &self.reader {
            Reader::Chunked(decoder) => decoder.trailers().next().is_some(),
            Reader::Length(_) | Reader::UntilClose => false,
        };
        decoded || !self.came.is_empty()
    }

    /// Content still to come, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.reader {
            Reader::Length(left) => Some(*left),
            Reader::Chunked(_) | Reader::UntilClose => None,
        }
    }

    /// The sender has closed. True if that is how this body ends.
    pub(super) fn on_close(&mut self) -> bool {
        self.over |= matches!(self.reader, Reader::UntilClose);
        self.over
    }

    /// Takes the next piece of content from `inbox`.
    pub(super) fn next(&mut self, inbox: &mut Inbox) -> Result<Piece, Misbehaved> {
        loop {
            let piece = self.next_as_it_came(inbox)?;
            let Piece::Content(chunk) = piece else { return Ok(piece) };
            let chunk = match &mut self.text {
                None => chunk,
                Some(text) => {
                    let garbled = |_| Misbehaved::client(What::BodyGarbled);
                    let decoded = text.decode(chunk.bytes()).map_err(garbled)?;
                    if decoded.is_empty() {
                        continue;
                    }
                    Chunk::shared(decoded.into())
                }
            };
            self.bytes += chunk.len() as u64;
            return Ok(Piece::Content(chunk));
        }
    }

    fn next_as_it_came(&mut self, inbox: &mut Inbox) -> Result<Piece, Misbehaved> {
        if self.over {
            return Ok(Piece::Over);
        }
        match &mut self.reader {
            Reader::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let Some(slice) = inbox.take(most) else { return Ok(Piece::Starved) };
                *left -= slice.len() as u64;
                self.over = *left == 0;
                Ok(Piece::Content(Chunk::Page(slice)))
            }
            Reader::UntilClose => match inbox.take(usize::MAX) {
                Some(slice) => Ok(Piece::Content(Chunk::Page(slice))),
                None => Ok(Piece::Starved),
            },
            Reader::Chunked(decoder) => {
                let piece = next_chunk(decoder, inbox)?;
                self.over |= matches!(piece, Piece::Over);
                Ok(piece)
            }
        }
    }

    /// Frames a piece of content for the next reader.
    pub(super) fn write(&self, piece: Chunk, out: &mut Outbox, pool: &Pool) -> Result<(), NoPage> {
        if !self.chunked {
            out.push(piece);
            return Ok(());
        }
        out.write(SizeLine::new(piece.len()).bytes(), pool)?;
        out.push(piece);
        out.write(LINE_END, pool)
    }

    /// Frames the end, with the trailers that came.
    pub(super) fn write_end(&self, out: &mut Outbox, pool: &Pool) -> Result<(), NoPage> {
        if !self.chunked {
            return Ok(());
        }
        if self.mute {
            return out.write(LAST, pool);
        }
        let Reader::Chunked(decoder) = &self.reader else { return self.write_lines(out, pool) };
        let mut trailers = decoder.trailers().peekable();
        if planted(Mutant::EmptyChunkedLost) && self.bytes == 0 {
            return Ok(());
        }
        if trailers.peek().is_none() || planted(Mutant::LosesTrailers) {
            return out.write(LAST, pool);
        }
        out.write(LAST_SIZE, pool)?;
        for field in trailers {
            out.write(field.name.as_bytes(), pool)?;
            out.write(b": ", pool)?;
            out.write(field.value, pool)?;
            out.write(LINE_END, pool)?;
        }
        out.write(LINE_END, pool)
    }
}

impl Body {
    fn write_lines(&self, out: &mut Outbox, pool: &Pool) -> Result<(), NoPage> {
        if self.came.is_empty() {
            return out.write(LAST, pool);
        }
        out.write(LAST_SIZE, pool)?;
        out.write(&self.came, pool)?;
        out.write(LINE_END, pool)
    }

    /// The trailers that came, as lines for a stream.
    pub(super) fn trailer_lines(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.came);
        let Reader::Chunked(decoder) = &self.reader else { return };
        for field in decoder.trailers() {
            super::fields::put_field(out, field.name, field.value);
        }
    }
}

fn next_chunk(decoder: &mut Decoder, inbox: &mut Inbox) -> Result<Piece, Misbehaved> {
    loop {
        let Some(front) = inbox.front() else { return Ok(Piece::Starved) };
        match decoder.step(front.bytes())? {
            Step::Data(range) => {
                inbox.skip(range.start);
                let slice = inbox.take(range.len()).expect("the data lies in the first slice");
                return Ok(Piece::Content(Chunk::Page(slice)));
            }
            Step::More => {
                let used = front.len();
                inbox.skip(used);
            }
            Step::End { used } => {
                inbox.skip(used);
                return Ok(Piece::Over);
            }
        }
    }
}
