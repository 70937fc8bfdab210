//! The machine: one per process, with a driver loop of its own.
//!
//! What arrives changes what is known (adverts, health, addresses, documents); what is known is
//! compiled into a view, and the view is published, at most one per `publish_gap`. The parts live
//! in files of their own: `discovery` polls, `health` probes and ejects, `reload` reads files,
//! `publish` compiles.

use super::checks::Checks;
use super::child::Child;
use super::conns::{Conns, Owner};
use super::file::FileProvider;
use super::journal::Journal;
use super::ledgers::Ledgers;
use super::material::Material;
use super::names::Names;
use super::publish::Publisher;
use super::reload::{Layers, Staged};
use super::remote::Remote;
use super::rest::Rest;
use crate::base::id::{ConnId, JobId};
use crate::base::limits::ControlLimits;
use crate::base::line::{Level, LogLine};
use crate::base::prng::Prng;
use crate::base::time::{Span, Time};
use crate::base::timers::Timers;
use crate::boundary::{Answer, Batch, Deadline, Effect, Input, Job, Lent, Machine};
use crate::config;
use crate::config::fixed::Fixed;
use crate::config::typed::Dynamic;
use crate::tls::{Clock, Crypto, Tickets};
use crate::view::View;
use crate::view::stats::Stats;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

const TICKET_PERIOD: Span = Span::secs(Tickets::PERIOD as u64);

/// Reads, polls, probes, resolves, compiles, publishes.
#[derive(Debug)]
pub struct Control {
    pub(super) fixed: Arc<Fixed>,
    pub(super) limits: ControlLimits,
    pub(super) stats: Arc<Stats>,
    pub(super) prng: Prng,
    pub(super) journal: Journal,
    pub(super) conns: Conns,
    pub(super) names: Names,
    pub(super) children: Vec<Child>,
    /// By child.
    pub(super) child_timers: Timers,
    pub(super) polls_waiting: VecDeque<usize>,
    pub(super) polls_under_way: u32,
    pub(super) checks: Checks,
    pub(super) file: Option<FileProvider>,
    pub(super) remote: Option<Remote>,
    pub(super) rest: Option<Rest>,
    pub(super) layers: Layers,
    pub(super) ledgers: Ledgers,
    pub(super) publisher: Publisher,
    pub(super) material: Material,
    /// A configuration whose files are being read.
    pub(super) staged: Option<Staged>,
    tickets_until: Time,
    clock: Arc<Clock>,
    jobs: BTreeMap<JobId, Task>,
    next_job: u64,
    effects: Vec<Effect>,
    life: Life,
}

/// What a job is for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Task {
    Resolve(Arc<str>),
    Load,
    Read(Arc<str>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Running,
    /// Gives up waiting for answers at `by`.
    Draining {
        by: Time,
    },
    Finished,
}

impl Control {
    /// A machine that has read nothing yet; its first view is there at once.
    pub fn new(
        fixed: Arc<Fixed>,
        limits: ControlLimits,
        stats: Arc<Stats>,
        seed: u64,
        now: Time,
    ) -> Self {
        Self::with(Crypto::default(), fixed, limits, stats, seed, now)
    }

