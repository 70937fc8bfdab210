//! Middlewares that look at bodies, or send them again.

use crate::base::time::Span;
use crate::rule::Repeat;
use std::ops::RangeInclusive;

/// `retry`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retry {
    /// How often a request is sent at most, the first time included.
    pub attempts: u32,
    /// The pause before the first repetition; zero is none, before the others either.
    pub initial_interval: Span,
    /// How long after the first time it may still be sent again; zero is for ever.
    pub timeout: Span,
    /// Longer bodies are not kept. `None` is no limit of its own.
    pub body_bytes_max: Option<u64>,
    /// Answers that are no answers.
    pub status: Vec<RangeInclusive<u16>>,
    /// Whether to try elsewhere if a server cannot be reached or goes away.
    pub on_network_error: bool,
    /// Whether such a status repeats requests that are not idempotent.
    pub non_idempotent: bool,
}

impl Retry {
    /// The pause after so many failures, before chance is added: it doubles over all attempts.
    pub fn pause(&self, failures: u32) -> Span {
        let steps = u64::from(self.attempts.saturating_sub(1).max(1));
        let mut rest = u64::from(failures.saturating_sub(1)).min(steps);
        let mut factor = ONE << (rest / steps);
        let mut root = ONE << 1;
        rest %= steps;
        for _ in 0..16 {
            root = (root << FACTOR_BITS).isqrt();
            rest *= 2;
            if rest >= steps {
                rest -= steps;
                factor = (factor * root) >> FACTOR_BITS;
            }
        }
        let nanos = u128::from(self.initial_interval.nanos()) * u128::from(factor);
        Span::from_nanos(u64::try_from(nanos >> FACTOR_BITS).unwrap_or(u64::MAX))
    }
}

/// `buffering`: bodies are collected before they are passed on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buffering {
    /// Longer requests are refused.
    pub request_bytes_max: Option<u64>,
    /// So much of a request is collected; a longer one goes on as it comes.
    pub request_memory: u64,
    /// Longer responses are replaced by 500.
    pub response_bytes_max: Option<u64>,
    /// So much of a response is collected; a longer one goes on as it comes.
    pub response_memory: u64,
    /// When a request is sent again.
    pub repeat: Option<Repeat>,
}

/// `errors`: answers that are replaced by pages of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorPages {
    pub status: Vec<RangeInclusive<u16>>,
    /// What clients are told instead; the first that holds the status counts.
    pub rewrites: Vec<(RangeInclusive<u16>, u16)>,
    /// Qualified.
    pub service: String,
    /// What is asked of it, with words in braces.
    pub query: String,
    /// Fields of the request that it gets; `None` is all.
    pub request_fields: Option<Vec<String>>,
}

/// `compress`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compress {
    /// Media types that stay as they are.
    pub excluded: Vec<String>,
    /// If there are any, only these are compressed.
    pub included: Vec<String>,
    /// Shorter responses stay as they are.
    pub bytes_min: u64,
    /// Best first.
    pub encodings: Vec<Coding>,
    /// For clients that do not say what they take.
    pub default: Option<Coding>,
}

/// `grpcWeb`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrpcWeb {
    /// Whose scripts may ask; `*` is everybody's.
    pub origins: Vec<String>,
}

/// A content coding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

const FACTOR_BITS: u32 = 30;
const ONE: u64 = 1 << FACTOR_BITS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_over_all_attempts() {
        for (attempts, expected) in
            [(2, &[100][..]), (3, &[100, 141]), (5, &[100, 118, 141, 168]), (1, &[100])]
        {
            let retry = Retry {
                attempts,
                initial_interval: Span::millis(100),
                timeout: Span::ZERO,
                body_bytes_max: None,
                status: Vec::new(),
                on_network_error: true,
                non_idempotent: false,
            };
            let pause = |failures| retry.pause(failures).nanos() / 1_000_000;
            let pauses: Vec<u64> = (1..attempts.max(2)).map(pause).collect();
            assert_eq!(pauses, expected, "{attempts}");
        }
    }
}
