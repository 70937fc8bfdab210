//! One router: where it is in effect, through what it goes, and what is wrong with it.

use super::Compiler;
use super::problems::Fault;
use super::routing::TableKey;
use super::slots::Shape;
use super::uplinks::UplinkState;
use crate::base::diag::Diagnostic;
use crate::base::id::ServiceId;
use crate::base::mutant::{Mutant, planted};
use crate::base::name::{normalised, split};
use crate::config::fixed::{EntryPoint, Fixed};
use crate::config::layers::Layers;
use crate::config::typed::{Aim, Middleware, MiddlewareKind, Place, Redirect, Router};
use crate::rule::Rule;
use crate::view::Step;
use crate::view::model::{Condition, RouterInfo};
use crate::view::registry::User;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RouterState {
    pub(super) name: Arc<str>,
    pub(super) definition: Arc<Router>,
    /// Held.
    pub(super) service: Option<ServiceId>,
    /// Where its routes are.
    pub(super) tables: Vec<TableKey>,
    /// Names of the middlewares that it goes through.
    pub(super) through: BTreeSet<String>,
    /// Names of entry points.
    pub(super) using: Vec<Arc<str>>,
    /// Whatever becomes of its service.
    condition: Condition,
    faults: Vec<Fault>,
    /// About its service, as of now.
    service_fault: Option<Fault>,
    pub(super) info: Arc<RouterInfo>,
}

impl RouterState {
    /// Takes over a definition that only stands elsewhere. False if something was told of it.
    pub(super) fn moves_to(&mut self, definition: &Arc<Router>) -> bool {
        if self.problems().next().is_some() {
            return false;
        }
        self.definition = Arc::clone(definition);
        let info = RouterInfo { definition: Arc::clone(definition), ..(*self.info).clone() };
        self.info = Arc::new(info);
        true
    }

    /// Entry points from which routers above lead here. With none it does not serve.
    pub(super) fn is_used_at(&mut self, entries: BTreeSet<Arc<str>>) {
        if entries.is_empty() && self.condition != Condition::Disabled {
            self.condition = Condition::Disabled;
            self.faults.push(Fault::silent("no router above it is in effect"));
        }
        self.using = entries.into_iter().collect();
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        self.faults.iter().chain(&self.service_fault).filter_map(|fault| fault.told.as_ref())
    }
}

/// Which routers were compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Anew {
    Nothing,
    Some(BTreeSet<Arc<str>>),
    All,
}

/// A router on its way into the tables.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) state: RouterState,
    /// Entry point, and uplink by position if it is one of uplinks.
    pub(super) mounts: Vec<(usize, Option<usize>)>,
    pub(super) to: To,
    /// By entry point, or `usize::MAX` for all those without middlewares of their own.
    pub(super) routes: BTreeMap<usize, Arc<[Step]>>,
}

/// Where requests go behind the middlewares of a router.
#[derive(Clone, Debug)]
pub(super) enum To {
    Service(ServiceId),
    /// To the routers under it.
    Layer,
    Broken(Arc<str>),
}

