//! What is given up when memory or descriptors run out, in this order: the kept connection to a
//! server that was unused for longest, the idle client that was silent for longest, mirrors.

use super::{Worker, id_of};
use crate::base::mark::Mark;
use crate::boundary::Close;
use crate::view::stats::Shed;

impl Worker {
    /// Gives up something; false if there is nothing left to give up.
    pub(super) fn shed(&mut self) -> bool {
        self.shed_idle_upstream() || self.shed_idle_client() || self.shed_mirror()
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

    pub(super) fn shed_mirror(&mut self) -> bool {
        if self.mirrors == 0 {
            return false;
        }
        let mirror = self.exchanges.iter().find(|(_, exchange)| exchange.is_mirror());
        let Some((key, _)) = mirror else { return false };
        self.mark(Mark::ShedMirror);
        self.counts().shed(Shed::Mirror);
        self.abandon(key);
        true
    }
}
