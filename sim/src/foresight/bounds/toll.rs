//! How many requests can fail, as closed forms: so many at first, and those that begin within a
//! time that settings add up to. They hold for requests that come evenly and whose turn it always
//! is; what is under way when the trouble begins comes on top.

use super::form::{Sum, Timing, Trouble, publication};
use super::ways::Saved;
use crate::foresight::stage::CROSSING;
use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::Span;
use engine::config::typed::PassiveCheck;

const FAILED_MAX: &str = "passiveHealthCheck.maxFailedAttempts";
const HEADER: &str = "serversTransport.forwardingTimeouts.responseHeaderTimeout";
const DIAL: &str = "serversTransport.forwardingTimeouts.dialTimeout";
const PUBLICATION: &str = "publication";

/// Requests that fail until nobody is sent there any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toll {
    /// That many, however long they take to come.
    pub first: u64,
    /// And those that begin within this.
    pub within: Sum,
}

impl Toll {
    pub fn at(&self, rate: u64) -> u64 {
        self.first.saturating_add(begun(self.within.total(), rate))
    }

    /// Until nobody is sent there any more, when requests come evenly.
    pub fn moved(&self, rate: u64) -> Span {
        apart(rate).times(self.first) + self.within.total()
    }

    /// The setting with the largest part.
    pub fn dominant(&self, rate: u64) -> &'static str {
        let within = begun(self.within.total(), rate);
        if self.first >= within { FAILED_MAX } else { self.within.dominant() }
    }
}

/// Requests that begin within a span at an even rate.
pub(super) fn begun(span: Span, rate: u64) -> u64 {
    let nanos = u128::from(span.nanos()) * u128::from(rate);
    u64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX)
}

/// How far apart requests are.
pub(super) fn apart(rate: u64) -> Span {
    Span::from_nanos(1_000_000_000_u64.div_ceil(rate.max(1)))
}

impl Timing {
    /// What requests themselves find out: enough of them have failed, and then it is published.
    /// None if they need not come close enough to one another, or never fail at all.
    pub(super) fn ejected(&self, trouble: Trouble, rate: Option<u64>) -> Option<Toll> {
        let passive = self.passive.as_ref()?;
        let (dial, header) = (self.dial_timeout, self.header_timeout);
        let publication = publication() + CROSSING;
        let (waits, spread) = match trouble {
            Trouble::Slow => return None,
            Trouble::Refused | Trouble::Failing => (None, Span::ZERO),
            // Those on open connections and those that dial fail after their own time each.
            Trouble::BlackHoled if header.is_zero() => return None,
            Trouble::BlackHoled if header < dial => (Some((DIAL, dial)), apart_by(dial, header)),
            Trouble::BlackHoled => (Some((HEADER, header)), apart_by(header, dial)),
        };
        let fits = |rate| fits(passive, rate, spread);
        if !rate.is_none_or(fits) || spread >= passive.failure_window {
            return None;
        }
        let parts = waits.into_iter().chain([(PUBLICATION, publication)]);
        Some(Toll { first: failures(passive), within: Sum(parts.collect()) })
    }
}

fn apart_by(longer: Span, shorter: Span) -> Span {
    Span::from_nanos(longer.nanos() - shorter.nanos())
}

/// As many in a row as it takes come within the window.
fn fits(passive: &PassiveCheck, rate: u64, spread: Span) -> bool {
    apart(rate).times(failures(passive) - 1) + spread < passive.failure_window
}

fn failures(passive: &PassiveCheck) -> u64 {
    let kept_max = ControlLimits::default().failures_kept;
    u64::from(passive.failed_attempts_max.clamp(1, kept_max))
}

impl Saved {
    /// How many of so many fail all the same; without a number, however many there are.
    pub(super) fn left(&self, failing: Option<u64>, rate: u64) -> Option<u64> {
        // Each answer gives back what was spent for it, so what counts is how many are on the way.
        let stock = u64::from(Limits::default().retries_stock);
        if !self.rationed || begun(self.pause, rate) <= stock {
            return Some(0);
        }
        failing.map(|failing| failing.saturating_sub(stock))
    }
}

/// How often a server without an active check is tried in an hour of trouble: it rests for one
/// window, then for twice as long each time, and never for more than sixteen.
pub(super) fn tries_in_an_hour(passive: &PassiveCheck) -> u64 {
    let window = passive.failure_window.nanos().max(1);
    let (mut at, mut tries) = (0_u64, 0);
    while at < 3_600_000_000_000 && tries < 1_000_000 {
        at = at.saturating_add(window.saturating_mul(1 << tries.min(4)));
        tries += 1;
    }
    tries
}
