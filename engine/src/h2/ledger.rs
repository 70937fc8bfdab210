//! What a peer did that costs it little and us more. Each kind has a budget that useful work and
//! time refill; whoever is over it is told to calm down.

use crate::base::time::Time;

/// Cheap work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cheap {
    /// Streams cancelled before they were answered.
    Reset,
    /// Streams whose requests broke the rules, so that we had to reset them.
    Broken,
    /// DATA without data that ends nothing.
    EmptyData,
    /// DATA with a few bytes.
    TinyData,
    Ping,
    Settings,
    Priority,
    /// WINDOW_UPDATE that grants next to nothing.
    TinyGrant,
    /// Frames of a kind that we do not know.
    Unknown,
    /// Lists of fields that are too long, which a few bytes of a compressed block may be: each as
    /// often as it fills the limit.
    LongList,
    /// A block in more pieces than its bytes justify: one is too many.
    Pieces,
}

const KINDS: usize = 11;

/// How much of each may be under way, and how much of it a second forgives. The ceilings are far
/// above what a busy peer does, and far below what costs another client its latency: a peer may
/// reset all streams that it usually may have open, but not twice at once.
const BUDGETS: [(u32, u32); KINDS] = [
    (300, 100),
    (300, 100),
    (200, 100),
    (20_000, 20_000),
    (1_000, 500),
    (100, 20),
    (2_000, 1_000),
    (20_000, 10_000),
    (2_000, 1_000),
    (50, 5),
    (1, 1),
];

impl Cheap {
    /// What is told as the reason.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "resets",
            Self::Broken => "broken requests",
            Self::EmptyData => "empty DATA",
            Self::TinyData => "tiny DATA",
            Self::Ping => "PING",
            Self::Settings => "SETTINGS",
            Self::Priority => "PRIORITY",
            Self::TinyGrant => "tiny WINDOW_UPDATE",
            Self::Unknown => "unknown frames",
            Self::LongList => "long lists of fields",
            Self::Pieces => "endless CONTINUATION",
        }
    }
}

#[derive(Debug)]
pub struct Ledger {
    spent: [u32; KINDS],
    /// When the last whole second was forgiven.
    at: Time,
}

/// The budget is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over(pub Cheap);

impl Ledger {
    pub fn new(now: Time) -> Self {
        Self { spent: [0; KINDS], at: now }
    }

    pub fn charge(&mut self, kind: Cheap, now: Time) -> Result<(), Over> {
        self.charge_times(kind, 1, now)
    }

    /// As often as `count` says at once.
    pub fn charge_times(&mut self, kind: Cheap, count: u32, now: Time) -> Result<(), Over> {
        let spent = &mut self.spent[kind as usize];
        *spent = spent.saturating_add(count);
        if *spent <= BUDGETS[kind as usize].0 {
            return Ok(());
        }
        self.forgive(now);
        if self.spent[kind as usize] <= BUDGETS[kind as usize].0 { Ok(()) } else { Err(Over(kind)) }
    }

    /// Useful work was done: it pays for as much cheap work of the kinds that come with it.
    pub fn earn(&mut self, kinds: &[Cheap], count: u32) {
        for kind in kinds {
            let spent = &mut self.spent[*kind as usize];
            *spent = spent.saturating_sub(count);
        }
    }

    fn forgive(&mut self, now: Time) {
        let seconds = now.since(self.at).nanos() / 1_000_000_000;
        if seconds == 0 {
            return;
        }
        self.at = now;
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        for (spent, (_, rate)) in self.spent.iter_mut().zip(BUDGETS) {
            *spent = spent.saturating_sub(rate.saturating_mul(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Span;

    #[test]
    fn a_budget_ends_and_time_refills_it() {
        let mut ledger = Ledger::new(Time::ZERO);
        for _ in 0..100 {
            assert_eq!(ledger.charge(Cheap::Settings, Time::ZERO), Ok(()));
        }
        assert_eq!(ledger.charge(Cheap::Settings, Time::ZERO), Err(Over(Cheap::Settings)));
        assert_eq!(ledger.charge(Cheap::Ping, Time::ZERO), Ok(()), "each kind has its own");
        let later = Time::ZERO + Span::secs(1);
        let granted = (0..100).take_while(|_| ledger.charge(Cheap::Settings, later).is_ok());
        assert_eq!(granted.count(), 19, "one was over the budget already");
    }

    #[test]
    fn useful_work_pays_for_cheap_work() {
        let mut ledger = Ledger::new(Time::ZERO);
        for _ in 0..100_000 {
            assert_eq!(ledger.charge(Cheap::Reset, Time::ZERO), Ok(()));
            ledger.earn(&[Cheap::Reset], 1);
        }
    }

    #[test]
    fn every_kind_has_its_budget_and_its_name() {
        assert_eq!(Cheap::Pieces as usize + 1, KINDS);
        assert_eq!(Cheap::TinyGrant.name(), "tiny WINDOW_UPDATE");
        assert!(BUDGETS.iter().all(|(most, rate)| *most > 0 && *rate > 0));
    }
}
