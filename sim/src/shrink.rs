//! The search for a smaller run that fails in the same way. It knows nothing of the system: fewer
//! bytes make a calmer run, and so do fewer fault kinds and fewer actors.

use crate::entropy::{Crew, RunId};
use crate::fault::Kind;
use crate::life::{Report, play};
use crate::oracle::{Oracle, Violation};
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
    let wanted = Likeness::of(first.violations.first()?);
    let mut search = Search { wanted, best: first, runs: 1 };
    search.fewer_kinds();
    search.fewer_bytes();
    loop {
        let before = search.best.run;
        search.fewer_actors();
        search.fewer_kinds();
        search.close_in();
        if search.best.run == before {
            break;
        }
    }
    let mut report = play(search.best.run, Text::Kept(Vec::new()));
    let told = report.violations.iter().find(|at| Likeness::of(at) == search.wanted)?.at;
    report.lines.retain(|(at, _)| *at <= told);
    Some(Smallest { report, runs: search.runs })
}

/// What a violation says, without the names and numbers of its run. Statuses stay.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Likeness {
    oracle: Oracle,
    words: Vec<String>,
}

impl Likeness {
    fn of(violation: &Violation) -> Self {
        let first = violation.text.split(';').next().unwrap_or_default();
        let digit = |word: &str| word.contains(|c: char| c.is_ascii_digit());
        let status = |word: &str| word.len() == 3 && word.parse::<u16>().is_ok();
        let telling = |word: &&str| !word.contains('@') && (!digit(word) || status(word));
        let words = first.split(' ').filter(telling).take(8).map(str::to_owned).collect();
        Self { oracle: violation.oracle, words }
    }
}

struct Search {
    wanted: Likeness,
    best: Report,
    runs: u64,
}

impl Search {
    /// Keeps a run if it breaks the same property.
    fn attempt(&mut self, run: RunId) -> bool {
        self.runs += 1;
        let report = play(run, Text::Off);
        let fails = report.violations.iter().any(|at| Likeness::of(at) == self.wanted);
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

    fn fewer_actors(&mut self) {
        for bit in 0..Crew::BITS {
            let run = self.best.run;
            if run.crew.0 >> bit & 1 == 1 {
                self.attempt(RunId { crew: Crew(run.crew.0 & !(1 << bit)), ..run });
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
        self.close_in();
    }

    fn close_in(&mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::base::time::Time;

    #[test]
    fn runs_fail_alike_if_only_numbers_and_names_differ() {
        let said = |text: &str| {
            let (oracle, at) = (Oracle::H1, Time::ZERO);
            Likeness::of(&Violation { oracle, at, text: text.to_owned() })
        };
        let one = said("probe 22 was answered 504 by the gateway; expected r2@file");
        assert_eq!(one, said("probe 7 was answered 504 by the gateway; expected r1@file"));
        assert_ne!(one, said("probe 7 was answered 502 by the gateway; expected r1@file"));
        assert_ne!(one, said("probe 7 got a reset"));
    }
}
