//! What is known of servers from their checks, active and passive, and whose turn it is to be
//! probed.

use super::passive::{Passive, ReturnBy};
use super::probe::{Probe, Turn};
use crate::base::diag::Diagnostic;
use crate::base::id::ServerId;
use crate::base::limits::ControlLimits;
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::base::timers::Timers;
use crate::config::typed::PassiveCheck;
use crate::service::standing::Health;
use crate::view::status::ServerStatus;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Checks {
    probes: BTreeMap<ServerId, Probe>,
    /// Of probes, by server.
    timers: Timers,
    /// Probes that wait for their turn, and places of probes that wait no more.
    waiting: VecDeque<ServerId>,
    /// Probes that wait for an address, by host, and some that wait no more.
    nameless: BTreeMap<String, Vec<ServerId>>,
    under_way: u32,
    pub(super) passive: Passive,
}

impl Checks {
    pub(super) fn start_active(&mut self, server: ServerId, probe: Probe) {
        self.timers.set(server.0, probe.due());
        self.probes.insert(server, probe);
        self.passive.return_by(server, ReturnBy::Probe);
    }

    /// Ends an active check; the exchange under way, if there is one, is of no use any more.
    pub(super) fn stop_active(&mut self, server: ServerId) -> Option<Key> {
        let probe = self.probes.remove(&server)?;
        self.timers.set(server.0, Time::NEVER);
        self.passive.return_by(server, ReturnBy::Time);
        match probe.turn {
            Turn::Probing { exchange } => {
                self.under_way -= 1;
                Some(exchange)
            }
            // Its place in a queue is passed over when its turn comes.
            Turn::Queued | Turn::AwaitingName | Turn::Never | Turn::Resting { .. } => None,
        }
    }

    pub(super) fn start_passive(&mut self, server: ServerId, check: PassiveCheck) {
        let probed = self.probes.contains_key(&server);
        let by = if probed { ReturnBy::Probe } else { ReturnBy::Time };
        self.passive.watch(server, check, by);
    }

    pub(super) fn probe(&self, server: ServerId) -> Option<&Probe> {
        self.probes.get(&server)
    }

    pub(super) fn probe_mut(&mut self, server: ServerId) -> Option<&mut Probe> {
        self.probes.get_mut(&server)
    }

    pub(super) fn under_way(&self) -> u32 {
        self.under_way
    }

    /// Sets the clock of a probe by its own idea of when it is due.
    pub(super) fn rearm(&mut self, server: ServerId) {
        let due = self.probes.get(&server).map_or(Time::NEVER, Probe::due);
        self.timers.set(server.0, due);
    }

    /// Queues the probes that are due.
    pub(super) fn queue_due(&mut self, now: Time) {
        while let Some(slot) = self.timers.pop_due(now) {
            self.queue(ServerId(slot));
        }
    }

    /// Queues the probes that waited for the addresses of `host`.
    pub(super) fn queue_named(&mut self, host: &str) {
        for server in self.nameless.remove(host).unwrap_or_default() {
            if self.probes.get(&server).is_some_and(|probe| probe.turn == Turn::AwaitingName) {
                self.queue(server);
            }
        }
    }

    fn queue(&mut self, server: ServerId) {
        if let Some(probe) = self.probes.get_mut(&server) {
            probe.turn = Turn::Queued;
            self.waiting.push_back(server);
        }
    }

    pub(super) fn next_waiting(&mut self) -> Option<ServerId> {
        loop {
            let server = self.waiting.pop_front()?;
            if self.probes.get(&server).is_some_and(|probe| probe.turn == Turn::Queued) {
                return Some(server);
            }
        }
    }

    pub(super) fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn sent(&mut self, server: ServerId, exchange: Key) {
        if let Some(probe) = self.probes.get_mut(&server) {
            probe.turn = Turn::Probing { exchange };
            self.under_way += 1;
        }
    }

    pub(super) fn ended(&mut self) {
        self.under_way -= 1;
    }

    pub(super) fn await_name(&mut self, server: ServerId, host: &str) {
        if let Some(probe) = self.probes.get_mut(&server) {
            probe.turn = Turn::AwaitingName;
            self.nameless.entry(host.to_owned()).or_default().push(server);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        [self.timers.next(), self.passive.deadline()].into_iter().flatten().min()
    }

    pub(super) fn health(&self, server: ServerId) -> Health {
        self.probes.get(&server).map_or(Health::Up, |probe| probe.health)
    }

    pub(super) fn is_usable(&self, server: ServerId) -> bool {
        !self.passive.is_ejected(server) && self.health(server) != Health::Down
    }

    /// What is shown of a server; nothing if it has no check.
    pub(super) fn status(&self, server: ServerId) -> Option<ServerStatus> {
        let passive = self.passive.state(server);
        let ejected = passive.is_some_and(|(ejected, _)| ejected);
        match (self.probes.get(&server), passive) {
            (Some(probe), _) => Some(ServerStatus {
                health: probe.health,
                ejected,
                since: probe.since,
                reason: probe.reason.clone(),
            }),
            (None, Some((ejected, since))) => {
                let reason = if ejected { "requests kept failing" } else { "" };
                let reason = reason.to_owned();
                Some(ServerStatus { health: Health::Up, ejected, since, reason })
            }
            (None, None) => None,
        }
    }

    /// Checks that cannot be carried out.
    pub(super) fn diagnose(&self, out: &mut Vec<Diagnostic>) {
        for probe in self.probes.values().filter(|probe| probe.turn == Turn::Never) {
            let text = format!(
                "{}: {}; the server counts as unknown, never as up",
                probe.subject.url, probe.reason
            );
            out.push(Diagnostic::warning("unusable-check", &*probe.subject.service, text));
        }
    }

    pub(super) fn check(&self, limits: &ControlLimits) {
        self.passive.check(limits.failures_kept);
        let (mut queued, mut probing, mut nameless) = (0, 0, 0);
        for (server, probe) in &self.probes {
            probe.check();
            match probe.turn {
                Turn::Queued => queued += 1,
                Turn::Probing { .. } => probing += 1,
                Turn::AwaitingName => nameless += 1,
                Turn::Resting { until } => {
                    assert_eq!(self.timers.deadline(server.0), until, "{server:?} is called");
                }
                Turn::Never => {}
            }
        }
        assert!(queued <= self.waiting.len(), "probes that wait are queued");
        assert_eq!(probing, self.under_way, "probes under way are counted");
        assert!(self.under_way <= limits.probes_max, "probes are bounded");
        let listed: usize = self.nameless.values().map(Vec::len).sum();
        assert!(nameless <= listed, "probes without an address are listed");
    }
}
