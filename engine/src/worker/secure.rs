//! TLS on connections of a worker: told from clear text by the first byte, opened as it arrives,
//! and given up with a cause that is counted and told.

use super::conn::{Conn, Role, Talk, Upstream, Usage};
use super::exchange::Phase;
use super::session::Side;
use super::{Worker, key_of};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, Fault, LedgerFault, Lent, Report, Whom};
use crate::config::tls::Suite;
use crate::net::secure::Secure;
use crate::net::wire::{Cover, Due, Half};
use crate::tls::{H2, Refusal, Session, Trouble};

/// A handshake that took longer is given up.
pub(super) const HANDSHAKE_MAX: Span = Span::secs(10);
/// Between two reports of refused handshakes.
const REPORT_GAP: Span = Span::secs(1);
/// The first byte of a TLS connection: a record of the handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

impl Worker {
    /// Takes what arrived on a connection that is not known to be clear text; gives it back if it
    /// is.
    pub(super) fn uncover(&mut self, id: ConnId, lent: Lent) -> Option<Lent> {
        let conn = self.conns.get_mut(key_of(id))?;
        if matches!(conn.wire.cover, Cover::Announced(_)) {
            let lent = self.introduce(id, lent)?;
            let conn = self.conns.get(key_of(id))?;
            let clear = matches!(conn.wire.cover, Cover::Clear);
            return if clear { Some(lent) } else { self.uncover(id, lent) };
        }
        if matches!(conn.wire.cover, Cover::Unseen) {
            let first = match &lent {
                Lent::One(page) => page.bytes().first(),
                Lent::Many(pages) => pages.iter().find_map(|page| page.bytes().first()),
            };
            if first != Some(&HANDSHAKE_RECORD) {
                conn.wire.cover = Cover::Clear;
                return Some(lent);
            }
            self.greet(id);
        }
        if lent.bytes() == 0 {
            self.on_cut(id);
            return Some(lent);
        }
        self.open(id, lent);
        None
    }

    /// A client begins to speak TLS.
    fn greet(&mut self, id: ConnId) {
        let by = self.now + HANDSHAKE_MAX;
        let conn = self.conns.get_mut(key_of(id)).expect("its read was under way");
        let Role::Client(client) = &conn.role else { unreachable!("only clients are unseen") };
        let entry = &self.view.entries[usize::from(client.entry.0)];
        let Some(side) = &entry.secure else {
            conn.wire.cover = Cover::Clear;
            return;
        };
        let session = Session::server(std::sync::Arc::clone(&side.door));
        conn.wire.cover = Cover::Tls(Box::new(Secure::new(session)));
        conn.wire.set(Due::Handshake, by);
    }

    fn open(&mut self, id: ConnId, lent: Lent) {
        self.view.clock.set(self.accounts.stats().started.seconds_at(self.now));
        let conn = self.conns.get_mut(key_of(id)).expect("its read was under way");
        let opened = conn.wire.open(&lent, &self.pool);
        if let Lent::Many(mut pages) = lent {
            pages.clear();
            self.spare.push(pages);
        }
        match opened {
            Ok(()) => self.on_opened(id),
            Err(Trouble::NoRoom) => {
                self.mark(Mark::PagesExhausted);
                let _ = self.shed_for(id);
                self.lose(id, Fault::NoPages);
            }
            Err(Trouble::Refused(refusal)) => self.refuse(id, refusal),
        }
    }

    fn on_opened(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(key_of(id)).expect("its read was under way");
        let Cover::Tls(secure) = &mut conn.wire.cover else { return };
        if secure.agreed || !secure.session.is_ready() {
            return;
        }
        secure.agreed = true;
        let streams = secure.session.alpn() == Some(H2);
        conn.wire.set(Due::Handshake, Time::NEVER);
        match conn.role {
            Role::Client(_) => {
                self.mark(Mark::ClientSecured);
                if streams {
                    self.start_session(id, 0);
                }
            }
            Role::Clerk(at) => {
                self.mark(Mark::ServerSecured);
                self.on_clerk_reachable(id, at);
            }
            // It spoke TLS before it spoke HTTP.
            Role::Session(_) | Role::Accepting(_) => {}
            Role::Upstream(_) => {
                self.mark(Mark::ServerSecured);
                if !streams {
                    self.on_no_streams(id);
                }
                self.on_reachable(id);
            }
        }
    }

    pub(super) fn suite_of(&self, client: Option<ConnId>) -> Option<Suite> {
        self.secure_of(client?)?.session.suite()
    }

    /// The TLS that a client speaks, be it on a connection or on a stream of one.
    pub(super) fn secure_of(&self, id: ConnId) -> Option<&Secure> {
        let conn = self.conn(id)?;
        match &conn.stream {
            None => conn.wire.secure(),
            Some(stream) => self.conn(stream.session)?.wire.secure(),
        }
    }

