//! Routers, made into the tables of the entry points.
//!
//! Which service a route goes to, and through which middlewares, is settled here once per
//! configuration. Whether that service exists may change any time: the routes then stay, and only
//! what people see of the router changes.

use super::Compiler;
use super::routers::{Compiled, Middle, RouterState};
use super::uplinks::UplinkState;
use crate::base::diag::Diagnostic;
use crate::base::id::EntryId;
use crate::config::fixed::EntryPoint;
use crate::config::references::Middlewares;
use crate::config::typed::{Dynamic, Router};
use crate::rule::Rule;
use crate::view::model::{Condition, MiddlewareInfo};
use crate::view::{EntryView, Offer, Route, RouteTable, UplinkRoutes};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Routing {
    /// Sorted by name.
    pub(super) routers: Vec<RouterState>,
    pub(super) uplinks: Vec<UplinkState>,
    /// About uplinks that nobody serves.
    pub(super) idle: Vec<Diagnostic>,
}

impl Routing {
    pub(super) fn name(&self, at: u32) -> Option<Arc<str>> {
        self.routers.get(at as usize).map(|router| Arc::clone(&router.name))
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        let of_routers = self.routers.iter().flat_map(RouterState::problems);
        self.idle.iter().chain(of_routers)
    }
}

/// Rules and routes of one table, in any order.
type Routes = Vec<(Arc<Rule>, Arc<Route>)>;

/// Tables by entry point, uplink by position if it is one of uplinks, and side.
type Tables = BTreeMap<(usize, Option<usize>, Side), Routes>;

/// Which connections a table is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Side {
    Clear,
    Tls,
}

impl Compiler {
    pub(super) fn build_routing(&mut self) {
        let mut dynamic = self.dynamic.clone();
        dynamic.middlewares.extend(self.internal_middlewares());
        dynamic.middlewares.sort_by(|a, b| a.name.cmp(&b.name));
        let mut routers = dynamic.routers.clone();
        routers.extend(self.internal_routers());
        routers.sort_by(|a, b| a.name.cmp(&b.name));
        let uplinks = self.resolve_uplinks(&dynamic.uplinks);
        let steps = self.steps(&dynamic.middlewares);
        let mut middle = Middle::new(Middlewares::new(&dynamic.middlewares), steps, &self.fixed);
        let before = std::mem::take(&mut self.routing);
        let clashes = self.claim_hosts(&routers);
        let mut tables = Tables::new();
        for router in &routers {
            let clash = clashes.get(&*router.name).map(String::as_str);
            let compiled = self.compile_router(router, &uplinks, clash, &mut middle);
            let at =
                u32::try_from(self.routing.routers.len()).expect("fewer than memory has bytes");
            if let Some(service) = compiled.state.service {
                self.slots.get_mut(service).routers.push(at);
                self.slots.touch(service);
            }
            self.mount(router, &compiled, &mut tables);
            self.routing.routers.push(compiled.state);
        }
        self.show_middlewares(&dynamic, middle);
        self.routing.uplinks = uplinks;
        self.release_routers(before);
        let names: BTreeSet<&str> = self.routing.routers.iter().map(|r| &*r.name).collect();
        self.registry.keep_routers(|name| names.contains(name));
        self.view.entries = self.entry_views(tables);
        self.secure.dirty = true;
        self.pending.changed = true;
        self.pending.problems = true;
    }

    /// Ends the holds of the routers before, and takes their positions off the services.
    fn release_routers(&mut self, before: Routing) {
        for (at, router) in (0u32..).zip(before.routers) {
            let Some(service) = router.service else { continue };
            let slot = self.slots.get_mut(service);
            if let Some(found) = slot.routers.iter().position(|position| *position == at) {
                slot.routers.remove(found);
            }
            self.slots.touch(service);
            self.release_service(service);
        }
    }

    fn mount(&mut self, router: &Router, compiled: &Compiled, tables: &mut Tables) {
        let Some(rule) = &router.rule else { return };
        let mut made: BTreeMap<(usize, Option<Arc<str>>), Arc<Route>> = BTreeMap::new();
        for &(entry, uplink) in &compiled.mounts {
            // Entry points that ask for nothing of their own share one route.
            let group = if self.entry(entry).shapes_routes() { entry } else { usize::MAX };
            let options = self.options_at(router, entry);
            let side = if options.is_some() { Side::Tls } else { Side::Clear };
            let route = made.entry((group, options.clone())).or_insert_with(|| {
                let name = Arc::clone(&compiled.state.name);
                let (to, steps) = compiled.routes[&group].clone();
                Arc::new(Route {
                    priority: router.priority,
                    to,
                    steps,
                    internal: name.ends_with("@internal") || router.service.ends_with("@internal"),
                    stats: self.registry.router(&name),
                    name,
                    options: options.unwrap_or_default(),
                })
            });
            let table = tables.entry((entry, uplink, side)).or_default();
            table.push((Arc::clone(rule), Arc::clone(route)));
        }
    }

    fn entry_views(&self, mut tables: Tables) -> Vec<Arc<EntryView>> {
        let ordinary = self.fixed.entry_points.len();
        let mut views = Vec::new();
        for at in 0..self.entries() {
            let settings = self.entry(at);
            let mut table = |uplink: Option<usize>, side: Side| {
                tables.remove(&(at, uplink, side)).map(|routes| Arc::new(RouteTable::new(routes)))
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

    fn show_middlewares(&mut self, dynamic: &Dynamic, middle: Middle<'_>) {
        let used_by = middle.into_used_by();
        let middlewares = Middlewares::new(&dynamic.middlewares);
        let mut infos = Vec::new();
        for definition in &dynamic.middlewares {
            let name = [definition.name.clone()];
            let result = middlewares.unroll(&name, &mut BTreeSet::new());
            let errors: Vec<String> = result.err().into_iter().collect();
            let names = used_by.get(&*definition.name).into_iter().flatten();
            infos.push(Arc::new(MiddlewareInfo {
                definition: Arc::clone(definition),
                condition: if errors.is_empty() { Condition::Enabled } else { Condition::Disabled },
                errors,
                used_by: names.map(|at| Arc::clone(&self.routing.routers[*at].name)).collect(),
            }));
        }
        self.view.model.middlewares = infos.into();
    }

    /// What a new configuration means for the routers.
    pub(super) fn report_routing(&mut self, new: &Dynamic) {
        let named: BTreeMap<&str, &Arc<Router>> =
            new.routers.iter().map(|router| (&*router.name, router)).collect();
        let (mut kept, mut changed) = (0u32, 0u32);
        for old in &self.dynamic.routers {
            match named.get(&*old.name) {
                Some(new) if alike(old, new) => kept += 1,
                Some(_) => changed += 1,
                None => {
                    let text = format!("dropped: figures of router {}: it is gone", old.name);
                    self.pending.report.push(text);
                }
            }
        }
        if kept + changed > 0 {
            let text = format!("kept: figures of all routers; {changed} changed, {kept} did not");
            self.pending.report.push(text);
        }
    }
}

/// Whether two definitions mean the same, wherever they stand.
fn alike(a: &Router, b: &Router) -> bool {
    let parts =
        |router: &Router| (router.rule_text.clone(), router.priority, router.entry_points.clone());
    parts(a) == parts(b)
        && a.tls == b.tls
        && (&a.middlewares, &a.service, &a.uplinks) == (&b.middlewares, &b.service, &b.uplinks)
}
