//! Getting a connection to a server: a kept one, a new one, or a place in the queue.

use super::Worker;
use super::answer::Answer;
use super::conn::{Conn, Partial, Role, Upstream, Usage};
use super::exchange::{Exchange, Multiplex, Phase};
use super::key_of;
use super::secure::HANDSHAKE_MAX;
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, OpKind};
use crate::config::fixed::IdleConns;
use crate::http::framing::Framing;
use crate::net::outbox::Outbox;
use crate::net::secure::Secure;
use crate::net::upstream::Upstreams;
use crate::net::wire::{Cover, Due, Link};
use crate::tls::{H2, HTTP_1, Session};
use crate::view::Cover as Covered;
use crate::view::stats::Shed;

/// The least time one of several addresses is given.
const DIAL_SHARE_MIN: Span = Span::secs(2);

impl Worker {
    /// Sends the composed head on a connection to the exchange's server, as soon as there is one.
    pub(super) fn connect(&mut self, key: Key) {
        let exchange = self.exchanges.get_mut(key).expect("a connecting exchange exists");
        debug_assert!(exchange.upstream.is_none(), "one connection at a time");
        if exchange.whole_by <= self.now {
            self.on_whole_due(key);
            return;
        }
        exchange.phase = Phase::Waiting;
        exchange.address = 0;
        exchange.replayed = 0;
        exchange.ended = false;
        // What another server had begun to say must not precede what the next one says.
        self.kept_bytes -= exchange.drop_held();
        let Some(target) = exchange.target_id() else {
            self.fail(key, 502);
            return;
        };
        let fresh_only = exchange.retried;
        let dial_timeout = exchange.target().map_or(Span::ZERO, |it| it.transport.dial_timeout);
        exchange.dial_by = super::client::after(self.now, dial_timeout);
        self.grow_targets(target);
        self.settle_upgrade(key, target);
        let multiplex = self.exchanges.get(key).map_or(Multiplex::Never, Exchange::multiplex);
        if multiplex != Multiplex::Never && self.connect_stream(key, target) {
            return;
        }
        if multiplex != Multiplex::Always
            && !fresh_only
            && let Some(id) = self.take_idle(target)
        {
            self.counts().reused.add(1);
            self.attach(key, id, true);
            self.put_composed(id);
            self.expect_response(key);
            return;
        }
        if !self.joins_dial(key, target, multiplex) && self.may_dial(target) {
            self.dial(key, target, Outbox::default());
            return;
        }
        self.wait(key, target);
    }

    fn grow_targets(&mut self, target: TargetId) {
        let index = target.0 as usize;
        if index >= self.targets.len() {
            self.targets.resize_with(index + 1, Upstreams::default);
        }
    }

    fn take_idle(&mut self, target: TargetId) -> Option<ConnId> {
        loop {
            let id = self.targets[target.0 as usize].take_idle()?;
            self.idle_upstreams.remove(id.slot);
            self.counts().upstreams_idle.set(self.idle_upstreams.len() as u64);
            if self.is_current(id, target) {
                return Some(id);
            }
            self.mark(Mark::IdleOutdated);
            if let Some(upstream) = self.conn_mut(id).and_then(|conn| conn.upstream_mut()) {
                upstream.usage = Usage::Over;
            }
            self.end(id, Close::Gentle);
        }
    }

    /// Whether a kept connection was made by the settings, roots and identities of today.
    pub(super) fn is_current(&self, id: ConnId, target: TargetId) -> bool {
        let Some(secure) = self.conn(id).and_then(|conn| conn.wire.secure()) else { return true };
        let cover = self.view.targets.get(target.0).map(|aim| &aim.cover);
        matches!(cover, Some(Covered::Tls(connector)) if secure.session.is_of(connector))
    }

    /// Takes a connection that is being closed off its target's list.
    pub(super) fn forget_idle(&mut self, id: ConnId) {
        let target = self.conn(id).and_then(|conn| conn.upstream()).map(|it| it.target);
        if let Some(target) = target {
            self.targets[target.0 as usize].remove_idle(id);
        }
        self.counts().upstreams_idle.set(self.idle_upstreams.len() as u64);
    }

    pub(super) fn may_dial(&mut self, target: TargetId) -> bool {
        if self.targets[target.0 as usize].open >= self.limits.conns_per_target.max(1) {
            return false;
        }
        self.upstreams < self.limits.upstreams_max.max(1) || self.shed_idle_upstream()
    }

