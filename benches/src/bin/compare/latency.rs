//! Latencies in log-linear buckets, 1/32 apart.

const PER_OCTAVE: u64 = 32;

pub(crate) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; 64 * 32], total: 0 }
    }

    pub(crate) fn add(&mut self, nanos: u64) {
        self.counts[Self::bucket(nanos)] += 1;
        self.total += 1;
    }

    /// The latency in nanoseconds that `per_mille` of 1000 requests did not exceed.
    pub(crate) fn at(&self, per_mille: u64) -> u64 {
        let rank = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::upper(bucket as u64);
            }
        }
        0
    }

    fn bucket(nanos: u64) -> usize {
        let value = nanos.max(PER_OCTAVE);
        let octave = u64::from(value.ilog2() - PER_OCTAVE.ilog2());
        let bucket = octave * PER_OCTAVE + (value >> octave) - PER_OCTAVE;
        usize::try_from(bucket).unwrap_or(usize::MAX).min(64 * 32 - 1)
    }

    fn upper(bucket: u64) -> u64 {
        let octave = bucket / PER_OCTAVE;
        (bucket % PER_OCTAVE + PER_OCTAVE + 1) << octave
    }
}
