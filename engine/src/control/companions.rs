//! Who stands in for a server: the others of its service, or those of the other children that
//! offer the same uplink.

use crate::base::id::{ServerId, ServiceId};
use crate::config::typed::ServiceKind;
use crate::view::model::Definition;
use crate::view::{NodeKind, ServerNode, View};
use std::sync::Arc;

/// Servers with weight beside `server` of `service`.
pub(super) fn of(view: &View, service: ServiceId, server: ServerId) -> Vec<ServerId> {
    match view.model.services.get(service.0).map(|info| &info.definition) {
        Some(Definition::Written(written)) => {
            let ServiceKind::Balancer(balancer) = &written.kind else { return Vec::new() };
            servers_of(view, service)
                .iter()
                .filter(|node| node.id != server)
                .filter(|node| {
                    let written = balancer.servers.iter().find(|it| *it.url == *node.url);
                    written.is_none_or(|it| it.weight.get() > 0)
                })
                .map(|node| node.id)
                .collect()
        }
        Some(Definition::Child { .. }) => siblings(view, service)
            .iter()
            .filter(|(sibling, weight)| *sibling != service && *weight > 0)
            .flat_map(|(sibling, _)| servers_of(view, *sibling))
            .map(|node| node.id)
            .collect(),
        Some(Definition::Aggregate { .. } | Definition::Internal(_)) | None => Vec::new(),
    }
}

pub(super) fn servers_of(view: &View, service: ServiceId) -> &[Arc<ServerNode>] {
    match view.services.get(service.0).map(|node| &node.kind) {
        Some(NodeKind::Balancer { servers, .. }) => servers,
        Some(_) | None => &[],
    }
}

/// The members of the aggregate that `service` belongs to.
fn siblings(view: &View, service: ServiceId) -> Arc<[(ServiceId, u32)]> {
    let members = view.model.services.iter().find_map(|info| match &info.definition {
        Definition::Aggregate { members } => {
            members.iter().any(|(member, _)| *member == service).then_some(members)
        }
        Definition::Written(_) | Definition::Child { .. } | Definition::Internal(_) => None,
    });
    members.map(Arc::clone).unwrap_or_default()
}
