//! How many requests may pass in a time, counted by all cores together: a token bucket in one word.
//!
//! The word holds the time at which the bucket will be full again. A request moves it on by the
//! time that one token takes, unless it is too far ahead already; that is all a token bucket does,
//! and one compare-and-swap does it. Sources whose hashes meet share a word: they get less than
//! they might, never more.

use super::ledger::Ledger;
use super::passing::{Passing, Whose};
use super::words::Words;
use crate::base::time::{Span, Time};
use crate::config::typed::{RateLimit, Source};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Parts of a nanosecond that times are counted in at the finest.
const SCALE_MAX: u64 = 64;

/// Microseconds that whoever counts in floating point still counts exactly beside a date.
const MICROS_MAX: u64 = 1 << 51;

/// A rate and a burst, in whole numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// What a nanosecond counts.
    scale: u64,
    /// What one token takes.
    interval: u64,
    /// How far ahead the word may be: the burst without its last token.
    ahead_max: u64,
    /// How long a request may wait for its token.
    wait_max: u64,
}

/// What a bucket says to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    Now,
    /// Its token is reserved, and there after this time.
    After(Span),
    /// There would be a token after this time.
    Refused(Span),
}

impl Rate {
    /// `average` requests in a `period`, both above zero, and at most `burst` at once. The rate is
    /// exact, or else slower by less than a 64th of a nanosecond per request.
    pub fn new(average: u64, period: Span, burst: u64) -> Self {
        let scale = (average / gcd(average, period.nanos())).clamp(1, SCALE_MAX);
        let interval = (u128::from(period.nanos()) * u128::from(scale)).div_ceil(average.into());
        let interval = u64::try_from(interval).unwrap_or(u64::MAX);
        let slow = u128::from(period.nanos()) > u128::from(average) * 1_000_000_000;
        let half_second = 500_000_000 * scale;
        Self {
            scale,
            interval,
            ahead_max: interval.saturating_mul(burst.max(1) - 1),
            wait_max: if slow { half_second } else { interval / 2 },
        }
    }

    /// Asks for a token.
    pub fn draw(&self, word: &AtomicU64, now: Time) -> Grant {
        let now = now.nanos().saturating_mul(self.scale);
        let mut full = word.load(Relaxed);
        loop {
            let ahead = full.saturating_sub(now);
            let wait = ahead.saturating_sub(self.ahead_max);
            let span = Span::from_nanos(wait.div_ceil(self.scale));
            if wait > self.wait_max {
                return Grant::Refused(span);
            }
            let next = full.max(now).saturating_add(self.interval);
            match word.compare_exchange_weak(full, next, Relaxed, Relaxed) {
                Ok(_) if wait == 0 => return Grant::Now,
                Ok(_) => return Grant::After(span),
                Err(other) => full = other,
            }
        }
    }
}

