//! One of our own instances in a world: its machines, its files and the views it has published.

use crate::actors::server::DECOY;
use crate::fault::Kind;
use crate::home::{self, Home};
use crate::life::RECORDED_ONE_IN;
use crate::net::Net;
use crate::oracle::health::Probes;
use crate::oracle::signed;
use crate::oracle::uplink::Uplinks;
use crate::oracle::{Oracle, Verdict};
use crate::plan::Document;
use crate::proactor::Port;
use crate::secure::crypto;
use crate::secure::tap::Tap;
use crate::site::Instance;
use crate::world::{Host, Parcel, World};
use engine::base::id::JobId;
use engine::base::mark::Mark;
use engine::base::secret::Secret;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{Answer, Close, Document as FileText, Input, Job};
use engine::config::fixed_from_file;
use engine::control::Control;
use engine::tls::Crypto;
use engine::view::stats::Stats;
use engine::view::{NodeKind, ServerNode, ServiceNode, View};
use engine::worker::{Setup, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

/// What a machine does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Control,
    Worker(u16),
}

/// A process.
#[derive(Debug)]
pub struct Gateway {
    pub instance: Instance,
    pub stats: Arc<Stats>,
    /// The control machine first, then the workers.
    pub hosts: Vec<u16>,
    /// What its file says, newest last.
    pub documents: Vec<Document>,
    pub views: BTreeMap<u64, Arc<View>>,
    versions: BTreeMap<u64, u32>,
    /// When the newest view was published, and its epoch.
    pub newest: (Time, u64),
    uplinks: Uplinks,
    pub(crate) probes: Probes,
    pub(crate) tap: Tap,
    shed: u64,
    refused: [u64; REFUSALS.len()],
    pub up: bool,
    pub draining: bool,
    /// Drained to the end of the run: every line of its log was read.
    pub drained: bool,
    /// Marks of earlier lives.
    pub marks: Vec<u64>,
    pub lives: u64,
    torn: usize,
}

/// Marks of requests that a bound turned away, with the answer they get.
const REFUSALS: [(Mark, u16); 2] = [(Mark::WaitedTooLong, 504), (Mark::HeadsOvergrown, 431)];

impl Gateway {
    /// The version of the document that a view was made of; nought before any was read.
    pub fn version_of(&self, epoch: u64) -> u32 {
        self.versions.get(&epoch).copied().unwrap_or(0)
    }

    /// The document that a view was made of.
    pub fn document_of(&self, epoch: u64) -> Option<&Document> {
        let version = self.version_of(epoch);
        self.documents.iter().find(|document| document.version == version)
    }

    /// See [`Uplinks::shares`].
    pub fn shares(&self, service: &str, epoch: u64) -> Option<&[u32]> {
        self.uplinks.shares(service, epoch)
    }

    /// See [`Uplinks::weights`].
    pub fn weights(&self, service: &str, epoch: u64) -> Option<&[u32]> {
        self.uplinks.weights(service, epoch)
    }

    /// A view was published.
    pub fn note_view(&mut self, view: &Arc<View>, now: Time, verdict: &mut Verdict) {
        let newest = self.views.last_key_value().map_or(0, |(epoch, _)| *epoch);
        if view.epoch <= newest {
            let epoch = view.epoch;
            let text = || format!("epoch {epoch} was published after {newest}");
            verdict.add(Oracle::V1, now, text);
        }
        if view.services.iter().any(|service| *service.name == *DECOY) {
            let text = || "a document counts that came with a bad status".to_owned();
            verdict.add(Oracle::U1, now, text);
        }
        let version = version(view);
        self.newest = (now, view.epoch);
        self.versions.insert(view.epoch, version);
        let empty = Document::default();
        let written = self.documents.iter().find(|document| document.version == version);
        self.uplinks.judge_view(view, written.unwrap_or(&empty), now, verdict);
        self.views.insert(view.epoch, Arc::clone(view));
    }

