//! What must hold, judged from outside the engine. Violations are collected, so that one run
//! reports everything it found.

pub mod breaker;
pub mod busy;
pub mod capsule;
pub mod choice;
pub mod coding;
pub mod detour;
pub mod health;
pub mod http;
pub mod mirror;
pub mod patience;
pub mod resource;
pub mod share;
pub mod signed;
pub mod strategy;
pub mod told;
pub mod uplink;
pub mod view;

use engine::base::time::Time;
use std::collections::BTreeMap;
use std::fmt;

/// A property family; the names are those of `docs/architecture.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Oracle {
    /// A machine does not panic; its own checks hold.
    Panic,
    /// One final response or a clean end for each request.
    H1,
    /// A response belongs to its request.
    H2,
    /// What arrives at a server is what the client meant.
    H3,
    /// What is forwarded has one framing; what is refused is not forwarded.
    H4,
    /// At most once, unless a retry is allowed.
    H5,
    /// The contract between machine and driver.
    D1,
    /// Every choice follows from its ticket and the view.
    C1,
    /// Tickets have no gaps and no repeats.
    C2,
    /// Mirrors get what the closed form says.
    C3,
    /// Circuit breakers open, rest and recover by what was answered.
    C4,
    /// A failover takes the side that is up.
    P2,
    /// Health is what the probes said, and follows them in time.
    P1,
    /// After the faults everything works again.
    L1,
    /// Nothing is left when an instance has drained.
    R1,
    /// One seed, one trace.
    T1,
    /// What was recorded is decided again alike.
    T2,
    /// Services are what documents and adverts make.
    U1,
    /// Diagnostics for what is left out, and none without reason.
    U2,
    /// Epochs only grow, and the newest reaches every worker.
    V1,
    /// No request is routed by a view that was replaced before its head was complete.
    V2,
    /// Memory stays below the sum of all bounds.
    R2,
    /// Deadlines and bounded work.
    R3,
}

/// A property that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub oracle: Oracle,
    pub at: Time,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.oracle, self.at, self.text)
    }
}

/// At most this many are kept: the first ones tell the story.
const KEPT_MAX: usize = 50;

/// The violations of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    violations: Vec<Violation>,
    /// How often each reason excused something.
    pub excused: BTreeMap<String, u64>,
}

impl Verdict {
    pub fn add(&mut self, oracle: Oracle, at: Time, text: impl FnOnce() -> String) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(Violation { oracle, at, text: text() });
        }
    }

    /// Counts something that was tolerated, by its reason.
    pub fn excuse(&mut self, reason: String) {
        *self.excused.entry(reason).or_default() += 1;
    }

    pub fn all(&self) -> &[Violation] {
        &self.violations
    }

    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}
