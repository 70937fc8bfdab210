//! What is given up when memory or descriptors run out, in this order: the kept connection to a
//! server that was unused for longest, the idle client that was silent for longest, mirrors.

use super::conn::Conn;
use super::{Worker, id_of};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::boundary::Close;
use crate::view::stats::Shed;

impl Worker {
    /// Gives up something for a connection, but not what it serves itself: that is being worked on.
    /// False if there is nothing left to give up.
    pub(super) fn shed_for(&mut self, id: ConnId) -> bool {
        let own = self.conn(id).and_then(Conn::exchange);
        self.shed_idle_upstream() || self.shed_idle_client() || self.shed_mirror(own)
    }

    pub(super) fn shed_idle_upstream(&mut self) -> bool {
        let Some(slot) = self.idle_upstreams.first() else { return false };
        let (key, _) = self.conns.at(slot).expect("an idle connection has its slot");
        self.mark(Mark::ShedIdleUpstream);
        self.counts().shed(Shed::IdleUpstream);
        self.end(id_of(key), Close::Gentle);
        true
    }

    pub(super) fn shed_idle_client(&mut self) -> bool {
        let Some(slot) = self.idle_clients.first() else { return false };
        let (key, _) = self.conns.at(slot).expect("an idle connection has its slot");
        self.mark(Mark::ShedIdleClient);
        self.counts().shed(Shed::IdleClient);
        self.end(id_of(key), Close::Gentle);
        true
    }

    fn shed_mirror(&mut self, own: Option<Key>) -> bool {
        if self.mirrors == 0 {
            return false;
        }
        let mirrors = self.exchanges.iter().filter(|(_, exchange)| exchange.is_mirror());
        let other = mirrors.map(|(key, _)| key).find(|key| Some(*key) != own);
        let Some(key) = other else { return false };
        self.mark(Mark::ShedMirror);
        self.counts().shed(Shed::Mirror);
        self.abandon(key);
        true
    }
}