impl Rate {
    /// The same in whole microseconds, for somebody else to count by: what a token takes, how far
    /// ahead a bucket may be, and how long a request may wait. At most a million requests pass in
    /// a second.
    pub fn micros(&self) -> [u64; 3] {
        let micro = self.scale * 1_000;
        let interval = self.interval.div_ceil(micro).clamp(1, MICROS_MAX);
        let others = self.ahead_max / self.interval.max(1);
        let ahead = interval.saturating_mul(others).min(MICROS_MAX);
        [interval, ahead, self.wait_max / micro]
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// The place of whatever `source` finds in a request, on a route of its own.
fn place(words: &Words, source: &Source, passing: &Passing<'_>) -> usize {
    let hash = words.hash().part(passing.route.as_bytes());
    let hash = match passing.whose(source) {
        Whose::Address(ip) => hash.write(&ip.octets()),
        Whose::Text(text) => hash.part(text),
    };
    words.place(hash.finish())
}

/// One `rateLimit` middleware, ready to serve.
#[derive(Clone, Debug)]
pub struct Limiter {
    pub rate: Rate,
    pub source: Source,
    pub counts: Counts,
}

/// Where requests are counted.
#[derive(Clone, Debug)]
pub enum Counts {
    /// Kept by the registry under the middleware's name.
    Here(Arc<Words>),
    InRedis(Ledger),
}

impl Limiter {
    pub fn new(limit: &RateLimit, counts: Counts) -> Self {
        let rate = Rate::new(limit.average, limit.period, limit.burst);
        Self { rate, source: limit.source.clone(), counts }
    }

    /// What a request is told at once. None if Redis has to be asked for `bucket`.
    pub(super) fn draw(&self, passing: &Passing<'_>, bucket: &mut Vec<u8>) -> Option<Grant> {
        match &self.counts {
            Counts::Here(words) => {
                let place = place(words, &self.source, passing);
                Some(self.rate.draw(words.word(place), passing.now))
            }
            Counts::InRedis(ledger) => {
                ledger.write_bucket(passing.whose(&self.source), &self.source, bucket);
                None
            }
        }
    }
}

/// One `inFlightReq` middleware, ready to serve.
#[derive(Clone, Debug)]
pub struct Gauge {
    pub amount: u64,
    pub source: Source,
    /// Kept by the registry under the middleware's name.
    pub words: Arc<Words>,
}

impl Gauge {
    /// Counts a request in. None if enough are there.
    pub(super) fn enter(&self, passing: &Passing<'_>) -> Option<u32> {
        let place = place(&self.words, &self.source, passing);
        let more = |count| (count < self.amount).then_some(count + 1);
        let entered = self.words.word(place).fetch_update(Relaxed, Relaxed, more).is_ok();
        entered.then(|| u32::try_from(place).expect("words are counted in 32 bits"))
    }

    /// Counts a request out that entered at this place.
    pub fn leave(&self, place: u32) {
        let before = self.words.word(place as usize).fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "who leaves has entered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::prng::Prng;

    /// Requests at these milliseconds: `.` passes at once, `+` waits, `-` is refused.
    #[track_caller]
    fn check(rate: (u64, u64, u64), at: &[u64], expected: &str) {
        let (average, period, burst) = rate;
        let rate = Rate::new(average, Span::millis(period), burst);
        let word = AtomicU64::new(0);
        let answer = |millis: &u64| match rate.draw(&word, Time::ZERO + Span::millis(*millis)) {
            Grant::Now => '.',
            Grant::After(_) => '+',
            Grant::Refused(_) => '-',
        };
        let found: String = at.iter().map(answer).collect();
        assert_eq!(found, expected, "{average} in {period} ms, {burst} at once, at {at:?}");
    }

    #[test]
    fn a_burst_passes_and_then_the_average() {
        check((1, 1000, 1), &[0, 0, 400, 499, 1000, 2000], ".---..");
        check((1, 1000, 1), &[0, 500, 1000, 1499, 1500], ".+--+");
        check((10, 1000, 5), &[0, 0, 0, 0, 0, 0, 50, 100], ".....-+-");
        check((10, 1000, 5), &[0, 0, 0, 0, 0, 500, 500, 500, 500, 500], "..........");
        check((0x10, 1000, 0), &[0, 0], ".-");
        check((1, 60_000, 1), &[0, 1000, 59_400, 59_500, 60_000], ".--+-");
    }

    #[test]
    fn who_waits_learns_for_how_long() {
        let rate = Rate::new(2, Span::secs(1), 1);
        let word = AtomicU64::new(0);
        let draw = |millis| rate.draw(&word, Time::ZERO + Span::millis(millis));
        assert_eq!(draw(0), Grant::Now);
        assert_eq!(draw(100), Grant::Refused(Span::millis(400)));
        assert_eq!(draw(300), Grant::After(Span::millis(200)));
        assert_eq!(draw(500), Grant::Refused(Span::millis(500)));
        assert_eq!(draw(750), Grant::After(Span::millis(250)));
    }

    /// A bucket with fractions of tokens, in 64ths of nanoseconds times the average.
    struct Naive {
        level: u128,
        full: u128,
        token: u128,
        last: u128,
    }

    impl Naive {
        fn new(average: u64, period: Span, burst: u64) -> Self {
            let token = u128::from(period.nanos());
            let full = token * u128::from(burst.max(1));
            assert!(average > 0);
            Self { level: full, full, token, last: 0 }
        }

        /// Whether a request passes at once.
        fn draw(&mut self, average: u64, now: u128) -> bool {
            self.level = self.full.min(self.level + (now - self.last) * u128::from(average));
            self.last = now;
            let passes = self.level >= self.token;
            if passes {
                self.level -= self.token;
            }
            passes
        }
    }

    #[test]
    fn it_passes_what_a_bucket_of_tokens_passes() {
        let mut prng = Prng::new(3);
        for _ in 0..500 {
            let (average, burst) = (1 + prng.below(SCALE_MAX), 1 + prng.below(8));
            let period = Span::from_nanos(1 + prng.below(100_000));
            let rate = Rate { wait_max: 0, ..Rate::new(average, period, burst) };
            let word = AtomicU64::new(0);
            let mut naive = Naive::new(average, period, burst);
            let mut now = 0;
            for _ in 0..200 {
                now += prng.below(2 * period.nanos() / average + 2);
                let passes = rate.draw(&word, Time::from_nanos(now)) == Grant::Now;
                assert_eq!(passes, naive.draw(average, now.into()), "{average}/{period} at {now}");
            }
        }
    }

    #[test]
    fn no_window_sees_more_than_the_burst_and_the_average() {
        let mut prng = Prng::new(4);
        for _ in 0..200 {
            let (average, burst) = (1 + prng.below(1_000_000), 1 + prng.below(8));
            let period = Span::from_nanos(1 + prng.below(1_000_000_000));
            let rate = Rate::new(average, period, burst);
            let word = AtomicU64::new(0);
            let (mut now, mut served) = (0, Vec::new());
            for _ in 0..100 {
                now += prng.below(period.nanos() / average + 2);
                match rate.draw(&word, Time::from_nanos(now)) {
                    Grant::Now => served.push(now),
                    Grant::After(span) => served.push(now + span.nanos()),
                    Grant::Refused(_) => {}
                }
            }
            for (i, from) in served.iter().enumerate() {
                for (count, to) in (1..).zip(&served[i..]) {
                    // A wait ends with a whole nanosecond.
                    let tokens = u128::from(to - from + 1) * u128::from(average);
                    let most = u128::from(burst) + tokens / u128::from(period.nanos());
                    assert!(count <= most, "{count} within {} ns: {rate:?}", to - from);
                }
            }
        }
    }

    #[test]
    fn cores_together_pass_no_more_than_one() {
        let rate = Rate::new(1, Span::secs(1000), 1_000);
        let word = AtomicU64::new(0);
        let now = Time::from_nanos(5);
        let passed: usize = std::thread::scope(|scope| {
            let core = || (0..1_000).filter(|_| rate.draw(&word, now) == Grant::Now).count();
            let cores: Vec<_> = (0..4).map(|_| scope.spawn(core)).collect();
            cores.into_iter().map(|core| core.join().expect("a core counts")).sum()
        });
        assert_eq!(passed, 1_000);
    }

    #[test]
    fn others_count_in_microseconds_and_never_pass_more() {
        let micros = |average, period, burst| Rate::new(average, period, burst).micros();
        assert_eq!(micros(10, Span::secs(1), 5), [100_000, 400_000, 50_000]);
        assert_eq!(micros(3, Span::secs(1), 1), [333_334, 0, 166_666]);
        assert_eq!(micros(3, Span::secs(1), 4), [333_334, 1_000_002, 166_666]);
        assert_eq!(micros(1, Span::secs(60), 2), [60_000_000, 60_000_000, 500_000]);
        assert_eq!(micros(5_000_000, Span::secs(1), 10), [1, 9, 0]);
        let far = micros(1, Span::from_nanos(u64::MAX), u64::MAX);
        assert!(far.iter().all(|micros| *micros <= MICROS_MAX), "{far:?}");
    }

    #[test]
    fn extreme_settings_do_no_harm() {
        for (average, period, burst) in
            [(u64::MAX, 1, 1), (1, u64::MAX, u64::MAX), (u64::MAX, u64::MAX, 1), (1, 1, u64::MAX)]
        {
            let rate = Rate::new(average, Span::from_nanos(period), burst);
            let word = AtomicU64::new(0);
            for now in [0, 1, u64::MAX / 2, u64::MAX] {
                let _ = rate.draw(&word, Time::from_nanos(now));
            }
        }
    }
}
