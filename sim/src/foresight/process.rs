//! A process of the user's in a foresight: its machines, its files, and what addresses mean to it.

use super::documents::{Documents, Written, child_of};
use super::stage::{CROSSING, Parcel, Stage, ip};
use crate::net::Net;
use crate::proactor::Port;
use engine::base::id::JobId;
use engine::base::limits::Limits;
use engine::base::name::normalised;
use engine::base::time::{Span, Wall};
use engine::boundary::{Answer, Document, Input, Job, Machine};
use engine::config::fixed::{Fixed, Scheme};
use engine::control::Control;
use engine::view::View;
use engine::view::stats::Stats;
use engine::view::status::Health;
use engine::worker::{Setup, Worker};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Control,
    Worker,
}

pub(super) struct Host {
    pub(super) process: usize,
    pub(super) role: Role,
    /// Absent after a crash.
    pub(super) machine: Option<Box<dyn Machine>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {}", self.role, self.process)
    }
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) place: usize,
    pub(super) ip: IpAddr,
    pub(super) fixed: Fixed,
    pub(super) files: Vec<Document>,
    /// Control first.
    pub(super) hosts: Vec<u16>,
    pub(super) view: Option<Arc<View>>,
    pub(super) workers: u16,
    /// Of the machines that run now.
    pub(super) stats: Option<Arc<Stats>>,
    lives: u64,
}

impl Process {
    pub(super) fn new(written: &Written) -> Self {
        let mut fixed = written.fixed.clone();
        // What it costs to log is not foreseen, and the lines would be nobody's.
        fixed.access_log = None;
        // Handshakes are not foreseen either: between processes all goes in the clear.
        let children = fixed.multicluster.iter_mut().flat_map(|it| &mut it.children);
        children.for_each(|child| {
            child.address.scheme = Scheme::Http;
            child.transport.tls = None;
        });
        fixed.uplink_entry_points.iter_mut().for_each(|entry| entry.tls = None);
        if fixed.tieline.instance.is_empty() {
            fixed.tieline.instance.clone_from(&written.file);
        }
        Self {
            place: 0,
            ip: ip(201, 0),
            workers: u16::try_from(fixed.tieline.workers.clamp(1, 64)).unwrap_or(1),
            fixed,
            files: written.dynamic.clone(),
            hosts: Vec::new(),
            view: None,
            stats: None,
            lives: 0,
        }
    }

    pub(super) fn settle(&mut self, place: usize, ip: IpAddr) {
        self.place = place;
        self.ip = ip;
    }

    /// Where its entry points are, whatever they are bound to.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }
}

impl Stage {
    /// The addresses of children mean their processes, or somebody who plays them.
    pub(super) fn meet_children(&mut self, documents: &Documents, process: usize) {
        let written = &documents.processes[process];
        let from = self.processes[process].ip;
        for (at, child) in written.children.iter().enumerate() {
            let (name, address) = child_of(&written.fixed, at);
            let dialled = SocketAddr::new(self.ip_of(&address.host), address.port);
            let real = match child {
                Some(child) => self.processes[*child].at(address.port),
                None => {
                    let played = |name: &str, place: &str| {
                        place == name || place.ends_with(&format!("/{name}"))
                    };
                    let place = self
                        .places
                        .iter()
                        .position(|place| place.process.is_none() && played(name, &place.name));
                    let place = place.expect("every child without documents has its place");
                    let advert = advert(written, name, &self.places[place]);
                    self.add_station(place, Some(advert))
                }
            };
            self.net.terrain.mean(from, dialled, real);
        }
    }

    /// What a host name resolves to: something, always the same.
    pub(super) fn ip_of(&mut self, host: &str) -> IpAddr {
        if let Ok(literal) = host.parse() {
            return literal;
        }
        let next = ip(202, self.names.len());
        *self.names.entry(host.to_owned()).or_insert(next)
    }

