//! Between inputs and effects: which connections have to be looked at, what they read, and when
//! their slots are free again.

use super::conn::{Conn, Role, Talk, Usage};
use super::session::Side;
use super::{Worker, key_of};
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::{Page, PageSize};
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Fault, Lent};
use crate::net::wire::{Cover, Due, Half, Link};
use crate::view::stats::Shed;

/// How long a read waits for pages to come back.
const STARVED: Span = Span::millis(1);

impl Worker {
    /// Puts a connection on the list of those to be settled.
    pub(super) fn touch(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(key_of(id))
            && !conn.wire.touched
        {
            conn.wire.touched = true;
            self.touched.push(id);
        }
    }

    /// Sets a clock of a connection that may not be the one being settled.
    pub(super) fn set_due(&mut self, id: ConnId, due: Due, at: Time) {
        if let Some(conn) = self.conns.get_mut(key_of(id))
            && conn.wire.at(due) != at
        {
            conn.wire.set(due, at);
            self.touch(id);
        }
    }

    /// Settles until nothing is left to do.
    pub(super) fn run(&mut self) {
        loop {
            while let Some(id) = self.touched.pop() {
                self.settle(id);
            }
            self.run_concluded();
            self.run_switches();
            self.run_woken();
            self.arm_accepts();
            self.conclude_drain();
            let rests = self.concluded.is_empty() && self.switching.is_empty();
            if self.touched.is_empty() && rests {
                break;
            }
        }
    }

    fn settle(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.touched = false;
        if conn.wire.failed && !conn.wire.is_ending() {
            conn.wire.failed = false;
            self.lose(id, Fault::NoPages);
        }
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        if !conn.wire.is_ending() {
            match conn.role {
                Role::Client(_) => self.advance_client(id),
                Role::Upstream(_) => self.advance_upstream(id),
                Role::Session(_) => self.advance_session(id),
                Role::Clerk(_) => self.advance_clerk(id),
                Role::Accepting(_) => {}
            }
        }
        if self.conns.get(key_of(id)).is_some_and(|conn| conn.stream.is_some()) {
            self.settle_stream(id);
            return;
        }
        let reads = self.wants_read(id);
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        if !matches!(conn.wire.cover, Cover::Clear) && conn.wire.seal(&self.pool).is_err() {
            self.on_no_page(id);
        }
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.ask(reads, &mut self.effects);
        if conn.wire.link == Link::Gone {
            conn.wire.clear_deadlines();
            if !conn.wire.has_operations() {
                self.remove(id);
                return;
            }
        }
        let Some(conn) = self.conns.get(key_of(id)) else { return };
        self.timers.set(id.slot, conn.wire.deadline());
    }

    fn remove(&mut self, id: ConnId) {
        self.timers.set(id.slot, Time::NEVER);
        let conn = self.conns.remove(key_of(id)).expect("a settled connection has its slot");
        debug_assert!(conn.exchange().is_none(), "{id:?} still serves an exchange");
    }

    /// Closes a connection that serves nobody.
    pub(super) fn end(&mut self, id: ConnId, how: Close) {
        self.idle_clients.remove(id.slot);
        if self.idle_upstreams.remove(id.slot) {
            self.forget_idle(id);
        }
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        debug_assert!(conn.exchange().is_none(), "{id:?} still serves an exchange");
        if conn.wire.is_ending() {
            return;
        }
        conn.wire.end(how);
        match &mut conn.role {
            Role::Client(client) => {
                let entry = client.entry;
                self.grown_bytes -= client.partial.len() as u64;
                client.partial.clear();
                if conn.stream.is_none() {
                    self.clients -= 1;
                    self.count_clients(entry, -1);
                }
            }
            Role::Session(_) => self.end_session(id),
            Role::Upstream(upstream) => {
                upstream.usage = Usage::Over;
                let target = upstream.target;
                if conn.stream.is_none() {
                    let dialing = u32::from(upstream.multiplexed);
                    self.targets[target.0 as usize].dialing -= dialing;
                    self.count_upstream_gone(target);
                }
                self.wake_waiter(target);
            }
            Role::Clerk(at) => {
                let at = *at;
                self.on_clerk_ended(id, at);
            }
            Role::Accepting(_) => {}
        }
        self.touch(id);
    }

