//! Every choice an access log line tells about: C1, C2 and P2. A line holds the epoch, the
//! router, and service, ticket and turn of each balancer: enough to work the choice out again.

use super::breaker::{Breakers, Came};
use super::busy::{Loads, Sent};
use super::detour::{Detours, Fork, Way};
use super::strategy::{self, Picked};
use super::view::Epochs;
use super::{Oracle, share, signed};
use crate::gateway::Gateway;
use crate::home;
use crate::ledger::{Ledger, Probe, ProbeId};
use crate::net::Net;
use crate::plan::{Document, Kind};
use crate::site::client_ip;
use engine::base::id::{ServerId, ServiceId};
use engine::base::time::Time;
use engine::config::typed::{ServiceKind, Strategy};
use engine::service::rotation::Rotation;
use engine::view::model::Definition;
use engine::view::status::{ChildPhase, Health};
use engine::view::{MirrorNode, NodeKind, ServiceNode, Side, View};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A line of the access log, as far as it matters here.
#[derive(Deserialize, Debug)]
struct Line<'a> {
    #[serde(rename = "Choices", default, borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(rename = "Epoch")]
    epoch: u64,
    #[serde(rename = "RouterName", default, borrow)]
    router: Option<Cow<'a, str>>,
    #[serde(rename = "ServiceName", default, borrow)]
    service: Option<Cow<'a, str>>,
    #[serde(rename = "DownstreamStatus")]
    status: u16,
    /// None if no server answered.
    #[serde(rename = "OriginStatus", default)]
    origin_status: Option<u16>,
    #[serde(rename = "StartUTC", borrow)]
    started: Cow<'a, str>,
    #[serde(rename = "Duration")]
    took: u64,
    #[serde(rename = "RequestMethod", borrow)]
    method: Cow<'a, str>,
    #[serde(rename = "RequestPath", borrow)]
    path: Cow<'a, str>,
    #[serde(rename = "request_X-Probe", default, borrow)]
    probe: Option<Cow<'a, str>>,
    #[serde(rename = "request_Cookie", default, borrow)]
    cookie: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Debug)]
struct Choice<'a> {
    #[serde(rename = "Service", borrow)]
    service: Cow<'a, str>,
    /// None for a session that a cookie kept.
    #[serde(rename = "Ticket", default)]
    ticket: Option<u64>,
    #[serde(rename = "Session", default, borrow)]
    session: Option<Cow<'a, str>>,
    #[serde(rename = "Turn")]
    turn: u16,
    /// Whoever would have been chosen cannot serve just now.
    #[serde(rename = "Instead", default)]
    instead: bool,
    #[serde(rename = "Member", borrow)]
    member: Cow<'a, str>,
}

/// A request's line, for the oracles that look at the end.
#[derive(Clone, Debug)]
pub struct Record {
    pub gateway: String,
    pub life: u64,
    pub at: Time,
    pub epoch: u64,
    pub version: u32,
    pub router: Option<String>,
    pub status: u16,
    pub method: String,
    pub path: String,
    /// Service, ticket and turn.
    pub choices: Vec<(String, u64, u16)>,
}

/// What draws tickets: an instance, its life, the service.
type Drawer = (String, u64, String);

/// What the logs have said.
#[derive(Debug, Default)]
pub struct Choices {
    pub records: BTreeMap<ProbeId, Vec<Record>>,
    /// By gateway, life and service, and by the epoch since which that service has existed and has
    /// been of its kind: one that was withdrawn and comes back begins anew.
    tickets: BTreeMap<(Drawer, u64), BTreeMap<u64, (u64, u16)>>,
    /// By instance and life.
    mirrors_due: BTreeMap<(String, u64), u64>,
    /// Tickets that were drawn for nothing, and that no line tells: nobody could serve, or a
    /// failover took the other side after a bad answer.
    untold: BTreeMap<Drawer, u64>,
    pub breakers: Breakers,
    pub detours: Detours,
    pub loads: Loads,
    pub lines: u64,
}

/// Whose log is read, and what is known of requests.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub host: u16,
    pub gateway: &'a Gateway,
    pub ledger: &'a Ledger,
}

/// Who asked.
#[derive(Clone, Debug)]
struct Asker<'a> {
    cookies: &'a str,
    /// What a signed cookie says, from the service on that it belongs to.
    claims: Option<signed::Claims>,
    /// Unknown unless the line names a request of a client.
    ip: Option<IpAddr>,
}

