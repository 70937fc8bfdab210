//! Routers, made into the tables of the entry points.
//!
//! Which service a route goes to, and through which middlewares, is settled here once per
//! configuration. Whether that service exists may change any time: the routes then stay, and only
//! what people see of the router changes. Where only a few routers changed, only they are compiled
//! and put into copies of the tables, which share the rest.

use super::Compiler;
use super::claims::Claims;
use super::middle::Middle;
use super::routers::{Anew, Compiled, RouterState, To};
use super::uplinks::UplinkState;
use crate::base::diag::Diagnostic;
use crate::base::id::EntryId;
use crate::config::fixed::{EntryPoint, Observed};
use crate::config::layers::Layers;
use crate::config::typed::{Middleware, Router};
use crate::view::model::{Condition, MiddlewareInfo};
use crate::view::{Destination, EntryView, Offer, Route, RouteTable, Step, UplinkRoutes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Routing {
    pub(super) routers: BTreeMap<Arc<str>, RouterState>,
    pub(super) uplinks: Vec<UplinkState>,
    /// About uplinks that nobody serves.
    pub(super) idle: Vec<Diagnostic>,
    pub(super) middle: Middle,
    tables: BTreeMap<TableKey, Arc<RouteTable>>,
    /// By middleware: the routers that go through it.
    used_by: BTreeMap<String, BTreeSet<Arc<str>>>,
    /// Routers with something to tell.
    pub(super) with_problems: BTreeSet<Arc<str>>,
    /// Names of routes under others.
    ways: BTreeSet<Arc<str>>,
}

impl Routing {
    /// Whether a router goes through a middleware.
    pub(super) fn uses(&self, middleware: &str, router: &str) -> bool {
        self.used_by.get(middleware).is_some_and(|users| users.contains(router))
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        let routers = self.with_problems.iter().filter_map(|name| self.routers.get(name));
        self.idle.iter().chain(routers.flat_map(RouterState::problems))
    }
}

/// Routers under routers, on their way into the view.
#[derive(Debug, Default)]
struct Under {
    children: BTreeMap<Arc<str>, Child>,
    tables: Vec<Arc<RouteTable>>,
    /// How many routes they are.
    ways: usize,
}

/// A router under others, compiled as far as it is the same under all.
#[derive(Clone, Debug)]
struct Child {
    router: Arc<Router>,
    to: To,
    steps: Arc<[Step]>,
}

/// How a request comes to a router: the names on the way, and all steps up to behind it.
#[derive(Debug)]
struct Way {
    name: Arc<str>,
    steps: Arc<[Step]>,
    options: Arc<str>,
    observed: Observed,
}

/// Routes of routers under routers, each way counted: those with many parents are many.
const WAYS_MAX: usize = 65_536;

/// Entry point, uplink by position if it is one of uplinks, and side.
pub(super) type TableKey = (usize, Option<usize>, Side);

/// Which connections a table is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Side {
    Clear,
    Tls,
}

impl Compiler {
    /// Compiles what changed since, and says which routers that were.
    pub(super) fn build_routing(&mut self) -> Anew {
        let names = std::mem::take(&mut self.pending.routers);
        let moved = std::mem::take(&mut self.pending.moved);
        if !std::mem::take(&mut self.pending.routing) {
            if names.is_empty() {
                return if moved { Anew::Some(names) } else { Anew::Nothing };
            }
            if self.update_routers(&names) {
                return Anew::Some(names);
            }
        }
        self.build_all_routers();
        Anew::All
    }

    fn build_all_routers(&mut self) {
        let mut routers = self.dynamic.routers.clone();
        routers.extend(self.internal_routers());
        routers.sort_by(|a, b| a.name.cmp(&b.name));
        let middlewares = self.all_middlewares();
        let asked = std::mem::take(&mut self.asked);
        let pages = std::mem::take(&mut self.pages);
        let steps = self.steps(&middlewares);
        let uplinks = self.resolve_uplinks(&self.dynamic.uplinks);
        let before = std::mem::take(&mut self.routing);
        self.routing.middle = Middle::new(&middlewares, steps, &self.fixed);
        self.build_guards(true);
        self.routing.uplinks = uplinks;
        for service in before.routers.values().filter_map(|router| router.service) {
            self.slots.get_mut(service).routers.clear();
        }
        self.claim_all(&routers);
        let clashes = self.secure.claims.clashes();
        let layers = Layers::new(&routers);
        let mut under = Under::default();
        // Those under others first: they have no table of their own.
        let is_root = |router: &&Arc<Router>| router.parents.is_empty();
        let (roots, children): (Vec<_>, Vec<_>) = routers.iter().partition(is_root);
        for router in children.into_iter().chain(roots) {
            let clash = clashes.get(router.name.as_str()).map(String::as_str);
            self.add_router(router, clash, &layers, &mut under);
        }
        self.forget_breakers();
        self.spread_entry_points(&routers);
        self.forget_ways(&before.ways);
        self.view.layers = under.tables.into();
        self.show_middlewares(&middlewares, None);
        self.routing.middle.forget_lists();
        for (name, router) in before.routers {
            self.release_router(&name, &router);
        }
        asked.into_iter().for_each(|target| self.release_target(target));
        for service in pages {
            self.slots.get_mut(service).pages -= 1;
            self.release_service(service);
        }
        self.view.entries = self.entry_views();
        self.secure.dirty = true;
        self.pending.changed = true;
        self.pending.problems = true;
    }

