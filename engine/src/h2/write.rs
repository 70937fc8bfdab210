//! Messages to frames: as much content as both windows allow, heads at once.

use super::flow::Credit;
use super::frame::{self, Code, END_HEADERS, END_STREAM, HEAD, Head, Kind};
use super::ledger::Cheap;
use super::link::{Event, Io, Link, Role};
use super::message;
use super::stream::{State, Why};
use crate::base::id::ConnId;
use crate::net::outbox::{NoPage, Outbox};

/// What became of content that was to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// All that there was.
    All,
    /// And with it the stream's end.
    Ended,
    /// The stream's window is full.
    StreamFull,
    /// The window of the connection is, or enough waits to be written.
    Full,
}

impl Link {
    /// Opens a stream with a request; its number.
    pub fn open(
        &mut self,
        io: &mut Io<'_>,
        owner: ConnId,
        scheme: &[u8],
        text: &[u8],
        ends: bool,
    ) -> Result<u32, NoPage> {
        let id = self.add_ours(owner, if ends { State::LocalEnded } else { State::Open });
        if let Some(stream) = self.streams.get_mut(id) {
            stream.bare = text.starts_with(b"HEAD ");
        }
        let mut block = std::mem::take(&mut io.gather.block);
        message::encode_request(text, scheme, &mut self.encoder, &mut block);
        let done = self.put_block(io, id, &block, ends);
        io.gather.block = block;
        done?;
        Ok(id)
    }

