//! From a route to a server: one walk down the tree of services, one ticket per balancer.

use super::exchange::{Again, Choices, ServerRef, service_of};
use super::record::Choice;
use crate::base::id::ServiceId;
use crate::base::mutant::{Mutant, planted};
use crate::base::time::Time;
use crate::config::typed::Strategy;
use crate::service::choosing::{Asker, Chosen, Kept, Session, Tried, by_turns, instead_of};
use crate::service::load::Load;
use crate::service::middleware::Step;
use crate::service::middleware::breaker::State;
use crate::service::mirror;
use crate::service::signed::{Claims, Signed};
use crate::view::{Internal, NodeKind, ServiceNode, Side, Turns, View};
use std::sync::Arc;

/// Where a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pick {
    Server(ServerRef),
    Internal(Internal),
    /// The middlewares of this service come first.
    Guarded(ServiceId),
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
    /// What a cookie for all levels said, if there is one and it no longer says it all.
    pub(super) claims: Option<Claims>,
    /// Somebody takes a turn of one that a breaker keeps from serving.
    pub(super) passed_by: bool,
}

impl Walk {
    fn from(service: ServiceId) -> Self {
        Self {
            pick: Pick::Nobody(NO_SERVER),
            service,
            mirrored: false,
            judged: false,
            sets_cookie: false,
            claims: None,
            passed_by: false,
        }
    }
}

/// How a walk begins.
#[derive(Clone, Copy)]
pub(super) struct Start<'a> {
    pub(super) from: ServiceId,
    /// Its own middlewares let the request pass.
    pub(super) behind: bool,
    /// The choice that it made before and has to make again.
    pub(super) anew: Option<Choice>,
    /// Where the request failed before.
    pub(super) again: Option<&'a Again>,
    pub(super) depth_max: u32,
}

/// The services as one request finds them.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) view: &'a View,
    pub(super) now: Time,
    /// A breaker kept the request from these.
    pub(super) shut: &'a [ServiceId],
}

impl Sight<'_> {
    /// Whether breakers keep all requests from what serves at a service and below it.
    pub(super) fn is_shut(&self, service: ServiceId) -> bool {
        let node = service_of(self.view, service).filter(|node| node.before.breaks);
        let Some(node) = node.filter(|_| !planted(Mutant::DetourRefused)) else { return false };
        let is_open = |step: &Step| {
            let Step::Breaker(breaker) = step else { return false };
            matches!(breaker.state(self.now), State::Open(_))
        };
        let guarded = node.guard.as_ref();
        if self.shut.contains(&service) || guarded.is_some_and(|it| it.steps.iter().any(is_open)) {
            return true;
        }
        match &node.kind {
            NodeKind::Weighted { services, .. } => node.rest.as_ref().is_some_and(|rest| {
                !rest.leaves(|member| self.is_out(services, member)) && rest.serving().count() > 0
            }),
            NodeKind::Failover { main, fallback, side, .. } => match side {
                Side::Main => self.is_shut(*main) && !self.serves(*fallback),
                Side::Fallback => self.is_shut(*fallback),
                Side::Neither => false,
            },
            NodeKind::Mirroring(mirroring) => self.is_shut(mirroring.main),
            NodeKind::Balancer { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => false,
        }
    }

    /// The side that serves, and whether it does so because breakers keep the other from it.
    fn side_now(&self, main: ServiceId, fallback: ServiceId, side: Side) -> (Side, bool) {
        let passed_by = side == Side::Main && self.is_shut(main) && self.serves(fallback);
        if passed_by { (Side::Fallback, true) } else { (side, false) }
    }

    fn is_out(&self, services: &[ServiceId], member: u16) -> bool {
        services.get(usize::from(member)).is_some_and(|service| self.is_shut(*service))
    }

    fn serves(&self, service: ServiceId) -> bool {
        service_of(self.view, service).is_some_and(|node| node.up) && !self.is_shut(service)
    }

    /// The innermost choice that could be another.
    pub(super) fn choice_with_others(&self, choices: &[Choice]) -> Option<usize> {
        let others = |choice: &Choice| {
            let Some(node) = service_of(self.view, choice.service) else { return false };
            match &node.kind {
                NodeKind::Weighted { services, .. } => node
                    .rest
                    .as_ref()
                    .is_some_and(|rest| rest.leaves(|member| self.is_out(services, member))),
                NodeKind::Failover { fallback, side: Side::Main, .. } => {
                    choice.turn == 0 && self.serves(*fallback)
                }
                NodeKind::Failover { .. }
                | NodeKind::Balancer { .. }
                | NodeKind::Mirroring(_)
                | NodeKind::Internal(_)
                | NodeKind::Unavailable(_) => false,
            }
        };
        choices.iter().rposition(others)
    }
}

