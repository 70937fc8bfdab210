//! What all hosts of a run share: one thread, one clock, one trace, one book of what was seen.

use super::plan::{self, Plan, Route};
use super::run::nanos;
use crate::oracle::{Oracle, Verdict};
use crate::trace::{Text, Trace};
use engine::base::mark::Mark;
use engine::base::prng::Prng;
use engine::base::time::Time;
use engine::view::stats::Stats;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) trace: RefCell<Trace>,
    pub(super) verdict: RefCell<Verdict>,
    /// Delays of publication.
    pub(super) chance: RefCell<Prng>,
    /// Figures of every life of every gateway.
    pub(super) stats: RefCell<Vec<Arc<Stats>>>,
    pub(super) asked: RefCell<Vec<Asked>>,
    pub(super) arrivals: RefCell<Vec<Arrival>>,
    pub(super) probes: Cell<u64>,
}

/// A request as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) route: Route,
    pub(super) method: &'static str,
    pub(super) begun: Time,
    pub(super) ended: Time,
    pub(super) end: End,
    /// When nothing may go wrong any more.
    pub(super) calm: bool,
}

/// How a request ended for its client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Whole; from this origin if the answer names one.
    Answered { status: u16, origin: Option<String> },
    /// The connection ended before the answer did, and after its head if there is a status.
    Cut { status: Option<u16>, why: String },
    /// No end within the client's patience.
    Stuck,
}

/// A request as an origin saw it.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) id: u64,
    pub(super) method: String,
    pub(super) origin: String,
}

impl Stage {
    pub(super) fn new(plan: Plan, text: Text) -> Self {
        Self {
            chance: RefCell::new(Prng::new(plan.seed).split(3)),
            plan,
            trace: RefCell::new(Trace::new(text)),
            verdict: RefCell::default(),
            stats: RefCell::default(),
            asked: RefCell::default(),
            arrivals: RefCell::default(),
            probes: Cell::new(0),
        }
    }

    /// The clock that all hosts agree on; called on a host.
    pub(super) fn now(&self) -> Time {
        let elapsed = turmoil::sim_elapsed().expect("only hosts ask for the time");
        Time::from_nanos(1 + nanos(elapsed))
    }

    pub(super) fn violation(&self, oracle: Oracle, text: impl FnOnce() -> String) {
        let now = self.now();
        self.verdict.borrow_mut().add(oracle, now, text);
    }

    /// A line of the trace, folded into its hash.
    pub(super) fn tell(&self, now: Time, line: impl Into<String>) {
        let (mut trace, line) = (self.trace.borrow_mut(), line.into());
        trace.fold(now.nanos());
        trace.fold_bytes(line.as_bytes());
        trace.note(now, || line);
    }

    pub(super) fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match host {
            "local.test" => Ok(vec![plan::LOCAL]),
            _ => Err(format!("no such host: {host}")),
        }
    }

    pub(super) fn marks(&self) -> Vec<u64> {
        let stats = self.stats.borrow();
        let count = |mark: &Mark| {
            let of = |stats: &Arc<Stats>| {
                let workers = stats.workers.iter().map(|worker| worker.marks.count(*mark));
                workers.sum::<u64>() + stats.control.marks.count(*mark)
            };
            stats.iter().map(of).sum()
        };
        Mark::ALL.iter().map(count).collect()
    }
}
