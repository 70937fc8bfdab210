//! Connections to servers: how they begin, how they fail, and what that means for the request.

use super::Worker;
use super::answer::Answer;
use super::conn::{Conn, Role, Usage};
use super::exchange::{Exchange, Kept, Phase};
use super::key_of;
use super::retry::Cause;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, Fault, LedgerFault, Report};
use crate::http::head::Version;
use crate::net::outbox::Outbox;
use crate::net::wire::{Due, Link};
use crate::tls::Refusal;

/// How long a server may keep silent about `Expect: 100-continue` before the client is told to go
/// on anyway.
const CONTINUE_WAIT: Span = Span::secs(1);

impl Worker {
    pub(super) fn advance_upstream(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(key_of(id)) else { return };
        let Role::Upstream(upstream) = &conn.role else { return };
        match upstream.usage {
            Usage::Busy(key) => self.forward(key),
            Usage::Idle | Usage::Flushing
                if conn.wire.eof
                    || !(conn.wire.inbox.is_empty() || planted(Mutant::ReusesHalfRead)) =>
            {
                if !conn.wire.eof {
                    self.mark(Mark::AnswerUnasked);
                }
                self.end(id, Close::Gentle);
            }
            Usage::Flushing if conn.wire.is_flushed() => self.keep_upstream(id),
            Usage::Parting => self.advance_parting(id),
            Usage::Flushing | Usage::Idle | Usage::Over => {}
        }
        self.watch_silence(id);
    }

    /// Starts the clocks of reading and writing where they matter and do not run.
    fn watch_silence(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Upstream(upstream) = &conn.role else { return };
        let busy = matches!(upstream.usage, Usage::Busy(_)) && conn.wire.link == Link::Open;
        let (read, write) = (upstream.read_timeout, upstream.write_timeout);
        if read.is_zero() && write.is_zero() {
            return;
        }
        let listens = busy && !conn.wire.held && !read.is_zero();
        match (listens, conn.wire.at(Due::Read)) {
            (true, Time::NEVER) => conn.wire.set(Due::Read, now + read),
            (false, _) => conn.wire.set(Due::Read, Time::NEVER),
            (true, _) => {}
        }
        let talks = busy && !conn.wire.is_flushed() && !write.is_zero();
        match (talks, conn.wire.at(Due::Write)) {
            (true, Time::NEVER) => conn.wire.set(Due::Write, now + write),
            (false, _) => conn.wire.set(Due::Write, Time::NEVER),
            (true, _) => {}
        }
    }

    /// Bytes went out.
    pub(super) fn on_progress(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(key_of(id))
            && conn.upstream().is_some()
        {
            conn.wire.set(Due::Write, Time::NEVER);
        }
    }

    /// Sets the clocks that run while a response head is awaited.
    pub(super) fn expect_response(&mut self, key: Key) {
        let now = self.now;
        let exchange = self.exchanges.get(key).expect("an exchange that expects");
        let Some(id) = exchange.upstream else { return };
        let timeout =
            exchange.target().map_or(Span::ZERO, |it| it.transport.response_header_timeout);
        let waits = exchange.asking.expects_continue
            && !exchange.continued
            && !exchange.up.is_over()
            && exchange.client.is_some();
        let over = exchange.up.is_over() || exchange.paging.is_some();
        let conn = self.conns.get_mut(key_of(id)).expect("an exchange has its connection");
        if conn.wire.link != Link::Open {
            return;
        }
        if over && !planted(Mutant::ResponseTimeoutLost) {
            conn.wire.set(Due::ResponseHead, super::client::after(now, timeout));
        }
        if waits {
            conn.wire.set(Due::Continue, now + CONTINUE_WAIT);
        }
        self.touch(id);
    }

