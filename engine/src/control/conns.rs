//! The connections of Control, and the exchanges that run over them.
//!
//! An exchange is one request and its answer. It dials the addresses it was given in order, each
//! with its share of the time that is left; it may begin on a kept connection and move to a fresh
//! one if the kept one turns out to be dead. It ends exactly once, by answer, failure or
//! cancellation.

mod hear;

use super::failure::Failure;
use crate::base::id::{ChildId, ConnId, ServerId};
use crate::base::limits::ControlLimits;
use crate::base::mark::Mark;
use crate::base::page::{Chunk, PageSize, Pool};
use crate::base::slab::{Key, Slab};
use crate::base::time::{Span, Time};
use crate::base::timers::Timers;
use crate::boundary::{Batch, Close, Effect, Fault, Lent, OpKind, Outcome};
use crate::h2::call::{Call, Calls};
use crate::http::framing::Asked;
use crate::net::fetch::{Collector, Reply, Want};
use crate::net::outbox::Outbox;
use crate::net::secure::Secure;
use crate::tls::{Connector, H2, HTTP_1, Session};
use crate::view::stats::Stats;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Owner {
    Child(ChildId),
    Probe(ServerId),
    /// The HTTP provider.
    Provider,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) owner: Owner,
    /// Tried in order; not empty.
    pub(super) addrs: Arc<[SocketAddr]>,
    pub(super) speaks: Speaks,
    /// The head, as HTTP/1.1 writes it.
    pub(super) bytes: Arc<[u8]>,
    /// What follows it, over HTTP/2.
    pub(super) content: &'static [u8],
    pub(super) asked: Asked,
    pub(super) want: Want,
    pub(super) dial_timeout: Span,
    pub(super) deadline: Time,
    /// A kept connection to try first.
    pub(super) reuse: Option<Key>,
    /// How TLS is spoken, and with which host.
    pub(super) tls: Option<(Arc<Connector>, Arc<str>)>,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Speaks {
    Http1,
    /// What TLS agrees on.
    Either,
    Http2,
}

/// How an exchange ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) owner: Owner,
    pub(super) result: Result<Reply, Failure>,
    /// The connection, open and idle, if it can be used again.
    pub(super) kept: Option<Key>,
}

#[derive(Debug)]
pub(super) struct Conns {
    limits: ControlLimits,
    stats: Arc<Stats>,
    pool: Pool,
    conns: Slab<Conn>,
    exchanges: Slab<Exchange>,
    /// By exchange slot.
    timers: Timers,
    /// Bytes in all collectors.
    collected: usize,
    idle: u32,
    pub(super) ended: Vec<Ended>,
    effects: Vec<Effect>,
}

#[derive(Debug)]
struct Exchange {
    request: Request,
    collector: Collector,
    /// Which address is being tried.
    address: usize,
    conn: Key,
    /// When the dial under way is given up; `Time::NEVER` once connected.
    dial_until: Time,
}

#[derive(Debug)]
struct Conn {
    link: Link,
    exchange: Option<Key>,
    /// On its second exchange or later.
    reused: bool,
    to: SocketAddr,
    /// What is to be written; under TLS what is not sealed yet.
    outbox: Outbox,
    /// Set once HTTP/2 is spoken.
    calls: Option<Box<Calls>>,
    secure: Option<Box<Secure>>,
    ops: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Dialing,
    Open,
    Closing,
}

