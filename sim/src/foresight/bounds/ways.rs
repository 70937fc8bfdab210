//! By which routers requests come to a server, and which of them are sent elsewhere when it fails:
//! by a `retry`, or by a failover that judges by status.

use super::form::{Timing, Trouble};
use super::unit::Unit;
use engine::base::id::ServiceId;
use engine::base::time::Span;
use engine::config::typed::Retry;
use engine::service::middleware::Step;
use engine::view::{
    Destination, NodeKind, Offer, Route, RouteTable, ServerNode, ServiceNode, View,
};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a client asks with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A method that may be repeated (RFC 9110 §9.2.2).
    Idempotent,
    /// Any other.
    Once,
}

impl Asked {
    pub const ALL: [Self; 2] = [Self::Idempotent, Self::Once];

    pub const fn method(self) -> &'static str {
        match self {
            Self::Idempotent => "GET",
            Self::Once => "POST",
        }
    }
}

/// Routers whose requests are sent elsewhere alike.
#[derive(Clone, PartialEq, Debug)]
pub struct Way {
    pub routers: Vec<String>,
    /// Where the first of them leads.
    pub(super) service: ServiceId,
    /// By each path from there to the server.
    rescues: Vec<Rescue>,
}

/// What sends a request elsewhere on one path.
#[derive(Clone, PartialEq, Debug, Default)]
struct Rescue {
    retry: Option<Arc<Retry>>,
    sides: Vec<Side>,
}

/// A failover that judges by status.
#[derive(Clone, PartialEq, Debug)]
struct Side {
    status: Vec<RangeInclusive<u16>>,
    whatever: bool,
}

/// Requests that fail are sent elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Saved {
    pub(super) by: &'static str,
    /// How long one of them waits at most before it goes.
    pub(super) pause: Span,
    /// A service may have only so many sent again.
    pub(super) rationed: bool,
}

/// Routers that one entry point offers.
pub(super) struct Offered<'v> {
    pub(super) port: u16,
    /// Chosen by the name of this uplink.
    pub(super) uplink: Option<&'v str>,
    pub(super) routes: &'v RouteTable,
    /// For clients with TLS only.
    pub(super) secure: bool,
}

pub(super) fn offered(view: &View) -> Vec<Offered<'_>> {
    let mut all = Vec::new();
    for entry in &view.entries {
        let port = entry.settings.address.port();
        match &entry.offer {
            Offer::Routes(routes) => {
                all.push(Offered { port, uplink: None, routes, secure: false });
            }
            Offer::Uplinks { uplinks, .. } => all.extend(uplinks.iter().map(|it| {
                let uplink = Some(&*it.name);
                Offered { port, uplink, routes: &it.routes, secure: entry.secure.is_some() }
            })),
        }
        if let Some(side) = &entry.secure {
            all.push(Offered { port, uplink: None, routes: &side.routes, secure: true });
        }
    }
    all
}

/// Every way of a view to a server.
pub(super) fn ways(view: &View, unit: &Unit) -> Vec<Way> {
    let offered = offered(view).into_iter().map(|it| it.routes);
    let tables = offered.chain(view.layers.iter().map(|routes| &**routes));
    let mut all: Vec<Way> = Vec::new();
    for route in tables.flat_map(RouteTable::iter) {
        let Destination::Service(service) = route.to else { continue };
        let mut paths = Vec::new();
        descend(view, service, unit, &mut Vec::new(), &mut paths);
        let rescue = |path: &Vec<ServiceId>| Path { view, unit, route, path }.rescue();
        let rescues: Vec<Rescue> = paths.iter().map(rescue).collect();
        if rescues.is_empty() {
            continue;
        }
        let name = route.name.to_string();
        match all.iter_mut().find(|way| way.rescues == rescues) {
            Some(way) if way.routers.contains(&name) => {}
            Some(way) => way.routers.push(name),
            None => all.push(Way { routers: vec![name], service, rescues }),
        }
    }
    all
}

/// The services below one on the way to the unit's, by every path.
fn descend(
    view: &View,
    service: ServiceId,
    unit: &Unit,
    path: &mut Vec<ServiceId>,
    found: &mut Vec<Vec<ServiceId>>,
) {
    let Some(node) = view.services.get(service.0).filter(|_| !path.contains(&service)) else {
        return;
    };
    path.push(service);
    if *node.name == *unit.service {
        found.push(path.clone());
    }
    for below in below(node) {
        descend(view, below, unit, path, found);
    }
    path.pop();
}

fn below(node: &ServiceNode) -> Vec<ServiceId> {
    match &node.kind {
        NodeKind::Weighted { services, .. } => services.to_vec(),
        NodeKind::Failover { main, fallback, .. } => vec![*main, *fallback],
        NodeKind::Mirroring(mirroring) => vec![mirroring.main],
        NodeKind::Balancer { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => Vec::new(),
    }
}

/// One path from a router down to a server.
struct Path<'a> {
    view: &'a View,
    unit: &'a Unit,
    route: &'a Route,
    path: &'a [ServiceId],
}