impl Compiler {
    pub(super) fn compile_router(
        &mut self,
        router: &Arc<Router>,
        clash: Option<&str>,
        layers: &Layers<'_>,
    ) -> Compiled {
        let mut found = Findings::of(router);
        if let Some(misplaced) = layers.misplaced(&router.name) {
            found.breaks(misplaced.text());
        }
        if let Some(clash) = clash {
            found.clashes(clash, router);
        }
        let anywhere = planted(Mutant::UplinkAnywhere);
        let mounts = if !router.parents.is_empty() {
            Vec::new()
        } else if router.uplinks.is_empty() || anywhere {
            self.ordinary_mounts(router, &mut found)
        } else {
            offered_mounts(router, &self.routing.uplinks, &mut found)
        };
        if mounts.is_empty() && router.parents.is_empty() && found.faults.is_empty() {
            found.nowhere(router);
        }
        for (entry, _) in &mounts {
            if let Some(why) = self.options_at(router, *entry).and_then(|it| self.why_not(&it)) {
                found.breaks(why);
                break;
            }
        }
        let service = (!router.service.is_empty()).then(|| self.hold_service(&router.service));
        let mut routes = BTreeMap::new();
        let mut through = BTreeSet::new();
        for (entry, _) in &mounts {
            let group = if self.entry(*entry).shapes_routes() { *entry } else { usize::MAX };
            let middle = &mut self.routing.middle;
            routes.entry(group).or_insert_with(|| {
                let unrolled = middle.steps(group, &router.middlewares);
                through.extend(unrolled.through.iter().cloned());
                unrolled.steps.unwrap_or_else(|why| {
                    found.breaks(why);
                    Arc::new([])
                })
            });
        }
        if !router.parents.is_empty() {
            let unrolled = self.routing.middle.steps(usize::MAX, &router.middlewares);
            through.extend(unrolled.through.iter().cloned());
            let steps = unrolled.steps.unwrap_or_else(|why| {
                found.breaks(why);
                Arc::new([])
            });
            routes.insert(usize::MAX, steps);
        }
        let under = layers.under(&router.name);
        if !under.is_empty() && under.iter().all(|child| child.rule.is_none()) {
            found.breaks("no router under it has a rule that can be read".into());
        }
        let is_broken = found.condition == Condition::Disabled;
        let to = match service {
            _ if is_broken => To::Broken(found.explanation(router).into()),
            Some(service) => To::Service(service),
            None => To::Layer,
        };
        let own = |(group, steps): (usize, Arc<[Step]>)| {
            let none = || Arc::new([]) as Arc<[Step]>;
            let user = User::Router(router.name.as_str().into());
            let steps = if is_broken { none() } else { self.own_breakers(steps, &user) };
            (group, steps)
        };
        let routes = routes.into_iter().map(own).collect();
        let names = self.entry_names();
        let entries: BTreeSet<usize> = mounts.iter().map(|(entry, _)| *entry).collect();
        let using = entries.into_iter().map(|entry| Arc::clone(&names[entry])).collect();
        Compiled { state: found.into_state(router, service, using, through), mounts, to, routes }
    }

    fn ordinary_mounts(
        &self,
        router: &Arc<Router>,
        found: &mut Findings,
    ) -> Vec<(usize, Option<usize>)> {
        if router.entry_points.is_empty() {
            return default_entries(&self.fixed).into_iter().map(|at| (at, None)).collect();
        }
        let mut mounts = Vec::new();
        for name in &router.entry_points {
            let is = |entry: &EntryPoint| entry.name == *name;
            if let Some(at) = self.fixed.entry_points.iter().position(is) {
                mounts.push((at, None));
            } else if self.fixed.uplink_entry_points.iter().any(is) {
                found.breaks(format!("{name} is an entry point of uplinks"));
            } else if self.fixed.refused_entry_points.contains(name) {
                found.lacks(format!("the entry point {name} is refused"));
            } else {
                found.lacks(format!("there is no entry point {name}"));
            }
        }
        mounts.sort_unstable();
        mounts.dedup();
        mounts
    }

    /// Brings what people see of routers up to date with their services.
    pub(super) fn refresh_routers(&mut self, anew: Anew) {
        let services = std::mem::take(&mut self.slots.conditions_changed);
        let mut changed = anew != Anew::Nothing;
        let mut names = match anew {
            Anew::Nothing => BTreeSet::new(),
            Anew::Some(names) => names,
            Anew::All => self.routing.routers.keys().cloned().collect(),
        };
        for id in services {
            names.extend(self.slots.get(id).routers.iter().cloned());
        }
        for name in names {
            let Some((info, fault)) = self.judge_router(&name) else { continue };
            let router = self.routing.routers.get_mut(&name).expect("just judged");
            if *router.info != info {
                router.info = Arc::new(info);
                changed = true;
            }
            self.pending.problems |= router.service_fault != fault;
            router.service_fault = fault;
            let told = router.problems().next().is_some();
            let told_of = &mut self.routing.with_problems;
            if told {
                told_of.insert(name);
            } else {
                told_of.remove(&name);
            }
        }
        if changed {
            self.view.model.routers =
                self.routing.routers.values().map(|router| Arc::clone(&router.info)).collect();
            self.pending.changed = true;
            self.refresh_adverts();
        }
    }

    fn judge_router(&self, name: &str) -> Option<(RouterInfo, Option<Fault>)> {
        let router = self.routing.routers.get(name)?;
        let mut info = RouterInfo {
            definition: Arc::clone(&router.definition),
            condition: router.condition,
            errors: router.faults.iter().map(|fault| fault.text.clone()).collect(),
            using: router.using.clone(),
        };
        let fault = router.service.and_then(|id| self.service_fault(id, &router.definition));
        if let Some(fault) = &fault {
            info.condition = Condition::Disabled;
            info.errors.push(fault.text.clone());
        }
        Some((info, fault))
    }

