//! How long requests took, in buckets that are exact to one part in eight at any size.

use super::stats::{Count, Writer};
use crate::base::time::Span;
use std::sync::OnceLock;

/// Two octaves share nothing: each has this many equal parts.
const PARTS: usize = 8;
const PARTS_BITS: u32 = 3;
/// Microseconds up to 2^31, about 36 minutes; longer counts as that.
const OCTAVES: usize = 29;
const BUCKETS: usize = PARTS * OCTAVES;

/// A histogram with one shard per worker, made when the worker first writes.
#[derive(Debug, Default)]
pub struct Latency(OnceLock<Box<[OnceLock<Box<Shard>>]>>);

#[derive(Debug)]
struct Shard {
    nanos: Count,
    buckets: [Count; BUCKETS],
}

/// All shards added up at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spread {
    pub count: u64,
    pub nanos: u64,
    buckets: Box<[u64]>,
}

impl Latency {
    /// Only the worker that `writer` names may call this.
    #[inline]
    pub fn record(&self, writer: Writer, took: Span) {
        let shards = self.0.get_or_init(|| (0..writer.of).map(|_| OnceLock::new()).collect());
        let shard = shards[usize::from(writer.index)].get_or_init(|| {
            Box::new(Shard { nanos: Count::new(0), buckets: [const { Count::new(0) }; BUCKETS] })
        });
        shard.nanos.add(took.nanos());
        shard.buckets[bucket_of(took.nanos() / 1_000)].add(1);
    }

    pub fn spread(&self) -> Spread {
        let mut sum = Spread { count: 0, nanos: 0, buckets: vec![0; BUCKETS].into() };
        for shard in self.0.get().into_iter().flatten().filter_map(OnceLock::get) {
            sum.nanos += shard.nanos.get();
            for (total, bucket) in sum.buckets.iter_mut().zip(&shard.buckets) {
                *total += bucket.get();
                sum.count += bucket.get();
            }
        }
        sum
    }
}

impl Spread {
    /// A span that `per_mille` of a thousand requests did not exceed, rounded up to the end of its
    /// bucket; nothing when there was no request.
    pub fn quantile(&self, per_mille: u64) -> Option<Span> {
        let rank = (self.count * per_mille).div_ceil(1_000).max(1);
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(Span::micros(end_of(at)));
            }
        }
        None
    }
}

/// Below `PARTS` each microsecond has its own; above, an octave has `PARTS` of them.
fn bucket_of(micros: u64) -> usize {
    let parts = PARTS as u64;
    if micros < parts {
        return usize::try_from(micros).unwrap_or(0);
    }
    let octave = micros.ilog2() - PARTS_BITS;
    let part = (micros >> octave) - parts;
    let at = u64::from(octave + 1) * parts + part;
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// The first microsecond after a bucket.
fn end_of(bucket: usize) -> u64 {
    let (octave, part) = (bucket / PARTS, (bucket % PARTS) as u64);
    if octave == 0 {
        return part + 1;
    }
    (PARTS as u64 + part + 1) << (octave - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        for at in 0..BUCKETS - 1 {
            assert_eq!(bucket_of(end_of(at) - 1), at);
            assert_eq!(bucket_of(end_of(at)), at + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_never_below_the_truth_and_at_most_an_eighth_above() {
        let latency = Latency::default();
        assert_eq!(latency.spread().quantile(500), None);
        for micros in 1..=10_000 {
            let index = u16::from(micros % 2 == 0);
            latency.record(Writer { index, of: 2 }, Span::micros(micros));
        }
        let spread = latency.spread();
        assert_eq!((spread.count, spread.nanos), (10_000, 50_005_000_000));
        for (per_mille, truth) in [(1, 10), (500, 5_000), (990, 9_900), (1_000, 10_000)] {
            let got = spread.quantile(per_mille).expect("ten thousand requests").nanos() / 1_000;
            assert!(got >= truth && got <= truth + truth / 8 + 1, "{per_mille}: {got}");
        }
    }
}
