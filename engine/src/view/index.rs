//! Which routes are worth trying for a request, so that the cost of routing does not grow with the
//! number of routes.
//!
//! Most rules demand a host, a path or a prefix of it, and regular expressions often say how a host
//! ends or a path begins. Each route is filed under what its rule demands, first by host, then by
//! path. A request looks where its own host and path lead, and where routes stand that demand
//! nothing; of all that match there, the first in order wins.

use super::map::{Map, Stay};
use crate::http::request::RequestInfo;
use crate::rule::{HostPattern, Matcher, Node};
use std::cmp::Reverse;
use std::sync::Arc;

/// A route in the order of routes: highest priority first, then by provider, then by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Seat {
    pub(super) priority: Reverse<i64>,
    /// Of the provider.
    pub(super) rank: u8,
    pub(super) name: Arc<str>,
    pub(super) at: u32,
}

/// Routes by what they demand.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    exact: Map<Arc<Paths>>,
    /// One label under this.
    under: Map<Arc<Paths>>,
    /// Any number of labels under this.
    beneath: Map<Arc<Paths>>,
    any: Paths,
}

/// In order in each list.
#[derive(Clone, Debug, Default)]
struct Paths {
    exact: Map<Vec<Seat>>,
    prefixes: Map<Vec<Seat>>,
    /// Lengths of prefixes and how many have them, ascending.
    lengths: Vec<(usize, u32)>,
    any: Vec<Seat>,
}

/// What must hold for a rule to match; nothing if that cannot be said in few words.
type Demand<T> = Option<Vec<T>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum HostDemand {
    Exact(String),
    Under(String),
    Beneath(String),
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PathDemand {
    Exact(String),
    Prefix(String),
}

/// A rule with more alternatives than this is filed under none of them.
const ALTERNATIVES_MAX: usize = 4_096;

#[derive(Clone, Copy)]
enum Change<'s> {
    Add(&'s Seat),
    Remove(&'s Seat),
}

impl Index {
    pub(super) fn add(&mut self, rule: &Node, seat: &Seat) {
        self.change(rule, Change::Add(seat));
    }

    pub(super) fn remove(&mut self, rule: &Node, seat: &Seat) {
        self.change(rule, Change::Remove(seat));
    }

    fn change(&mut self, rule: &Node, change: Change<'_>) {
        let paths = demand(rule, &path_demand, &PathDemand::strength);
        let Some(hosts) = demand(rule, &host_demand, &HostDemand::strength) else {
            self.any.change(paths.as_deref(), change);
            return;
        };
        for host in &hosts {
            let (map, key) = match host {
                HostDemand::Exact(host) => (&mut self.exact, host),
                HostDemand::Under(host) => (&mut self.under, host),
                HostDemand::Beneath(host) => (&mut self.beneath, host),
            };
            map.edit(key.as_bytes(), |bucket| {
                let bucket = Arc::make_mut(bucket);
                bucket.change(paths.as_deref(), change);
                Stay::unless(bucket.is_empty())
            });
        }
    }

    /// The first in order for which `matches` holds.
    pub(super) fn first<'t>(
        &'t self,
        request: &RequestInfo<'_>,
        matches: impl Fn(u32) -> bool,
    ) -> Option<&'t Seat> {
        let host = request.host.strip_suffix('.').unwrap_or(request.host);
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let mut best = None;
        if let Some(bucket) = self.exact.get(host.as_bytes()) {
            bucket.improve(request.path, &matches, &mut best);
        }
        if let Some(bucket) = parent.and_then(|parent| self.under.get(parent.as_bytes())) {
            bucket.improve(request.path, &matches, &mut best);
        }
        let mut rest = if self.beneath.is_empty() { None } else { parent };
        while let Some(above) = rest {
            if let Some(bucket) = self.beneath.get(above.as_bytes()) {
                bucket.improve(request.path, &matches, &mut best);
            }
            rest = above.split_once('.').map(|(_, above)| above);
        }
        self.any.improve(request.path, &matches, &mut best);
        best
    }
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.any.is_empty()
    }

    fn change(&mut self, demands: Option<&[PathDemand]>, change: Change<'_>) {
        let Some(demands) = demands else {
            put(&mut self.any, change);
            return;
        };
        for demand in demands {
            match demand {
                PathDemand::Exact(path) => self.exact.edit(path.as_bytes(), |list| {
                    put(list, change);
                    Stay::unless(list.is_empty())
                }),
                PathDemand::Prefix(prefix) => {
                    let (mut before, mut after) = (0, 0);
                    self.prefixes.edit(prefix.as_bytes(), |list| {
                        before = list.len();
                        put(list, change);
                        after = list.len();
                        Stay::unless(list.is_empty())
                    });
                    self.count(prefix.len(), before == 0, after == 0);
                }
            }
        }
    }

    /// Counts prefixes of a length that came or went.
    fn count(&mut self, length: usize, was_empty: bool, is_empty: bool) {
        if was_empty == is_empty {
            return;
        }
        match self.lengths.binary_search_by_key(&length, |(length, _)| *length) {
            Ok(place) if was_empty => self.lengths[place].1 += 1,
            Ok(place) if self.lengths[place].1 == 1 => drop(self.lengths.remove(place)),
            Ok(place) => self.lengths[place].1 -= 1,
            Err(place) => self.lengths.insert(place, (length, 1)),
        }
    }

    fn improve<'t>(
        &'t self,
        path: &str,
        matches: &impl Fn(u32) -> bool,
        best: &mut Option<&'t Seat>,
    ) {
        if let Some(list) = self.exact.get(path.as_bytes()) {
            try_list(list, matches, best);
        }
        let reaching = self.lengths.partition_point(|(length, _)| *length <= path.len());
        for (length, _) in self.lengths[..reaching].iter().rev() {
            if let Some(list) = self.prefixes.get(&path.as_bytes()[..*length]) {
                try_list(list, matches, best);
            }
        }
        try_list(&self.any, matches, best);
    }
}

