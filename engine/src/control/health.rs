//! Probing servers and judging reports about them.

use super::conns::{Owner, Request};
use super::discovery::Whereabouts;
use super::failure::Failure;
use super::machine::Control;
use super::probe::{Next, Probe, Subject};
use crate::base::id::ServerId;
use crate::base::line::{Level, LogLine};
use crate::base::mark::Mark;
use crate::base::time::Time;
use crate::boundary::{Report, Whom};
use crate::config::typed::HealthCheck;
use crate::net::fetch::Reply;
use crate::service::standing::Health;
use crate::tls::Refusal;
use crate::view::Cover;
use crate::view::compile::{PassiveChanges, Probe as Wanted, ProbeChanges};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

type Started = (ServerId, Subject, Arc<HealthCheck>);

impl Control {
    /// Takes over what a new view changed about checks; all else goes on as it was.
    pub(super) fn change_checks(
        &mut self,
        probes: ProbeChanges,
        passives: PassiveChanges,
        now: Time,
    ) {
        let (kept, started) = self.unchanged(probes.started);
        for server in probes.stopped.into_iter().filter(|server| !kept.contains(server)) {
            if let Some(exchange) = self.checks.stop_active(server) {
                self.stats.control.marks.hit(Mark::ProbeDropped);
                self.conns.cancel(exchange);
            }
            self.server_changed(server);
        }
        for server in passives.stopped {
            self.checks.passive.forget(server);
            self.server_changed(server);
        }
        for (server, subject, check) in started {
            let probe = Probe::new(subject, check, &mut self.prng, now);
            self.checks.start_active(server, probe);
            self.server_changed(server);
        }
        for (server, check) in passives.started {
            self.checks.start_passive(server, check);
            self.server_changed(server);
        }
    }

    /// Tells wanted probes that are under way as they are from those that begin.
    fn unchanged(&self, wanted: Vec<Wanted>) -> (BTreeSet<ServerId>, Vec<Started>) {
        let mut kept = BTreeSet::new();
        let mut started = Vec::new();
        for wanted in wanted {
            let server = wanted.server;
            let (service, node) = self.publisher.server(server);
            let subject = Subject {
                service,
                url: node.as_ref().map(|node| Arc::clone(&node.url)).unwrap_or_default(),
                authority: wanted.authority,
                path: node.map(|node| node.prefix.clone()).unwrap_or_default(),
                transport: wanted.transport,
                uplink: wanted.uplink,
            };
            match self.checks.probe(server) {
                Some(probe) if probe.is_as(&subject, &wanted.check) => {
                    kept.insert(server);
                }
                Some(_) | None => started.push((server, subject, wanted.check)),
            }
        }
        (kept, started)
    }

    pub(super) fn tick_checks(&mut self, now: Time) {
        self.checks.queue_due(now);
        while let Some(server) = self.checks.passive.pop_returned(now) {
            self.returned(server, now);
        }
        self.start_probes(now);
    }

    pub(super) fn start_probes(&mut self, now: Time) {
        while self.checks.under_way() < self.limits.probes_max && self.conns.has_room() {
            let Some(server) = self.checks.next_waiting() else { return };
            self.start_probe(server, now);
        }
        if self.checks.is_anybody_waiting() {
            self.stats.control.marks.hit(Mark::ProbeWaited);
        }
    }

    fn start_probe(&mut self, server: ServerId, now: Time) {
        let Some(probe) = self.checks.probe_mut(server) else { return };
        probe.begin(now);
        self.send_probe(server, now);
    }

    /// Sends what the probe wants to send now: its first request, or one after a redirect.
    fn send_probe(&mut self, server: ServerId, now: Time) {
        let Some(address) = self.checks.probe(server).and_then(Probe::address) else { return };
        let host = address.host.clone();
        match self.whereabouts(address) {
            Whereabouts::At(addrs) => self.dial_probe(server, addrs, now),
            Whereabouts::Pending => self.checks.await_name(server, &host),
            Whereabouts::Nowhere(failure) => self.judge_probe(server, Err(failure), now),
        }
    }

    fn dial_probe(&mut self, server: ServerId, addrs: Arc<[SocketAddr]>, now: Time) {
        let Some(probe) = self.checks.probe(server) else { return };
        let Some(address) = probe.address() else { return };
        let tls = match self.publisher.cover(address, &probe.subject.transport) {
            Cover::Clear => None,
            Cover::Tls(connector) => Some((connector, address.host.as_str().into())),
            Cover::Unusable(why) => {
                return self.judge_probe(server, Err(Failure::Unusable(why.to_string())), now);
            }
        };
        let (content, want) = probe.content();
        let request = Request {
            owner: Owner::Probe(server),
            addrs,
            speaks: probe.speaks(),
            bytes: probe.request(),
            content,
            asked: probe.asked(),
            want,
            dial_timeout: probe.subject.transport.dial_timeout,
            deadline: probe.deadline(),
            reuse: None,
            tls,
        };
        let exchange = self.conns.start(request, now);
        self.checks.sent(server, exchange);
    }

