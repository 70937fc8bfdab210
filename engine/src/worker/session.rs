//! An HTTP/2 connection of a client. Each of its streams is a connection of its own to everything
//! behind it (`stream`); here their frames come in and the connection as a whole comes and goes.

use super::client::after;
use super::conn::{Client, Conn, Partial, Role, Talk};
use super::served::Served;
use super::{Worker, key_of};
use crate::base::id::{ConnId, EntryId};
use crate::base::mark::Mark;
use crate::base::time::Time;
use crate::boundary::{Close, Fault};
use crate::h2::frame::{self, Code};
use crate::h2::link::{self, Bounds, Event, Fatal, Io, Link};
use crate::http::blame::{Misbehaved, What};
use crate::net::outbox::NoPage;
use crate::net::wire::Due;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// What only the preface of HTTP/2 begins with: the method is reserved (RFC 9113 §3.4).
const PREFACE_START: usize = 4;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) side: Side,
    pub(super) opened: Time,
    pub(super) requests: u32,
    /// Streams that could send more if there were room in the connection.
    pub(super) waiting: VecDeque<ConnId>,
    /// Nothing is read as HTTP any more.
    pub(super) over: bool,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client { entry: EntryId, peer: SocketAddr },
    Server(Served),
}

/// Whether the first bytes of a connection begin HTTP/2.
pub(super) fn is_preface(first: &[u8]) -> bool {
    first.starts_with(&frame::PREFACE[..PREFACE_START])
}