    pub(super) fn on_connect_failed(&mut self, id: ConnId, fault: Fault) {
        let conn = self.conns.get_mut(key_of(id)).expect("its connect was under way");
        let exchange = conn.exchange();
        conn.wire.link = Link::Gone;
        if let Role::Clerk(_) = conn.role {
            self.lose_clerk(id, LedgerFault::Unreached);
            return;
        }
        let Role::Upstream(upstream) = &mut conn.role else {
            unreachable!("only servers are dialed")
        };
        upstream.usage = Usage::Over;
        let (target, multiplexed) = (upstream.target, upstream.multiplexed);
        let outbox = std::mem::take(&mut conn.wire.outbox);
        self.targets[target.0 as usize].dialing -= u32::from(multiplexed);
        self.upstreams -= 1;
        self.counts().upstreams.set(u64::from(self.upstreams));
        self.targets[target.0 as usize].open -= 1;
        self.wake_waiter(target);
        if fault == Fault::NoDescriptors {
            let _ = self.shed_idle_upstream() || self.shed_idle_client();
        }
        if let Some(key) = exchange {
            self.try_next_address(key, outbox, if fault == Fault::TimedOut { 504 } else { 502 });
        }
    }

    /// Dials the next address with what was to be written to the last: nothing of it was.
    pub(super) fn try_next_address(&mut self, key: Key, outbox: Outbox, status: u16) {
        let now = self.now;
        let exchange = self.exchanges.get_mut(key).expect("a dialing exchange exists");
        exchange.upstream = None;
        exchange.phase = Phase::Waiting;
        let addresses = exchange.target().map_or(0, |it| it.addrs.len());
        let by = exchange.dial_by.min(exchange.whole_by);
        let more = usize::from(exchange.address) < addresses && now < by;
        let target = exchange.target_id();
        match target.filter(|_| more) {
            Some(target) if self.may_dial(target) => {
                self.mark(Mark::NextAddress);
                self.dial(key, target, outbox);
            }
            _ => self.fail(key, status),
        }
    }