    /// Opens a stream for a WebSocket; its number.
    pub fn open_websocket(
        &mut self,
        io: &mut Io<'_>,
        owner: ConnId,
        scheme: &[u8],
        text: &[u8],
    ) -> Result<u32, NoPage> {
        debug_assert!(self.takes_tunnels(), "asked before");
        let id = self.add_ours(owner, State::Open);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.tunnel = true;
        }
        let mut block = std::mem::take(&mut io.gather.block);
        message::encode_websocket(text, scheme, &mut self.encoder, &mut block);
        let done = self.put_block(io, id, &block, false);
        io.gather.block = block;
        done?;
        Ok(id)
    }

    fn add_ours(&mut self, owner: ConnId, state: State) -> u32 {
        debug_assert!(self.role == Role::Client && self.may_open(), "asked before");
        let id = self.next_ours;
        self.next_ours += 2;
        self.add(id, Some(owner), state, None);
        id
    }

    /// Sends the head of a response, interim or final.
    pub fn respond(
        &mut self,
        io: &mut Io<'_>,
        id: u32,
        text: &[u8],
        ends: bool,
    ) -> Result<(), NoPage> {
        let Some(state) = self.streams.get(id).map(|stream| stream.state) else { return Ok(()) };
        if !state.sends() {
            return Ok(());
        }
        let mut block = std::mem::take(&mut io.gather.block);
        message::encode_response(text, &mut self.encoder, &mut block);
        let done = self.put_block(io, id, &block, ends);
        io.gather.block = block;
        if ends {
            self.end_local(id, state.end_local());
        }
        done
    }

    /// Our half is over: useful work was done.
    fn end_local(&mut self, id: u32, state: State) {
        self.streams.turn(id, state);
        self.ledger.earn(&[Cheap::Reset, Cheap::Broken], 1);
    }

    fn put_block(
        &self,
        io: &mut Io<'_>,
        stream: u32,
        mut block: &[u8],
        ends: bool,
    ) -> Result<(), NoPage> {
        let mut kind = Kind::Headers;
        loop {
            let most = self.theirs.frame_max.min(frame::PAYLOAD_MAX) as usize;
            let (part, rest) = block.split_at(block.len().min(most));
            block = rest;
            let mut flags = if block.is_empty() { END_HEADERS } else { 0 };
            if kind == Kind::Headers && ends {
                flags |= END_STREAM;
            }
            let length = frame::length(part.len());
            io.outbox.write(&Head { length, kind, flags, stream }.bytes(), io.pool)?;
            io.outbox.write(part, io.pool)?;
            if block.is_empty() {
                return Ok(());
            }
            kind = Kind::Continuation;
        }
    }

    /// Sends content from `from`, at most `most` bytes of it, and the stream's end behind it if
    /// `ends`, with these trailers.
    pub fn send(
        &mut self,
        io: &mut Io<'_>,
        id: u32,
        from: &mut Outbox,
        ends: Option<&[u8]>,
        mut most: usize,
    ) -> Result<Sent, NoPage> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(Sent::Ended) };
        if !stream.state.sends() {
            from.clear();
            return Ok(Sent::Ended);
        }
        let bare_end = ends.is_some_and(<[u8]>::is_empty);
        while !from.is_empty() {
            let open = self.credit.available().min(most);
            let length = from.bytes().min(stream.credit.available()).min(open);
            let length = length.min(self.theirs.frame_max.min(frame::PAYLOAD_MAX) as usize);
            if length == 0 {
                let full = stream.credit.available() == 0;
                return Ok(if full { Sent::StreamFull } else { Sent::Full });
            }
            let last = bare_end && length == from.bytes();
            let flags = if last { END_STREAM } else { 0 };
            put_data_head(io, id, length, flags)?;
            put_content(io, from, length);
            most -= length;
            self.ledger.earn(&[Cheap::TinyGrant, Cheap::Ping], 2);
            for credit in [&mut stream.credit, &mut self.credit] {
                Credit::spend(credit, length);
            }
            if last {
                let state = stream.state.end_local();
                self.end_local(id, state);
                return Ok(Sent::Ended);
            }
        }
        let Some(trailers) = ends else { return Ok(Sent::All) };
        let state = stream.state.end_local();
        self.end_local(id, state);
        if trailers.is_empty() {
            put_data_head(io, id, 0, END_STREAM)?;
        } else {
            let mut block = std::mem::take(&mut io.gather.block);
            message::encode_trailers(trailers, &mut self.encoder, &mut block);
            let done = self.put_block(io, id, &block, true);
            io.gather.block = block;
            done?;
        }
        Ok(Sent::Ended)
    }

    /// Whoever owns the stream has taken so much of what came.
    pub fn release(&mut self, io: &mut Io<'_>, id: u32, bytes: u32) -> Result<(), NoPage> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        let receives = stream.state.receives();
        if let Some(more) = stream.allowance.release(bytes).filter(|_| receives) {
            io.outbox.write(&frame::window_update(id, more), io.pool)?;
        }
        self.release_whole(io, bytes)
    }

    /// Gives bytes back to the window of the connection.
    pub(super) fn release_whole(&mut self, io: &mut Io<'_>, bytes: u32) -> Result<(), NoPage> {
        match self.allowance.release(bytes) {
            Some(more) => io.outbox.write(&frame::window_update(0, more), io.pool),
            None => Ok(()),
        }
    }

    /// The owner leaves the stream. If it is not over, it is reset with `code`.
    pub fn let_go(&mut self, io: &mut Io<'_>, id: u32, code: Code) -> Result<(), NoPage> {
        let Some(stream) = self.streams.remove(id) else { return Ok(()) };
        if !stream.state.is_closed() {
            io.outbox.write(&frame::rst_stream(id, code), io.pool)?;
        }
        self.release_whole(io, stream.allowance.held())
    }

    /// Resets a stream whose message broke the rules. The owner still has to leave it.
    pub(super) fn reset(
        &mut self,
        io: &mut Io<'_>,
        id: u32,
        code: Code,
    ) -> Result<Option<Event>, NoPage> {
        io.outbox.write(&frame::rst_stream(id, code), io.pool)?;
        let Some(stream) = self.streams.get(id) else {
            self.streams.remember(id, Why::ResetHere);
            return Ok(None);
        };
        let Some(owner) = stream.owner else {
            self.streams.remove(id);
            return Ok(None);
        };
        self.streams.turn(id, State::Closed(Why::ResetHere));
        Ok(Some(Event::Reset { owner, code }))
    }

    /// Says that no further streams are served; those under way are.
    pub fn go_away(&mut self, io: &mut Io<'_>, code: Code) -> Result<(), NoPage> {
        if std::mem::replace(&mut self.going_away, true) && code == Code::NoError {
            return Ok(());
        }
        io.outbox.write(&frame::goaway(self.last_theirs, code), io.pool)
    }

    pub fn ping(&mut self, io: &mut Io<'_>, payload: [u8; 8]) -> Result<(), NoPage> {
        io.outbox.write(&frame::ping(payload, 0), io.pool)
    }
}

fn put_data_head(io: &mut Io<'_>, stream: u32, length: usize, flags: u8) -> Result<(), NoPage> {
    let length = frame::length(length);
    let head: [u8; HEAD] = Head { length, kind: Kind::Data, flags, stream }.bytes();
    io.outbox.write(&head, io.pool)
}

fn put_content(io: &mut Io<'_>, from: &mut Outbox, mut length: usize) {
    while length > 0 {
        let chunk = from.take(length).expect("as much as was counted is there");
        length -= chunk.len();
        io.outbox.push(chunk);
    }
}