impl Choices {
    /// Reads lines that a worker has handed over.
    pub fn read(&mut self, bytes: &[u8], seen: &Seen<'_>, epochs: &Epochs, net: &mut Net) {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            net.trace.note(net.now, || format!("log {}", line.escape_ascii()));
            match serde_json::from_slice::<Line<'_>>(line) {
                Ok(line) => self.judge(&line, seen, epochs, net),
                Err(why) => net.verdict.add(Oracle::C1, net.now, || {
                    format!("an access log line is no JSON: {why}: {}", line.escape_ascii())
                }),
            }
        }
    }

    fn judge(&mut self, line: &Line<'_>, seen: &Seen<'_>, epochs: &Epochs, net: &mut Net) {
        let gateway = seen.gateway;
        let Some(view) = gateway.views.get(&line.epoch) else {
            let epoch = line.epoch;
            return net.verdict.add(Oracle::V1, net.now, || {
                format!("a request was routed by epoch {epoch}, which was never published")
            });
        };
        let probe = line.probe.as_ref().and_then(|text| text.parse::<ProbeId>().ok());
        let known = probe.and_then(|id| seen.ledger.get(id));
        let mut asker = Asker {
            cookies: line.cookie.as_deref().unwrap_or_default(),
            claims: None,
            ip: known.map(|probe| client_ip(probe.client)),
        };
        let root = gateway.document_of(line.epoch).and_then(Document::signed);
        for choice in &line.choices {
            if root.is_some() && choice.service.strip_suffix(home::suffix()) == root {
                let claims = signed::claims_among(asker.cookies, &choice.service);
                asker.claims = Some(claims.unwrap_or_default());
            }
            self.judge_choice(choice, &asker, view, gateway, net);
            self.note_load(line, choice, view, gateway);
        }
        let told = |name: &str| line.choices.iter().any(|at| at.service == name);
        if let Some(service) = line.service.as_ref().filter(|name| !told(name)) {
            self.note_untold(service, gateway);
            if (line.status, line.origin_status) == (503, None)
                && let Some(text) = nobody_problem(service, view)
            {
                net.verdict.add(Oracle::C1, net.now, || {
                    format!("503 at {service}, epoch {}: {text}", view.epoch)
                });
            }
        }
        self.note_breaker(line, gateway);
        self.note_way(line, &asker, view, gateway);
        let sent = known.and_then(|probe| probe.head_sent);
        epochs.judge_line(seen.host, line.epoch, sent, net.now, &mut net.verdict);
        let Some(probe) = probe else { return };
        let choices = line
            .choices
            .iter()
            .filter_map(|at| Some((at.service.to_string(), at.ticket?, at.turn)));
        self.records.entry(probe).or_default().push(Record {
            gateway: gateway.instance.name.clone(),
            life: gateway.lives,
            at: net.now,
            epoch: line.epoch,
            version: gateway.version_of(line.epoch),
            router: line.router.as_ref().map(ToString::to_string),
            status: line.status,
            method: line.method.to_string(),
            path: line.path.to_string(),
            choices: choices.collect(),
        });
    }

    fn note_load(&mut self, line: &Line<'_>, choice: &Choice<'_>, view: &View, gateway: &Gateway) {
        let node = view.services.iter().find(|node| *node.name == *choice.service);
        let strategy = node.map_or(Strategy::Wrr, |node| strategy_of(node));
        if !matches!(strategy, Strategy::P2c | Strategy::LeastTime) {
            return;
        }
        let Some(started) = moment(&line.started) else { return };
        let weights = gateway.weights(&choice.service, view.epoch);
        let weights = weights.filter(|_| strategy == Strategy::P2c).unwrap_or_default().to_vec();
        let ended = Time::from_nanos(started.nanos() + line.took);
        let probe = line.probe.as_ref().and_then(|text| text.parse().ok());
        let (ticket, turn) = (choice.ticket, choice.turn);
        let place = (gateway.instance.name.clone(), gateway.lives, choice.service.to_string());
        self.loads.note(place, Sent { ticket, turn, weights, started, ended, probe });
    }

    fn note_breaker(&mut self, line: &Line<'_>, gateway: &Gateway) {
        let Some(router) = line.router.as_deref().filter(|_| gateway.instance.document.breaks())
        else {
            return;
        };
        let document = gateway.document_of(line.epoch);
        let settings = document.and_then(|at| at.breaker_of(router));
        if let (Some(settings), Some(started)) = (settings, moment(&line.started)) {
            let (ended, status) = (Time::from_nanos(started.nanos() + line.took), line.status);
            let place = (gateway.instance.name.clone(), gateway.lives, router.to_owned());
            let refused = status == settings.status();
            self.breakers.note(place, settings, Came { started, ended, status, refused });
        }
    }

    /// What breakers before services hear of a request, and how it went past them.
    fn note_way(&mut self, line: &Line<'_>, asker: &Asker<'_>, view: &View, gateway: &Gateway) {
        let document = gateway.document_of(line.epoch).filter(|document| document.breaks());
        let (Some(document), Some(started)) = (document, moment(&line.started)) else { return };
        let of = (gateway.instance.name.clone(), gateway.lives);
        let place = |name: &str| (of.0.clone(), of.1, name.to_owned());
        let (ended, status) = (Time::from_nanos(started.nanos() + line.took), line.status);
        let mut forks = Vec::new();
        for choice in &line.choices {
            if let Some(settings) = document.breaker_before(&choice.service) {
                let came = Came { started, ended, status, refused: false };
                self.breakers.note(place(&choice.service), settings, came);
            }
            let node = view.services.iter().find(|node| *node.name == *choice.service);
            if let Some(NodeKind::Failover { main, side: Side::Main, .. }) = node.map(|it| &it.kind)
                && choice.turn == 1
                && !choice.instead
                && let Some(main) = view.services.get(main.0)
                && let Some(settings) = document.breaker_before(&main.name)
            {
                self.breakers.blur(place(&main.name), settings, started);
            }
            let left = node.and_then(|node| moved(node, choice, asker, view, document));
            let (service, ticket) = (choice.service.to_string(), choice.ticket);
            forks.push(Fork { service, ticket, turn: choice.turn, instead: choice.instead, left });
        }
        let told = |name: &str| line.choices.iter().any(|at| at.service == name);
        let last = line.service.as_deref().filter(|name| !told(name));
        let last = last.and_then(|name| Some((name, document.breaker_before(name)?)));
        let refused = last.is_some_and(|(_, settings)| status == settings.status());
        // A path that its router's middlewares have spoilt comes to no breaker.
        if let Some((name, settings)) = last.filter(|_| status != 400) {
            self.breakers.note(place(name), settings, Came { started, ended, status, refused });
        }
        if refused || forks.iter().any(|fork| fork.instead || fork.left.is_some()) {
            let router = line.router.as_deref().unwrap_or_default().to_owned();
            let (epoch, client) = (line.epoch, asker.ip);
            self.detours.note(Way { of, epoch, router, client, started, ended, refused, forks });
        }
    }

    fn note_untold(&mut self, service: &str, gateway: &Gateway) {
        let of = (gateway.instance.name.clone(), gateway.lives, service.to_owned());
        *self.untold.entry(of).or_default() += 1;
    }

    /// A replay after a bad answer: what was chosen below the main side is not told.
    fn note_replay(&mut self, node: &ServiceNode, view: &View, gateway: &Gateway) {
        let NodeKind::Failover { main, .. } = &node.kind else { return };
        self.loads.note_replay(&gateway.instance.name, gateway.lives);
        let mut below = vec![*main];
        while let Some(id) = below.pop() {
            let Some(node) = view.services.get(id.0) else { continue };
            self.note_untold(&node.name, gateway);
            match &node.kind {
                NodeKind::Weighted { services, .. } => below.extend(services.iter().copied()),
                NodeKind::Failover { main, fallback, .. } => below.extend([*main, *fallback]),
                NodeKind::Mirroring(mirroring) => below.push(mirroring.main),
                NodeKind::Balancer { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => {}
            }
        }
    }

    fn judge_choice(
        &mut self,
        choice: &Choice<'_>,
        asker: &Asker<'_>,
        view: &Arc<View>,
        gateway: &Gateway,
        net: &mut Net,
    ) {
        let (ticket, turn) = (choice.ticket.unwrap_or(0), choice.turn);
        let mut wrong = |oracle: Oracle, text: String| {
            let service = &choice.service;
            net.verdict.add(oracle, net.now, || {
                format!("{service}, ticket {ticket}, turn {turn}, epoch {}: {text}", view.epoch)
            });
        };
        let node = view.services.iter().find(|node| *node.name == *choice.service);
        let Some(node) = node else {
            return wrong(Oracle::C1, "no such service in that view".into());
        };
        let document = gateway.document_of(view.epoch);
        let moved = document.and_then(|document| moved(node, choice, asker, view, document));
        if let Some(text) = session_problem(node, choice, asker, view).filter(|_| moved.is_none()) {
            wrong(Oracle::C1, text);
        }
        // Whether it was right to pass somebody by is known when all lines were read.
        let passes = choice.instead && document.is_some_and(Document::breaks);
        let drawn = match &node.kind {
            NodeKind::Balancer { .. } | NodeKind::Weighted { .. } if choice.session.is_some() => {
                false
            }
            NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => {
                let strategy = strategy_of(node);
                let problem = match strategy {
                    Strategy::Wrr | Strategy::Hrw if passes => None,
                    Strategy::Wrr => turn_problem(&turns.rotation, ticket, turn),
                    Strategy::P2c | Strategy::Hrw | Strategy::LeastTime => {
                        strategy_problem(node, (ticket, turn), asker, view, gateway)
                    }
                };
                if let Some(text) = problem {
                    wrong(Oracle::C1, text);
                }
                strategy != Strategy::Hrw
            }
            NodeKind::Failover { side, .. } => {
                let side_taken = if passes && *side == Side::Main { 0 } else { turn };
                if let Some(text) = side_problem(node, *side, side_taken, view) {
                    wrong(Oracle::P2, text);
                }
                if turn == 1 && *side == Side::Main && !passes {
                    self.note_replay(node, view, gateway);
                }
                false
            }
            NodeKind::Mirroring(mirroring) => {
                let due = |at: &&MirrorNode| crate::model::mirrored(ticket, at.percent);
                let due = mirroring.mirrors.iter().filter(due).count() as u64;
                let of = (gateway.instance.name.clone(), gateway.lives);
                *self.mirrors_due.entry(of).or_default() += due;
                true
            }
            NodeKind::Internal(_) | NodeKind::Unavailable(_) => {
                wrong(Oracle::C1, "such a service makes no choice".into());
                false
            }
        };
        if let Some(text) = member_problem(node, choice, view) {
            wrong(Oracle::C1, text);
        }
        if drawn {
            let of = (gateway.instance.name.clone(), gateway.lives, choice.service.to_string());
            let born = born(&gateway.views, view.epoch, &choice.service);
            let tickets = self.tickets.entry((of, born)).or_default();
            // What was passed on counts for whoever had the turn.
            let turn = if passes { turn_of(node, ticket).unwrap_or(turn) } else { turn };
            if tickets.insert(ticket, (view.epoch, turn)).is_some() {
                wrong(Oracle::C2, "the ticket was drawn before".into());
            }
        }
    }

    /// C2 at the end: of an instance whose log was read to its end, tickets have no gaps.
    pub fn judge_gaps(&self, of: &Gateway, net: &mut Net) {
        for ((drawer, _), tickets) in &self.tickets {
            let (gateway, life, service) = drawer;
            if *gateway != of.instance.name || *life != of.lives {
                continue;
            }
            let drawn = tickets.len() as u64;
            let last = tickets.last_key_value().map_or(0, |(ticket, _)| *ticket);
            let untold = self.untold.get(drawer).copied().unwrap_or(0);
            if last + 1 > drawn + untold {
                net.verdict.add(Oracle::C2, net.now, || {
                    format!("{gateway}: {service} drew {drawn} tickets and {untold} in vain, the last is {last}")
                });
            }
        }
    }

    /// C2 at the end: requests with tickets that follow one another under the same weights have
    /// had their shares. The weights are the model's.
    pub fn judge_shares(&self, of: &Gateway, net: &mut Net) {
        for ((drawer, _), tickets) in &self.tickets {
            let (gateway, life, service) = drawer;
            if *gateway != of.instance.name || *life != of.lives {
                continue;
            }
            let mut tickets = tickets.iter().peekable();
            while let Some((first, (epoch, turn))) = tickets.next() {
                let Some(weights) = of.shares(service, *epoch) else { continue };
                let (mut turns, mut next) = (vec![*turn], first + 1);
                let same = |epoch: u64| of.shares(service, epoch) == Some(weights);
                while let Some((_, (_, turn))) =
                    tickets.next_if(|(ticket, (epoch, _))| **ticket == next && same(*epoch))
                {
                    turns.push(*turn);
                    next += 1;
                }
                if let Some(text) = share::run_problem(&turns, weights) {
                    net.verdict.add(Oracle::C2, net.now, || {
                        format!("{gateway}: {service}, from ticket {first} on: {text}")
                    });
                }
            }
        }
    }

    /// Requests of an instance's present life whose lines have named them.
    pub fn records_of(&self, of: &Gateway) -> impl Iterator<Item = (ProbeId, &Record)> {
        let own = |record: &Record| record.gateway == of.instance.name && record.life == of.lives;
        let each = self.records.iter();
        let each = each.flat_map(|(id, records)| records.iter().map(|record| (*id, record)));
        each.filter(move |(_, record)| own(record))
    }

    /// Mirrors that the tickets of an instance's present life ask for.
    pub fn mirrors_due(&self, gateway: &Gateway) -> u64 {
        let of = (gateway.instance.name.clone(), gateway.lives);
        self.mirrors_due.get(&of).copied().unwrap_or(0)
    }

    /// C1 at the end: every record of the parent is about the request it names, and tells the
    /// router that the document of its view has for it.
    pub fn judge_routes(
        &self,
        ledger: &Ledger,
        router_of: &dyn Fn(&Probe, u32) -> Option<String>,
        net: &mut Net,
    ) {
        for (id, records) in &self.records {
            let Some(probe) = ledger.get(*id) else { continue };
            for record in records.iter().filter(|record| record.gateway == "parent") {
                let router = router_of(probe, record.version);
                let meant = &probe.meant;
                let same = record.method == meant.method && record.path == meant.target;
                if !same || record.router != router || record.version < probe.oldest {
                    net.verdict.add(Oracle::C1, record.at, || {
                        format!(
                            "probe {id}, {meant:?}, router {router:?}, was logged as {record:?}"
                        )
                    });
                }
            }
        }
    }
}