    pub(super) fn on_probed(
        &mut self,
        server: ServerId,
        result: Result<Reply, Failure>,
        now: Time,
    ) {
        self.checks.ended();
        self.judge_probe(server, result, now);
        self.start_probes(now);
    }

    fn judge_probe(&mut self, server: ServerId, result: Result<Reply, Failure>, now: Time) {
        let Some(probe) = self.checks.probe_mut(server) else { return };
        let before = (probe.health, probe.reason.clone());
        match probe.on_ended(result, self.limits.redirects_max, &self.stats, now) {
            Next::Redirected => self.send_probe(server, now),
            Next::Judged { flipped } => {
                let health = probe.health;
                let reworded = before.1 != probe.reason;
                self.checks.rearm(server);
                if health == Health::Up && self.checks.passive.on_probe_up(server, now) {
                    self.returned(server, now);
                }
                if flipped {
                    self.flipped(server, before.0, now);
                } else if reworded {
                    self.server_changed(server);
                }
            }
        }
    }

    fn flipped(&mut self, server: ServerId, before: Health, now: Time) {
        let Some(probe) = self.checks.probe(server) else { return };
        let (level, text) = match (before, probe.health) {
            (_, Health::Down) => (Level::Warn, "server is down"),
            (_, Health::Unknown) => (Level::Warn, "server is unknown"),
            (Health::Unknown, Health::Up) => (Level::Debug, "server is up"),
            (Health::Up | Health::Down, Health::Up) => (Level::Info, "server is up"),
        };
        let mut line = LogLine::new(level, now, text)
            .field("service", &*probe.subject.service)
            .field("url", &*probe.subject.url);
        if !probe.reason.is_empty() {
            line = line.field("reason", probe.reason.as_str());
        }
        self.publisher.set_health(server, probe.health);
        self.journal.say(line);
        self.server_changed(server);
    }

    pub(super) fn on_report(&mut self, report: Report, now: Time) {
        match report {
            Report::Refused { whom, peer, refusal } => self.say_refused(whom, peer, refusal, now),
            Report::Ledger { target, fault } => self.on_ledger(target, fault, now),
            Report::Recovered { server, .. } => self.checks.passive.on_recovered(server),
            Report::Failed { server, at } => {
                let kept = self.limits.failures_kept;
                if self.checks.passive.on_failed(server, at, kept) {
                    self.eject(server, now);
                }
            }
        }
    }

    /// Says why a handshake of a worker came to nothing.
    fn say_refused(&mut self, whom: Whom, peer: SocketAddr, refusal: Refusal, now: Time) {
        let view = self.publisher.view();
        let (text, name) = match whom {
            Whom::Client(entry) => {
                let entry = view.entries.get(usize::from(entry.0));
                let name = entry.map(|entry| entry.settings.name.clone());
                ("TLS handshake with a client failed", name)
            }
            Whom::Server(target) => {
                let target = view.targets.get(target.0);
                let name = target.map(|target| target.authority.to_string());
                ("TLS handshake with a server failed", name)
            }
        };
        let line = LogLine::new(Level::Warn, now, text)
            .field("where", name.unwrap_or_default())
            .field("peer", peer.to_string())
            .field("code", refusal.code())
            .field("error", refusal.to_string());
        self.journal.say(line);
    }

    /// Takes a server out, unless nobody would be left of those that stand in for it.
    fn eject(&mut self, server: ServerId, now: Time) {
        let others = self.publisher.companions(server);
        if !others.into_iter().any(|other| self.checks.is_usable(other)) {
            self.stats.control.marks.hit(Mark::EjectionCapped);
            return;
        }
        self.stats.control.marks.hit(Mark::Ejected);
        self.checks.passive.eject(server, now);
        if let Some(probe) = self.checks.probe_mut(server) {
            probe.hasten(now);
            self.checks.rearm(server);
        }
        self.publisher.set_ejected(server, true);
        self.say_of(server, Level::Warn, "server ejected, requests kept failing", now);
        self.server_changed(server);
    }

    fn returned(&mut self, server: ServerId, now: Time) {
        self.stats.control.marks.hit(Mark::EjectedReturned);
        self.publisher.set_ejected(server, false);
        self.say_of(server, Level::Info, "ejected server is back", now);
        self.server_changed(server);
    }

    fn say_of(&mut self, server: ServerId, level: Level, text: &'static str, now: Time) {
        let (service, node) = self.publisher.server(server);
        let url = node.map(|node| Arc::clone(&node.url)).unwrap_or_default();
        let line = LogLine::new(level, now, text);
        self.journal.say(line.field("service", &*service).field("url", &*url));
    }

    fn server_changed(&mut self, server: ServerId) {
        self.publisher.set_server_status(server, self.checks.status(server));
    }
}
