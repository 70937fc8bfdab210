//! What is wrong between definitions: names that lead nowhere, services and chains that lead back
//! to themselves, entry points that are not there. Children are not asked, so what they offer is
//! taken on trust.

use super::dynamic::{DYNAMIC_ROOTS, STATIC_ROOTS, Setting, dynamic_in};
use super::fixed::{EntryPoint, Fixed, Provider};
use super::layers::{Layers, Misplaced};
use super::references::{self, Middlewares, Place};
use super::template::Environment;
use super::tls::{DEFAULT, Demand, Trust};
use super::typed::{self, Dynamic, Router, Service, ServiceKind, Uplink};
use super::{document, fixed_from_file};
use crate::base::diag::Diagnostic;
use crate::base::name::{MULTICLUSTER, normalised, own, split};
use crate::base::nearest::nearest;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::sync::Arc;

/// Services that the process offers itself.
const INTERNAL: [&str; 6] = [
    "api@internal",
    "dashboard@internal",
    "noop@internal",
    "ping@internal",
    "prometheus@internal",
    "rest@internal",
];

const HTTP: &str = Provider::Http.name();
const REST: &str = Provider::Rest.name();

const SUGGESTIONS_MAX: usize = 50;

/// Every problem of a set of documents, static and dynamic ones alike: each is read as what its
/// root keys say. Without a static document among them nothing is said about entry points.
pub fn check(files: &[(&str, &str)]) -> Vec<Diagnostic> {
    check_in(files, &Environment::default())
}

/// As [`check`], with an environment for templates.
pub fn check_in(files: &[(&str, &str)], environment: &Environment) -> Vec<Diagnostic> {
    let (mut problems, mut world, mut dynamic_files) = (Vec::new(), None, Vec::new());
    for (path, text) in files {
        let part = part(path, text);
        if part != Part::Dynamic {
            let (fixed, found) = fixed_from_file(path, text);
            problems.extend(found);
            world = Some(joined(world, fixed));
        }
        if part != Part::Static {
            dynamic_files.push((*path, *text));
        }
    }
    let syntax = world.as_ref().map(|fixed: &Fixed| fixed.rule_syntax).unwrap_or_default();
    let setting = Setting { syntax, environment: environment.clone(), ..Setting::default() };
    let reading = dynamic_in(&dynamic_files, &setting);
    problems.extend(reading.diagnostics);
    problems.extend(between(&reading.dynamic, world.as_ref()));
    let order = |problem: &Diagnostic| {
        let file = files.iter().position(|(path, _)| *path == problem.file);
        (file.unwrap_or(files.len()), problem.line, problem.column)
    };
    problems.sort_by_key(order);
    // A key that neither kind of document knows is reported by both readers.
    problems.dedup();
    problems
}

/// Which part of a configuration a document is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Static,
    Dynamic,
    Both,
}

/// By its root keys; what has none of a static document is a dynamic one.
pub fn part(path: &str, text: &str) -> Part {
    let keys = document::root_keys(path, text).unwrap_or_default();
    let has = |roots: &[&str]| {
        keys.iter().any(|key| roots.iter().any(|root| root.eq_ignore_ascii_case(key)))
    };
    match (has(&STATIC_ROOTS), has(&DYNAMIC_ROOTS)) {
        (true, true) => Part::Both,
        (true, false) => Part::Static,
        (false, _) => Part::Dynamic,
    }
}

/// One world of several static documents, for names only.
fn joined(world: Option<Fixed>, other: Fixed) -> Fixed {
    let Some(mut world) = world else { return other };
    world.entry_points.extend(other.entry_points);
    world.uplink_entry_points.extend(other.uplink_entry_points);
    world.refused_entry_points.extend(other.refused_entry_points);
    world.spiffe = world.spiffe.or(other.spiffe);
    match (&mut world.multicluster, other.multicluster) {
        (Some(all), Some(more)) => all.children.extend(more.children),
        (all @ None, more) => *all = more,
        (Some(_), None) => {}
    }
    world
}

/// Every problem between definitions, by file and line. Without `fixed` nothing is said about
/// entry points and children.
pub fn between(dynamic: &Dynamic, fixed: Option<&Fixed>) -> Vec<Diagnostic> {
    let unread = fixed.is_none_or(|fixed| fixed.http.is_some());
    let check = || Check { unread, ..Check::new(dynamic, fixed) };
    let mut found = check().others();
    found.extend(check().routers(&dynamic.routers).into_iter().flat_map(|(_, told)| told));
    found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    found
}

