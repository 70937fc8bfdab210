//! Services by number: what each is, what it refers to and who refers to it.
//!
//! A name that is referred to has a slot whether or not anybody defines it: references need not be
//! resolved again when a child appears, and a request that meets an undefined service gets 503.

use super::choosing::ChosenBy;
use super::guards::Guarding;
use super::problems::Fault;
use super::{Compiler, Ids};
use crate::base::id::{ChildId, ServerId, ServiceId};
use crate::config::typed::FailoverErrors;
use crate::service::standing::Standing;
use crate::service::ticket::Ticket;
use crate::view::model::{Condition, Definition};
use crate::view::stats::Scope;
use crate::view::{Internal, MirrorNode, ServerNode};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// By [`ServiceId`].
    list: Vec<Slot>,
    /// By [`ServiceId`], beside the slots because aggregates look at thousands of them.
    standings: Vec<Standing>,
    /// To be rebuilt, those that others are made of first.
    touched: BTreeSet<(u32, ServiceId)>,
    /// Defined services, sorted by name.
    pub(super) by_name: BTreeSet<(Arc<str>, ServiceId)>,
    pub(super) names_changed: bool,
    /// With something to tell.
    pub(super) with_problems: Ids,
    /// Named by routers, and their condition changed.
    pub(super) conditions_changed: Ids,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// Qualified, as people know it.
    pub(super) name: Arc<str>,
    pub(super) definition: Option<Definition>,
    pub(super) shape: Shape,
    /// Above the ranks of all that this refers to.
    rank: u32,
    /// One entry per reference.
    pub(super) parents: Vec<ServiceId>,
    /// Names of routers that name it.
    pub(super) routers: BTreeSet<Arc<str>>,
    /// How many middlewares get their pages from it.
    pub(super) pages: usize,
    pub(super) condition: Condition,
    pub(super) ticket: Arc<Ticket>,
    /// How members are chosen, if not by turns alone.
    pub(super) chosen_by: Option<Arc<ChosenBy>>,
    /// Middlewares of its own.
    pub(super) guarding: Option<Guarding>,
    /// Of turns that fall to others while a breaker is open.
    pub(super) rest_ticket: Arc<Ticket>,
    pub(super) stats: Arc<Scope>,
    pub(super) faults: Vec<Fault>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            name: Arc::default(),
            definition: None,
            shape: Shape::Missing,
            rank: 0,
            parents: Vec::new(),
            routers: BTreeSet::new(),
            pages: 0,
            condition: Condition::Disabled,
            ticket: Arc::default(),
            chosen_by: None,
            guarding: None,
            rest_ticket: Arc::default(),
            stats: Arc::default(),
            faults: Vec::new(),
        }
    }
}

/// A definition with its references resolved.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Shape {
    /// Nobody defines it.
    Missing,
    Balancer {
        seats: Vec<Seat>,
        pass_host: bool,
    },
    Weighted(Vec<Part>),
    Failover {
        main: ServiceId,
        fallback: ServiceId,
        errors: Option<FailoverErrors>,
    },
    Mirroring {
        main: ServiceId,
        mirrors: Vec<MirrorNode>,
        mirror_body: bool,
        body_bytes_max: Option<u64>,
    },
    Internal(Internal),
    /// `told` if checking the documents explains it.
    Broken {
        why: Arc<str>,
        told: bool,
    },
}

/// A server's place in a balancer.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Seat {
    pub(super) server: ServerId,
    pub(super) weight: u32,
    pub(super) node: Arc<ServerNode>,
}

/// A service's place in a weighted one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Part {
    pub(super) service: ServiceId,
    pub(super) weight: u32,
    /// Whose offer it is, when the weight is the child's own.
    pub(super) child: Option<ChildId>,
}

impl Shape {
    /// The word that people use; a balancer's position goes with it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "undefined",
            Self::Balancer { .. } => "loadBalancer",
            Self::Weighted(_) => "weighted",
            Self::Failover { .. } => "failover",
            Self::Mirroring { .. } => "mirroring",
            Self::Internal(_) => "internal",
            Self::Broken { .. } => "broken",
        }
    }

    pub(super) fn services(&self) -> Vec<ServiceId> {
        match self {
            Self::Weighted(parts) => parts.iter().map(|part| part.service).collect(),
            Self::Failover { main, fallback, .. } => vec![*main, *fallback],
            Self::Mirroring { main, mirrors, .. } => {
                std::iter::once(*main).chain(mirrors.iter().map(|mirror| mirror.service)).collect()
            }
            Self::Missing | Self::Balancer { .. } | Self::Internal(_) | Self::Broken { .. } => {
                Vec::new()
            }
        }
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = ServerId> {
        let seats = match self {
            Self::Balancer { seats, .. } => seats.as_slice(),
            Self::Missing
            | Self::Weighted(_)
            | Self::Failover { .. }
            | Self::Mirroring { .. }
            | Self::Internal(_)
            | Self::Broken { .. } => &[],
        };
        seats.iter().map(|seat| seat.server)
    }
}

