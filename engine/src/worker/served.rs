//! HTTP/2 connections to servers: one per target as long as it takes further streams, then another.
//! Whoever comes while one is being dialed waits for it.

use super::client::after;
use super::conn::{Partial, Role, Upstream, Usage};
use super::exchange::{Multiplex, Phase};
use super::session::{Session, Side};
use super::websocket::Carrier;
use super::{Worker, key_of};
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Batch, Close};
use crate::config::fixed::IdleConns;
use crate::h2::link::{self, Bounds, Link};
use crate::net::outbox::Outbox;
use crate::net::wire::Due;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// The server at the other end of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) target: TargetId,
    addr: SocketAddr,
    read_timeout: Span,
    write_timeout: Span,
    idle_timeout: Span,
    ping_after: Span,
    ping_timeout: Span,
    /// It was asked for a sign of life.
    asked: bool,
    /// It is to serve once only.
    once: bool,
    secure: bool,
}

impl Worker {
    /// Sends the composed head on a stream to the exchange's server, or lets it wait until the
    /// server has said what its streams take. False if there is no session for it.
    pub(super) fn connect_stream(&mut self, key: Key, target: TargetId) -> bool {
        let refused_by = self.exchanges.get(key).and_then(|exchange| exchange.refused_by);
        let upgrades = self.exchanges.get(key).is_some_and(|it| it.asking.upgrade.is_some());
        let carrier = match upgrades {
            true => self.carrier(target, refused_by),
            false => {
                self.open_session(target, refused_by).map_or(Carrier::Nobody, Carrier::Session)
            }
        };
        let session = match carrier {
            Carrier::Session(session) => session,
            Carrier::Nobody => return false,
            Carrier::Silent => {
                self.mark(Mark::WebSocketWaited);
                self.wait(key, target);
                return true;
            }
        };
        self.counts().reused.add(1);
        let head = std::mem::take(&mut self.scratch.head);
        self.begin_stream(key, session, &head, true);
        self.scratch.head = head;
        true
    }

    /// Whether an exchange rather waits for a connection that somebody else dials. A mirror has
    /// nothing that could end its waiting.
    pub(super) fn joins_dial(&self, key: Key, target: TargetId, multiplex: Multiplex) -> bool {
        let pool = &self.targets[target.0 as usize];
        let likely = match multiplex {
            Multiplex::Never => false,
            Multiplex::Offered => !pool.declined,
            Multiplex::Always => true,
        };
        let waits = self.exchanges.get(key).is_some_and(|exchange| exchange.client.is_some());
        likely && pool.dialing > 0 && waits
    }

    /// The server chose HTTP/1.1: the connection is for one request at a time after all.
    pub(super) fn on_no_streams(&mut self, id: ConnId) {
        let Some(upstream) = self.conn_mut(id).and_then(|conn| conn.upstream_mut()) else { return };
        let target = upstream.target;
        if !std::mem::take(&mut upstream.multiplexed) {
            return;
        }
        let pool = &mut self.targets[target.0 as usize];
        pool.dialing -= 1;
        pool.declined = true;
        while let Some(waiter) = self.targets[target.0 as usize].next_waiter() {
            self.woken.push(waiter);
        }
    }

    /// The oldest session to a target that takes one more stream, and was made by the settings of
    /// today; any but `except`.
    fn open_session(&self, target: TargetId, except: Option<ConnId>) -> Option<ConnId> {
        let sessions = &self.targets[target.0 as usize].sessions;
        let mut others = sessions.iter().copied().filter(|id| Some(*id) != except);
        others.find(|id| match self.conn(*id).map(|conn| &conn.role) {
            Some(Role::Session(session)) => {
                session.link.may_open() && !session.over && self.is_current(*id, target)
            }
            _ => false,
        })
    }

    /// A connection for streams is there: the exchange that dialed it goes first.
    pub(super) fn start_upstream_session(&mut self, id: ConnId) {
        let now = self.now;
        let conn = self.conns.get_mut(key_of(id)).expect("its connect was under way");
        let Role::Upstream(upstream) = &mut conn.role else {
            unreachable!("only servers are dialed")
        };
        let target = upstream.target;
        let Usage::Busy(key) = upstream.usage else {
            self.end(id, Close::Gentle);
            return;
        };
        let transport = self.view.targets.get(target.0).map(|aim| aim.transport.clone());
        let transport = transport.unwrap_or_default();
        let served = Served {
            target,
            addr: upstream.addr,
            read_timeout: upstream.read_timeout,
            write_timeout: upstream.write_timeout,
            idle_timeout: upstream.idle_timeout,
            ping_after: transport.ping_after,
            ping_timeout: transport.ping_timeout,
            asked: false,
            once: transport.idle == IdleConns::NoReuse,
            secure: conn.wire.secure().is_some(),
        };
        let head = drain(&mut conn.wire.outbox);
        let bounds = Bounds {
            streams_max: self.limits.streams_per_session,
            stream_window: self.limits.stream_window_bytes,
            window: self.limits.session_window_bytes,
            list_max: self.limits.response_head_bytes,
            trailers_max: self.limits.trailer_bytes,
        };
        let outbox = &mut conn.wire.outbox;
        let Ok(mut link) = Link::new(link::Role::Client, bounds, now, outbox, &self.pool) else {
            self.on_no_page(id);
            return;
        };
        if let Some(known) = self.targets[target.0 as usize].streams_known {
            link.expect_streams(known);
        }
        let session = Session {
            link,
            side: Side::Server(served),
            opened: now,
            requests: 0,
            waiting: VecDeque::new(),
            over: false,
        };
        conn.role = Role::Session(Box::new(session));
        conn.wire.clear_deadlines();
        self.on_session_heard(id);
        self.mark(Mark::UpstreamSessionOpened);
        let pool = &mut self.targets[target.0 as usize];
        pool.dialing -= 1;
        pool.declined = false;
        pool.sessions.push(id);
        while let Some(waiter) = self.targets[target.0 as usize].next_waiter() {
            self.woken.push(waiter);
        }
        let exchange = self.exchanges.get_mut(key).expect("a busy connection has its exchange");
        exchange.upstream = None;
        exchange.phase = Phase::Waiting;
        if exchange.asking.upgrade.is_some() {
            // RFC 8441 §3: not before the server has said that it may.
            self.mark(Mark::WebSocketWaited);
            self.wait(key, target);
            return;
        }
        self.begin_stream(key, id, &head, false);
    }

