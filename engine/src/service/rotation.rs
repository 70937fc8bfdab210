//! Who serves which ticket: one full period of turns, laid out by Tijdeman's chairman assignment.
//!
//! Over each period every member gets exactly its share, and at every prefix each of `n` members
//! is within `1 − 1/(2n−2)` turns of it, which is the best possible. The k-th turn of a member with
//! share `λ` may be given from the first `t` with `λt − k ≥ 1/(2n−2)`, and is due at
//! `(k + 1 − 1/(2n−2)) / λ`; each `t` goes to the turn that is due first among those that may be
//! given.

use crate::base::mutant::{Mutant, planted};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Longest period that is laid out exactly. Larger sums of weights are scaled down to about this,
/// so that shares under 1/4096 round up to one turn.
pub const PERIOD_MAX: u64 = 4_096;

/// One full period of turns over the members that may serve.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    turns: Box<[u16]>,
}

impl Rotation {
    /// Members are positions in `weights`; a member without weight has no turn. Members beyond
    /// 65,535 cannot be named by a turn and have none either.
    pub fn new(weights: &[u32]) -> Self {
        let members: Vec<Member> = (0..=u16::MAX)
            .zip(weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(index, weight)| Member { index, weight: u64::from(*weight) })
            .collect();
        let mut turns = chairmen(&reduced(members));
        if planted(Mutant::TurnsInARow) {
            turns.sort_unstable();
        }
        Self { turns }
    }

    pub fn of_turns(turns: Box<[u16]>) -> Self {
        Self { turns }
    }

    /// The member whose turn ticket `t` is; nobody if none may serve.
    #[inline]
    pub fn turn(&self, t: u64) -> Option<u16> {
        let period = self.turns.len() as u64;
        if period == 0 {
            return None;
        }
        let at = usize::try_from(t % period).expect("a turn lies within the period");
        Some(self.turns[at])
    }

    /// Of the members for whom `times` is least, the one whose turn comes first from ticket `t` on.
    pub fn turn_of_least(&self, t: u64, times: impl Fn(u16) -> usize) -> Option<u16> {
        let period = self.turns.len() as u64;
        let from = (t..t.saturating_add(period)).filter_map(|t| self.turn(t));
        let mut best: Option<(usize, u16)> = None;
        for member in from {
            if best.is_some_and(|(_, best)| best == member) {
                continue;
            }
            let times = times(member);
            if best.is_none_or(|(least, _)| times < least) {
                best = Some((times, member));
            }
            if times == 0 {
                break;
            }
        }
        best.map(|(_, member)| member)
    }

    pub fn turns(&self) -> &[u16] {
        &self.turns
    }
}

/// Whether these weights are too large for one exact period.
pub fn is_scaled(weights: &[u32]) -> bool {
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, u64::from(*weight)));
    divisor > 0 && sum / divisor > PERIOD_MAX
}

#[derive(Clone, Copy)]
struct Member {
    index: u16,
    weight: u64,
}

/// The same shares in the smallest numbers, or nearly the same if those are still too large.
fn reduced(members: Vec<Member>) -> Vec<Member> {
    let members = divided(members);
    let sum: u64 = members.iter().map(|member| member.weight).sum();
    if sum <= PERIOD_MAX {
        return members;
    }
    let scaled = |weight: u64| ((weight * PERIOD_MAX + sum / 2) / sum).max(1);
    divided(members.into_iter().map(|m| Member { weight: scaled(m.weight), ..m }).collect())
}