    /// Whether something was turned away since the last call.
    pub fn note_shed(&mut self) -> bool {
        let shed = |worker: &engine::view::stats::WorkerStats| {
            worker.shed.iter().map(engine::view::stats::Count::get).sum::<u64>()
                + worker.marks.count(Mark::PagesExhausted)
                + worker.marks.count(Mark::StreamRefused)
        };
        let now: u64 = self.stats.workers.iter().map(shed).sum();
        std::mem::replace(&mut self.shed, now) != now
    }

    /// Statuses with which requests were refused at a bound since the last call.
    pub fn note_refusals(&mut self) -> impl Iterator<Item = u16> {
        let count = |mark: Mark| -> u64 {
            self.stats.workers.iter().map(|worker| worker.marks.count(mark)).sum()
        };
        let now = REFUSALS.map(|(mark, _)| count(mark));
        let before = std::mem::replace(&mut self.refused, now);
        let all = REFUSALS.iter().zip(now.into_iter().zip(before));
        all.filter(|(_, (now, before))| now > before).map(|((_, status), _)| *status)
    }

    /// Counts of all marks, of this life and earlier ones.
    pub fn marks_now(&self) -> Vec<u64> {
        let mut marks = self.marks.clone();
        marks.resize(Mark::ALL.len(), 0);
        for (at, mark) in Mark::ALL.iter().enumerate() {
            let workers = self.stats.workers.iter().map(|worker| worker.marks.count(*mark));
            marks[at] += workers.sum::<u64>() + self.stats.control.marks.count(*mark);
        }
        marks
    }

    pub fn document(&self) -> &Document {
        self.documents.last().expect("an instance has a document")
    }
}

/// Balancers with a server that has no address in this view.
pub fn unresolved(view: &View) -> BTreeSet<String> {
    let lost = |at: &ServerNode| view.targets.get(at.target.0).is_none_or(|it| it.addrs.is_empty());
    let lacks = |node: &&Arc<ServiceNode>| match &node.kind {
        NodeKind::Balancer { servers, .. } => servers.iter().any(|server| lost(server)),
        NodeKind::Weighted { .. }
        | NodeKind::Failover { .. }
        | NodeKind::Mirroring(_)
        | NodeKind::Internal(_)
        | NodeKind::Unavailable(_) => false,
    };
    view.services.iter().filter(lacks).map(|node| node.name.to_string()).collect()
}

fn version(view: &View) -> u32 {
    let number = |name: &str| {
        name.strip_prefix("version-")?.strip_suffix(home::suffix())?.parse::<u32>().ok()
    };
    view.services.iter().find_map(|service| number(&service.name)).unwrap_or(0)
}

impl World {
    /// Starts an instance for the first time.
    pub(crate) fn found(&mut self, instance: &Instance) {
        let number = self.gateways.len();
        if number == 0 {
            self.book.documents = vec![Document::default(), instance.document.clone()];
        }
        self.gateways.push(Gateway {
            instance: instance.clone(),
            stats: Arc::new(Stats::new(instance.workers, 0, Wall(0))),
            hosts: Vec::new(),
            documents: vec![instance.document.clone()],
            views: BTreeMap::new(),
            versions: BTreeMap::new(),
            newest: (Time::ZERO, 0),
            uplinks: Uplinks::default(),
            probes: Probes::default(),
            tap: Tap::new(mpsc::channel().1),
            shed: 0,
            refused: [0; REFUSALS.len()],
            up: false,
            draining: false,
            drained: false,
            marks: Vec::new(),
            lives: 0,
            torn: 0,
        });
        self.start(number);
    }

