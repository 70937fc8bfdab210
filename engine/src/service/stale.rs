//! What becomes of a child whose polls fail: its weight and standing as a function of the age of
//! its last good poll.

use crate::base::time::Span;
use crate::config::fixed::OnStale;
use serde::{Deserialize, Serialize};

/// How a child counts now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Freshness {
    #[default]
    Fresh,
    /// Used only while no fresh child is up.
    Demoted,
    /// Its weights count this many 1/256, less than all.
    Decayed(u8),
    /// As if it advertised nothing.
    Withdrawn,
}

impl Freshness {
    /// As of `age` after the last good poll.
    pub fn of(policy: OnStale, age: Span) -> Self {
        match policy {
            OnStale::Demote { after } if age >= after => Self::Demoted,
            OnStale::Withdraw { after } if age >= after => Self::Withdrawn,
            OnStale::Decay { after, over } if age >= after => decayed(age, after, over),
            OnStale::Keep
            | OnStale::Demote { .. }
            | OnStale::Withdraw { .. }
            | OnStale::Decay { .. } => Self::Fresh,
        }
    }

    /// The age at which the answer of [`Freshness::of`] changes next, if it ever does.
    pub fn next_change(policy: OnStale, age: Span) -> Option<Span> {
        match policy {
            OnStale::Keep => None,
            OnStale::Demote { after } | OnStale::Withdraw { after } => {
                (age < after).then_some(after)
            }
            OnStale::Decay { after, .. } if age < after => Some(after),
            OnStale::Decay { after, over } => {
                let step = |n: u64| {
                    let nanos = u128::from(over.nanos()) * u128::from(n) / 256;
                    after + Span::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
                };
                (1..=256).map(step).find(|at| *at > age)
            }
        }
    }

    /// What a weight counts. Only zero becomes zero before all has decayed.
    pub fn weight(self, weight: u32) -> u32 {
        match self {
            Self::Fresh | Self::Demoted => weight,
            Self::Decayed(0) | Self::Withdrawn => 0,
            Self::Decayed(parts) => {
                let scaled = u64::from(weight) * u64::from(parts) / 256;
                u32::try_from(scaled).unwrap_or(weight).max(weight.min(1))
            }
        }
    }
}

fn decayed(age: Span, after: Span, over: Span) -> Freshness {
    let gone = age.nanos() - after.nanos();
    if gone >= over.nanos() {
        return Freshness::Decayed(0);
    }
    let parts = 256 - u128::from(gone) * 256 / u128::from(over.nanos());
    u8::try_from(parts).map_or(Freshness::Fresh, Freshness::Decayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Span {
        Span::secs(secs)
    }

    #[test]
    fn a_stale_child_counts_as_its_policy_says() {
        let demote = OnStale::Demote { after: secs(10) };
        let withdraw = OnStale::Withdraw { after: secs(10) };
        let decay = OnStale::Decay { after: secs(10), over: secs(100) };
        for (policy, age, expected) in [
            (OnStale::Keep, secs(1_000_000), Freshness::Fresh),
            (demote, secs(9), Freshness::Fresh),
            (demote, secs(10), Freshness::Demoted),
            (withdraw, secs(9), Freshness::Fresh),
            (withdraw, secs(10), Freshness::Withdrawn),
            (decay, secs(9), Freshness::Fresh),
            (decay, secs(10), Freshness::Fresh),
            (decay, secs(60), Freshness::Decayed(128)),
            (decay, secs(109), Freshness::Decayed(3)),
            (decay, secs(110), Freshness::Decayed(0)),
            (OnStale::Decay { after: secs(1), over: Span::ZERO }, secs(1), Freshness::Decayed(0)),
        ] {
            assert_eq!(Freshness::of(policy, age), expected, "{policy:?} {age}");
        }
    }

    #[test]
    fn a_decayed_weight_keeps_one_until_all_is_gone() {
        for (freshness, weight, expected) in [
            (Freshness::Fresh, 7, 7),
            (Freshness::Demoted, 7, 7),
            (Freshness::Decayed(128), 100, 50),
            (Freshness::Decayed(1), 100, 1),
            (Freshness::Decayed(1), 0, 0),
            (Freshness::Decayed(0), 100, 0),
            (Freshness::Withdrawn, 100, 0),
        ] {
            assert_eq!(freshness.weight(weight), expected, "{freshness:?} {weight}");
        }
    }

    #[test]
    fn nothing_changes_before_the_next_change() {
        for policy in [
            OnStale::Keep,
            OnStale::Demote { after: secs(3) },
            OnStale::Withdraw { after: secs(3) },
            OnStale::Decay { after: secs(3), over: secs(7) },
            OnStale::Decay { after: secs(3), over: Span::from_nanos(5) },
        ] {
            let mut age = Span::ZERO;
            while let Some(next) = Freshness::next_change(policy, age) {
                assert!(next > age);
                let before = Span::from_nanos(next.nanos() - 1);
                assert_eq!(Freshness::of(policy, before), Freshness::of(policy, age), "{policy:?}");
                age = next;
            }
            assert_eq!(Freshness::of(policy, age), Freshness::of(policy, Span::MAX), "{policy:?}");
        }
    }
}