    pub(super) fn start_process(&mut self, number: usize) {
        if !self.processes[number].hosts.is_empty() {
            return;
        }
        let process = &mut self.processes[number];
        process.lives += 1;
        let fixed = Arc::new(process.fixed.clone());
        let entries = fixed.entry_points.len() + fixed.uplink_entry_points.len();
        let entries = u16::try_from(entries).unwrap_or(u16::MAX);
        let workers = process.workers;
        let stats = Stats::new(workers, entries, Wall(0));
        let stats = if self.records { stats.recording(&Limits::default()) } else { stats };
        let stats = Arc::new(stats);
        let seed = self.seed ^ (process.lives << 32) ^ number as u64;
        let limits = self.limits;
        let control = Control::new(fixed, limits, Arc::clone(&stats), seed, self.net.now);
        let view = control.view();
        self.plug(number, Role::Control, Box::new(control), Vec::new());
        let listeners: Vec<SocketAddr> = view
            .entries
            .iter()
            .map(|entry| self.processes[number].at(entry.settings.address.port()))
            .collect();
        for index in 0..workers {
            let worker = Worker::new(Setup {
                limits: Limits::default(),
                index,
                wall: Wall(0),
                view: Arc::clone(&view),
                stats: Arc::clone(&stats),
            });
            self.plug(number, Role::Worker, Box::new(worker), listeners.clone());
        }
        self.processes[number].stats = Some(stats);
        self.take_view(number, view);
    }

    fn plug(
        &mut self,
        number: usize,
        role: Role,
        machine: Box<dyn Machine>,
        listeners: Vec<SocketAddr>,
    ) {
        let host = self.net.plug(Port::new(self.processes[number].ip, listeners));
        self.processes[number].hosts.push(host);
        self.hosts.push(Host { process: number, role, machine: Some(machine) });
        self.net.wake_at(host, self.net.now);
    }

    pub(super) fn crash(&mut self, number: usize) {
        for host in std::mem::take(&mut self.processes[number].hosts) {
            self.hosts[host as usize].machine = None;
            self.net.unplug(host);
        }
        let process = &mut self.processes[number];
        process.view = None;
        self.watch.forget(process.place);
    }

    pub(super) fn leap(&mut self, place: usize, by: Span) {
        let Some(process) = self.places[place].process else { return };
        for host in self.processes[process].hosts.clone() {
            self.net.leap(host, by);
        }
    }

    /// The file takes the place of the one with its name, or of the only one.
    pub(super) fn reload(&mut self, place: usize, document: &Document) {
        let Some(number) = self.places[place].process else { return };
        let process = &mut self.processes[number];
        let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
        let only = process.files.len() == 1;
        let old =
            process.files.iter_mut().find(|file| only || name(&file.path) == name(&document.path));
        match old {
            Some(old) => old.text.clone_from(&document.text),
            None => process.files.push(document.clone()),
        }
        if let Some(control) = process.hosts.first() {
            self.net.tell(*control, Input::Changed);
        }
    }

    pub(super) fn publish(&mut self, number: u16) {
        let host = &mut self.hosts[number as usize];
        let Some(view) = host.machine.as_mut().and_then(|machine| machine.published()) else {
            return;
        };
        let process = host.process;
        self.take_view(process, Arc::clone(&view));
        for worker in self.processes[process].hosts.clone().into_iter().skip(1) {
            self.send(CROSSING, Parcel::View { host: worker, view: Arc::clone(&view) });
        }
    }

    /// A new view: its servers become stations, and what changed is noted.
    fn take_view(&mut self, number: usize, view: Arc<View>) {
        let Process { place, ip, .. } = self.processes[number];
        let targets: Vec<SocketAddr> =
            view.targets.iter().flat_map(|target| target.addrs.iter().copied()).collect();
        for addr in targets {
            if !self.net.terrain.knows(ip, addr) {
                let real = self.neighbour(addr).unwrap_or_else(|| self.add_station(place, None));
                self.net.terrain.mean(ip, addr, real);
            }
        }
        let name = self.places[place].name.clone();
        self.watch.see(place, &name, &view, self.net.now);
        self.processes[number].view = Some(view);
    }

