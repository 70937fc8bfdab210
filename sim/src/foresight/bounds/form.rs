//! What the settings say about time, as sums of settings: the closed forms. They hold for a
//! network that takes no time; what a dial and an answer take comes on top.

use engine::base::limits::ControlLimits;
use engine::base::time::Span;
use engine::config::fixed::OnStale;
use engine::config::typed::PassiveCheck;

/// What may be wrong with a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Whoever dials is refused; connections that are open are reset.
    Refused,
    /// Everything that is sent to it or by it is lost.
    BlackHoled,
    /// Its answers come after the check has given up.
    Slow,
    /// It answers with an error.
    Failing,
}

impl Trouble {
    pub const ALL: [Self; 4] = [Self::Refused, Self::BlackHoled, Self::Slow, Self::Failing];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::BlackHoled => "black-holed",
            Self::Slow => "slow",
            Self::Failing => "5xx",
        }
    }

    /// Whether polls of the child fail too.
    pub(super) const fn reaches_polls(self) -> bool {
        matches!(self, Self::Refused | Self::BlackHoled)
    }
}

/// The settings of one server that decide about time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    pub check: Option<Check>,
    /// Of a child's offer.
    pub poll: Option<Poll>,
    pub passive: Option<PassiveCheck>,
    pub dial_timeout: Span,
    /// Zero is none.
    pub header_timeout: Span,
    /// What a child finds out by its own checks, by kind of trouble.
    pub below: [Below; 4],
}

/// The longest of all that a child has to find out before it answers as its servers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Below {
    pub moved: Span,
    pub back: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    pub interval: Span,
    pub unhealthy_interval: Span,
    pub timeout: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Poll {
    pub interval: Span,
    pub timeout: Span,
    pub on_stale: OnStale,
}

/// A sum of settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sum(pub Vec<(&'static str, Span)>);

impl Sum {
    pub fn total(&self) -> Span {
        self.0.iter().fold(Span::ZERO, |sum, (_, span)| sum + *span)
    }

    /// The setting with the largest part.
    pub fn dominant(&self) -> &'static str {
        // The first of equals.
        let largest = self.0.iter().rev().max_by_key(|(_, span)| *span);
        largest.map_or("", |(setting, _)| setting)
    }

    fn and(mut self, setting: &'static str, span: Span) -> Self {
        self.0.push((setting, span));
        self
    }

    fn longer(self, other: Self) -> Self {
        if other.total() > self.total() { other } else { self }
    }
}

