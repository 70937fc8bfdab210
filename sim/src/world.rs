//! A run: gateways, actors and a network, from their birth through storm and calm to the end.

use crate::actors::Scene;
use crate::actors::attacker::Attacker;
use crate::actors::client::Client;
use crate::actors::server::{Script, Server};
use crate::book::Book;
use crate::dialect;
use crate::driver::{Errands, step};
use crate::entropy::{Entropy, RunId, Stream};
use crate::fault::{Faults, Kind, Plan};
use crate::gateway::{Gateway, Role};
use crate::home;
use crate::ledger::Ledger;
use crate::net::{Event, Net};
use crate::oracle;
use crate::oracle::health::Judged;
use crate::secure::crypto;
use crate::site::{Child, FIRST_SERVER, Site, client_ip};
use crate::trace::{Text, Trace};
use crate::weather::Weather;
use crate::wiring::{self, Wiring};
use engine::base::id::JobId;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::{Span, Time};
use engine::boundary::{Effect, Input, Job, Machine, Offer, Report};
use engine::view::View;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Borrows what actors may touch.
macro_rules! scene {
    ($world:expr) => {
        $crate::actors::Scene {
            net: &mut $world.net,
            ledger: &mut $world.ledger,
            workload: &mut $world.workload,
            book: &$world.book,
            calm: $world.calm,
        }
    };
}

pub(crate) use scene;

/// Actors above the servers and clients.
const ATTACKER: u16 = 99;

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub run: RunId,
    pub net: Net,
    pub ledger: Ledger,
    pub book: Book,
    pub site: Site,
    pub(crate) workload: Stream,
    pub(crate) publication: Stream,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) servers: Vec<Server>,
    pub(crate) clients: Vec<Client>,
    pub(crate) attacker: Attacker,
    pub(crate) weather: Weather,
    pub(crate) choices: oracle::choice::Choices,
    pub(crate) epochs: oracle::view::Epochs,
    parcels: BTreeMap<u64, Parcel>,
    parcels_sent: u64,
    pub errands: Errands,
    pub calm: bool,
    /// Calls of [`Machine::check`].
    checks: u64,
    pub(crate) replayed: u64,
}

/// A machine and what the world knows of it.
pub(crate) struct Host {
    pub(crate) gateway: usize,
    pub(crate) role: Role,
    /// Absent after a crash and after it has finished.
    pub(crate) machine: Option<Box<dyn Machine>>,
    /// Newest epoch it was given, and its document's version.
    pub(crate) given: u64,
    /// Newest epoch it has handled.
    pub(crate) handed: u64,
    pub(crate) finished: bool,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of {}", self.role, self.gateway)
    }
}

/// Something under way between parts of the world.
#[derive(Debug)]
pub(crate) enum Parcel {
    View {
        host: u16,
        view: Arc<View>,
    },
    Report {
        host: u16,
        report: Report,
    },
    Offer {
        host: u16,
        offer: Offer,
    },
    Job {
        host: u16,
        job: JobId,
        what: Job,
    },
    Changed {
        gateway: usize,
    },
    Weather,
    Restart {
        gateway: usize,
    },
    Kill {
        gateway: usize,
        life: u64,
    },
    Revive {
        server: usize,
    },
    Heal {
        server: usize,
    },
    Rotate,
    /// Nobody shows a wrong certificate any more.
    Honest,
}

impl World {
    pub fn new(run: RunId, text: Text) -> Self {
        let mut entropy = Entropy::new(run);
        let mut plan = Plan::draw(&mut entropy.topology, run.mask);
        let wiring = Wiring::draw(&mut entropy.wires);
        if wiring.on {
            plan.draw_wires(&mut entropy.wires, run.mask);
        }
        let with_limits = run.mask >> 63 == 1;
        let mut site = crate::site::draw_wired(&mut entropy.topology, with_limits, &wiring);
        dialect::enrich(&mut entropy.dialect, &mut site);
        Self::of_site(run, site, plan, entropy, text)
    }

