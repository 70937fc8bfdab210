//! Passive checks: servers that requests keep failing at are ejected for a while. With an active
//! check beside it, only a successful probe brings a server back; without one, a rest does: a
//! failure window, and twice as long each time that the server fails again soon after it is back.

use crate::base::id::ServerId;
use crate::base::time::{Span, Time};
use crate::base::timers::Timers;
use crate::config::typed::PassiveCheck;
use std::collections::{BTreeMap, VecDeque};

/// A rest is doubled at most so often: sixteen windows.
const DOUBLINGS_MAX: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Passive {
    servers: BTreeMap<ServerId, Entry>,
    /// Returns, by server.
    timers: Timers,
}

#[derive(Debug)]
struct Entry {
    check: PassiveCheck,
    return_by: ReturnBy,
    /// In the order in which they were reported.
    failures: VecDeque<Time>,
    ejected: bool,
    /// Since when it has been ejected, or not.
    since: Time,
    /// How often it was ejected again before it had been back for as long as it had rested.
    relapses: u32,
}

/// What brings an ejected server back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReturnBy {
    Time,
    Probe,
}

impl Passive {
    /// Watches a server of which nothing is known.
    pub(super) fn watch(&mut self, server: ServerId, check: PassiveCheck, return_by: ReturnBy) {
        self.timers.set(server.0, Time::NEVER);
        let failures = VecDeque::new();
        let since = Time::ZERO;
        let entry = Entry { check, return_by, failures, ejected: false, since, relapses: 0 };
        self.servers.insert(server, entry);
    }

    /// The server has an active check from now on, or none any more.
    pub(super) fn return_by(&mut self, server: ServerId, return_by: ReturnBy) {
        let Some(entry) = self.servers.get_mut(&server) else { return };
        entry.return_by = return_by;
        let back = match return_by {
            ReturnBy::Time if entry.ejected => entry.since + entry.rest(),
            ReturnBy::Time | ReturnBy::Probe => Time::NEVER,
        };
        self.timers.set(server.0, back);
    }

    pub(super) fn forget(&mut self, server: ServerId) {
        if self.servers.remove(&server).is_some() {
            self.timers.set(server.0, Time::NEVER);
        }
    }

    pub(super) fn is_ejected(&self, server: ServerId) -> bool {
        self.servers.get(&server).is_some_and(|entry| entry.ejected)
    }

    /// Whether a server is ejected, and since when; nothing if it is not watched.
    pub(super) fn state(&self, server: ServerId) -> Option<(bool, Time)> {
        self.servers.get(&server).map(|entry| (entry.ejected, entry.since))
    }

    /// Counts a failure; true if there are now enough of them to eject the server.
    pub(super) fn on_failed(&mut self, server: ServerId, at: Time, kept_max: u32) -> bool {
        let Some(entry) = self.servers.get_mut(&server) else { return false };
        // Requests that were under way when it was ejected say nothing new.
        if entry.ejected {
            return false;
        }
        let window = entry.check.failure_window;
        entry.failures.retain(|earlier| at.since(*earlier) < window);
        entry.failures.push_back(at);
        let enough = entry.check.failed_attempts_max.clamp(1, kept_max.max(1)) as usize;
        while entry.failures.len() > enough {
            entry.failures.pop_front();
        }
        entry.failures.len() == enough
    }

    pub(super) fn on_recovered(&mut self, server: ServerId) {
        if let Some(entry) = self.servers.get_mut(&server) {
            entry.failures.clear();
        }
    }

    pub(super) fn eject(&mut self, server: ServerId, now: Time) {
        let Some(entry) = self.servers.get_mut(&server) else { return };
        let back_for = now.since(entry.since);
        let soon = entry.since != Time::ZERO && back_for < entry.rest();
        entry.relapses = if soon { (entry.relapses + 1).min(DOUBLINGS_MAX) } else { 0 };
        entry.ejected = true;
        entry.since = now;
        entry.failures.clear();
        if entry.return_by == ReturnBy::Time {
            self.timers.set(server.0, now + entry.rest());
        }
    }

