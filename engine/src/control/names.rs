//! Host names of children and servers, resolved off the data path. Addresses stay in use until
//! better ones are known: a resolver that fails takes nothing away.

use crate::base::limits::ControlLimits;
use crate::base::mark::Mark;
use crate::base::time::{Span, Time};
use crate::view::stats::Stats;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Names {
    limits: ControlLimits,
    stats: Arc<Stats>,
    names: BTreeMap<Arc<str>, Name>,
    /// Names at rest, by when they are asked for again.
    schedule: BTreeSet<(Time, Arc<str>)>,
    waiting: VecDeque<Arc<str>>,
    under_way: u32,
}

#[derive(Debug)]
struct Name {
    addrs: Arc<[IpAddr]>,
    phase: Phase,
    /// Failures since the last success.
    failures: u32,
    error: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Resting {
        until: Time,
    },
    Waiting,
    Asking,
    /// Nobody wants it any more, but its answer is still to come.
    Unwanted,
}

/// What is known of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Known {
    Addrs(Arc<[IpAddr]>),
    /// No answer yet.
    Pending,
    /// There never was an address; why.
    Failed(String),
}

/// What an answer changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Learned {
    /// Same addresses as before, or nobody asks any more.
    Nothing,
    /// The addresses differ from the last ones.
    Addrs(Arc<[IpAddr]>),
    /// The first failure after a success, or at all.
    Failed,
    /// The same failure again.
    StillFailed,
}

impl Names {
    pub(super) fn new(limits: ControlLimits, stats: Arc<Stats>) -> Self {
        Self {
            limits,
            stats,
            names: BTreeMap::new(),
            schedule: BTreeSet::new(),
            waiting: VecDeque::new(),
            under_way: 0,
        }
    }

    /// From now on the addresses of `host` are wanted. A name wanted before keeps what is known.
    pub(super) fn want(&mut self, host: &str, now: Time) {
        if let Some(name) = self.names.get_mut(host) {
            if name.phase == Phase::Unwanted {
                name.phase = Phase::Asking;
            }
            return;
        }
        let name = Name {
            addrs: Arc::default(),
            phase: Phase::Resting { until: now },
            failures: 0,
            error: String::new(),
        };
        let host: Arc<str> = host.into();
        self.names.insert(Arc::clone(&host), name);
        self.schedule.insert((now, host));
    }

    /// Nobody wants the addresses of `host` any more.
    pub(super) fn unwant(&mut self, host: &str) {
        let Some((host, _)) = self.names.get_key_value(host) else { return };
        let host = Arc::clone(host);
        let name = self.names.get_mut(&host).expect("the key was just found");
        match name.phase {
            Phase::Asking => name.phase = Phase::Unwanted,
            Phase::Unwanted => {}
            Phase::Resting { until } => {
                self.names.remove(&host);
                self.schedule.remove(&(until, host));
            }
            Phase::Waiting => {
                self.names.remove(&host);
                self.waiting.retain(|waiting| *waiting != host);
            }
        }
    }

    pub(super) fn known(&self, host: &str) -> Known {
        match self.names.get(host) {
            Some(name) if !name.addrs.is_empty() => Known::Addrs(Arc::clone(&name.addrs)),
            Some(name) if name.failures > 0 => Known::Failed(name.error.clone()),
            Some(_) | None => Known::Pending,
        }
    }

    /// Names whose turn it is to be asked for, as far as there is room.
    pub(super) fn due(&mut self, now: Time) -> Vec<Arc<str>> {
        while let Some((at, _)) = self.schedule.first() {
            if *at > now {
                break;
            }
            let Some((_, host)) = self.schedule.pop_first() else { break };
            if let Some(name) = self.names.get_mut(&host) {
                name.phase = Phase::Waiting;
                self.waiting.push_back(host);
            }
        }
        let mut asks = Vec::new();
        while self.under_way < self.limits.resolves_max
            && let Some(host) = self.waiting.pop_front()
        {
            if let Some(name) = self.names.get_mut(&host) {
                name.phase = Phase::Asking;
                self.under_way += 1;
                asks.push(host);
            }
        }
        asks
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.schedule.first().map(|(at, _)| *at)
    }

    pub(super) fn on_answer(
        &mut self,
        host: &str,
        answer: Result<Vec<IpAddr>, String>,
        now: Time,
    ) -> Learned {
        self.under_way -= 1;
        let Some((host, _)) = self.names.get_key_value(host) else { return Learned::Nothing };
        let host = Arc::clone(host);
        let name = self.names.get_mut(&host).expect("the key was just found");
        if name.phase == Phase::Unwanted {
            self.names.remove(&host);
            return Learned::Nothing;
        }
        let answer = match answer {
            Ok(addrs) if addrs.is_empty() => Err("no address".to_owned()),
            other => other,
        };
        let (learned, pause) = match answer {
            Ok(addrs) => (name.succeed(addrs, &self.limits), self.limits.resolve_age),
            Err(why) => name.fail(why, &self.limits),
        };
        if learned == Learned::Failed {
            self.stats.control.marks.hit(Mark::ResolveFailed);
        }
        let until = now + pause;
        name.phase = Phase::Resting { until };
        self.schedule.insert((until, host));
        learned
    }

