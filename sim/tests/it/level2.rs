//! A few seeds of level 2, and the same seed twice.

use sim::level2::{Tally, play};
use sim::trace::Text;

#[test]
fn hosts_and_links_that_fail_break_no_property() {
    let mut tally = Tally::default();
    for seed in 0..5 {
        let report = play(seed, Text::Off);
        let found: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "sim level2 --seed {seed}\n{}", found.join("\n"));
        tally.add(report);
    }
    assert!(tally.served > 800, "{} requests were served", tally.served);
    assert!(tally.excused.len() > 1, "some faults were felt: {:?}", tally.excused);
    assert!(tally.probes > 50, "children are probed");
}

#[test]
fn a_run_of_hosts_repeats_itself_exactly() {
    let lines = || play(7, Text::Kept(Vec::new())).lines;
    let (first, second) = (lines(), lines());
    let differs = first.iter().zip(&second).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(first.len(), second.len());
    assert!(first.len() > 1_000, "it did something");
}
