//! What a service chooses by when turns alone do not say it.

use super::Compiler;
use super::slots::{Part, Seat, Shape};
use crate::base::id::ServiceId;
use crate::config::typed::{Manner, ServiceKind, Strategy};
use crate::service::choosing::{Candidate, Choosing, Sticking};
use crate::service::standing::Standing;
use crate::service::sticky::Sticky;
use std::sync::Arc;

/// What follows from a definition alone.
#[derive(Debug)]
pub(super) struct ChosenBy {
    strategy: Strategy,
    /// What members are told apart by.
    names: Arc<[Arc<str>]>,
    sticky: Option<Arc<Sticky>>,
}

impl ChosenBy {
    /// Nothing if turns say it all.
    pub(super) fn of(kind: &ServiceKind) -> Option<Self> {
        match kind {
            ServiceKind::Balancer(balancer) => {
                Self::new(&balancer.manner, balancer.servers.iter().map(|server| &*server.url))
            }
            ServiceKind::Weighted { services, manner } => {
                Self::new(manner, services.iter().map(|part| &*part.key))
            }
            ServiceKind::Failover(_) | ServiceKind::Mirroring(_) | ServiceKind::Broken(_) => None,
        }
    }

    fn new<'a>(manner: &Manner, names: impl Iterator<Item = &'a str>) -> Option<Self> {
        if manner.is_plain() {
            return None;
        }
        let names: Arc<[Arc<str>]> = names.map(Arc::from).collect();
        let sticky = manner.sticky.as_ref();
        let sticky = sticky.map(|cookie| Sticky::new(cookie, names.iter().map(|name| &**name)));
        Some(Self { strategy: manner.strategy, names, sticky: sticky.map(Arc::new) })
    }

    fn counts_load(&self) -> bool {
        matches!(self.strategy, Strategy::P2c | Strategy::LeastTime)
    }
}

impl Compiler {
    /// Of a service that stands as its `best` members do.
    pub(super) fn choosing(&mut self, id: ServiceId, best: Standing) -> Option<Choosing> {
        let chosen_by = Arc::clone(self.slots.get(id).chosen_by.as_ref()?);
        let members = self.members(id)?;
        let takes =
            |(standing, weight): (Standing, u32)| weight > 0 && standing == best && best.serves();
        let candidates = (0..=u16::MAX)
            .zip(&members)
            .filter(|(_, member)| takes(**member))
            .map(|(position, (_, weight))| Candidate { position, weight: *weight });
        // A session stays where it is until its member is known to be down: a request is turned
        // away neither by a check that has not answered yet nor by a weight of 0.
        let stays = members.iter().map(|(standing, _)| standing.serves());
        let sticky = chosen_by
            .sticky
            .as_ref()
            .map(|cookie| Sticking { cookie: Arc::clone(cookie), stays: stays.collect() });
        let candidates = candidates.collect();
        let loads = if chosen_by.counts_load() { self.loads(id) } else { Box::default() };
        Some(Choosing {
            strategy: chosen_by.strategy,
            candidates,
            names: Arc::clone(&chosen_by.names),
            loads,
            sticky,
        })
    }

    /// How each member stands, and its weight.
    fn members(&self, id: ServiceId) -> Option<Vec<(Standing, u32)>> {
        let seat = |seat: &Seat| (self.seat_standing(seat), seat.weight);
        let part = |part: &Part| (self.slots.standing(part.service), self.weight(part));
        match &self.slots.get(id).shape {
            Shape::Balancer { seats, .. } => Some(seats.iter().map(seat).collect()),
            Shape::Weighted(parts) => Some(parts.iter().map(part).collect()),
            Shape::Missing
            | Shape::Failover { .. }
            | Shape::Mirroring { .. }
            | Shape::Internal(_)
            | Shape::Broken { .. } => None,
        }
    }

    fn loads(&mut self, id: ServiceId) -> Box<[Arc<crate::service::load::Load>]> {
        let servers: Vec<_> = self.slots.get(id).shape.servers().collect();
        servers.into_iter().map(|server| self.servers.load(server)).collect()
    }
}
