//! Services as a parent has them against a model of the documents and adverts: U1, U2, P2, and the
//! rotations of C2.

use super::share::Shares;
use super::{Oracle, Verdict};
use crate::home;
use crate::model::services::{Known, Offered, Service, Services, What, Works};
use crate::plan::{Check, Document, Kind, Strategy, Uplink};
use engine::base::id::ServiceId;
use engine::base::time::{Span, Time};
use engine::config::typed::Strategy as Chosen;
use engine::config::typed::{ExpectedStatus, HealthCheck, ServiceKind};
use engine::service::failover::Side;
use engine::uplink::advert::Advert;
use engine::view::model::Definition;
use engine::view::status::{ChildPhase, Health};
use engine::view::{NodeKind, Offer, ServiceNode, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the model gave a service's members from an epoch on.
#[derive(Debug)]
struct Since {
    epoch: u64,
    /// Nothing where the model does not say.
    weights: Option<Vec<u32>>,
    strategy: Strategy,
}

/// What was worked out for an instance's last view, and rotations that were found right.
#[derive(Debug, Default)]
pub struct Uplinks {
    made_of: Option<(Document, Vec<Offered>)>,
    services: Services,
    shares: Shares,
    weights: BTreeMap<String, Vec<Since>>,
}

impl Uplinks {
    /// The weights of a service's members in a view, by the model.
    pub fn weights(&self, service: &str, epoch: u64) -> Option<&[u32]> {
        self.since(service, epoch)?.weights.as_deref()
    }

    /// The same where they took turns by them.
    pub fn shares(&self, service: &str, epoch: u64) -> Option<&[u32]> {
        let since = self.since(service, epoch)?;
        since.weights.as_deref().filter(|_| since.strategy == Strategy::Turns)
    }

    fn since(&self, service: &str, epoch: u64) -> Option<&Since> {
        let weights = self.weights.get(service)?;
        let until = weights.partition_point(|since| since.epoch <= epoch);
        weights.get(until.checked_sub(1)?)
    }

    /// Each published view, against its document and what it says that children offer.
    pub fn judge_view(
        &mut self,
        view: &View,
        document: &Document,
        now: Time,
        verdict: &mut Verdict,
    ) {
        let children = as_seen(view);
        let same =
            |(of, offered): &(Document, Vec<Offered>)| of == document && alike(offered, &children);
        if !self.made_of.as_ref().is_some_and(same) {
            self.services = Services::of(document, &children);
            self.made_of = Some((document.clone(), children));
        }
        let nodes: BTreeMap<&str, &ServiceNode> =
            view.services.iter().map(|node| (&*node.name, &**node)).collect();
        let sight = Sight { view, nodes, services: &self.services };
        let mut wrong = |oracle: Oracle, name: &str, text: String| {
            verdict.add(oracle, now, || format!("epoch {}, {name}: {text}", view.epoch));
        };
        for (at, service) in self.services.list.iter().enumerate() {
            let name = &service.name;
            let Some(node) = sight.nodes.get(name.as_str()) else {
                wrong(Oracle::U1, name, "is missing".into());
                continue;
            };
            let weights = sight.weights(at, node);
            let history = self.weights.entry(name.clone()).or_default();
            let strategy = service.strategy;
            let same = |last: &Since| last.weights == weights && last.strategy == strategy;
            if !history.last().is_some_and(same) {
                let (epoch, weights) = (view.epoch, weights.clone());
                history.push(Since { epoch, weights, strategy });
            }
            if !is_chosen_by(node, strategy) {
                wrong(Oracle::U1, name, format!("it does not choose by {strategy:?}"));
            }
            if let Some(text) = sight.shape_problem(service, node) {
                wrong(Oracle::U1, name, text);
            } else if !sight.is_overdue() {
                if let Some(text) = turns_problem(node, weights.as_deref(), &mut self.shares) {
                    wrong(Oracle::C2, name, text);
                }
                if let Some(text) = sight.side_problem(at, node) {
                    wrong(Oracle::P2, name, text);
                }
            }
        }
        for (name, at) in misplaced(view, document) {
            wrong(Oracle::U1, name, format!("it serves uplinks, and is at {at}"));
        }
        for (name, node) in &sight.nodes {
            let idle = matches!(node.kind, NodeKind::Unavailable(_) | NodeKind::Internal(_));
            if !idle && self.services.find(name).is_none() {
                wrong(Oracle::U1, name, "nobody has defined it".into());
            }
        }
    }
}

/// In quiet times: what the view says that children offer is the last good answer of each, with the
/// settings of its checks. A child may have several that it cannot be told which arrived last.
pub fn judge_adverts(
    view: &View,
    expected: &[(String, Vec<Vec<Uplink>>)],
    now: Time,
    verdict: &mut Verdict,
) {
    let found = view.children.iter().map(|child| child.name.as_ref());
    if !found.eq(expected.iter().map(|(name, _)| name.as_str())) {
        verdict.add(Oracle::U1, now, || format!("other children than {expected:?}"));
        return;
    }
    for (child, (name, candidates)) in view.children.iter().zip(expected) {
        let adverts: Vec<Arc<Advert>> =
            child.uplinks.iter().filter_map(|at| advert(view, at.service)).collect();
        let right = |offered: &&Vec<Uplink>| {
            offered.len() == adverts.len()
                && child.uplinks.len() == adverts.len()
                && offered.iter().all(|uplink| adverts.iter().any(|at| is_as_offered(at, uplink)))
        };
        if candidates.iter().find(right).is_none() {
            verdict.add(Oracle::U1, now, || {
                format!("child {name}: {adverts:?} instead of one of {candidates:?}")
            });
        }
    }
}

fn advert(view: &View, service: ServiceId) -> Option<Arc<Advert>> {
    match &view.model.services.get(service.0)?.definition {
        Definition::Child { advert, .. } => Some(Arc::clone(advert)),
        Definition::Written(_) | Definition::Aggregate { .. } | Definition::Internal(_) => None,
    }
}

fn is_as_offered(advert: &Advert, uplink: &Uplink) -> bool {
    let passive = advert.passive.as_ref();
    let passive = passive.map(|passive| (passive.failure_window, passive.failed_attempts_max));
    let exactly = ExpectedStatus::Exactly(200);
    *advert.name == *uplink.name
        && advert.weight.get() == uplink.weight
        && is_check(advert.health_check.as_ref(), uplink.check, ("/health", exactly))
        && passive == uplink.passive.then_some((Span::secs(2), 2))
}

fn is_check(
    found: Option<&HealthCheck>,
    wanted: Option<Check>,
    (path, status): (&str, ExpectedStatus),
) -> bool {
    match (found, wanted) {
        (None, None) => true,
        (Some(found), Some(Check { interval, timeout })) => {
            (found.interval, found.unhealthy_interval) == (interval, interval)
                && found.timeout == timeout
                && found.path == path
                && found.method == "GET"
                && found.status == status
                && found.follow_redirects
                && (found.port, &found.hostname, found.scheme) == (None, &None, None)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// In quiet times: the newest document is in effect, checks of its own services included.
pub fn judge_document(
    view: &View,
    version: u32,
    document: &Document,
    now: Time,
    verdict: &mut Verdict,
) {
    if version != document.version {
        let newest = document.version;
        verdict.add(Oracle::U1, now, || format!("document {version} instead of {newest}"));
        return;
    }
    for service in &document.services {
        let Kind::Balancer { check, passive, .. } = &service.kind else { continue };
        let name = crate::model::qualified(&service.name);
        let path = service.check_path();
        let info = view.model.services.iter().find(|info| *info.name == *name);
        let found = info.and_then(|info| match &info.definition {
            Definition::Written(written) => Some(&written.kind),
            Definition::Child { .. } | Definition::Aggregate { .. } | Definition::Internal(_) => {
                None
            }
        });
        let right = matches!(found, Some(ServiceKind::Balancer(found))
            if is_check(found.health_check.as_ref(), *check, (&path, ExpectedStatus::Success))
                && found.passive.is_some() == *passive);
        if !right {
            verdict.add(Oracle::U1, now, || format!("{name}: {found:?} instead of {service:?}"));
        }
    }
}

/// Whether two lists of offers differ in nothing that makes services.
fn alike(a: &[Offered], b: &[Offered]) -> bool {
    let plain = |uplink: &Uplink| (uplink.name.clone(), uplink.weight);
    let same = |(a, b): (&Offered, &Offered)| {
        a.child == b.child && a.uplinks.iter().map(plain).eq(b.uplinks.iter().map(plain))
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// What a view says that its children offer.
pub fn as_seen(view: &View) -> Vec<Offered> {
    let offered = |child: &Arc<engine::view::ChildView>| Offered {
        child: child.name.to_string(),
        address: child.address.clone(),
        uplinks: child
            .uplinks
            .iter()
            .map(|at| Uplink {
                name: at.name.to_string(),
                weight: at.weight,
                check: None,
                passive: false,
            })
            .collect(),
    };
    view.children.iter().map(offered).collect()
}

/// A view beside the services that it should have.
struct Sight<'a> {
    view: &'a View,
    nodes: BTreeMap<&'a str, &'a ServiceNode>,
    services: &'a Services,
}

impl Sight<'_> {
    /// What its parent's policy makes of a child that has not been heard of for long is not
    /// modelled.
    fn is_overdue(&self) -> bool {
        self.view.status.children.iter().any(|child| child.phase == ChildPhase::Overdue)
    }

    fn name(&self, id: ServiceId) -> &str {
        self.view.services.get(id.0).map_or("", |node| &*node.name)
    }

    fn shape_problem(&self, service: &Service, node: &ServiceNode) -> Option<String> {
        let named: Vec<&str> = service.members.iter().map(|(name, _)| name.as_str()).collect();
        match (&service.what, &node.kind) {
            (_, NodeKind::Unavailable(_)) if service.in_circle => None,
            (What::Weighted(weights), NodeKind::Unavailable(_)) if weights.is_empty() => None,
            (What::Balancer { servers, .. }, NodeKind::Balancer { servers: seats, .. }) => {
                let urls: Vec<&str> = servers.iter().map(|(url, _)| url.as_str()).collect();
                let found: Vec<&str> = seats.iter().map(|seat| &*seat.url).collect();
                (urls != found).then(|| format!("{found:?} instead of {urls:?}"))
            }
            (What::Weighted(_), NodeKind::Weighted { services, .. }) => {
                let found: Vec<&str> = services.iter().map(|id| self.name(*id)).collect();
                (named != found).then(|| format!("{found:?} instead of {named:?}"))
            }
            (
                What::Failover { errors },
                NodeKind::Failover { main, fallback, errors: found, .. },
            ) => {
                let sides = [self.name(*main), self.name(*fallback)];
                let same = named == sides && *errors == found.is_some();
                (!same).then(|| format!("{sides:?} instead of {named:?}"))
            }
            (What::Mirroring { percents, body, max }, NodeKind::Mirroring(found)) => {
                let mut wanted: Vec<(&str, u8)> = Vec::new();
                for ((name, at), percent) in service.members[1..].iter().zip(percents) {
                    if self.services.works(*at) != Works::Nothing {
                        wanted.push((name, *percent));
                    }
                }
                let mirror = |at: &engine::view::MirrorNode| (self.name(at.service), at.percent);
                let mirrors: Vec<(&str, u8)> = found.mirrors.iter().map(mirror).collect();
                let same = self.name(found.main) == named[0]
                    && mirrors == wanted
                    && (found.mirror_body, found.body_bytes_max) == (*body, *max);
                (!same).then(|| format!("{found:?} instead of {service:?}"))
            }
            (what, kind) => Some(format!("{kind:?} instead of {what:?}")),
        }
    }

    /// The health of a server of a service, as the view has it.
    fn health(&self, at: usize, n: usize) -> Known {
        let Some(node) = self.nodes.get(self.services.list[at].name.as_str()) else {
            return Known::Down;
        };
        let NodeKind::Balancer { servers, .. } = &node.kind else { return Known::Down };
        let Some(server) = servers.get(n) else { return Known::Down };
        let Some(status) = self.view.status.servers.get(server.id.0) else { return Known::Up };
        match status.health {
            _ if status.ejected => Known::Down,
            Health::Down => Known::Down,
            Health::Up => Known::Up,
            Health::Unknown => Known::Unknown,
        }
    }

    /// What each member's share is, unless a child is overdue: what that makes of shares is not
    /// modelled.
    fn weights(&self, at: usize, node: &ServiceNode) -> Option<Vec<u32>> {
        let shares = matches!(node.kind, NodeKind::Balancer { .. } | NodeKind::Weighted { .. });
        (shares && !self.is_overdue())
            .then(|| self.services.weights(at, &|at, n| self.health(at, n)))
    }

    /// P2: main if it is as well known to be up as the fallback, else the fallback, and nobody if
    /// both are down.
    fn side_problem(&self, at: usize, node: &ServiceNode) -> Option<String> {
        let health = |at: usize, n: usize| self.health(at, n);
        let known = self.services.known(Some(at), &health);
        if node.up != (known != Known::Down) {
            return Some(format!("up is {}, and it is known to be {known:?}", node.up));
        }
        let NodeKind::Failover { side, .. } = &node.kind else { return None };
        let sides = self.services.list[at].members.iter();
        let sides: Vec<Known> =
            sides.map(|(_, member)| self.services.known(*member, &health)).collect();
        let expected = match known {
            Known::Down => Side::Neither,
            Known::Unknown | Known::Up if sides[0] == known => Side::Main,
            Known::Unknown | Known::Up => Side::Fallback,
        };
        (*side != expected).then(|| format!("side {side:?} of {sides:?}"))
    }
}

/// Routers of uplinks at entry points for everybody.
fn misplaced<'a>(
    view: &'a View,
    document: &'a Document,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let offered = document.routers.iter().filter(|router| !router.uplinks.is_empty());
    let tables = view.entries.iter().filter_map(|entry| match &entry.offer {
        Offer::Routes(table) => Some((table, entry.settings.name.as_str())),
        Offer::Uplinks { .. } => None,
    });
    offered.flat_map(move |router| {
        let is = |name: &str| name.strip_suffix(home::suffix()) == Some(router.name.as_str());
        let found = tables.clone().filter(move |(table, _)| table.iter().any(|it| is(&it.name)));
        found.map(|(_, at)| (router.name.as_str(), at))
    })
}

fn is_chosen_by(node: &ServiceNode, strategy: Strategy) -> bool {
    let found = node.choosing.as_ref().map_or(Chosen::Wrr, |choosing| choosing.strategy);
    let wanted = match strategy {
        Strategy::Turns => Chosen::Wrr,
        Strategy::Two => Chosen::P2c,
        Strategy::Client => Chosen::Hrw,
        Strategy::LeastTime => Chosen::LeastTime,
    };
    found == wanted || matches!(node.kind, NodeKind::Unavailable(_))
}

fn turns_problem(
    node: &ServiceNode,
    weights: Option<&[u32]>,
    shares: &mut Shares,
) -> Option<String> {
    let (NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. }) = &node.kind else {
        return None;
    };
    shares.problem(&turns.rotation, weights?)
}