    /// A server that is an entry point of one of the processes, named by its own address.
    fn neighbour(&self, addr: SocketAddr) -> Option<SocketAddr> {
        let entry = self.processes.iter().flat_map(|process| {
            let entries = process.fixed.entry_points.iter();
            let all = entries.chain(&process.fixed.uplink_entry_points);
            all.map(move |entry| (entry.address, process.at(entry.address.port())))
        });
        entry.into_iter().find(|(address, _)| *address == addr).map(|(_, real)| real)
    }

    pub(super) fn finish_job(&mut self, host: u16, job: JobId, what: &Job) {
        let process = self.hosts[host as usize].process;
        let answer = match what {
            Job::Resolve { host } => Answer::Resolved(Ok(vec![self.ip_of(host)])),
            Job::Load { .. } => Answer::Loaded(Ok(self.processes[process].files.clone())),
            // Keys and passwords stay where they are: nothing is encrypted here, nobody logs in.
            Job::Read { .. } => Answer::Read(Err("keys are not read to simulate".to_owned())),
            Job::Verify { .. } => Answer::Verified(false),
        };
        self.net.tell(host, Input::Job { job, answer });
    }

    /// Whether everybody has been heard of, and nothing is unknown any more.
    pub(super) fn is_settled(&self) -> bool {
        self.processes.iter().all(|process| {
            process.view.as_ref().is_some_and(|view| {
                let read = view.fixed.file.is_none() || view.status.reloads.applied > 0;
                let polled = view
                    .status
                    .children
                    .iter()
                    .all(|child| child.phase == engine::view::status::ChildPhase::Fresh);
                let checked = view.status.servers.iter().all(|it| it.health == Health::Up);
                read && polled
                    && checked
                    && view
                        .children
                        .iter()
                        .flat_map(|child| &child.uplinks)
                        .all(|uplink| uplink.standing == engine::view::Standing::Up)
            })
        })
    }
}

impl Net {
    /// The clock of one machine leaps ahead.
    fn leap(&mut self, host: u16, by: Span) {
        self.ports[host as usize].ahead = self.ports[host as usize].ahead + by;
        self.wake_at(host, self.now + Span::from_nanos(1));
    }
}

/// What a child without documents is taken to advertise: the uplinks that its parent's documents
/// name, but for those of one other child.
fn advert(written: &Written, child: &str, place: &super::stage::Place) -> String {
    let children = written.fixed.multicluster.as_ref().map_or(&[][..], |it| &it.children);
    let texts = written.dynamic.iter().filter_map(|file| file.text.as_deref().ok());
    let mut uplinks: Vec<String> = Vec::new();
    for text in texts {
        for (at, _) in text.match_indices("@multicluster") {
            let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let name = text[..at].rsplit(|c: char| !word(c)).next().unwrap_or_default();
            let of = children.iter().find_map(|other| {
                let end = format!("-{}", normalised(&other.name));
                name.strip_suffix(end.as_str()).map(|uplink| (uplink, &*other.name))
            });
            let uplink = match of {
                Some((uplink, other)) if other == child => uplink,
                Some(_) => continue,
                None => name,
            };
            if !uplink.is_empty() && uplinks.iter().all(|known| known != uplink) {
                uplinks.push(uplink.to_owned());
            }
        }
    }
    uplinks.sort();
    let list = uplinks.iter().map(|name| {
        let mut check = serde_json::json!({ "path": "/" });
        if let Some((every, timeout)) = place.health {
            check["interval"] = every.to_string().into();
            check["timeout"] = timeout.to_string().into();
        }
        serde_json::json!({
            "name": name, "entryPoints": [], "weight": place.weight, "healthCheck": check,
        })
    });
    serde_json::Value::Array(list.collect()).to_string()
}
