//! From a slot to the node that workers choose by.

use super::Compiler;
use super::slots::{Part, Seat, Shape};
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::service::failover::Side;
use crate::service::rest::Rest;
use crate::service::rotation::{self, Rotation};
use crate::service::stale::Freshness;
use crate::service::standing::Standing;
use crate::view::model::{Condition, ServiceInfo};
use crate::view::{Before, MirrorNode, MirroringNode, NodeKind, ServiceNode, Turns};
use std::sync::Arc;

impl Compiler {
    /// Makes the node of a service anew, and has those above it made anew if that changes anything
    /// for them.
    pub(super) fn rebuild(&mut self, id: ServiceId) {
        if self.registry.services.key(id.0).is_none() {
            return;
        }
        let before = self.before(id);
        let barred = self.why_barred(id, before);
        let standing = if barred.is_some() { Standing::Down } else { self.standing(id) };
        let weights = self.weights(id, standing);
        let rest = self.rest(id, before, weights.as_deref());
        let turns = weights.map(|weights| self.turns(id, standing, weights));
        let kind = match &barred {
            Some(why) => NodeKind::Unavailable(Arc::clone(why)),
            None => self.node_kind(id, turns.unwrap_or_default()),
        };
        let choosing = self.choosing(id, standing);
        let (condition, faults) = self.judge(id, barred);
        let leash = self.leash(id).map(Box::new);
        let slot = self.slots.get(id);
        let guarding = slot.guarding.as_ref().and_then(|it| it.guard.as_ref().ok());
        let node = ServiceNode {
            id,
            name: Arc::clone(&slot.name),
            up: standing.serves(),
            kind,
            choosing: choosing.map(Box::new),
            guard: guarding.cloned(),
            before,
            leash,
            rest: rest.map(Box::new),
            stats: Arc::clone(&slot.stats),
        };
        let (was, was_condition) = (self.slots.standing(id), slot.condition);
        if slot.faults != faults {
            self.pending.problems = true;
            self.note_problems(id, faults.is_empty());
        }
        let slot = self.slots.get_mut(id);
        slot.condition = condition;
        slot.faults = faults;
        self.slots.set_standing(id, standing);
        self.show(id);
        let mut explained_anew = false;
        let old = self.view.services.get(id.0);
        let met_anew = old.map(|old| old.before) != Some(before);
        if !old.is_some_and(|old| same_node(old, &node)) {
            explained_anew = matches!(node.kind, NodeKind::Unavailable(_));
            self.view.services.set(id.0, Some(Arc::new(node)));
            self.pending.changed = true;
        }
        if was != standing || was_condition != condition || explained_anew || met_anew {
            if !planted(Mutant::NewsStaysBelow) {
                self.slots.touch_parents(id);
            }
            self.note_child(id);
        }
        if was_condition != condition || explained_anew {
            self.slots.conditions_changed.insert(id);
        }
    }

    fn note_problems(&mut self, id: ServiceId, none: bool) {
        if none {
            self.slots.with_problems.remove(&id);
        } else {
            self.slots.with_problems.insert(id);
        }
    }

    /// Puts what people see of a service into the model.
    fn show(&mut self, id: ServiceId) {
        let slot = self.slots.get(id);
        let info = slot.definition.as_ref().map(|definition| ServiceInfo {
            name: Arc::clone(&slot.name),
            definition: definition.clone(),
            condition: slot.condition,
            errors: slot.faults.iter().map(|fault| fault.text.clone()).collect(),
            used_by: slot.routers.iter().cloned().collect(),
        });
        let services = &mut self.view.model.services;
        if services.get(id.0).map(|old| &**old) != info.as_ref() {
            services.set(id.0, info.map(Arc::new));
            self.pending.changed = true;
        }
    }

