//! `circuitBreaker`: requests are kept from a service while too many fail, and come back little by
//! little.
//!
//! ```text
//! Closed ──condition──▶ Open ──fallback over──▶ Recovering ──recovery over──▶ Closed
//!                        ▲────────condition─────────┘
//! ```
//!
//! What is measured is counted by all cores in shared words, each with the time it is of and a
//! count. A latency needs no more than that either: that a percentage of answers took longer than a
//! bound is a statement about how many did not.

use crate::base::mutant::{Mutant, planted};
use crate::base::time::{Span, Time};
use crate::config::condition::{Decimal, Measure, Node, Relation};
use crate::config::typed::CircuitBreaker;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One `circuitBreaker` middleware in the chain of one router, ready to serve. Kept by the registry
/// under the names of both.
pub struct Breaker {
    /// The name of the middleware.
    middleware: String,
    settings: CircuitBreaker,
    counters: Vec<Counter>,
    /// State and until when: see [`State::pack`].
    state: AtomicU64,
    next_check: AtomicU64,
    /// Since recovery began: how many asked, and how many of them passed.
    asked: AtomicU64,
    passed: AtomicU64,
    opened: AtomicU64,
}

/// Where it stands, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Closed,
    Open(Time),
    Recovering(Time),
}

impl State {
    /// The time in nanoseconds with the two highest bits for the state: it overflows in 146 years.
    const fn pack(self) -> u64 {
        const MASK: u64 = u64::MAX >> 2;
        match self {
            Self::Closed => 0,
            Self::Open(until) => 1 << 62 | until.nanos() & MASK,
            Self::Recovering(until) => 2 << 62 | until.nanos() & MASK,
        }
    }

    const fn unpack(word: u64) -> Self {
        let until = Time::from_nanos(word & u64::MAX >> 2);
        match word >> 62 {
            0 => Self::Closed,
            1 => Self::Open(until),
            _ => Self::Recovering(until),
        }
    }

    /// As the API and metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::Recovering(_) => "recovering",
        }
    }
}

/// What a counter counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Statuses from one up to another, which is excluded.
    Codes(u16, u16),
    /// Every answer, for as long as latencies are remembered.
    Timed,
    /// Answers that took at most this many milliseconds.
    Within(u64),
    /// Every answer.
    All,
    NetworkErrors,
}

const BUCKETS: usize = 10;

/// Counts of the last while, in buckets: each word has a number of its stretch of time in its
/// upper half and a count in its lower.
struct Counter {
    what: What,
    buckets: [AtomicU64; BUCKETS],
}

/// The stretch of a bucket of ratios, and of latencies.
const RATIO_STRETCH: Span = Span::secs(1);
const LATENCY_STRETCH: Span = Span::secs(6);

impl Counter {
    fn new(what: What) -> Self {
        Self { what, buckets: [const { AtomicU64::new(0) }; BUCKETS] }
    }

    /// The number of the stretch of time that is now; never 0.
    fn stretch(&self, now: Time) -> u64 {
        let span = match self.what {
            What::Timed | What::Within(_) => LATENCY_STRETCH,
            What::Codes(..) | What::All | What::NetworkErrors => RATIO_STRETCH,
        };
        (now.nanos() / span.nanos() + 1) & u64::from(u32::MAX)
    }

    fn counts(&self, status: u16, took: Span) -> bool {
        match self.what {
            What::Codes(from, to) => (from..to).contains(&status),
            What::NetworkErrors => matches!(status, 502 | 504),
            What::Within(bound) => took.nanos() / 1_000_000 <= bound,
            What::All | What::Timed => true,
        }
    }

    fn add(&self, now: Time) {
        let stretch = self.stretch(now);
        let at = usize::try_from(stretch % BUCKETS as u64).expect("there are ten buckets");
        let more = |word: u64| {
            let same = word >> 32 == stretch;
            let count = if same { word & u64::from(u32::MAX) } else { 0 };
            Some(stretch << 32 | (count + 1).min(u64::from(u32::MAX)))
        };
        let _ = self.buckets[at].fetch_update(Relaxed, Relaxed, more);
    }

    fn sum(&self, now: Time) -> u64 {
        let stretch = self.stretch(now);
        let words = self.buckets.iter().map(|word| word.load(Relaxed));
        let fresh = words.filter(|word| {
            stretch.wrapping_sub(word >> 32) < BUCKETS as u64 || planted(Mutant::BreakerRemembers)
        });
        fresh.map(|word| word & u64::from(u32::MAX)).sum()
    }
}

/// What happened when an answer was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    Quietly,
    /// The breaker opened.
    Opened,
}

