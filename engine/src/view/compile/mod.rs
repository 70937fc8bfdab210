//! Everything that is known, compiled into a view.
//!
//! The compiler is told of changes and builds the next view from the last: it defines services,
//! rebuilds the nodes that a change touched from the leaves up, and shares the rest. It is total:
//! what cannot work is left out and explained, and a request that meets it is answered 503 rather
//! than by somebody else.
//!
//! ```text
//! documents ──┐                    ┌─ routes per entry point
//! adverts ────┼─▶ services (slots) ┼─ nodes: who takes which ticket
//! health ─────┤    dirty, by rank  ├─ targets and their addresses
//! addresses ──┘                    └─ the model that people see
//! ```

mod changes;
mod check;
mod children;
mod choosing;
mod claims;
mod define;
mod guards;
mod middle;
mod moves;
mod node;
mod problems;
mod routers;
mod routing;
mod secure;
mod servers;
mod slots;
mod steps;
#[cfg(test)]
mod tests;
mod uplinks;
mod users;

pub use changes::{Build, NameChanges, PassiveChanges, Probe, ProbeChanges};

use super::model::Definition;
use super::past::Past;
use super::registry::Registry;
use super::stats::{ChildStats, Scope, Stats};
use super::table::Table;
use super::{Internal, Model, View};
use crate::base::id::{ChildId, ServerId, ServiceId, TargetId};
use crate::base::limits::ControlLimits;
use crate::base::prng::Prng;
use crate::base::secret::Secret;
use crate::base::sip::SipKey;
use crate::config::fixed::Fixed;
use crate::config::typed::Dynamic;
use crate::service::rotation::Rotation;
use crate::service::stale::Freshness;
use crate::tls::{Clock, Crypto};
use crate::uplink::advert::Advert;
use crate::uplink::materialise::Offers;
use changes::Pending;
use guards::Guards;
use moves::{Between, RouterChanges, same};
use routing::Routing;
use secure::Secure;
use servers::Servers;
use slots::{Shape, Slots};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use users::UsersFiles;

/// Compiles views, one after another.
#[derive(Debug)]
pub struct Compiler {
    fixed: Arc<Fixed>,
    limits: ControlLimits,
    /// Of everything that is spread by hash.
    key: SipKey,
    stats: Arc<Stats>,
    registry: Registry,
    slots: Slots,
    servers: Servers,
    offers: Offers,
    children: Vec<Child>,
    dynamic: Dynamic,
    /// What is wrong between the definitions.
    between: Between,
    routing: Routing,
    guards: Guards,
    /// By file: keys that cookies are signed with, and why what is there now cannot be used.
    sticky_keys: BTreeMap<Arc<str>, (Vec<Secret>, String)>,
    /// Some cookie is for all levels of services.
    leashes: bool,
    /// Held for middlewares.
    pages: Vec<ServiceId>,
    secure: Secure,
    entry_stats: Vec<Arc<Scope>>,
    /// Held: whom middlewares ask.
    asked: Vec<TargetId>,
    users: UsersFiles,
    /// By weights: those laid out for the build under way.
    rotations: BTreeMap<Vec<u32>, Arc<Rotation>>,
    pending: Pending,
    /// The newest, without what other machines add to it.
    view: View,
}

#[derive(Debug)]
struct Child {
    name: Arc<str>,
    address: Arc<str>,
    stats: Arc<ChildStats>,
    freshness: Freshness,
    /// Whether its part of the view must be made anew.
    dirty: bool,
}

impl Compiler {
    pub fn new(
        fixed: Arc<Fixed>,
        limits: ControlLimits,
        stats: Arc<Stats>,
        prng: &mut Prng,
    ) -> Self {
        Self::with(Crypto::default(), fixed, limits, stats, prng)
    }

