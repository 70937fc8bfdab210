//! One seed gives one trace, twice in a process. `sim meta` compares two processes.

use sim::entropy::RunId;
use sim::life::play;
use sim::trace::Text;

#[test]
fn a_run_repeats_itself_exactly() {
    for seed in [3, 49, 1_005] {
        let lines = || play(RunId::new(seed), Text::Kept(Vec::new())).lines;
        let (first, second) = (lines(), lines());
        let differs = first.iter().zip(&second).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
        assert!(first.len() > 100, "seed {seed} did something");
    }
}

#[test]
fn different_seeds_live_different_lives() {
    let hash = |seed| play(RunId::new(seed), Text::Off).hash;
    assert_ne!(hash(1), hash(2));
}
