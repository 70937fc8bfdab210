//! All requests of a capsule decided again, and what differs.

use super::decide::{Decision, Judge};
use super::{Request, Stage, requests};
use crate::http::discreet::is_shown;
use crate::rule::{Matcher, Node};
use crate::service::middleware::Step;
use crate::view::{Offer, RouteTable, View};
use crate::worker::capsule::Capsule;
use crate::worker::recording::event::{Sent, To};
use std::collections::BTreeSet;

/// A request about which something else is decided.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    pub request: Request,
    /// What differs first: `router`, `answer`, `service`, …
    pub what: &'static str,
    pub recorded: Decision,
    pub replayed: Decision,
}

/// What replaying found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    pub requests: u64,
    pub identical: u64,
    /// Those that differ, in the order in which they came.
    pub different: Vec<Difference>,
    /// Those that seem to differ, and looked at what a capsule does not tell.
    pub unknowable: u64,
    /// Those of which the capsule knows only the end.
    pub headless: u64,
    /// Those about whose way nothing was decided yet, or whose client left before.
    pub undecided: u64,
    /// Those decided by views that the capsule does not have any more.
    pub forgotten: u64,
}

/// Decides about every request anew; `same` says by the configuration of the capsule.
///
/// # Errors
/// A request that cannot be one.
pub fn replay(capsule: &Capsule, stage: &Stage, same: bool) -> Result<Told, String> {
    let (all, headless) = requests(capsule);
    let mut told = Told { requests: all.len() as u64, headless, ..Told::default() };
    let unseen = stage.unseen(!same);
    for request in all {
        let Some(view) = stage.views.get(&request.asked.epoch) else {
            told.forgotten += 1;
            continue;
        };
        let recorded = Decision::recorded(&request);
        if request.is_before_steps() && request.answered().is_none() {
            told.undecided += 1;
            continue;
        }
        let judge = Judge { view, request: &request, same };
        let replayed = judge.decide().map_err(|why| format!("{}: {why}", request.line()))?;
        match first_difference(&recorded, &replayed, same) {
            None => told.identical += 1,
            Some(_) if is_unknowable(&request, &replayed, view, stage, &unseen) => {
                told.unknowable += 1;
            }
            Some(what) => {
                told.different.push(Difference { request, what, recorded, replayed });
            }
        }
    }
    Ok(told)
}

fn first_difference(one: &Decision, two: &Decision, same: bool) -> Option<&'static str> {
    if one.router != two.router {
        return Some("router");
    }
    if one.end.map(|end| end.status) != two.end.map(|end| end.status) {
        return Some("answer");
    }
    let step = |decision: &Decision| decision.end.and_then(|end| end.step);
    if same && step(one).zip(step(two)).is_some_and(|(one, two)| one != two) {
        return Some("middleware");
    }
    if !same {
        let (one, two) = (reached(one), reached(two));
        return match (one, two) {
            _ if one.map(|it| &it.service) != two.map(|it| &it.service) => Some("service"),
            _ if one.map(|it| &it.to) != two.map(|it| &it.to) => Some("server"),
            _ => None,
        };
    }
    let path = |sent: &Sent| -> Vec<(String, u16)> {
        sent.choices.iter().map(|it| (it.service.clone(), it.turn)).collect()
    };
    let differs = |one: &Sent, two: &Sent| match () {
        () if one.service != two.service => Some("service"),
        () if one.to != two.to => Some("server"),
        () if path(one) != path(two) => Some("turn"),
        () if one.choices != two.choices => Some("ticket"),
        () if one.mirrored != two.mirrored => Some("mirror"),
        () => None,
    };
    let mut ways = one.ways.iter().zip(&two.ways);
    let retried = (one.ways.len() != two.ways.len()).then_some("retry");
    ways.find_map(|(one, two)| differs(one, two)).or(retried)
}

/// The first way that did not end before middlewares.
fn reached(decision: &Decision) -> Option<&Sent> {
    decision.ways.iter().find(|sent| !matches!(sent.to, To::Guarded(_)))
}