    fn start(&mut self, number: usize) {
        let now = self.net.now;
        let gateway = &mut self.gateways[number];
        let instance = gateway.instance.clone();
        let (mut fixed, problems) = fixed_from_file("startup.yml", &instance.startup);
        if !problems.is_empty() {
            let text = || format!("{} does not start: {problems:?}", instance.name);
            self.net.verdict.add(Oracle::U2, now, text);
        }
        gateway.lives += 1;
        gateway.up = true;
        gateway.draining = false;
        let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
        let entries = u16::try_from(entries).expect("an instance has few entry points");
        let stats = Stats::new(instance.workers, entries, Wall(0));
        // Documents that came over HTTP are in no capsule.
        let told = self.site.home == Home::File;
        let records = told && self.run.seed.is_multiple_of(RECORDED_ONE_IN);
        fixed.tieline.recording = records;
        gateway.stats = Arc::new(if records { stats.recording(&self.site.limits) } else { stats });
        gateway.uplinks = Uplinks::default();
        gateway.probes = Probes::default();
        gateway.shed = 0;
        gateway.refused = [0; REFUSALS.len()];
        gateway.views.clear();
        gateway.versions.clear();
        gateway.hosts.clear();
        let seed = self.run.seed ^ (gateway.lives << 32) ^ number as u64;
        let stats = Arc::clone(&gateway.stats);
        let mut crypto = Crypto::of(crypto::provider(), crypto::key);
        if self.site.wiring.on {
            let (lines, secrets) = mpsc::channel();
            crypto = crypto.danger_log_keys(lines);
            gateway.tap = Tap::new(secrets);
        }
        let control = Control::with(
            crypto,
            Arc::new(fixed.clone()),
            self.site.control_limits,
            Arc::clone(&stats),
            seed,
            now,
        );
        let view = control.view();
        if number == 0 {
            self.servers.iter_mut().for_each(|server| server.told.clear());
            let named = |addr: &SocketAddr| {
                let entry = fixed.entry_points.iter().find(|entry| entry.address == *addr);
                entry.map_or_else(String::new, |entry| entry.name.clone())
            };
            self.book.entries = self.site.asking.entries.iter().map(named).collect();
            let marked = fixed.entry_points.iter().filter(|entry| entry.as_default);
            let marked: Vec<String> = marked.map(|entry| entry.name.clone()).collect();
            let all = self.book.entries.clone();
            self.book.defaults = if marked.is_empty() { all } else { marked };
        }
        let gateway = &mut self.gateways[number];
        gateway.note_view(&view, now, &mut self.net.verdict);
        self.note_unresolved(number, &view);
        let listeners: Vec<SocketAddr> =
            view.entries.iter().map(|entry| entry.settings.address).collect();
        self.plug(number, Role::Control, Box::new(control), Vec::new());
        for index in 0..instance.workers {
            let worker = Worker::new(Setup {
                limits: self.site.limits,
                index,
                wall: Wall(0),
                view: Arc::clone(&view),
                stats: Arc::clone(&stats),
            });
            self.plug(number, Role::Worker(index), Box::new(worker), listeners.clone());
        }
    }

    pub(crate) fn note_unresolved(&mut self, gateway: usize, view: &View) {
        if gateway == 0 {
            self.book.unresolved.insert(view.epoch, unresolved(view));
        }
    }

    fn plug(
        &mut self,
        gateway: usize,
        role: Role,
        machine: Box<dyn engine::boundary::Machine>,
        listeners: Vec<SocketAddr>,
    ) {
        let host = self.net.plug(Port::new(self.gateways[gateway].instance.ip, listeners));
        self.gateways[gateway].hosts.push(host);
        if role == Role::Control && !self.site.control_tight {
            self.net.ports[usize::from(host)].heard = Some(Vec::new());
        }
        let given = self.gateways[gateway].views.last_key_value().map_or(0, |(epoch, _)| *epoch);
        let machine = Some(machine);
        let handed = given;
        self.hosts.push(Host { gateway, role, machine, given, handed, finished: false });
        self.net.wake_at(host, self.net.now);
    }

    /// An instance dies with everything it had.
    pub(crate) fn crash(&mut self, number: usize) {
        let marks = self.gateways[number].marks_now();
        self.judge_recorded(number);
        let gateway = &mut self.gateways[number];
        gateway.marks = marks;
        gateway.up = false;
        for host in gateway.hosts.clone() {
            self.hosts[host as usize].machine = None;
            self.net.unplug(host);
        }
        if number == 0 {
            self.book.oldest = 0;
            self.book.oldest_epoch = 0;
            self.book.unresolved.clear();
        }
    }

    pub(crate) fn restart(&mut self, number: usize) {
        if !self.gateways[number].up {
            self.start(number);
        }
    }

