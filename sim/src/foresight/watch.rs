//! What an operator would see change: health, tiers and children, by comparing views.

use engine::base::time::Time;
use engine::view::{NodeKind, Side, View};
use std::collections::BTreeMap;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moment {
    pub at: Time,
    /// The place whose view, or whose misfortune, it was.
    pub place: String,
    pub what: String,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) start: Time,
    pub(super) moments: Vec<Moment>,
    /// By place: what was seen last, by subject.
    seen: BTreeMap<usize, BTreeMap<String, String>>,
}

impl Watch {
    pub(super) fn note(&mut self, at: Time, place: &str, what: String) {
        self.moments.push(Moment { at, place: place.to_owned(), what });
    }

    pub(super) fn forget(&mut self, place: usize) {
        self.seen.remove(&place);
    }

    pub(super) fn see(&mut self, place: usize, name: &str, view: &View, now: Time) {
        let new = facts(view);
        let old = self.seen.insert(place, new.clone()).unwrap_or_default();
        // What a process that has just begun reads for the first time is no change.
        if old.get(APPLIED).is_none_or(|applied| applied == "0") {
            return;
        }
        for (subject, fact) in &new {
            let before = old.get(subject);
            if before.is_some_and(|before| before != fact) {
                let before = before.map_or("", String::as_str);
                let why = reason(view, subject, fact);
                self.note(now, name, format!("{subject}: {before} -> {fact}{why}"));
            } else if before.is_none() {
                self.note(now, name, format!("{subject}: {fact}"));
            }
        }
        for subject in old.keys().filter(|subject| !new.contains_key(*subject)) {
            self.note(now, name, format!("{subject}: gone"));
        }
    }
}

const APPLIED: &str = "configurations applied";

/// What is worth telling when it changes.
fn facts(view: &View) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    for (child, status) in view.children.iter().zip(view.status.children.iter()) {
        facts.insert(format!("child {}", child.name), status.phase.name().to_owned());
        for uplink in &child.uplinks {
            let subject = format!("uplink {} of {}", uplink.name, child.name);
            facts.insert(subject, uplink.standing.name().to_owned());
        }
    }
    for service in view.services.iter() {
        if let NodeKind::Failover { side, .. } = &service.kind {
            let side = match side {
                Side::Main => "main",
                Side::Fallback => "fallback",
                Side::Neither => "nobody",
            };
            facts.insert(format!("failover {}", service.name), side.to_owned());
        }
        // What children offer was told of above.
        let offered = service.name.ends_with("@multicluster");
        if !offered && !matches!(service.kind, NodeKind::Internal(_)) {
            let state = if service.up { "up" } else { "down" };
            facts.insert(format!("service {}", service.name), state.to_owned());
        }
    }
    facts.insert("configuration refused".to_owned(), view.status.reloads.last_refused.to_string());
    facts.insert(APPLIED.to_owned(), view.status.reloads.applied.to_string());
    facts
}

/// The reason that the view has for a fact, in brackets.
fn reason(view: &View, subject: &str, fact: &str) -> String {
    let mut why = None;
    if let Some(child) = subject.strip_prefix("child ") {
        let at = view.children.iter().position(|it| *it.name == *child);
        why = at.and_then(|at| view.status.children.iter().nth(at)).map(|it| it.error.clone());
    } else if fact == "down" {
        let down = view
            .status
            .servers
            .iter()
            .find(|server| !server.reason.is_empty() && server_is_below(view, subject, server));
        why = down.map(|server| server.reason.clone());
    }
    why.filter(|why| !why.is_empty()).map_or_else(String::new, |why| format!(" ({why})"))
}

/// Whether the server whose status this is belongs to the service or uplink of a subject.
fn server_is_below(
    view: &View,
    subject: &str,
    status: &std::sync::Arc<engine::view::status::ServerStatus>,
) -> bool {
    let wanted = subject.strip_prefix("service ").map(str::to_owned).or_else(|| {
        let (uplink, child) = subject.strip_prefix("uplink ")?.split_once(" of ")?;
        Some(format!("{uplink}-{child}@multicluster"))
    });
    let Some(wanted) = wanted else { return false };
    let node = view.services.iter().find(|service| *service.name == *wanted);
    node.is_some_and(|node| match &node.kind {
        NodeKind::Balancer { servers, .. } => servers.iter().any(|server| {
            let known = view.status.servers.get(server.id.0);
            known.is_some_and(|known| std::sync::Arc::ptr_eq(known, status))
        }),
        NodeKind::Weighted { .. }
        | NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => false,
    })
}