/// Whether something that a capsule does not tell had a part in it.
fn is_unknowable(
    request: &Request,
    replayed: &Decision,
    view: &View,
    stage: &Stage,
    unseen: &BTreeSet<String>,
) -> bool {
    let asked = &request.asked;
    let hidden = |(name, value): &(String, String)| {
        value.starts_with('~') && unseen.contains(&name.to_lowercase())
    };
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let hidden_query =
        pairs.any(|(name, value)| value.starts_with('~') && unseen.contains(&name.to_lowercase()));
    let raced = stage.workers > 1
        && request.sent.iter().flat_map(|it| &it.choices).any(|it| !it.loads.is_empty());
    let has = |is: fn(&Step) -> bool| goes_through(view, &asked.entry, &replayed.router, is);
    let consulted = !view.layers.is_empty() && has(|it| matches!(it, Step::ForwardAuth(_)));
    // What an error page says in the place of an answer may have another status.
    let pages: fn(&Step) -> bool = |it| matches!(it, Step::Errors(_));
    let paged = request.is_before_steps() && (has(pages) || is_paged_below(view, &replayed.ways));
    let passed_by = |ways: &[Sent]| ways.iter().any(|way| way.passed_by);
    let broken = passed_by(&request.sent) || passed_by(&replayed.ways);
    paged
        || broken
        || asked.cut
        || raced
        || consulted
        || hidden_query
        || asked.fields.iter().any(hidden)
}

/// Whether a service on the way gives pages of its own.
fn is_paged_below(view: &View, ways: &[Sent]) -> bool {
    let guarded =
        |sent: &Sent| if let To::Guarded(name) = &sent.to { Some(name.clone()) } else { None };
    let names: BTreeSet<String> = ways.iter().filter_map(guarded).collect();
    let mut met = view.services.iter().filter(|node| names.contains(&*node.name));
    met.any(|node| {
        let steps = node.guard.iter().flat_map(|guard| guard.steps.iter());
        steps.into_iter().any(|step| matches!(step, Step::Errors(_)))
    })
}

/// Whether a router has such a middleware.
fn goes_through(view: &View, entry: &str, router: &str, is: fn(&Step) -> bool) -> bool {
    let entry = view.entries.iter().find(|it| it.settings.name == entry);
    let mut tables: Vec<&RouteTable> = view.layers.iter().map(|table| &**table).collect();
    match entry.map(|entry| &entry.offer) {
        Some(Offer::Routes(routes)) => tables.push(routes),
        Some(Offer::Uplinks { uplinks, .. }) => tables.extend(uplinks.iter().map(|it| &*it.routes)),
        None => {}
    }
    tables.extend(entry.and_then(|entry| entry.secure.as_ref()).map(|side| &*side.routes));
    let mut routes = tables.into_iter().flat_map(RouteTable::iter);
    routes.any(|route| *route.name == *router && route.steps.iter().any(is))
}

/// Names that a rule asks about and of whose values a capsule has hashes.
pub(super) fn unseen(node: &Node, changed: bool, names: &mut BTreeSet<String>) {
    match node {
        Node::Match(Matcher::HeaderRegexp { name, .. }) if !is_shown(name) => {
            names.insert(name.to_lowercase());
        }
        Node::Match(Matcher::QueryRegexp { key, .. }) => {
            names.insert(key.to_lowercase());
        }
        Node::Match(Matcher::Header { name, .. }) if changed && !is_shown(name) => {
            names.insert(name.to_lowercase());
        }
        Node::Match(Matcher::Query { key, .. }) if changed => {
            names.insert(key.to_lowercase());
        }
        Node::Match(_) => {}
        Node::Not(inner) => unseen(inner, changed, names),
        Node::And(parts) | Node::Or(parts) => {
            parts.iter().for_each(|part| unseen(part, changed, names));
        }
    }
}
