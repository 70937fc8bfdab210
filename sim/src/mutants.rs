//! Faults planted in the engine on purpose, each of which some oracle has to find within so many
//! seeds. One that is not found shows where an oracle is missing.

use crate::entropy::RunId;
use crate::life::play;
use crate::oracle::Oracle;
use crate::trace::Text;
use engine::base::mutant::{Mutant, plant};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How a fault was found, or that it was not.
#[derive(Clone, Debug)]
pub struct Hunt {
    pub mutant: Mutant,
    /// Seeds within which it has to be found.
    pub bound: u64,
    /// Runs that it took.
    pub runs: u64,
    pub found: Option<Found>,
}

#[derive(Clone, Debug)]
pub struct Found {
    pub seed: u64,
    pub oracle: Oracle,
    /// What it said.
    pub text: String,
}

/// Seeds within which a fault has to be found: several times as many as it took. What needs
/// something rare, such as a drain in the middle of a request, is given more.
pub fn bound(mutant: Mutant) -> u64 {
    let is_in = |list: &[Mutant]| list.contains(&mutant);
    if is_in(RARE) {
        4_000
    } else if is_in(SELDOM) {
        500
    } else {
        100
    }
}

const SELDOM: &[Mutant] = &[
    Mutant::AddressUnweighed,
    Mutant::AnyTagBelieved,
    Mutant::BothLengths,
    Mutant::BreakerLeaks,
    Mutant::BreakerNeverOpens,
    Mutant::CodingUnwanted,
    Mutant::EpochGoesBack,
    Mutant::LengthKept,
    Mutant::MirrorBeyondCap,
    Mutant::RemoteBelieved,
    Mutant::RemoteForgotten,
];

const RARE: &[Mutant] = &[
    Mutant::AdvertsForgotten,
    Mutant::AnyStatusIsUp,
    Mutant::BreakerNeverCloses,
    Mutant::BreakerRemembers,
    Mutant::DetourRefused,
    Mutant::DrainCutsRequests,
    Mutant::ResponseTimeoutLost,
    Mutant::RetriesPost,
    Mutant::ReusesHalfRead,
    Mutant::SlowHeadWelcome,
    Mutant::SqueezesAgain,
    Mutant::WithdrawnStays,
];

/// Hunts each fault from seed `from` on, until it is found or its bound is reached.
pub fn hunt_all(mutants: &[Mutant], from: u64, most: Option<u64>, jobs: usize) -> Vec<Hunt> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut hunts = Vec::new();
        while let Some(mutant) = mutants.get(next.fetch_add(1, Relaxed)) {
            hunts.push(hunt(*mutant, from, most.unwrap_or_else(|| bound(*mutant))));
        }
        hunts
    };
    let mut hunts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let hunts =
            threads.into_iter().map(|thread| thread.join().expect("a hunt comes to an end"));
        hunts.flatten().collect::<Vec<_>>()
    });
    hunts.sort_by_key(|hunt| hunt.mutant);
    hunts
}

/// Plays runs whose machines commit one fault.
pub fn hunt(mutant: Mutant, from: u64, bound: u64) -> Hunt {
    plant(Some(mutant));
    let mut hunt = Hunt { mutant, bound, runs: 0, found: None };
    for seed in from..from + bound {
        hunt.runs += 1;
        let report = play(RunId::new(seed), Text::Off);
        if let Some(first) = report.violations.first() {
            let text = first.text.clone();
            hunt.found = Some(Found { seed, oracle: first.oracle, text });
            break;
        }
    }
    plant(None);
    hunt
}