    pub(super) fn count_upstream_gone(&mut self, target: TargetId) {
        self.upstreams -= 1;
        self.counts().upstreams.set(u64::from(self.upstreams));
        self.targets[target.0 as usize].open -= 1;
    }

    /// Whether bytes from this connection are welcome.
    fn wants_read(&self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        let starved = conn.wire.at(Due::Pages) != Time::NEVER;
        if !conn.wire.is_open() || conn.wire.held || starved {
            return false;
        }
        match &conn.role {
            Role::Client(client) => match client.talk {
                Talk::Leaving => false,
                Talk::Lingering { left } => left > 0 || conn.wire.is_flushed(),
                Talk::Listening | Talk::Busy(_) => conn.wire.inbox.is_empty(),
            },
            Role::Session(session) => session.over || conn.wire.inbox.is_empty(),
            Role::Upstream(_) | Role::Clerk(_) => conn.wire.inbox.is_empty(),
            Role::Accepting(_) => false,
        }
    }

    /// Whether a body streams in from this connection, so that its reads may grow.
    fn streams(&self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        match &conn.role {
            Role::Client(_) => conn
                .exchange()
                .and_then(|key| self.exchanges.get(key))
                .is_some_and(|exchange| !exchange.up.is_over()),
            Role::Upstream(upstream) => matches!(upstream.usage, Usage::Busy(_)),
            Role::Session(session) => !session.link.is_idle(),
            Role::Accepting(_) | Role::Clerk(_) => false,
        }
    }

    /// Whether what this connection sends goes to a stream of another one.
    fn feeds_stream(&self, conn: &Conn) -> bool {
        let exchange = conn.exchange().and_then(|key| self.exchanges.get(key));
        let to = exchange.and_then(|exchange| match exchange.client {
            Some(client) if client == conn.id() => exchange.upstream,
            client => client,
        });
        to.and_then(|id| self.conn(id)).is_some_and(|conn| conn.stream.is_some())
    }

    pub(super) fn lend_pages(&mut self, id: ConnId) -> Option<Lent> {
        let conn = self.conn(id)?;
        if !conn.wire.is_open() {
            return None;
        }
        let is_client = match &conn.role {
            Role::Client(_) => true,
            Role::Session(session) => matches!(session.side, Side::Client { .. }),
            Role::Upstream(_) | Role::Accepting(_) | Role::Clerk(_) => false,
        };
        let streams = self.streams(id);
        let most = if self.feeds_stream(conn) { self.limits.stream_bulk_pages } else { u32::MAX };
        let pages = if streams && !self.is_squeezed(id) { conn.wire.read_pages.max(1) } else { 1 };
        let pages = pages.min(u16::try_from(most.max(1)).unwrap_or(u16::MAX));
        if pages > 1
            && let Some(lent) = self.lend_many(pages)
        {
            self.conn_mut(id)?.wire.lent_pages = pages;
            return Some(lent);
        }
        let waits = is_client && !streams;
        let small = waits && self.waiting_large >= self.limits.idle_large_pages;
        let page = self.lend_one(small)?;
        if waits && page.capacity() == self.limits.large_page_bytes as usize {
            self.waiting_large += 1;
            self.conn_mut(id)?.wire.waits_large = true;
        }
        self.conn_mut(id)?.wire.lent_pages = 1;
        Some(Lent::One(page))
    }

    fn lend_one(&mut self, small: bool) -> Option<Page> {
        let (first, second) = if small {
            (PageSize::Small, PageSize::Large)
        } else {
            (PageSize::Large, PageSize::Small)
        };
        let page = self.pool.take(first).or_else(|| self.pool.take(second));
        if page.is_none() {
            self.mark(Mark::PagesExhausted);
        }
        page
    }

    fn lend_many(&mut self, pages: u16) -> Option<Lent> {
        if self.pool.available(PageSize::Large) < u32::from(pages) * 2 {
            return None;
        }
        let mut many = self.spare.pop().unwrap_or_default();
        many.extend((0..pages).map_while(|_| self.pool.take(PageSize::Large)));
        Some(Lent::Many(many))
    }

