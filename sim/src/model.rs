//! What the documentation promises, worked out naively and without the engine: which router takes
//! a request, what it makes of the head, and which servers a service can reach.

pub mod services;

use crate::home;
use crate::ledger::Meant;
use crate::plan::{Document, Kind, Matcher, Router, Step, Term};
use std::collections::BTreeSet;

/// What becomes of a request under one document.
#[derive(Clone, PartialEq, Debug)]
pub enum Fate {
    /// No rule matches: 404.
    Nowhere,
    /// It has been here before, or has come too far: 508.
    Loop,
    /// The router that matches must not serve: 503.
    Broken {
        router: String,
    },
    /// Its first middleware answers with one of these.
    TurnedAway {
        router: String,
        statuses: &'static [u16],
    },
    /// Its middlewares leave no clean path: 400.
    Unclean {
        router: String,
        limited: bool,
        breaks: bool,
    },
    Routed(Routed),
}

/// The instance that clients ask.
pub const PARENT: &str = "parent";
/// Names the instances that a request has passed.
pub const HOPS: &str = "x-tieline-hops";
pub const HOPS_MAX: usize = 8;

/// A request after its router's middlewares.
#[derive(Clone, PartialEq, Debug)]
pub struct Routed {
    pub router: String,
    pub service: String,
    pub target: String,
    /// Fields that replace or remove what the client sent; empty removes.
    pub request_edits: Vec<(String, String)>,
    pub response_edits: Vec<(String, String)>,
    /// Prefixes that were taken off.
    pub stripped: Vec<String>,
    /// Requests that come too fast or are too many at once get 429.
    pub limited: bool,
    /// A circuit breaker may refuse it: one of its router, and one of a service.
    pub breaks: bool,
    pub shuts: bool,
    pub squeezes: bool,
}

/// The fate of a request at an entry point of an instance with this document.
pub fn fate(document: &Document, entry: &str, defaults: &[&str], meant: &Meant) -> Fate {
    finished(routed(document, entry, defaults, meant))
}

/// A path of which steps have left nothing is a slash on the wire.
fn finished(mut fate: Fate) -> Fate {
    if let Fate::Routed(routed) = &mut fate
        && !routed.target.starts_with('/')
    {
        routed.target.insert(0, '/');
    }
    fate
}

/// [`fate`] before the services.
fn routed(document: &Document, entry: &str, defaults: &[&str], meant: &Meant) -> Fate {
    if meant.hops().count() > HOPS_MAX || meant.hops().any(|hop| hop == PARENT) {
        return Fate::Loop;
    }
    let (path, query) = split(&meant.target);
    let path = normal(path);
    let listens = |router: &&Router| match router.entries.is_empty() {
        true => defaults.contains(&entry),
        false => router.entries.iter().any(|name| name == entry),
    };
    let best = document
        .routers
        .iter()
        .filter(|router| router.uplinks.is_empty() && !is_unreadable(router))
        .filter(listens)
        .filter(|router| matches(router, &path, query, meant))
        .min_by_key(|router| (-router.effective_priority(), qualified(&router.name)));
    let Some(router) = best else {
        let version = format!("/version/{}", document.version);
        let known = path == version && defaults.contains(&entry);
        let router = qualified(&format!("version-{}", document.version));
        return if known { Fate::Broken { router } } else { Fate::Nowhere };
    };
    let name = qualified(&router.name);
    let Some(steps) = steps(document, &router.middlewares) else {
        return Fate::Broken { router: name };
    };
    if !exists(document, &router.service) {
        return Fate::Broken { router: name };
    }
    if let Some(Step::Allow(_)) = steps.first() {
        return Fate::TurnedAway { router: name, statuses: &[403] };
    }
    if let Some(Step::Secure) = steps.first()
        && !is_at_home(meant)
    {
        return Fate::TurnedAway { router: name, statuses: &[302, 307] };
    }
    let script = meant.fields.iter().any(|(at, _)| at == "access-control-request-method");
    if matches!(steps.first(), Some(Step::Share)) && meant.method == "OPTIONS" && script {
        return Fate::TurnedAway { router: name, statuses: &[200] };
    }
    let routed = apply(router, name.clone(), &steps, path, query);
    let (path, _) = split(&routed.target);
    let dots = |segment: &str| segment == "." || segment == "..";
    if !routed.stripped.is_empty() && path.split('/').any(dots) {
        let Routed { limited, breaks, .. } = routed;
        return Fate::Unclean { router: name, limited, breaks };
    }
    Fate::Routed(routed)
}