    /// Gives the exchange a stream of its own.
    fn begin_stream(&mut self, key: Key, id: ConnId, head: &[u8], reused: bool) {
        if self.streams >= self.limits.streams_max {
            self.mark(Mark::StreamRefused);
            self.fail(key, 503);
            return;
        }
        let Some(session) = self.session_mut(id) else { return };
        let Side::Server(served) = session.side else { return };
        session.requests += 1;
        // Nobody may give it up to make room for what is written now.
        self.idle_upstreams.remove(id.slot);
        let exchange = self.exchanges.get(key).expect("an exchange to attach");
        let upgrades = exchange.asking.upgrade.is_some();
        let ends = exchange.framing.is_over() && !upgrades;
        let role = Role::Upstream(Upstream {
            target: served.target,
            addr: served.addr,
            usage: Usage::Busy(key),
            partial: Partial::default(),
            read_timeout: served.read_timeout,
            write_timeout: served.write_timeout,
            idle_timeout: served.idle_timeout,
            multiplexed: true,
        });
        let owner = self.insert_stream(role, id, 0);
        let mut number = 0;
        let scheme: &[u8] = if served.secure { b"https" } else { b"http" };
        self.with_link(id, |link, io| {
            number = match upgrades {
                true => link.open_websocket(io, owner, scheme, head)?,
                false => link.open(io, owner, scheme, head, ends)?,
            };
            Ok(())
        });
        if let Some(stream) = self.conn_mut(owner).and_then(|conn| conn.stream.as_mut()) {
            stream.number = number;
        }
        if served.once {
            self.forget_session(id, served.target);
        }
        self.attach(key, owner, reused);
        let exchange = self.exchanges.get_mut(key).expect("just attached");
        exchange.phase = Phase::AwaitingHead;
        self.expect_response(key);
        self.touch(id);
    }

    /// The server takes no further streams, and has not seen those above `last`.
    pub(super) fn on_going_away(&mut self, id: ConnId, last: u32) {
        let Some(session) = self.session_mut(id) else { return };
        let Side::Server(served) = session.side else { return };
        let unseen: Vec<ConnId> = session.link.owners_above(last).collect();
        self.mark(Mark::UpstreamGoingAway);
        self.forget_session(id, served.target);
        for owner in unseen {
            self.on_not_served(owner);
        }
    }

    /// A stream was refused: the next connection to the same server begins with what this one
    /// turned out to allow.
    pub(super) fn learn_streams(&mut self, id: ConnId) {
        let Some(session) = self.session_mut(id) else { return };
        let Side::Server(served) = session.side else { return };
        let allowed = session.link.streams_allowed();
        self.targets[served.target.0 as usize].streams_known = Some(allowed.max(1));
    }

    /// Takes a session off its target's list.
    pub(super) fn forget_session(&mut self, id: ConnId, target: TargetId) {
        self.targets[target.0 as usize].sessions.retain(|session| *session != id);
    }

    /// Notes whether a session serves anybody, and what follows if not.
    pub(super) fn rest_upstream_session(&mut self, id: ConnId, served: Served) {
        let now = self.now;
        let kept = self.targets[served.target.0 as usize].sessions.contains(&id);
        let closing = self.is_closing_down();
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Session(session) = &mut conn.role else { return };
        if !session.link.is_idle() {
            conn.wire.set(Due::Idle, Time::NEVER);
            self.idle_upstreams.remove(id.slot);
        } else if !kept || closing {
            self.end(id, Close::Gentle);
            return;
        } else if !self.idle_upstreams.contains(id.slot) {
            conn.wire.set(Due::Idle, after(now, served.idle_timeout));
            self.idle_upstreams.push(id.slot);
        }
        self.counts().upstreams_idle.set(self.idle_upstreams.len() as u64);
    }

    /// Something came, whatever it is: the server is alive.
    pub(super) fn on_session_heard(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Session(session) = &mut conn.role else { return };
        if let Side::Server(served) = &mut session.side {
            served.asked = false;
            conn.wire.set(Due::Ping, after(now, served.ping_after));
        }
    }

    /// Nothing came for long: the server is asked for a sign of life, or was.
    pub(super) fn on_silence(&mut self, id: ConnId, served: Served) {
        if served.asked {
            self.mark(Mark::PingUnanswered);
            self.end(id, Close::Abort);
            return;
        }
        self.with_link(id, |link, io| link.ping(io, *b"tieline?"));
        let by = self.now + served.ping_timeout;
        let Some(session) = self.session_mut(id) else { return };
        session.side = Side::Server(Served { asked: true, ..served });
        if let Some(conn) = self.conn_mut(id) {
            conn.wire.set(Due::Ping, by);
        }
    }
}

/// What waits to be written, as one text.
fn drain(outbox: &mut Outbox) -> Vec<u8> {
    let mut batch = Batch::new();
    outbox.gather(usize::MAX, &mut batch);
    outbox.clear();
    batch.iter().flat_map(|chunk| chunk.bytes().iter().copied()).collect()
}