    /// A probe succeeded; true if that brings the server back.
    pub(super) fn on_probe_up(&mut self, server: ServerId, now: Time) -> bool {
        self.servers.get_mut(&server).is_some_and(|entry| entry.come_back(now))
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The next server whose time has come; it is back.
    pub(super) fn pop_returned(&mut self, now: Time) -> Option<ServerId> {
        while let Some(slot) = self.timers.pop_due(now) {
            let server = ServerId(slot);
            if self.servers.get_mut(&server).is_some_and(|entry| entry.come_back(now)) {
                return Some(server);
            }
        }
        None
    }

    pub(super) fn check(&self, kept_max: u32) {
        for (server, entry) in &self.servers {
            assert!(entry.failures.len() <= kept_max.max(1) as usize, "failures are bounded");
            let timed = self.timers.deadline(server.0) != Time::NEVER;
            let waits = entry.ejected && entry.return_by == ReturnBy::Time;
            assert_eq!(timed, waits, "{server:?} comes back in time");
        }
    }
}

impl Entry {
    fn rest(&self) -> Span {
        self.check.failure_window.times(1 << self.relapses)
    }

    /// True if it was away.
    fn come_back(&mut self, now: Time) -> bool {
        let was = std::mem::take(&mut self.ejected);
        if was {
            self.failures.clear();
            self.since = now;
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Span;

    const SERVER: ServerId = ServerId(3);

    fn at(secs: u64) -> Time {
        Time::ZERO + Span::secs(secs)
    }

    fn passive(failed_attempts_max: u32, return_by: ReturnBy) -> Passive {
        let mut passive = Passive::default();
        let check = PassiveCheck { failure_window: Span::secs(10), failed_attempts_max };
        passive.watch(SERVER, check, return_by);
        passive
    }

    #[test]
    fn only_failures_within_the_window_count() {
        let mut passive = passive(3, ReturnBy::Time);
        for (secs, enough) in [(0, false), (5, false), (10, false), (14, true)] {
            assert_eq!(passive.on_failed(SERVER, at(secs), 100), enough, "at {secs}s");
        }
    }

    #[test]
    fn a_success_forgives_earlier_failures() {
        let mut passive = passive(2, ReturnBy::Time);
        assert!(!passive.on_failed(SERVER, at(0), 100));
        passive.on_recovered(SERVER);
        assert!(!passive.on_failed(SERVER, at(1), 100));
        assert!(passive.on_failed(SERVER, at(2), 100));
    }

    #[test]
    fn an_ejected_server_returns_after_one_window() {
        let mut passive = passive(1, ReturnBy::Time);
        assert!(passive.on_failed(SERVER, at(0), 100));
        passive.eject(SERVER, at(1));
        assert!(!passive.on_failed(SERVER, at(2), 100), "it is ejected already");
        passive.check(100);
        assert_eq!(passive.pop_returned(at(10)), None);
        assert_eq!(passive.pop_returned(at(11)), Some(SERVER));
        assert!(!passive.is_ejected(SERVER));
        passive.check(100);
    }

    #[test]
    fn a_server_that_fails_again_soon_rests_twice_as_long() {
        let mut passive = passive(1, ReturnBy::Time);
        let mut now = 0;
        for rest in [10, 20, 40, 80, 160, 160] {
            now += 5;
            passive.eject(SERVER, at(now));
            assert_eq!(passive.timers.deadline(SERVER.0), at(now + rest));
            now += rest;
            assert_eq!(passive.pop_returned(at(now)), Some(SERVER));
            passive.check(100);
        }
        // It was back for as long as it had rested.
        now += 160;
        passive.eject(SERVER, at(now));
        assert_eq!(passive.timers.deadline(SERVER.0), at(now + 10));
    }

    #[test]
    fn beside_an_active_check_only_a_probe_brings_it_back() {
        let mut passive = passive(1, ReturnBy::Probe);
        passive.on_failed(SERVER, at(0), 100);
        passive.eject(SERVER, at(0));
        assert_eq!(passive.pop_returned(at(1_000)), None);
        assert!(passive.on_probe_up(SERVER, at(1)));
        assert!(!passive.on_probe_up(SERVER, at(1)));
        passive.check(100);
    }
}
