//! One router: where it is in effect, through what it goes, and what is wrong with it.

use super::Compiler;
use super::problems::at;
use super::slots::Shape;
use super::uplinks::UplinkState;
use crate::base::diag::Diagnostic;
use crate::base::id::ServiceId;
use crate::base::name::{MULTICLUSTER, normalised, split};
use crate::config::fixed::{EntryPoint, Fixed};
use crate::config::references::Middlewares;
use crate::config::typed::{MiddlewareKind, Place, Router};
use crate::rule::Rule;
use crate::view::model::{Condition, RouterInfo};
use crate::view::{Destination, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct RouterState {
    pub(super) name: Arc<str>,
    pub(super) definition: Arc<Router>,
    /// Held.
    pub(super) service: Option<ServiceId>,
    /// Names of entry points.
    using: Vec<Arc<str>>,
    /// Whatever becomes of its service.
    condition: Condition,
    errors: Vec<String>,
    problems: Vec<Diagnostic>,
    /// About its service, as of now.
    service_problem: Option<Diagnostic>,
    pub(super) info: Arc<RouterInfo>,
}

impl RouterState {
    pub(super) fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        self.problems.iter().chain(&self.service_problem)
    }
}

/// A router on its way into the tables.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) state: RouterState,
    /// Entry point, and uplink by position if it is one of uplinks.
    pub(super) mounts: Vec<(usize, Option<usize>)>,
    /// By entry point, or `usize::MAX` for all those without middlewares of their own.
    pub(super) routes: BTreeMap<usize, (Destination, Arc<[Step]>)>,
}

impl Compiler {
    pub(super) fn compile_router<'a>(
        &mut self,
        router: &'a Arc<Router>,
        uplinks: &[UplinkState],
        middle: &mut Middle<'a>,
    ) -> Compiled {
        let mut found = Findings::of(router);
        let mounts = if router.uplinks.is_empty() {
            self.ordinary_mounts(router, &mut found)
        } else {
            offered_mounts(router, uplinks, &mut found)
        };
        if mounts.is_empty() && found.errors.is_empty() {
            found.error("no-entry-point", "entryPoints", "it is in effect nowhere", router);
        }
        let service = (!router.service.is_empty()).then(|| self.hold_service(&router.service));
        let mut routes = BTreeMap::new();
        for (entry, _) in &mounts {
            let own = &self.entry(*entry).middlewares;
            let group = if own.is_empty() { usize::MAX } else { *entry };
            routes.entry(group).or_insert_with(|| {
                let steps = middle.steps(group, &router.middlewares, self.routing.routers.len());
                steps.unwrap_or_else(|why| {
                    found.error("unknown-middleware", "middlewares", &why, router);
                    Arc::new([])
                })
            });
        }
        let is_broken = found.condition == Condition::Disabled;
        let to = match service {
            Some(service) if !is_broken => Destination::Service(service),
            _ => Destination::Broken(found.explanation(router).into()),
        };
        let routes = routes
            .into_iter()
            .map(|(group, steps)| {
                (group, (to.clone(), if is_broken { Arc::new([]) as Arc<[Step]> } else { steps }))
            })
            .collect();
        let names = self.entry_names();
        let entries: BTreeSet<usize> = mounts.iter().map(|(entry, _)| *entry).collect();
        let using = entries.into_iter().map(|entry| Arc::clone(&names[entry])).collect();
        Compiled { state: found.into_state(router, service, using), mounts, routes }
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
        for (position, name) in (0..).zip(&router.entry_points) {
            let place = format!("entryPoints[{position}]");
            let is = |entry: &EntryPoint| entry.name == *name;
            if let Some(at) = self.fixed.entry_points.iter().position(is) {
                mounts.push((at, None));
            } else if self.fixed.uplink_entry_points.iter().any(is) {
                let text = format!("{name} is an entry point of uplinks");
                found.error("uplink-entry-point", &place, &text, router);
            } else if self.fixed.refused_entry_points.contains(name) {
                found.warning(
                    "refused-entry-point",
                    &place,
                    &format!("{name} does not serve"),
                    router,
                );
            } else {
                let names = self.fixed.entry_points.iter().map(|entry| &*entry.name);
                let near = crate::base::nearest::nearest(name, names);
                let text = format!("there is no entry point {name}");
                found.warning_with_help("unknown-entry-point", &place, &text, near, router);
            }
        }
        mounts.sort_unstable();
        mounts.dedup();
        mounts
    }

    /// Brings what people see of routers up to date with their services.
    pub(super) fn refresh_routers(&mut self, all: bool) {
        let services = std::mem::take(&mut self.slots.conditions_changed);
        let mut positions: BTreeSet<usize> = BTreeSet::new();
        for id in services {
            positions.extend(self.slots.get(id).routers.iter().map(|at| *at as usize));
        }
        if all {
            positions.extend(0..self.routing.routers.len());
        }
        if positions.is_empty() && !all {
            return;
        }
        for at in positions {
            let (info, problem) = self.judge_router(at);
            let router = &mut self.routing.routers[at];
            if *router.info != info {
                router.info = Arc::new(info);
            }
            self.pending.problems |= router.service_problem != problem;
            router.service_problem = problem;
        }
        self.view.model.routers =
            self.routing.routers.iter().map(|router| Arc::clone(&router.info)).collect();
        self.pending.changed = true;
        self.refresh_adverts();
    }

    fn judge_router(&self, position: usize) -> (RouterInfo, Option<Diagnostic>) {
        let router = &self.routing.routers[position];
        let mut info = RouterInfo {
            definition: Arc::clone(&router.definition),
            condition: router.condition,
            errors: router.errors.clone(),
            using: router.using.clone(),
        };
        let Some(service) = router.service.map(|id| self.slots.get(id)) else {
            return (info, None);
        };
        if service.condition != Condition::Disabled {
            return (info, None);
        }
        info.condition = Condition::Disabled;
        let is_missing = matches!(service.shape, Shape::Missing);
        let text = match (is_missing, split(&service.name)) {
            (true, Some((alias, MULTICLUSTER))) => match self.offers.clash(alias) {
                Some(clash) => format!("{} is not made: {clash}", service.name),
                None => format!("no child offers {}", service.name),
            },
            (true, _) => format!("service {} does not exist", service.name),
            (false, _) => format!("service {} cannot serve", service.name),
        };
        info.errors.push(text.clone());
        if !is_missing {
            return (info, None);
        }
        let path = field_path(&router.definition, "service");
        let is_offer = matches!(split(&service.name), Some((_, MULTICLUSTER)));
        let problem = if is_offer {
            Diagnostic::warning("not-offered", path, text)
        } else {
            self.suggest(Diagnostic::error("unknown-service", path, text), &service.name)
        };
        (info, Some(at(problem, &router.definition.place)))
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
        if let Some(api) = fixed.api.as_ref().filter(|api| api.insecure) {
            let path = format!("{}/api", api.base_path.trim_end_matches('/'));
            routers.push(internal_router("api", &path, "traefik", i64::MAX - 1));
        }
        routers.into_iter().flatten().collect()
    }
}

