//! The world of a foresight: processes, stations and clients in one queue of events.

use super::crowd::{CROWD, Crowd};
use super::documents::{Documents, child_of};
use super::process::{Host, Process, Role};
use super::scenario::{Scenario, Stroke, Trait, What};
use super::station::{Station, served};
use super::watch::Watch;
use crate::driver::{Errands, step};
use crate::entropy::{Entropy, RunId};
use crate::fault::{Faults, Plan};
use crate::net::{Event, Net};
use crate::terrain::Way;
use crate::trace::{Text, Trace};
use engine::base::id::JobId;
use engine::base::limits::ControlLimits;
use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use engine::boundary::{Effect, Input, Job, Offer, Report};
use engine::config::fixed::Scheme;
use engine::view::View;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Somewhere: the parent, or a child, with the origins beside it.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    /// Which process it is; none for a played child.
    pub process: Option<usize>,
    /// Its parent comes to it over TLS.
    pub secure: bool,
    pub latency: Span,
    pub service: Span,
    /// Requests per second.
    pub capacity: Option<u64>,
    pub weight: u32,
    /// Of a played child: how often, and for how long at most, its parent is to ask.
    pub health: Option<(Span, Span)>,
    pub(super) zone: usize,
    pub(super) error: Option<u16>,
    pub(super) garbled: bool,
    pub(super) slow: Span,
    /// Nothing is answered before.
    pub(super) muted: Time,
    free_at: Time,
    /// Requests that reached it, by second.
    pub(super) reached: Vec<u32>,
}

pub(super) const LATENCY: Span = Span::millis(5);
pub(super) const SERVICE: Span = Span::millis(10);
/// One way between clients and the parent.
const CLIENT_AWAY: Span = Span::millis(1);

impl Place {
    /// When a request that arrives now is answered: after a tenth more or less than usual.
    pub(super) fn serve(&mut self, now: Time, chance: &mut Prng) -> Time {
        let second = usize::try_from(now.nanos() / 1_000_000_000).unwrap_or(0);
        if second >= self.reached.len() {
            self.reached.resize(second + 1, 0);
        }
        self.reached[second] += 1;
        let tenth = self.service.nanos() / 10;
        let takes = self.service.nanos() - tenth + chance.below(2 * tenth + 1);
        let gap = self.capacity.map_or(0, |rate| 1_000_000_000 / rate.max(1));
        let takes = Span::from_nanos(takes) + self.slow;
        served(now, &mut self.free_at, Span::from_nanos(gap), takes)
    }
}

/// Something under way.
#[derive(Debug)]
pub(super) enum Parcel {
    View { host: u16, view: Arc<View> },
    Report { host: u16, report: Report },
    Offer { host: u16, offer: Offer },
    Job { host: u16, job: JobId, what: Job },
    Stroke { at: usize, begins: bool },
    Flap { at: usize, down: bool },
}

#[derive(Debug)]
pub struct Stage {
    pub(super) net: Net,
    pub places: Vec<Place>,
    pub(super) processes: Vec<Process>,
    pub(super) hosts: Vec<Host>,
    pub(super) stations: Vec<Station>,
    pub(super) crowd: Crowd,
    pub(super) watch: Watch,
    pub(super) strokes: Vec<Stroke>,
    pub(super) seed: u64,
    pub(super) chance: Prng,
    /// Addresses made up for names.
    pub(super) names: BTreeMap<String, IpAddr>,
    parcels: BTreeMap<u64, Parcel>,
    parcels_sent: u64,
    errands: Errands,
    /// Calls of machines.
    pub(super) steps: u64,
    /// Lines of access logs, kept if asked for.
    pub(super) logs: Option<Vec<String>>,
    pub(super) start: Time,
    /// Of the control machines.
    pub(super) limits: ControlLimits,
    /// Workers record what they decide.
    pub(super) records: bool,
}

pub(super) const CLIENT_IP: [u8; 4] = [10, 204, 0, 1];

/// A range of addresses by number.
pub(super) fn ip(range: u8, number: usize) -> IpAddr {
    let number = u16::try_from(number + 1).unwrap_or(u16::MAX);
    let [high, low] = number.to_be_bytes();
    [10, range, high, low].into()
}

/// The parent and every child below it, in order; how `scenario` numbers them.
pub fn places(documents: &Documents) -> Vec<Place> {
    let mut all = vec![place("parent".to_owned(), Some(0))];
    add_children(documents, 0, "", &mut all);
    all
}