    /// False if that is not enough, because routers disagree about TLS.
    fn update_routers(&mut self, names: &BTreeSet<Arc<str>>) -> bool {
        let mut new = Vec::new();
        for name in names {
            let found = self.dynamic.routers.binary_search_by(|it| (*it.name).cmp(name));
            new.extend(found.ok().map(|at| Arc::clone(&self.dynamic.routers[at])));
        }
        if !self.claim_anew(names, &new) {
            return false;
        }
        let mut touched = BTreeSet::new();
        let mut before = Vec::new();
        for name in names {
            let Some(state) = self.routing.routers.remove(name) else { continue };
            self.routing.with_problems.remove(name);
            for key in &state.tables {
                if let Some(table) = self.routing.tables.get_mut(key) {
                    Arc::make_mut(table).take(name);
                }
            }
            for middleware in &state.through {
                if let Some(users) = self.routing.used_by.get_mut(middleware) {
                    users.remove(name);
                }
            }
            if let Some(service) = state.service {
                self.slots.get_mut(service).routers.remove(name);
            }
            touched.extend(state.through.iter().cloned());
            before.push((Arc::clone(name), state));
        }
        let (layers, mut under) = (Layers::default(), Under::default());
        for router in &new {
            self.add_router(router, None, &layers, &mut under);
            touched.extend(self.routing.routers[router.name.as_str()].through.iter().cloned());
        }
        self.routing.middle.forget_lists();
        if !touched.is_empty() {
            self.forget_breakers();
            self.show_middlewares(&self.all_middlewares(), Some(&touched));
        }
        for (name, router) in before {
            self.release_router(&name, &router);
        }
        self.routing.tables.retain(|_, table| !table.is_empty());
        self.view.entries = self.entry_views();
        self.pending.changed = true;
        self.pending.problems = true;
        true
    }

    /// Sorted by name.
    /// Only services changed, or their middlewares were looked at with those of routers.
    pub(super) fn refresh_guards(&mut self) {
        let seen = self.build_guards(false);
        if !seen.is_empty() {
            self.routing.middle.forget_lists();
            self.forget_breakers();
            self.show_middlewares(&self.all_middlewares(), Some(&seen));
            self.pending.changed = true;
        }
    }

