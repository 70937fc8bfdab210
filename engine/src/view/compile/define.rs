//! Definitions of services: as written in documents, and as children's adverts make them.

use super::Compiler;
use super::servers::ServerSpec;
use super::slots::{Part, Seat, Shape};
use crate::base::id::{ChildId, ServiceId};
use crate::base::mark::Mark;
use crate::config::fixed::Transport;
use crate::config::references::{self, Place};
use crate::config::typed::{Balancer, Mirroring, Service, ServiceKind, Weight, WeightedRef};
use crate::uplink::advert::Advert;
use crate::uplink::materialise::{Made, Member};
use crate::view::model::Definition;
use crate::view::{MirrorNode, ServerNode, UplinkRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An aggregate stands above the services of its children.
const AGGREGATE_RANK: u32 = 1;

impl Compiler {
    /// With other transports every balancer is looked at again.
    pub(super) fn define_written(&mut self, services: &[Arc<Service>], same_transports: bool) {
        self.note_leashes(services);
        let names: BTreeMap<&str, &Arc<Service>> =
            services.iter().map(|service| (&*service.name, service)).collect();
        let old = std::mem::take(&mut self.dynamic.services);
        for service in &old {
            if !names.contains_key(&*service.name)
                && let Some(id) = self.registry.services.find(&*service.name)
            {
                self.undefine(ServiceId(id));
                self.release_service(ServiceId(id));
            }
        }
        let before: BTreeMap<&str, &Arc<Service>> =
            old.iter().map(|service| (&*service.name, service)).collect();
        let places = references::places(services, AGGREGATE_RANK);
        let (mut kept, mut changed) = (0u32, 0u32);
        for (name, service) in names {
            let place = places.get(name).cloned().unwrap_or(Place::Height(0));
            let old = before.get(name).copied();
            let same = old.is_some_and(|old| {
                alike(&old.kind, &service.kind) && old.middlewares == service.middlewares
            });
            kept += u32::from(same);
            changed += u32::from(!same && old.is_some());
            let misplaced = is_misplaced(&place, self.limits.services_deep);
            if !same
                || !same_transports
                || old != Some(service)
                || self.is_broken(name)
                || misplaced
            {
                self.define_one(service, &place, old.is_some());
            } else if let (Some(id), Place::Height(rank)) =
                (self.registry.services.find(name), place)
            {
                self.slots.set_rank(ServiceId(id), rank);
            }
        }
        if kept > 0 && (changed > 0 || old.len() != services.len()) {
            self.pending.report.push(format!("kept: {kept} services that did not change"));
        }
    }

    fn is_broken(&self, name: &str) -> bool {
        let id = self.registry.services.find(name);
        id.is_some_and(|id| matches!(self.slots.get(ServiceId(id)).shape, Shape::Broken { .. }))
    }

    fn define_one(&mut self, service: &Arc<Service>, place: &Place, is_held: bool) {
        let name: Arc<str> = service.name.as_str().into();
        let id = match self.registry.services.find(&*name) {
            Some(id) if is_held => ServiceId(id),
            _ => self.registry.hold_service(&name),
        };
        let depth_max = self.limits.services_deep;
        let (shape, rank) = match place {
            Place::Cycle(names) => {
                self.stats.control.marks.hit(Mark::ServiceCycle);
                let text = format!("refers to itself: {}", names.join(" -> "));
                (Shape::Broken { why: text.into(), told: true }, 0)
            }
            Place::Height(height) if *height > depth_max => {
                let text = format!("nests {height} levels of services; at most {depth_max} work");
                (Shape::Broken { why: text.into(), told: false }, 0)
            }
            Place::Height(height) => (self.written_shape(id, service), *height),
        };
        self.define(id, &name, Definition::Written(Arc::clone(service)), shape, rank);
        let chosen_by = self.chosen_by(service).map(Arc::new);
        self.slots.get_mut(id).chosen_by = chosen_by;
    }

    fn written_shape(&mut self, id: ServiceId, service: &Service) -> Shape {
        match &service.kind {
            ServiceKind::Balancer(balancer) => self.balancer_shape(id, balancer),
            ServiceKind::Weighted { services, .. } => {
                let part = |compiler: &mut Self, member: &WeightedRef| Part {
                    service: compiler.hold_service(&member.name),
                    weight: member.weight.get(),
                    child: None,
                };
                Shape::Weighted(services.iter().map(|member| part(self, member)).collect())
            }
            ServiceKind::Failover(failover) => Shape::Failover {
                main: self.hold_service(&failover.service),
                fallback: self.hold_service(&failover.fallback),
                errors: failover.errors.clone(),
            },
            ServiceKind::Mirroring(mirroring) => Shape::Mirroring {
                main: self.hold_service(&mirroring.service),
                mirrors: mirroring
                    .mirrors
                    .iter()
                    .map(|mirror| MirrorNode {
                        service: self.hold_service(&mirror.name),
                        percent: mirror.percent,
                    })
                    .collect(),
                mirror_body: mirroring.mirror_body,
                body_bytes_max: mirroring.body_bytes_max,
            },
            ServiceKind::Broken(why) => Shape::Broken { why: why.as_str().into(), told: true },
        }
    }

    fn balancer_shape(&mut self, id: ServiceId, balancer: &Balancer) -> Shape {
        let check = balancer.health_check.clone().map(Arc::new);
        let transport = match self.transport_of(balancer) {
            Ok(transport) => transport,
            Err(why) => return Shape::Broken { why: why.into(), told: true },
        };
        let seats = balancer
            .servers
            .iter()
            .take(self.limits.members_max as usize)
            .map(|server| {
                let wanted = ServerSpec {
                    service: id,
                    url: server.url.as_str().into(),
                    authority: server.authority.clone(),
                    transport: transport.clone(),
                    check: check.clone(),
                    passive: balancer.passive.clone(),
                    uplink: None,
                };
                let prefix = if server.preserve_path { server.path.clone() } else { String::new() };
                self.seat(wanted, prefix, server.weight)
            })
            .collect();
        Shape::Balancer { seats, pass_host: balancer.pass_host }
    }

    fn transport_of(&self, balancer: &Balancer) -> Result<Transport, String> {
        let name = &balancer.transport;
        if name.is_empty() {
            return Ok(self.fixed.servers_transport.clone());
        }
        let found = self.dynamic.transports.iter().find(|transport| transport.name == *name);
        let found = found.ok_or_else(|| format!("there is no transport {name}"))?;
        match found.broken.first() {
            Some(why) => Err(format!("its transport {name} cannot be used: {why}")),
            None => Ok(found.transport.clone()),
        }
    }

    fn seat(&mut self, wanted: ServerSpec, prefix: String, weight: Weight) -> Seat {
        let (url, uplink) = (Arc::clone(&wanted.url), wanted.uplink.clone());
        let passive = wanted.passive.is_some();
        let server = self.hold_server(wanted);
        let target = self.servers.target(server).expect("a held server has a target");
        let node = ServerNode { id: server, target, url, prefix, passive, uplink };
        Seat { server, weight: weight.get(), node: Arc::new(node) }
    }

    /// Carries over what children's adverts changed since.
    pub(super) fn define_offers(&mut self) {
        for id in self.offers.take_touched() {
            let held = self.is_defined(id);
            let name = self.offers.display_name(id).map(Arc::from);
            match (self.offers.made(id), name) {
                (Some(made), Some(name)) => {
                    if !held {
                        self.registry.services.hold_again(id.0);
                    }
                    self.define_made(id, &name, made);
                }
                _ if held => {
                    self.undefine(id);
                    self.release_service(id);
                }
                _ => self.slots.touch(id),
            }
        }
    }

    fn is_defined(&mut self, id: ServiceId) -> bool {
        self.slots.get_mut(id).definition.is_some()
    }

    fn define_made(&mut self, id: ServiceId, name: &Arc<str>, made: Made) {
        match made {
            Made::Aggregate(members) => {
                let part = |member: &Member| Part {
                    service: member.service,
                    weight: member.weight,
                    child: Some(member.child),
                };
                let parts: Vec<Part> = members.iter().map(part).collect();
                for part in &parts {
                    self.registry.services.hold_again(part.service.0);
                }
                let list = members.iter().map(|member| (member.service, member.weight)).collect();
                let definition = Definition::Aggregate { members: list };
                self.define(id, name, definition, Shape::Weighted(parts), AGGREGATE_RANK);
            }
            Made::Child { child, advert } => {
                if let Some(state) = self.children.get_mut(usize::from(child.0)) {
                    state.dirty = true;
                }
                let Some(shape) = self.offered_shape(id, child, &advert) else { return };
                let address = self.child(child).map(|child| Arc::clone(&child.address));
                let address = address.unwrap_or_default();
                let definition = Definition::Child { child, address, advert };
                self.define(id, name, definition, shape, 0);
            }
        }
    }

    /// A balancer over the child's own address, and no other.
    fn offered_shape(&mut self, id: ServiceId, child: ChildId, advert: &Advert) -> Option<Shape> {
        let fixed = Arc::clone(&self.fixed);
        let children = &fixed.multicluster.as_ref()?.children;
        let settings = children.get(usize::from(child.0))?;
        let wanted = ServerSpec {
            service: id,
            url: Arc::clone(&self.child(child)?.address),
            authority: settings.address.clone(),
            transport: settings.transport.clone(),
            check: advert.health_check.clone().map(Arc::new),
            passive: advert.passive.clone(),
            uplink: Some(UplinkRef { child, name: Arc::clone(&advert.name) }),
        };
        let seat = self.seat(wanted, String::new(), Weight::ONE);
        Some(Shape::Balancer { seats: vec![seat], pass_host: true })
    }
}

fn is_misplaced(place: &Place, depth_max: u32) -> bool {
    !matches!(place, Place::Height(height) if *height <= depth_max)
}

/// Whether two definitions mean the same, wherever they stand.
fn alike(a: &ServiceKind, b: &ServiceKind) -> bool {
    match (a, b) {
        (
            ServiceKind::Weighted { services: a, manner: manner_a },
            ServiceKind::Weighted { services: b, manner: manner_b },
        ) => {
            let meaning = |part: &WeightedRef| (part.name.clone(), part.key.clone(), part.weight);
            manner_a == manner_b && a.iter().map(meaning).eq(b.iter().map(meaning))
        }
        (ServiceKind::Mirroring(a), ServiceKind::Mirroring(b)) => mirrors_alike(a, b),
        (a, b) => a == b,
    }
}

fn mirrors_alike(a: &Mirroring, b: &Mirroring) -> bool {
    (&a.service, a.mirror_body, a.body_bytes_max) == (&b.service, b.mirror_body, b.body_bytes_max)
        && a.mirrors.len() == b.mirrors.len()
        && a.mirrors
            .iter()
            .zip(&b.mirrors)
            .all(|(a, b)| (&a.name, a.percent) == (&b.name, b.percent))
}
