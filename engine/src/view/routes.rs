//! Which route takes a request.

use super::Route;
use super::index::Index;
use crate::http::request::RequestInfo;
use crate::rule::Rule;
use std::sync::Arc;

/// Fewer routes than this are tried one after the other.
const INDEXED_FROM: usize = 8;

/// The routes of one entry point or uplink, best first.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<(Arc<Rule>, Arc<Route>)>,
    index: Option<Index>,
}

impl RouteTable {
    /// Orders by priority, highest first, then by name.
    pub fn new(mut routes: Vec<(Arc<Rule>, Arc<Route>)>) -> Self {
        routes.sort_by(|(_, a), (_, b)| {
            b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name))
        });
        let rules = || routes.iter().map(|(rule, _)| rule.ast());
        let index = (routes.len() >= INDEXED_FROM).then(|| Index::new(rules()));
        Self { routes, index }
    }

    /// The first route in order whose rule matches.
    pub fn find(&self, request: &RequestInfo<'_>) -> Option<&Arc<Route>> {
        self.find_at(request).and_then(|at| self.at(at))
    }

    /// The position of the first route in order whose rule matches: what a request in flight
    /// keeps, because counting references would be shared by all cores.
    pub fn find_at(&self, request: &RequestInfo<'_>) -> Option<u32> {
        let matches = |at: u32| self.routes[at as usize].0.matches(request);
        match &self.index {
            Some(index) => index.first(request, matches),
            None => (0..).zip(&self.routes).map(|(at, _)| at).find(|at| matches(*at)),
        }
    }

    pub fn at(&self, position: u32) -> Option<&Arc<Route>> {
        self.routes.get(position as usize).map(|(_, route)| route)
    }

    /// All routes, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().map(|(_, route)| route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;
    use crate::view::Destination;
    use std::net::{IpAddr, Ipv4Addr};

    fn route(rule: &str, name: usize, priority: i64) -> (Arc<Rule>, Arc<Route>) {
        let rule = Rule::parse(rule).expect("a valid rule");
        let route = Route {
            name: format!("r{name}").into(),
            priority,
            to: Destination::Broken("".into()),
            steps: Arc::new([]),
            internal: false,
            stats: Arc::default(),
            options: Arc::default(),
        };
        (Arc::new(rule), Arc::new(route))
    }

    const HOSTS: [&str; 6] = ["", "a.test", "b.test", "x.a.test", "a.test.", "y.x.a.test"];
    const PATHS: [&str; 7] = ["/", "/a", "/a/", "/a/b", "/ab", "/c/d/e", "/é/ü"];

    fn random_rule(prng: &mut Prng, depth: u32) -> String {
        let pick = |prng: &mut Prng, list: &[&str]| {
            let at = usize::try_from(prng.below(list.len() as u64)).expect("small");
            list[at].to_owned()
        };
        if depth > 0 && prng.one_in(2) {
            let (a, b) = (random_rule(prng, depth - 1), random_rule(prng, depth - 1));
            return match prng.below(5) {
                0 => format!("!({a})"),
                1 | 2 => format!("({a} || {b})"),
                _ => format!("({a} && {b})"),
            };
        }
        match prng.below(8) {
            0 => format!("Host(`{}`)", pick(prng, &["a.test", "b.test", "x.a.test"])),
            1 => format!("Host(`{}`)", pick(prng, &["*", "*.a.test", "*.test"])),
            2 => format!("Path(`{}`)", pick(prng, &PATHS)),
            3 | 4 => format!("PathPrefix(`{}`)", pick(prng, &PATHS)),
            5 => format!("Method(`{}`)", pick(prng, &["GET", "PUT"])),
            6 => format!("PathRegexp(`{}`)", pick(prng, &["^/a", "b$"])),
            _ => format!("HostRegexp(`{}`)", pick(prng, &["^a", "test$"])),
        }
    }

    #[test]
    fn the_index_finds_what_a_scan_finds() {
        let mut prng = Prng::new(5);
        for round in 0..2_000 {
            let count = usize::try_from(prng.below(30)).expect("small");
            let routes: Vec<_> = (0..count)
                .map(|name| {
                    let priority = i64::try_from(prng.below(4)).expect("small");
                    route(&random_rule(&mut prng, 3), name, priority)
                })
                .collect();
            let table = RouteTable::new(routes);
            for host in HOSTS {
                for path in PATHS {
                    let request = RequestInfo {
                        method: if prng.one_in(2) { "GET" } else { "PUT" },
                        authority: host,
                        host,
                        path,
                        query: "",
                        fields: &[],
                        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                    };
                    let scan = table.routes.iter().find(|(rule, _)| rule.matches(&request));
                    let scan = scan.map(|(rule, route)| (rule.text(), &route.name));
                    let found = table.find(&request).map(|route| &route.name);
                    assert_eq!(found, scan.map(|(_, name)| name), "{round} {host} {path} {scan:?}");
                }
            }
        }
    }

    #[test]
    fn the_best_priority_wins_and_then_the_name() {
        let table = RouteTable::new(
            (0..20).map(|at| route("PathPrefix(`/`)", at, i64::from(at > 9))).collect(),
        );
        let request = RequestInfo {
            method: "GET",
            authority: "",
            host: "",
            path: "/",
            query: "",
            fields: &[],
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        assert_eq!(table.find(&request).map(|route| &*route.name), Some("r10"));
    }
}
