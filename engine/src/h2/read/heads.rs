//! HEADERS and CONTINUATION: blocks of fields, and what they are for.

use super::violation;
use crate::h2::frame::{self, Code, END_HEADERS, END_STREAM, Head, PADDED, PRIORITY};
use crate::h2::ledger::Cheap;
use crate::h2::link::{Block, Event, Fatal, Io, Link, Role};
use crate::h2::message::{Gathered, Section};
use crate::h2::stream::{State, Why};

/// Frames that a block of fields may take beyond what its bytes justify.
const BLOCK_FRAMES: usize = 8;

/// What a block of fields is for.
enum Purpose {
    Opening,
    Head,
    Trailers,
    /// It was under way when the stream ended.
    Nothing,
    /// The stream's other half is over.
    Late,
}

impl Link {
    pub(super) fn on_headers(
        &mut self,
        io: &mut Io<'_>,
        head: Head,
        mut payload: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        let mut padding = 0;
        if head.has(PADDED) {
            let Some((first, rest)) = payload.split_first() else {
                return violation(Code::FrameSize);
            };
            (padding, payload) = (usize::from(*first), rest);
        }
        let mut broken = false;
        if head.has(PRIORITY) {
            let Some((priority, rest)) = payload.split_at_checked(5) else {
                return violation(Code::FrameSize);
            };
            broken = frame::number(&priority[..4]) == head.stream;
            payload = rest;
        }
        let Some(length) = payload.len().checked_sub(padding) else {
            return violation(Code::Protocol);
        };
        let fragment = &payload[..length];
        let from_client = head.stream % 2 == 1;
        if !from_client || (self.role == Role::Client && self.is_unused(head.stream)) {
            return violation(Code::Protocol);
        }
        let ends = head.has(END_STREAM);
        let block = Block { stream: head.stream, ends, frames: 1, broken };
        if head.has(END_HEADERS) {
            return self.on_block(io, block, fragment);
        }
        self.block.clear();
        self.block_of = Some(block);
        self.grow_block(fragment)?;
        Ok(None)
    }

    pub(super) fn on_continuation(
        &mut self,
        io: &mut Io<'_>,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        self.grow_block(payload)?;
        if !head.has(END_HEADERS) {
            return Ok(None);
        }
        let whole = std::mem::take(&mut self.block);
        let block = self.block_of.take().expect("checked with the head of the frame");
        self.on_block(io, block, &whole)
    }

    fn grow_block(&mut self, fragment: &[u8]) -> Result<(), Fatal> {
        let most = self.bounds.list_max as usize + frame::PAYLOAD_MAX as usize;
        self.block.extend_from_slice(fragment);
        let block = self.block_of.as_mut().expect("checked with the head of the frame");
        block.frames += 1;
        let frames_max = BLOCK_FRAMES + self.block.len() / 256;
        if self.block.len() > most || block.frames > frames_max {
            return Err(Fatal::Abuse(Cheap::Pieces));
        }
        Ok(())
    }

    fn on_block(
        &mut self,
        io: &mut Io<'_>,
        block: Block,
        bytes: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        let purpose = self.purpose(block)?;
        let (section, most) = match purpose {
            Purpose::Trailers => (Section::Trailers, self.bounds.trailers_max),
            Purpose::Head => (Section::Response, self.bounds.list_max),
            Purpose::Opening | Purpose::Nothing | Purpose::Late => {
                (Section::Request, self.bounds.list_max)
            }
        };
        let gather = &mut *io.gather;
        gather.begin();
        let each = |name: &[u8], value: &[u8]| gather.field(section, name, value, most as usize);
        if self.decoder.decode(bytes, each).is_err() {
            return violation(Code::Compression);
        }
        let fills = io.gather.fills(most);
        if fills > 0 && self.role == Role::Server {
            self.ledger.charge_times(Cheap::LongList, fills, io.now)?;
        }
        match purpose {
            Purpose::Nothing => return Ok(None),
            Purpose::Late => return self.break_stream(io, block.stream, Code::StreamClosed),
            Purpose::Opening => self.last_theirs = block.stream,
            Purpose::Head | Purpose::Trailers => {}
        }
        let gathered = match io.gather.finish(section, block.ends) {
            Ok(gathered) if !block.broken => gathered,
            _ => return self.break_stream(io, block.stream, Code::Protocol),
        };
        match section {
            Section::Request => self.on_opening(io, block, gathered),
            Section::Response => self.on_response(io, block, gathered),
            Section::Trailers => self.on_trailers(io, block, gathered),
        }
    }