/// A moment of the first month of 1970, when all clocks here begin.
fn moment(text: &str) -> Option<Time> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let days = number(8, 10)?.checked_sub(1).filter(|_| text.starts_with("1970-01-"))?;
    let seconds = ((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    Some(Time::from_nanos(seconds * 1_000_000_000 + number(20, 29)?))
}

/// The first epoch of those without a gap up to `epoch` in which `service` was what it is then. A
/// position goes with the kind: an alias and the service of an uplink may have one name in turn.
fn born(views: &BTreeMap<u64, Arc<View>>, epoch: u64, service: &str) -> u64 {
    let kind = |view: &View| {
        let node = view.services.iter().find(|node| *node.name == *service);
        node.map(|node| std::mem::discriminant(&node.kind))
    };
    let now = views.get(&epoch).and_then(|view| kind(view));
    let back = views.range(..=epoch).rev().take_while(|(_, view)| kind(view) == now);
    back.last().map_or(epoch, |(epoch, _)| *epoch)
}

/// A session stays with the member that its cookie names unless that is known to be down, and
/// draws no ticket; without such a cookie a ticket is drawn. Judged by the documents, not by the
/// tables made of them.
fn session_problem(
    node: &ServiceNode,
    choice: &Choice<'_>,
    asker: &Asker<'_>,
    view: &View,
) -> Option<String> {
    let expected = kept_with(node, asker, view);
    let kept = choice.session.as_ref().map(|_| usize::from(choice.turn));
    if kept == expected && choice.ticket.is_some() == kept.is_none() {
        return None;
    }
    let (session, ticket, cookies) = (&choice.session, choice.ticket, asker.cookies);
    Some(format!("session {session:?}, ticket {ticket:?}, but `{cookies}` keeps {expected:?}"))
}

/// Whom a session was with that a breaker may have ended.
fn moved(
    node: &ServiceNode,
    choice: &Choice<'_>,
    asker: &Asker<'_>,
    view: &View,
    document: &Document,
) -> Option<usize> {
    let NodeKind::Weighted { services, .. } = &node.kind else { return None };
    if choice.session.is_some() || !document.breaks() {
        return None;
    }
    let member = kept_with(node, asker, view)?;
    let name = &view.services.get(services.get(member)?.0)?.name;
    document.breaker_before(name).map(|_| member)
}

/// Whom cookies keep a session with.
fn kept_with(node: &ServiceNode, asker: &Asker<'_>, view: &View) -> Option<usize> {
    let claimed = asker.claims.as_ref().and_then(|claims| claimed_by(node, claims, view));
    claimed.or_else(|| kept_by(node, asker.cookies, view))
}

fn turn_of(node: &ServiceNode, ticket: u64) -> Option<u16> {
    match &node.kind {
        NodeKind::Weighted { turns, .. } => turns.rotation.turn(ticket),
        NodeKind::Balancer { .. }
        | NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => None,
    }
}

/// Whom a signed cookie keeps a session with.
fn claimed_by(node: &ServiceNode, claims: &signed::Claims, view: &View) -> Option<usize> {
    let name = |id: &ServiceId| view.services.get(id.0).map_or("", |service| &*service.name);
    let members: Vec<&str> = match &node.kind {
        NodeKind::Balancer { servers, .. } => servers.iter().map(|at| &*at.url).collect(),
        NodeKind::Weighted { services, .. } => services.iter().map(name).collect(),
        NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => return None,
    };
    let member = signed::member_of(claims, &node.name, &members)?;
    (known_member(node, member, view)? != Known::Down).then_some(member)
}

fn kept_by(node: &ServiceNode, cookies: &str, view: &View) -> Option<usize> {
    let info = view.model.services.get(node.id.0)?;
    let Definition::Written(written) = &info.definition else { return None };
    let (manner, keys): (_, Vec<&str>) = match &written.kind {
        ServiceKind::Balancer(at) => {
            (&at.manner, at.servers.iter().map(|server| server.url.as_str()).collect())
        }
        ServiceKind::Weighted { services, manner } => {
            (manner, services.iter().map(|part| part.key.as_str()).collect())
        }
        ServiceKind::Failover(_) | ServiceKind::Mirroring(_) | ServiceKind::Broken(_) => {
            return None;
        }
    };
    let sticky = manner.sticky.as_ref().filter(|cookie| cookie.signed_by.is_none())?;
    let name = &sticky.name;
    let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(other, _)| other == name)?;
    let member = keys.iter().position(|key| *key == value)?;
    (known_member(node, member, view)? != Known::Down).then_some(member)
}