fn add_children(documents: &Documents, process: usize, above: &str, all: &mut Vec<Place>) {
    let written = &documents.processes[process];
    for (at, child) in written.children.iter().enumerate() {
        let (name, address) = child_of(&written.fixed, at);
        let name = format!("{above}{name}");
        let secure = address.scheme == Scheme::Https;
        all.push(Place { secure, ..place(name.clone(), *child) });
        // One that is its own parent has been refused before.
        if let Some(child) = child {
            add_children(documents, *child, &format!("{name}/"), all);
        }
    }
}

fn place(name: String, process: Option<usize>) -> Place {
    let root = name == "parent" && process == Some(0);
    Place {
        name,
        process,
        secure: false,
        latency: if root { Span::ZERO } else { LATENCY },
        service: SERVICE,
        capacity: None,
        weight: 1,
        health: None,
        zone: 0,
        error: None,
        garbled: false,
        slow: Span::ZERO,
        muted: Time::ZERO,
        free_at: Time::ZERO,
        reached: Vec::new(),
    }
}

impl Stage {
    pub fn new(documents: &Documents, scenario: &Scenario, seed: u64, rate: u64) -> Self {
        let run = RunId { size: u32::MAX, mask: 0, ..RunId::new(seed) };
        Self::with(documents, scenario, run, rate)
    }

    /// One in which nothing takes time but what the documents say.
    pub(super) fn instant(documents: &Documents, seed: u64) -> Self {
        let at_once =
            |place| [Trait::Latency(Span::ZERO), Trait::Service(Span::ZERO)].map(|it| (place, it));
        let traits = (0..places(documents).len()).flat_map(at_once).collect();
        let scenario = Scenario { traits, ..Scenario::default() };
        let run = RunId { size: 0, mask: 0, ..RunId::new(seed) };
        Self::with(documents, &scenario, run, 0)
    }

    fn with(documents: &Documents, scenario: &Scenario, run: RunId, rate: u64) -> Self {
        let seed = run.seed;
        let entropy = Entropy::new(run);
        let faults = Faults::new(Plan::QUIET, entropy.faults);
        let mut chance = Prng::new(seed).split(7);
        let crowd = Crowd::new(CLIENT_IP.into(), rate, scenario.surges.clone(), chance.split(8));
        let mut stage = Self {
            net: Net::new(entropy.network, faults, Trace::new(Text::Deaf)),
            places: places(documents),
            processes: Vec::new(),
            hosts: Vec::new(),
            stations: Vec::new(),
            crowd,
            watch: Watch::default(),
            strokes: scenario.strokes.clone(),
            seed,
            chance,
            names: BTreeMap::new(),
            parcels: BTreeMap::new(),
            parcels_sent: 0,
            errands: Errands::default(),
            steps: 0,
            logs: None,
            start: Time::ZERO,
            limits: ControlLimits::default(),
            records: false,
        };
        scenario.traits.iter().for_each(|(place, found)| stage.places[*place].take(*found));
        let clients = stage.net.terrain.zone(CLIENT_AWAY);
        stage.net.terrain.settle(CLIENT_IP.into(), clients);
        for place in &mut stage.places {
            place.zone = stage.net.terrain.zone(place.latency);
        }
        stage
    }

    /// A world in which everybody has found one another, if they can, and nothing is wrong.
    pub(super) fn settled(documents: &Documents) -> Self {
        let mut stage = Self::new(documents, &Scenario::default(), 1, 0);
        stage.found(documents);
        stage.settle();
        // A poll may have found a child that had not read its documents yet.
        let polls = documents.processes.iter().filter_map(|it| it.fixed.multicluster.as_ref());
        let longest = polls.map(|it| it.poll_interval + it.poll_timeout).max();
        let more = longest.map_or(Span::ZERO, |longest| longest.times(2) + Span::secs(1));
        stage.run_until(stage.net.now + more, |_| false);
        stage.run_until(stage.net.now + SETTLING, Self::is_settled);
        stage
    }

    /// Everything begins that the documents describe, and the children that they do not.
    pub fn found(&mut self, documents: &Documents) {
        self.processes = documents.processes.iter().map(Process::new).collect();
        for at in 0..self.places.len() {
            if let Some(process) = self.places[at].process {
                self.processes[process].settle(at, ip(201, process));
                self.net.terrain.settle(ip(201, process), self.places[at].zone);
            }
        }
        for process in 0..self.processes.len() {
            self.meet_children(documents, process);
        }
        for process in 0..self.processes.len() {
            self.start_process(process);
        }
    }

    pub(super) fn add_station(&mut self, place: usize, advert: Option<String>) -> SocketAddr {
        let actor = u16::try_from(self.stations.len() + 1).expect("a world has few stations");
        let addr = SocketAddr::new(ip(203, self.stations.len()), 80);
        self.net.terrain.settle(addr.ip(), self.places[place].zone);
        self.net.listen(addr, actor);
        self.stations.push(Station::new(actor, place, addr, advert));
        addr
    }