/// Of these routers alone, by name; those of which there is nothing to tell are left out.
pub fn between_routers(
    routers: &[Arc<Router>],
    dynamic: &Dynamic,
    fixed: Option<&Fixed>,
) -> Vec<(Arc<str>, Vec<Diagnostic>)> {
    Check::new(dynamic, fixed).routers(routers)
}

/// Of everything but routers.
pub fn between_others(dynamic: &Dynamic, fixed: Option<&Fixed>) -> Vec<Diagnostic> {
    Check::new(dynamic, fixed).others()
}

struct Check<'a> {
    dynamic: &'a Dynamic,
    fixed: Option<&'a Fixed>,
    /// In normalised form.
    uplinks: BTreeSet<Cow<'a, str>>,
    found: Vec<Diagnostic>,
    /// Suggestions compare with every name there is, so only the first problems get one.
    suggests: bool,
    /// What is asked for or given later is not here, so references to it are taken on trust.
    unread: bool,
}

impl<'a> Check<'a> {
    fn new(dynamic: &'a Dynamic, fixed: Option<&'a Fixed>) -> Self {
        let uplinks = dynamic.uplinks.iter().map(|uplink| normalised(&uplink.name)).collect();
        Self { dynamic, fixed, uplinks, found: Vec::new(), suggests: true, unread: false }
    }

    fn others(mut self) -> Vec<Diagnostic> {
        self.services();
        self.chains();
        self.pages();
        self.uplinks();
        self.entry_points();
        self.transports();
        self.children();
        self.found
    }

    fn routers(mut self, routers: &'a [Arc<Router>]) -> Vec<(Arc<str>, Vec<Diagnostic>)> {
        let layers = Layers::new(&self.dynamic.routers);
        let mut told = Vec::new();
        let mut count = 0;
        for router in routers {
            self.router(router);
            // Of a router that could not be read whole enough was said.
            let misplaced = layers.misplaced(&router.name).filter(|_| router.broken.is_empty());
            if let Some(misplaced) = misplaced {
                self.misplaced(router, misplaced);
            }
            if !self.found.is_empty() {
                count += self.found.len();
                told.push((router.name.as_str().into(), std::mem::take(&mut self.found)));
                self.suggests = count < SUGGESTIONS_MAX;
            }
        }
        told
    }

    /// Whether a name is one of a provider whose definitions are not here.
    fn is_elsewhere(&self, name: &str) -> bool {
        self.unread && split(name).is_some_and(|(_, provider)| [HTTP, REST].contains(&provider))
    }

    fn has_service(&self, name: &str) -> bool {
        self.dynamic.services.binary_search_by(|service| (*service.name).cmp(name)).is_ok()
    }

    fn has_middleware(&self, name: &str) -> bool {
        self.dynamic.middlewares.binary_search_by(|it| (*it.name).cmp(name)).is_ok()
    }

    fn add(&mut self, place: &typed::Place, problem: Diagnostic) {
        self.found.push(problem.at(&place.file, place.line, place.column));
    }

    fn router(&mut self, router: &'a Router) {
        let field = Field { kind: "routers", name: &router.name, field: "" };
        let at = |name: &'static str| Field { field: name, ..field };
        for name in &router.entry_points {
            if let Some(problem) = self.entry_point(at("entryPoints"), name, false) {
                self.add(&router.place, problem);
            }
        }
        for name in &router.middlewares {
            if let Some(problem) = self.middleware(at("middlewares"), name) {
                self.add(&router.place, problem);
            }
        }
        if let Some(problem) = self.service(at("service"), &router.service) {
            self.add(&router.place, problem);
        }
        let options = router.tls.as_ref().and_then(|tls| tls.options.as_deref());
        if let Some(problem) = options.and_then(|name| self.options(at("tls"), name)) {
            self.add(&router.place, problem);
        }
        for name in &router.uplinks {
            if let Some(problem) = self.uplink(at("uplinks"), name) {
                self.add(&router.place, problem);
            }
        }
    }

    fn misplaced(&mut self, router: &Router, misplaced: &Misplaced) {
        let field = Field { kind: "routers", name: &router.name, field: misplaced.field() };
        let problem = match misplaced {
            Misplaced::NoParent(name) => {
                let known = self.dynamic.routers.iter().map(|it| &*it.name);
                self.unknown(misplaced.code(), field, misplaced.text(), name, known)
            }
            Misplaced::Cycle(_)
            | Misplaced::TooDeep
            | Misplaced::ServiceAndChildren(_)
            | Misplaced::NoService => {
                Diagnostic::error(misplaced.code(), field.to_string(), misplaced.text())
            }
        };
        self.add(&router.place, problem);
    }

