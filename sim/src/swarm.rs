//! Many runs, on as many threads as asked for, and what they reached together.

use crate::entropy::{Entropy, RunId};
use crate::fault::{Counts, Kind};
use crate::life::{Report, play};
use crate::pairs::Pairs;
use crate::trace::Text;
use crate::wiring::Wiring;
use engine::base::mark::Mark;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a swarm has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub steps: u64,
    pub requests: u64,
    pub answered: u64,
    pub records: u64,
    pub replayed: u64,
    pub bytes: u64,
    pub faults: Counts,
    pub marks: Vec<u64>,
    /// What was tolerated, by reason.
    pub excused: BTreeMap<String, u64>,
    pub pairs: Pairs,
    pub failures: Vec<Report>,
}

/// Marks that plays of the engine reach and no run does: no document has passwords, retries,
/// somebody to consult or settings of TLS that cannot be honoured, no actor opens a WebSocket over
/// HTTP/2 or asks for a host that wants other options, and nothing is silent for so long.
const ELSEWHERE: &[Mark] = &[
    Mark::BodyOverLimit,
    Mark::Announced,
    Mark::AnnouncedWrongly,
    Mark::LayerPassed,
    Mark::ConsultFailed,
    Mark::ConsultRefused,
    Mark::ConsultTimedOut,
    Mark::Consulted,
    Mark::Offered,
    Mark::OfferRefused,
    Mark::OfferThrottled,
    Mark::Counted,
    Mark::CountedAgain,
    Mark::CountFailed,
    Mark::ScriptForgotten,
    Mark::CollectedNoMore,
    Mark::ErrorPageAsked,
    Mark::Misdirected,
    Mark::PasswordsWaited,
    Mark::PasswordWrong,
    Mark::ProofShared,
    Mark::Retried,
    Mark::RetriesExhausted,
    Mark::TargetUnusable,
    Mark::PingUnanswered,
    Mark::WebTranslated,
    Mark::WebSocketBridged,
    Mark::WebSocketFellBack,
    Mark::WebSocketKeyWrong,
    Mark::WebSocketWaited,
];

/// At most this many failing runs are kept.
const FAILURES_KEPT: usize = 20;

impl Tally {
    pub fn add(&mut self, report: Report) {
        self.runs += 1;
        self.steps += report.steps;
        self.requests += report.requests;
        self.answered += report.answered;
        self.records += report.records;
        self.replayed += report.replayed;
        self.bytes += report.bytes;
        self.faults.add(&report.faults);
        excuse(&mut self.excused, &report.excused);
        self.pairs.sum(&report.pairs);
        self.marks.resize(Mark::ALL.len(), 0);
        self.marks.iter_mut().zip(&report.marks).for_each(|(sum, count)| *sum += count);
        if !report.violations.is_empty() && self.failures.len() < FAILURES_KEPT {
            self.failures.push(report);
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.requests += other.requests;
        self.answered += other.answered;
        self.records += other.records;
        self.replayed += other.replayed;
        self.bytes += other.bytes;
        self.faults.add(&other.faults);
        excuse(&mut self.excused, &other.excused);
        self.pairs.sum(&other.pairs);
        self.marks.resize(Mark::ALL.len(), 0);
        self.marks.iter_mut().zip(&other.marks).for_each(|(sum, count)| *sum += count);
        self.failures.extend(other.failures);
    }

    pub fn missing_marks(&self) -> Vec<Mark> {
        let reached = |mark: &Mark| self.marks.get(*mark as usize).is_some_and(|count| *count > 0);
        let wanted = Mark::ALL.iter().copied().filter(|mark| !ELSEWHERE.contains(mark));
        wanted.filter(|mark| !reached(mark)).collect()
    }

    pub fn missing_faults(&self) -> Vec<Kind> {
        self.faults.missing()
    }

    pub fn excuses_table(&self) -> String {
        let mut out = String::new();
        for (reason, count) in &self.excused {
            writeln!(out, "{reason:>32} {count:>10}").expect("writing to a string");
        }
        out
    }

    pub fn marks_table(&self) -> String {
        let mut out = String::new();
        for &mark in Mark::ALL {
            let count = self.marks.get(mark as usize).copied().unwrap_or(0);
            writeln!(out, "{:>26} {count:>12}  {}", mark.name(), mark.about())
                .expect("writing to a string");
        }
        out
    }
}

fn excuse(sums: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (reason, count) in more {
        *sums.entry(reason.clone()).or_default() += count;
    }
}

/// One run; every eighth twice, because the same seed must give the same trace.
pub fn play_checked(run: RunId) -> Report {
    let mut report = play(run, Text::Off);
    if run.seed.is_multiple_of(8) {
        let again = play(run, Text::Off);
        if again.hash != report.hash {
            let text = format!("trace {:016x}, then {:016x}", report.hash, again.hash);
            let oracle = crate::oracle::Oracle::T1;
            let at = report.virtual_time;
            report.violations.push(crate::oracle::Violation { oracle, at, text });
        }
    }
    report
}

/// Whether TLS or HTTP/2 is spoken anywhere.
pub fn is_wired(run: RunId) -> bool {
    Wiring::draw(&mut Entropy::new(run).wires).on
}

/// Plays `count` runs from seed `from` on.
pub fn swarm(from: u64, count: u64, size: u32, mask: u64, jobs: usize) -> Tally {
    swarm_of(from, count, size, mask, jobs, |_| true)
}

/// The same, but only runs that are `wanted`.
pub fn swarm_of(
    from: u64,
    count: u64,
    size: u32,
    mask: u64,
    jobs: usize,
    wanted: impl Fn(RunId) -> bool + Sync,
) -> Tally {
    let next = AtomicU64::new(0);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let n = next.fetch_add(1, Relaxed);
            if n >= count {
                return tally;
            }
            let run = RunId { size, mask, ..RunId::new(from + n) };
            if wanted(run) {
                tally.add(play_checked(run));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut tally = Tally::default();
        for thread in threads {
            tally.merge(thread.join().expect("a run that panics names its seed"));
        }
        tally.failures.sort_by_key(|report| report.run.seed);
        tally
    })
}