    pub(super) fn on_upstream_due(&mut self, id: ConnId, due: Due) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Upstream(upstream) = &mut conn.role else { return };
        let key = match upstream.usage {
            Usage::Busy(key) => key,
            Usage::Idle | Usage::Flushing => {
                self.mark(Mark::IdleUpstreamClosed);
                self.end(id, Close::Gentle);
                return;
            }
            Usage::Parting => {
                self.end(id, Close::Abort);
                return;
            }
            Usage::Over => return,
        };
        match due {
            Due::Dial => {
                upstream.usage = Usage::Over;
                let outbox = std::mem::take(&mut conn.wire.outbox);
                self.mark(Mark::DialTimedOut);
                self.end(id, Close::Abort);
                self.try_next_address(key, outbox, 504);
            }
            Due::Handshake => {
                self.mark(Mark::HandshakeTimedOut);
                self.refuse(id, Refusal::TimedOut);
            }
            Due::Continue => self.tell_to_continue(key),
            Due::Pages => {}
            Due::Whole => {
                self.on_whole_due(key);
            }
            Due::Idle
            | Due::Ping
            | Due::Request
            | Due::Response
            | Due::ResponseHead
            | Due::Read
            | Due::Write
            | Due::Linger => {
                self.mark(Mark::OriginTimedOut);
                self.release_upstream(key);
                self.fail(key, 504);
            }
        }
    }

    /// An exchange without a client took too long.
    pub(super) fn on_whole_due(&mut self, key: Key) {
        let mirror = self.exchanges.get(key).is_some_and(Exchange::is_mirror);
        self.mark(if mirror { Mark::MirrorTimedOut } else { Mark::ConsultTimedOut });
        self.abandon(key);
    }

    /// The connection ended before the response did.
    pub(super) fn on_origin_lost(&mut self, key: Key, _fault: Fault) {
        let again = self.may_send_again(key);
        let exchange = self.exchanges.get(key).expect("a busy connection has its exchange");
        let awaiting = exchange.phase == Phase::AwaitingHead;
        let harmless = exchange.reused && exchange.asking.idempotent;
        let harmless = harmless || planted(Mutant::RetriesPost);
        self.release_upstream(key);
        if again && harmless {
            self.mark(Mark::RetryOnReused);
            self.repeat(key);
        } else {
            self.fail_for(key, 502, Some(Cause::Lost).filter(|_| awaiting));
        }
    }

    /// The server said that it did nothing for a request, so that it may be sent again whatever it
    /// asks for (RFC 9113 §8.7), as far as its content is still here: once, and not where it was
    /// refused.
    pub(super) fn on_not_served(&mut self, owner: ConnId) {
        let conn = self.conn(owner).filter(|conn| conn.upstream().is_some());
        let session = conn.and_then(|conn| conn.stream.as_ref()).map(|stream| stream.session);
        let Some(key) = conn.and_then(Conn::exchange).filter(|key| self.may_send_again(*key))
        else {
            self.lose(owner, Fault::Reset);
            return;
        };
        self.release_upstream(key);
        self.mark(Mark::RetryOnRefused);
        let exchange = self.exchanges.get_mut(key).expect("a retried exchange exists");
        exchange.refused_by = session;
        self.repeat(key);
    }

    /// Whether nothing of a response came, and the request can be sent as it was.
    fn may_send_again(&self, key: Key) -> bool {
        let exchange = self.exchanges.get(key).expect("a busy connection has its exchange");
        let id = exchange.upstream.expect("an exchange that lost its connection had one");
        let silent = self.conn(id).is_some_and(|conn| {
            let partial = conn.upstream().is_some_and(|upstream| !upstream.partial.is_empty());
            conn.wire.inbox.is_empty() && !partial
        });
        silent
            && exchange.phase == Phase::AwaitingHead
            && exchange.interims == 0
            && !exchange.retried
            && exchange.can_replay()
    }

    fn repeat(&mut self, key: Key) {
        self.counts().retries.add(1);
        let exchange = self.exchanges.get_mut(key).expect("a retried exchange exists");
        exchange.retried = true;
        exchange.retries += 1;
        exchange.phase = Phase::Waiting;
        self.woken.push(key);
    }

    /// The server did not answer: another one may, or the client is told.
    pub(super) fn fail(&mut self, key: Key, status: u16) {
        self.fail_for(key, status, None);
    }

    fn fail_for(&mut self, key: Key, status: u16, cause: Option<Cause>) {
        let phase = self.exchanges.get(key).map(|exchange| exchange.phase);
        let unreached = matches!(phase, Some(Phase::Waiting | Phase::Dialing));
        let cause = if unreached { Cause::Unreached } else { cause.unwrap_or(Cause::Answered) };
        self.release_upstream(key);
        self.report(key, false);
        let now = self.now;
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if let Some(load) = exchange.load.take()
            && !exchange.has_answered()
        {
            load.load().failed(now.since(exchange.sent_at), now);
        }
        // A tunnel stays one to its end: it is no answer that could count.
        if exchange.phase != Phase::Tunnel {
            exchange.phase = Phase::Discarding;
        }
        if exchange.has_answered() {
            self.cut(key);
            return;
        }
        if self.goes_elsewhere(key, cause, status) {
            return;
        }
        self.answer(key, &Answer::bare(status));
    }

    /// Tells the control machine how a passively checked server did.
    pub(super) fn report(&mut self, key: Key, good: bool) {
        let at = self.now;
        let Some(exchange) = self.exchanges.get(key) else { return };
        let Some(server) = exchange.server().filter(|server| server.passive) else { return };
        let server = server.id;
        let index = server.0 as usize;
        if index >= self.failing.len() {
            self.failing.resize(index + 1, false);
        }
        let was = std::mem::replace(&mut self.failing[index], !good);
        if !good {
            self.mark(Mark::ServerFailed);
            self.effects.push(Effect::Report(Report::Failed { server, at }));
        } else if was {
            self.mark(Mark::ServerRecovered);
            self.effects.push(Effect::Report(Report::Recovered { server, at }));
        }
    }

    /// A response that began cannot be completed: the client sees that it is cut. It does where its
    /// framing says how it would have ended; then answers before it, which may still be on their
    /// way, are not taken back by a reset.
    pub(super) fn cut(&mut self, key: Key) {
        self.mark(Mark::ResponseCut);
        let Some(exchange) = self.exchanges.get(key) else { return };
        let client = exchange.client;
        let framed = exchange.asking.version == Version::Http11 && exchange.phase != Phase::Tunnel;
        self.finish(key);
        let Some(id) = client else { return };
        let alone = self.conn(id).is_some_and(|conn| conn.stream.is_none());
        if framed && alone {
            self.linger(id);
        } else {
            self.end(id, Close::Abort);
        }
    }
}

impl Exchange {
    /// Whether the whole body so far could be sent once more.
    pub(super) fn can_replay(&self) -> bool {
        self.up.bytes == 0 || self.kept.as_ref().is_some_and(|kept| !kept.overgrown)
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_deref().filter(|kept| !kept.overgrown)
    }
}