    /// A reference to TLS options, unless they are there.
    fn options(&self, path: impl Display, name: &str) -> Option<Diagnostic> {
        let known = || self.dynamic.options.iter().map(|options| &*options.name);
        if name == DEFAULT || self.is_elsewhere(name) || known().any(|known| known == name) {
            return None;
        }
        let text = format!("there are no TLS options {name}");
        Some(self.unknown("unknown-options", format!("{path}.options"), text, name, known()))
    }

    /// A reference to a transport, unless it is there.
    fn transport(&self, path: impl Display, name: &str) -> Option<Diagnostic> {
        let known = || self.dynamic.transports.iter().map(|transport| &*transport.name);
        if name.is_empty() || self.is_elsewhere(name) || known().any(|known| known == name) {
            return None;
        }
        let text = format!("there is no transport {name}");
        Some(self.unknown("unknown-transport", path, text, name, known()))
    }

    fn uplink(&self, path: impl Display, name: &str) -> Option<Diagnostic> {
        if self.uplinks.contains(&normalised(name)) {
            return None;
        }
        let known = self.dynamic.uplinks.iter().map(|uplink| &*uplink.name);
        let text = format!("there is no uplink {name}");
        Some(self.unknown("unknown-uplink", path, text, name, known))
    }

    /// A reference to a service, unless it leads somewhere.
    fn service(&self, path: impl Display, name: &str) -> Option<Diagnostic> {
        if name.is_empty() || self.has_service(name) || INTERNAL.contains(&name) {
            return None;
        }
        if self.is_elsewhere(name) {
            return None;
        }
        let (own, provider) = split(name)?;
        let has_http = self.fixed.is_some_and(|fixed| fixed.http.is_some());
        let has_rest = self.fixed.is_some_and(|fixed| fixed.rest.is_some());
        let text = match provider {
            MULTICLUSTER if self.has_children() && !own.is_empty() => return None,
            MULTICLUSTER if own.is_empty() => format!("{name} names no uplink"),
            MULTICLUSTER => format!("{name} comes from children, and none is configured"),
            "file" | "internal" => format!("there is no service {name}"),
            HTTP if has_http => format!("there is no service {name}"),
            REST if has_rest => format!("there is no service {name}"),
            other => format!("there is no provider {other}, so no service {name}"),
        };
        let known = self.dynamic.services.iter().map(|it| &*it.name).chain(INTERNAL);
        Some(self.unknown("unknown-service", path, text, name, known))
    }

    fn has_children(&self) -> bool {
        let Some(fixed) = self.fixed else { return true };
        fixed.multicluster.as_ref().is_some_and(|provider| !provider.children.is_empty())
    }

    fn middleware(&self, path: impl Display, name: &str) -> Option<Diagnostic> {
        if self.has_middleware(name) || self.is_elsewhere(name) {
            return None;
        }
        let text = format!("there is no middleware {name}");
        let known = self.dynamic.middlewares.iter().map(|it| &*it.name);
        Some(self.unknown("unknown-middleware", path, text, name, known))
    }

    fn entry_point(&self, path: impl Display, name: &str, of_uplinks: bool) -> Option<Diagnostic> {
        let fixed = self.fixed?;
        let (own, other, why) = if of_uplinks {
            (&fixed.uplink_entry_points, &fixed.entry_points, "an ordinary entry point")
        } else {
            (&fixed.entry_points, &fixed.uplink_entry_points, "an entry point of uplinks")
        };
        let has = |list: &[EntryPoint]| list.iter().any(|entry| entry.name == name);
        if has(own) {
            return None;
        }
        let known = own.iter().map(|entry| &*entry.name);
        let text = if fixed.refused_entry_points.iter().any(|refused| refused == name) {
            format!("the entry point {name} is refused, for the reason given there")
        } else if has(other) {
            format!("{name} is {why}")
        } else {
            format!("there is no entry point {name}")
        };
        Some(self.unknown("unknown-entry-point", path, text, name, known))
    }

