//! The phases of a run: storm, calm, and the end of everything.

use crate::actors::server::Server;
use crate::entropy::RunId;
use crate::fault::Counts;
use crate::gateway::{Gateway, Role};
use crate::ledger::{Ended, Probe};
use crate::model::{Fate, Routed};
use crate::oracle::told::{self, Failing};
use crate::oracle::uplink;
use crate::oracle::{self, Oracle, Violation};
use crate::pairs::Pairs;
use crate::plan::Uplink;
use crate::site::{Child, FIRST_SERVER};
use crate::trace::Text;
use crate::world::{World, scene};
use engine::base::limits::Limits;
use engine::base::mark::Mark;
use engine::base::time::{Span, Time};
use engine::boundary::Close;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Report {
    pub run: RunId,
    pub violations: Vec<Violation>,
    pub hash: u64,
    pub events: u64,
    /// Calls of machines.
    pub steps: u64,
    pub requests: u64,
    pub answered: u64,
    pub records: u64,
    /// Decisions about requests that were recorded, and taken again alike.
    pub replayed: u64,
    pub polls: u64,
    pub bytes: u64,
    pub faults: Counts,
    pub marks: Vec<u64>,
    /// What was tolerated, by reason.
    pub excused: BTreeMap<String, u64>,
    /// Requests that servers answered, by how the client and the server were met.
    pub pairs: Pairs,
    pub virtual_time: Time,
    /// If they were asked for.
    pub lines: Vec<(Time, String)>,
}

/// How long a storm may last when clients are stuck.
const STORM_MAX: Span = Span::secs(40);
/// How long everything has to recover: the longest dial, poll, probe and file pause, and slack.
const RECOVERY: Span = Span::secs(12);
/// The same, when a name did not resolve: it is asked for again after half a minute at most.
const NAME_RECOVERY: Span = Span::secs(45);
const CALM_MAX: Span = Span::secs(60);
const DRAIN: Span = Span::secs(5);
const CALM_REQUESTS: u32 = 3;

/// Plays one run from beginning to end. A machine that panics has broken a property, too.
pub fn play(run: RunId, text: Text) -> Report {
    let mut world = World::new(run, text);
    let live = catch_unwind(AssertUnwindSafe(|| world.live()));
    if let Err(panic) = live {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        let said = said.unwrap_or_default();
        world.net.verdict.add(Oracle::Panic, world.net.now, || said);
    }
    world.report()
}

/// Of so many runs one records and is replayed from that, which takes as long as the run itself.
pub const RECORDED_ONE_IN: u64 = 16;

impl World {
    pub fn live(&mut self) {
        self.storm();
        self.become_calm();
        self.end();
    }

    fn storm(&mut self) {
        let until = self.net.now + STORM_MAX;
        self.run_until(until, |world| {
            world.clients.iter().all(|client| client.done && client.is_idle())
        });
    }

    /// Faults cease, whatever was broken for good is cut, and everything has to work again.
    fn become_calm(&mut self) {
        let stalls = self.attacker.stalls_since();
        oracle::patience::judge_waits(&mut scene!(self), &self.site, stalls);
        self.net.faults.cease();
        let now = self.net.now;
        for client in 0..self.clients.len() {
            let mut scene = scene!(self);
            self.clients[client].leave(&mut scene, Close::Abort);
        }
        self.attacker.give_up(&mut self.net);
        self.be_honest();
        for server in 0..self.servers.len() {
            self.revive(server);
            let mut scene = scene!(self);
            self.servers[server].calm_down(&mut scene);
        }
        for gateway in 0..self.gateways.len() {
            if self.gateways[gateway].up && self.is_draining(gateway) {
                self.crash(gateway);
            }
            self.restart(gateway);
            self.send(Span::millis(1), crate::world::Parcel::Changed { gateway });
        }
        self.net.clear_the_air();
        let recovery = if self.net.faults.renamed() { NAME_RECOVERY } else { RECOVERY };
        let until = now + recovery;
        self.run_until(until, |_| false);
        // A clock that has leapt just now leaves everybody late.
        if self.net.now <= until {
            oracle::patience::judge_idle(&self.servers, &self.site, &mut self.net);
        }
        self.book.stops.clear();
        self.book.drains.clear();
        self.book.unhealthy = None;
        self.calm = true;
        for client in 0..self.clients.len() {
            let here = self.run.crew.client(client);
            self.clients[client].left = if here { CALM_REQUESTS } else { 0 };
            self.clients[client].done = false;
            let mut scene = scene!(self);
            self.clients[client].wake(&mut scene, Span::micros(100));
        }
        let until = self.net.now + CALM_MAX;
        self.run_until(until, |world| {
            world.clients.iter().all(|client| client.left == 0 && client.is_idle())
        });
        self.judge_liveness();
        self.judge_quiet();
    }