impl Path<'_> {
    fn rescue(&self) -> Rescue {
        let sides = (0..self.path.len()).filter_map(|at| self.side(at)).collect();
        Rescue { retry: self.retry(), sides }
    }

    fn node(&self, at: usize) -> Option<&ServiceNode> {
        self.view.services.get(self.path.get(at)?.0).map(|node| &**node)
    }

    /// The innermost, if it has somebody else to send to. What an expression of `buffering` would
    /// send again besides is left out.
    fn retry(&self) -> Option<Arc<Retry>> {
        let mut innermost = None;
        let route = self.route.steps.iter().map(|step| (0, step));
        let guards = (0..self.path.len()).flat_map(|at| {
            let guard = self.node(at).and_then(|node| node.guard.as_ref());
            guard.into_iter().flat_map(move |guard| guard.steps.iter().map(move |it| (at, it)))
        });
        for (from, step) in route.chain(guards) {
            if let Step::Retry(retry) = step {
                innermost = Some((from, Arc::clone(retry)));
            }
            if matches!(step, Step::Buffering(limits) if limits.repeat.is_some()) {
                return None;
            }
        }
        let (from, retry) = innermost?;
        (retry.attempts > 1 && self.has_detour(from)).then_some(retry)
    }

    /// Whether whoever chooses anew from here on comes to a server that is not in trouble.
    fn has_detour(&self, from: usize) -> bool {
        let mut found = false;
        for at in from..self.path.len() {
            let Some(node) = self.node(at) else { return false };
            match &node.kind {
                NodeKind::Weighted { services, .. } => {
                    let next = self.path.get(at + 1);
                    let up = |id: &&ServiceId| self.view.services.get(id.0).is_some_and(|it| it.up);
                    let others = services.iter().filter(|id| Some(*id) != next).filter(up);
                    let mut others = others.peekable();
                    found |= others.peek().is_some();
                    if others.any(|id| !self.is_spared(*id)) {
                        return false;
                    }
                }
                NodeKind::Balancer { servers, .. } => {
                    found |= servers.iter().any(|server| !self.is_struck(server));
                }
                NodeKind::Failover { .. }
                | NodeKind::Mirroring(_)
                | NodeKind::Internal(_)
                | NodeKind::Unavailable(_) => {}
            }
        }
        found
    }

    fn side(&self, at: usize) -> Option<Side> {
        let node = self.node(at)?;
        let NodeKind::Failover { main, fallback, errors: Some(errors), .. } = &node.kind else {
            return None;
        };
        let up = self.view.services.get(fallback.0).is_some_and(|node| node.up);
        let turns = self.path.get(at + 1) == Some(main) && up && self.is_spared(*fallback);
        let whatever = errors.replay_non_idempotent;
        turns.then(|| Side { status: errors.status.clone(), whatever })
    }

    /// Whether nothing at or below a service is in the same trouble.
    fn is_spared(&self, service: ServiceId) -> bool {
        let Some(node) = self.view.services.get(service.0) else { return false };
        if let NodeKind::Balancer { servers, .. } = &node.kind {
            return !servers.iter().any(|it| self.is_struck(it));
        }
        below(node).into_iter().all(|below| self.is_spared(below))
    }

    fn is_struck(&self, server: &ServerNode) -> bool {
        match (&self.unit.child, &server.uplink) {
            (Some((_, child)), Some(uplink)) => usize::from(uplink.child.0) == *child,
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => *server.url == *self.unit.url,
        }
    }
}

impl Way {
    /// Whether requests that fail are sent elsewhere, by whichever path they came.
    pub(super) fn saves(
        &self,
        trouble: Trouble,
        asked: Asked,
        timing: &Timing,
        bad_status: u16,
    ) -> Option<Saved> {
        let failure = Failure {
            status: match trouble {
                Trouble::Refused => 502,
                Trouble::BlackHoled | Trouble::Slow => 504,
                Trouble::Failing => bad_status,
            },
            unreached: trouble == Trouble::Refused,
            asked,
            after: match trouble {
                Trouble::Refused | Trouble::Failing => Span::ZERO,
                Trouble::BlackHoled | Trouble::Slow => {
                    timing.dial_timeout.max(timing.header_timeout)
                }
            },
        };
        // What was sent on an open connection waits for ever.
        if trouble == Trouble::BlackHoled && timing.header_timeout.is_zero() {
            return None;
        }
        let saved = self.rescues.iter().map(|rescue| rescue.saves(&failure));
        saved.reduce(|a, b| {
            let (a, b) = (a?, b?);
            let rationed = a.rationed || b.rationed;
            let by = if b.rationed { b.by } else { a.by };
            Some(Saved { by, pause: a.pause.max(b.pause), rationed })
        })?
    }
}

/// How a request fails.
struct Failure {
    status: u16,
    /// It never came to the server.
    unreached: bool,
    asked: Asked,
    after: Span,
}

impl Rescue {
    fn saves(&self, failure: &Failure) -> Option<Saved> {
        let listed = |status: &[RangeInclusive<u16>]| {
            status.iter().any(|range| range.contains(&failure.status))
        };
        let once = failure.asked == Asked::Once;
        let side = self.sides.iter().any(|it| listed(&it.status) && (!once || it.whatever));
        if side {
            return Some(Saved { by: SIDE, pause: Span::ZERO, rationed: false });
        }
        let retry = self.retry.as_ref()?;
        let listed = listed(&retry.status);
        let wanted = listed || failure.unreached && retry.on_network_error;
        let harmless = failure.unreached || !once || listed && retry.non_idempotent;
        // Half as long or half as long again, at random.
        let pause = retry.pause(1) + retry.pause(1).divided(2);
        let in_time = retry.timeout.is_zero() || failure.after + pause < retry.timeout;
        let saved = Saved { by: RETRY, pause, rationed: true };
        (wanted && harmless && in_time).then_some(saved)
    }
}

const RETRY: &str = "retry";
const SIDE: &str = "failover.errors.status";