impl Conns {
    pub(super) fn new(limits: ControlLimits, stats: Arc<Stats>) -> Self {
        let limits = ControlLimits { conns_max: limits.conns_max.max(2), ..limits };
        let pool = Pool::new(
            limits.small_page_bytes,
            limits.small_pages_max,
            limits.large_page_bytes,
            limits.large_pages_max,
        );
        Self {
            limits,
            stats,
            pool,
            conns: Slab::default(),
            exchanges: Slab::default(),
            timers: Timers::default(),
            collected: 0,
            idle: 0,
            ended: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Whether one more exchange can begin.
    pub(super) fn has_room(&self) -> bool {
        // An exchange that moves to another connection holds two while the old one closes.
        self.conns.len() + 1 < self.limits.conns_max as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conns.is_empty()
    }

    pub(super) fn is_under_way(&self, exchange: Key) -> bool {
        self.exchanges.get(exchange).is_some()
    }

    /// Moves what is to be done to `out`.
    pub(super) fn append_effects(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.effects);
    }

    /// Begins an exchange.
    pub(super) fn start(&mut self, request: Request, now: Time) -> Key {
        debug_assert!(!request.addrs.is_empty(), "an exchange has somewhere to go");
        let collector = Collector::new(request.asked, request.want, self.limits.head_bytes);
        let none = Key { slot: u32::MAX, generation: 0 };
        let reuse = request.reuse.filter(|key| self.is_idle(*key));
        let current = reuse.is_none_or(|key| self.is_current(key, request.tls.as_ref()));
        let reuse = reuse.filter(|_| current);
        if !current && let Some(outdated) = request.reuse {
            self.stats.control.marks.hit(Mark::IdleOutdated);
            self.drop_kept(outdated);
        }
        let key = self.exchanges.insert(Exchange {
            request,
            collector,
            address: 0,
            conn: none,
            dial_until: Time::NEVER,
        });
        match reuse {
            Some(conn) => self.resume(key, conn, now),
            None => self.dial(key, now),
        }
        key
    }

    /// Ends an exchange without a result.
    pub(super) fn cancel(&mut self, key: Key) {
        if let Some(exchange) = self.forget(key) {
            self.close(exchange.conn, Close::Abort);
        }
    }

    /// Closes a kept connection that nobody wants any more.
    pub(super) fn drop_kept(&mut self, conn: Key) {
        if self.is_idle(conn) {
            self.idle -= 1;
            self.close(conn, Close::Gentle);
        }
    }

    pub(super) fn close_all(&mut self) {
        for slot in 0..self.exchanges.slots() {
            if let Some((key, _)) = self.exchanges.at(slot) {
                self.cancel(key);
            }
        }
        for slot in 0..self.conns.slots() {
            if let Some((key, _)) = self.conns.at(slot) {
                self.drop_kept(key);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    pub(super) fn tick(&mut self, now: Time) {
        while let Some(slot) = self.timers.pop_due(now) {
            let Some((key, exchange)) = self.exchanges.at(slot) else { continue };
            if exchange.request.deadline <= now {
                let failure = match exchange.dial_until {
                    Time::NEVER => Failure::NoAnswer,
                    _ => Failure::DialTimedOut { to: exchange.addr() },
                };
                self.fail(key, failure);
            } else if exchange.dial_until <= now {
                let failure = Failure::DialTimedOut { to: exchange.addr() };
                self.next_address(key, failure, now);
            } else {
                self.timers.set(slot, exchange.deadline());
            }
        }
    }

    pub(super) fn done(&mut self, id: ConnId, kind: OpKind, outcome: Outcome, now: Time) {
        let key = Key { slot: id.slot, generation: id.generation };
        let Some(conn) = self.conns.get_mut(key) else {
            debug_assert!(false, "{id:?} has no operation under way");
            return;
        };
        debug_assert!(conn.ops & bit(kind) != 0, "{kind:?} of {id:?} was not asked for");
        conn.ops &= !bit(kind);
        if conn.link == Link::Closing {
            self.release(key);
            return;
        }
        match outcome {
            Outcome::Connected => self.connected(key, now),
            Outcome::Received(lent) => self.received(key, lent, now),
            Outcome::Sent(bytes) => self.sent(key, bytes),
            Outcome::Failed(fault) => self.failed(key, kind, fault, now),
            Outcome::Accepted { .. } | Outcome::Shut | Outcome::Closed => {
                debug_assert!(false, "{id:?} ended in a way it could not");
            }
        }
    }

    pub(super) fn lend(&mut self, id: ConnId) -> Option<Lent> {
        let key = Key { slot: id.slot, generation: id.generation };
        let conn = self.conns.get(key)?;
        let wants_body = conn
            .exchange
            .and_then(|key| self.exchanges.get(key))
            .is_some_and(|exchange| matches!(exchange.request.want, Want::Body { .. }));
        let large = if wants_body { self.pool.take(PageSize::Large) } else { None };
        large.or_else(|| self.pool.take(PageSize::Small)).map(Lent::One)
    }

    pub(super) fn gather(&mut self, id: ConnId, out: &mut Batch) {
        let key = Key { slot: id.slot, generation: id.generation };
        let Some(conn) = self.conns.get_mut(key) else { return };
        if let Some(secure) = &mut conn.secure {
            secure.sealed.gather(usize::MAX, out);
        } else {
            conn.outbox.gather(usize::MAX, out);
        }
    }

    /// Kept connections leave room for an exchange that moves from one to another.
    fn kept_max(&self) -> u32 {
        self.limits.kept_max.min(self.limits.conns_max - 2)
    }

    fn is_idle(&self, conn: Key) -> bool {
        let conn = self.conns.get(conn);
        conn.is_some_and(|conn| conn.link == Link::Open && conn.exchange.is_none())
    }

    /// Whether a kept connection was made by the settings, roots and identities of today.
    fn is_current(&self, conn: Key, tls: Option<&(Arc<Connector>, Arc<str>)>) -> bool {
        let secure = self.conns.get(conn).and_then(|conn| conn.secure.as_ref());
        match (secure, tls) {
            (None, None) => true,
            (Some(secure), Some((connector, _))) => secure.session.is_of(connector),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Runs the exchange over a kept connection, whose read is already under way.
    fn resume(&mut self, key: Key, conn_key: Key, now: Time) {
        let exchange = self.exchanges.get_mut(key).expect("the exchange was just made");
        let conn = self.conns.get_mut(conn_key).expect("an idle connection exists");
        self.idle -= 1;
        exchange.conn = conn_key;
        conn.exchange = Some(key);
        conn.reused = true;
        self.timers.set(key.slot, exchange.deadline());
        self.put_request(conn_key, now);
        self.go_on(conn_key);
    }

    fn dial(&mut self, key: Key, now: Time) {
        let exchange = self.exchanges.get_mut(key).expect("an exchange under way exists");
        let to = exchange.addr();
        let untried = exchange.request.addrs.len() - exchange.address;
        let share = exchange.request.deadline.since(now).divided(untried as u64);
        exchange.dial_until = now + share.min(exchange.request.dial_timeout);
        let tls = exchange.request.tls.as_ref();
        let offers: &[&[u8]] = match exchange.request.speaks {
            Speaks::Http1 => &[HTTP_1],
            Speaks::Either => &[H2, HTTP_1],
            Speaks::Http2 => &[H2],
        };
        let session = tls.map(|(connector, host)| Session::client(connector, host, offers));
        let (secure, unnamed) = match session {
            None => (None, None),
            Some(Ok(session)) => (Some(Box::new(Secure::new(session))), None),
            Some(Err(refusal)) => (None, Some(refusal)),
        };
        let conn = self.conns.insert(Conn {
            link: Link::Dialing,
            exchange: Some(key),
            reused: false,
            to,
            outbox: Outbox::default(),
            calls: None,
            secure,
            ops: bit(OpKind::Connect),
        });
        exchange.conn = conn;
        self.timers.set(key.slot, exchange.deadline());
        self.effects.push(Effect::Connect { conn: id(conn), to });
        if let Some(refusal) = unnamed {
            self.fail(key, Failure::Handshake { to, refusal });
        }
    }

    fn connected(&mut self, key: Key, now: Time) {
        let conn = self.conns.get_mut(key).expect("its operation just ended");
        conn.link = Link::Open;
        let exchange = conn.exchange.expect("a dialed connection serves an exchange");
        let entry = self.exchanges.get_mut(exchange).expect("its connection is open");
        entry.dial_until = Time::NEVER;
        let speaks = entry.request.speaks;
        self.timers.set(exchange.slot, entry.deadline());
        if self.conns.get(key).is_some_and(|conn| conn.secure.is_none()) {
            self.begin(key, speaks == Speaks::Http2, now);
        }
        self.go_on(key);
    }

    /// The way is open: whatever version is spoken, the request goes first.
    fn begin(&mut self, key: Key, http2: bool, now: Time) {
        let conn = self.conns.get_mut(key).expect("an open connection exists");
        if http2 {
            let calls = Calls::new(self.limits.head_bytes, now, &mut conn.outbox, &self.pool);
            let Ok(calls) = calls else { return self.out_of_pages(key) };
            conn.calls = Some(Box::new(calls));
            self.stats.control.marks.hit(Mark::ControlSpokeHttp2);
        }
        self.put_request(key, now);
    }

    fn put_request(&mut self, key: Key, now: Time) {
        let conn = self.conns.get_mut(key).expect("an open connection exists");
        let exchange = conn.exchange.and_then(|exchange| self.exchanges.get(exchange));
        let request = &exchange.expect("somebody asks").request;
        let Some(calls) = &mut conn.calls else {
            return conn.outbox.push(Chunk::shared(Arc::clone(&request.bytes)));
        };
        let scheme: &[u8] = if conn.secure.is_some() { b"https" } else { b"http" };
        let call = Call { head: &request.bytes, scheme, content: request.content };
        if calls.ask(call, &mut conn.outbox, &self.pool, now).is_err() {
            self.out_of_pages(key);
        }
    }

    fn out_of_pages(&mut self, key: Key) {
        self.stats.control.marks.hit(Mark::ControlOutOfPages);
        match self.conns.get(key).and_then(|conn| conn.exchange) {
            Some(exchange) => self.fail(exchange, Failure::Overloaded),
            None => self.drop_kept(key),
        }
    }

    /// Writes what waits, and reads on.
    fn go_on(&mut self, key: Key) {
        self.send(key);
        if self.conns.get(key).is_some_and(|conn| conn.link == Link::Open) {
            self.ask(key, OpKind::Recv);
        }
    }

    /// Asks for what there is to write: under TLS the handshake, then the request.
    fn send(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.link == Link::Open) else {
            return;
        };
        let mut waits = !conn.outbox.is_empty();
        if let Some(secure) = &mut conn.secure {
            if secure.seal(&mut conn.outbox, &self.pool).is_err() {
                return self.out_of_pages(key);
            }
            waits = !secure.sealed.is_empty();
        }
        if waits {
            self.ask(key, OpKind::Send);
        }
    }

    fn sent(&mut self, key: Key, bytes: u32) {
        let conn = self.conns.get_mut(key).expect("its operation just ended");
        let written = match &mut conn.secure {
            Some(secure) => &mut secure.sealed,
            None => &mut conn.outbox,
        };
        written.sent(bytes as usize);
        if !written.is_empty() {
            self.stats.control.marks.hit(Mark::ControlShortWrite);
        }
        self.send(key);
    }

    fn failed(&mut self, key: Key, kind: OpKind, fault: Fault, now: Time) {
        let conn = self.conns.get(key).expect("its operation just ended");
        let Some(exchange) = conn.exchange else {
            self.stats.control.marks.hit(Mark::KeptConnEnded);
            self.drop_kept(key);
            return;
        };
        let to = conn.to;
        match (kind, fault) {
            (OpKind::Connect, _) => {
                let failure = Failure::of_dial(fault, to);
                self.next_address(exchange, failure, now);
            }
            (OpKind::Recv, Fault::NoPages) => {
                self.stats.control.marks.hit(Mark::ControlOutOfPages);
                self.fail(exchange, Failure::Overloaded);
            }
            // The answer may have come before the other side stopped listening.
            (OpKind::Send, _) if conn.ops & bit(OpKind::Recv) != 0 => {}
            (_, _) => self.cut(key, exchange, Failure::Cut { to, fault }, now),
        }
    }

    /// The connection ended before an answer. A kept one may have been dead all along: then the
    /// request is sent again on a fresh one, once.
    fn cut(&mut self, conn: Key, exchange: Key, failure: Failure, now: Time) {
        let reused = self.conns.get(conn).is_some_and(|conn| conn.reused);
        let entry = self.exchanges.get(exchange).expect("its connection has it");
        if !reused || entry.collector.begun() {
            return self.fail(exchange, failure);
        }
        self.stats.control.marks.hit(Mark::KeptConnWasDead);
        self.detach(conn);
        self.dial(exchange, now);
    }

    fn next_address(&mut self, key: Key, failure: Failure, now: Time) {
        let exchange = self.exchanges.get_mut(key).expect("an exchange under way exists");
        if exchange.address + 1 == exchange.request.addrs.len() {
            return self.fail(key, failure);
        }
        exchange.address += 1;
        let conn = exchange.conn;
        self.stats.control.marks.hit(Mark::ControlNextAddress);
        self.detach(conn);
        self.dial(key, now);
    }

    /// Parts a connection from its exchange and closes it.
    fn detach(&mut self, conn: Key) {
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.exchange = None;
        }
        self.close(conn, Close::Abort);
    }

    fn answered(&mut self, key: Key, reply: Reply) {
        let Some(exchange) = self.forget(key) else { return };
        let conn_key = exchange.conn;
        let has_room = self.idle < self.kept_max();
        let conn = self.conns.get_mut(conn_key).expect("an answer came over it");
        let sealed = conn.secure.as_ref().is_none_or(|secure| secure.sealed.is_empty());
        let ended = conn.secure.as_ref().is_some_and(|it| it.session.is_closed_by_peer());
        let idle = conn.ops & bit(OpKind::Send) == 0;
        // Over HTTP/2 what is still to be written belongs to the connection, not to the request.
        let written = (conn.outbox.is_empty() && sealed && idle) || conn.calls.is_some();
        let spent = written && !ended;
        let again = matches!(exchange.request.owner, Owner::Child(_) | Owner::Provider);
        let keep = again && reply.reusable && spent && has_room;
        let kept = if keep {
            conn.exchange = None;
            self.idle += 1;
            self.ask(conn_key, OpKind::Recv);
            Some(conn_key)
        } else {
            self.close(conn_key, Close::Gentle);
            None
        };
        self.ended.push(Ended { owner: exchange.request.owner, result: Ok(reply), kept });
    }

    fn fail(&mut self, key: Key, failure: Failure) {
        let Some(exchange) = self.forget(key) else { return };
        self.close(exchange.conn, Close::Abort);
        let owner = exchange.request.owner;
        self.ended.push(Ended { owner, result: Err(failure), kept: None });
    }

    fn forget(&mut self, key: Key) -> Option<Exchange> {
        let exchange = self.exchanges.remove(key)?;
        self.collected -= exchange.collector.bytes();
        self.timers.set(key.slot, Time::NEVER);
        Some(exchange)
    }

    fn ask(&mut self, key: Key, kind: OpKind) {
        let conn = self.conns.get_mut(key).expect("an open connection exists");
        if conn.ops & bit(kind) != 0 {
            return;
        }
        conn.ops |= bit(kind);
        let conn = id(key);
        self.effects.push(match kind {
            OpKind::Send => Effect::Send { conn },
            OpKind::Recv | OpKind::Accept | OpKind::Connect | OpKind::Shut | OpKind::Close => {
                debug_assert_eq!(kind, OpKind::Recv, "only reads and writes are asked for here");
                Effect::Recv { conn }
            }
        });
    }

    fn close(&mut self, key: Key, how: Close) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        if conn.link == Link::Closing {
            return;
        }
        conn.exchange = None;
        // A dial that failed left no socket.
        if conn.link == Link::Dialing && conn.ops == 0 {
            self.conns.remove(key);
            return;
        }
        conn.link = Link::Closing;
        conn.ops |= bit(OpKind::Close);
        self.effects.push(Effect::Close { conn: id(key), how });
    }

    fn release(&mut self, key: Key) {
        if self.conns.get(key).is_some_and(|conn| conn.ops == 0) {
            self.conns.remove(key);
        }
    }

    pub(super) fn check(&self) {
        for (key, exchange) in self.exchanges.iter() {
            let conn = self.conns.get(exchange.conn).expect("an exchange has its connection");
            assert_eq!(conn.exchange, Some(key), "a connection knows its exchange");
            assert!(conn.link != Link::Closing, "an exchange is not on a closing connection");
            assert_eq!(
                exchange.dial_until == Time::NEVER,
                conn.link == Link::Open,
                "an exchange waits for a dial exactly while it dials"
            );
            let due = self.timers.deadline(key.slot);
            assert!(due <= exchange.deadline(), "an exchange has its deadline");
        }
        let mut idle = 0;
        for (key, conn) in self.conns.iter() {
            assert!(conn.link != Link::Closing || conn.ops != 0, "{key:?} lingers");
            assert_eq!(
                conn.link == Link::Dialing,
                conn.ops & bit(OpKind::Connect) != 0 && conn.link != Link::Closing,
                "{key:?} dials while its dial is under way"
            );
            if let Some(exchange) = conn.exchange {
                assert!(self.exchanges.get(exchange).is_some(), "{key:?} serves a ghost");
            } else if conn.link == Link::Open {
                idle += 1;
                assert!(conn.ops & bit(OpKind::Recv) != 0, "{key:?} would not see its end");
            }
        }
        assert_eq!(idle, self.idle, "idle connections are counted");
        let held: usize = self.exchanges.iter().map(|(_, it)| it.collector.bytes()).sum();
        assert_eq!(held, self.collected, "collected bytes are counted");
    }
}

impl Exchange {
    fn addr(&self) -> SocketAddr {
        self.request.addrs[self.address]
    }

    fn needs_http2(&self) -> bool {
        self.request.speaks == Speaks::Http2
    }

    fn deadline(&self) -> Time {
        self.request.deadline.min(self.dial_until)
    }
}

fn id(key: Key) -> ConnId {
    ConnId { slot: key.slot, generation: key.generation }
}

const fn bit(kind: OpKind) -> u8 {
    1 << kind as u8
}
