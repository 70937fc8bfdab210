//! Streams of HTTP/2 connections. To an exchange a stream is a connection: bytes lie in its inbox,
//! and what it is to get goes into its outbox. Settling one carries both from and to frames, as
//! far as windows allow, and grants again what was taken.

use super::conn::{Conn, Role};
use super::{Worker, id_of, key_of};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::page::{PageSize, Slice};
use crate::base::time::Time;
use crate::boundary::Close;
use crate::h2::frame::Code;
use crate::h2::link::Io;
use crate::h2::write::Sent;
use crate::http::fields::{InTrailer, in_trailer};
use crate::net::inbox::Inbox;
use crate::net::outbox::Outbox;
use crate::net::wire::{Due, Half, Link, Wire};

/// What one stream may send before others get their turn.
const TURN: usize = 64 * 1024;
/// The least that is put into one frame, however little room is left, unless windows or the content
/// end before: frames of a few bytes are work for both sides, and beyond a budget an attack.
const WORTH: usize = 1_024;
/// Streams whose memory waits for the next ones, and how much of it.
const REMAINS_MAX: usize = 1_024;
const REMAINING_LINES: usize = 1_024;
const REMAINING_PIECES: usize = 64;
/// Pieces in an inbox that are copied together if they are small.
const PIECES_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) session: ConnId,
    pub(super) number: u32,
    /// Bytes that came and were not granted again.
    held: usize,
    /// On the session's list of those that wait for room.
    pub(super) waits: bool,
    /// HTTP is over on it.
    pub(super) tunnel: bool,
    /// Field lines that came behind the content.
    pub(super) came: Vec<u8>,
    /// Field lines to send behind it.
    pub(super) trailers: Vec<u8>,
}