impl Breaker {
    pub fn new(middleware: &str, settings: &CircuitBreaker) -> Self {
        let mut wanted = Vec::new();
        counters(&settings.expression.root, &mut wanted);
        Self {
            middleware: middleware.to_owned(),
            settings: settings.clone(),
            counters: wanted.into_iter().map(Counter::new).collect(),
            state: AtomicU64::new(State::Closed.pack()),
            next_check: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// The names of all states.
    pub const STATES: [&str; 3] = ["closed", "open", "recovering"];

    pub fn middleware(&self) -> &str {
        &self.middleware
    }

    pub fn settings(&self) -> &CircuitBreaker {
        &self.settings
    }

    /// How often it opened.
    pub fn openings(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// As it is for whoever looks now.
    pub fn state(&self, now: Time) -> State {
        match State::unpack(self.state.load(Relaxed)) {
            State::Open(until) if now >= until => State::Recovering(until + self.settings.recovery),
            State::Recovering(until) if now >= until => State::Closed,
            state @ (State::Closed | State::Open(_) | State::Recovering(_)) => state,
        }
    }

    /// Whether a request may pass.
    pub(super) fn admits(&self, now: Time) -> bool {
        let word = self.state.load(Relaxed);
        let until = match State::unpack(word) {
            State::Closed => return true,
            State::Open(until) if now < until => {
                return planted(Mutant::BreakerLeaks);
            }
            State::Open(_) if planted(Mutant::BreakerNeverCloses) => return false,
            State::Open(_) => {
                let until = now + self.settings.recovery;
                if self.turn(word, State::Recovering(until)) {
                    self.asked.store(0, Relaxed);
                    self.passed.store(0, Relaxed);
                }
                until
            }
            State::Recovering(until) if now >= until => {
                self.turn(word, State::Closed);
                return true;
            }
            State::Recovering(until) => until,
        };
        self.admits_recovering(now, until)
    }

    /// The part that may pass grows from nothing to a half while it recovers.
    fn admits_recovering(&self, now: Time, until: Time) -> bool {
        let recovery = u128::from(self.settings.recovery.nanos());
        let elapsed = recovery.saturating_sub(u128::from(until.since(now).nanos()));
        let asked = u128::from(self.asked.fetch_add(1, Relaxed)) + 1;
        let more = |passed: u64| {
            let fits = 2 * recovery * (u128::from(passed) + 1) < elapsed * asked;
            fits.then_some(passed + 1)
        };
        self.passed.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    fn turn(&self, from: u64, to: State) -> bool {
        self.state.compare_exchange(from, to.pack(), Relaxed, Relaxed).is_ok()
    }

    /// A request that passed was answered.
    pub fn count(&self, status: u16, took: Span, now: Time) -> Counted {
        let counters = self.counters.iter().filter(|counter| counter.counts(status, took));
        counters.for_each(|counter| counter.add(now));
        let due = self.next_check.load(Relaxed);
        let next = now + self.settings.check_period;
        if now.nanos() < due
            || self.next_check.compare_exchange(due, next.nanos(), Relaxed, Relaxed).is_err()
        {
            return Counted::Quietly;
        }
        let word = self.state.load(Relaxed);
        let opens = self.holds(now) && !planted(Mutant::BreakerNeverOpens);
        if matches!(State::unpack(word), State::Open(_)) || !opens {
            return Counted::Quietly;
        }
        if !self.turn(word, State::Open(now + self.settings.fallback)) {
            return Counted::Quietly;
        }
        self.opened.fetch_add(1, Relaxed);
        for word in self.counters.iter().flat_map(|counter| &counter.buckets) {
            word.store(0, Relaxed);
        }
        Counted::Opened
    }

    fn holds(&self, now: Time) -> bool {
        let sum = |what: What| {
            let counter = self.counters.iter().find(|counter| counter.what == what);
            counter.map_or(0, |counter| counter.sum(now))
        };
        holds(&self.settings.expression.root, &sum)
    }
}

/// What has to be counted to know whether a condition holds.
fn counters(node: &Node, out: &mut Vec<What>) {
    let mut want = |what| {
        if !out.contains(&what) {
            out.push(what);
        }
    };
    match node {
        Node::Any(left, right) | Node::All(left, right) => {
            counters(left, out);
            counters(right, out);
        }
        Node::Not(inner) => counters(inner, out),
        Node::Compare { measure: Measure::NetworkErrors, .. } => {
            want(What::NetworkErrors);
            want(What::All);
        }
        Node::Compare { measure: Measure::Codes { from, to, of_from, of_to }, .. } => {
            want(What::Codes(*from, *to));
            want(What::Codes(*of_from, *of_to));
        }
        Node::Compare { measure: Measure::Latency { .. }, bound, .. } => {
            want(What::Timed);
            let (most, below) = bounds(*bound);
            want(What::Within(most));
            if let Some(below) = below {
                want(What::Within(below));
            }
        }
    }
}

/// Milliseconds of whole numbers: at most the bound, and below it.
fn bounds(bound: Decimal) -> (u64, Option<u64>) {
    let most = bound.billionths() / Decimal::ONE;
    let whole = bound.billionths().is_multiple_of(Decimal::ONE);
    (most, if whole { most.checked_sub(1) } else { Some(most) })
}

fn holds(node: &Node, sum: &impl Fn(What) -> u64) -> bool {
    match node {
        Node::Any(left, right) => holds(left, sum) || holds(right, sum),
        Node::All(left, right) => holds(left, sum) && holds(right, sum),
        Node::Not(inner) => !holds(inner, sum),
        Node::Compare { measure, relation, bound } => match *measure {
            Measure::NetworkErrors => {
                ratio_holds(sum(What::NetworkErrors), sum(What::All), *relation, *bound)
            }
            Measure::Codes { from, to, of_from, of_to } => {
                let (part, of) = (What::Codes(from, to), What::Codes(of_from, of_to));
                ratio_holds(sum(part), sum(of), *relation, *bound)
            }
            Measure::Latency { quantile } => latency_holds(quantile, *relation, *bound, sum),
        },
    }
}

/// Whether `part / of` stands in this relation; of nothing it is 0.
fn ratio_holds(part: u64, of: u64, relation: Relation, bound: Decimal) -> bool {
    let (part, of) = if of == 0 { (0, 1) } else { (part, of) };
    let left = u128::from(part) * u128::from(Decimal::ONE);
    let right = u128::from(of) * u128::from(bound.billionths());
    match relation {
        Relation::Above => left > right,
        Relation::AtLeast => left >= right,
        Relation::Below => left < right,
        Relation::AtMost => left <= right,
        Relation::Is => left == right,
        Relation::IsNot => left != right,
    }
}

/// Whether the time within which this percentage of answers came stands in this relation. It is
/// above a bound if fewer than that percentage came within the bound; of no answers it is 0.
fn latency_holds(
    quantile: Decimal,
    relation: Relation,
    bound: Decimal,
    sum: &impl Fn(What) -> u64,
) -> bool {
    let all = u128::from(sum(What::Timed));
    let (most, below) = bounds(bound);
    let longer_than = |within: u64| {
        let percent = u128::from(sum(What::Within(within))) * 100 * u128::from(Decimal::ONE);
        percent < all * u128::from(quantile.billionths())
    };
    let above = longer_than(most);
    let at_least = below.is_none_or(longer_than);
    match relation {
        Relation::Above => above,
        Relation::AtLeast => at_least,
        Relation::Below => !at_least,
        Relation::AtMost => !above,
        Relation::Is => at_least && !above,
        Relation::IsNot => !at_least || above,
    }
}

impl PartialEq for Breaker {
    /// Each is only itself.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "breaker {}", self.settings.expression.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::condition::Condition;

    fn settings(expression: &str) -> CircuitBreaker {
        CircuitBreaker {
            expression: Condition::parse(expression).expect("a condition"),
            check_period: Span::millis(100),
            fallback: Span::secs(10),
            recovery: Span::secs(10),
            status: 503,
        }
    }

    fn at(millis: u64) -> Time {
        Time::ZERO + Span::millis(millis)
    }

    /// Whether it opens by these answers, of status and milliseconds, that come at once.
    #[track_caller]
    fn check(expression: &str, answers: &[(u16, u64)], opens: bool) {
        let breaker = Breaker::new("b@file", &settings(expression));
        let (last, before) = answers.split_last().expect("some answers");
        // The first answer is looked at; the others within the period are not.
        breaker.next_check.store(at(100).nanos(), Relaxed);
        for (status, took) in before {
            let counted = breaker.count(*status, Span::millis(*took), at(50));
            assert_eq!(counted, Counted::Quietly, "{expression}");
        }
        let counted = breaker.count(last.0, Span::millis(last.1), at(100));
        assert_eq!(counted == Counted::Opened, opens, "{expression} {answers:?}");
    }

    #[test]
    fn conditions_hold_exactly() {
        let network = "NetworkErrorRatio() > 0.5";
        check(network, &[(200, 1), (502, 1), (504, 1)], true);
        check(network, &[(200, 1), (502, 1)], false);
        check(network, &[(500, 1), (503, 1)], false);
        check("NetworkErrorRatio() >= 0.5", &[(200, 1), (502, 1)], true);
        check("!(NetworkErrorRatio() < 0.5)", &[(200, 1), (502, 1)], true);
        let codes = "ResponseCodeRatio(500, 600, 0, 600) > 0.25";
        check(codes, &[(500, 1), (200, 1), (200, 1)], true);
        check(codes, &[(500, 1), (200, 1), (200, 1), (404, 1)], false);
        check("ResponseCodeRatio(500, 600, 600, 700) > 0", &[(500, 1)], false);
        check("ResponseCodeRatio(500, 600, 0, 600) == 1", &[(599, 1), (500, 1)], true);
        let slow = "LatencyAtQuantileMS(50.0) > 100";
        check(slow, &[(200, 100), (200, 101), (200, 500)], true);
        check(slow, &[(200, 100), (200, 100), (200, 500)], false);
        check(slow, &[(200, 100), (200, 500)], false);
        check("LatencyAtQuantileMS(50.0) >= 100", &[(200, 100), (200, 100), (200, 1)], true);
        check("LatencyAtQuantileMS(50.0) >= 100", &[(200, 99), (200, 99), (200, 100)], false);
        check("LatencyAtQuantileMS(100) == 7", &[(200, 1), (200, 7)], true);
        check("LatencyAtQuantileMS(100) != 7", &[(200, 1), (200, 7)], false);
        check("LatencyAtQuantileMS(99.5) < 0.5", &[(200, 0)], true);
        let both = "NetworkErrorRatio() > 0.9 || LatencyAtQuantileMS(50) > 10";
        check(both, &[(200, 11)], true);
        check("NetworkErrorRatio() > 0.9 && LatencyAtQuantileMS(50) > 10", &[(200, 11)], false);
    }

    #[test]
    fn a_latency_is_that_of_the_sorted_list() {
        let mut prng = crate::base::prng::Prng::new(7);
        for _ in 0..500 {
            let mut times: Vec<u64> = (0..=prng.below(12)).map(|_| prng.below(9)).collect();
            let (quantile, bound) = (prng.below(101), prng.below(10));
            let expression = format!("LatencyAtQuantileMS({quantile}) > {bound}");
            let answers: Vec<(u16, u64)> = times.iter().map(|time| (200, *time)).collect();
            times.sort_unstable();
            // The smallest time within which that many came.
            let many = (times.len() as u64 * quantile).div_ceil(100).max(1);
            let value = times[usize::try_from(many).expect("small") - 1];
            check(&expression, &answers, quantile > 0 && value > bound);
        }
    }

    #[test]
    fn it_opens_rests_recovers_and_closes() {
        let breaker = Breaker::new("b@file", &settings("NetworkErrorRatio() > 0.5"));
        assert!(breaker.admits(at(0)));
        assert_eq!(breaker.count(502, Span::ZERO, at(0)), Counted::Opened);
        assert_eq!(breaker.state(at(0)), State::Open(at(10_000)));
        assert!(!breaker.admits(at(9_999)));
        // An answer from before changes nothing.
        assert_eq!(breaker.count(502, Span::ZERO, at(5_000)), Counted::Quietly);
        let admitted = |from: u64, to: u64| {
            (from..to).step_by(10).filter(|millis| breaker.admits(at(*millis))).count()
        };
        let (first, last) = (admitted(10_000, 15_000), admitted(15_000, 20_000));
        assert!(breaker.state(at(15_000)).name() == "recovering");
        assert!((100..=130).contains(&first), "a quarter at half time: {first}");
        assert!(first + last <= 500 && last > first, "no more than half: {first}, {last}");
        assert!(breaker.admits(at(20_001)));
        assert_eq!(breaker.state(at(20_001)), State::Closed);
        assert_eq!(breaker.openings(), 1);
    }

    #[test]
    fn it_opens_again_while_it_recovers() {
        let breaker = Breaker::new("b@file", &settings("NetworkErrorRatio() > 0.5"));
        breaker.count(502, Span::ZERO, at(0));
        breaker.admits(at(12_000));
        assert_eq!(breaker.count(504, Span::ZERO, at(13_000)), Counted::Opened);
        assert_eq!(breaker.state(at(13_000)), State::Open(at(23_000)));
        assert_eq!(breaker.openings(), 2);
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        let breaker = Breaker::new("b@file", &settings("NetworkErrorRatio() > 0.5"));
        breaker.next_check.store(at(100).nanos(), Relaxed);
        for _ in 0..100 {
            breaker.count(200, Span::ZERO, at(50));
        }
        assert_eq!(breaker.count(502, Span::ZERO, at(9_000)), Counted::Quietly);
        assert_eq!(breaker.count(502, Span::ZERO, at(10_500)), Counted::Opened);
    }
}