    fn all_middlewares(&self) -> Vec<Arc<Middleware>> {
        let mut all = self.dynamic.middlewares.clone();
        all.extend(self.internal_middlewares());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn add_router(
        &mut self,
        router: &Arc<Router>,
        clash: Option<&str>,
        layers: &Layers<'_>,
        under: &mut Under,
    ) {
        let mut compiled = self.compile_router(router, clash, layers);
        self.mount(router, &mut compiled, layers, under);
        let state = compiled.state;
        if let Some(service) = state.service {
            self.slots.get_mut(service).routers.insert(Arc::clone(&state.name));
            self.slots.touch(service);
        }
        for middleware in &state.through {
            let users = self.routing.used_by.entry(middleware.clone()).or_default();
            users.insert(Arc::clone(&state.name));
        }
        if !router.parents.is_empty() {
            let steps = compiled.routes.remove(&usize::MAX).unwrap_or_else(|| Arc::new([]));
            let child = Child { router: Arc::clone(router), to: compiled.to, steps };
            under.children.insert(Arc::clone(&state.name), child);
        }
        self.routing.routers.insert(Arc::clone(&state.name), state);
    }

    /// Ends what a router from before held.
    fn release_router(&mut self, name: &str, router: &RouterState) {
        if !self.routing.routers.contains_key(name) {
            self.registry.forget_router(name);
        }
        let Some(service) = router.service else { return };
        self.slots.touch(service);
        self.release_service(service);
    }

    fn mount(
        &mut self,
        router: &Arc<Router>,
        compiled: &mut Compiled,
        layers: &Layers<'_>,
        under: &mut Under,
    ) {
        let Some(rule) = &router.rule else { return };
        let mut made: BTreeMap<(usize, Option<Arc<str>>), Arc<Route>> = BTreeMap::new();
        for (entry, uplink) in std::mem::take(&mut compiled.mounts) {
            // Entry points that ask for nothing of their own share one route.
            let group = if self.entry(entry).shapes_routes() { entry } else { usize::MAX };
            let options = self.options_at(router, entry);
            let side = if options.is_some() { Side::Tls } else { Side::Clear };
            let key = (group, options.clone());
            if !made.contains_key(&key) {
                let name = Arc::clone(&compiled.state.name);
                let steps = Arc::clone(&compiled.routes[&group]);
                let observed = router.observability.over(self.entry(entry).observed);
                let options = options.unwrap_or_default();
                let place = Way { name, steps, options, observed };
                let route = self.route(router, &compiled.to, &place, layers, under);
                made.insert(key.clone(), Arc::new(route));
            }
            let table = self.routing.tables.entry((entry, uplink, side)).or_default();
            Arc::make_mut(table).put(Arc::clone(rule), Arc::clone(&made[&key]));
            compiled.state.tables.push((entry, uplink, side));
        }
    }

    /// The route of a router behind a way through others, and with it those under it.
    fn route(
        &mut self,
        router: &Router,
        to: &To,
        way: &Way,
        layers: &Layers<'_>,
        under: &mut Under,
    ) -> Route {
        let to = match to {
            To::Service(service) => Destination::Service(*service),
            To::Broken(why) => Destination::Broken(Arc::clone(why)),
            To::Layer => match self.layer(router, way, layers, under) {
                Ok(layer) => Destination::Layer(layer),
                Err(why) => Destination::Broken(why),
            },
        };
        Route {
            name: Arc::clone(&way.name),
            priority: router.priority,
            rank: router.rank,
            to,
            steps: Arc::clone(&way.steps),
            internal: way.name.ends_with("@internal") || router.service.ends_with("@internal"),
            stats: self.registry.router(&way.name),
            options: Arc::clone(&way.options),
            observed: way.observed,
        }
    }

    /// The table of the routers under one, and its number.
    fn layer(
        &mut self,
        router: &Router,
        way: &Way,
        layers: &Layers<'_>,
        under: &mut Under,
    ) -> Result<u32, Arc<str>> {
        let mut table = RouteTable::default();
        for child in layers.under(&router.name) {
            let Some(Child { router: child, to, steps }) =
                under.children.get(&*child.name).cloned()
            else {
                continue;
            };
            let Some(rule) = &child.rule else { continue };
            if under.ways == WAYS_MAX {
                return Err("there are too many ways through routers under routers".into());
            }
            under.ways += 1;
            let name: Arc<str> = format!("{} -> {}", way.name, child.name).into();
            self.routing.ways.insert(Arc::clone(&name));
            let steps = way.steps.iter().chain(steps.iter()).cloned().collect();
            let options = Arc::clone(&way.options);
            let behind = Way { name, steps, options, observed: way.observed };
            let route = self.route(&child, &to, &behind, layers, under);
            table.put(Arc::clone(rule), Arc::new(route));
        }
        under.tables.push(Arc::new(table));
        let layer = u32::try_from(under.tables.len() - 1);
        layer.map_err(|_| "there are too many routers under routers".into())
    }

    /// Routers under others are in effect where the outermost are.
    fn spread_entry_points(&mut self, routers: &[Arc<Router>]) {
        for router in routers.iter().filter(|router| !router.parents.is_empty()) {
            let (mut using, mut seen) = (BTreeSet::new(), BTreeSet::new());
            let mut above: Vec<Arc<str>> = vec![router.name.as_str().into()];
            while let Some(name) = above.pop() {
                let Some(state) = self.routing.routers.get(&name) else { continue };
                using.extend(state.using.iter().cloned());
                if seen.insert(name) {
                    above.extend(state.definition.parents.iter().map(|it| Arc::from(it.as_str())));
                }
            }
            if let Some(state) = self.routing.routers.get_mut(router.name.as_str()) {
                state.is_used_at(using);
            }
        }
    }

    /// Forgets the figures of ways through routers that are no more.
    fn forget_ways(&mut self, before: &BTreeSet<Arc<str>>) {
        for way in before.difference(&self.routing.ways) {
            self.registry.forget_router(way);
        }
    }

    fn claim_all(&mut self, routers: &[Arc<Router>]) {
        let mut claims = Claims::default();
        for at in (0..self.entries()).filter(|at| self.entry(*at).tls.is_some()) {
            claims.open(at);
        }
        for router in routers {
            claims.add(router, &self.wishes(router));
        }
        self.secure.claims = claims;
    }

    /// Carries over what these routers claim now. False if somebody disagrees, or did.
    fn claim_anew(&mut self, names: &BTreeSet<Arc<str>>, new: &[Arc<Router>]) -> bool {
        let mut disputed = self.secure.claims.is_disputed();
        let tls: Vec<bool> = (0..self.entries()).map(|at| self.entry(at).tls.is_some()).collect();
        let old = names.iter().filter_map(|name| self.routing.routers.get(name));
        let old: Vec<Arc<Router>> = old.map(|state| Arc::clone(&state.definition)).collect();
        for router in &old {
            let wishes = self.wishes(router);
            self.secure.dirty |= !wishes.is_empty();
            self.secure.claims.remove(router, &wishes, |at| tls[at]);
        }
        for router in new {
            let wishes = self.wishes(router);
            self.secure.dirty |= !wishes.is_empty();
            self.secure.claims.add(router, &wishes);
        }
        disputed |= self.secure.claims.is_disputed();
        !disputed
    }

    fn entry_views(&self) -> Vec<Arc<EntryView>> {
        let ordinary = self.fixed.entry_points.len();
        let mut views = Vec::new();
        for at in 0..self.entries() {
            let settings = self.entry(at);
            let table = |uplink: Option<usize>, side: Side| {
                self.routing.tables.get(&(at, uplink, side)).cloned()
            };
            let offer = if at < ordinary {
                Offer::Routes(table(None, Side::Clear).unwrap_or_default())
            } else {
                let side = if settings.tls.is_some() { Side::Tls } else { Side::Clear };
                let mut uplinks: Vec<UplinkRoutes> = Vec::new();
                for (number, uplink) in (0..).zip(&self.routing.uplinks) {
                    let Some(routes) = table(Some(number), side) else { continue };
                    uplinks.push(UplinkRoutes { name: Arc::clone(&uplink.name), routes });
                }
                uplinks.sort_by(|a, b| a.name.cmp(&b.name));
                Offer::Uplinks { uplinks, advert: self.advertised(at) }
            };
            let routes = table(None, Side::Tls).unwrap_or_default();
            views.push(Arc::new(EntryView {
                id: EntryId(u16::try_from(at).expect("entry points are numbered by 16 bits")),
                settings: Arc::new(settings.clone()),
                stats: Arc::clone(&self.entry_stats[at]),
                offer,
                secure: self.secure_side(at, routes),
            }));
        }
        views
    }

    pub(super) fn entry(&self, at: usize) -> &EntryPoint {
        let ordinary = self.fixed.entry_points.len();
        let of_uplinks = || &self.fixed.uplink_entry_points[at - ordinary];
        self.fixed.entry_points.get(at).unwrap_or_else(of_uplinks)
    }

    /// Those that are `touched`, or all.
    fn show_middlewares(&mut self, all: &[Arc<Middleware>], touched: Option<&BTreeSet<String>>) {
        let old = Arc::clone(&self.view.model.middlewares);
        let mut infos = Vec::with_capacity(all.len());
        for (at, definition) in (0..).zip(all) {
            if let Some(touched) = touched
                && !touched.contains(&definition.name)
                && let Some(same) = old.get(at)
            {
                infos.push(Arc::clone(same));
                continue;
            }
            let name = [definition.name.clone()];
            let result = self.routing.middle.middlewares.unroll(&name, &mut BTreeSet::new());
            let errors: Vec<String> = result.err().into_iter().collect();
            let routers = self.routing.used_by.get(&*definition.name).into_iter().flatten();
            let services = self.guards.users(&definition.name);
            let users: BTreeSet<&Arc<str>> = routers.chain(services).collect();
            infos.push(Arc::new(MiddlewareInfo {
                definition: Arc::clone(definition),
                condition: if errors.is_empty() { Condition::Enabled } else { Condition::Disabled },
                errors,
                breakers: self.registry.breakers_of(&definition.name),
                used_by: users.into_iter().cloned().collect(),
            }));
        }
        self.view.model.middlewares = infos.into();
    }
}