fn known_member(node: &ServiceNode, member: usize, view: &View) -> Option<Known> {
    match &node.kind {
        NodeKind::Balancer { servers, .. } => Some(known_server(view, servers.get(member)?.id)),
        NodeKind::Weighted { services, .. } => Some(known(view, *services.get(member)?, 0)),
        NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => None,
    }
}

/// A walk that ends where a service has chosen nobody is right only if nobody below it takes turns,
/// or if no side of a failover is up. That the turns are the right ones is judged with each view.
fn nobody_problem(service: &str, view: &View) -> Option<String> {
    let node = view.services.iter().find(|node| *node.name == *service);
    let Some(node) = node else { return Some("no such service in that view".into()) };
    match &node.kind {
        NodeKind::Balancer { turns, .. } | NodeKind::Weighted { turns, .. } => {
            let turns = turns.rotation.turns();
            (!turns.is_empty()).then(|| format!("members {turns:?} take turns"))
        }
        NodeKind::Failover { side, .. } => {
            (*side != Side::Neither).then(|| format!("side {side:?} serves"))
        }
        NodeKind::Mirroring(_) | NodeKind::Internal(_) => Some("it always has somebody".into()),
        NodeKind::Unavailable(_) => None,
    }
}

/// That it is the document's is judged with each view.
fn strategy_of(node: &ServiceNode) -> Strategy {
    node.choosing.as_ref().map_or(Strategy::Wrr, |choosing| choosing.strategy)
}

