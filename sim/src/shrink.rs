//! The search for a smaller run that fails in the same way. It knows nothing of the system: fewer
//! bytes make a calmer run, and so do fewer fault kinds.

use crate::entropy::RunId;
use crate::fault::Kind;
use crate::life::{Report, play};
use crate::oracle::Oracle;
use crate::trace::Text;

/// The smallest failing run found, and how many runs that took.
#[derive(Debug)]
pub struct Smallest {
    pub report: Report,
    pub runs: u64,
}

/// Fresh seeds tried at each size.
const SEEDS_PER_SIZE: u64 = 12;

/// Shrinks a failing run; nothing if it does not fail.
pub fn shrink(run: RunId) -> Option<Smallest> {
    let first = play(run, Text::Off);
    let oracle = first.violations.first()?.oracle;
    let mut search = Search { oracle, best: first, runs: 1 };
    search.fewer_kinds();
    search.fewer_bytes();
    search.fewer_kinds();
    let report = play(search.best.run, Text::Kept(Vec::new()));
    Some(Smallest { report, runs: search.runs })
}

struct Search {
    oracle: Oracle,
    best: Report,
    runs: u64,
}

impl Search {
    /// Keeps a run if it breaks the same property.
    fn attempt(&mut self, run: RunId) -> bool {
        self.runs += 1;
        let report = play(run, Text::Off);
        let fails = report.violations.iter().any(|violation| violation.oracle == self.oracle);
        if fails {
            self.best = report;
        }
        fails
    }

    fn fewer_kinds(&mut self) {
        if self.attempt(RunId { mask: 0, ..self.best.run }) {
            return;
        }
        let run = self.best.run;
        self.attempt(RunId { mask: run.mask & !LIMITS, ..run });
        for kind in Kind::ALL {
            let run = self.best.run;
            if run.mask & kind.bit() != 0 {
                self.attempt(RunId { mask: run.mask & !kind.bit(), ..run });
            }
        }
    }

    /// Doubling from small, fresh seeds at each size, then closing in from below.
    fn fewer_bytes(&mut self) {
        let mut size = 32;
        while size < self.best.run.size {
            if self.any_seed(size) {
                break;
            }
            size *= 2;
        }
        let mut step = self.best.run.size / 2;
        while step > 8 {
            let run = self.best.run;
            while self.best.run.size > step
                && self.attempt(RunId { size: self.best.run.size - step, ..run })
            {}
            step /= 2;
        }
    }

    fn any_seed(&mut self, size: u32) -> bool {
        let run = self.best.run;
        if self.attempt(RunId { size, ..run }) {
            return true;
        }
        (1..=SEEDS_PER_SIZE).any(|n| {
            let seed = run.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(n);
            self.attempt(RunId { seed, size, ..run })
        })
    }
}

/// The bit of a mask that lets bounds be drawn.
pub const LIMITS: u64 = 1 << 63;