    fn service_fault(&self, id: ServiceId, router: &Router) -> Option<Fault> {
        let service = self.slots.get(id);
        if service.condition != Condition::Disabled {
            return None;
        }
        if !matches!(service.shape, Shape::Missing) {
            return Some(Fault::silent(format!("service {} cannot serve", service.name)));
        }
        Some(self.missing(id, field_path(router, "service"), &router.place))
    }

    /// Routers that the process brings along.
    pub(super) fn internal_routers(&self) -> Vec<Arc<Router>> {
        let fixed = &self.fixed;
        let mut routers = Vec::new();
        if let Some(ping) = fixed.ping.as_ref().filter(|ping| !ping.manual_routing) {
            routers.push(internal_router("ping", "/ping", &ping.entry_point, i64::MAX));
        }
        if let Some(metrics) = fixed.prometheus.as_ref().filter(|metrics| !metrics.manual_routing) {
            routers.push(internal_router("prometheus", "/metrics", &metrics.entry_point, i64::MAX));
        }
        if fixed.rest.is_some_and(|rest| rest.insecure) {
            routers.push(internal_router("rest", "/api/providers", "traefik", i64::MAX));
        }
        if let Some(api) = fixed.api.as_ref().filter(|api| api.insecure) {
            let base = api.base_path.trim_end_matches('/');
            routers.push(internal_router("api", &format!("{base}/api"), "traefik", i64::MAX - 1));
            routers.push(dashboard(base).filter(|_| api.dashboard));
        }
        let redirections = fixed.entry_points.iter().filter_map(redirection);
        routers.extend(redirections.map(|(router, _)| Some(Arc::new(router))));
        routers.into_iter().flatten().collect()
    }

    /// What routers of our own go through.
    pub(super) fn internal_middlewares(&self) -> impl Iterator<Item = Arc<Middleware>> {
        self.fixed.entry_points.iter().filter_map(redirection).map(|(_, own)| Arc::new(own))
    }
}

/// The router that sends everything of an entry point elsewhere, and what it does so with.
fn redirection(entry: &EntryPoint) -> Option<(Router, Middleware)> {
    let redirection = entry.redirection.as_ref()?;
    let to = redirection.to.trim_start_matches(':');
    let rule_text = "Host(`*`)".to_owned();
    let rule = Rule::parse(&rule_text).ok()?;
    let redirect = Redirect {
        aim: Aim::Scheme { scheme: redirection.scheme.clone(), port: Some(redirection.port) },
        permanent: redirection.permanent,
    };
    let middleware = Middleware {
        name: format!("redirect-{}-to-{to}@internal", entry.name),
        place: Place::default(),
        kind: MiddlewareKind::Redirect(redirect),
    };
    let router = Router {
        name: format!("{}-to-{to}@internal", entry.name),
        rule_text,
        rule: Some(Arc::new(rule)),
        priority: redirection.priority,
        entry_points: vec![entry.name.clone()],
        middlewares: vec![middleware.name.clone()],
        service: "noop@internal".to_owned(),
        ..Router::default()
    };
    Some((router, middleware))
}

/// The pages, and the way to them from the root.
fn dashboard(base: &str) -> Option<Arc<Router>> {
    let rule = format!("Path(`{base}/`) || PathPrefix(`{base}/dashboard`)");
    router_of("dashboard", rule, "traefik", i64::MAX - 2)
}

fn internal_router(name: &str, prefix: &str, entry: &str, priority: i64) -> Option<Arc<Router>> {
    router_of(name, format!("PathPrefix(`{prefix}`)"), entry, priority)
}

fn router_of(name: &str, rule_text: String, entry: &str, priority: i64) -> Option<Arc<Router>> {
    let rule = Rule::parse(&rule_text).ok()?;
    Some(Arc::new(Router {
        name: format!("{name}@internal"),
        rule_text,
        rule: Some(Arc::new(rule)),
        priority,
        entry_points: vec![entry.to_owned()],
        service: format!("{name}@internal"),
        ..Router::default()
    }))
}