fn strategy_problem(
    node: &ServiceNode,
    (ticket, turn): (u64, u16),
    asker: &Asker<'_>,
    view: &View,
    gateway: &Gateway,
) -> Option<String> {
    let weights = gateway.weights(&node.name, view.epoch)?;
    let document = gateway.document_of(view.epoch)?;
    let service = document.service(&node.name)?;
    let names: Vec<&str> = match &service.kind {
        Kind::Balancer { servers, .. } => servers.iter().map(|at| at.url.as_str()).collect(),
        Kind::Weighted(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
        Kind::Failover { .. } | Kind::Mirroring { .. } => return None,
    };
    let (strategy, names, client) = (strategy_of(node), &names[..], asker.ip);
    strategy::problem(&Picked { strategy, ticket, turn, weights, names, client })
}

fn turn_problem(rotation: &Rotation, ticket: u64, turn: u16) -> Option<String> {
    let turns = rotation.turns();
    let at = usize::try_from(ticket % (turns.len().max(1) as u64)).expect("below a length");
    match turns.get(at) {
        Some(expected) if *expected == turn => None,
        expected => Some(format!("the rotation says {expected:?}")),
    }
}

/// P2: the better known side, the main one when they are alike, nobody if both are down. A replay
/// after a bad answer goes to the fallback whatever its side.
fn side_problem(node: &ServiceNode, side: Side, turn: u16, view: &View) -> Option<String> {
    let NodeKind::Failover { main, fallback, errors, .. } = &node.kind else { return None };
    let (of_main, of_fallback) = (known(view, *main, 0), known(view, *fallback, 0));
    let expected = if of_main.max(of_fallback) == Known::Down {
        Side::Neither
    } else if of_main >= of_fallback {
        Side::Main
    } else {
        Side::Fallback
    };
    // A child that has not been heard of for long may be demoted behind fresh ones.
    let demoted = view.status.children.iter().any(|child| child.phase == ChildPhase::Overdue);
    if side != expected && !demoted {
        return Some(format!("side {side:?}, but {of_main:?} against {of_fallback:?}"));
    }
    let right = match turn {
        0 => side == Side::Main,
        1 => side == Side::Fallback || errors.is_some(),
        _ => false,
    };
    (!right).then(|| format!("turn {turn} with side {side:?}"))
}

/// How well a service is known to serve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Known {
    Down,
    Unknown,
    Up,
}