    /// The stream ended without a notice: what depends on its end is not whole.
    fn on_cut(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(key_of(id)).expect("its read was under way");
        let Cover::Tls(secure) = &conn.wire.cover else { return };
        if secure.session.is_closed_by_peer() {
            return;
        }
        conn.wire.cut = true;
        // Who was refused may hang up as it likes: why it was refused is told already.
        let over = |talk: &Talk| matches!(talk, Talk::Lingering { .. } | Talk::Leaving);
        let told = matches!(&conn.role, Role::Client(client) if over(&client.talk));
        let waits = !secure.agreed && !told;
        self.mark(Mark::TlsCut);
        if waits {
            self.refuse(id, Refusal::Cut);
        }
    }

    /// Gives up a connection for what the other side did or is.
    pub(super) fn refuse(&mut self, id: ConnId, refusal: Refusal) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let agreed = conn.wire.secure().is_some_and(|secure| secure.agreed);
        if agreed {
            self.mark(Mark::TlsBroken);
            self.break_off(id);
            return;
        }
        conn.wire.set(Due::Handshake, Time::NEVER);
        self.mark(Mark::HandshakeRefused);
        let conn = self.conns.get_mut(key_of(id)).expect("just seen");
        match &conn.role {
            Role::Client(client) => {
                let (whom, peer) = (Whom::Client(client.entry), client.peer);
                self.counts().refused_clients[refusal as usize].add(1);
                self.tell_refused(whom, peer, refusal);
                self.linger(id);
            }
            Role::Upstream(upstream) => {
                let (whom, peer) = (Whom::Server(upstream.target), upstream.addr);
                self.counts().refused_servers[refusal as usize].add(1);
                self.tell_refused(whom, peer, refusal);
                self.give_up_server(id, refusal);
            }
            Role::Clerk(at) => {
                let at = *at;
                let dialed = self.dialed_by_clerk(at);
                self.counts().refused_servers[refusal as usize].add(1);
                if let Some((target, peer)) = dialed {
                    self.tell_refused(Whom::Server(target), peer, refusal);
                }
                self.lose_clerk(id, LedgerFault::Unreached);
            }
            Role::Session(_) | Role::Accepting(_) => {}
        }
    }

    /// Both sides had agreed, and now nothing more may come or go (RFC 8446 §6.2). What a server
    /// said before is proven to be its word: an answer that was whole by then counts, and what was
    /// not is lost as with any connection. A client cannot be answered any more, so that whatever
    /// it asked and is not done is not begun.
    fn break_off(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let heard = match &conn.role {
            Role::Upstream(Upstream { usage: Usage::Busy(key), .. }) => {
                let exchange = self.exchanges.get(*key);
                exchange.is_some_and(|exchange| exchange.phase != Phase::Tunnel)
            }
            Role::Session(session) => matches!(session.side, Side::Server(_)),
            Role::Clerk(_) => true,
            Role::Upstream(_) | Role::Client(_) | Role::Accepting(_) => false,
        };
        if !heard {
            self.lose(id, Fault::Reset);
            return;
        }
        conn.wire.eof = true;
        conn.wire.cut = true;
        conn.wire.half = Half::Broken;
        conn.wire.forget_unsent();
        if !conn.wire.inbox.is_empty() {
            self.mark(Mark::HeardBeforeBreak);
        }
        if let Some(Side::Server(served)) = self.session_mut(id).map(|session| session.side) {
            self.forget_session(id, served.target);
        }
        self.touch(id);
    }

    /// Tells the control machine, but not of every one.
    fn tell_refused(&mut self, whom: Whom, peer: std::net::SocketAddr, refusal: Refusal) {
        if self.now < self.refusals_from {
            return;
        }
        self.refusals_from = self.now + REPORT_GAP;
        self.effects.push(Effect::Report(Report::Refused { whom, peer, refusal }));
    }

    /// Nothing was sent to the server, so another address may be tried.
    fn give_up_server(&mut self, id: ConnId, refusal: Refusal) {
        let exchange = self.conn(id).and_then(Conn::exchange);
        let linger = self.now + self.limits.linger;
        let conn = self.conns.get_mut(key_of(id)).expect("its handshake was under way");
        let outbox = std::mem::take(&mut conn.wire.outbox);
        conn.wire.clear_deadlines();
        conn.wire.set(Due::Linger, linger);
        conn.wire.held = false;
        conn.wire.shut();
        if let Role::Upstream(upstream) = &mut conn.role {
            upstream.usage = Usage::Parting;
            let dialing = u32::from(std::mem::take(&mut upstream.multiplexed));
            let target = upstream.target;
            self.targets[target.0 as usize].dialing -= dialing;
            self.wake_waiter(target);
        }
        self.touch(id);
        if let Some(key) = exchange {
            let status = if refusal == Refusal::TimedOut { 504 } else { 502 };
            self.try_next_address(key, outbox, status);
        }
    }

    /// Says goodbye on a connection that nobody needs any more.
    pub(super) fn advance_parting(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.inbox.clear();
        let said = matches!(conn.wire.half, Half::Shut | Half::Broken);
        if said && conn.wire.is_flushed() {
            self.end(id, Close::Gentle);
        }
    }
}
