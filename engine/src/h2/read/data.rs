//! DATA: to whom it belongs, whether it may come, and what it costs.

use super::{Step, violation};
use crate::h2::frame::{self, Code, END_STREAM, Head, PADDED};
use crate::h2::ledger::Cheap;
use crate::h2::link::{DataFrame, Event, Fatal, Io, Link, Reading, Role};
use crate::h2::stream::{State, Why};

/// DATA below this is tiny, if it ends nothing.
const TINY: u32 = 64;

impl Link {
    pub(super) fn on_data_head(&mut self, io: &mut Io<'_>, head: Head) -> Result<Step, Fatal> {
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

    pub(super) fn read_data(
        &mut self,
        io: &mut Io<'_>,
        mut frame: DataFrame,
    ) -> Result<Step, Fatal> {
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