    /// With cryptography of the caller's choice.
    pub fn with(
        crypto: Crypto,
        fixed: Arc<Fixed>,
        limits: ControlLimits,
        stats: Arc<Stats>,
        prng: &mut Prng,
    ) -> Self {
        let key = SipKey::new(prng);
        let children: Vec<Child> = fixed
            .multicluster
            .iter()
            .flat_map(|provider| &provider.children)
            .map(|child| Child {
                name: child.name.as_str().into(),
                address: child.address.to_string().into(),
                stats: Arc::default(),
                freshness: Freshness::Fresh,
                dirty: true,
            })
            .collect();
        let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
        let mut compiler = Self {
            offers: Offers::new(children.iter().map(|child| Arc::clone(&child.name))),
            entry_stats: (0..entries).map(|_| Arc::default()).collect(),
            view: View::empty(Arc::clone(&fixed), Arc::clone(&crypto.clock), key),
            limits,
            key,
            stats,
            registry: Registry::default(),
            slots: Slots::default(),
            servers: Servers::default(),
            children,
            between: Between::new(&Dynamic::default(), &fixed),
            dynamic: Dynamic::default(),
            routing: Routing::default(),
            guards: Guards::default(),
            sticky_keys: BTreeMap::new(),
            leashes: false,
            pages: Vec::new(),
            secure: Secure::new(crypto, fixed.spiffe.clone()),
            asked: Vec::new(),
            users: UsersFiles::default(),
            rotations: BTreeMap::new(),
            pending: Pending { routing: true, ..Pending::default() },
            fixed,
        };
        compiler.define_internal();
        compiler
    }

    /// Servers that cannot be reached for want of a certificate or a key count as if they could,
    /// and cookies are signed as if their key had been read: for views that are made where those
    /// are not, of what was recorded where they are.
    pub fn assume_keys(&mut self) {
        self.servers.assumes_keys = true;
    }

    /// Replaces the dynamic configuration.
    pub fn set_dynamic(&mut self, dynamic: Dynamic) {
        let old = &self.dynamic;
        let routers = RouterChanges::between(&old.routers, &dynamic.routers);
        let same_shape = same(&old.middlewares, &dynamic.middlewares)
            && old.uplinks == dynamic.uplinks
            && old.options == dynamic.options;
        let same_routing = same_shape && routers.is_empty();
        let same_transports = old.transports == dynamic.transports;
        let same_services = same(&old.services, &dynamic.services) && same_transports;
        let same_tls = old.options == dynamic.options
            && old.certificates == dynamic.certificates
            && old.default_certificate == dynamic.default_certificate;
        self.secure.dirty |= !same_tls || !same_transports;
        let is_simple = same_shape && routers.is_simple() && !self.pending.routing;
        let only_routers = is_simple && same_services && same_tls;
        if !same_routing {
            routers.report(&mut self.pending.report);
            if is_simple {
                self.pending.routers.extend(routers.names.iter().cloned());
                self.note_moved(&routers);
            } else {
                self.pending.routing = true;
            }
        }
        if !same_services {
            self.dynamic.transports.clone_from(&dynamic.transports);
            self.define_written(&dynamic.services, same_transports);
        }
        if only_routers {
            self.between.change_routers(&routers, &dynamic, &self.fixed);
        } else if !same_routing || !same_services || !same_tls {
            self.between = Between::new(&dynamic, &self.fixed);
        }
        self.pending.problems |= !same_routing || !same_services || !same_tls;
        self.dynamic = dynamic;
    }

    /// Replaces what one child offers.
    pub fn set_adverts(&mut self, child: ChildId, adverts: Vec<Advert>) {
        self.offers.set(child, adverts, &mut self.registry.services);
        self.pending.problems = true;
        if let Some(state) = self.children.get_mut(usize::from(child.0)) {
            state.dirty = true;
        }
    }

    /// How a child counts whose polls fail. See [`Freshness::of`].
    pub fn set_freshness(&mut self, child: ChildId, freshness: Freshness) {
        let Some(state) = self.children.get_mut(usize::from(child.0)) else { return };
        if std::mem::replace(&mut state.freshness, freshness) == freshness {
            return;
        }
        let services: Vec<ServiceId> = self.offers.of_child(child).map(|(_, id)| id).collect();
        for id in services {
            self.slots.touch(id);
            self.slots.touch_parents(id);
        }
    }

    /// The verdict of an active check. Nothing happens for a server that is gone.
    pub fn set_health(&mut self, server: ServerId, health: super::status::Health) {
        if let Some(service) = self.servers.set_health(server, health) {
            self.slots.touch(service);
        }
    }