impl Slots {
    pub(super) fn get(&self, id: ServiceId) -> &Slot {
        &self.list[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: ServiceId) -> &mut Slot {
        let at = id.0 as usize;
        if self.list.len() <= at {
            self.list.resize_with(at + 1, Slot::default);
            self.standings.resize(at + 1, Standing::Down);
        }
        &mut self.list[at]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ServiceId, &Slot)> {
        (0..).zip(&self.list).map(|(at, slot)| (ServiceId(at), slot))
    }

    pub(super) fn is_settled(&self) -> bool {
        self.touched.is_empty()
    }

    pub(super) fn standing(&self, id: ServiceId) -> Standing {
        self.standings[id.0 as usize]
    }

    pub(super) fn set_standing(&mut self, id: ServiceId, standing: Standing) {
        self.standings[id.0 as usize] = standing;
    }

    pub(super) fn touch(&mut self, id: ServiceId) {
        let rank = self.get_mut(id).rank;
        self.touched.insert((rank, id));
    }

    pub(super) fn touch_parents(&mut self, id: ServiceId) {
        for parent in self.get_mut(id).parents.clone() {
            self.touch(parent);
        }
    }

    pub(super) fn next_touched(&mut self) -> Option<ServiceId> {
        self.touched.pop_first().map(|(_, id)| id)
    }

    pub(super) fn set_rank(&mut self, id: ServiceId, rank: u32) {
        let slot = self.get_mut(id);
        let old = std::mem::replace(&mut slot.rank, rank);
        if self.touched.remove(&(old, id)) {
            self.touched.insert((rank, id));
        }
    }

    fn link(&mut self, parent: ServiceId, children: &[ServiceId]) {
        for child in children {
            self.get_mut(*child).parents.push(parent);
        }
    }

    fn unlink(&mut self, parent: ServiceId, children: &[ServiceId]) {
        for child in children {
            let parents = &mut self.get_mut(*child).parents;
            if let Some(at) = parents.iter().position(|id| *id == parent) {
                parents.swap_remove(at);
            }
        }
    }

    fn forget(&mut self, id: ServiceId) {
        let rank = self.get(id).rank;
        self.touched.remove(&(rank, id));
        self.with_problems.remove(&id);
        self.conditions_changed.remove(&id);
        self.list[id.0 as usize] = Slot::default();
        self.standings[id.0 as usize] = Standing::Down;
    }
}

impl Compiler {
    /// Gives a held service its definition. `shape` holds what it refers to.
    pub(super) fn define(
        &mut self,
        id: ServiceId,
        name: &Arc<str>,
        definition: Definition,
        shape: Shape,
        rank: u32,
    ) {
        let slot = self.slots.get_mut(id);
        let is_new = slot.definition.is_none();
        let old_name = std::mem::replace(&mut slot.name, Arc::clone(name));
        if !is_new && slot.shape.kind() != shape.kind() {
            slot.ticket = Arc::default();
            slot.rest_ticket = Arc::default();
            self.pending.report.push(format!(
                "reset: position of {name}: it was {} and is {}",
                slot.shape.kind(),
                shape.kind()
            ));
        }
        slot.definition = Some(definition);
        if is_new || old_name != *name {
            self.slots.by_name.remove(&(old_name, id));
            self.slots.by_name.insert((Arc::clone(name), id));
            self.slots.names_changed = true;
        }
        self.reshape(id, shape);
        self.slots.set_rank(id, rank);
        self.slots.touch(id);
        self.touch_guard(id);
    }

    /// Takes a definition away; the hold is the caller's.
    pub(super) fn undefine(&mut self, id: ServiceId) {
        let slot = self.slots.get_mut(id);
        if slot.definition.take().is_none() {
            return;
        }
        slot.ticket = Arc::default();
        slot.rest_ticket = Arc::default();
        slot.chosen_by = None;
        slot.stats = Arc::default();
        self.pending.report.push(format!("dropped: state of {}: it is gone", slot.name));
        // Whoever still refers to it knows it by the name that references are compared by.
        let key = self.registry.services.key(id.0).cloned().unwrap_or_default();
        let name = std::mem::replace(&mut slot.name, key);
        self.slots.by_name.remove(&(name, id));
        self.slots.names_changed = true;
        self.reshape(id, Shape::Missing);
        self.slots.set_rank(id, 0);
        self.slots.touch(id);
        self.forget_guarding(id);
    }

    fn reshape(&mut self, id: ServiceId, shape: Shape) {
        let new = shape.services();
        let old = std::mem::replace(&mut self.slots.get_mut(id).shape, shape);
        let services = old.services();
        if new != services {
            self.slots.link(id, &without(&new, &services));
            self.slots.unlink(id, &without(&services, &new));
        }
        for service in services {
            self.release_service(service);
        }
        for server in old.servers() {
            self.release_server(server);
        }
    }

    /// A hold on a service by the name that somebody refers to.
    pub(super) fn hold_service(&mut self, name: &str) -> ServiceId {
        let key = key_of(name);
        let id = self.registry.hold_service(&key);
        let slot = self.slots.get_mut(id);
        if slot.name.is_empty() {
            slot.name = key;
            self.slots.touch(id);
        }
        id
    }

    pub(super) fn release_service(&mut self, id: ServiceId) {
        if self.registry.services.release(id.0) {
            self.slots.forget(id);
            self.view.services.set(id.0, None);
            self.view.model.services.set(id.0, None);
            self.pending.changed = true;
        }
    }
}

/// What is left of `these` when each of `those` takes one away.
fn without(these: &[ServiceId], those: &[ServiceId]) -> Vec<ServiceId> {
    let (mut these, mut those) = (these.to_vec(), those.to_vec());
    these.sort_unstable();
    those.sort_unstable();
    let mut those = those.into_iter().peekable();
    these.retain(|id| {
        while those.next_if(|other| other < id).is_some() {}
        those.next_if_eq(id).is_none()
    });
    these
}

/// Names of children's services compare in normalised form.
fn key_of(name: &str) -> Arc<str> {
    use crate::base::name::{MULTICLUSTER, normalised, split};
    match split(name) {
        Some((name, MULTICLUSTER)) => format!("{}@{MULTICLUSTER}", normalised(name)).into(),
        _ => name.into(),
    }
}
