//! Frames that carry no message: priorities, resets, settings, signs of life, leave, windows.

use super::violation;
use crate::base::time::Time;
use crate::h2::frame::{self, ACK, Code, Head, Kind, Setting};
use crate::h2::ledger::Cheap;
use crate::h2::link::{Event, Fatal, Io, Link, Role};
use crate::h2::stream::{State, Why};

/// WINDOW_UPDATE below this grants next to nothing.
const TINY_GRANT: u32 = 1_024;

impl Link {
    pub(super) fn on_priority(
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

    pub(super) fn on_reset(
        &mut self,
        now: Time,
        id: u32,
        code: Code,
    ) -> Result<Option<Event>, Fatal> {
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

    pub(super) fn on_settings(
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

    pub(super) fn on_ping(
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

    pub(super) fn on_goaway(&mut self, payload: &[u8]) -> Event {
        self.leaving = true;
        let last = frame::number(&payload[..4]);
        let code = payload[4..8].first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
        Event::GoingAway { last, code: Code::of(code) }
    }

    pub(super) fn on_window_update(
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