/// As [`fate`], with each way that a request may take through services that have middlewares of
/// their own.
pub fn fates(document: &Document, entry: &str, defaults: &[&str], meant: &Meant) -> Vec<Fate> {
    let settled = routed(document, entry, defaults, meant);
    let Fate::Routed(routed) = &settled else { return vec![settled] };
    let ways = ways(document, &routed.service, DEPTH_MAX);
    let through = |names: &Vec<String>| {
        let mut routed = routed.clone();
        let steps = steps(document, names).expect("services name what is there");
        let target = std::mem::take(&mut routed.target);
        let (path, query) = split(&target);
        go(&mut routed, &steps, path.to_owned(), query);
        finished(Fate::Routed(routed))
    };
    ways.iter().map(through).collect()
}

/// Services nest no deeper here; those that lead back to themselves serve nothing.
const DEPTH_MAX: u32 = 4;

/// The middlewares of services on each way down, to servers and to mirrors, outermost first.
fn ways(document: &Document, service: &str, depth: u32) -> BTreeSet<Vec<String>> {
    let found = document.service(service).filter(|_| depth > 0);
    let Some(service) = found else { return BTreeSet::from([Vec::new()]) };
    let below: Vec<&String> = match &service.kind {
        Kind::Balancer { .. } => Vec::new(),
        Kind::Weighted(members) => members.iter().map(|(name, _)| name).collect(),
        Kind::Failover { main, fallback, .. } => vec![main, fallback],
        Kind::Mirroring { main, mirrors, .. } => {
            std::iter::once(main).chain(mirrors.iter().map(|(name, _)| name)).collect()
        }
    };
    let mut all = BTreeSet::new();
    if below.is_empty() {
        all.insert(service.middlewares.clone());
    }
    for way in below.into_iter().flat_map(|name| ways(document, name, depth - 1)) {
        all.insert(service.middlewares.iter().cloned().chain(way).collect());
    }
    all
}

/// Whether the URL is already what a redirection to `https` makes of it, which has no port.
fn is_at_home(meant: &Meant) -> bool {
    meant.secure && !meant.host.trim_end_matches(":443").contains(':')
}

fn exists(document: &Document, service: &str) -> bool {
    service.ends_with("@multicluster") || document.service(service).is_some()
}

fn is_unreadable(router: &Router) -> bool {
    let broken = |term: &Term| matches!(term.matcher, Matcher::Broken(_));
    router.rule.iter().flatten().any(broken)
}

fn matches(router: &Router, path: &str, query: Option<&str>, meant: &Meant) -> bool {
    router.rule.iter().any(|terms| {
        terms.iter().all(|term| term.not != matches_one(&term.matcher, path, query, meant))
    })
}

fn matches_one(matcher: &Matcher, path: &str, query: Option<&str>, meant: &Meant) -> bool {
    match matcher {
        Matcher::Path(wanted) => path == wanted,
        Matcher::PathPrefix(prefix) => path.starts_with(prefix.as_str()),
        Matcher::Host(host) => {
            let named = meant.host.split(':').next().unwrap_or("");
            named.eq_ignore_ascii_case(host)
        }
        Matcher::Header(name, value) => {
            meant.fields.iter().any(|(at, got)| at.eq_ignore_ascii_case(name) && got == value)
        }
        Matcher::Method(method) => meant.method == method,
        Matcher::Query(key, value) => query.unwrap_or("").split('&').any(|pair| {
            let (at, got) = pair.split_once('=').unwrap_or((pair, ""));
            at == key && got == value
        }),
        Matcher::Broken(_) => false,
    }
}

/// The steps of named middlewares in order, chains unrolled; nothing if one does not exist.
fn steps<'a>(document: &'a Document, names: &[String]) -> Option<Vec<&'a Step>> {
    let mut all = Vec::new();
    for name in names {
        let middleware = document.middlewares.iter().find(|at| at.name == *name)?;
        match &middleware.kind {
            Step::Chain(names) => all.extend(steps(document, names)?),
            step @ (Step::Strip(_)
            | Step::Add(_)
            | Step::Headers { .. }
            | Step::Allow(_)
            | Step::Secure
            | Step::Share
            | Step::Rate
            | Step::Gauge
            | Step::Break(_)
            | Step::Squeeze) => all.push(step),
        }
    }
    Some(all)
}

fn apply(
    router: &Router,
    name: String,
    steps: &[&Step],
    path: String,
    query: Option<&str>,
) -> Routed {
    let mut routed = Routed {
        router: name,
        service: qualified(&router.service),
        target: String::new(),
        request_edits: Vec::new(),
        response_edits: Vec::new(),
        stripped: Vec::new(),
        limited: false,
        breaks: false,
        shuts: false,
        squeezes: false,
    };
    go(&mut routed, steps, path, query);
    routed
}