fn internal_router(name: &str, prefix: &str, entry: &str, priority: i64) -> Option<Arc<Router>> {
    let rule_text = format!("PathPrefix(`{prefix}`)");
    let rule = Rule::parse(&rule_text).ok()?;
    Some(Arc::new(Router {
        name: format!("{name}@internal"),
        place: Place::default(),
        rule_text,
        rule: Some(Arc::new(rule)),
        priority,
        entry_points: vec![entry.to_owned()],
        middlewares: Vec::new(),
        service: format!("{name}@internal"),
        uplinks: Vec::new(),
        broken: Vec::new(),
    }))
}

/// Entry points of routers that name none: those marked as default, or all but the internal one.
fn default_entries(fixed: &Fixed) -> Vec<usize> {
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
        let text = "a router that is offered through uplinks must not set entryPoints";
        found.error("uplink-router", "entryPoints", text, router);
    }
    let mut mounts = Vec::new();
    for (position, name) in (0..).zip(&router.uplinks) {
        let key = normalised(name);
        let place = format!("uplinks[{position}]");
        match uplinks.iter().position(|uplink| uplink.key == key) {
            Some(at) if uplinks[at].works => {
                mounts.extend(uplinks[at].entries.iter().map(|entry| (*entry, Some(at))));
            }
            Some(_) => {
                found.warning(
                    "broken-uplink",
                    &place,
                    &format!("uplink {name} is not in effect"),
                    router,
                );
            }
            None => {
                let names = uplinks.iter().map(|uplink| &*uplink.name);
                let near = crate::base::nearest::nearest(name, names);
                let text = format!("there is no uplink {name}");
                found.warning_with_help("unknown-uplink", &place, &text, near, router);
            }
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
    errors: Vec<String>,
    problems: Vec<Diagnostic>,
}

impl Findings {
    fn of(router: &Router) -> Self {
        let is_broken = !router.broken.is_empty() || router.rule.is_none();
        let condition = if is_broken { Condition::Disabled } else { Condition::Enabled };
        let mut errors = router.broken.clone();
        if router.service.is_empty() && errors.is_empty() {
            errors.push("it names no service".into());
        }
        let condition = if errors.is_empty() { condition } else { Condition::Disabled };
        Self { condition, errors, problems: Vec::new() }
    }

    fn error(&mut self, code: &'static str, field: &str, text: &str, router: &Router) {
        self.condition = Condition::Disabled;
        self.errors.push(text.to_owned());
        let problem = Diagnostic::error(code, field_path(router, field), text);
        self.problems.push(at(problem, &router.place));
    }

    fn warning(&mut self, code: &'static str, field: &str, text: &str, router: &Router) {
        self.warning_with_help(code, field, text, None, router);
    }

    /// An error about a part: the router works without it.
    fn warning_with_help(
        &mut self,
        code: &'static str,
        field: &str,
        text: &str,
        near: Option<&str>,
        router: &Router,
    ) {
        self.condition = self.condition.max(Condition::Warning);
        self.errors.push(text.to_owned());
        let mut problem = Diagnostic::error(code, field_path(router, field), text);
        if let Some(near) = near {
            problem = problem.help(format!("did you mean {near}?"));
        }
        self.problems.push(at(problem, &router.place));
    }

    /// For the operator who sees a 503.
    fn explanation(&self, router: &Router) -> String {
        let why = self.errors.first().map_or("it cannot serve", String::as_str);
        format!("router {}: {why}", router.name)
    }

    fn into_state(
        self,
        router: &Arc<Router>,
        service: Option<ServiceId>,
        using: Vec<Arc<str>>,
    ) -> RouterState {
        let condition = if using.is_empty() { Condition::Disabled } else { self.condition };
        let info = RouterInfo {
            definition: Arc::clone(router),
            condition,
            errors: self.errors.clone(),
            using: using.clone(),
        };
        RouterState {
            name: router.name.as_str().into(),
            definition: Arc::clone(router),
            service,
            using,
            condition,
            errors: self.errors,
            problems: self.problems,
            service_problem: None,
            info: Arc::new(info),
        }
    }
}

/// Chains of middlewares, unrolled once for all routers that name the same.
pub(super) struct Middle<'a> {
    middlewares: Middlewares<'a>,
    /// By entry point, those with middlewares of their own.
    of_entries: BTreeMap<usize, Result<Vec<Step>, String>>,
    unrolled: BTreeMap<(usize, &'a [String]), Unrolled<'a>>,
    used_by: BTreeMap<String, BTreeSet<usize>>,
    entry_names: BTreeMap<usize, BTreeSet<String>>,
}

type Unrolled<'a> = (Result<Arc<[Step]>, String>, BTreeSet<&'a str>);