    fn standing(&self, id: ServiceId) -> Standing {
        let of = |id: &ServiceId| self.slots.standing(*id);
        match &self.slots.get(id).shape {
            Shape::Missing | Shape::Broken { .. } => Standing::Down,
            Shape::Internal(_) => Standing::Up,
            Shape::Balancer { seats, .. } => {
                Standing::best(seats.iter().map(|seat| (self.seat_standing(seat), seat.weight)))
            }
            Shape::Weighted(parts) => {
                Standing::best(parts.iter().map(|part| (of(&part.service), self.weight(part))))
            }
            Shape::Failover { main, fallback, .. } => of(main).max(of(fallback)),
            Shape::Mirroring { main, .. } => of(main),
        }
    }

    pub(super) fn seat_standing(&self, seat: &Seat) -> Standing {
        let standing = self.servers.standing(seat.server);
        let child = seat.node.uplink.as_ref().and_then(|uplink| self.child(uplink.child));
        match child.map(|child| child.freshness).unwrap_or_default() {
            Freshness::Fresh | Freshness::Decayed(_) => standing,
            Freshness::Demoted => standing.demoted(),
            Freshness::Withdrawn => Standing::Down,
        }
    }

    /// A child's own weight decays with its age; a weight that this parent sets does not.
    pub(super) fn weight(&self, part: &Part) -> u32 {
        let child = part.child.and_then(|child| self.child(child));
        child.map_or(part.weight, |child| child.freshness.weight(part.weight))
    }

    fn node_kind(&self, id: ServiceId, turns: Turns) -> NodeKind {
        let slot = self.slots.get(id);
        match &slot.shape {
            Shape::Missing => NodeKind::Unavailable(self.why_missing(id)),
            Shape::Broken { why, .. } => NodeKind::Unavailable(Arc::clone(why)),
            Shape::Internal(internal) => NodeKind::Internal(*internal),
            Shape::Balancer { seats, pass_host } => NodeKind::Balancer {
                turns,
                servers: seats.iter().map(|seat| Arc::clone(&seat.node)).collect(),
                pass_host: *pass_host,
            },
            Shape::Weighted(parts) => NodeKind::Weighted {
                turns,
                services: parts.iter().map(|part| part.service).collect(),
            },
            Shape::Failover { main, fallback, errors } => NodeKind::Failover {
                main: *main,
                fallback: *fallback,
                side: Side::of(self.slots.standing(*main), self.slots.standing(*fallback)),
                errors: errors.clone(),
            },
            Shape::Mirroring { main, mirrors, mirror_body, body_bytes_max } => {
                NodeKind::Mirroring(MirroringNode {
                    main: *main,
                    mirrors: mirrors.iter().filter(|mirror| self.works(mirror)).copied().collect(),
                    mirror_body: *mirror_body,
                    body_bytes_max: *body_bytes_max,
                    ticket: Arc::clone(&slot.ticket),
                })
            }
        }
    }

    fn works(&self, mirror: &MirrorNode) -> bool {
        self.slots.get(mirror.service).condition != Condition::Disabled
    }

    /// Who takes turns, and how many: the members of the best standing.
    fn weights(&self, id: ServiceId, best: Standing) -> Option<Vec<u32>> {
        let best_of = |standing| standing == best || planted(Mutant::PicksDown);
        let serving = |standing, weight| {
            if best_of(standing) && best.serves() { weight } else { 0 }
        };
        match &self.slots.get(id).shape {
            Shape::Balancer { seats, .. } => {
                let weight = |seat: &Seat| serving(self.seat_standing(seat), seat.weight);
                Some(seats.iter().map(weight).collect())
            }
            Shape::Weighted(parts) => {
                let standing = |part: &Part| self.slots.standing(part.service);
                Some(parts.iter().map(|part| serving(standing(part), self.weight(part))).collect())
            }
            Shape::Missing
            | Shape::Failover { .. }
            | Shape::Mirroring { .. }
            | Shape::Internal(_)
            | Shape::Broken { .. } => None,
        }
    }

