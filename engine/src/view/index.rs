//! Which routes are worth trying for a request, so that the cost of routing does not grow with the
//! number of routes.
//!
//! Most rules demand a host, a path or a prefix of it. Each route is filed under what its rule
//! demands, first by host, then by path. A request looks where its own host and path lead, and
//! where routes stand that demand nothing; of all that match there, the first in order wins.

use crate::http::request::RequestInfo;
use crate::rule::{HostPattern, Matcher, Node};
use std::collections::BTreeMap;

/// Routes by what they demand.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: BTreeMap<Box<str>, Paths>,
    /// One label under this.
    under: BTreeMap<Box<str>, Paths>,
    any: Paths,
}

/// Positions of routes, ascending in each list.
#[derive(Debug, Default)]
struct Paths {
    exact: BTreeMap<Box<str>, Vec<u32>>,
    prefixes: BTreeMap<Box<[u8]>, Vec<u32>>,
    /// Lengths of prefixes, ascending.
    lengths: Vec<usize>,
    any: Vec<u32>,
}

/// What must hold for a rule to match; nothing if that cannot be said in few words.
type Demand<T> = Option<Vec<T>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum HostDemand {
    Exact(String),
    Under(String),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PathDemand {
    Exact(String),
    Prefix(String),
}

/// A rule with more alternatives than this is filed under none of them.
const ALTERNATIVES_MAX: usize = 64;

impl Index {
    pub(super) fn new<'a>(rules: impl Iterator<Item = &'a Node>) -> Self {
        let mut index = Self::default();
        for (at, rule) in (0..).zip(rules) {
            let paths = demand(rule, &path_demand);
            match demand(rule, &host_demand) {
                None => index.any.file(at, paths.as_deref()),
                Some(hosts) => {
                    for host in hosts {
                        let bucket = match host {
                            HostDemand::Exact(host) => index.exact.entry(host.into()),
                            HostDemand::Under(host) => index.under.entry(host.into()),
                        };
                        bucket.or_default().file(at, paths.as_deref());
                    }
                }
            }
        }
        index
    }

    /// The first position in order for which `matches` holds.
    pub(super) fn first(
        &self,
        request: &RequestInfo<'_>,
        matches: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let host = request.host.strip_suffix('.').unwrap_or(request.host);
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let mut best = None;
        let buckets = [
            self.exact.get(host),
            parent.and_then(|parent| self.under.get(parent)),
            Some(&self.any),
        ];
        for bucket in buckets.into_iter().flatten() {
            bucket.improve(request.path, &matches, &mut best);
        }
        best
    }
}

impl Paths {
    fn file(&mut self, at: u32, demands: Option<&[PathDemand]>) {
        let Some(demands) = demands else {
            self.any.push(at);
            return;
        };
        for demand in demands {
            let list = match demand {
                PathDemand::Exact(path) => self.exact.entry(path.as_str().into()).or_default(),
                PathDemand::Prefix(prefix) => {
                    if let Err(place) = self.lengths.binary_search(&prefix.len()) {
                        self.lengths.insert(place, prefix.len());
                    }
                    self.prefixes.entry(prefix.as_bytes().into()).or_default()
                }
            };
            list.push(at);
        }
    }

    fn improve(&self, path: &str, matches: &impl Fn(u32) -> bool, best: &mut Option<u32>) {
        if let Some(list) = self.exact.get(path) {
            try_list(list, matches, best);
        }
        for &length in self.lengths.iter().rev() {
            let prefix = path.as_bytes().get(..length);
            if let Some(list) = prefix.and_then(|prefix| self.prefixes.get(prefix)) {
                try_list(list, matches, best);
            }
        }
        try_list(&self.any, matches, best);
    }
}

/// Looks for a match before the best so far.
fn try_list(list: &[u32], matches: &impl Fn(u32) -> bool, best: &mut Option<u32>) {
    let better = list.iter().take_while(|at| best.is_none_or(|best| **at < best));
    if let Some(at) = better.copied().find(|at| matches(*at)) {
        *best = Some(at);
    }
}

fn demand<T: Ord>(rule: &Node, of: &impl Fn(&Matcher) -> Option<T>) -> Demand<T> {
    match rule {
        Node::Match(matcher) => of(matcher).map(|demand| vec![demand]),
        Node::Not(_) => None,
        // Any part's demand is the whole's; the one with the fewest alternatives says most.
        Node::And(parts) => parts.iter().filter_map(|part| demand(part, of)).min_by_key(Vec::len),
        Node::Or(parts) => {
            let all: Option<Vec<Vec<T>>> = parts.iter().map(|part| demand(part, of)).collect();
            let mut all: Vec<T> = all?.into_iter().flatten().collect();
            all.sort();
            all.dedup();
            (all.len() <= ALTERNATIVES_MAX).then_some(all)
        }
    }
}

fn host_demand(matcher: &Matcher) -> Option<HostDemand> {
    let Matcher::Host(pattern) = matcher else { return None };
    match pattern {
        HostPattern::Any => None,
        HostPattern::OneLabelUnder(parent) => Some(HostDemand::Under(parent.clone())),
        HostPattern::Exactly(host) => Some(HostDemand::Exact(host.clone())),
    }
}

fn path_demand(matcher: &Matcher) -> Option<PathDemand> {
    if let Matcher::Path(path) = matcher {
        return Some(PathDemand::Exact(path.clone()));
    }
    let Matcher::PathPrefix(prefix) = matcher else { return None };
    // Every path begins with a slash, nearly.
    (prefix != "/").then(|| PathDemand::Prefix(prefix.clone()))
}
