//! Which route takes a request.

use super::Route;
use super::index::{Index, Seat};
use super::map::{Map, Stay};
use super::table::Table;
use crate::base::mutant::{Mutant, planted};
use crate::http::request::RequestInfo;
use crate::rule::Rule;
use std::cmp::Reverse;
use std::sync::Arc;

/// The routes of one entry point or uplink, or under one router. A copy with one other route
/// shares the rest.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    entries: Table<Entry>,
    index: Index,
    by_name: Map<u32>,
    /// Numbers that were used, and are not.
    free: Vec<u32>,
    /// The first number that was never used.
    next: u32,
}

#[derive(Debug)]
struct Entry {
    rule: Arc<Rule>,
    route: Arc<Route>,
}

impl RouteTable {
    /// Names differ; of two with one name the last stays.
    pub fn new(routes: Vec<(Arc<Rule>, Arc<Route>)>) -> Self {
        let mut table = Self::default();
        for (rule, route) in routes {
            table.put(rule, route);
        }
        table
    }

    /// Adds a route, or replaces the one of its name.
    pub fn put(&mut self, rule: Arc<Rule>, route: Arc<Route>) {
        self.take(&route.name);
        let at = self.free.pop().unwrap_or(self.next);
        self.next = self.next.max(at + 1);
        self.by_name.edit(route.name.as_bytes(), |slot| {
            *slot = at;
            Stay::Yes
        });
        self.index.add(rule.ast(), &seat(&route, at));
        self.entries.set(at, Some(Arc::new(Entry { rule, route })));
    }

    /// Takes a route out, if it is there.
    pub fn take(&mut self, name: &str) {
        let Some(&at) = self.by_name.get(name.as_bytes()) else { return };
        self.by_name.edit(name.as_bytes(), |_| Stay::No);
        let entry = self.entries.get(at).expect("a name leads to an entry");
        self.index.remove(entry.rule.ast(), &seat(&entry.route, at));
        self.entries.set(at, None);
        self.free.push(at);
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub fn len(&self) -> usize {
        self.next as usize - self.free.len()
    }

    /// The first route in order whose rule matches: highest priority first, then by name.
    pub fn find(&self, request: &RequestInfo<'_>) -> Option<&Arc<Route>> {
        self.find_at(request).and_then(|at| self.at(at))
    }

    /// The number of the first route in order whose rule matches: what a request in flight
    /// keeps, because counting references would be shared by all cores.
    pub fn find_at(&self, request: &RequestInfo<'_>) -> Option<u32> {
        let matches = |at: u32| {
            self.entries.get(at).is_some_and(|entry| {
                let skipped = planted(Mutant::BrokenFallsThrough)
                    && matches!(entry.route.to, super::Destination::Broken(_));
                !skipped && entry.rule.matches(request)
            })
        };
        self.index.first(request, matches).map(|seat| seat.at)
    }

    pub fn at(&self, number: u32) -> Option<&Arc<Route>> {
        self.entries.get(number).map(|entry| &entry.route)
    }

    /// All routes with their rules, best first.
    pub fn rules(&self) -> impl Iterator<Item = (&Rule, &Arc<Route>)> {
        let entries = self.entries.iter();
        let mut all: Vec<_> = entries.map(|entry| (&*entry.rule, &entry.route)).collect();
        all.sort_by_key(|(_, route)| (Reverse(route.priority), route.rank, &route.name));
        all.into_iter()
    }

    /// All routes, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.rules().map(|(_, route)| route)
    }

    /// By trying one after another; what [`RouteTable::find`] must agree with.
    #[cfg(test)]
    fn scan(&self, request: &RequestInfo<'_>) -> Option<&Arc<Route>> {
        let matching = self.entries.iter().filter(|entry| entry.rule.matches(request));
        let all = matching.map(|entry| &entry.route);
        all.min_by_key(|route| (Reverse(route.priority), route.rank, &route.name))
    }
}