    fn services(&mut self) {
        let dynamic = self.dynamic;
        let places = references::places(&dynamic.services, 1);
        let mut told = BTreeSet::new();
        for service in &dynamic.services {
            for problem in self.dangling(service) {
                self.found.push(problem);
            }
            let field = Field { kind: "services", name: &service.name, field: "middlewares" };
            for name in &service.middlewares {
                if let Some(problem) = self.middleware(field, name) {
                    self.add(&service.place, problem);
                }
            }
            if let ServiceKind::Balancer(balancer) = &service.kind {
                let path = Field {
                    kind: "services",
                    name: &service.name,
                    field: "loadBalancer.serversTransport",
                };
                if let Some(problem) = self.transport(path, &balancer.transport) {
                    self.add(&service.place, problem);
                }
            }
            if let Some(Place::Cycle(names)) = places.get(&*service.name)
                && told.insert(names.iter().collect::<BTreeSet<_>>())
            {
                let text = format!("services refer to each other: {}", names.join(" -> "));
                let path = path_of("services", &service.name);
                self.add(&service.place, Diagnostic::error("service-cycle", path, text));
            }
        }
    }

    fn dangling(&self, service: &Service) -> Vec<Diagnostic> {
        let path = path_of("services", &service.name);
        let member = |(place, kind, name): (&typed::Place, String, &str)| {
            let problem = self.service(format!("{path}.{kind}"), name)?;
            Some(problem.at(&place.file, place.line, place.column))
        };
        let named = |kind: &str, i: usize| format!("{kind}[{i}].name");
        let references: Vec<(&typed::Place, String, &str)> = match &service.kind {
            ServiceKind::Balancer(_) | ServiceKind::Broken(_) => Vec::new(),
            ServiceKind::Weighted { services, manner } => (0..)
                .zip(services)
                .map(|(i, s)| (&s.place, named(&manner.members_key(), i), &*s.name))
                .collect(),
            ServiceKind::Failover(failover) => vec![
                (&service.place, "failover.service".to_owned(), &failover.service),
                (&service.place, "failover.fallback".to_owned(), &failover.fallback),
            ],
            ServiceKind::Mirroring(mirroring) => {
                let main = (&service.place, "mirroring.service".to_owned(), &*mirroring.service);
                let mirrors = (0..).zip(&mirroring.mirrors);
                std::iter::once(main)
                    .chain(
                        mirrors.map(|(i, m)| (&m.place, named("mirroring.mirrors", i), &*m.name)),
                    )
                    .collect()
            }
        };
        references.into_iter().filter_map(member).collect()
    }

    /// Chains that name what is not there, or themselves.
    fn pages(&mut self) {
        for middleware in &self.dynamic.middlewares {
            let typed::MiddlewareKind::Errors(pages) = &middleware.kind else { continue };
            let path = format!("{}.errors.service", path_of("middlewares", &middleware.name));
            if let Some(problem) = self.service(&path, &pages.service) {
                self.add(&middleware.place, problem);
            }
            let services = &self.dynamic.services;
            let found = services.binary_search_by(|it| (*it.name).cmp(&pages.service));
            if found.is_ok_and(|at| !services[at].middlewares.is_empty()) {
                let text = format!(
                    "{} has middlewares of its own, and pages are not fetched past them",
                    pages.service
                );
                self.add(&middleware.place, Diagnostic::warning("barred-pages", path, text));
            }
        }
    }

    fn chains(&mut self) {
        let dynamic = self.dynamic;
        let all = Middlewares::new(&dynamic.middlewares);
        for middleware in &dynamic.middlewares {
            let typed::MiddlewareKind::Chain(names) = &middleware.kind else { continue };
            let path = format!("{}.chain.middlewares", path_of("middlewares", &middleware.name));
            for name in names {
                if let Some(problem) = self.middleware(&path, name) {
                    self.add(&middleware.place, problem);
                }
            }
            let own = std::slice::from_ref(&middleware.name);
            if let Err(why) = all.unroll(own, &mut BTreeSet::new())
                && why.contains("contains itself")
            {
                self.add(&middleware.place, Diagnostic::error("chain-cycle", path, why));
            }
        }
    }

    fn uplinks(&mut self) {
        let dynamic = self.dynamic;
        let used: BTreeSet<_> =
            dynamic.routers.iter().flat_map(|r| &r.uplinks).map(|name| normalised(name)).collect();
        let mut seen: BTreeMap<_, &Uplink> = BTreeMap::new();
        for uplink in &dynamic.uplinks {
            let path = path_of("uplinks", &uplink.name);
            for name in &uplink.entry_points {
                if let Some(problem) = self.entry_point(format!("{path}.entryPoints"), name, true) {
                    self.add(&uplink.place, problem);
                }
            }
            if !used.contains(&normalised(&uplink.name)) {
                let text = "no router offers anything through this uplink, so it is not advertised";
                self.add(&uplink.place, Diagnostic::warning("unused-uplink", &*path, text));
            }
            if let Some(first) = seen.insert(normalised(&uplink.name), uplink) {
                let text = format!("parents cannot tell it from the uplink {}", first.name);
                self.add(&uplink.place, Diagnostic::error("name-clash", path, text));
            }
        }
        if let Some(uplink) = dynamic.uplinks.first()
            && self.fixed.is_some_and(|fixed| fixed.uplink_entry_points.is_empty())
        {
            let text = "there is no entry point for uplinks, so none is reachable";
            let problem = Diagnostic::warning("unreachable-uplinks", "http.uplinks", text);
            self.add(&uplink.place, problem.help("add one under hub.uplinkEntryPoints"));
        }
    }