fn divided(mut members: Vec<Member>) -> Vec<Member> {
    let divisor = members.iter().fold(0, |divisor, member| gcd(divisor, member.weight));
    for member in &mut members {
        member.weight /= divisor;
    }
    members
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn chairmen(members: &[Member]) -> Box<[u16]> {
    if let [only] = members {
        return Box::new([only.index]);
    }
    let period: u64 = members.iter().map(|member| member.weight).sum();
    let spread = 2 * (members.len() as u64).max(2) - 2;
    let mut due = BinaryHeap::new();
    let mut later = BinaryHeap::new();
    for &member in members {
        later.push(Reverse(Release::of(member, 0, period, spread)));
    }
    let mut turns = Vec::with_capacity(usize::try_from(period).unwrap_or(0));
    for t in 1..=period {
        while let Some(Reverse(release)) = later.peek()
            && release.at <= t
        {
            due.push(Reverse(Due { spread, release: *release }));
            later.pop();
        }
        let Reverse(Due { release, .. }) = due.pop().expect("somebody may always take a turn");
        turns.push(release.member.index);
        later.push(Reverse(Release::of(release.member, release.turn + 1, period, spread)));
    }
    turns.into()
}

/// When a turn may be given at the earliest.
#[derive(Clone, Copy)]
struct Release {
    at: u64,
    turn: u64,
    member: Member,
}

impl Release {
    fn of(member: Member, turn: u64, period: u64, spread: u64) -> Self {
        let at = (period * (turn * spread + 1)).div_ceil(member.weight * spread);
        Self { at, turn, member }
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.member.index).cmp(&(other.at, other.member.index))
    }
}

/// A turn that may be given; the one that is due first compares least.
struct Due {
    spread: u64,
    release: Release,
}

impl Due {
    /// The due time is this, divided by the weight and times a constant.
    fn slack(&self) -> u64 {
        (self.release.turn + 1) * self.spread - 1
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.release.member, other.release.member);
        (self.slack() * b.weight)
            .cmp(&(other.slack() * a.weight))
            .then_with(|| a.index.cmp(&b.index))
    }
}

macro_rules! ordered {
    ($($name:ident)*) => {$(
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
        impl Eq for $name {}
    )*};
}