impl<'a> Middle<'a> {
    pub(super) fn new(middlewares: Middlewares<'a>, fixed: &Fixed) -> Self {
        let entries = fixed.entry_points.iter().chain(&fixed.uplink_entry_points);
        let (mut of_entries, mut entry_names) = (BTreeMap::new(), BTreeMap::new());
        for (at, entry) in (0..).zip(entries).filter(|(_, entry)| !entry.middlewares.is_empty()) {
            let mut through = BTreeSet::new();
            let list = middlewares.unroll(&entry.middlewares, &mut through);
            let steps = list.map(|list| list.into_iter().filter_map(step).collect());
            let steps = steps.map_err(|why| format!("entry point {}: {why}", entry.name));
            of_entries.insert(at, steps);
            let through = through.into_iter().map(str::to_owned).collect();
            entry_names.insert(at, through);
        }
        let (unrolled, used_by) = (BTreeMap::new(), BTreeMap::new());
        Self { middlewares, of_entries, unrolled, used_by, entry_names }
    }

    /// The steps of a router at `position` that names these middlewares, on one entry point.
    fn steps(
        &mut self,
        entry: usize,
        names: &'a [String],
        position: usize,
    ) -> Result<Arc<[Step]>, String> {
        if !self.unrolled.contains_key(&(entry, names)) {
            let unrolled = self.unroll(entry, names);
            self.unrolled.insert((entry, names), unrolled);
        }
        let (steps, through) = &self.unrolled[&(entry, names)];
        let of_entry = self.entry_names.get(&entry).into_iter().flatten().map(String::as_str);
        for name in through.iter().copied().chain(of_entry) {
            self.used_by.entry(name.to_owned()).or_default().insert(position);
        }
        steps.clone()
    }

    fn unroll(&self, entry: usize, names: &'a [String]) -> Unrolled<'a> {
        let mut through = BTreeSet::new();
        let own = self.middlewares.unroll(names, &mut through);
        let before = self.of_entries.get(&entry).cloned().unwrap_or(Ok(Vec::new()));
        let steps = before.and_then(|mut steps| {
            steps.extend(own?.into_iter().filter_map(step));
            Ok(steps.into())
        });
        (steps, through)
    }

    /// Middlewares with the positions of the routers that name them.
    pub(super) fn into_used_by(self) -> BTreeMap<String, BTreeSet<usize>> {
        self.used_by
    }
}

fn step(middleware: &Arc<crate::config::typed::Middleware>) -> Option<Step> {
    match &middleware.kind {
        MiddlewareKind::StripPrefix { prefixes } => Some(Step::StripPrefix(prefixes.clone())),
        MiddlewareKind::AddPrefix { prefix } => Some(Step::AddPrefix(prefix.clone())),
        MiddlewareKind::Headers(edit) => Some(Step::Headers(Arc::new(edit.clone()))),
        MiddlewareKind::Chain(_) | MiddlewareKind::Broken(_) => None,
    }
}