    /// Transports that speak of identities, where nobody tells any.
    fn transports(&mut self) {
        let dynamic = self.dynamic;
        if self.fixed.is_none_or(|fixed| fixed.spiffe.is_some()) {
            return;
        }
        for named in &dynamic.transports {
            let tls = named.transport.tls.as_ref();
            if tls.is_some_and(|tls| matches!(tls.trust, Trust::Spiffe(_))) {
                let path = format!("{}.spiffe", path_of("serversTransports", &named.name));
                let text = "nothing says where identities come from";
                let problem = Diagnostic::error("missing", path, text);
                let help = "the root key spiffe of the static configuration";
                self.add(&named.place, problem.help(help));
            }
        }
    }

    /// Callers are known by SPIFFE or by the options, not by both.
    fn callers(&mut self, entry: &EntryPoint) {
        let named = self.dynamic.options.iter().find(|it| Some(&it.name) == entry.tls.as_ref());
        if entry.callers.is_some()
            && let Some(options) = named.filter(|it| it.clients.demand != Demand::Nothing)
        {
            let path = format!("tls.options.{}.clientAuth", own(&options.name));
            let text = format!("the entry point {} knows callers by SPIFFE", entry.name);
            let problem = Diagnostic::error("several-kinds", path, text);
            self.add(&options.place, problem.help("leave out clientAuth"));
        }
    }

    /// Middlewares of entry points, and where the process's own pages are served.
    fn entry_points(&mut self) {
        let Some(fixed) = self.fixed else { return };
        for entry in fixed.entry_points.iter().chain(&fixed.uplink_entry_points) {
            for name in &entry.middlewares {
                let path = format!("entryPoints.{}.http.middlewares", entry.name);
                self.found.extend(self.middleware(&path, name));
            }
            // Before anything was read nobody misses it.
            let unread = self.dynamic.routers.is_empty() && self.dynamic.options.is_empty();
            if let Some(name) = entry.tls.as_ref().filter(|_| !unread) {
                let path = format!("entryPoints.{}.http.tls", entry.name);
                self.found.extend(self.options(&path, name));
            }
            self.callers(entry);
        }
        let ping = fixed.ping.iter().map(|ping| ("ping", ping.manual_routing, &ping.entry_point));
        let metrics = fixed
            .prometheus
            .iter()
            .map(|metrics| ("metrics.prometheus", metrics.manual_routing, &metrics.entry_point));
        for (path, manual, name) in ping.chain(metrics) {
            if !manual {
                self.found.extend(self.entry_point(format!("{path}.entryPoint"), name, false));
            }
        }
    }

    fn unknown<'n>(
        &self,
        code: &'static str,
        path: impl Display,
        text: String,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) -> Diagnostic {
        let asked = self.suggests && self.found.len() < SUGGESTIONS_MAX;
        let near = if asked { nearest(name, known) } else { None };
        let help = near.map(|near| format!("did you mean {near}?"));
        Diagnostic::error(code, path.to_string(), text).help(help.unwrap_or_default())
    }

    /// Two children whose names look alike in the names of services.
    fn children(&mut self) {
        let children = self.fixed.and_then(|fixed| fixed.multicluster.as_ref());
        let mut seen = BTreeMap::new();
        for child in children.iter().flat_map(|provider| &provider.children) {
            if let Some(first) = seen.insert(normalised(&child.name), &child.name)
                && *first != child.name
            {
                let path = format!("hub.providers.multicluster.children.{}", child.name);
                let text =
                    format!("services of this child have the same names as those of {first}");
                self.found.push(Diagnostic::error("name-clash", path, text));
            }
        }
    }
}

/// Where a field of a definition stands in its document; written out only if it is told.
#[derive(Clone, Copy)]
struct Field<'a> {
    kind: &'static str,
    name: &'a str,
    field: &'static str,
}

impl Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", path_of(self.kind, self.name), self.field)
    }
}

/// Where a definition stands in its document.
fn path_of(kind: &str, name: &str) -> String {
    format!("http.{kind}.{}", own(name))
}

#[cfg(test)]
mod tests;