    /// What must hold once everything has been quiet for long.
    fn judge_quiet(&mut self) {
        let now = self.net.now;
        for (number, host) in (0..).zip(&self.hosts) {
            if matches!(host.role, Role::Worker(_)) && host.machine.is_some() {
                let newest = self.gateways[host.gateway].newest;
                self.epochs.judge_quiet(number, newest, now, &mut self.net.verdict);
            }
        }
        self.judge_services();
    }

    /// U1 and U2, by what files say and children answer.
    fn judge_services(&mut self) {
        let now = self.net.now;
        let failing = self.failing_children();
        for (number, gateway) in self.gateways.iter().enumerate() {
            let Some((epoch, view)) = gateway.views.last_key_value() else { continue };
            let version = gateway.version_of(*epoch);
            let verdict = &mut self.net.verdict;
            let document = gateway.document();
            uplink::judge_document(view, version, document, now, verdict);
            let (mut offers, mut failing) = (Vec::new(), &failing[..]);
            if number == 0 {
                let children = (0..).zip(&self.site.children);
                offers.extend(children.map(|(n, child)| {
                    (format!("c{n}"), offered(child, &self.servers, &self.gateways))
                }));
            } else {
                failing = &[];
            }
            if !self.site.control_tight && !self.site.tight {
                uplink::judge_adverts(view, &offers, now, verdict);
            }
            let room = !self.site.control_tight && !self.site.tight;
            if room && !self.net.faults.renamed() {
                gateway.probes.judge_quiet(view, now, verdict);
            }
            let children = uplink::as_seen(view);
            told::judge(&view.status.diagnostics, document, &children, failing, now, verdict);
        }
    }

    /// Children that answer polls with what is no advertisement.
    fn failing_children(&self) -> Vec<Failing> {
        let children = (0..).zip(&self.site.children);
        let failing = children.filter_map(|(n, child)| {
            let lies = match child {
                Child::Played { server, .. } => {
                    let script = self.servers[*server].advert.as_ref();
                    script.is_some_and(|script| script.means.is_none())
                }
                Child::Ours(_) => false,
            };
            // A child of ours that is short of room turns polls away.
            let bound = self.site.control_tight || self.site.tight;
            let (surely, perhaps) = (lies && !self.site.control_tight, lies || bound);
            perhaps.then(|| Failing { child: format!("c{n}"), surely })
        });
        failing.collect()
    }

    fn judge_liveness(&mut self) {
        let now = self.net.now;
        for probe in &self.ledger.probes {
            let stuck = probe.calm && probe.end.is_none_or(|(_, ended)| ended == Ended::Open);
            if stuck {
                let (id, meant) = (probe.id, &probe.meant);
                self.net.verdict.add(Oracle::L1, now, || {
                    format!("probe {id} is not answered although all is calm: {meant:?}")
                });
            }
        }
        for (number, client) in self.clients.iter().enumerate() {
            if client.left > 0 {
                let (left, refused) = (client.left, client.refused);
                self.net.verdict.add(Oracle::L1, now, || {
                    format!("client {number} has {left} requests left, {refused} times refused")
                });
            }
        }
    }

    fn end(&mut self) {
        for client in 0..self.clients.len() {
            let mut scene = scene!(self);
            self.clients[client].leave(&mut scene, Close::Gentle);
        }
        oracle::http::judge(&mut scene!(self));
        for gateway in 0..self.gateways.len() {
            self.drain(gateway, DRAIN);
        }
        let until = self.net.now + DRAIN + Span::secs(2);
        self.run_until(until, |world| {
            world.hosts.iter().all(|host| host.finished || host.machine.is_none())
        });
        self.judge_rest();
        for gateway in 0..self.gateways.len() {
            self.judge_recorded(gateway);
        }
        oracle::http::judge_arrivals(&mut scene!(self));
        self.judge_choices();
    }

    /// T2: what an instance recorded is decided again alike.
    pub(crate) fn judge_recorded(&mut self, gateway: usize) {
        if self.gateways[gateway].up {
            let now = self.net.now;
            let gateway = &self.gateways[gateway];
            self.replayed += oracle::capsule::judge(gateway, now, &mut self.net.verdict);
        }
    }

    /// R1: nothing is left of a drained instance.
    fn judge_rest(&mut self) {
        let now = self.net.now;
        for number in 0..self.hosts.len() {
            let host = &self.hosts[number];
            let Some(machine) = &host.machine else { continue };
            let port = self.net.port(u16::try_from(number).expect("a run has few hosts"));
            let (operations, sockets) = port.outstanding();
            let (role, finished) = (host.role, host.finished);
            machine.check();
            let held = machine.holdings();
            let empty = oracle::resource::is_empty(&held);
            if !finished || operations > 0 || sockets > 0 || !empty {
                let gateway = &self.gateways[host.gateway].instance.name;
                self.net.verdict.add(Oracle::R1, now, || {
                    format!(
                        "{role:?} of {gateway} has drained (finished: {finished}) with \
                         {operations} operations and {sockets} sockets; it holds {held:?}"
                    )
                });
            }
        }
    }