/// What steps make of a request, the first of them first.
fn go(routed: &mut Routed, steps: &[&Step], mut path: String, query: Option<&str>) {
    for step in steps {
        match step {
            Step::Strip(prefixes) => {
                let prefix = prefixes.iter().find(|prefix| path.starts_with(prefix.as_str()));
                if let Some(prefix) = prefix {
                    routed.stripped.push(prefix.clone());
                    let rest = path[prefix.len()..].to_owned();
                    let bare = rest.is_empty() || rest.starts_with('/');
                    path = if bare { rest } else { format!("/{rest}") };
                }
            }
            Step::Add(prefix) => path = format!("{prefix}{path}"),
            Step::Headers { request, response } => {
                routed.request_edits.extend(request.iter().cloned());
                routed.response_edits.extend(response.iter().cloned());
            }
            Step::Chain(_) => unreachable!("chains were unrolled"),
            Step::Share | Step::Secure => {}
            Step::Rate | Step::Gauge => routed.limited = true,
            Step::Break(settings) if settings.inner => routed.shuts = true,
            Step::Break(_) => routed.breaks = true,
            Step::Squeeze => routed.squeezes = true,
            Step::Allow(_) => unreachable!("only the first turns somebody away"),
        }
    }
    routed.target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
}

pub fn qualified(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}{}", home::suffix()) }
}

fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Unreserved triplets decoded, runs of slashes one. Clients here send no dot segments.
pub fn normal(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let triplet = rest.get(1..3).filter(|_| first == '%');
        let byte = triplet.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
                rest = &rest[3..];
            }
            _ => {
                if !(first == '/' && out.ends_with('/')) {
                    out.push(first);
                }
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// Services below `name`, itself included, as far as this document knows them. A failover's or a
/// weighted service's members count whatever their health; mirrors do not.
pub fn below(document: &Document, name: &str, found: &mut BTreeSet<String>) {
    if !found.insert(qualified(name)) {
        return;
    }
    match document.service(name).map(|service| &service.kind) {
        Some(Kind::Weighted(members)) => {
            members.iter().for_each(|(member, _)| below(document, member, found));
        }
        Some(Kind::Failover { main, fallback, .. }) => {
            below(document, main, found);
            below(document, fallback, found);
        }
        Some(Kind::Mirroring { main, .. }) => below(document, main, found),
        Some(Kind::Balancer { .. }) | None => {}
    }
}

/// Servers that may answer a request to `service`: every server below it with a weight.
pub fn servers(document: &Document, service: &str) -> BTreeSet<u16> {
    let mut names = BTreeSet::new();
    below(document, service, &mut names);
    let mut servers = BTreeSet::new();
    for name in names {
        let Some(at) = document.service(&name) else { continue };
        if let Kind::Balancer { servers: backends, .. } = &at.kind {
            servers.extend(backends.iter().filter(|b| b.weight > 0).map(|b| b.server));
        }
    }
    servers
}

/// Whether mirrors take request number `ticket`: a counter that lags behind the percentage.
pub fn mirrored(ticket: u64, percent: u8) -> bool {
    let lagging = |requests: u64| (requests * u64::from(percent)).div_ceil(100);
    lagging(ticket + 1) > lagging(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(name: &str, rule: Vec<Term>, service: &str) -> Router {
        Router {
            name: name.into(),
            rule: vec![rule],
            priority: None,
            entries: Vec::new(),
            middlewares: Vec::new(),
            service: service.into(),
            uplinks: Vec::new(),
        }
    }

    #[test]
    fn the_longest_rule_wins_and_a_missing_service_is_broken() {
        let prefix = |path: &str| Term::is(Matcher::PathPrefix(path.into()));
        let document = Document {
            routers: vec![
                router("a", vec![prefix("/shop")], "none"),
                router("b", vec![prefix("/shop/items")], "none"),
            ],
            ..Document::default()
        };
        let meant = Meant { method: "GET", target: "/shop/items?q".into(), ..Meant::default() };
        let fate_of = |entry: &str| fate(&document, entry, &["web"], &meant);
        assert_eq!(fate_of("web"), Fate::Broken { router: "b@file".into() });
        assert_eq!(fate_of("other"), Fate::Nowhere);
    }

    #[test]
    fn paths_are_normalised() {
        for (path, expected) in [("/a//b", "/a/b"), ("/%7Eu", "/~u"), ("/a%2Fb", "/a%2Fb")] {
            assert_eq!(normal(path), expected);
        }
    }

    #[test]
    fn ten_percent_is_one_in_ten_and_begins_at_once() {
        let taken: Vec<u64> = (0..30).filter(|t| mirrored(*t, 10)).collect();
        assert_eq!(taken, [0, 10, 20]);
        assert!((0..100).all(|t| mirrored(t, 100) && !mirrored(t, 0)));
    }
}
