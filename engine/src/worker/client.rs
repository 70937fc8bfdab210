//! The conversation with a client: one request after another, each answered before the next is
//! read.

use super::Worker;
use super::conn::{Conn, Role, Talk};
use super::exchange::HeadBytes;
use super::key_of;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::Slice;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Fault, LedgerFault};
use crate::h1::parse::{self, Bounds, Parsed, Scratch};
use crate::http::blame::{Misbehaved, What};
use crate::net::wire::{Due, Half};
use crate::tls::Refusal;
use std::rc::Rc;

/// What became of the bytes that wait for a head.
enum Reading {
    /// More are needed.
    Starved,
    /// A request began, or the connection was told off.
    Moved,
}

impl Worker {
    pub(super) fn advance_client(&mut self, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
            if conn.wire.is_ending() {
                return;
            }
            let Role::Client(client) = &mut conn.role else { return };
            match client.talk {
                Talk::Listening => match self.read_request(id) {
                    Reading::Starved => return,
                    Reading::Moved => {}
                },
                Talk::Busy(key) => {
                    self.forward(key);
                    let still = self.conn(id).and_then(Conn::exchange) == Some(key);
                    if still {
                        return;
                    }
                }
                Talk::Lingering { left } => {
                    let bytes = u32::try_from(conn.wire.inbox.bytes()).unwrap_or(u32::MAX);
                    conn.wire.inbox.clear();
                    client.talk = Talk::Lingering { left: left.saturating_sub(bytes) };
                    let over = conn.wire.eof || (bytes > left && conn.wire.half == Half::Shut);
                    if !conn.wire.is_flushed() {
                        return;
                    }
                    if over {
                        self.end(id, Close::Gentle);
                    } else if conn.wire.at(Due::Linger) == Time::NEVER {
                        conn.wire.clear_deadlines();
                        conn.wire.set(Due::Linger, self.now + self.limits.linger);
                    }
                    return;
                }
                Talk::Leaving => {
                    if !conn.is_delivered() {
                        return;
                    }
                    // Under TLS the end is said, so that nobody takes it for a cut.
                    let said = !matches!(conn.wire.half, Half::Open | Half::Shutting);
                    if said || conn.wire.secure().is_none() {
                        self.end(id, Close::Gentle);
                    } else {
                        conn.wire.shut();
                    }
                    return;
                }
            }
        }
    }

    fn read_request(&mut self, id: ConnId) -> Reading {
        let fields_max = self.limits.fields_max as usize;
        let outbox_bytes = self.limits.outbox_bytes as usize;
        let conn = self.conns.get_mut(key_of(id)).expect("an advancing client has its slot");
        let Role::Client(client) = &mut conn.role else { return Reading::Starved };
        if conn.wire.outbox.bytes() > outbox_bytes {
            return Reading::Starved;
        }
        let Some(front) = conn.wire.inbox.front().cloned() else {
            if conn.wire.eof {
                self.on_client_eof(id);
            }
            return Reading::Starved;
        };
        if client.requests == 0 && conn.stream.is_none() && client.partial.begins_h2(front.bytes())
        {
            let taken = client.partial.len();
            let started = self.start_session(id, taken);
            return if started { Reading::Moved } else { Reading::Starved };
        }
        let settings = &self.view.entries[usize::from(client.entry.0)].settings;
        let bounds = Bounds {
            bytes_max: settings.header_bytes_max as usize,
            fields_max,
            aliases: settings.aliases,
        };
        if self.idle_clients.remove(id.slot) {
            conn.wire.set(Due::Idle, Time::NEVER);
            if !planted(Mutant::SlowHeadWelcome) {
                conn.wire.set(Due::Request, after(self.now, settings.read_timeout));
            }
        }
        let mut scratch = Scratch::new();
        if client.partial.is_empty() {
            let progress = &mut client.partial.progress;
            match parse::request_head(front.bytes(), progress, bounds, &mut scratch) {
                Ok(Parsed::Complete { head, bytes }) => {
                    client.partial.progress = parse::Progress::default();
                    conn.wire.inbox.skip(bytes);
                    self.begin(id, &head, HeadBytes::Page(front.part(0..bytes)));
                }
                Ok(Parsed::Partial) => {
                    if self.may_grow(id, front.len()) {
                        self.keep_piece(id, &front);
                    }
                }
                Err(misbehaved) => self.tell_off(id, misbehaved),
            }
            return Reading::Moved;
        }
        self.mark(Mark::HeadInPieces);
        if self.may_grow(id, front.len()) {
            self.read_request_in_pieces(id, bounds);
        }
        Reading::Moved
    }

    fn read_request_in_pieces(&mut self, id: ConnId, bounds: Bounds) {
        let conn = self.conns.get_mut(key_of(id)).expect("an advancing client has its slot");
        let Role::Client(client) = &mut conn.role else { return };
        let front = conn.wire.inbox.front().cloned().expect("there is something to read");
        let (before, whole) = client.partial.extend(front.bytes());
        let progress = &mut client.partial.progress;
        let mut scratch = Scratch::new();
        match parse::request_head(&whole, progress, bounds, &mut scratch) {
            Ok(Parsed::Complete { head, bytes }) => {
                client.partial.clear();
                conn.wire.inbox.skip(bytes - before);
                self.begin(id, &head, HeadBytes::Grown(Rc::clone(&whole), bytes));
            }
            Ok(Parsed::Partial) => conn.wire.inbox.skip(front.len()),
            Err(misbehaved) => {
                self.grown_bytes -= client.partial.len() as u64;
                client.partial.clear();
                self.tell_off(id, misbehaved);
            }
        }
    }

    fn keep_piece(&mut self, id: ConnId, piece: &Slice) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Client(client) = &mut conn.role else { return };
        client.partial.extend(piece.bytes());
        conn.wire.inbox.skip(piece.len());
    }

    /// Counts a further piece of a head. A client is turned away when all heads together would
    /// grow too much.
    fn may_grow(&mut self, id: ConnId, piece: usize) -> bool {
        let grown = self.grown_bytes + piece as u64;
        if grown <= u64::from(self.limits.grown_head_bytes) {
            self.grown_bytes = grown;
            return true;
        }
        self.mark(Mark::HeadsOvergrown);
        if let Some(Role::Client(client)) =
            self.conns.get_mut(key_of(id)).map(|conn| &mut conn.role)
        {
            self.grown_bytes -= client.partial.len() as u64;
            client.partial.clear();
        }
        self.tell_off(id, Misbehaved::client(What::HeadTooLarge));
        false
    }

    /// The client will send nothing more, and no request is being served.
    fn on_client_eof(&mut self, id: ConnId) {
        self.leave(id);
    }

    /// Answers a violation, and ends the connection without destroying the answer.
    pub(super) fn tell_off(&mut self, id: ConnId, misbehaved: Misbehaved) {
        self.mark(Mark::ToldOff);
        let status = misbehaved.status();
        self.write_last_answer(id, status);
        self.linger(id);
    }

    /// Ends a connection on which something may still arrive: our half is shut, and what comes is
    /// read and thrown away for a while. Closing at once would reset the connection, and a reset
    /// takes back what the client has not read yet (RFC 9112 §9.6). The while begins when the last
    /// answer is written.
    pub(super) fn linger(&mut self, id: ConnId) {
        self.leave(id);
        let left = self.limits.linger_bytes;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Client(client) = &mut conn.role else { return };
        if conn.stream.is_none() {
            client.talk = Talk::Lingering { left };
            conn.wire.held = false;
            conn.wire.shut();
        }
    }

    /// Ends a connection whose client has nothing more to say, once the last answer is written.
    pub(super) fn leave(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Client(client) = &mut conn.role else { return };
        let idle = self.view.entries[usize::from(client.entry.0)].settings.idle_timeout;
        client.talk = Talk::Leaving;
        if conn.stream.is_some() {
            conn.wire.shut();
        }
        let response = conn.wire.at(Due::Response);
        conn.wire.clear_deadlines();
        conn.wire.set(Due::Response, response);
        self.idle_clients.remove(id.slot);
        conn.wire.set(Due::Idle, after(now, idle));
        self.touch(id);
    }

    pub(super) fn on_client_due(&mut self, id: ConnId, due: Due) {
        let Some(conn) = self.conn(id) else { return };
        let Some(client) = conn.client() else { return };
        match (due, client.talk) {
            (Due::Idle, _) => {
                self.mark(Mark::IdleClientClosed);
                self.end(id, Close::Gentle);
            }
            (Due::Request, Talk::Listening) => {
                self.mark(Mark::SlowHead);
                self.tell_off(id, Misbehaved::client(What::HeadTimeout));
            }
            (Due::Request, Talk::Busy(key)) => {
                self.mark(Mark::SlowBody);
                self.on_slow_body(key);
            }
            (Due::Pages, _) => {}
            (Due::Handshake, _) => {
                self.mark(Mark::HandshakeTimedOut);
                self.refuse(id, Refusal::TimedOut);
            }
            (Due::Linger, _) => {
                self.mark(Mark::LingeredLong);
                self.end(id, Close::Gentle);
            }
            (Due::Dial, Talk::Busy(key)) if self.is_consulting(key) => {
                self.give_up_consulting(key);
            }
            (Due::Dial, Talk::Busy(key)) if self.is_offering(key) => self.give_up_offer(key),
            (Due::Dial, Talk::Busy(key)) if self.is_held(key) => self.pass_on(key),
            (Due::Dial, Talk::Busy(key)) => {
                self.mark(Mark::WaitedTooLong);
                self.release_upstream(key);
                self.fail(key, 504);
            }
            (Due::Response, Talk::Busy(key)) => {
                self.mark(Mark::SlowReader);
                self.abandon(key);
            }
            _ => self.end(id, Close::Abort),
        }
    }

    /// The client's connection is broken.
    pub(super) fn lose(&mut self, id: ConnId, fault: Fault) {
        let Some(conn) = self.conn(id) else { return };
        match (&conn.role, conn.exchange()) {
            (Role::Client(_), Some(key)) => {
                self.mark(Mark::ClientLeft);
                self.abandon(key);
            }
            (Role::Upstream(_), Some(key)) => self.on_origin_lost(key, fault),
            (Role::Clerk(_), _) => self.lose_clerk(id, LedgerFault::Lost),
            (Role::Client(_) | Role::Upstream(_) | Role::Accepting(_) | Role::Session(_), _) => {
                self.end(id, Close::Abort);
            }
        }
    }
}

/// A deadline this far away; a zero span is no deadline.
pub(super) fn after(now: Time, span: Span) -> Time {
    if span.is_zero() { Time::NEVER } else { now + span }
}