    /// Of a service with breakers before its members.
    fn rest(&self, id: ServiceId, before: Before, weights: Option<&[u32]>) -> Option<Rest> {
        let slot = self.slots.get(id);
        let below = slot.shape.services();
        let node = |id: &ServiceId| self.view.services.get(id.0);
        let breaks = before.breaks && below.iter().filter_map(node).any(|node| node.before.breaks);
        breaks.then(|| Rest::new(weights.unwrap_or_default(), Arc::clone(&slot.rest_ticket)))
    }

    fn turns(&mut self, id: ServiceId, standing: Standing, weights: Vec<u32>) -> Turns {
        let marks = &self.stats.control.marks;
        match standing {
            Standing::Unknown | Standing::UnknownStale => marks.hit(Mark::UnknownServes),
            Standing::UpStale => marks.hit(Mark::StaleServes),
            Standing::Down | Standing::Up => {}
        }
        if rotation::is_scaled(&weights) {
            marks.hit(Mark::PeriodScaled);
        }
        let ticket = if planted(Mutant::PositionForgotten) {
            Arc::default()
        } else {
            Arc::clone(&self.slots.get(id).ticket)
        };
        // Uplinks of the same children tend to have the same weights.
        if let Some(rotation) = self.rotations.get(&weights) {
            return Turns { rotation: Arc::clone(rotation), ticket };
        }
        let rotation = Rotation::new(&weights);
        let old = self.view.services.get(id.0).and_then(|node| turns_of(&node.kind));
        let rotation = match old {
            Some(old) if *old.rotation == rotation || planted(Mutant::RemembersFirstWeights) => {
                Arc::clone(&old.rotation)
            }
            _ => Arc::new(rotation),
        };
        self.rotations.insert(weights, Arc::clone(&rotation));
        Turns { rotation, ticket }
    }
}

fn turns_of(kind: &NodeKind) -> Option<&Turns> {
    match kind {
        NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => Some(turns),
        NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => None,
    }
}

/// Whether a worker could not tell them apart.
fn same_node(a: &ServiceNode, b: &ServiceNode) -> bool {
    a.name == b.name
        && a.up == b.up
        && a.choosing == b.choosing
        && a.guard.as_ref().map(Arc::as_ptr) == b.guard.as_ref().map(Arc::as_ptr)
        && a.before == b.before
        && a.leash == b.leash
        && a.rest == b.rest
        && Arc::ptr_eq(&a.stats, &b.stats)
        && same_kind(&a.kind, &b.kind)
}

fn same_kind(a: &NodeKind, b: &NodeKind) -> bool {
    use NodeKind::{Balancer, Failover, Internal, Mirroring, Unavailable, Weighted};
    match (a, b) {
        (
            Balancer { turns: a, servers: a_servers, pass_host: a_pass },
            Balancer { turns: b, servers: b_servers, pass_host: b_pass },
        ) => same_turns(a, b) && a_servers == b_servers && a_pass == b_pass,
        (
            Weighted { turns: a, services: a_services },
            Weighted { turns: b, services: b_services },
        ) => same_turns(a, b) && a_services == b_services,
        (
            Failover { main, fallback, side, errors },
            Failover { main: b_main, fallback: b_fallback, side: b_side, errors: b_errors },
        ) => (main, fallback, side, errors) == (b_main, b_fallback, b_side, b_errors),
        (Mirroring(a), Mirroring(b)) => {
            Arc::ptr_eq(&a.ticket, &b.ticket)
                && (a.main, &a.mirrors) == (b.main, &b.mirrors)
                && (a.mirror_body, a.body_bytes_max) == (b.mirror_body, b.body_bytes_max)
        }
        (Internal(a), Internal(b)) => a == b,
        (Unavailable(a), Unavailable(b)) => a == b,
        (
            Balancer { .. }
            | Weighted { .. }
            | Failover { .. }
            | Mirroring(_)
            | Internal(_)
            | Unavailable(_),
            _,
        ) => false,
    }
}

fn same_turns(a: &Turns, b: &Turns) -> bool {
    Arc::ptr_eq(&a.ticket, &b.ticket) && a.rotation == b.rotation
}