impl Stream {
    pub(super) fn new(session: ConnId, number: u32) -> Self {
        Self {
            session,
            number,
            held: 0,
            waits: false,
            tunnel: false,
            came: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// A new stream in the memory of an old one.
    fn renew(&mut self, session: ConnId, number: u32) {
        self.came.clear();
        self.trailers.clear();
        let (came, trailers) = (std::mem::take(&mut self.came), std::mem::take(&mut self.trailers));
        *self = Self { came, trailers, ..Self::new(session, number) };
    }
}

/// What a stream that is over leaves for the next one.
#[derive(Debug)]
pub(super) struct Remains {
    stream: Box<Stream>,
    inbox: Inbox,
    outbox: Outbox,
}

impl Remains {
    /// Nothing if it is more than most streams need.
    fn of(mut conn: Conn) -> Option<Self> {
        let stream = conn.stream.take()?;
        let lines = stream.came.capacity().max(stream.trailers.capacity());
        let (mut inbox, mut outbox) = (conn.wire.inbox, conn.wire.outbox);
        inbox.clear();
        outbox.clear();
        let pieces = inbox.room().max(outbox.room());
        let usual = lines <= REMAINING_LINES && pieces <= REMAINING_PIECES;
        usual.then_some(Self { stream, inbox, outbox })
    }
}

impl Worker {
    /// Puts a stream into a slot of its own.
    pub(super) fn insert_stream(&mut self, role: Role, session: ConnId, number: u32) -> ConnId {
        self.streams += 1;
        let id = id_of(self.conns.next_key());
        let mut wire = Wire::new(id);
        wire.link = Link::Open;
        let stream = match self.remains.pop() {
            Some(Remains { mut stream, inbox, outbox }) => {
                (wire.inbox, wire.outbox) = (inbox, outbox);
                stream.renew(session, number);
                stream
            }
            None => Box::new(Stream::new(session, number)),
        };
        let key = self.conns.insert(Conn { wire, role, stream: Some(stream) });
        debug_assert_eq!(key, key_of(id), "the next key is the next key");
        id
    }

    pub(super) fn on_stream_data(&mut self, owner: ConnId, data: Slice) {
        let Some(conn) = self.conns.get_mut(key_of(owner)) else { return };
        let Some(stream) = &mut conn.stream else { return };
        stream.held += data.len();
        conn.wire.set(Due::Read, Time::NEVER);
        conn.wire.inbox.push_slice(data);
        let inbox = &mut conn.wire.inbox;
        if inbox.pieces() > PIECES_MAX && inbox.bytes() < inbox.pieces() * 1_024 {
            inbox.compact(|| self.pool.take(PageSize::Large));
        }
        self.touch(owner);
    }

    pub(super) fn on_stream_end(&mut self, owner: ConnId) {
        if let Some(conn) = self.conns.get_mut(key_of(owner)) {
            conn.wire.eof = true;
            self.touch(owner);
        }
    }

    /// Trailers came, and with them the end. Those that may not be passed on are left out.
    pub(super) fn on_stream_trailers(&mut self, owner: ConnId) {
        let Some(conn) = self.conns.get_mut(key_of(owner)) else { return };
        let Some(stream) = &mut conn.stream else { return };
        for line in self.scratch.gather.text.split_inclusive(|b| *b == b'\n') {
            let name = line.split(|b| *b == b':').next().unwrap_or(b"");
            let name = std::str::from_utf8(name).unwrap_or("");
            if in_trailer(name) == InTrailer::Allowed {
                stream.came.extend_from_slice(line);
            }
        }
        self.on_stream_end(owner);
    }

    /// Whether a reset merely says that the rest of a request is not wanted: what was answered in
    /// full before is not to be discarded (RFC 9113 §8.1).
    pub(super) fn has_answered_in_full(&mut self, owner: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(key_of(owner)) else { return false };
        let tunnel = conn.stream.as_ref().is_some_and(|stream| stream.tunnel);
        if conn.upstream().is_none() || !conn.wire.eof || tunnel {
            return false;
        }
        conn.wire.half = Half::Broken;
        conn.wire.forget_unsent();
        self.mark(Mark::UploadRefused);
        self.touch(owner);
        true
    }

    /// A head came for a stream of ours, interim or final.
    pub(super) fn on_stream_head(&mut self, owner: ConnId, ended: bool) {
        if !self.put_gathered(owner) {
            self.on_no_page(owner);
            return;
        }
        if ended {
            self.on_stream_end(owner);
        }
        self.touch(owner);
    }

    /// Sends a head on a stream; `ends` says that nothing follows it.
    pub(super) fn put_stream_head(&mut self, id: ConnId, head: &[u8], ends: bool) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Some(stream) = &conn.stream else { return };
        if ends {
            conn.wire.half = Half::Shut;
        }
        let (session, number) = (stream.session, stream.number);
        self.with_link(session, |link, io| link.respond(io, number, head, ends));
    }

    /// Moves what a stream is to send into frames, and grants what was taken of what came.
    pub(super) fn settle_stream(&mut self, id: ConnId) {
        let now = self.now;
        let limit = self.limits.outbox_bytes as usize;
        let Some(conn) = self.conns.get(key_of(id)) else { return };
        if conn.wire.is_ending() {
            self.leave_stream(id);
            return;
        }
        let deadline = conn.wire.deadline();
        self.timers.set(id.slot, deadline);
        let Self { conns, pool, scratch, .. } = self;
        let Some(stream) = conns.get(key_of(id)).and_then(|conn| conn.stream.as_ref()) else {
            return;
        };
        let (carrier, number) = (stream.session, stream.number);
        let Some((conn, whole)) = conns.pair_mut(key_of(id), key_of(carrier)) else { return };
        let Conn { wire, role: Role::Session(session), .. } = whole else { return };
        if wire.is_ending() {
            return;
        }
        let stream = conn.stream.as_mut().expect("just seen");
        let gather = &mut scratch.gather;
        let room = room_for_frames(limit, wire.outbox.bytes());
        let before = wire.outbox.bytes();
        let (inbox, outbox) = (&mut wire.inbox, &mut wire.outbox);
        let mut io = Io { inbox, outbox, pool, gather, now };
        let taken = stream.held - conn.wire.inbox.bytes().min(stream.held);
        stream.held -= taken;
        let taken = u32::try_from(taken).expect("a window is below 4 GiB");
        let mut done = match taken {
            0 => Ok(()),
            taken => session.link.release(&mut io, number, taken),
        };
        let ends = (conn.wire.half == Half::Shutting).then_some(stream.trailers.as_slice());
        let mut sent = Sent::All;
        if done.is_ok() && (ends.is_some() || !conn.wire.outbox.is_empty()) {
            let result = session.link.send(&mut io, number, &mut conn.wire.outbox, ends, room);
            match result {
                Ok(result) => sent = result,
                Err(no_page) => done = Err(no_page),
            }
        }
        // Also if its own window is full: settings may widen all windows at once (RFC 9113 §6.9.2).
        let full = matches!(sent, Sent::Full | Sent::StreamFull);
        if full && !std::mem::replace(&mut stream.waits, true) {
            session.waiting.push_back(id);
        }
        let written = wire.outbox.bytes() != before;
        if written {
            conn.wire.set(Due::Write, Time::NEVER);
        }
        let left = conn.wire.outbox.bytes();
        let most = conn.outbox_max(&self.limits);
        let ended = sent == Sent::Ended && conn.wire.half == Half::Shutting;
        if ended {
            conn.wire.half = Half::Shut;
        }
        if ended {
            self.touch(id);
        }
        if written {
            self.touch(carrier);
            if left <= most / 2 {
                self.resume_peer(id);
            }
        }
        if done.is_err() {
            self.on_no_page(carrier);
        }
    }

    /// The stream is over for whoever owned it.
    fn leave_stream(&mut self, id: ConnId) {
        self.timers.set(id.slot, Time::NEVER);
        let conn = self.conns.remove(key_of(id)).expect("a settled stream has its slot");
        debug_assert!(conn.exchange().is_none(), "{id:?} still serves an exchange");
        self.streams -= 1;
        let Some(stream) = &conn.stream else { return };
        // RFC 9113 §8.1: who was answered in full need not send the rest of the request.
        let code = match (conn.client(), conn.wire.half, conn.wire.link) {
            // RFC 8441 §5: that is how a reset of the other side reads here.
            _ if stream.tunnel => Code::Cancel,
            (None, _, _) => Code::Cancel,
            (_, Half::Shut, _) => Code::NoError,
            (_, _, Link::Ending(Close::Abort)) => Code::Internal,
            _ => Code::Cancel,
        };
        if conn.client().is_some() && code != Code::NoError {
            self.mark(Mark::StreamCut);
        }
        let (session, number) = (stream.session, stream.number);
        if self.remains.len() < REMAINS_MAX {
            self.remains.extend(Remains::of(conn));
        }
        self.with_link(session, |link, io| link.let_go(io, number, code));
    }
}

/// How much content a stream may put into frames while so much waits to be written already.
fn room_for_frames(limit: usize, waiting: usize) -> usize {
    match limit.saturating_sub(waiting) {
        0 => 0,
        room => room.clamp(WORTH, TURN),
    }
}