    /// Tells every machine of an instance to finish.
    pub(crate) fn drain(&mut self, number: usize, grace: Span) {
        let by = self.net.now + grace;
        self.gateways[number].draining = true;
        for host in self.gateways[number].hosts.clone() {
            if self.hosts[host as usize].machine.is_some() {
                self.net.tell(host, Input::Drain { by });
            }
        }
    }

    // Jobs.

    pub(crate) fn start_job(&mut self, host: u16, job: JobId, what: Job) {
        let mut delay = Span::micros(50 + self.net.chance.below(2_000));
        if matches!(what, Job::Resolve { .. }) && self.net.faults.strikes(Kind::NameSlow) {
            self.net.faults.observed(Kind::NameSlow);
            delay = Span::millis(self.net.faults.chance.between(500, 20_000));
        }
        self.send(delay, Parcel::Job { host, job, what });
    }

    pub(crate) fn finish_job(&mut self, host: u16, job: JobId, what: &Job) {
        let at = &self.hosts[host as usize];
        if at.machine.is_none() {
            return;
        }
        let gateway = at.gateway;
        let answer = match what {
            Job::Resolve { host } => self.resolve(host),
            Job::Load { path } => self.load(gateway, path),
            Job::Read { path } => self.read(gateway, path),
            Job::Verify { .. } => unreachable!("no site asks for passwords"),
        };
        self.net.tell(host, Input::Job { job, answer });
    }

    fn read(&self, gateway: usize, path: &str) -> Answer {
        let own = self.gateways[gateway].instance.files.get(path).map(|text| &**text);
        let text = if path == signed::KEY_FILE { Some(signed::KEY) } else { own };
        let content = text.map(|text| Secret::new(text.as_bytes()));
        Answer::Read(content.ok_or_else(|| "no such file".into()))
    }

    fn resolve(&mut self, host: &str) -> Answer {
        if self.net.faults.strikes(Kind::NameFails) {
            self.net.faults.observed(Kind::NameFails);
            return Answer::Resolved(Err("no such host".into()));
        }
        let name = host.trim_end_matches(".test");
        let Some(server) = self.servers.iter().find(|server| server.name == name) else {
            return Answer::Resolved(Err("no such host".into()));
        };
        let mut addrs = vec![server.addr.ip()];
        if self.net.faults.strikes(Kind::NameMoves) {
            self.net.faults.observed(Kind::NameMoves);
            addrs.insert(0, [10, 99, 0, 1].into());
            addrs.push([10, 99, 0, 2].into());
        }
        Answer::Resolved(Ok(addrs))
    }

    fn load(&mut self, gateway: usize, path: &str) -> Answer {
        let text = self.gateways[gateway].document().yaml();
        let file = |text| Answer::Loaded(Ok(vec![FileText { path: path.to_owned(), text }]));
        let faults = &mut self.net.faults;
        let kinds = [Kind::FileTorn, Kind::FileMissing, Kind::FileUnreadable];
        // Nothing protects the very first reading: there is none to compare it with.
        let first = self.gateways[gateway].versions.values().all(|version| *version == 0);
        let kinds = &kinds[usize::from(first)..];
        let fault = kinds.iter().copied().find(|kind| faults.strikes(*kind));
        if let Some(kind) = fault {
            faults.observed(kind);
            // Somebody notices sooner or later, and the file is whole by then.
            self.send(Span::millis(900), Parcel::Changed { gateway });
        }
        match fault {
            Some(Kind::FileTorn) => {
                let torn = &mut self.gateways[gateway].torn;
                *torn += 1;
                let cut = text.len() * (1 + *torn % 13) / 15;
                file(Ok(text[..cut].to_owned()))
            }
            Some(Kind::FileMissing) => Answer::Loaded(Err("no such file".into())),
            Some(_) => file(Err("permission denied".into())),
            None => file(Ok(text)),
        }
    }
}

impl Net {
    /// A machine dies: its sockets are cut, and nobody accepts in its name.
    pub(crate) fn unplug(&mut self, host: u16) {
        let (ends, listeners) = self.ports[host as usize].retire();
        for end in ends {
            self.close(end, Close::Abort);
        }
        for addr in listeners {
            self.forget_accepts(host, addr);
        }
    }
}