impl Worker {
    /// The client speaks HTTP/2; so many bytes of its preface were taken for the start of a head.
    /// False if there was no page to greet it with: the connection is to be lost.
    pub(super) fn start_session(&mut self, id: ConnId, taken: usize) -> bool {
        self.mark(Mark::SessionOpened);
        self.idle_clients.remove(id.slot);
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return false };
        let Role::Client(client) = &mut conn.role else { return false };
        self.grown_bytes -= client.partial.len() as u64;
        let settings = &self.view.entries[usize::from(client.entry.0)].settings;
        let bounds = Bounds {
            streams_max: settings.streams_max.min(self.limits.streams_per_session),
            stream_window: self.limits.stream_window_bytes,
            window: self.limits.session_window_bytes,
            list_max: settings.header_bytes_max,
            trailers_max: self.limits.trailer_bytes,
        };
        let outbox = &mut conn.wire.outbox;
        let Ok(mut link) = Link::new(link::Role::Server, bounds, now, outbox, &self.pool) else {
            client.partial.clear();
            self.on_no_page(id);
            return false;
        };
        link.skip_preface(taken);
        let (entry, peer, opened) = (client.entry, client.peer, client.opened);
        let waiting = VecDeque::new();
        let session = Session {
            link,
            side: Side::Client { entry, peer },
            opened,
            requests: 0,
            waiting,
            over: false,
        };
        conn.role = Role::Session(Box::new(session));
        conn.wire.clear_deadlines();
        self.touch(id);
        true
    }

    /// Reads what came. Its streams are settled afterwards in the order of their frames.
    pub(super) fn advance_session(&mut self, id: ConnId) {
        let touched = self.touched.len();
        self.read_session(id);
        self.touched[touched..].reverse();
    }

    fn read_session(&mut self, id: ConnId) {
        let most = self.limits.outbox_bytes as usize;
        loop {
            let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
            let Role::Session(session) = &mut conn.role else { return };
            if conn.wire.is_ending() {
                return;
            }
            if session.over {
                conn.wire.inbox.clear();
                if conn.wire.eof && conn.wire.is_flushed() {
                    self.end(id, Close::Gentle);
                }
                return;
            }
            if conn.wire.outbox.bytes() > most {
                break;
            }
            let mut io = Io {
                inbox: &mut conn.wire.inbox,
                outbox: &mut conn.wire.outbox,
                pool: &self.pool,
                gather: &mut self.scratch.gather,
                now: self.now,
            };
            match session.link.next(&mut io) {
                Ok(Some(event)) => self.on_event(id, event),
                Ok(None) => break,
                Err(fatal) => {
                    self.on_fatal(id, fatal);
                    return;
                }
            }
        }
        self.rest_session(id);
    }

    fn on_event(&mut self, id: ConnId, event: Event) {
        match event {
            Event::Opened { stream, ended, too_large } => {
                self.open_stream(id, stream, ended, too_large);
            }
            Event::Data { owner, data } => self.on_stream_data(owner, data),
            Event::Trailers { owner } => self.on_stream_trailers(owner),
            Event::Ended { owner } => self.on_stream_end(owner),
            Event::Reset { owner, code: Code::RefusedStream } => {
                self.learn_streams(id);
                self.on_not_served(owner);
            }
            Event::Reset { owner, code: _ } => {
                self.mark(Mark::StreamReset);
                if !self.has_answered_in_full(owner) {
                    self.lose(owner, Fault::Reset);
                }
            }
            Event::Granted { owner: Some(owner) } => self.touch(owner),
            Event::Granted { owner: None } => self.wake_streams(id),
            Event::Head { owner, ended } => self.on_stream_head(owner, ended),
            Event::GoingAway { last, .. } => self.on_going_away(id, last),
            Event::Greeted => {
                self.wake_streams(id);
                self.on_greeted(id);
            }
            Event::Pong => {}
        }
    }

    /// Lets the streams that wait for room go on.
    pub(super) fn wake_streams(&mut self, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
            let Role::Session(session) = &mut conn.role else { return };
            let Some(stream) = session.waiting.pop_front() else { return };
            if let Some(conn) = self.conns.get_mut(key_of(stream))
                && let Some(stream) = &mut conn.stream
            {
                stream.waits = false;
            }
            self.touch(stream);
        }
    }

    /// A request has come on a stream: from here on it is a client like any other.
    fn open_stream(&mut self, id: ConnId, number: u32, ended: bool, too_large: bool) {
        let now = self.now;
        let Some(session) = self.session_mut(id) else { return };
        session.requests += 1;
        let Side::Client { entry, peer } = session.side else { return };
        if self.streams >= self.limits.streams_max {
            self.mark(Mark::StreamRefused);
            self.refuse_stream(id, number);
            return;
        }
        let settings = &self.view.entries[usize::from(entry.0)].settings;
        let by = after(now, settings.read_timeout);
        let role = Role::Client(Client {
            entry,
            peer,
            talk: Talk::Listening,
            requests: 0,
            opened: now,
            partial: Partial::default(),
            last: true,
            said_last: true,
        });
        let owner = self.insert_stream(role, id, number);
        let conn = self.conn_mut(owner).expect("just inserted");
        conn.wire.eof = ended;
        conn.wire.set(Due::Request, by);
        if let Some(session) = self.session_mut(id) {
            session.link.adopt(number, owner);
        }
        if too_large {
            self.tell_off(owner, Misbehaved::client(What::HeadTooLarge));
        } else if !self.put_gathered(owner) {
            self.end(owner, Close::Abort);
        }
        self.touch(owner);
        self.limit_session(id);
    }

    /// Copies the head that was gathered into pages of the stream. False if there are none.
    pub(super) fn put_gathered(&mut self, owner: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(key_of(owner)) else { return false };
        let mut rest = self.scratch.gather.text.as_slice();
        while !rest.is_empty() {
            let Some(mut page) = self.pool.take_for(rest.len()) else {
                self.mark(Mark::PagesExhausted);
                return false;
            };
            let count = page.append(rest);
            rest = &rest[count..];
            conn.wire.inbox.push_slice(page.freeze());
        }
        true
    }

    fn refuse_stream(&mut self, id: ConnId, number: u32) {
        self.with_link(id, |link, io| link.let_go(io, number, Code::RefusedStream));
    }

    /// Lets `write` put frames into the outbox of a connection that still takes them.
    pub(super) fn with_link(
        &mut self,
        id: ConnId,
        write: impl FnOnce(&mut Link, &mut Io<'_>) -> Result<(), NoPage>,
    ) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Conn { wire, role: Role::Session(session), .. } = conn else { return };
        if wire.is_ending() || session.over {
            return;
        }
        let mut io = Io {
            inbox: &mut wire.inbox,
            outbox: &mut wire.outbox,
            pool: &self.pool,
            gather: &mut self.scratch.gather,
            now: self.now,
        };
        let done = write(&mut session.link, &mut io);
        self.touch(id);
        if done.is_err() {
            self.on_no_page(id);
        }
    }

    /// A connection that has served enough, or long enough, serves no more.
    fn limit_session(&mut self, id: ConnId) {
        let now = self.now;
        let draining = self.is_draining();
        let view = std::rc::Rc::clone(&self.view);
        let Some(session) = self.session_mut(id) else { return };
        let Side::Client { entry, .. } = session.side else { return };
        let settings = &view.entries[usize::from(entry.0)].settings;
        let spent = settings.keep_alive_requests_max > 0
            && session.requests >= settings.keep_alive_requests_max;
        let aged = !settings.keep_alive_time_max.is_zero()
            && now.since(session.opened) >= settings.keep_alive_time_max;
        if draining || spent || aged {
            self.send_away(id, Code::NoError);
        }
    }

    /// Tells the client that no further request is taken.
    pub(super) fn send_away(&mut self, id: ConnId, code: Code) {
        self.with_link(id, |link, io| link.go_away(io, code));
    }

    /// Notes whether the connection serves anybody, and what follows if not.
    fn rest_session(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Session(session) = &mut conn.role else { return };
        if conn.wire.eof && conn.wire.inbox.is_empty() {
            self.mark(Mark::SessionEnded);
            self.end(id, Close::Gentle);
            return;
        }
        let entry = match session.side {
            Side::Client { entry, .. } => entry,
            Side::Server(served) => {
                self.rest_upstream_session(id, served);
                return;
            }
        };
        if !session.link.is_idle() {
            conn.wire.set(Due::Idle, Time::NEVER);
            self.idle_clients.remove(id.slot);
            return;
        }
        if session.link.is_going_away() {
            self.retire_session(id);
            return;
        }
        if conn.wire.at(Due::Idle) == Time::NEVER {
            let idle = self.view.entries[usize::from(entry.0)].settings.idle_timeout;
            conn.wire.set(Due::Idle, after(now, idle));
        }
        if !self.idle_clients.contains(id.slot) {
            self.idle_clients.push(id.slot);
        }
    }

    /// Ends a connection that serves nobody, after telling its client so.
    pub(super) fn retire_session(&mut self, id: ConnId) {
        self.send_away(id, Code::NoError);
        self.idle_clients.remove(id.slot);
        self.idle_upstreams.remove(id.slot);
        let by = self.now + self.limits.linger;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Session(session) = &mut conn.role else { return };
        session.over = true;
        conn.wire.shut();
        conn.wire.clear_deadlines();
        conn.wire.set(Due::Linger, by);
        self.touch(id);
    }

    /// The client broke the rules of the connection, and was told so.
    fn on_fatal(&mut self, id: ConnId, fatal: Fatal) {
        match fatal {
            Fatal::Violation(_) => self.mark(Mark::SessionBroken),
            Fatal::Abuse(_) => {
                self.mark(Mark::SessionAbused);
                self.counts().shed(crate::view::stats::Shed::Connection);
            }
            Fatal::NoPage => {
                self.on_no_page(id);
                return;
            }
        }
        if let Some(session) = self.session_mut(id) {
            session.over = true;
            if let Side::Server(served) = session.side {
                self.forget_session(id, served.target);
            }
        }
        self.lose_streams(id);
        self.retire_session(id);
    }

    /// Every stream of the connection is lost with it, unless a server answered it in full before.
    pub(super) fn lose_streams(&mut self, id: ConnId) {
        let Some(session) = self.session_mut(id) else { return };
        let owners: Vec<ConnId> = session.link.owners_above(0).collect();
        for owner in owners {
            if !self.has_answered_in_full(owner) {
                self.lose(owner, Fault::Reset);
            }
        }
    }

    /// The connection is being closed.
    pub(super) fn end_session(&mut self, id: ConnId) {
        let Some(session) = self.session_mut(id) else { return };
        match session.side {
            Side::Client { entry, .. } => {
                self.clients -= 1;
                self.count_clients(entry, -1);
            }
            Side::Server(served) => {
                self.forget_session(id, served.target);
                self.count_upstream_gone(served.target);
                self.wake_waiter(served.target);
            }
        }
        self.lose_streams(id);
    }

    pub(super) fn on_session_due(&mut self, id: ConnId, due: Due) {
        let Some(session) = self.session_mut(id) else { return };
        let served = match session.side {
            Side::Client { .. } => None,
            Side::Server(served) => Some(served),
        };
        match (due, served) {
            (Due::Ping, Some(served)) => self.on_silence(id, served),
            (Due::Idle, Some(_)) => {
                self.mark(Mark::IdleUpstreamClosed);
                self.end(id, Close::Gentle);
            }
            (Due::Idle, None) => {
                self.mark(Mark::IdleClientClosed);
                self.retire_session(id);
            }
            (Due::Linger, _) => {
                self.mark(Mark::LingeredLong);
                self.end(id, Close::Gentle);
            }
            (Due::Pages, _) => {}
            _ => debug_assert!(false, "a session has no {due:?}"),
        }
    }

    /// The drain begins: no session takes further requests.
    pub(super) fn send_sessions_away(&mut self) {
        let sessions = self.conns.iter().filter(|(_, conn)| match &conn.role {
            Role::Session(session) => matches!(session.side, Side::Client { .. }),
            Role::Client(_) | Role::Upstream(_) | Role::Accepting(_) | Role::Clerk(_) => false,
        });
        let ids: Vec<ConnId> = sessions.map(|(key, _)| super::id_of(key)).collect();
        for id in ids {
            self.send_away(id, Code::NoError);
        }
    }

    pub(super) fn session_mut(&mut self, id: ConnId) -> Option<&mut Session> {
        match &mut self.conns.get_mut(key_of(id))?.role {
            Role::Session(session) => Some(session),
            Role::Accepting(_) | Role::Client(_) | Role::Upstream(_) | Role::Clerk(_) => None,
        }
    }
}