    /// A server gets a place and a zone of its own; their numbers.
    pub(super) fn set_apart(&mut self, server: IpAddr) -> (usize, usize) {
        let zone = self.net.terrain.zone(Span::ZERO);
        self.net.terrain.settle(server, zone);
        let Some(station) = self.stations.iter_mut().find(|it| it.addr.ip() == server) else {
            return (0, zone);
        };
        let whole = &self.places[station.place];
        let apart = Place { zone, process: None, name: String::new(), ..whole.clone() };
        station.place = self.places.len();
        self.places.push(apart);
        (station.place, zone)
    }

    /// Time counts from here: scheduled are the strokes.
    pub(super) fn begin(&mut self) {
        self.start = self.net.now;
        self.watch.start = self.start;
        self.places.iter_mut().for_each(|place| place.reached.clear());
        for at in 0..self.strokes.len() {
            let window = self.strokes[at].window;
            self.send(window.from, Parcel::Stroke { at, begins: true });
            if window.until != Span::MAX {
                self.send(window.until, Parcel::Stroke { at, begins: false });
            }
        }
    }

    pub(super) fn send(&mut self, delay: Span, parcel: Parcel) {
        self.parcels_sent += 1;
        self.parcels.insert(self.parcels_sent, parcel);
        self.net.after(delay, Event::Parcel(self.parcels_sent));
    }

    pub(super) fn run_until(&mut self, until: Time, done: impl Fn(&Self) -> bool) {
        while self.net.next_at().is_some_and(|at| at <= until) && !done(self) {
            let Some(event) = self.net.next_event() else { return };
            self.dispatch(event);
        }
        if self.net.now < until && !done(self) {
            self.net.now = until;
        }
    }

