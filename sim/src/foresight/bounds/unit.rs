//! Who is judged by whom: every offer of a child, and the servers of every service that has checks.

use super::form::{Below, Check, Poll, Sum, Timing, Trouble};
use super::ways::{Way, ways};
use crate::foresight::documents::{Documents, Written};
use crate::foresight::stage::Stage;
use engine::base::id::ServiceId;
use engine::base::time::Span;
use engine::config::typed::{ExpectedStatus, HealthCheck, PassiveCheck, ServiceKind};
use engine::view::model::Definition;
use engine::view::{NodeKind, ServerNode, View};
use std::sync::Arc;

/// One server as one process judges it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The process that judges: `parent`, or the path of a child.
    pub process: String,
    pub(super) number: usize,
    /// Qualified.
    pub service: String,
    pub url: String,
    /// The child whose offer it is, and its number among the children.
    pub child: Option<(String, usize)>,
    /// Servers of the service with the same settings.
    pub alike: usize,
    /// Whether somebody is left if requests take it out.
    pub(super) stood_in: bool,
    pub timing: Timing,
    /// The routers of the process that lead there.
    pub ways: Vec<Way>,
    /// What the check takes for an error.
    pub(super) bad_status: u16,
}

/// Every unit of every process, in the order of processes and services.
pub(super) fn units(documents: &Documents, stage: &Stage) -> Vec<Unit> {
    let mut all = Vec::new();
    for (number, process) in stage.processes.iter().enumerate() {
        let Some(view) = &process.view else { continue };
        let name = &stage.places[process.place].name;
        for id in view.model.services_by_name.iter() {
            let Some(info) = view.model.services.get(id.0) else { continue };
            let of = Of { documents, number, process: name, view, service: &info.name };
            all.extend(of.unit(&info.definition));
        }
    }
    let below: Vec<[Below; 4]> = all
        .iter()
        .map(|unit| Trouble::ALL.map(|trouble| below(documents, &all, unit, trouble, unit.slow())))
        .collect();
    for (unit, below) in all.iter_mut().zip(below) {
        unit.timing.below = below;
    }
    all
}

/// What the child of this unit has to find out when its servers are in trouble, and when they no
/// longer are. Servers that are slow or fail are beside it and below it; who cannot be reached is
/// cut off from its own children.
fn below(documents: &Documents, all: &[Unit], of: &Unit, trouble: Trouble, slow: Span) -> Below {
    let child = of.child.as_ref().and_then(|(_, at)| documents.processes[of.number].children[*at]);
    let Some(child) = child else { return Below::default() };
    let notices = |unit: &&Unit| match trouble {
        Trouble::Refused | Trouble::BlackHoled => unit.child.is_some(),
        Trouble::Slow => unit.timing.check.is_some_and(|check| check.timeout <= slow),
        Trouble::Failing => true,
    };
    let mut longest = Below::default();
    for unit in all.iter().filter(|unit| unit.number == child).filter(notices) {
        let further = match trouble.reaches_polls() {
            true => Below::default(),
            false => below(documents, all, unit, trouble, slow),
        };
        let forms = unit.timing.forms(trouble);
        let total = |form: Option<Sum>| form.map_or(Span::ZERO, |form| form.total());
        longest.moved = longest.moved.max(total(forms.moved) + further.moved);
        longest.back = longest.back.max(total(forms.back) + further.back);
    }
    longest
}

struct Of<'a> {
    documents: &'a Documents,
    number: usize,
    process: &'a str,
    view: &'a View,
    service: &'a str,
}