fn sum<const N: usize>(parts: [(&'static str, Span); N]) -> Sum {
    Sum(parts.to_vec())
}

/// Worst cases of one kind of trouble. None is never.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forms {
    /// Until the verdict.
    pub found: Option<Sum>,
    /// Until no request goes there any more.
    pub moved: Option<Sum>,
    /// After the trouble, until requests go there again.
    pub back: Option<Sum>,
}

const INTERVAL: &str = "healthCheck.interval";
const UNHEALTHY: &str = "healthCheck.unhealthyInterval";
const TIMEOUT: &str = "healthCheck.timeout";
const DIAL: &str = "serversTransport.forwardingTimeouts.dialTimeout";
const POLL_INTERVAL: &str = "multicluster.pollInterval";
const POLL_TIMEOUT: &str = "multicluster.pollTimeout";
const POLL_JITTER: &str = "the unevenness of polls";
const AFTER: &str = "onStale.after";
const OVER: &str = "onStale.over";
const PUBLICATION: &str = "publication";
const BELOW: &str = "the child's own checks";

/// Views follow one another no closer; then workers take the newest.
pub(super) fn publication() -> Span {
    ControlLimits::default().publish_gap + super::super::stage::CROSSING
}

impl Timing {
    pub fn forms(&self, trouble: Trouble) -> Forms {
        let probed = self.check.map(|check| self.found_by_probes(check, trouble));
        let stale = self.found_by_polls(trouble);
        let found = match (probed, stale) {
            (Some(a), Some(b)) => Some(if b.total() < a.total() { b } else { a }),
            (a, b) => a.or(b),
        };
        let published = |form: Sum| form.and(PUBLICATION, publication());
        let below = self.below[trouble as usize].back;
        let whole = |form: Sum| if below == Span::ZERO { form } else { form.and(BELOW, below) };
        Forms {
            moved: found.clone().map(published),
            back: self.back(trouble).filter(|_| found.is_some()).map(published).map(whole),
            found,
        }
    }

    /// How long one probe of a server that is black-holed may take, and by which setting.
    fn dial(&self, check: Check) -> (&'static str, Span) {
        if self.dial_timeout < check.timeout {
            (DIAL, self.dial_timeout)
        } else {
            (TIMEOUT, check.timeout)
        }
    }

    /// The probe before had just been answered when the trouble began, so the next one finds it;
    /// or a probe was under way, connected, and nothing else is probed before it is given up.
    fn found_by_probes(&self, check: Check, trouble: Trouble) -> Sum {
        let next = sum([(INTERVAL, check.interval)]);
        let (dial, until) = self.dial(check);
        let under_way = sum([(TIMEOUT, check.timeout)]);
        match trouble {
            Trouble::Refused | Trouble::Failing => next,
            Trouble::BlackHoled => next.and(dial, until).longer(under_way),
            Trouble::Slow => next.and(TIMEOUT, check.timeout),
        }
    }

    /// A poll fails, and the last good answer is old enough for `onStale`.
    fn found_by_polls(&self, trouble: Trouble) -> Option<Sum> {
        let poll = self.poll.filter(|_| trouble.reaches_polls())?;
        let failed = poll.next(trouble);
        match poll.on_stale {
            OnStale::Keep => None,
            OnStale::Demote { after } | OnStale::Withdraw { after } => {
                Some(failed.longer(sum([(AFTER, after)])))
            }
            OnStale::Decay { after, over } => {
                Some(failed.longer(sum([(AFTER, after), (OVER, over)])))
            }
        }
    }

    /// A probe that failed began just before the trouble was over.
    fn back(&self, trouble: Trouble) -> Option<Sum> {
        let probed = self.check.map(|check| {
            let rest = sum([(UNHEALTHY, check.unhealthy_interval)]);
            let (dial, until) = self.dial(check);
            match trouble {
                Trouble::Refused | Trouble::Failing => rest,
                Trouble::BlackHoled => rest.longer(sum([(dial, until)])),
                Trouble::Slow => rest.longer(sum([(TIMEOUT, check.timeout)])),
            }
        });
        let stale = self.found_by_polls(trouble).and(self.poll).map(|poll| {
            let next = sum([(POLL_INTERVAL, poll.interval), (POLL_JITTER, poll.jitter())]);
            match trouble {
                Trouble::BlackHoled => next.and(POLL_TIMEOUT, poll.timeout),
                Trouble::Refused | Trouble::Slow | Trouble::Failing => next,
            }
        });
        match (probed, stale) {
            (Some(a), Some(b)) => Some(a.longer(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Poll {
    /// How old the last good answer is when nothing more becomes of it.
    pub(super) fn stale_for(self) -> Span {
        match self.on_stale {
            OnStale::Keep => Span::ZERO,
            OnStale::Demote { after } | OnStale::Withdraw { after } => after,
            OnStale::Decay { after, over } => after + over,
        }
    }

    pub(super) fn jitter(self) -> Span {
        self.interval.divided(20)
    }

    pub(super) fn next(self, trouble: Trouble) -> Sum {
        let next = sum([(POLL_INTERVAL, self.interval), (POLL_JITTER, self.jitter())]);
        match trouble {
            Trouble::BlackHoled => next.and(POLL_TIMEOUT, self.timeout),
            Trouble::Refused | Trouble::Slow | Trouble::Failing => next,
        }
    }
}
