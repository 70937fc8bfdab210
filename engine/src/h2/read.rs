//! Bytes to events. What breaks the rules of a stream ends that stream; what breaks those of the
//! connection ends the connection, after the other side was told why.

use super::frame::{self, ACK, Code, END_HEADERS, END_STREAM, HEAD, Head, Kind, PADDED, PRIORITY};
use super::frame::{PREFACE, Setting};
use super::ledger::{Cheap, Over};
use super::link::{Block, DataFrame, Event, Fatal, Io, Link, Reading, Role};
use super::message::{Gathered, Section};
use super::stream::{State, Why};
use crate::base::time::Time;

/// DATA below this is tiny, if it ends nothing.
const TINY: u32 = 64;
/// WINDOW_UPDATE below this is.
const TINY_GRANT: u32 = 1_024;
/// Memory that is kept for the next frame in pieces.
const KEPT_MAX: usize = 1_024;
/// Frames that a block of fields may take beyond what its bytes justify.
const BLOCK_FRAMES: usize = 8;

enum Step {
    /// More bytes are needed.
    Starved,
    Went(Option<Event>),
}

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

/// DATA.
impl Link {
    fn on_data_head(&mut self, io: &mut Io<'_>, head: Head) -> Result<Step, Fatal> {
        let (id, length) = (head.stream, head.length);
        let padded = head.has(PADDED);
        let ends = head.has(END_STREAM);
        if padded && length == 0 {
            return violation(Code::FrameSize);
        }
        if !self.allowance.covers(length) {
            return violation(Code::FlowControl);
        }
        if !ends && length == 0 {
            self.ledger.charge(Cheap::EmptyData, io.now)?;
        } else if !ends && length < TINY && self.role == Role::Server {
            self.ledger.charge(Cheap::TinyData, io.now)?;
        } else {
            self.ledger.earn(&[Cheap::EmptyData, Cheap::TinyData, Cheap::Ping], 1);
        }
        let fault = self.fault_of_data(id, length)?;
        let event = match fault {
            Some(code) => self.break_stream(io, id, code)?,
            None => None,
        };
        let content = length - u32::from(padded);
        let dropped = !self.takes_data(id);
        let mut frame = DataFrame { stream: id, content, padding: 0, padded, ends, dropped };
        if event.is_some() {
            self.reading = Reading::Data(frame);
            return Ok(Step::Went(event));
        }
        let event = if padded { None } else { self.announce(io, &mut frame)? };
        self.reading = Reading::Data(frame);
        Ok(Step::Went(event))
    }

    fn takes_data(&self, id: u32) -> bool {
        let stream = self.streams.get(id);
        stream.is_some_and(|it| it.owner.is_some() && it.state.receives())
    }

    /// What is wrong with DATA on this stream.
    fn fault_of_data(&self, id: u32, length: u32) -> Result<Option<Code>, Fatal> {
        let Some(stream) = self.streams.get(id) else {
            return match self.streams.why(id) {
                Some(Why::ResetHere) => Ok(None),
                Some(Why::Ended) => violation(Code::StreamClosed),
                None if self.is_unused(id) => violation(Code::Protocol),
                None if self.going_away => Ok(None),
                Some(Why::ResetThere) | None => Ok(Some(Code::StreamClosed)),
            };
        };
        match stream.state {
            State::Closed(Why::ResetHere) => Ok(None),
            State::Closed(_) | State::RemoteEnded => Ok(Some(Code::StreamClosed)),
            State::Open | State::LocalEnded => {
                let unheaded = self.role == Role::Client && !stream.headed;
                let excess = !stream.allowance.covers(length);
                Ok(match (unheaded, excess) {
                    (true, _) => Some(Code::Protocol),
                    (_, true) => Some(Code::FlowControl),
                    (false, false) => None,
                })
            }
        }
    }

    /// The length of the content is known: it has to fit what the head announced.
    fn announce(&mut self, io: &mut Io<'_>, frame: &mut DataFrame) -> Result<Option<Event>, Fatal> {
        if frame.dropped {
            return Ok(None);
        }
        let Some(stream) = self.streams.get_mut(frame.stream) else { return Ok(None) };
        let Some(left) = &mut stream.left else { return Ok(None) };
        let content = u64::from(frame.content);
        let fits = content <= *left && (!frame.ends || content == *left);
        *left = left.saturating_sub(content);
        if fits {
            return Ok(None);
        }
        frame.dropped = true;
        self.break_stream(io, frame.stream, Code::Protocol)
    }