    /// The same, with cryptography of the caller's choice.
    pub fn with(
        crypto: Crypto,
        fixed: Arc<Fixed>,
        limits: ControlLimits,
        stats: Arc<Stats>,
        seed: u64,
        now: Time,
    ) -> Self {
        let journal = Journal::new(stats.started, &fixed.log, limits.log_lines);
        let mut secrets = Prng::new(seed).split(1);
        let known = Arc::clone(&stats);
        let publisher = Publisher::new(crypto, Arc::clone(&fixed), limits, known, &mut secrets);
        let children = Self::children_of(&fixed, &publisher, now);
        let mut control = Self {
            limits,
            prng: Prng::new(seed),
            journal,
            conns: Conns::new(limits, Arc::clone(&stats)),
            names: Names::new(limits, Arc::clone(&stats)),
            child_timers: Timers::default(),
            polls_waiting: VecDeque::new(),
            polls_under_way: 0,
            checks: Checks::default(),
            file: fixed.file.as_ref().map(|file| {
                let stats = Arc::clone(&stats);
                FileProvider::new(&file.path, file.watch, fixed.throttle, limits, stats, now)
            }),
            remote: fixed.http.as_ref().map(|provider| Remote::new(provider, now)),
            rest: fixed.rest.map(|_| Rest::new(now)),
            layers: Layers::default(),
            ledgers: Ledgers::default(),
            material: Material::new(limits.material_age),
            staged: None,
            tickets_until: now + TICKET_PERIOD,
            clock: Arc::clone(&publisher.view().clock),
            publisher,
            children,
            jobs: BTreeMap::new(),
            next_job: 0,
            effects: Vec::new(),
            life: Life::Running,
            fixed,
            stats,
        };
        control.tell_time(now);
        control.want_files(config::tls::files(&control.fixed, &Dynamic::default()));
        for child in &control.children {
            control.child_timers.set(child.id.0.into(), child.due(now));
            control.publisher.set_child_status(child.id, child.status());
            if child.address.host.parse::<IpAddr>().is_err() {
                control.names.want(&child.address.host, now);
            }
        }
        if let Some(provider) = &control.fixed.http {
            let host = &provider.endpoint.authority.host;
            if host.parse::<IpAddr>().is_err() {
                control.names.want(host, now);
            }
        }
        control.publish(now);
        // Whoever builds the machine asks for this one.
        control.publisher.hand_over_first(now);
        control
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.publisher.view()
    }

    fn on_job(&mut self, job: JobId, answer: Answer, now: Time) {
        let task = self.jobs.remove(&job);
        debug_assert!(task.is_some(), "{job:?} was not asked for");
        if self.life != Life::Running {
            // Nothing begins any more for which an address or a file would be needed.
            return;
        }
        match (task, answer) {
            (Some(Task::Resolve(host)), Answer::Resolved(answer)) => {
                self.on_resolved(&host, answer, now);
            }
            (Some(Task::Load), Answer::Loaded(reading)) => self.on_loaded(reading, now),
            (Some(Task::Read(path)), Answer::Read(content)) => self.on_read(&path, content, now),
            (Some(task), _) => debug_assert!(false, "{task:?} was answered with something else"),
            (None, _) => {}
        }
    }

    fn start_jobs(&mut self, now: Time) {
        for host in self.names.due(now) {
            self.start_job(Task::Resolve(host));
        }
        if self.file.as_mut().is_some_and(|file| file.tick(now)) {
            self.start_job(Task::Load);
        }
        for path in self.material.due(now) {
            self.start_job(Task::Read(path));
        }
    }

    /// Handshakes tell the time by what the machine was told last.
    fn tell_time(&self, now: Time) {
        self.clock.set(self.stats.started.seconds_at(now));
    }

    fn tick_tickets(&mut self, now: Time) {
        if self.tickets_until <= now {
            self.tickets_until = now + TICKET_PERIOD;
            self.publisher.rotate_tickets();
        }
    }

    fn start_job(&mut self, task: Task) {
        let job = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(job, task);
        self.effects.push(Effect::Job { job });
    }

    /// Whoever is told that an exchange ended may begin another, and that may end at once, for want
    /// of a page.
    fn settle_exchanges(&mut self, now: Time) {
        while !self.conns.ended.is_empty() {
            for ended in std::mem::take(&mut self.conns.ended) {
                match ended.owner {
                    Owner::Child(child) => self.on_polled(child, ended.result, ended.kept, now),
                    Owner::Provider => self.on_remote(ended.result, ended.kept, now),
                    Owner::Probe(server) => self.on_probed(server, ended.result, now),
                }
            }
        }
    }

    fn drain(&mut self, by: Time, now: Time) {
        if self.life == Life::Running {
            self.life = Life::Draining { by };
            self.conns.close_all();
            self.journal.say(LogLine::new(Level::Info, now, "discovery and health checks stopped"));
        }
        self.finish_if_idle(now);
    }

    fn finish_if_idle(&mut self, now: Time) {
        let Life::Draining { by } = self.life else { return };
        if self.conns.is_empty() && (self.jobs.is_empty() || by <= now) {
            self.life = Life::Finished;
            self.conns.append_effects(&mut self.effects);
            self.effects.push(Effect::Finished);
        }
    }
}

