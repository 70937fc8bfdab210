//! References between definitions: services that lead back to themselves or nest too deeply, and
//! chains of middlewares unrolled.

use super::typed::{Middleware, MiddlewareKind, Service, ServiceKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where a service stands in the tree of services.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Levels of services below it.
    Height(u32),
    /// Leads back to itself: the names on the way, the first repeated at the end.
    Cycle(Vec<Arc<str>>),
}

/// The place of each service, by name. References that leave this list count as `outside` levels.
pub fn places(services: &[Arc<Service>], outside: u32) -> BTreeMap<&str, Place> {
    let index: BTreeMap<&str, usize> =
        (0..).zip(services).map(|(i, service)| (&*service.name, i)).collect();
    let below: Vec<Vec<Option<usize>>> = services
        .iter()
        .map(|service| references(service).map(|name| index.get(name).copied()).collect())
        .collect();
    let mut places = vec![Place::Height(0); services.len()];
    for group in groups(&below) {
        let is_cycle = group.len() > 1 || below[group[0]].contains(&Some(group[0]));
        if is_cycle {
            let names: Vec<Arc<str>> = cycle(&group, &below)
                .into_iter()
                .map(|i| services[i].name.as_str().into())
                .collect();
            for i in group {
                places[i] = Place::Cycle(names.clone());
            }
        } else {
            let height = below[group[0]].iter().map(|child| match child.map(|i| &places[i]) {
                Some(Place::Height(height)) => height.saturating_add(1),
                Some(Place::Cycle(_)) => 1,
                None => outside.saturating_add(1),
            });
            places[group[0]] = Place::Height(height.max().unwrap_or(0));
        }
    }
    services.iter().map(|service| &*service.name).zip(places).collect()
}

/// The names a service refers to, in order.
pub fn references(service: &Service) -> impl Iterator<Item = &str> {
    let names: Vec<&str> = match &service.kind {
        ServiceKind::Balancer(_) | ServiceKind::Broken(_) => Vec::new(),
        ServiceKind::Weighted { services, .. } => services.iter().map(|s| &*s.name).collect(),
        ServiceKind::Failover(failover) => vec![&failover.service, &failover.fallback],
        ServiceKind::Mirroring(mirroring) => std::iter::once(&*mirroring.service)
            .chain(mirroring.mirrors.iter().map(|mirror| &*mirror.name))
            .collect(),
    };
    names.into_iter()
}