    fn read_data(&mut self, io: &mut Io<'_>, mut frame: DataFrame) -> Result<Step, Fatal> {
        if frame.padded {
            let Some(first) = io.inbox.take(1) else { return Ok(Step::Starved) };
            frame.padded = false;
            frame.padding = u32::from(first.bytes()[0]);
            let Some(content) = frame.content.checked_sub(frame.padding) else {
                return violation(Code::Protocol);
            };
            frame.content = content;
            self.take_back(io, &frame, 1)?;
            let event = self.announce(io, &mut frame)?;
            self.reading = Reading::Data(frame);
            return Ok(Step::Went(event));
        }
        if frame.content > 0 {
            let Some(data) = io.inbox.take(frame.content as usize) else {
                return Ok(Step::Starved);
            };
            let length = frame::length(data.len());
            frame.content -= length;
            self.reading = Reading::Data(frame);
            let Some(owner) = self.receive(io, &frame, length)? else {
                return Ok(Step::Went(None));
            };
            return Ok(Step::Went(Some(Event::Data { owner, data })));
        }
        if std::mem::take(&mut frame.ends) && self.takes_data(frame.stream) && !frame.dropped {
            self.reading = Reading::Data(frame);
            return Ok(Step::Went(self.end_remote(frame.stream)));
        }
        if frame.padding > 0 {
            let Some(skipped) = io.inbox.take(frame.padding as usize) else {
                return Ok(Step::Starved);
            };
            let length = frame::length(skipped.len());
            frame.padding -= length;
            self.take_back(io, &frame, length)?;
        }
        self.reading = if frame.padding > 0 { Reading::Data(frame) } else { Reading::Frame };
        Ok(Step::Went(None))
    }

    fn end_remote(&mut self, id: u32) -> Option<Event> {
        let stream = self.streams.get(id)?;
        let (owner, state) = (stream.owner?, stream.state.end_remote());
        self.streams.turn(id, state);
        Some(Event::Ended { owner })
    }

    /// Counts content that came; whom it is for, if anybody still wants it.
    fn receive(
        &mut self,
        io: &mut Io<'_>,
        frame: &DataFrame,
        length: u32,
    ) -> Result<Option<crate::base::id::ConnId>, Fatal> {
        if frame.dropped || !self.takes_data(frame.stream) {
            self.drop_data(io, length)?;
            return Ok(None);
        }
        let stream = self.streams.get_mut(frame.stream).expect("it takes data");
        let both = [self.allowance.receive(length), stream.allowance.receive(length)];
        if both.iter().any(Result::is_err) {
            return violation(Code::FlowControl);
        }
        Ok(stream.owner)
    }

    /// Counts bytes that nobody reads, and grants them again.
    fn take_back(&mut self, io: &mut Io<'_>, frame: &DataFrame, length: u32) -> Result<(), Fatal> {
        match self.receive(io, frame, length)? {
            Some(_) => Ok(self.release(io, frame.stream, length)?),
            None => Ok(()),
        }
    }

    fn drop_data(&mut self, io: &mut Io<'_>, length: u32) -> Result<(), Fatal> {
        if self.allowance.receive(length).is_err() {
            return violation(Code::FlowControl);
        }
        Ok(self.release_whole(io, length)?)
    }
}