    /// Takes a server out for failing too many requests, or back in.
    pub fn set_ejected(&mut self, server: ServerId, ejected: bool) {
        if let Some(service) = self.servers.set_ejected(server, ejected) {
            self.slots.touch(service);
        }
    }

    /// What resolving a host gave. Nothing happens for a host that nobody wants any more.
    pub fn set_addresses(&mut self, host: &str, addresses: Vec<std::net::IpAddr>) {
        if self.servers.set_addresses(host, addresses, &mut self.view.targets) {
            self.pending.changed = true;
        }
    }

    /// The service that a server belongs to.
    pub fn service_of(&self, server: ServerId) -> Option<ServiceId> {
        self.servers.service(server)
    }

    /// The words that show how polling a child goes.
    pub fn child_stats(&self, child: ChildId) -> Option<&Arc<ChildStats>> {
        self.children.get(usize::from(child.0)).map(|child| &child.stats)
    }

    /// The newest view.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The newest view under a new epoch, for what changed beside it.
    pub fn view_again(&mut self) -> View {
        self.view.epoch += 1;
        self.view.clone()
    }

    /// The next view, if anything that it shows has changed.
    pub fn build(&mut self) -> Option<Build> {
        self.define_offers();
        let judged = self.build_routing();
        self.refresh_guards();
        self.refresh_secure();
        while let Some(id) = self.slots.next_touched() {
            self.rebuild(id);
        }
        self.rotations.clear();
        self.refresh_routers(judged);
        self.refresh_children();
        self.refresh_problems();
        let probes = self.pending.probe_changes(&self.servers);
        let passives = self.pending.passive_changes(&self.servers);
        let names = self.servers.name_changes();
        let quiet = probes.is_empty() && passives.is_empty() && names.is_empty();
        let changed = std::mem::take(&mut self.pending.changed);
        let report = std::mem::take(&mut self.pending.report);
        if quiet && !changed && report.is_empty() {
            return None;
        }
        self.view.epoch += 1;
        let diagnostics = Arc::clone(&self.pending.diagnostics);
        let view = self.view.clone();
        Some(Build { view, diagnostics, probes, passives, names, report })
    }

    fn define_internal(&mut self) {
        let fixed = Arc::clone(&self.fixed);
        let offered = [
            (fixed.api.is_some(), "api@internal", Internal::Api),
            (
                fixed.api.as_ref().is_some_and(|api| api.dashboard),
                "dashboard@internal",
                Internal::Dashboard,
            ),
            (fixed.ping.is_some(), "ping@internal", Internal::Ping),
            (fixed.prometheus.is_some(), "prometheus@internal", Internal::Prometheus),
            (fixed.rest.is_some(), "rest@internal", Internal::Rest),
            (true, "noop@internal", Internal::Noop),
        ];
        for (_, name, internal) in offered.into_iter().filter(|(offered, ..)| *offered) {
            let name = name.into();
            let id = self.registry.hold_service(&name);
            self.define(id, &name, Definition::Internal(internal), Shape::Internal(internal), 0);
        }
    }

    fn child(&self, child: ChildId) -> Option<&Child> {
        self.children.get(usize::from(child.0))
    }

    fn entries(&self) -> usize {
        self.fixed.entry_points.len() + self.fixed.uplink_entry_points.len()
    }

    /// Names of entry points, ordinary ones first: by [`crate::base::id::EntryId`].
    fn entry_names(&self) -> Vec<Arc<str>> {
        let ordinary = self.fixed.entry_points.iter();
        ordinary.chain(&self.fixed.uplink_entry_points).map(|e| e.name.as_str().into()).collect()
    }
}

impl View {
    fn empty(fixed: Arc<Fixed>, clock: Arc<Clock>, key: SipKey) -> Self {
        Self {
            epoch: 0,
            fixed,
            entries: Vec::new(),
            services: Table::default(),
            targets: Table::default(),
            children: Vec::new(),
            model: Model::default(),
            status: Arc::default(),
            certificates: Arc::default(),
            clock,
            key,
            layers: Arc::default(),
            past: Past::default(),
        }
    }
}

/// Positions in a set of services, to be visited once each.
type Ids = BTreeSet<ServiceId>;