/// Entry points of routers that name none: those marked as default, or all but the internal one.
pub(super) fn default_entries(fixed: &Fixed) -> Vec<usize> {
    let marked: Vec<usize> =
        (0..).zip(&fixed.entry_points).filter(|(_, e)| e.as_default).map(|(at, _)| at).collect();
    if !marked.is_empty() {
        return marked;
    }
    let is_public = |entry: &EntryPoint| entry.name != "traefik";
    (0..).zip(&fixed.entry_points).filter(|(_, e)| is_public(e)).map(|(at, _)| at).collect()
}

fn offered_mounts(
    router: &Arc<Router>,
    uplinks: &[UplinkState],
    found: &mut Findings,
) -> Vec<(usize, Option<usize>)> {
    if !router.entry_points.is_empty() && router.broken.is_empty() {
        found.breaks("a router that is offered through uplinks must not set entryPoints".into());
    }
    let mut mounts = Vec::new();
    for (position, name) in (0..).zip(&router.uplinks) {
        let key = normalised(name);
        match uplinks.iter().position(|uplink| uplink.key == key) {
            Some(at) if uplinks[at].works => {
                mounts.extend(uplinks[at].entries.iter().map(|entry| (*entry, Some(at))));
            }
            Some(_) => found.lacks_uplink(position, name, router),
            None => found.lacks(format!("there is no uplink {name}")),
        }
    }
    mounts.sort_unstable();
    mounts.dedup();
    mounts
}

/// `http.routers.<name>.<field>`.
fn field_path(router: &Router, field: &str) -> String {
    let name = split(&router.name).map_or(&*router.name, |(name, _)| name);
    format!("http.routers.{name}.{field}")
}

/// What is found out about a router while it is compiled.
struct Findings {
    condition: Condition,
    faults: Vec<Fault>,
}

impl Findings {
    fn of(router: &Router) -> Self {
        let mut found = Self { condition: Condition::Enabled, faults: Vec::new() };
        for error in &router.broken {
            found.breaks(error.clone());
        }
        if router.rule.is_none() && router.broken.is_empty() {
            found.breaks("it has no rule".into());
        }
        found
    }

    /// The router must not serve.
    fn breaks(&mut self, text: String) {
        self.condition = Condition::Disabled;
        self.faults.push(Fault::silent(text));
    }

    /// The router works without a part.
    fn lacks(&mut self, text: String) {
        self.condition = self.condition.max(Condition::Warning);
        self.faults.push(Fault::silent(text));
    }

    fn lacks_uplink(&mut self, position: usize, name: &str, router: &Router) {
        self.condition = self.condition.max(Condition::Warning);
        let path = field_path(router, &format!("uplinks[{position}]"));
        let text = format!("uplink {name} is not in effect");
        let problem = Diagnostic::warning("broken-uplink", path, text);
        self.faults.push(Fault::told(problem, &router.place));
    }

    fn clashes(&mut self, clash: &str, router: &Router) {
        self.condition = Condition::Disabled;
        let problem = Diagnostic::error("tls-clash", field_path(router, "tls"), clash);
        self.faults.push(Fault::told(problem, &router.place));
    }

    fn nowhere(&mut self, router: &Router) {
        self.condition = Condition::Disabled;
        let path = field_path(router, "entryPoints");
        let text = "there is no entry point where it could be in effect";
        let problem = Diagnostic::error("no-entry-point", path, text);
        self.faults.push(Fault::told(problem, &router.place));
    }

    /// For the operator who sees a 503.
    fn explanation(&self, router: &Router) -> String {
        let why = self.faults.first().map_or("it cannot serve", |fault| &fault.text);
        format!("router {}: {why}", router.name)
    }

    fn into_state(
        self,
        router: &Arc<Router>,
        service: Option<ServiceId>,
        using: Vec<Arc<str>>,
        through: BTreeSet<String>,
    ) -> RouterState {
        let nowhere = using.is_empty() && router.parents.is_empty();
        let condition = if nowhere { Condition::Disabled } else { self.condition };
        let info = RouterInfo {
            definition: Arc::clone(router),
            condition,
            errors: self.faults.iter().map(|fault| fault.text.clone()).collect(),
            using: using.clone(),
        };
        RouterState {
            name: router.name.as_str().into(),
            definition: Arc::clone(router),
            service,
            tables: Vec::new(),
            through,
            using,
            condition,
            faults: self.faults,
            service_fault: None,
            info: Arc::new(info),
        }
    }
}