fn put(list: &mut Vec<Seat>, change: Change<'_>) {
    match change {
        Change::Add(seat) => {
            if let Err(place) = list.binary_search(seat) {
                list.insert(place, seat.clone());
            }
        }
        Change::Remove(seat) => {
            if let Ok(place) = list.binary_search(seat) {
                list.remove(place);
            }
        }
    }
}

/// Looks for a match before the best so far.
fn try_list<'t>(list: &'t [Seat], matches: &impl Fn(u32) -> bool, best: &mut Option<&'t Seat>) {
    let better = list.iter().take_while(|seat| best.is_none_or(|best| *seat < best));
    if let Some(seat) = better.into_iter().find(|seat| matches(seat.at)) {
        *best = Some(seat);
    }
}

fn demand<T: Ord>(
    rule: &Node,
    of: &impl Fn(&Matcher) -> Option<T>,
    strength: &impl Fn(&T) -> usize,
) -> Demand<T> {
    match rule {
        Node::Match(matcher) => of(matcher).map(|demand| vec![demand]),
        Node::Not(_) => None,
        // Any part's demand is the whole's; the one with the fewest alternatives says most.
        Node::And(parts) => {
            let all = parts.iter().filter_map(|part| demand(part, of, strength));
            all.min_by_key(|list| (list.len(), Reverse(list.iter().map(strength).min())))
        }
        Node::Or(parts) => {
            let all: Option<Vec<Vec<T>>> =
                parts.iter().map(|part| demand(part, of, strength)).collect();
            let mut all: Vec<T> = all?.into_iter().flatten().collect();
            all.sort();
            all.dedup();
            (all.len() <= ALTERNATIVES_MAX).then_some(all)
        }
    }
}

impl HostDemand {
    /// How much it says: an exact name most, then the longest.
    fn strength(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Under(name) | Self::Beneath(name) => name.len(),
        }
    }
}

impl PathDemand {
    fn strength(&self) -> usize {
        match self {
            Self::Exact(_) => usize::MAX,
            Self::Prefix(prefix) => prefix.len(),
        }
    }
}

fn host_demand(matcher: &Matcher) -> Option<HostDemand> {
    if let Matcher::Host(pattern) = matcher {
        return match pattern {
            HostPattern::Any => None,
            HostPattern::OneLabelUnder(parent) => Some(HostDemand::Under(parent.clone())),
            HostPattern::Exactly(host) => Some(HostDemand::Exact(host.clone())),
        };
    }
    let Matcher::HostRegexp(pattern) = matcher else { return None };
    let ends = pattern.ends();
    if ends.whole && !ends.end.ends_with('.') {
        return Some(HostDemand::Exact(ends.end));
    }
    // Behind the first dot there are whole labels.
    let (_, labels) = ends.end.split_once('.')?;
    let says = !labels.is_empty() && !labels.ends_with('.');
    says.then(|| HostDemand::Beneath(labels.to_owned()))
}

fn path_demand(matcher: &Matcher) -> Option<PathDemand> {
    if let Matcher::Path(path) = matcher {
        return Some(PathDemand::Exact(path.clone()));
    }
    let prefix = if let Matcher::PathPrefix(path) = matcher {
        path.clone()
    } else if let Matcher::PathRegexp(pattern) = matcher {
        let ends = pattern.ends();
        if ends.whole {
            return Some(PathDemand::Exact(ends.start));
        }
        ends.start
    } else {
        return None;
    };
    // Every path begins with a slash, nearly.
    (!prefix.is_empty() && prefix != "/").then_some(PathDemand::Prefix(prefix))
}