    fn purpose(&self, block: Block) -> Result<Purpose, Fatal> {
        let id = block.stream;
        if self.role == Role::Server && id > self.last_theirs {
            return Ok(if self.going_away { Purpose::Nothing } else { Purpose::Opening });
        }
        let why = match self.streams.get(id) {
            Some(stream) if stream.state.receives() => {
                let head = self.role == Role::Client && !stream.headed;
                return Ok(if head { Purpose::Head } else { Purpose::Trailers });
            }
            Some(stream) => match stream.state {
                State::Closed(why) => Some(why),
                State::Open | State::LocalEnded | State::RemoteEnded => return Ok(Purpose::Late),
            },
            None => self.streams.why(id),
        };
        match why {
            Some(Why::ResetHere) => Ok(Purpose::Nothing),
            Some(Why::ResetThere) => Ok(Purpose::Late),
            Some(Why::Ended) => violation(Code::StreamClosed),
            None if self.role == Role::Client => Ok(Purpose::Late),
            None => violation(Code::Protocol),
        }
    }

    fn on_opening(
        &mut self,
        io: &mut Io<'_>,
        block: Block,
        gathered: Gathered,
    ) -> Result<Option<Event>, Fatal> {
        let (stream, ended) = (block.stream, block.ends);
        if self.streams.active() >= self.bounds.streams_max {
            self.ledger.charge(Cheap::Reset, io.now)?;
            return Ok(self.reset(io, stream, Code::RefusedStream)?);
        }
        let state = if ended { State::RemoteEnded } else { State::Open };
        self.add(stream, None, state, gathered.length);
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.tunnel = gathered.tunnel;
        }
        Ok(Some(Event::Opened { stream, ended, too_large: gathered.too_large }))
    }

    fn on_response(
        &mut self,
        io: &mut Io<'_>,
        block: Block,
        gathered: Gathered,
    ) -> Result<Option<Event>, Fatal> {
        let id = block.stream;
        let interim = gathered.status < 200;
        let Some(stream) = self.streams.get_mut(id) else { return Ok(None) };
        let bare = stream.bare || matches!(gathered.status, 204 | 304);
        let cut = block.ends && !bare && gathered.length.is_some_and(|length| length > 0);
        if (interim && block.ends) || cut || gathered.too_large {
            return self.break_stream(io, id, Code::Protocol);
        }
        let Some(owner) = stream.owner else { return Ok(None) };
        if !interim {
            stream.headed = true;
            stream.tunnel &= gathered.status < 300;
            stream.left = match (bare, stream.tunnel) {
                (true, _) => Some(0),
                (false, true) => None,
                (false, false) => gathered.length,
            };
        }
        if block.ends {
            let state = stream.state.end_remote();
            self.streams.turn(id, state);
        }
        Ok(Some(Event::Head { owner, ended: block.ends }))
    }

    fn on_trailers(
        &mut self,
        io: &mut Io<'_>,
        block: Block,
        gathered: Gathered,
    ) -> Result<Option<Event>, Fatal> {
        let Some(stream) = self.streams.get(block.stream) else { return Ok(None) };
        let short = stream.left.is_some_and(|left| left > 0);
        if !block.ends || short || gathered.too_large || stream.tunnel {
            return self.break_stream(io, block.stream, Code::Protocol);
        }
        let (owner, state) = (stream.owner, stream.state.end_remote());
        self.streams.turn(block.stream, state);
        Ok(owner.map(|owner| Event::Trailers { owner }))
    }
}