    pub(super) fn wait(&mut self, key: Key, target: TargetId) {
        let exchange = self.exchanges.get(key).expect("a connecting exchange exists");
        let pool = &mut self.targets[target.0 as usize];
        // A mirror has no connection whose clock could end its waiting; and where nothing is open,
        // nothing will ever be handed on.
        let hopeless = !exchange.is_timed() || pool.open == 0;
        if hopeless || pool.waiting() >= self.limits.waiters_per_target as usize {
            self.mark(Mark::WaitersFull);
            self.counts().shed(Shed::Request);
            self.answer(key, &Answer::bare(503));
            return;
        }
        pool.wait(key);
        self.mark(Mark::WaitedForConnection);
        let (client, by) = (exchange.client, exchange.dial_by);
        if let Some(id) = client {
            self.set_due(id, Due::Dial, by);
        }
    }

    /// A connection of `target` ended or became free: whoever waits longest may try.
    pub(super) fn wake_waiter(&mut self, target: TargetId) {
        let Some(key) = self.targets[target.0 as usize].next_waiter() else { return };
        self.woken.push(key);
    }

    /// Lets exchanges that were woken try again.
    pub(super) fn run_woken(&mut self) {
        while let Some(key) = self.woken.pop() {
            let Some(exchange) = self.exchanges.get(key) else { continue };
            if exchange.phase == Phase::Waiting && exchange.upstream.is_none() {
                let client = exchange.client;
                if let Some(id) = client {
                    self.set_due(id, Due::Dial, Time::NEVER);
                }
                self.send_again(key);
            }
        }
    }

    /// Opens a connection to the exchange's next address. What is to be written waits in its
    /// outbox: what a failed address left behind, or else the composed head.
    pub(super) fn dial(&mut self, key: Key, target: TargetId, outbox: Outbox) {
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("a dialing exchange exists");
        let Some(aim) = exchange.view.targets.get(target.0) else {
            self.fail(key, 502);
            return;
        };
        let at = usize::from(exchange.address);
        let Some(addr) = aim.addrs.get(at).copied() else {
            self.mark(Mark::NoAddress);
            self.fail(key, 502);
            return;
        };
        let multiplexed = exchange.multiplex() != Multiplex::Never;
        let offers: &[&[u8]] = if multiplexed { &[H2, HTTP_1] } else { &[HTTP_1] };
        let left = exchange.dial_by.since(now);
        let others = u64::try_from(aim.addrs.len() - at).unwrap_or(1);
        let share = left.divided(others).max(left.min(DIAL_SHARE_MIN));
        let by = if exchange.dial_by == Time::NEVER { Time::NEVER } else { now + share };
        let transport = aim.transport.clone();
        let cover = match &aim.cover {
            Covered::Clear => Ok(Cover::Clear),
            Covered::Unusable(_) => Err(()),
            Covered::Tls(connector) => Session::client(connector, &aim.authority.host, offers)
                .map(|session| Cover::Tls(Box::new(Secure::new(session))))
                .map_err(|_| ()),
        };
        let Ok(cover) = cover else {
            self.mark(Mark::TargetUnusable);
            self.fail(key, 502);
            return;
        };
        exchange.address += 1;
        let upstream = Upstream {
            target,
            addr,
            usage: Usage::Busy(key),
            partial: Partial::default(),
            read_timeout: transport.read_timeout,
            write_timeout: transport.write_timeout,
            idle_timeout: transport.idle_timeout,
            multiplexed,
        };
        self.targets[target.0 as usize].dialing += u32::from(multiplexed);
        self.counts().dialed.add(1);
        let id = self.insert(Role::Upstream(upstream));
        self.upstreams += 1;
        self.counts().upstreams.set(u64::from(self.upstreams));
        self.targets[target.0 as usize].open += 1;
        let conn = self.conn_mut(id).expect("just inserted");
        conn.wire.start(OpKind::Connect);
        conn.wire.set(Due::Dial, by);
        conn.wire.cover = cover;
        self.effects.push(Effect::Connect { conn: id, to: addr });
        let fresh = outbox.is_empty();
        self.conn_mut(id).expect("just inserted").wire.outbox = outbox;
        self.attach(key, id, false);
        if fresh {
            self.put_composed(id);
        }
    }

    fn put_composed(&mut self, id: ConnId) {
        let head = std::mem::take(&mut self.scratch.head);
        self.put_head(id, &head, false);
        self.scratch.head = head;
    }

    /// Gives the exchange its connection.
    pub(super) fn attach(&mut self, key: Key, id: ConnId, reused: bool) {
        let now = self.now;
        let conn = self.conns.get_mut(key_of(id)).expect("a connection to attach");
        let Role::Upstream(upstream) = &mut conn.role else { unreachable!("servers only") };
        upstream.usage = Usage::Busy(key);
        let exchange = self.exchanges.get_mut(key).expect("an exchange to attach");
        exchange.upstream = Some(id);
        exchange.server_addr = Some(upstream.addr);
        exchange.reused = reused;
        exchange.sent_at = now;
        exchange.phase = if reused { Phase::AwaitingHead } else { Phase::Dialing };
        let raw = upstream.multiplexed && conn.stream.is_some();
        exchange.up.frame(exchange.framing == Framing::Chunked && !raw);
        conn.wire.set(Due::Idle, Time::NEVER);
        conn.wire.set(Due::Whole, exchange.whole_by);
        conn.wire.held = false;
        self.touch(id);
        self.resume_client(key);
    }

