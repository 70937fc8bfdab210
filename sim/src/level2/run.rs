//! A run from beginning to end: hosts and links, strokes at their time, a storm of requests, calm,
//! and the judgement.

use super::client::Client;
use super::host::{Instance, live};
use super::judge::{Excused, judge};
use super::plan::{self, Kind, Plan, ROUNDS, Route, Stroke, Target};
use super::stage::{End, Stage};
use super::{origin, stage};
use crate::oracle::{Oracle, Violation};
use crate::trace::Text;
use engine::base::mark::Mark;
use engine::base::time::{Span, Time};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokio::task::spawn_local;
use turmoil::{Builder, Sim};

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<Violation>,
    pub hash: u64,
    /// Inputs of machines.
    pub events: u64,
    pub requests: u64,
    pub served: u64,
    pub arrivals: u64,
    pub probes: u64,
    /// Requests that were not served, by what excuses them.
    pub excused: Excused,
    pub strokes: Vec<Stroke>,
    pub marks: Vec<u64>,
    pub virtual_time: Time,
    pub lines: Vec<String>,
}

/// After the last fault and the last dead connection, everything is found again by then.
const RECOVERY: Duration = Duration::from_secs(6);
/// No run lasts longer.
const RUN_MAX: Duration = Duration::from_secs(120);
/// More connections than ever wait at once: turmoil panics when a queue is full.
const QUEUE: usize = 512;

fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.nanos())
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a run is short")
}

/// Plays one run. A machine that panics has broken a property, too.
pub fn play(seed: u64, text: Text) -> Report {
    let stage = Rc::new(Stage::new(Plan::draw(seed), text));
    let mut now = Time::ZERO;
    let lived = catch_unwind(AssertUnwindSafe(|| direct(&stage, &mut now)));
    let problem = match lived {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            Some(said.unwrap_or_else(|| "a panic outside the machines".into()))
        }
    };
    if let Some(problem) = problem {
        stage.verdict.borrow_mut().add(Oracle::Panic, now, || problem);
    }
    let excused = judge(&stage, now);
    report(&stage, excused, now)
}

fn direct(stage: &Rc<Stage>, now: &mut Time) -> turmoil::Result {
    let mut sim = build(stage);
    let strokes = stage.plan.strokes.iter();
    let mut events: Vec<(Time, bool, Stroke)> = strokes
        .flat_map(|stroke| [(stroke.from, true, *stroke), (stroke.to, false, *stroke)])
        .collect();
    events.sort_by_key(|(at, begins, stroke)| (*at, *begins, stroke.kind, stroke.on));
    let mut events = events.into_iter().peekable();
    loop {
        *now = Time::from_nanos(nanos(sim.elapsed()));
        while let Some((_, begins, stroke)) = events.next_if(|(at, ..)| at <= now) {
            let verb = if begins { "begins" } else { "ends" };
            stage.tell(*now, format!("{:?} of {:?} {verb}", stroke.kind, stroke.on));
            strike(&mut sim, &stroke, begins);
        }
        if sim.step()? {
            return Ok(());
        }
    }
}

fn build(stage: &Rc<Stage>) -> Sim<'static> {
    let plan = &stage.plan;
    let mut sim = Builder::new()
        .rng_seed(plan.seed)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(duration(plan.tick))
        .simulation_duration(RUN_MAX)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::from_millis(3))
        .tcp_capacity(QUEUE)
        .build();
    let gateway = |sim: &mut Sim<'_>, ip: IpAddr, instance: Instance| {
        let stage = Rc::clone(stage);
        sim.host(ip, move || live(Rc::clone(&stage), instance.clone()));
    };
    let origin = |sim: &mut Sim<'_>, ip: IpAddr, name: String, two: bool| {
        let stage = Rc::clone(stage);
        sim.host(ip, move || origin::serve(Rc::clone(&stage), name.clone(), two));
    };
    origin(&mut sim, plan::LOCAL, "local".into(), plan.two);
    for (n, child) in plan.children.iter().enumerate() {
        origin(&mut sim, plan::origin_ip(n), format!("origin-{n}"), child.origin_two);
        let instance = Instance {
            number: 1 + u16::try_from(n).expect("few children"),
            workers: child.workers,
            startup: plan.child_startup(n),
            document: plan.child_document(n),
        };
        gateway(&mut sim, plan::child_ip(n), instance);
    }
    let parent = Instance {
        number: 0,
        workers: plan.workers,
        startup: plan.parent_startup(),
        document: plan.parent_document(),
    };
    gateway(&mut sim, plan::PARENT, parent);
    for (n, child) in plan.children.iter().enumerate() {
        sim.set_link_max_message_latency(plan::PARENT, plan::child_ip(n), duration(child.latency));
    }
    sim.client(plan::CLIENTS, ask(Rc::clone(stage)));
    sim
}

