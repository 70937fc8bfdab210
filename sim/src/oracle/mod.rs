//! What must hold, judged from outside the engine. Violations are collected, so that one run
//! reports everything it found.

use engine::base::time::Time;
use std::fmt;

/// A property family; the names are those of `docs/architecture.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Oracle {
    /// The contract between machine and driver.
    D1,
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
}

impl Verdict {
    pub fn add(&mut self, oracle: Oracle, at: Time, text: impl FnOnce() -> String) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(Violation { oracle, at, text: text() });
        }
    }

    pub fn all(&self) -> &[Violation] {
        &self.violations
    }

    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}