/// HEADERS and CONTINUATION.
impl Link {
    fn on_headers(
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

    fn on_continuation(
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

/// Everything else.
impl Link {
    fn on_priority(
        &mut self,
        io: &mut Io<'_>,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        self.ledger.charge(Cheap::Priority, io.now)?;
        let code = match payload {
            [first @ .., _] if payload.len() == 5 => {
                if frame::number(first) != head.stream {
                    return Ok(None);
                }
                Code::Protocol
            }
            _ => Code::FrameSize,
        };
        if self.streams.get(head.stream).is_none() {
            return violation(code);
        }
        self.break_stream(io, head.stream, code)
    }

    fn on_reset(&mut self, now: Time, id: u32, code: Code) -> Result<Option<Event>, Fatal> {
        let Some(stream) = self.streams.get(id) else {
            return if self.is_unused(id) { violation(Code::Protocol) } else { Ok(None) };
        };
        if stream.state.is_closed() {
            return Ok(None);
        }
        if self.role == Role::Server {
            self.ledger.charge(Cheap::Reset, now)?;
        }
        let owner = stream.owner;
        self.streams.turn(id, State::Closed(Why::ResetThere));
        Ok(owner.map(|owner| Event::Reset { owner, code }))
    }

    fn on_settings(
        &mut self,
        io: &mut Io<'_>,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        self.ledger.charge(Cheap::Settings, io.now)?;
        if head.has(ACK) {
            return Ok(None);
        }
        let first = !std::mem::replace(&mut self.greeted, true);
        if first {
            self.theirs.streams_max = u32::MAX;
        }
        let mut granted = false;
        for setting in payload.chunks_exact(6).filter_map(Setting::read) {
            granted |= self.set(setting)?;
        }
        let ack = Head { length: 0, kind: Kind::Settings, flags: ACK, stream: 0 };
        io.outbox.write(&ack.bytes(), io.pool)?;
        Ok(match self.role {
            Role::Client if first => Some(Event::Greeted),
            Role::Client | Role::Server => granted.then_some(Event::Granted { owner: None }),
        })
    }

    /// Takes one setting over. True if more may be sent now.
    fn set(&mut self, setting: Setting) -> Result<bool, Fatal> {
        match setting {
            Setting::HeaderTableSize(size) => self.encoder.allow(size),
            Setting::EnablePush(push) => {
                if push > 1 || (push == 1 && self.role == Role::Client) {
                    return violation(Code::Protocol);
                }
            }
            Setting::MaxConcurrentStreams(most) => {
                self.theirs.streams_max = most;
                return Ok(true);
            }
            Setting::InitialWindowSize(size) => {
                if size > frame::WINDOW_MAX {
                    return violation(Code::FlowControl);
                }
                let by = i64::from(size) - i64::from(self.theirs.stream_window);
                self.theirs.stream_window = size;
                for stream in self.streams.iter_mut() {
                    if stream.credit.shift(by).is_err() {
                        return violation(Code::FlowControl);
                    }
                }
                return Ok(by > 0);
            }
            Setting::MaxFrameSize(size) => {
                if !(frame::PAYLOAD_MAX..1 << 24).contains(&size) {
                    return violation(Code::Protocol);
                }
                self.theirs.frame_max = size;
            }
            Setting::EnableConnectProtocol(enabled) => {
                // RFC 8441 §3: what was allowed is not taken back.
                if enabled > 1 || (self.theirs.tunnels && enabled == 0) {
                    return violation(Code::Protocol);
                }
                self.theirs.tunnels = enabled == 1;
            }
            Setting::MaxHeaderListSize(_) => {}
        }
        Ok(false)
    }

    fn on_ping(
        &mut self,
        io: &mut Io<'_>,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Event>, Fatal> {
        if head.has(ACK) {
            return Ok(Some(Event::Pong));
        }
        self.ledger.charge(Cheap::Ping, io.now)?;
        let payload = *payload.first_chunk().expect("checked with the head of the frame");
        io.outbox.write(&frame::ping(payload, ACK), io.pool)?;
        Ok(None)
    }

    fn on_goaway(&mut self, payload: &[u8]) -> Event {
        self.leaving = true;
        let last = frame::number(&payload[..4]);
        let code = payload[4..8].first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
        Event::GoingAway { last, code: Code::of(code) }
    }

    fn on_window_update(
        &mut self,
        io: &mut Io<'_>,
        id: u32,
        more: u32,
    ) -> Result<Option<Event>, Fatal> {
        if more < TINY_GRANT {
            self.ledger.charge(Cheap::TinyGrant, io.now)?;
        }
        if id == 0 {
            return match self.credit.grant(more) {
                _ if more == 0 => violation(Code::Protocol),
                Ok(()) => Ok(Some(Event::Granted { owner: None })),
                Err(_) => violation(Code::FlowControl),
            };
        }
        let Some(stream) = self.streams.get_mut(id) else {
            return if self.is_unused(id) { violation(Code::Protocol) } else { Ok(None) };
        };
        if stream.state.is_closed() {
            return Ok(None);
        }
        match stream.credit.grant(more) {
            _ if more == 0 => self.break_stream(io, id, Code::Protocol),
            Ok(()) => Ok(stream.owner.map(|owner| Event::Granted { owner: Some(owner) })),
            Err(_) => self.break_stream(io, id, Code::FlowControl),
        }
    }
}