impl Of<'_> {
    fn unit(&self, definition: &Definition) -> Option<Unit> {
        match definition {
            Definition::Child { child, advert, .. } => {
                let at = usize::from(child.0);
                let fixed = &self.documents.processes[self.number].fixed;
                let multicluster = fixed.multicluster.as_ref()?;
                let poll = Poll {
                    interval: multicluster.poll_interval,
                    timeout: multicluster.poll_timeout,
                    on_stale: multicluster.children.get(at)?.on_stale,
                };
                let name = multicluster.children[at].name.clone();
                let check = advert.health_check.as_ref();
                self.of(check, advert.passive.as_ref(), Some(poll), Some((name, at)))
            }
            Definition::Written(written) => {
                let ServiceKind::Balancer(balancer) = &written.kind else { return None };
                let check = balancer.health_check.as_ref();
                self.of(check, balancer.passive.as_ref(), None, None)
            }
            Definition::Aggregate { .. } | Definition::Internal(_) => None,
        }
    }

    fn of(
        &self,
        check: Option<&HealthCheck>,
        passive: Option<&PassiveCheck>,
        poll: Option<Poll>,
        child: Option<(String, usize)>,
    ) -> Option<Unit> {
        let servers = self.servers()?;
        let server = servers.first()?;
        let transport = &self.view.targets.get(server.target.0)?.transport;
        let timing = Timing {
            check: check.map(|check| Check {
                interval: check.interval,
                unhealthy_interval: check.unhealthy_interval,
                timeout: check.timeout,
            }),
            poll,
            passive: passive.cloned(),
            dial_timeout: transport.dial_timeout,
            header_timeout: transport.response_header_timeout,
            below: [Below::default(); 4],
        };
        let expected = check.map(|check| check.status);
        let bad = if expected == Some(ExpectedStatus::Exactly(503)) { 500 } else { 503 };
        let mut unit = Unit {
            process: self.process.to_owned(),
            number: self.number,
            service: self.service.to_owned(),
            url: server.url.to_string(),
            child,
            alike: servers.len(),
            stood_in: self.is_stood_in(server),
            timing,
            ways: Vec::new(),
            bad_status: bad,
        };
        unit.ways = ways(self.view, &unit);
        Some(unit)
    }

    /// Whether another server of the service has weight, or another child offers the same.
    fn is_stood_in(&self, server: &ServerNode) -> bool {
        let model = &self.view.model.services;
        let id = self.view.services.iter().find(|node| *node.name == *self.service).map(|it| it.id);
        match id.and_then(|id| model.get(id.0)).map(|info| &info.definition) {
            Some(Definition::Written(written)) => {
                let ServiceKind::Balancer(balancer) = &written.kind else { return false };
                let weight = |url: &str| {
                    let written = balancer.servers.iter().find(|it| *it.url == *url);
                    written.is_none_or(|it| it.weight.get() > 0)
                };
                let servers = self.servers().unwrap_or_default();
                servers.iter().any(|it| it.id != server.id && weight(&it.url))
            }
            Some(Definition::Child { .. }) => model.iter().any(|info| {
                let Definition::Aggregate { members } = &info.definition else { return false };
                let is_mine = |(member, _): &(ServiceId, u32)| Some(*member) == id;
                members.iter().any(is_mine)
                    && members.iter().any(|(member, weight)| Some(*member) != id && *weight > 0)
            }),
            Some(Definition::Aggregate { .. } | Definition::Internal(_)) | None => false,
        }
    }

    fn servers(&self) -> Option<&[Arc<ServerNode>]> {
        let node = self.view.services.iter().find(|node| *node.name == *self.service)?;
        match &node.kind {
            NodeKind::Balancer { servers, .. } => Some(servers),
            NodeKind::Weighted { .. }
            | NodeKind::Failover { .. }
            | NodeKind::Mirroring(_)
            | NodeKind::Internal(_)
            | NodeKind::Unavailable(_) => None,
        }
    }
}

impl Unit {
    /// By how much its servers are late when they are slow.
    pub(super) fn slow(&self) -> Span {
        self.timing.check.map_or(Span::ZERO, |check| check.timeout) + Span::millis(1)
    }

    /// Only the process that judges, and the child that is judged with everybody below it.
    pub(super) fn alone(&self, documents: &Documents) -> Documents {
        let child: Vec<usize> = self.child.iter().map(|(_, at)| *at).collect();
        self.with(documents, &child)
    }

    /// The process that judges, with everybody below it.
    pub(super) fn among(&self, documents: &Documents) -> Documents {
        let all = 0..documents.processes[self.number].children.len();
        self.with(documents, &all.collect::<Vec<usize>>())
    }

    fn with(&self, documents: &Documents, children: &[usize]) -> Documents {
        let mut processes = Vec::new();
        take(documents, self.number, children, &mut processes);
        "parent".clone_into(&mut processes[0].name);
        Documents { processes }
    }
}

/// Adds a process with some of its children and everybody below these; returns its number.
fn take(all: &Documents, number: usize, kept: &[usize], into: &mut Vec<Written>) -> usize {
    let at = into.len();
    let mut written = all.processes[number].clone();
    if let Some(multicluster) = &mut written.fixed.multicluster {
        let children = std::mem::take(&mut multicluster.children);
        multicluster.children = kept.iter().map(|child| children[*child].clone()).collect();
    }
    written.children = vec![None; kept.len()];
    let processes = kept.iter().map(|child| all.processes[number].children[*child]);
    let processes: Vec<Option<usize>> = processes.collect();
    into.push(written);
    for (child, process) in processes.into_iter().enumerate() {
        let Some(process) = process else { continue };
        let below: Vec<usize> = (0..all.processes[process].children.len()).collect();
        let taken = take(all, process, &below, into);
        into[at].children[child] = Some(taken);
    }
    at
}