    pub(super) fn check(&self) {
        let count = |wanted: fn(&Phase) -> bool| {
            self.names.values().filter(|name| wanted(&name.phase)).count()
        };
        let asking = count(|phase| matches!(phase, Phase::Asking | Phase::Unwanted));
        assert_eq!(asking, self.under_way as usize, "resolutions under way are counted");
        assert!(self.under_way <= self.limits.resolves_max.max(1), "resolutions are bounded");
        let resting = count(|phase| matches!(phase, Phase::Resting { .. }));
        assert_eq!(resting, self.schedule.len(), "names at rest are scheduled");
        let waiting = count(|phase| *phase == Phase::Waiting);
        assert_eq!(waiting, self.waiting.len(), "names that wait are queued");
    }
}

impl Name {
    fn succeed(&mut self, mut addrs: Vec<IpAddr>, limits: &ControlLimits) -> Learned {
        addrs.truncate(limits.addresses_per_name.max(1) as usize);
        let recovered = self.failures > 0;
        self.failures = 0;
        self.error.clear();
        if !recovered && *addrs == *self.addrs {
            return Learned::Nothing;
        }
        self.addrs = addrs.into();
        Learned::Addrs(Arc::clone(&self.addrs))
    }

    fn fail(&mut self, why: String, limits: &ControlLimits) -> (Learned, Span) {
        let learned = if self.failures == 0 { Learned::Failed } else { Learned::StillFailed };
        let factor = 1_u64 << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        self.error = why;
        (learned, limits.resolve_retry.times(factor).min(limits.resolve_age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;

    fn names() -> Names {
        Names::new(ControlLimits::default(), Arc::new(Stats::new(0, 0, Wall(0))))
    }

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::secs(secs)
    }

    fn addr(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn a_failing_resolver_takes_no_address_away() {
        let mut names = names();
        names.want("a", at(0));
        assert_eq!(names.due(at(0)).len(), 1);
        assert_eq!(names.known("a"), Known::Pending);
        let learned = names.on_answer("a", Ok(vec![addr(2), addr(1)]), at(1));
        assert_eq!(learned, Learned::Addrs([addr(2), addr(1)].into()));
        assert_eq!(names.deadline(), Some(at(31)));
        assert_eq!(names.due(at(31)).len(), 1);
        assert_eq!(names.on_answer("a", Err("down".into()), at(31)), Learned::Failed);
        assert_eq!(names.known("a"), Known::Addrs([addr(2), addr(1)].into()));
        assert_eq!(names.deadline(), Some(at(32)), "a failure is retried soon");
        names.check();
    }

    #[test]
    fn retries_slow_down_and_recovery_is_news() {
        let mut names = names();
        names.want("a", at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert_eq!(names.due(now).len(), 1);
            names.on_answer("a", Ok(vec![]), now);
            let next = names.deadline().expect("it is retried");
            pauses.push(next.since(now).as_millis() / 1000);
            now = next;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(names.known("a"), Known::Failed("no address".into()));
        names.due(now);
        let learned = names.on_answer("a", Ok(vec![addr(1)]), now);
        assert_eq!(learned, Learned::Addrs([addr(1)].into()));
    }

    #[test]
    fn a_name_dropped_and_wanted_again_is_asked_once() {
        let mut names = names();
        names.want("a", at(0));
        names.want("b", at(0));
        assert_eq!(names.due(at(0)).len(), 2);
        names.unwant("a");
        names.check();
        names.want("a", at(0));
        assert_eq!(names.due(at(0)).len(), 0);
        names.on_answer("a", Ok(vec![addr(1)]), at(0));
        names.unwant("a");
        names.unwant("b");
        assert_eq!(names.on_answer("b", Ok(vec![addr(1)]), at(0)), Learned::Nothing);
        names.check();
        assert_eq!(names.deadline(), None);
    }

    #[test]
    fn resolutions_beyond_the_limit_wait() {
        let limits = ControlLimits { resolves_max: 1, ..ControlLimits::default() };
        let mut names = Names::new(limits, Arc::new(Stats::new(0, 0, Wall(0))));
        names.want("a", at(0));
        names.want("b", at(0));
        assert_eq!(names.due(at(0)), [Arc::from("a")]);
        assert_eq!(names.due(at(0)), []);
        names.on_answer("a", Ok(vec![addr(1)]), at(0));
        assert_eq!(names.due(at(0)), [Arc::from("b")]);
        names.check();
    }
}
