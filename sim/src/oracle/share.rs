//! Shares, in integers: C2. In a rotation every prefix gives each member its ideal share to within
//! `1 − 1/(2n−2)` requests, and what the logs tell keeps to that between changes.

use engine::service::rotation::Rotation;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Weights with a longer period are scaled down to about this.
const PERIOD_MAX: u64 = 4_096;

/// Rotations that were looked at already, by their weights.
#[derive(Debug, Default)]
pub struct Shares(BTreeMap<Vec<u32>, Arc<Rotation>>);

impl Shares {
    /// What is wrong with the rotation of members with these weights.
    pub fn problem(&mut self, rotation: &Arc<Rotation>, weights: &[u32]) -> Option<String> {
        let seen = self.0.get(weights);
        if seen.is_some_and(|seen| Arc::ptr_eq(seen, rotation) || seen == rotation) {
            return None;
        }
        let problem = problem(rotation.turns(), weights);
        if problem.is_none() {
            self.0.insert(weights.to_vec(), Arc::clone(rotation));
        }
        problem
    }
}

fn problem(turns: &[u16], weights: &[u32]) -> Option<String> {
    let wide: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
    let (sum, period) = (wide.iter().sum::<u64>(), period(&wide));
    let length = turns.len() as u64;
    if period <= PERIOD_MAX {
        if length != period {
            return Some(format!("{length} turns for the weights {weights:?}"));
        }
        return prefix_problem(turns.iter().copied(), &wide, 1);
    }
    let counts = counts(turns, weights.len());
    let members = wide.iter().filter(|weight| **weight > 0).count() as u64;
    for (count, weight) in counts.iter().zip(&wide) {
        let off = (count * sum).abs_diff(length * weight);
        if (*count == 0) != (*weight == 0) || off > members * sum {
            return Some(format!("{counts:?} turns for the weights {weights:?}"));
        }
    }
    prefix_problem(turns.iter().copied(), &counts, 1)
}

/// Requests after which every member has had exactly its share.
fn period(weights: &[u64]) -> u64 {
    let divisor = weights.iter().copied().filter(|weight| *weight > 0).fold(0, gcd);
    weights.iter().sum::<u64>().checked_div(divisor).unwrap_or(0)
}

/// What is wrong with what members of these weights were given, one request after another. A run
/// that begins within a period is the difference of two prefixes: twice the bound holds for it.
pub fn run_problem(turns: &[u16], weights: &[u32]) -> Option<String> {
    let wide: Vec<u64> = weights.iter().map(|weight| u64::from(*weight)).collect();
    let exact = (1..=PERIOD_MAX).contains(&period(&wide));
    exact.then(|| prefix_problem(turns.iter().copied(), &wide, 2)).flatten()
}

fn counts(turns: &[u16], members: usize) -> Vec<u64> {
    let mut counts = vec![0; members];
    for turn in turns {
        if let Some(count) = counts.get_mut(usize::from(*turn)) {
            *count += 1;
        }
    }
    counts
}

/// The first prefix in which a member is further than `times` the bound from its share.
fn prefix_problem(turns: impl Iterator<Item = u16>, weights: &[u64], times: u64) -> Option<String> {
    let sum: u64 = weights.iter().sum();
    let members = weights.iter().filter(|weight| **weight > 0).count() as u64;
    let (above, below) = if members < 2 { (0, 1) } else { (2 * members - 3, 2 * members - 2) };
    let mut counts = vec![0u64; weights.len()];
    for (length, turn) in (1u64..).zip(turns) {
        let Some(count) = counts.get_mut(usize::from(turn)) else {
            return Some(format!("turn {turn} of {} members", weights.len()));
        };
        *count += 1;
        for (count, weight) in counts.iter().zip(weights) {
            let off = (count * sum).abs_diff(length * weight);
            if off * below > times * above * sum {
                return Some(format!(
                    "after {length} requests the weights {weights:?} have had {counts:?}"
                ));
            }
        }
    }
    None
}

fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 { b } else { gcd(b % a, a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(turns: &[u16], weights: &[u32], right: bool) {
        let problem = problem(turns, weights);
        assert_eq!(problem.is_none(), right, "{turns:?} for {weights:?}: {problem:?}");
    }

    #[test]
    fn a_false_rotation_is_noticed() {
        check(&[0, 1], &[5, 5], true);
        check(&[0, 1, 0, 1], &[1, 1], false);
        check(&[0, 0, 1, 1], &[1, 1], false);
        check(&[0, 1, 0], &[2, 1], true);
        check(&[0, 0, 1], &[2, 1], false);
        check(&[0, 1], &[2, 1], false);
        check(&[0, 2], &[1, 0, 1], true);
        check(&[0, 1, 2], &[1, 0, 1], false);
        check(&[], &[0, 0], true);
        check(&[0], &[0], false);
        check(&[0], &[70_001], true);
        check(&[7], &[1], false);
    }

    #[test]
    fn a_run_of_requests_within_a_period_has_twice_the_bound() {
        let run = |turns: &[u16]| run_problem(turns, &[3, 3]).is_none();
        assert!(run(&[1, 1, 0, 0, 1]));
        assert!(!run(&[1, 1, 1]));
    }
}
