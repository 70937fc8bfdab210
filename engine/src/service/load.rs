//! How busy and how quick a server is: two words that all cores share. A core that knew only its
//! own requests would know too little of a server to choose by.

use crate::base::time::{Span, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a server that failed without an answer counts as having taken, at the least.
const FAILED_MICROS: u64 = 1_000_000;

/// An old measurement counts half for each of these, so that a server which was slow once is
/// tried again.
const HALF_LIFE_SECS: u64 = 10;

/// How much of the average a new measurement replaces: one part in so many.
const PARTS: u64 = 8;

/// The load of one server, alone on its cache lines.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    /// The second of the last measurement above, microseconds of the moving average below; no
    /// microseconds while nothing was measured.
    pace: AtomicU64,
}

impl Load {
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Microseconds to the head of a response, as far as they still count; nothing while none was
    /// measured.
    pub fn pace(&self, now: Time) -> Option<u64> {
        let (average, second) = parts(self.pace.load(Relaxed));
        let age = seconds(now).saturating_sub(second) / HALF_LIFE_SECS;
        (average > 0).then(|| average.checked_shr(narrow(age)).unwrap_or(0).max(1))
    }

    /// Everything that a choice reads of it.
    pub fn words(&self) -> (u32, u64) {
        (self.in_flight.load(Relaxed), self.pace.load(Relaxed))
    }

    /// Makes it what [`Load::words`] said of another.
    pub fn become_as(&self, (in_flight, pace): (u32, u64)) {
        self.in_flight.store(in_flight, Relaxed);
        self.pace.store(pace, Relaxed);
    }

    /// A response began this long after its request was sent.
    pub fn answered(&self, after: Span, now: Time) {
        self.measured(after.nanos() / 1_000, now);
    }

    /// A request came to nothing.
    pub fn failed(&self, after: Span, now: Time) {
        self.measured((after.nanos() / 1_000).max(FAILED_MICROS), now);
    }

    fn measured(&self, micros: u64, now: Time) {
        let micros = micros.clamp(1, u64::from(u32::MAX));
        let mix = |word| {
            let (average, _) = parts(word);
            let average = match average {
                0 => micros,
                average => ((average * (PARTS - 1) + micros) / PARTS).max(1),
            };
            Some((seconds(now) << 32) | average)
        };
        let _ = self.pace.fetch_update(Relaxed, Relaxed, mix);
    }
}

/// A request under way at a server.
#[derive(Debug)]
pub struct InFlight(Arc<Load>);

impl InFlight {
    pub fn at(load: &Arc<Load>) -> Self {
        load.in_flight.fetch_add(1, Relaxed);
        Self(Arc::clone(load))
    }

    pub fn load(&self) -> &Load {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

fn parts(word: u64) -> (u64, u64) {
    (word & u64::from(u32::MAX), word >> 32)
}

fn seconds(now: Time) -> u64 {
    (now.nanos() / 1_000_000_000).min(u64::from(u32::MAX))
}

fn narrow(age: u64) -> u32 {
    u32::try_from(age).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::secs(secs)
    }

    #[test]
    fn requests_count_while_they_are_under_way() {
        let load = Arc::new(Load::default());
        let one = InFlight::at(&load);
        let two = InFlight::at(&load);
        assert_eq!(load.in_flight(), 2);
        drop(one);
        assert_eq!(two.load().in_flight(), 1);
        drop(two);
        assert_eq!(load.in_flight(), 0);
    }

    #[test]
    fn the_average_moves_by_an_eighth_and_fades_by_half() {
        let load = Load::default();
        assert_eq!(load.pace(at(5)), None);
        load.answered(Span::micros(800), at(100));
        assert_eq!(load.pace(at(100)), Some(800));
        load.answered(Span::micros(1_600), at(100));
        assert_eq!(load.pace(at(109)), Some(900));
        assert_eq!(load.pace(at(110)), Some(450));
        assert_eq!(load.pace(at(130)), Some(112));
        assert_eq!(load.pace(at(1_000_000)), Some(1));
        // What faded is remembered as soon as it is measured again.
        load.answered(Span::micros(900), at(1_000_000));
        assert_eq!(load.pace(at(1_000_000)), Some(900));
    }

    #[test]
    fn a_failure_is_slow() {
        let load = Load::default();
        load.failed(Span::micros(3), at(1));
        assert_eq!(load.pace(at(1)), Some(1_000_000));
        load.failed(Span::secs(9), at(1));
        assert_eq!(load.pace(at(1)), Some(2_000_000));
        load.answered(Span::ZERO, at(1));
        assert_eq!(load.pace(at(1)), Some(1_750_000));
    }
}
