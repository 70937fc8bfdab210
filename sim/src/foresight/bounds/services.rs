//! Which services go on without a child: asked of the whole of the documents, with the child gone.

use super::form::Trouble;
use super::{Judged, TICK};
use crate::foresight::documents::Documents;
use crate::foresight::stage::Stage;
use crate::terrain::Way;
use engine::base::id::ServiceId;
use engine::base::time::Span;
use engine::view::{NodeKind, View};
use std::collections::BTreeSet;

/// A service that routers of the parent name, and a child below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Qualified.
    pub service: String,
    pub child: String,
    /// Somebody else serves when the child is gone.
    pub goes_on: bool,
    /// By kind of trouble, until everything has moved; none is never.
    pub moved: [Option<Span>; 4],
}

pub(super) fn losses(documents: &Documents, judged: &[Judged]) -> Vec<Loss> {
    let stage = Stage::settled(documents);
    let Some(view) = stage.processes[0].view.clone() else { return Vec::new() };
    let mut losses = Vec::new();
    for (at, child) in view.children.iter().enumerate() {
        let after = without(documents, &child.name, judged);
        for (id, name) in served(&view) {
            let below = offers(&view, id, at);
            if below.is_empty() {
                continue;
            }
            let after = after.as_ref().and_then(|view| view.services.get(id.0));
            let moved = Trouble::ALL.map(|trouble| {
                let mine =
                    |it: &&Judged| it.unit.process == "parent" && below.contains(&it.unit.service);
                let all = judged.iter().filter(mine).map(|it| it.moved(trouble));
                all.reduce(|a, b| Some(a?.max(b?))).flatten()
            });
            losses.push(Loss {
                service: name,
                child: child.name.to_string(),
                goes_on: after.is_some_and(|node| node.up),
                moved,
            });
        }
    }
    losses.sort_by(|a, b| (&a.service, &a.child).cmp(&(&b.service, &b.child)));
    losses
}

/// What the parent knows once a child has been gone for long enough.
fn without(documents: &Documents, child: &str, judged: &[Judged]) -> Option<std::sync::Arc<View>> {
    let mut stage = Stage::settled(documents);
    let zone = stage.places.iter().find(|place| place.name == child)?.zone;
    let longest = judged.iter().filter_map(|it| it.moved(Trouble::BlackHoled)).max();
    stage.net.terrain.set_way(zone, Way::Lost);
    let lasts = longest.unwrap_or(Span::ZERO) + TICK + Span::secs(60);
    stage.run_until(stage.net.now + lasts, |_| false);
    stage.processes[0].view.clone()
}

/// Services that routers name, and that are not our own.
fn served(view: &View) -> Vec<(ServiceId, String)> {
    let used = view.model.services_by_name.iter().filter_map(|id| {
        let info = view.model.services.get(id.0)?;
        let ours =
            view.services.get(id.0).is_some_and(|node| matches!(node.kind, NodeKind::Internal(_)));
        (!info.used_by.is_empty() && !ours).then(|| (*id, info.name.to_string()))
    });
    used.collect()
}

/// Services below one that are offers of a child.
fn offers(view: &View, service: ServiceId, child: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![service];
    while let Some(id) = open.pop() {
        let Some(node) = view.services.get(id.0).filter(|_| seen.insert(id)) else { continue };
        match &node.kind {
            NodeKind::Balancer { servers, .. } => {
                let of = |uplink: &engine::view::UplinkRef| usize::from(uplink.child.0) == child;
                if servers.iter().any(|server| server.uplink.as_ref().is_some_and(of)) {
                    found.insert(node.name.to_string());
                }
            }
            NodeKind::Weighted { services, .. } => open.extend(services.iter()),
            NodeKind::Failover { main, fallback, .. } => open.extend([*main, *fallback]),
            NodeKind::Mirroring(mirroring) => open.push(mirroring.main),
            NodeKind::Internal(_) | NodeKind::Unavailable(_) => {}
        }
    }
    found
}