    /// Lets the client go on, whatever held it back.
    pub(super) fn resume_client(&mut self, key: Key) {
        let client = self.exchanges.get(key).and_then(|exchange| exchange.client);
        if let Some(conn) = client.and_then(|id| self.conns.get_mut(key_of(id))) {
            conn.wire.held = false;
            let id = conn.id();
            self.touch(id);
        }
    }

    /// Ends the exchange's connection to its server, whatever state it is in.
    pub(super) fn release_upstream(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let waiting = exchange.phase == Phase::Waiting;
        let relaying = exchange.phase == Phase::Relaying;
        let target = exchange.target_id();
        let upstream = exchange.upstream.take();
        match (upstream, target) {
            (Some(id), _) if relaying && planted(Mutant::ReusesHalfRead) => self.keep_upstream(id),
            (Some(id), _) => {
                if let Some(upstream) = self.conn_mut(id).and_then(|conn| conn.upstream_mut()) {
                    upstream.usage = Usage::Over;
                }
                self.end(id, Close::Abort);
            }
            (None, Some(target)) if waiting => {
                if let Some(pool) = self.targets.get_mut(target.0 as usize) {
                    pool.give_up(key);
                }
            }
            (None, _) => {}
        }
    }

    /// Keeps a connection whose exchange is over for the next one.
    pub(super) fn keep_upstream(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(key_of(id)).expect("a connection to keep");
        let flushed = conn.wire.is_flushed();
        let Role::Upstream(upstream) = &mut conn.role else { unreachable!("servers only") };
        let idle_timeout = upstream.idle_timeout;
        let target = upstream.target;
        conn.wire.clear_deadlines();
        conn.wire.read_pages = 1;
        conn.wire.held = false;
        if !planted(Mutant::IdleKeptForEver) {
            conn.wire.set(Due::Idle, super::client::after(self.now, idle_timeout));
        }
        if !flushed {
            upstream.usage = Usage::Flushing;
            self.touch(id);
            return;
        }
        upstream.usage = Usage::Idle;
        let max = self.idle_max(target);
        if max == 0 || self.is_closing_down() {
            self.end(id, Close::Gentle);
            return;
        }
        self.targets[target.0 as usize].put_idle(id);
        self.idle_upstreams.push(id.slot);
        if self.targets[target.0 as usize].idle() > max {
            self.mark(Mark::IdleUpstreamsFull);
            let oldest = self.targets[target.0 as usize].oldest_idle().expect("more than none");
            self.end(oldest, Close::Gentle);
        }
        self.counts().upstreams_idle.set(self.idle_upstreams.len() as u64);
        self.wake_waiter(target);
        self.touch(id);
    }

    /// This worker's part of the connections kept per server.
    fn idle_max(&self, target: TargetId) -> usize {
        let transport = self.view.targets.get(target.0).map(|aim| &aim.transport);
        match transport.map(|transport| transport.idle) {
            Some(IdleConns::UpTo(max)) => {
                max.div_ceil(u32::from(self.accounts.workers().max(1))).max(1) as usize
            }
            Some(IdleConns::NoReuse) | None => 0,
        }
    }

    /// A connection's socket is ready.
    pub(super) fn on_connected(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(key_of(id)).expect("its connect was under way");
        conn.wire.link = Link::Open;
        conn.wire.set(Due::Dial, Time::NEVER);
        let clerk = if let Role::Clerk(at) = conn.role { Some(at) } else { None };
        if conn.wire.secure().is_some() {
            // The handshake comes first; its greeting goes out when the connection is settled.
            let most = self.now + HANDSHAKE_MAX;
            let by = clerk.map_or(most, |at| self.clerk_handshake_by(at));
            self.set_due(id, Due::Handshake, by);
            return;
        }
        match clerk {
            Some(at) => self.on_clerk_reachable(id, at),
            None => self.on_reachable(id),
        }
    }

    /// The way to a server is open.
    pub(super) fn on_reachable(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(Conn::awaits_session) {
            self.start_upstream_session(id);
            return;
        }
        let Some(key) = self.conn(id).and_then(Conn::exchange) else {
            self.end(id, Close::Gentle);
            return;
        };
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("a busy connection has its exchange");
        exchange.phase = Phase::AwaitingHead;
        exchange.sent_at = now;
        self.expect_response(key);
        self.resume_client(key);
    }
}