const NO_SERVER: &str = "no available server\n";
const NO_SIDE: &str = "Service Unavailable\n";

/// Walks down to a server, or to a service with middlewares, noting each decision. Bounded by the
/// room for choices.
pub(super) fn walk(
    sight: &Sight<'_>,
    start: &Start<'_>,
    choices: &mut Choices,
    asker: &Asker<'_>,
) -> Walk {
    let mut walk = Walk::from(start.from);
    let mut signed = signed_above(sight, choices, asker);
    let (depth_max, again) = (start.depth_max, start.again);
    loop {
        let Some(node) = service_of(sight.view, walk.service) else { return walk };
        let behind = start.behind && walk.service == start.from;
        if node.guard.is_some() && !behind {
            walk.pick = Pick::Guarded(walk.service);
            return walk;
        }
        signed = signed.or_else(|| Some(signed_at(node)?.find(asker.fields).unwrap_or_default()));
        let (sets_cookie, claims) = (&mut walk.sets_cookie, &mut walk.claims);
        let mut member = |chosen: Chosen| {
            if chosen.session.sets_cookie() {
                (*sets_cookie, *claims) = (true, signed);
            }
            choices.push(chosen.of(node.id), depth_max)
        };
        let mut note = |turn, instead| member(Chosen { instead, ..Chosen::plain(turn, 0) });
        let next = match &node.kind {
            NodeKind::Balancer { turns, .. } => {
                let chosen = || choose(node, turns, asker, again, None);
                let chosen = leashed(node, signed.as_ref(), again, None, chosen);
                if let Some(chosen) = chosen
                    && member(chosen)
                {
                    let position = chosen.position;
                    walk.pick = Pick::Server(ServerRef { service: node.id, position });
                }
                return walk;
            }
            NodeKind::Weighted { turns, services } => {
                let member_of = Members { sight, node, turns, services };
                let chosen = member_of.choose(asker, start, signed.as_ref(), &mut walk.passed_by);
                let Some(chosen) = chosen else { return walk };
                let next = services.get(usize::from(chosen.position)).copied();
                next.filter(|_| member(chosen))
            }
            NodeKind::Failover { main, fallback, side, errors } => {
                let (side, instead) = sight.side_now(*main, *fallback, *side);
                walk.passed_by |= instead;
                walk.judged |= side == Side::Main && errors.is_some();
                match side {
                    Side::Main => note(0, false).then_some(*main),
                    Side::Fallback => note(1, instead).then_some(*fallback),
                    Side::Neither => {
                        walk.pick = Pick::Nobody(NO_SIDE);
                        return walk;
                    }
                }
            }
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
    kept: Option<&Kept<'_>>,
) -> Option<Chosen> {
    let tried = again.map(|again| Tried { service: node.id, ways: &again.tried });
    let Turns { rotation, ticket } = turns;
    match &node.choosing {
        Some(choosing) => choosing.choose(rotation, ticket, asker, tried, kept),
        None => by_turns(rotation, ticket, asker, tried, kept),
    }
}

/// What the client's cookie for all levels says, if a choice before was at or below its service.
fn signed_above(sight: &Sight<'_>, choices: &Choices, asker: &Asker<'_>) -> Option<Claims> {
    let all = choices.as_slice().iter();
    let signed =
        all.filter_map(|choice| service_of(sight.view, choice.service)).find_map(signed_at);
    signed.map(|signed| signed.find(asker.fields).unwrap_or_default())
}

fn signed_at(node: &ServiceNode) -> Option<&Signed> {
    node.choosing.as_ref()?.signed.as_deref()
}

impl Chosen {
    fn of(self, service: ServiceId) -> Choice {
        let Self { position: turn, ticket, session, instead } = self;
        Choice { service, ticket, turn, session, instead }
    }
}

/// Whom a cookie for all levels names, or else who is chosen, to be named by it from now on.
fn leashed(
    node: &ServiceNode,
    signed: Option<&Claims>,
    again: Option<&Again>,
    kept: Option<&Kept<'_>>,
    choose: impl FnOnce() -> Option<Chosen>,
) -> Option<Chosen> {
    let (Some(claims), Some(leash)) = (signed, &node.leash) else { return choose() };
    let failed = |member| {
        again.is_some_and(|again| again.tried.contains(&(node.id, member)))
            || kept.is_some_and(|kept| (kept.is_out)(member))
    };
    if let Some(member) = leash.find(claims)
        && leash.stays.get(usize::from(member)) == Some(&true)
        && !failed(member)
    {
        return Some(Chosen { session: Session::Kept, ..Chosen::plain(member, 0) });
    }
    let chosen = choose()?;
    // One that keeps to a cookie of its own is still news to the one for all.
    let session = match chosen.session {
        Session::None | Session::Begun => Session::Begun,
        Session::Kept | Session::Renewed => Session::Renewed,
    };
    Some(Chosen { session, ..chosen })
}

/// The members of a weighted service.
struct Members<'a> {
    sight: &'a Sight<'a>,
    node: &'a ServiceNode,
    turns: &'a Turns,
    services: &'a [ServiceId],
}

impl Members<'_> {
    fn choose(
        &self,
        asker: &Asker<'_>,
        start: &Start<'_>,
        signed: Option<&Claims>,
        passed_by: &mut bool,
    ) -> Option<Chosen> {
        let Self { sight, node, turns, services } = *self;
        let is_out = |member| sight.is_out(services, member);
        let kept = node.rest.as_ref().map(|rest| Kept { is_out: &is_out, rest });
        let anew = start.anew.filter(|choice| choice.service == node.id);
        let chosen = leashed(node, signed, start.again, kept.as_ref(), || match (anew, &kept) {
            (Some(choice), Some(kept)) => choose_anew(node, turns, asker, choice, kept),
            _ => choose(node, turns, asker, start.again, kept.as_ref()),
        })?;
        let instead = chosen.instead || anew.is_some();
        *passed_by |= kept.is_some() && instead && start.again.is_none();
        Some(chosen)
    }
}

/// Another member than one whose breaker did not let the request pass. The ticket stays drawn,
/// unless a cookie had named the member and none was.
fn choose_anew(
    node: &ServiceNode,
    turns: &Turns,
    asker: &Asker<'_>,
    choice: Choice,
    kept: &Kept<'_>,
) -> Option<Chosen> {
    let by_client = node.choosing.as_ref().is_some_and(|it| it.strategy == Strategy::Hrw);
    if by_client || choice.session.follows_cookie() {
        return choose(node, turns, asker, None, Some(kept));
    }
    let sticks = node.choosing.as_ref().is_some_and(|choosing| choosing.sticky.is_some());
    let position = instead_of(choice.turn, asker, kept);
    let session = if sticks { Session::Begun } else { Session::None };
    Some(Chosen { position, ticket: choice.ticket, session, instead: true })
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