ordered!(Release Due);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// Every prefix is within the bound and the whole period is exact, all in integers.
    #[track_caller]
    fn check_bound(weights: &[u32]) {
        let rotation = Rotation::new(weights);
        let divisor = weights.iter().fold(0, |d, w| gcd(d, u64::from(*w)));
        let n = weights.iter().filter(|w| **w > 0).count() as u64;
        if n == 0 {
            assert_eq!(rotation.turn(7), None);
            return;
        }
        let period = weights.iter().map(|w| u64::from(*w)).sum::<u64>() / divisor;
        assert_eq!(rotation.turns().len() as u64, period, "{weights:?}");
        let spread = 2 * n.max(2) - 2;
        let mut given = vec![0u64; weights.len()];
        for (t, &member) in (1u64..).zip(rotation.turns()) {
            given[member as usize] += 1;
            for (given, weight) in given.iter().zip(weights) {
                let ideal = u64::from(*weight) / divisor * t;
                let off = (given * period).abs_diff(ideal) * spread;
                assert!(off <= (spread - 1) * period, "{weights:?} at {t}");
            }
        }
        for (given, weight) in given.iter().zip(weights) {
            assert_eq!(*given, u64::from(*weight) / divisor, "{weights:?}");
        }
    }

    #[test]
    fn small_weight_sets_are_within_the_bound_whoever_is_up() {
        for code in 0..7u32.pow(4) {
            let weights: Vec<u32> = (0..4).map(|i| code / 7u32.pow(i) % 7).collect();
            for up in 0..16u32 {
                let weights: Vec<u32> = (0..)
                    .zip(&weights)
                    .map(|(i, w)| if up >> i & 1 == 1 { *w } else { 0 })
                    .collect();
                check_bound(&weights);
            }
        }
    }

    #[test]
    fn random_weight_sets_are_within_the_bound() {
        let mut prng = Prng::new(20);
        for round in 0..20_000u64 {
            let n = 2 + prng.below(if round % 100 == 0 { 30 } else { 5 });
            let top = 1 + prng.below(if round % 50 == 0 { 100 } else { 12 });
            let weights: Vec<u32> =
                (0..n).map(|_| u32::try_from(prng.below(top + 1)).expect("small")).collect();
            check_bound(&weights);
        }
    }

    #[test]
    fn the_heaviest_goes_first_and_the_light_one_sits_in_the_middle() {
        assert_eq!(Rotation::new(&[3, 1]).turns(), [0, 0, 1, 0]);
        assert_eq!(Rotation::new(&[1, 1, 1]).turns(), [0, 1, 2]);
        let ninety = Rotation::new(&[90, 10]);
        assert_eq!(ninety.turns(), [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_member_without_weight_has_no_turn() {
        assert_eq!(Rotation::new(&[0, 5, 0]).turns(), [1]);
        assert_eq!(Rotation::new(&[0, 0]).turn(0), None);
        assert_eq!(Rotation::new(&[]).turn(0), None);
    }

    fn drawn(prng: &mut Prng, members: u64, top: u64) -> Vec<u32> {
        let weight = |prng: &mut Prng| u32::try_from(1 + prng.below(top)).expect("small");
        (0..members).map(|_| weight(prng)).collect()
    }

    fn sum(weights: &[u32]) -> u64 {
        weights.iter().map(|weight| u64::from(*weight)).sum()
    }

    /// Three levels, each with a counter of its own: every server is within one request per level
    /// of its ideal share, at every moment.
    #[test]
    fn nested_levels_add_up_to_a_request_each() {
        let mut prng = Prng::new(17);
        for _ in 0..100 {
            let mut level = |n: u64| {
                let weights = drawn(&mut prng, n, 9);
                (Rotation::new(&weights), sum(&weights), weights)
            };
            let top = level(3);
            let middle: Vec<_> = (0..3).map(|_| level(2)).collect();
            let low: Vec<_> = (0..6).map(|_| level(4)).collect();
            let (mut drawn_middle, mut drawn_low) = ([0u64; 3], [0u64; 6]);
            let mut given = [0u64; 24];
            for t in 1..=400 {
                let take = |rotation: &Rotation, counter: &mut u64| {
                    *counter += 1;
                    usize::from(rotation.turn(*counter - 1).expect("somebody has weight"))
                };
                let a = take(&top.0, &mut (t - 1));
                let b = take(&middle[a].0, &mut drawn_middle[a]);
                let c = take(&low[2 * a + b].0, &mut drawn_low[2 * a + b]);
                given[4 * (2 * a + b) + c] += 1;
                for (at, given) in given.iter().enumerate() {
                    let (a, b, c) = (at / 8, at / 4 % 2, at % 4);
                    let low = &low[at / 4];
                    let (top, middle) = (&top, &middle[a]);
                    let whole = top.1 * middle.1 * low.1;
                    let share = [top.2[a], middle.2[b], low.2[c]].map(u64::from);
                    let ideal = t * share.iter().product::<u64>();
                    assert!((given * whole).abs_diff(ideal) < 3 * whole, "server {at} at {t}");
                }
            }
        }
    }

    /// A flip or a reload changes weights and not the counter: between two changes every member is
    /// within two requests of its share, so that a change owes nobody more.
    #[test]
    fn a_stretch_between_changes_is_within_two_requests() {
        let mut prng = Prng::new(23);
        let mut ticket = prng.next_u64() / 2;
        for _ in 0..500 {
            let members = 1 + prng.below(6);
            let weights = drawn(&mut prng, members, 12);
            let rotation = Rotation::new(&weights);
            let mut given = vec![0u64; weights.len()];
            for t in 1..=prng.below(60) {
                given[usize::from(rotation.turn(ticket).expect("somebody has weight"))] += 1;
                ticket += 1;
                for (given, weight) in given.iter().zip(&weights) {
                    let off = (given * sum(&weights)).abs_diff(t * u64::from(*weight));
                    assert!(off < 2 * sum(&weights), "{weights:?} at {t}");
                }
            }
        }
    }

    #[test]
    fn large_sums_are_scaled_and_nobody_falls_out() {
        let weights = [1 << 20, 1, 1 << 19];
        assert!(is_scaled(&weights) && !is_scaled(&[4_095, 1]) && !is_scaled(&[1 << 20, 1 << 20]));
        let rotation = Rotation::new(&weights);
        let count = |member| rotation.turns().iter().filter(|turn| **turn == member).count();
        assert_eq!((count(0), count(1), count(2)), (2_731, 1, 1_365));
    }

    #[test]
    fn ten_thousand_members_of_any_weight_have_a_turn_each() {
        let weights: Vec<u32> = (0..10_000).map(|i| 1 + i % 1_000).collect();
        let rotation = Rotation::new(&weights);
        let mut seen = vec![false; weights.len()];
        rotation.turns().iter().for_each(|turn| seen[*turn as usize] = true);
        assert!(seen.iter().all(|seen| *seen));
    }
}