/// All clients in the storm, then one in the calm.
async fn ask(stage: Rc<Stage>) -> turmoil::Result {
    let clients = u64::from(stage.plan.clients);
    let client = |number| spawn_local(Client::new(&stage, number).storm());
    for client in (0..clients).map(client).collect::<Vec<_>>() {
        client.await?;
    }
    tokio::time::sleep(RECOVERY).await;
    let mut calm = Client::new(&stage, clients);
    let weights: u32 = stage.plan.children.iter().map(|child| child.weight).sum();
    calm.calm(Route::All, weights * ROUNDS).await;
    calm.calm(Route::Local, 2).await;
    for child in 0..stage.plan.children.len() {
        calm.calm(Route::Only(child), 2).await;
    }
    Client::new(&stage, clients + 1).calm(Route::Failover, 4).await;
    Ok(())
}

fn strike(sim: &mut Sim<'_>, stroke: &Stroke, begins: bool) {
    let (near, far) = match stroke.on {
        Target::Uplink(child) => (plan::PARENT, plan::child_ip(child)),
        Target::Backend(child) => (plan::child_ip(child), plan::origin_ip(child)),
        Target::Local => (plan::PARENT, plan::LOCAL),
        Target::Child(child) => (plan::child_ip(child), plan::child_ip(child)),
        Target::Parent => (plan::PARENT, plan::PARENT),
    };
    match (stroke.kind, begins) {
        (Kind::Partition, true) => sim.partition(near, far),
        (Kind::Partition, false) => sim.repair(near, far),
        (Kind::OneWayOut, true) => sim.partition_oneway(near, far),
        (Kind::OneWayOut, false) => sim.repair_oneway(near, far),
        (Kind::OneWayBack, true) => sim.partition_oneway(far, near),
        (Kind::OneWayBack, false) => sim.repair_oneway(far, near),
        (Kind::Hold, true) => sim.hold(near, far),
        (Kind::Hold, false) => sim.release(near, far),
        (Kind::Crash, true) => sim.crash(near),
        (Kind::Crash, false) => sim.bounce(near),
    }
}

fn report(stage: &Rc<Stage>, excused: Excused, now: Time) -> Report {
    let asked = stage.asked.borrow();
    let served = |asked: &&stage::Asked| matches!(asked.end, End::Answered { status: 200, .. });
    let trace = stage.trace.replace(crate::trace::Trace::new(Text::Off));
    Report {
        seed: stage.plan.seed,
        violations: stage.verdict.borrow().all().to_vec(),
        hash: trace.hash(),
        events: trace.events(),
        requests: asked.len() as u64,
        served: asked.iter().filter(served).count() as u64,
        arrivals: stage.arrivals.borrow().len() as u64,
        probes: stage.probes.get(),
        excused,
        strokes: stage.plan.strokes.clone(),
        marks: stage.marks(),
        virtual_time: now,
        lines: trace.lines().into_iter().map(|(_, line)| line).collect(),
    }
}

/// One run; every eighth twice, because the same seed must give the same trace.
pub fn play_checked(seed: u64) -> Report {
    let mut report = play(seed, Text::Off);
    if seed.is_multiple_of(8) {
        let again = play(seed, Text::Off);
        if again.hash != report.hash {
            let text = format!("trace {:016x}, then {:016x}", report.hash, again.hash);
            let (oracle, at) = (Oracle::T1, report.virtual_time);
            report.violations.push(Violation { oracle, at, text });
        }
    }
    report
}

/// What many runs have seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub requests: u64,
    pub served: u64,
    pub arrivals: u64,
    pub probes: u64,
    pub events: u64,
    pub strokes: std::collections::BTreeMap<Kind, u64>,
    pub excused: Excused,
    pub marks: Vec<u64>,
    pub failures: Vec<Report>,
}

impl Tally {
    pub fn add(&mut self, report: Report) {
        self.runs += 1;
        self.requests += report.requests;
        self.served += report.served;
        self.arrivals += report.arrivals;
        self.probes += report.probes;
        self.events += report.events;
        for stroke in &report.strokes {
            *self.strokes.entry(stroke.kind).or_default() += 1;
        }
        for (kind, count) in &report.excused {
            *self.excused.entry(*kind).or_default() += count;
        }
        self.marks.resize(Mark::ALL.len(), 0);
        self.marks.iter_mut().zip(&report.marks).for_each(|(sum, count)| *sum += count);
        if !report.violations.is_empty() {
            self.failures.push(report);
        }
    }

    /// Kinds of stroke that never struck, or that no request ever felt.
    pub fn missing(&self) -> Vec<Kind> {
        let felt = |kind: &Kind| self.strokes.contains_key(kind) && self.excused.contains_key(kind);
        Kind::ALL.into_iter().filter(|kind| !felt(kind)).collect()
    }
}

/// Plays `count` runs from seed `from` on.
pub fn sweep(from: u64, count: u64, jobs: usize) -> Tally {
    let next = AtomicU64::new(0);
    let work = || {
        let take = || Some(next.fetch_add(1, Relaxed)).filter(|n| *n < count);
        std::iter::from_fn(take).map(|n| play_checked(from + n)).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("panics are caught"));
        let mut reports: Vec<Report> = joined.flatten().collect();
        reports.sort_by_key(|report| report.seed);
        let mut tally = Tally::default();
        reports.into_iter().for_each(|report| tally.add(report));
        tally
    })
}
