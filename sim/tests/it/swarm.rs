//! A fixed sweep of seeds, small enough for every test run. `SIM_SEED` plays one seed alone.

use sim::entropy::RunId;
use sim::life::play;
use sim::swarm::Tally;
use sim::trace::Text;

fn check(run: RunId, tally: &mut Tally) {
    let report = play(run, Text::Off);
    let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "sim replay {run}\n{}", found.join("\n"));
    tally.add(report);
}

#[test]
fn a_sweep_of_seeds_breaks_no_property() {
    let mut tally = Tally::default();
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let digits = seed.trim_start_matches("0x");
        let radix = if digits.len() < seed.len() { 16 } else { 10 };
        let seed = u64::from_str_radix(digits, radix).expect("SIM_SEED is a number");
        return check(RunId::new(seed), &mut tally);
    }
    for seed in 0..60 {
        check(RunId::new(seed), &mut tally);
    }
    assert!(tally.requests > 500, "{}", tally.requests);
    let replayed = tally.replayed;
    let most = tally.requests / sim::life::RECORDED_ONE_IN;
    assert!(replayed * 4 > most, "{replayed} of {} replayed", tally.requests);
    assert!(tally.answered * 10 > tally.requests * 7, "most requests are answered");
    let injected = sim::fault::Kind::ALL.iter().filter(|kind| tally.faults.injected(**kind) > 0);
    assert!(injected.count() > 20, "many kinds of fault struck");
}

#[test]
fn a_run_without_faults_has_no_excuse_and_needs_none() {
    let mut tally = Tally::default();
    for seed in 1_000..1_015 {
        check(RunId { mask: 0, ..RunId::new(seed) }, &mut tally);
    }
}
