//! What is counted: requests by interval, status and place, and how long they took.

use engine::base::time::{Span, Time};
use std::collections::BTreeMap;

/// Durations in buckets that are never wider than a 32nd of what is in them.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    buckets: Vec<u32>,
    count: u64,
}

const PARTS: u64 = 32;

impl Durations {
    pub fn add(&mut self, span: Span) {
        let at = bucket(span.nanos() / 1_000);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
        self.count += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    /// What `permille` of a thousand stay within; nothing if there is none.
    pub fn quantile(&self, permille: u64) -> Option<Span> {
        let rank = (self.count * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        found.map(|at| Span::micros(top_of(at as u64)))
    }
}

fn bucket(micros: u64) -> usize {
    let octave = (64 - micros.leading_zeros()).saturating_sub(6);
    let at = u64::from(octave) * PARTS + (micros >> octave);
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The largest number of microseconds in a bucket.
fn top_of(at: u64) -> u64 {
    if at < 2 * PARTS {
        return at;
    }
    let octave = at / PARTS - 1;
    ((at - octave * PARTS + 1) << octave) - 1
}

/// One interval, by when requests began.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    pub requests: u64,
    pub failed: u64,
    /// By place.
    pub places: Vec<u64>,
    pub durations: Durations,
}

/// Everything about requests.
#[derive(Clone, Debug)]
pub struct Figures {
    pub start: Time,
    pub width: Span,
    pub slots: Vec<Slot>,
    /// 0 is no answer.
    pub statuses: BTreeMap<u16, u64>,
}

impl Figures {
    pub fn new(start: Time, length: Span, slots: u64, places: usize) -> Self {
        let slot = Slot { places: vec![0; places], ..Slot::default() };
        let width = Span::from_nanos((length.nanos() / slots.max(1)).max(1));
        let count = usize::try_from(slots.max(1)).unwrap_or(1);
        Self { start, width, slots: vec![slot; count], statuses: BTreeMap::new() }
    }

    pub fn record(&mut self, began: Time, took: Span, status: u16, place: Option<usize>) {
        *self.statuses.entry(status).or_default() += 1;
        let at = usize::try_from(began.since(self.start).nanos() / self.width.nanos());
        let last = self.slots.len() - 1;
        let slot = &mut self.slots[at.unwrap_or(last).min(last)];
        slot.requests += 1;
        slot.failed += u64::from(is_failure(status));
        if let Some(count) = place.and_then(|place| slot.places.get_mut(place)) {
            *count += 1;
        }
        slot.durations.add(took);
    }

    pub fn whole(&self) -> Slot {
        let mut whole = Slot::default();
        whole.places.resize(self.slots[0].places.len(), 0);
        for slot in &self.slots {
            whole.requests += slot.requests;
            whole.failed += slot.failed;
            whole.durations.merge(&slot.durations);
            whole.places.iter_mut().zip(&slot.places).for_each(|(sum, more)| *sum += more);
        }
        whole
    }
}

/// What burns the error budget: no answer, or one that blames the server.
pub(super) fn is_failure(status: u16) -> bool {
    status == 0 || status >= 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_a_bucket_that_ends_at_or_just_above_it() {
        for micros in (0..5_000).chain([9_999, 65_535, 65_536, 1_000_000, 30_000_000]) {
            let top = top_of(bucket(micros) as u64);
            assert!(top >= micros && top - micros <= micros / 31, "{micros} in {top}");
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut durations = Durations::default();
        assert_eq!(durations.quantile(500), None);
        (1..=50).for_each(|micros| durations.add(Span::micros(micros)));
        assert_eq!(durations.quantile(500), Some(Span::micros(25)));
        assert_eq!(durations.quantile(1_000), Some(Span::micros(50)));
    }
}
