//! From a route to a server: one walk down the tree of services, one ticket per balancer.

use super::exchange::{Again, Choices, ServerRef, service_of};
use super::record::Choice;
use crate::base::id::ServiceId;
use crate::service::choosing::{Asker, Chosen, Tried};
use crate::service::load::Load;
use crate::service::mirror;
use crate::view::{Internal, NodeKind, ServiceNode, Side, Turns, View};
use std::sync::Arc;

/// Where a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pick {
    Server(ServerRef),
    Internal(Internal),
    /// Nobody can serve: what the client reads.
    Nobody(&'static str),
}

/// What a walk found besides its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Walk {
    pub(super) pick: Pick,
    /// The innermost service reached.
    pub(super) service: ServiceId,
    /// A mirror wants this request.
    pub(super) mirrored: bool,
    /// A failover above the pick judges by status.
    pub(super) judged: bool,
    /// A service on the way gives the client a cookie.
    pub(super) sets_cookie: bool,
}

const NO_SERVER: &str = "no available server\n";
const NO_SIDE: &str = "Service Unavailable\n";

/// Walks from `from` to a server, noting each decision. Bounded by the room for choices.
pub(super) fn walk(
    view: &View,
    from: ServiceId,
    choices: &mut Choices,
    depth_max: u32,
    asker: &Asker<'_>,
    again: Option<&Again>,
) -> Walk {
    let mut walk = Walk {
        pick: Pick::Nobody(NO_SERVER),
        service: from,
        mirrored: false,
        judged: false,
        sets_cookie: false,
    };
    loop {
        let Some(node) = service_of(view, walk.service) else { return walk };
        let mut member = |chosen: Chosen| {
            let Chosen { position: turn, ticket, session, instead } = chosen;
            walk.sets_cookie |= session.sets_cookie();
            choices.push(Choice { service: node.id, ticket, turn, session, instead }, depth_max)
        };
        let mut note = |turn| member(Chosen::plain(turn, 0));
        let next = match &node.kind {
            NodeKind::Balancer { turns, .. } => {
                if let Some(chosen) = choose(node, turns, asker, again)
                    && member(chosen)
                {
                    let position = chosen.position;
                    walk.pick = Pick::Server(ServerRef { service: node.id, position });
                }
                return walk;
            }
            NodeKind::Weighted { turns, services } => {
                let Some(chosen) = choose(node, turns, asker, again) else { return walk };
                let next = services.get(usize::from(chosen.position)).copied();
                next.filter(|_| member(chosen))
            }
            NodeKind::Failover { main, fallback, side, errors } => match side {
                Side::Main => {
                    walk.judged |= errors.is_some();
                    note(0).then_some(*main)
                }
                Side::Fallback => note(1).then_some(*fallback),
                Side::Neither => {
                    walk.pick = Pick::Nobody(NO_SIDE);
                    return walk;
                }
            },
            NodeKind::Mirroring(node) => {
                // A request is mirrored once, however often it is sent.
                let drawn = again.and_then(|again| again.ticket_of(walk.service));
                let ticket = drawn.unwrap_or_else(|| asker.ticket(&node.ticket));
                let wanted = |percent| mirror::is_mirrored(ticket, percent);
                walk.mirrored |= node.mirrors.iter().any(|mirror| wanted(mirror.percent));
                member(Chosen::plain(0, ticket)).then_some(node.main)
            }
            NodeKind::Internal(internal) => {
                walk.pick = Pick::Internal(*internal);
                return walk;
            }
            NodeKind::Unavailable(_) => return walk,
        };
        let Some(next) = next else { return walk };
        walk.service = next;
    }
}

/// Whose turn it is, unless the service chooses by more than turns.
#[inline]
fn choose(
    node: &ServiceNode,
    turns: &Turns,
    asker: &Asker<'_>,
    again: Option<&Again>,
) -> Option<Chosen> {
    let tried = again.map(|again| Tried { service: node.id, ways: &again.tried });
    if let Some(choosing) = &node.choosing {
        return choosing.choose(&turns.rotation, &turns.ticket, asker, tried);
    }
    let ticket = asker.ticket(&turns.ticket);
    let Some(tried) = tried else {
        return turns.rotation.turn(ticket).map(|position| Chosen::plain(position, ticket));
    };
    let position = turns.rotation.turn_of_least(ticket, |member| tried.times(member))?;
    let instead = turns.rotation.turn(ticket) != Some(position);
    Some(Chosen { instead, ..Chosen::plain(position, ticket) })
}

/// The load of a server whose service chooses by it.
pub(super) fn load_of(view: &View, server: ServerRef) -> Option<&Arc<Load>> {
    let choosing = service_of(view, server.service)?.choosing.as_ref()?;
    choosing.loads.get(usize::from(server.position))
}

/// The innermost failover that judges `status` a failure and has not switched yet: its place among
/// the choices and its other side.
pub(super) fn other_side(view: &View, choices: &Choices, status: u16) -> Option<OtherSide> {
    let list = choices.as_slice().iter().enumerate().rev();
    list.filter(|(_, choice)| choice.turn == 0).find_map(|(at, choice)| {
        match &service_of(view, choice.service)?.kind {
            NodeKind::Failover { fallback, errors: Some(errors), .. } => {
                let judged = errors.status.iter().any(|range| range.contains(&status));
                judged.then_some(OtherSide {
                    at,
                    failover: choice.service,
                    fallback: *fallback,
                    replay_non_idempotent: errors.replay_non_idempotent,
                    body_bytes_max: errors.body_bytes_max,
                })
            }
            NodeKind::Failover { .. }
            | NodeKind::Balancer { .. }
            | NodeKind::Weighted { .. }
            | NodeKind::Mirroring(_)
            | NodeKind::Internal(_)
            | NodeKind::Unavailable(_) => None,
        }
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OtherSide {
    pub(super) at: usize,
    pub(super) failover: ServiceId,
    pub(super) fallback: ServiceId,
    pub(super) replay_non_idempotent: bool,
    pub(super) body_bytes_max: Option<u64>,
}
