//! Whom the turns of members fall to that are kept from serving for a while, though nobody took
//! them out. The others share these turns by their weights, exactly, by a ticket of their own; the
//! turns that they have anyway stay theirs.

use super::rotation::Rotation;
use super::ticket::Ticket;
use std::sync::{Arc, OnceLock};

/// With more members than this a table is laid out for each turn anew.
const LAID_MAX: usize = 6;

#[derive(Debug)]
pub struct Rest {
    weights: Box<[u32]>,
    /// By which of the members that serve are out, a bit each; made when first asked for.
    tables: Box<[OnceLock<Rotation>]>,
    ticket: Arc<Ticket>,
}

impl Rest {
    /// Of members with these weights, by position.
    pub fn new(weights: &[u32], ticket: Arc<Ticket>) -> Self {
        let serving = weights.iter().filter(|weight| **weight > 0).count();
        let tables = if serving <= LAID_MAX { 1 << serving } else { 0 };
        let tables = (0..tables).map(|_| OnceLock::new()).collect();
        Self { weights: weights.into(), tables, ticket }
    }

    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Who takes this ticket while some are out. Nobody if all are.
    pub fn turn(&self, ticket: u64, is_out: impl Fn(u16) -> bool) -> Option<u16> {
        if self.tables.is_empty() {
            return self.rotation(&is_out).turn(ticket);
        }
        let mut out = 0_usize;
        for (bit, (member, _)) in (0..).zip(self.serving()) {
            out |= usize::from(is_out(member)) << bit;
        }
        self.tables[out].get_or_init(|| self.rotation(&is_out)).turn(ticket)
    }

    /// Whether anybody is left.
    pub fn leaves(&self, is_out: impl Fn(u16) -> bool) -> bool {
        self.serving().any(|(member, _)| !is_out(member))
    }

    /// Members that serve, with their weights.
    pub fn serving(&self) -> impl Iterator<Item = (u16, u32)> {
        let members = (0..=u16::MAX).zip(self.weights.iter().copied());
        members.filter(|(_, weight)| *weight > 0)
    }

    fn rotation(&self, is_out: &impl Fn(u16) -> bool) -> Rotation {
        let members = (0..=u16::MAX).zip(&self.weights);
        let left: Vec<u32> =
            members.map(|(member, weight)| if is_out(member) { 0 } else { *weight }).collect();
        Rotation::new(&left)
    }
}

impl PartialEq for Rest {
    /// Whether a worker could not tell them apart.
    fn eq(&self, other: &Self) -> bool {
        self.weights == other.weights && Arc::ptr_eq(&self.ticket, &other.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// Over any stretch each of those left is within a turn of its share of what falls to them.
    #[track_caller]
    fn check(weights: &[u32], out: &[u16]) {
        let rest = Rest::new(weights, Arc::default());
        let is_out = |member: u16| out.contains(&member);
        let left = |member: usize| !is_out(u16::try_from(member).expect("few"));
        let sum: u64 =
            (0..weights.len()).filter(|it| left(*it)).map(|it| u64::from(weights[it])).sum();
        let mut given = vec![0u64; weights.len()];
        for ticket in 0..500 {
            let Some(member) = rest.turn(ticket, is_out) else {
                assert_eq!(sum, 0, "{weights:?} without {out:?}");
                return;
            };
            given[usize::from(member)] += 1;
            for (member, (given, weight)) in given.iter().zip(weights).enumerate() {
                let share = if left(member) { u64::from(*weight) * (ticket + 1) } else { 0 };
                let off = (given * sum).abs_diff(share);
                assert!(off < sum || sum == 0, "{weights:?} without {out:?} at {ticket}");
            }
        }
    }

    #[test]
    fn those_left_share_exactly_whoever_is_out() {
        check(&[1, 1, 1], &[0]);
        check(&[9, 1, 0], &[2]);
        check(&[9, 1, 0], &[1]);
        check(&[3, 2], &[0, 1]);
        let mut prng = Prng::new(3);
        for members in 2..10 {
            for _ in 0..40 {
                let mut below = |top| u32::try_from(prng.below(top)).expect("small");
                let weights: Vec<u32> = (0..members).map(|_| below(7)).collect();
                let out: Vec<u16> = (0..members).filter(|_| below(3) == 0).collect();
                check(&weights, &out);
            }
        }
    }
}