    fn judge_choices(&mut self) {
        for number in 0..self.gateways.len() {
            let finished = |host: &u16| self.hosts[usize::from(*host)].finished;
            let drained = self.gateways[number].hosts.iter().all(finished);
            self.gateways[number].drained = drained && self.gateways[number].up;
            if self.gateways[number].drained {
                self.choices.judge_gaps(&self.gateways[number], &mut self.net);
                let (of, now) = (&self.gateways[number], self.net.now);
                let name = of.instance.name.as_str();
                self.choices.breakers.judge(name, of.lives, now, &mut self.net.verdict);
                self.choices.detours.judge(of, &self.choices.breakers, now, &mut self.net.verdict);
                let of = (name, of.lives);
                self.choices.loads.judge(of, &self.ledger, now, &mut self.net.verdict);
            }
            self.choices.judge_shares(&self.gateways[number], &mut self.net);
        }
        let book = &self.book;
        let router = |probe: &Probe, version: u32| match book.fate(probe, version)? {
            Fate::Nowhere | Fate::Loop => None,
            Fate::Broken { router }
            | Fate::Unclean { router, .. }
            | Fate::TurnedAway { router, .. }
            | Fate::Routed(Routed { router, .. }) => Some(router),
        };
        self.choices.judge_routes(&self.ledger, &router, &mut self.net);
        let usual = Limits::default();
        let limits = &self.site.limits;
        let bound = self.site.tight
            || limits.mirrors_max < usual.mirrors_max
            || limits.kept_bytes < usual.kept_bytes;
        oracle::mirror::judge(&self.choices, &mut scene!(self), bound);
        let kept = oracle::mirror::Kept { ledger: &self.ledger, limits };
        for gateway in self.gateways.iter().filter(|gateway| gateway.drained) {
            oracle::mirror::judge_account(gateway, &self.choices, &kept, &mut self.net);
        }
    }

    fn is_draining(&self, gateway: usize) -> bool {
        self.gateways[gateway].draining
    }

    fn pairs(&self) -> Pairs {
        let mut pairs = Pairs::default();
        let ended = self
            .ledger
            .probes
            .iter()
            .filter(|probe| probe.end.is_some_and(|(_, ended)| ended == Ended::Answered));
        for probe in ended {
            let Some(server) = probe.answer.as_ref().and_then(|answer| answer.server) else {
                continue;
            };
            let arrival = probe.arrivals.iter().find(|arrival| arrival.server == server);
            let Some(arrival) = arrival else { continue };
            pairs.servers.add(probe.leg, arrival.leg);
            if let Some(child) = self.child_of(server) {
                pairs.children.add(probe.leg, self.site.wiring.child(child));
            }
        }
        pairs
    }

    /// The child that this server is, or stands behind.
    fn child_of(&self, server: u16) -> Option<usize> {
        let name = &self.servers[usize::from(server - FIRST_SERVER)].name;
        let number = name.strip_prefix("child-")?.trim_end_matches("-origin");
        number.parse().ok()
    }

    pub fn report(self) -> Report {
        let mut marks = vec![0; Mark::ALL.len()];
        for gateway in &self.gateways {
            for (sum, count) in marks.iter_mut().zip(gateway.marks_now()) {
                *sum += count;
            }
        }
        let answered =
            |probe: &&Probe| probe.end.is_some_and(|(_, ended)| ended == Ended::Answered);
        Report {
            run: self.run,
            violations: self.net.verdict.all().to_vec(),
            hash: self.net.trace.hash(),
            events: self.net.trace.events(),
            steps: self.errands.steps,
            requests: self.ledger.probes.len() as u64,
            answered: self.ledger.probes.iter().filter(answered).count() as u64,
            records: self.choices.lines,
            replayed: self.replayed,
            polls: self.ledger.polls,
            bytes: self.net.bytes,
            faults: self.net.faults.counts.clone(),
            marks,
            excused: self.net.verdict.excused.clone(),
            pairs: self.pairs(),
            virtual_time: self.net.now,
            lines: self.net.trace.lines(),
        }
    }
}

/// What a child offers; several if nobody can tell which of its answers arrived last.
fn offered(child: &Child, servers: &[Server], gateways: &[Gateway]) -> Vec<Vec<Uplink>> {
    match child {
        Child::Ours(instance) => {
            let own = gateways.iter().filter(|at| at.instance.name == instance.name);
            own.map(|at| at.document().uplinks.clone()).collect()
        }
        Child::Played { server, .. } => {
            let server = &servers[*server];
            let now = server.advert.as_ref().and_then(|script| script.means.clone());
            if let Some(now) = now {
                return vec![now];
            }
            let mut candidates: Vec<Vec<Uplink>> =
                server.told.iter().map(|(_, means)| means.clone()).collect();
            // An answer with a validator is named in the next poll; of one without, nobody can
            // tell whether it has arrived.
            if server.told.iter().all(|(etag, _)| etag.is_none()) {
                candidates.push(Vec::new());
            }
            candidates
        }
    }
}