impl Machine for Control {
    fn handle(&mut self, input: Input, now: Time) {
        self.tell_time(now);
        match input {
            Input::Done { op, outcome } => self.conns.done(op.conn, op.kind, outcome, now),
            Input::Job { job, answer } => self.on_job(job, answer, now),
            Input::Report(report) => self.on_report(report, now),
            Input::Offer(offer) if self.life == Life::Running => self.on_offer(&offer, now),
            Input::Changed => {
                self.material.hint(now + self.limits.file_debounce);
                if let Some(file) = &mut self.file {
                    file.hint(now);
                }
            }
            Input::Workload(told) => self.on_workload(told, now),
            Input::Drain { by } => self.drain(by, now),
            // Views come from here, and at the end nothing new begins.
            Input::View(_) | Input::Offer(_) => {}
        }
        if self.life != Life::Running {
            return self.finish_if_idle(now);
        }
        self.settle_exchanges(now);
    }

    fn tick(&mut self, now: Time) {
        if self.life != Life::Running {
            return self.finish_if_idle(now);
        }
        self.tell_time(now);
        self.tick_tickets(now);
        self.conns.tick(now);
        self.settle_exchanges(now);
        self.tick_children(now);
        self.tick_checks(now);
        self.tick_remote(now);
        self.tick_rest(now);
        self.settle_exchanges(now);
        self.start_jobs(now);
        self.publish(now);
    }

    fn effects(&mut self, out: &mut Vec<Effect>) {
        self.conns.append_effects(&mut self.effects);
        if self.journal.rings() {
            self.effects.push(Effect::Log);
        }
        if self.publisher.rings() {
            self.effects.push(Effect::Publish);
        }
        out.append(&mut self.effects);
    }

    fn lend(&mut self, conn: ConnId) -> Option<Lent> {
        self.conns.lend(conn)
    }

    fn gather(&mut self, conn: ConnId, out: &mut Batch) {
        self.conns.gather(conn, out);
    }

    fn job(&mut self, job: JobId) -> Option<Job> {
        match self.jobs.get(&job)? {
            Task::Resolve(host) => Some(Job::Resolve { host: host.to_string() }),
            Task::Read(path) => Some(Job::Read { path: Arc::clone(path) }),
            Task::Load => Some(Job::Load { path: self.file.as_ref()?.path().to_owned() }),
        }
    }

    fn published(&mut self) -> Option<Arc<View>> {
        self.publisher.take()
    }

    fn log(&mut self, out: &mut Vec<u8>) {
        self.journal.take(out);
    }

    fn deadline(&self) -> Option<Deadline> {
        match self.life {
            Life::Running => {}
            // Connections end when the driver says so; only jobs are not waited for.
            Life::Draining { by } => {
                return self.conns.is_empty().then_some(Deadline { at: by, who: "drain" });
            }
            Life::Finished => return None,
        }
        let wants = [
            (self.conns.deadline(), "exchange"),
            (self.child_timers.next(), "child"),
            (self.checks.deadline(), "health check"),
            (self.names.deadline(), "host name"),
            (self.file.as_ref().and_then(FileProvider::deadline), "file"),
            (self.remote.as_ref().and_then(Remote::deadline), "HTTP provider"),
            (self.rest.as_ref().and_then(Rest::deadline), "REST provider"),
            (self.material.deadline(), "certificate file"),
            (self.publisher.ticket_deadline(self.tickets_until), "session tickets"),
            (self.publisher.deadline(), "publication"),
        ];
        wants
            .into_iter()
            .filter_map(|(at, who)| at.map(|at| Deadline { at, who }))
            .min_by_key(|deadline| deadline.at)
    }

    fn check(&self) {
        self.conns.check();
        self.names.check();
        self.journal.check();
        self.publisher.check();
        if self.life == Life::Running {
            self.check_children();
            self.check_remote();
            self.checks.check(&self.limits);
        }
        let loads = self.jobs.values().filter(|task| **task == Task::Load).count();
        assert!(loads <= 1, "one reading of the files at a time");
        if self.life == Life::Finished {
            assert!(self.conns.is_empty(), "a finished machine holds no connection");
        }
    }
}