    pub fn of_site(run: RunId, site: Site, plan: Plan, entropy: Entropy, text: Text) -> Self {
        crypto::seed(run.seed);
        home::settle(site.home);
        let faults = Faults::new(plan, entropy.faults);
        let mut world = Self {
            run,
            net: Net::new(entropy.network, faults, Trace::new(text)),
            ledger: Ledger::default(),
            book: Book::default(),
            workload: entropy.workload,
            publication: entropy.publication,
            gateways: Vec::new(),
            hosts: Vec::new(),
            servers: Vec::new(),
            clients: Vec::new(),
            attacker: Attacker::new(ATTACKER, [10, 8, 0, 1].into()),
            weather: Weather::default(),
            choices: oracle::choice::Choices::default(),
            epochs: oracle::view::Epochs::default(),
            parcels: BTreeMap::new(),
            parcels_sent: 0,
            errands: Errands::default(),
            calm: false,
            checks: 0,
            replayed: 0,
            site,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        for (n, origin) in self.site.servers.clone().into_iter().enumerate() {
            let actor = FIRST_SERVER + u16::try_from(n).expect("a run has few servers");
            let mut server = Server::new(actor, origin.name.clone(), origin.addr);
            server.mirror = origin.mirror;
            server.leg = origin.leg;
            if origin.leg.tls {
                let stem = origin.name.as_str();
                let spiffe = self.site.wiring.spiffe;
                server.look = Some(wiring::look(origin.leg, stem, origin.addr.ip(), spiffe));
            }
            if origin.mirror {
                self.book.mirrors.insert(actor);
            }
            self.net.listen(origin.addr, actor);
            self.servers.push(server);
        }
        self.book.caller = match self.site.wiring.spiffe {
            true => format!("anonymous, {}", wiring::id("parent")),
            false => "anonymous, dns:shop.test".into(),
        };
        self.book.tight = self.site.tight;
        self.book.control_tight = self.site.control_tight;
        self.book.roomy = self.site.limits == Limits::default();
        self.book.compresses = self.site.asking.codings;
        let most = Limits::default().compressors_max;
        self.book.may_compress = self.site.limits.compressors_max == most;
        self.book.multiplexed = self.site.wiring.multiplexes();
        let usual = Limits::default().linger_bytes;
        self.book.short_linger = self.site.limits.linger_bytes < usual;
        self.book.linger_bytes = u64::from(self.site.limits.linger_bytes);
        let parent = self.site.parent.clone();
        self.found(&parent);
        for (n, child) in self.site.children.clone().into_iter().enumerate() {
            let here = self.run.crew.child(n);
            match child {
                Child::Ours(instance) if here => self.found(&instance),
                Child::Ours(_) => {}
                Child::Played { server, uplinks } => {
                    let script = Script::of(&uplinks, 1);
                    self.servers[server].advert = Some(script);
                    self.servers[server].absent = !here;
                    if !here {
                        self.net.unlisten(self.servers[server].addr);
                    }
                }
            }
        }
        self.lay_out();
        for (n, requests) in self.site.clients.clone().into_iter().enumerate() {
            let actor = u16::try_from(n).expect("a run has few clients");
            let requests = if self.run.crew.client(n) { requests } else { 0 };
            let mut client = Client::new(actor, client_ip(actor), requests);
            let after = Span::millis(self.workload.size(3_000));
            let mut scene = scene!(self);
            client.wake(&mut scene, after);
            self.clients.push(client);
        }
        if self.site.attackers > 0 && self.run.crew.attacker() {
            self.attacker.wake(&mut self.net, Span::millis(500));
        }
        self.send(Span::millis(700), Parcel::Weather);
    }

    /// Has the server that is asked for documents, if there is one, say what they are by now.
    pub(crate) fn lay_out(&mut self) {
        let Some(librarian) = self.site.librarian else { return };
        let pages = self.gateways.iter().map(|at| (at.instance.page(), at.document().yaml()));
        self.servers[librarian].pages = pages.collect();
    }

    /// Sends something that arrives after `delay`.
    pub(crate) fn send(&mut self, delay: Span, parcel: Parcel) {
        self.parcels_sent += 1;
        self.parcels.insert(self.parcels_sent, parcel);
        self.net.after(delay, Event::Parcel(self.parcels_sent));
    }

    /// Lets everything happen that is due before `until`, or until `done` says so.
    pub fn run_until(&mut self, until: Time, done: impl Fn(&Self) -> bool) {
        while self.net.next_at().is_some_and(|at| at <= until) && !done(self) {
            let Some(event) = self.net.next_event() else { return };
            self.dispatch(event);
            if self.net.wounds.hurt_servers() {
                self.book.unhealthy.get_or_insert(self.net.now);
            }
            if !self.ledger.to_judge.is_empty() {
                oracle::http::judge(&mut scene!(self));
            }
        }
        if self.net.now < until && !done(self) {
            self.net.now = until;
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrive(end) => self.net.arrive(end),
            Event::Complete { host, op } => self.net.complete(host, op),
            Event::Step { host } => self.step(host),
            Event::Incoming { actor, end } => {
                self.with_server(actor, |server, scene| server.on_incoming(scene, end));
            }
            Event::Notice { actor, end } => {
                self.net.noticed(end);
                if actor >= FIRST_SERVER {
                    self.with_server(actor, |server, scene| server.on_notice(scene, end));
                } else if actor == ATTACKER {
                    self.attacker.on_notice(&mut self.net, end);
                } else {
                    let mut scene = scene!(self);
                    self.clients[actor as usize].on_notice(&mut scene, end);
                }
            }
            Event::Timer { actor, token } => self.on_timer(actor, token),
            Event::Parcel(number) => self.deliver(number),
        }
    }

    fn on_timer(&mut self, actor: u16, token: u64) {
        if actor >= FIRST_SERVER {
            return self.with_server(actor, |server, scene| server.on_timer(scene, token));
        }
        let asking = self.site.asking.clone();
        if actor == ATTACKER {
            return self.attacker.on_timer(&mut self.net, &asking);
        }
        let mut scene = scene!(self);
        self.clients[actor as usize].on_timer(&mut scene, token, &asking);
    }

    pub(crate) fn with_server(
        &mut self,
        actor: u16,
        act: impl FnOnce(&mut Server, &mut Scene<'_>),
    ) {
        let mut scene = scene!(self);
        let server = &mut self.servers[usize::from(actor - FIRST_SERVER)];
        act(server, &mut scene);
    }

    fn step(&mut self, number: u16) {
        let host = &mut self.hosts[number as usize];
        let Some(machine) = &mut host.machine else { return };
        step(&mut self.net, number, machine.as_mut(), self.site.batch, &mut self.errands);
        self.checks += 1;
        if self.checks.is_multiple_of(8) {
            machine.check();
            let held = machine.holdings();
            if let Some(text) = oracle::resource::excess(&held, &self.site.limits) {
                let now = self.net.now;
                self.net.verdict.add(oracle::Oracle::R2, now, || format!("{number}: {text}"));
            }
        }
        self.after_step(number);
        if !self.errands.effects.is_empty() {
            let mut effects = std::mem::take(&mut self.errands.effects);
            effects.drain(..).for_each(|effect| self.errand(number, effect));
            self.errands.effects = effects;
        }
    }

    fn after_step(&mut self, number: u16) {
        let host = &mut self.hosts[number as usize];
        host.handed = host.handed.max(self.errands.view);
        let (role, handed) = (host.role, host.handed);
        let gateway = &mut self.gateways[host.gateway];
        if let Role::Worker(index) = role {
            let used = gateway.stats.workers[usize::from(index)].epoch.get();
            let now = self.net.now;
            if host.gateway != 0 && gateway.version_of(used) == 0 {
                self.book.child_begins = Some(now);
            }
            self.epochs.observe(number, handed, used, now, &mut self.net.verdict);
        }
        if role == Role::Control
            && let Some(heard) = &mut self.net.ports[usize::from(number)].heard
        {
            let disturbing = [Kind::LateTick, Kind::Pause, Kind::TimeJump, Kind::LateCompletion];
            let calm = disturbing.iter().all(|kind| self.net.faults.last(*kind).is_none());
            // Few at once wait for one another, and one that is not answered for long.
            let usual = ControlLimits::default().probes_max;
            let undisturbed = calm && self.site.control_limits.probes_max == usual;
            let undisturbed = judged(undisturbed, &self.net.faults);
            let (now, verdict) = (self.net.now, &mut self.net.verdict);
            for heard in heard.drain(..).flat_map(|heard| gateway.tap.read(heard)) {
                gateway.probes.hear(&heard, undisturbed, now, verdict);
            }
        }
        if gateway.note_shed() {
            self.book.shed_at = Some(self.net.now);
        }
        let now = self.net.now;
        self.book.refusals.extend(gateway.note_refusals().map(|status| (now, status)));
        if self.hosts[number as usize].gateway == 0 {
            self.book.oldest_epoch = self.oldest_epoch();
            self.book.oldest = self.gateways[0].version_of(self.book.oldest_epoch);
        }
    }

    /// The oldest view that a running worker of the parent serves.
    fn oldest_epoch(&self) -> u64 {
        let workers = self.hosts.iter().enumerate().filter(|(_, host)| {
            host.gateway == 0 && host.machine.is_some() && matches!(host.role, Role::Worker(_))
        });
        let epoch = |(number, host): (usize, &Host)| {
            let number = u16::try_from(number).expect("a run has few hosts");
            let told = self.net.port(number).is_told();
            if told { host.given } else { self.book.oldest_epoch }
        };
        workers.map(epoch).min().unwrap_or(self.book.oldest_epoch)
    }

    fn errand(&mut self, number: u16, effect: Effect) {
        match effect {
            Effect::Publish => self.publish(number),
            Effect::Report(report) => {
                let gateway = self.hosts[number as usize].gateway;
                let host = self.gateways[gateway].hosts[0];
                let delay = self.cross_delay();
                self.send(delay, Parcel::Report { host, report });
            }
            Effect::Offer => {
                let gateway = self.hosts[number as usize].gateway;
                let to = self.gateways[gateway].hosts[0];
                let machine = self.hosts[number as usize].machine.as_mut();
                if let Some(offer) = machine.and_then(|machine| machine.offered()) {
                    let delay = self.cross_delay();
                    self.send(delay, Parcel::Offer { host: to, offer });
                }
            }
            Effect::Job { job } => {
                let machine = self.hosts[number as usize].machine.as_mut();
                let Some(what) = machine.and_then(|machine| machine.job(job)) else {
                    return self.net.verdict.add(oracle::Oracle::D1, self.net.now, || {
                        format!("machine {number} announced job {job:?} and has none")
                    });
                };
                self.start_job(number, job, what);
            }
            Effect::Log => self.on_log(number),
            Effect::Finished => self.hosts[number as usize].finished = true,
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
        if let Role::Worker(_) = host.role {
            let gateway = &self.gateways[host.gateway];
            let seen = oracle::choice::Seen { host: number, gateway, ledger: &self.ledger };
            self.choices.read(&bytes, &seen, &self.epochs, &mut self.net);
        }
    }

    fn cross_delay(&mut self) -> Span {
        if self.net.faults.strikes(Kind::LateView) {
            self.net.faults.observed(Kind::LateView);
            return Span::millis(self.net.faults.chance.size(5_000));
        }
        Span::micros(1 + self.publication.below(500))
    }

    fn publish(&mut self, number: u16) {
        let host = &mut self.hosts[number as usize];
        let Some(view) = host.machine.as_mut().and_then(|machine| machine.published()) else {
            return;
        };
        let gateway = host.gateway;
        let now = self.net.now;
        self.gateways[gateway].note_view(&view, now, &mut self.net.verdict);
        let judged = self.judged_probes();
        self.gateways[gateway].probes.judge_view(&view, judged, now, &mut self.net.verdict);
        self.note_unresolved(gateway, &view);
        for worker in self.gateways[gateway].hosts.clone().into_iter().skip(1) {
            let delay = self.cross_delay();
            self.send(delay, Parcel::View { host: worker, view: Arc::clone(&view) });
        }
    }

    /// Whether what a probe got says what its machine makes of it: not if machines lack room, and
    /// not if servers answer before they are asked.
    fn judged_probes(&self) -> Judged {
        let unasked = oracle::http::somebody_lied(&self.net);
        judged(!self.site.control_tight && !unasked, &self.net.faults)
    }

    fn deliver(&mut self, number: u64) {
        let parcel = self.parcels.remove(&number).expect("a parcel is delivered once");
        match parcel {
            Parcel::View { host, view } => {
                let to = &mut self.hosts[host as usize];
                if to.machine.is_some() {
                    to.given = to.given.max(view.epoch);
                    self.net.tell(host, Input::View(view));
                }
            }
            Parcel::Report { host, report } => {
                if self.hosts[host as usize].machine.is_some() {
                    self.net.tell(host, Input::Report(report));
                }
            }
            Parcel::Offer { host, offer } => {
                if self.hosts[host as usize].machine.is_some() {
                    self.net.tell(host, Input::Offer(offer));
                }
            }
            Parcel::Job { host, job, what } => self.finish_job(host, job, &what),
            Parcel::Changed { gateway } => {
                let host = self.gateways[gateway].hosts[0];
                if self.hosts[host as usize].machine.is_some() {
                    self.net.tell(host, Input::Changed);
                }
            }
            Parcel::Weather => self.weather(),
            Parcel::Restart { gateway } => self.restart(gateway),
            Parcel::Kill { gateway, life } => {
                // A later life is spared.
                if self.gateways[gateway].lives == life {
                    self.crash(gateway);
                }
            }
            Parcel::Revive { server } => self.revive(server),
            Parcel::Rotate => self.rotate(),
            Parcel::Honest => self.be_honest(),
            Parcel::Heal { server } => {
                self.servers[server].health = crate::actors::server::Health::Good;
            }
        }
    }
}

/// Of servers with names nothing is expected once one was resolved late or wrongly.
fn judged(any: bool, faults: &Faults) -> Judged {
    match any {
        false => Judged::None,
        true if faults.renamed() => Judged::Addresses,
        true => Judged::All,
    }
}