    pub(super) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrive(end) => self.net.arrive(end),
            Event::Complete { host, op } => self.net.complete(host, op),
            Event::Step { host } => self.step(host),
            Event::Incoming { actor, end } => {
                if let Some(station) = self.stations.get_mut(usize::from(actor) - 1) {
                    station.on_incoming(end);
                }
            }
            Event::Notice { actor, end } => {
                self.net.noticed(end);
                if actor == CROWD {
                    return self.crowd.on_notice(&mut self.net, end);
                }
                let station = &mut self.stations[usize::from(actor) - 1];
                let place = &mut self.places[station.place];
                station.on_notice(&mut self.net, end, place, &mut self.chance);
            }
            Event::Timer { actor: CROWD, token } => self.crowd.on_timer(&mut self.net, token),
            Event::Timer { actor, token } => {
                let station = &mut self.stations[usize::from(actor) - 1];
                station.on_timer(&mut self.net, token, &self.places[station.place]);
            }
            Event::Parcel(number) => self.deliver(number),
        }
    }

    fn step(&mut self, number: u16) {
        let Some(machine) = &mut self.hosts[number as usize].machine else { return };
        self.steps += 1;
        step(&mut self.net, number, machine.as_mut(), BATCH, &mut self.errands);
        if !self.errands.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.errands.effects);
            effects.drain(..).for_each(|effect| self.errand(number, effect));
            self.errands.effects = effects;
        }
    }

    fn errand(&mut self, number: u16, effect: Effect) {
        match effect {
            Effect::Publish => self.publish(number),
            Effect::Report(report) => {
                let host = self.processes[self.hosts[number as usize].process].hosts[0];
                self.send(CROSSING, Parcel::Report { host, report });
            }
            Effect::Offer => {
                let host = self.processes[self.hosts[number as usize].process].hosts[0];
                let machine = self.hosts[number as usize].machine.as_mut();
                if let Some(offer) = machine.and_then(|machine| machine.offered()) {
                    self.send(CROSSING, Parcel::Offer { host, offer });
                }
            }
            Effect::Job { job } => {
                let machine = self.hosts[number as usize].machine.as_mut();
                if let Some(what) = machine.and_then(|machine| machine.job(job)) {
                    self.send(Span::millis(1), Parcel::Job { host: number, job, what });
                }
            }
            Effect::Log => self.on_log(number),
            Effect::Finished => {}
            Effect::Accept { .. }
            | Effect::Connect { .. }
            | Effect::Recv { .. }
            | Effect::Send { .. }
            | Effect::Shut { .. }
            | Effect::Close { .. }
            | Effect::StopListening { .. } => unreachable!("the network performs these"),
        }
    }

    fn on_log(&mut self, number: u16) {
        let host = &mut self.hosts[number as usize];
        let Some(machine) = &mut host.machine else { return };
        let mut bytes = Vec::new();
        machine.log(&mut bytes);
        if let (Some(logs), Role::Worker, 0) = (&mut self.logs, host.role, host.process) {
            logs.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
        }
    }

    fn deliver(&mut self, number: u64) {
        let parcel = self.parcels.remove(&number).expect("a parcel is delivered once");
        let lives = |stage: &Self, host: u16| stage.hosts[host as usize].machine.is_some();
        match parcel {
            Parcel::View { host, view } if lives(self, host) => {
                self.net.tell(host, Input::View(view));
            }
            Parcel::Report { host, report } if lives(self, host) => {
                self.net.tell(host, Input::Report(report));
            }
            Parcel::Offer { host, offer } if lives(self, host) => {
                self.net.tell(host, Input::Offer(offer));
            }
            Parcel::Job { host, job, what } if lives(self, host) => {
                self.finish_job(host, job, &what);
            }
            Parcel::View { .. }
            | Parcel::Report { .. }
            | Parcel::Offer { .. }
            | Parcel::Job { .. } => {}
            Parcel::Stroke { at, begins } => self.strike(at, begins),
            Parcel::Flap { at, down } => self.flap(at, down),
        }
    }

    fn strike(&mut self, at: usize, begins: bool) {
        let Stroke { place, window, what, text, .. } = self.strokes[at].clone();
        let now = self.net.now;
        let until = match window.until {
            Span::MAX => Time::NEVER,
            until => self.start + until,
        };
        let text = if begins { format!("[{text}]") } else { format!("[over: {text}]") };
        self.watch.note(now, &self.places[place].name, text);
        match what {
            What::Partition => {
                let zone = self.places[place].zone;
                self.net.terrain.cut(zone, if begins { until } else { now });
                if !begins {
                    self.net.redial();
                }
            }
            What::Blackhole if begins => self.hang(place, until),
            What::Blackhole => {}
            What::Crash => self.fall_or_rise(place, begins),
            What::Slow { by } => self.places[place].slow = if begins { by } else { Span::ZERO },
            What::Error { status } => self.places[place].error = begins.then_some(status),
            What::CertExpires => {
                // No handshake stands from now on; whoever is connected stays so.
                let way = if begins { Way::Refused } else { Way::Open };
                self.net.terrain.set_way(self.places[place].zone, way);
            }
            What::PollGarbage => self.places[place].garbled = begins,
            What::Flap { .. } if begins => self.flap(at, true),
            What::Flap { .. } => self.fall_or_rise(place, false),
            What::ClockJump { by } => {
                if begins {
                    self.leap(place, by);
                }
            }
            What::Reload(document) => self.reload(place, &document),
        }
    }

    fn flap(&mut self, at: usize, down: bool) {
        let Stroke { place, window, what, .. } = &self.strokes[at];
        let (What::Flap { every }, place, until) = (what, *place, window.until) else { return };
        let half = every.divided(2);
        if until == Span::MAX || self.net.now.since(self.start) < until {
            self.fall_or_rise(place, down);
            self.send(half, Parcel::Flap { at, down: !down });
        }
    }

    /// The place takes what it is sent and answers nothing before `until`.
    fn hang(&mut self, place: usize, until: Time) {
        self.places[place].muted = until;
        if let Some(process) = self.places[place].process {
            for host in self.processes[process].hosts.clone() {
                self.net.pause(host, until.since(self.net.now));
            }
        }
    }

    fn fall_or_rise(&mut self, place: usize, falls: bool) {
        match self.places[place].process {
            Some(process) if falls => self.crash(process),
            Some(process) => self.start_process(process),
            None => {
                let played = |station: &&mut Station| {
                    station.place == place && station.advert.is_some() && station.up == falls
                };
                for station in self.stations.iter_mut().filter(played) {
                    if falls { station.fall(&mut self.net) } else { station.rise(&mut self.net) }
                }
            }
        }
    }
}

/// How long everybody may take to find one another.
pub(super) const SETTLING: Span = Span::secs(120);

/// Inputs that a machine handles in one call.
const BATCH: usize = 64;
/// From one machine of a process to another.
pub(super) const CROSSING: Span = Span::micros(50);

impl Place {
    fn take(&mut self, found: Trait) {
        match found {
            Trait::Latency(span) => self.latency = span,
            Trait::Capacity(rate) => self.capacity = Some(rate),
            Trait::Service(span) => self.service = span,
            Trait::Weight(weight) => self.weight = weight,
            Trait::Health { every, timeout } => self.health = Some((every, timeout)),
        }
    }
}
