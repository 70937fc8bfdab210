//! Time as an argument: instants and spans in nanoseconds, and the one link to the wall clock.

use std::fmt;
use std::ops::{Add, Sub};

/// Nanoseconds since the process started. Only a driver makes one; it never goes backwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(u64);

/// A length of time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(u64);

/// The wall clock as of [`Time::ZERO`]: nanoseconds since 1970 in UTC. Log lines are stamped with
/// it; nothing is decided by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wall(pub u64);

impl Time {
    pub const ZERO: Self = Self(0);
    /// Later than every instant a machine can meet.
    pub const NEVER: Self = Self(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The span from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    pub const fn millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    pub const fn secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    pub const fn divided(self, by: u64) -> Self {
        Self(self.0 / by)
    }
}

impl Wall {
    /// Nanoseconds since 1970 at `now`.
    pub const fn at(self, now: Time) -> u64 {
        self.0.saturating_add(now.0)
    }

    /// Seconds since 1970 at `now`.
    pub const fn seconds_at(self, now: Time) -> u64 {
        self.at(now) / 1_000_000_000
    }
}

impl Add<Span> for Time {
    type Output = Self;

    /// Saturates at [`Time::NEVER`], so that an unbounded timeout is simply never due.
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Self;

    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1_000)
    }
}

impl fmt::Display for Span {
    /// The shortest exact form in one unit: `5s`, `250ms`, `10µs`, `7ns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")] {
            if self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}ns", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_in_their_largest_exact_unit() {
        for (span, text) in [
            (Span::secs(5), "5s"),
            (Span::millis(250), "250ms"),
            (Span::micros(10), "10µs"),
            (Span::from_nanos(7), "7ns"),
            (Span::ZERO, "0s"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn an_unbounded_timeout_is_never_due() {
        assert_eq!(Time::from_nanos(1) + Span::MAX, Time::NEVER);
    }
}