    pub(super) fn on_received(&mut self, id: ConnId, lent: Lent) {
        let bulk = self.limits.bulk_pages.min(u32::from(u16::MAX));
        let bulk = u16::try_from(bulk).expect("just bounded").max(1);
        let page_bytes = self.limits.large_page_bytes as usize;
        let conn = self.conns.get_mut(key_of(id)).expect("its read was under way");
        let wire = &mut conn.wire;
        wire.set(Due::Read, Time::NEVER);
        let bytes = lent.bytes();
        if bytes == 0 {
            wire.eof = true;
        } else if bytes >= usize::from(wire.lent_pages) * page_bytes {
            wire.read_pages = wire.read_pages.saturating_mul(4).min(bulk);
        } else if bytes < usize::from(wire.lent_pages) * page_bytes / 2 {
            wire.read_pages = (wire.read_pages / 2).max(1);
        }
        if matches!(wire.cover, Cover::Clear) {
            wire.inbox.push(lent, &mut self.spare);
        } else if let Some(lent) = self.uncover(id, lent)
            && let Some(conn) = self.conns.get_mut(key_of(id))
        {
            conn.wire.inbox.push(lent, &mut self.spare);
        }
        if self.conn(id).is_some_and(|conn| matches!(conn.role, Role::Session(_))) {
            self.on_session_heard(id);
        }
    }

    pub(super) fn on_recv_failed(&mut self, id: ConnId, fault: Fault) {
        if fault == Fault::NoPages {
            // What is given up comes back a moment later. A connection that finds nothing to give
            // up goes itself.
            if self.shed_for(id) {
                let again = self.now + STARVED;
                if let Some(conn) = self.conn_mut(id) {
                    conn.wire.set(Due::Pages, again);
                }
            } else {
                self.mark(Mark::NothingToShed);
                self.counts().shed(Shed::Connection);
                self.lose(id, Fault::NoPages);
            }
            return;
        }
        self.lose(id, fault);
    }

    pub(super) fn on_sent(&mut self, id: ConnId, count: usize) {
        let limit = self.limits.outbox_bytes as usize;
        let conn = self.conns.get_mut(key_of(id)).expect("its write was under way");
        if conn.wire.half != Half::Broken {
            let lost = planted(Mutant::UnsentLost) && count > 0;
            conn.wire.sent(if lost { conn.wire.unsent() } else { count });
        }
        let left = conn.wire.outbox.bytes();
        if conn.wire.unsent() > 0 && count > 0 {
            self.mark(Mark::ShortWriteResumed);
        }
        self.on_progress(id);
        if left <= limit / 2 {
            self.resume_peer(id);
        }
    }

    /// Lets the connection that feeds this one go on.
    pub(super) fn resume_peer(&mut self, id: ConnId) {
        if self.session_mut(id).is_some() {
            self.wake_streams(id);
            return;
        }
        let exchange = self.conn(id).and_then(Conn::exchange);
        let Some(exchange) = exchange.and_then(|key| self.exchanges.get(key)) else { return };
        let peer = if exchange.client == Some(id) { exchange.upstream } else { exchange.client };
        let Some(peer) = peer.and_then(|peer| self.conn_mut(peer)) else { return };
        if peer.wire.held {
            peer.wire.held = false;
            let peer = peer.id();
            self.touch(peer);
        }
    }

    pub(super) fn on_send_failed(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(key_of(id)).expect("its write was under way");
        conn.wire.half = Half::Broken;
        conn.wire.forget_unsent();
        if matches!(conn.role, Role::Client(_) | Role::Session(_) | Role::Clerk(_)) {
            self.lose(id, Fault::Reset);
            return;
        }
        // The server may have answered before it stopped reading: what it said is still to come.
        self.mark(Mark::UploadRefused);
        self.resume_peer(id);
    }

    /// One deadline of a connection is due, or was moved.
    pub(super) fn on_deadline(&mut self, slot: u32) {
        let Some((key, _)) = self.conns.at(slot) else { return };
        let id = super::id_of(key);
        let now = self.now;
        while let Some(due) = self
            .conns
            .get_mut(key)
            .and_then(|conn| if conn.wire.is_ending() { None } else { conn.wire.take_due(now) })
        {
            self.on_due(id, due);
        }
        self.touch(id);
    }

    fn on_due(&mut self, id: ConnId, due: Due) {
        let Some(conn) = self.conn(id) else { return };
        match &conn.role {
            Role::Client(_) => self.on_client_due(id, due),
            Role::Upstream(_) => self.on_upstream_due(id, due),
            Role::Session(_) => self.on_session_due(id, due),
            Role::Clerk(_) => self.on_clerk_due(id, due),
            Role::Accepting(_) => {}
        }
    }
}