/// The worst member that takes turns; servers as their checks saw them last.
pub(super) fn known(view: &View, service: ServiceId, depth: u32) -> Known {
    let Some(node) = view.services.get(service.0).filter(|_| depth < 20) else {
        return Known::Down;
    };
    let of = |id: ServiceId| known(view, id, depth + 1);
    match &node.kind {
        NodeKind::Balancer { turns, servers, .. } => {
            let members = turns.rotation.turns().iter().map(|turn| &servers[usize::from(*turn)]);
            members.map(|server| known_server(view, server.id)).min().unwrap_or(Known::Down)
        }
        NodeKind::Weighted { turns, services } => {
            let members = turns.rotation.turns().iter().map(|turn| services[usize::from(*turn)]);
            members.map(of).min().unwrap_or(Known::Down)
        }
        NodeKind::Failover { main, fallback, .. } => of(*main).max(of(*fallback)),
        NodeKind::Mirroring(mirroring) => of(mirroring.main),
        NodeKind::Internal(_) => Known::Up,
        NodeKind::Unavailable(_) => Known::Down,
    }
}

fn known_server(view: &View, server: ServerId) -> Known {
    let Some(status) = view.status.servers.get(server.0) else { return Known::Up };
    match status.health {
        _ if status.ejected => Known::Down,
        Health::Down => Known::Down,
        Health::Up => Known::Up,
        Health::Unknown => Known::Unknown,
    }
}

fn member_problem(node: &ServiceNode, choice: &Choice<'_>, view: &View) -> Option<String> {
    let name = |id: ServiceId| view.services.get(id.0).map(|service| service.name.to_string());
    let turn = usize::from(choice.turn);
    let member = match &node.kind {
        NodeKind::Balancer { servers, .. } => servers.get(turn).map(|at| at.url.to_string()),
        NodeKind::Weighted { services, .. } => services.get(turn).and_then(|id| name(*id)),
        // Their turn says it all: a side, or nothing to choose.
        NodeKind::Failover { .. } | NodeKind::Mirroring(_) => Some(String::new()),
        NodeKind::Internal(_) | NodeKind::Unavailable(_) => None,
    };
    let same = member.as_deref() == Some(&*choice.member);
    (!same).then(|| format!("member {:?} instead of {member:?}", choice.member))
}