/// Strongly connected groups, a group after all that it leads to (Tarjan, without recursion: a
/// document may nest as deeply as it likes).
pub(super) fn groups(below: &[Vec<Option<usize>>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let mut order = vec![NEW; below.len()];
    let mut low = vec![0; below.len()];
    let mut open = vec![false; below.len()];
    let (mut stack, mut found, mut counter) = (Vec::new(), Vec::new(), 0);
    for root in 0..below.len() {
        if order[root] != NEW {
            continue;
        }
        let mut walk = vec![(root, 0)];
        while let Some(&mut (node, ref mut next)) = walk.last_mut() {
            if *next == 0 {
                (order[node], low[node], open[node]) = (counter, counter, true);
                counter += 1;
                stack.push(node);
            }
            let child = below[node].get(*next).copied();
            *next += 1;
            match child {
                Some(Some(child)) if order[child] == NEW => walk.push((child, 0)),
                Some(Some(child)) if open[child] => low[node] = low[node].min(order[child]),
                Some(_) => {}
                None => {
                    walk.pop();
                    if let Some(&(parent, _)) = walk.last() {
                        low[parent] = low[parent].min(low[node]);
                    }
                    if low[node] == order[node] {
                        let at = stack.iter().rposition(|n| *n == node).unwrap_or(0);
                        let group = stack.split_off(at);
                        group.iter().for_each(|n| open[*n] = false);
                        found.push(group);
                    }
                }
            }
        }
    }
    found
}

/// One way round within a group.
pub(super) fn cycle(group: &[usize], below: &[Vec<Option<usize>>]) -> Vec<usize> {
    let members: BTreeSet<usize> = group.iter().copied().collect();
    let mut path = Vec::new();
    let mut at = members.first().copied();
    while let Some(node) = at {
        if let Some(start) = path.iter().position(|seen| *seen == node) {
            path.drain(..start);
            path.push(node);
            return path;
        }
        path.push(node);
        at = below[node].iter().flatten().copied().find(|child| members.contains(child));
    }
    path
}

/// Middlewares by name, to unroll chains.
#[derive(Debug, Default)]
pub struct Middlewares(BTreeMap<String, Arc<Middleware>>);

impl Middlewares {
    pub fn new(list: &[Arc<Middleware>]) -> Self {
        Self(list.iter().map(|it| (it.name.clone(), Arc::clone(it))).collect())
    }

    /// The middlewares that these names come to, with chains replaced by what they contain, or
    /// why they cannot be used. `through` learns every name on the way.
    pub fn unroll<'n>(
        &'n self,
        names: &'n [String],
        through: &mut BTreeSet<&'n str>,
    ) -> Result<Vec<&'n Arc<Middleware>>, String> {
        const STEPS_MAX: usize = 256;
        let mut steps = Vec::new();
        let mut walk = vec![names.iter()];
        let mut chains: Vec<&str> = Vec::new();
        while let Some(level) = walk.last_mut() {
            let Some(name) = level.next() else {
                walk.pop();
                chains.pop();
                continue;
            };
            let Some(middleware) = self.0.get(name.as_str()) else {
                return Err(format!("there is no middleware {name}"));
            };
            through.insert(name);
            match &middleware.kind {
                MiddlewareKind::Chain(_) if chains.contains(&name.as_str()) => {
                    chains.push(name);
                    return Err(format!("chain {} contains itself", chains.join(" -> ")));
                }
                MiddlewareKind::Chain(inner) => {
                    chains.push(name);
                    walk.push(inner.iter());
                }
                MiddlewareKind::Broken(why) => {
                    return Err(format!("middleware {name} cannot be used: {why}"));
                }
                MiddlewareKind::StripPrefix(_)
                | MiddlewareKind::StripPrefixRegex { .. }
                | MiddlewareKind::AddPrefix { .. }
                | MiddlewareKind::ReplacePath { .. }
                | MiddlewareKind::ReplacePathRegex(_)
                | MiddlewareKind::Redirect(_)
                | MiddlewareKind::IpAllowList(_)
                | MiddlewareKind::EncodedCharacters(_)
                | MiddlewareKind::RateLimit(_)
                | MiddlewareKind::InFlightReq(_)
                | MiddlewareKind::BasicAuth(_)
                | MiddlewareKind::DigestAuth(_)
                | MiddlewareKind::ForwardAuth(_)
                | MiddlewareKind::CircuitBreaker(_)
                | MiddlewareKind::Headers(_)
                | MiddlewareKind::Retry(_)
                | MiddlewareKind::Buffering(_)
                | MiddlewareKind::Errors(_)
                | MiddlewareKind::Compress(_)
                | MiddlewareKind::ContentType { .. }
                | MiddlewareKind::PassClientCert(_)
                | MiddlewareKind::GrpcWeb(_) => steps.push(middleware),
            }
            if steps.len() > STEPS_MAX {
                return Err(format!("more than {STEPS_MAX} middlewares in a row"));
            }
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::typed::{Failover, Manner, StripPrefix, Weight, WeightedRef};

    fn service(name: &str, members: &[&str]) -> Arc<Service> {
        let services = members
            .iter()
            .map(|name| WeightedRef {
                name: (*name).into(),
                key: (*name).into(),
                weight: Weight::ONE,
                place: crate::config::typed::Place::default(),
            })
            .collect();
        let kind = match members {
            [service, fallback] => ServiceKind::Failover(Failover {
                service: (*service).into(),
                fallback: (*fallback).into(),
                errors: None,
            }),
            _ => ServiceKind::Weighted { services, manner: Manner::default() },
        };
        Arc::new(Service {
            name: name.into(),
            place: crate::config::typed::Place::default(),
            middlewares: Vec::new(),
            kind,
        })
    }

    #[track_caller]
    fn check(graph: &[(&str, &[&str])], expected: &str) {
        let services: Vec<_> = graph.iter().map(|(name, members)| service(name, members)).collect();
        let text = |(name, place): (&str, Place)| match place {
            Place::Height(height) => format!("{name}:{height}"),
            Place::Cycle(names) => format!("{name}:{}", names.join(">")),
        };
        let found: Vec<_> = places(&services, 2).into_iter().map(text).collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn heights_count_levels_and_cycles_are_named_whole() {
        check(&[("a", &["b"]), ("b", &[]), ("c", &["a", "b"])], "a:1 b:0 c:2");
        check(&[("a", &["a"])], "a:a>a");
        check(
            &[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"]), ("e", &[])],
            "a:a>b>c>a b:a>b>c>a c:a>b>c>a d:1 e:0",
        );
        check(&[("a", &["x@multicluster"])], "a:3");
    }

    #[test]
    fn a_service_between_two_cycles_is_in_neither() {
        check(&[("a", &["a", "m"]), ("m", &["z"]), ("z", &["z"])], "a:a>a m:1 z:z>z");
    }

    #[test]
    fn deep_nesting_needs_no_deep_stack() {
        let names: Vec<String> = (0..50_000).map(|i| format!("s{i:05}")).collect();
        let services: Vec<_> =
            names.windows(2).map(|pair| service(&pair[0], &[&pair[1]])).collect();
        assert_eq!(places(&services, 0).get("s00000"), Some(&Place::Height(49_999)));
    }

    /// Whether a node can come back to itself, by trying all ways.
    fn returns(graph: &[Vec<usize>], from: usize) -> bool {
        let mut seen = vec![false; graph.len()];
        let mut todo = graph[from].clone();
        while let Some(node) = todo.pop() {
            if node == from {
                return true;
            }
            if !std::mem::replace(&mut seen[node], true) {
                todo.extend(&graph[node]);
            }
        }
        false
    }

    #[test]
    fn every_graph_of_four_services_is_sorted_out() {
        let names = ["a", "b", "c", "d"];
        for code in 0..1u32 << 16 {
            let graph: Vec<Vec<usize>> =
                (0..4).map(|i| (0..4).filter(|j| code >> (4 * i + j) & 1 == 1).collect()).collect();
            let services: Vec<_> = (0..4)
                .map(|i| service(names[i], &graph[i].iter().map(|j| names[*j]).collect::<Vec<_>>()))
                .collect();
            for (i, place) in (0..).zip(places(&services, 0).values()) {
                let is_cycle = matches!(place, Place::Cycle(_));
                assert_eq!(is_cycle, returns(&graph, i), "{graph:?} at {i}");
            }
        }
    }

    fn middleware(name: &str, kind: MiddlewareKind) -> Arc<Middleware> {
        let place = crate::config::typed::Place::default();
        Arc::new(Middleware { name: name.into(), place, kind })
    }

    #[test]
    fn chains_unroll_in_order_and_never_for_ever() {
        let chain = |names: &[&str]| {
            MiddlewareKind::Chain(names.iter().map(|name| (*name).to_owned()).collect())
        };
        let list = [
            middleware("add", MiddlewareKind::AddPrefix { prefix: "/a".into() }),
            middleware("strip", MiddlewareKind::StripPrefix(StripPrefix::default())),
            middleware("both", chain(&["add", "strip"])),
            middleware("twice", chain(&["both", "add", "both"])),
            middleware("loop", chain(&["add", "back"])),
            middleware("back", chain(&["loop"])),
            middleware("bad", MiddlewareKind::Broken("no such kind".into())),
        ];
        let middlewares = Middlewares::new(&list);
        for (name, expected) in [
            ("add", Ok("add")),
            ("twice", Ok("add strip add add strip")),
            ("loop", Err("chain loop -> back -> loop contains itself")),
            ("bad", Err("middleware bad cannot be used: no such kind")),
            ("none", Err("there is no middleware none")),
        ] {
            let names = [name.to_owned()];
            let mut through = BTreeSet::new();
            let steps = middlewares.unroll(&names, &mut through);
            let steps = steps
                .map(|list| list.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(" "));
            assert_eq!(steps.as_deref().map_err(String::as_str), expected, "{name}");
        }
    }
}
