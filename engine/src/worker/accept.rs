//! Clients that come: how many accepts wait, and what happens when there is no room.

use super::conn::{Client, Conn, Partial, Role, Talk};
use super::{Worker, id_of, key_of};
use crate::base::id::{ConnId, EntryId, ListenerId};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, Fault, OpKind};
use crate::net::wire::{Cover, Due, Link, Wire};
use crate::view::stats::Shed;
use std::net::SocketAddr;

/// The first pause after an accept failed; it doubles with each further failure.
const PAUSE_MIN: Span = Span::millis(5);
const PAUSE_MAX: Span = Span::secs(1);

#[derive(Debug, Default)]
pub(super) struct Listener {
    /// Accepts under way.
    pub(super) pending: u32,
    /// No accept before this time.
    pub(super) resume: Time,
    pub(super) pause: Span,
    /// When a drain stops this listener.
    pub(super) stop_at: Option<Time>,
    /// When it gives up what its clients still have in flight.
    pub(super) cut_at: Option<Time>,
    pub(super) stopped: bool,
}

impl Worker {
    /// Keeps as many accepts waiting as the limits say.
    pub(super) fn arm_accepts(&mut self) {
        for index in 0..self.listeners.len() {
            while self.wants_accept(index) {
                let entry = EntryId(u16::try_from(index).expect("entry points are few"));
                let id = self.insert(Role::Accepting(entry));
                self.listeners[index].pending += 1;
                self.conn_mut(id).expect("just inserted").wire.start(OpKind::Accept);
                let listener = ListenerId(entry.0);
                self.effects.push(Effect::Accept { conn: id, listener });
            }
        }
    }

    fn wants_accept(&self, index: usize) -> bool {
        let listener = &self.listeners[index];
        let room = listener.pending < self.limits.accepts_per_listener.max(1);
        room && !listener.stopped && listener.resume <= self.now
    }

    /// Puts a connection into a slot of its own.
    pub(super) fn insert(&mut self, role: Role) -> ConnId {
        let id = id_of(self.conns.next_key());
        let key = self.conns.insert(Conn { wire: Wire::new(id), role, stream: None });
        debug_assert_eq!(key, key_of(id), "the next key is the next key");
        id
    }

    pub(super) fn on_accepted(&mut self, id: ConnId, peer: SocketAddr) {
        let now = self.now;
        let full = self.clients >= self.limits.clients_max
            && !planted(Mutant::ClientsUnbounded)
            && !self.shed_idle_client();
        let conn = self.conns.get_mut(key_of(id)).expect("its accept was under way");
        let Role::Accepting(entry) = conn.role else { unreachable!("only listeners accept") };
        conn.role = Role::Client(Client {
            entry,
            // A socket for both families says `::ffff:192.0.2.1` where everybody says 192.0.2.1.
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            talk: Talk::Listening,
            requests: 0,
            opened: now,
            partial: Partial::default(),
            last: false,
            said_last: false,
        });
        conn.wire.link = Link::Open;
        let at = &self.view.entries[usize::from(entry.0)];
        if at.settings.proxied.as_ref().is_some_and(|it| it.trusts(peer.ip().to_canonical())) {
            conn.wire.cover = Cover::Announced(Vec::new());
        } else if at.secure.is_some() {
            conn.wire.cover = Cover::Unseen;
        }
        let listener = &mut self.listeners[usize::from(entry.0)];
        listener.pending -= 1;
        listener.pause = Span::ZERO;
        self.clients += 1;
        self.count_clients(entry, 1);
        if full {
            self.mark(Mark::ClientRefusedForRoom);
            self.counts().shed(Shed::Connection);
            self.end(id, Close::Abort);
            return;
        }
        self.listen(id);
    }

    /// Counts a client that came or went.
    pub(super) fn count_clients(&self, entry: EntryId, change: i8) {
        let Some(count) = self.counts().clients.get(usize::from(entry.0)) else { return };
        if change > 0 { count.add(1) } else { count.take(1) }
    }

    /// Waits for the next request.
    pub(super) fn listen(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Client(client) = &mut conn.role else { return };
        client.talk = Talk::Listening;
        let idle = self.view.entries[usize::from(client.entry.0)].settings.idle_timeout;
        conn.wire.clear_deadlines();
        conn.wire.set(Due::Idle, if idle.is_zero() { Time::NEVER } else { now + idle });
        self.idle_clients.push(id.slot);
        self.touch(id);
    }

    pub(super) fn on_accept_failed(&mut self, id: ConnId, fault: Fault) {
        let conn = self.conn_mut(id).expect("its accept was under way");
        let Role::Accepting(entry) = conn.role else { unreachable!("only listeners accept") };
        conn.wire.link = Link::Gone;
        let now = self.now;
        let listener = &mut self.listeners[usize::from(entry.0)];
        listener.pending -= 1;
        if fault == Fault::Cancelled && listener.stopped {
            return;
        }
        // A client that gave up between the handshake and the accept is nobody's fault, but a
        // listener that fails at once, again and again, must not spin.
        listener.pause = match listener.pause {
            Span::ZERO => PAUSE_MIN,
            pause => pause.times(2).min(PAUSE_MAX),
        };
        let never = planted(Mutant::AcceptsNoMore);
        listener.resume = if never { Time::NEVER } else { now + listener.pause };
        self.mark(Mark::AcceptPaused);
        if fault == Fault::NoDescriptors {
            let _ = self.shed_idle_upstream() || self.shed_idle_client();
        }
    }
}