fn seat(route: &Route, at: u32) -> Seat {
    let ignored = planted(Mutant::PriorityIgnored);
    let priority = if ignored { route.priority.saturating_neg() } else { route.priority };
    let (priority, rank) = (Reverse(priority), route.rank);
    Seat { priority, rank, name: Arc::clone(&route.name), at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixed::Observed;
    use crate::http::fields::Field;
    use crate::view::Destination;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn route(rule: &str, name: usize, priority: i64) -> (Arc<Rule>, Arc<Route>) {
        let rule = Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error:?}"));
        let route = Route {
            name: format!("r{name}").into(),
            priority,
            rank: 0,
            to: Destination::Broken("".into()),
            steps: Arc::new([]),
            internal: false,
            stats: Arc::default(),
            options: Arc::default(),
            observed: Observed::default(),
        };
        (Arc::new(rule), Arc::new(route))
    }

    const HOSTS: [&str; 9] =
        ["", "a.test", "b.test", "x.a.test", "a.test.", "y.x.a.test", "test", ".a.test", "za.test"];
    const PATHS: [&str; 9] =
        ["/", "/a", "/a/", "/a/b", "/ab", "/c/d/e", "/é/ü", "/a/b/c/d/e/f/g", "*"];
    const MATCHERS: [&str; 30] = [
        "Host(`a.test`)",
        "Host(`b.test`)",
        "Host(`x.a.test`)",
        "Host(`*`)",
        "Host(`*.a.test`)",
        "Host(`*.test`)",
        "HostRegexp(`^a`)",
        "HostRegexp(`test$`)",
        r"HostRegexp(`^[a-z]+\.a\.test$`)",
        r"HostRegexp(`^a\.test$`)",
        r"HostRegexp(`^.+\.test$`)",
        r"HostRegexp(`a\.test\.?$`)",
        "Path(`/`)",
        "Path(`/a`)",
        "Path(`/a/b`)",
        "PathPrefix(`/`)",
        "PathPrefix(`/a`)",
        "PathPrefix(`/a/`)",
        "PathPrefix(`/a/b`)",
        "PathPrefix(`/c`)",
        "PathPrefix(`/é`)",
        "PathRegexp(`^/a`)",
        "PathRegexp(`b$`)",
        "PathRegexp(`^/a/?$`)",
        "PathRegexp(`^/a/b$`)",
        "PathRegexp(`^/(a|c)/`)",
        "Method(`GET`)",
        "Method(`PUT`)",
        "Header(`X-A`, `1`)",
        "ClientIP(`127.0.0.0/8`)",
    ];

    fn rule() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(MATCHERS.to_vec()).prop_map(str::to_owned);
        leaf.prop_recursive(3, 8, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            prop_oneof![
                1 => inner.prop_map(|a| format!("!({a})")),
                2 => two.clone().prop_map(|(a, b)| format!("({a} || {b})")),
                4 => two.prop_map(|(a, b)| format!("({a} && {b})")),
            ]
        })
    }

    /// What happens to a table, as names, priorities and rules; no rule takes the route away.
    type Change = (usize, i64, Option<String>);

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = (0..24usize, 0..4i64, prop::option::weighted(0.8, rule()));
        prop::collection::vec(change, 0..40)
    }

    fn check_all(table: &RouteTable, fields: &[Field<'_>]) {
        let methods = ["GET", "PUT"].into_iter().cycle();
        let places = HOSTS.iter().flat_map(|host| PATHS.map(|path| (*host, path)));
        for ((host, path), method) in places.zip(methods) {
            let request = RequestInfo {
                method,
                authority: host,
                host,
                path,
                query: "",
                fields,
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            };
            let (scan, found) = (table.scan(&request), table.find(&request));
            let name = |route: Option<&Arc<Route>>| route.map(|it| Arc::clone(&it.name));
            assert_eq!(name(found), name(scan), "{method} {host} {path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: 2_000,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_index_finds_what_a_scan_finds(changes in changes(), field in any::<bool>()) {
            let fields = [Field { name: "x-a", value: b"1" }];
            let fields = &fields[..usize::from(field)];
            let mut table = RouteTable::default();
            let mut halfway = None;
            for (at, (name, priority, rule)) in (0..).zip(&changes) {
                match rule {
                    Some(rule) => {
                        let (rule, route) = route(rule, *name, *priority);
                        table.put(rule, route);
                    }
                    None => table.take(&format!("r{name}")),
                }
                if at == changes.len() / 2 {
                    halfway = Some((table.clone(), table.iter().cloned().collect::<Vec<_>>()));
                }
            }
            check_all(&table, fields);
            // An older copy is as it was.
            if let Some((older, routes)) = halfway {
                check_all(&older, fields);
                prop_assert!(older.iter().map(Arc::as_ptr).eq(routes.iter().map(Arc::as_ptr)));
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
