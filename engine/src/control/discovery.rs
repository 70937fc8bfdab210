//! Polling children: who is next, with which connection, and what an answer changes.

use super::child::{Child, Turn};
use super::conns::{Owner, Request, Speaks};
use super::failure::Failure;
use super::machine::Control;
use super::names::{Known, Learned};
use super::publish::Publisher;
use crate::base::id::ChildId;
use crate::base::line::{Level, LogLine};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::config::fixed::{Authority, Fixed, IdleConns, Scheme};
use crate::http::framing::Asked;
use crate::net::fetch::{Reply, Want};
use crate::view::Cover;
use crate::view::status::ChildPhase;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where to connect to.
pub(super) enum Whereabouts {
    At(Arc<[SocketAddr]>),
    Pending,
    Nowhere(Failure),
}

impl Control {
    pub(super) fn children_of(fixed: &Fixed, publisher: &Publisher, now: Time) -> Vec<Child> {
        let Some(multicluster) = &fixed.multicluster else { return Vec::new() };
        (0..)
            .zip(&multicluster.children)
            .map(|(at, child)| {
                let id = ChildId(at);
                let stats = publisher.child_stats(id);
                Child::new(id, child, multicluster.poll_interval, stats, now)
            })
            .collect()
    }

    /// The addresses of a host that Control itself wants to reach.
    pub(super) fn whereabouts(&self, address: &Authority) -> Whereabouts {
        let with_port = |addrs: &[IpAddr]| -> Arc<[SocketAddr]> {
            addrs.iter().map(|addr| SocketAddr::new(*addr, address.port)).collect()
        };
        if let Ok(literal) = address.host.parse::<IpAddr>() {
            return Whereabouts::At(with_port(&[literal]));
        }
        match self.names.known(&address.host) {
            Known::Addrs(addrs) => Whereabouts::At(with_port(&addrs)),
            Known::Pending => Whereabouts::Pending,
            Known::Failed(why) => {
                Whereabouts::Nowhere(Failure::Unresolved { host: address.host.clone(), why })
            }
        }
    }

    pub(super) fn tick_children(&mut self, now: Time) {
        while let Some(slot) = self.child_timers.pop_due(now) {
            let index = slot as usize;
            let Some(child) = self.children.get_mut(index) else { continue };
            let before = child.phase();
            if child.on_age(now) {
                self.publisher.set_freshness(child.id, child.freshness);
                if child.phase() != before {
                    self.stats.control.marks.hit(Mark::ChildOverdue);
                    child.report(&mut self.journal, now);
                    self.child_status_changed(index);
                }
            }
            let child = &mut self.children[index];
            if matches!(child.turn, Turn::Resting { until } if until <= now) {
                child.turn = Turn::Queued;
                self.polls_waiting.push_back(index);
            }
            self.child_timers.set(slot, self.children[index].due(now));
        }
        self.start_polls(now);
    }

    pub(super) fn start_polls(&mut self, now: Time) {
        while self.polls_under_way < self.limits.polls_max && self.conns.has_room() {
            let Some(index) = self.polls_waiting.pop_front() else { return };
            self.start_poll(index, now);
        }
        if !self.polls_waiting.is_empty() {
            self.stats.control.marks.hit(Mark::PollWaited);
        }
    }

    fn start_poll(&mut self, index: usize, now: Time) {
        let (address, transport) =
            (self.children[index].address.clone(), self.children[index].transport.clone());
        let settled = self.material.is_complete() && self.publisher.is_secure_settled();
        if address.scheme == Scheme::Https && !settled {
            let until = now + self.limits.file_debounce;
            self.children[index].turn = Turn::Resting { until };
            self.child_timers.set(self.children[index].id.0.into(), until);
            return;
        }
        let tls = match self.publisher.cover(&address, &transport) {
            Cover::Clear => None,
            Cover::Tls(connector) => Some((connector, address.host.as_str().into())),
            Cover::Unusable(why) => {
                let failure = Failure::Unusable(why.to_string());
                return self.poll_ended(index, Err(failure), now);
            }
        };
        let addrs = match self.whereabouts(&address) {
            Whereabouts::At(addrs) => addrs,
            Whereabouts::Pending => {
                self.children[index].turn = Turn::AwaitingName;
                return;
            }
            Whereabouts::Nowhere(failure) => return self.poll_ended(index, Err(failure), now),
        };
        let child = &mut self.children[index];
        let timeout = self.fixed.multicluster.as_ref().map_or(Span::ZERO, |it| it.poll_timeout);
        let request = Request {
            owner: Owner::Child(child.id),
            addrs,
            speaks: match child.address.scheme {
                Scheme::H2c => Speaks::Http2,
                Scheme::Https if child.transport.multiplexes => Speaks::Either,
                Scheme::Https | Scheme::Http => Speaks::Http1,
            },
            bytes: child.begin(now),
            content: &[],
            asked: Asked::Plain,
            want: Want::Body { bytes_max: self.limits.poll_body_bytes },
            dial_timeout: child.transport.dial_timeout,
            deadline: now + timeout,
            reuse: child.kept.take(),
            tls,
        };
        self.polls_under_way += 1;
        let exchange = self.conns.start(request, now);
        self.children[index].turn = Turn::Polling { exchange };
    }

    pub(super) fn on_polled(
        &mut self,
        id: ChildId,
        result: Result<Reply, Failure>,
        kept: Option<Key>,
        now: Time,
    ) {
        self.polls_under_way -= 1;
        let index = usize::from(id.0);
        self.keep(index, kept);
        self.poll_ended(index, result, now);
        self.start_polls(now);
    }

    /// Keeps the connection if the child would keep it too until the next poll.
    fn keep(&mut self, index: usize, kept: Option<Key>) {
        let Some(conn) = kept else { return };
        let child = &mut self.children[index];
        let interval = self.fixed.multicluster.as_ref().map_or(Span::MAX, |it| it.poll_interval);
        let reuses = child.transport.idle != IdleConns::NoReuse;
        if reuses && interval < child.transport.idle_timeout {
            child.kept = Some(conn);
        } else {
            self.conns.drop_kept(conn);
        }
    }

    fn poll_ended(&mut self, index: usize, result: Result<Reply, Failure>, now: Time) {
        let child = &mut self.children[index];
        let before = (child.phase(), child.failure_code());
        let news = {
            let chance = (self.limits.polls_uneven, &mut self.prng);
            child.on_poll(result, chance, &self.stats, now)
        };
        let aged = child.on_age(now);
        let child = &self.children[index];
        let turned = before.0 != child.phase();
        if before != (child.phase(), child.failure_code()) || news.adverts.is_some() {
            child.report(&mut self.journal, now);
        }
        if turned && child.phase() == ChildPhase::Overdue {
            self.stats.control.marks.hit(Mark::ChildOverdue);
        }
        if aged {
            self.publisher.set_freshness(child.id, child.freshness);
        }
        if let Some(adverts) = news.adverts {
            self.publisher.set_adverts(child.id, adverts);
        }
        self.child_timers.set(child.id.0.into(), child.due(now));
        if news.status || turned {
            self.child_status_changed(index);
        }
    }

    fn child_status_changed(&mut self, index: usize) {
        let child = &self.children[index];
        self.publisher.set_child_status(child.id, child.status());
    }

    pub(super) fn on_resolved(
        &mut self,
        host: &Arc<str>,
        answer: Result<Vec<IpAddr>, String>,
        now: Time,
    ) {
        let error = answer.as_ref().err().cloned().unwrap_or_default();
        match self.names.on_answer(host, answer, now) {
            Learned::Nothing | Learned::StillFailed => {}
            Learned::Addrs(addrs) => {
                let count = addrs.len().to_string();
                let fields = [("host", &**host), ("addresses", count.as_str())];
                self.journal.info(now, "host name resolved", &fields);
                self.publisher.set_addresses(host, &addrs);
            }
            Learned::Failed => {
                let line = LogLine::new(Level::Warn, now, "host name does not resolve");
                self.journal.say(line.field("host", &**host).field("error", error));
            }
        }
        self.wake_children(host);
        self.wake_remote(host, now);
        self.checks.queue_named(host);
        self.start_polls(now);
        self.start_probes(now);
    }

    fn wake_children(&mut self, host: &str) {
        for (index, child) in self.children.iter_mut().enumerate() {
            let resting = matches!(child.turn, Turn::Resting { .. });
            let missed = resting && child.failure_code() == "unresolved";
            if (child.turn == Turn::AwaitingName || missed) && child.address.host == host {
                child.turn = Turn::Queued;
                self.polls_waiting.push_back(index);
            }
        }
    }

    pub(super) fn check_children(&self) {
        let (mut queued, mut polling) = (0, 0);
        for child in &self.children {
            child.check();
            match child.turn {
                Turn::Queued => queued += 1,
                Turn::Polling { exchange } => {
                    polling += 1;
                    assert!(self.conns.is_under_way(exchange), "{} polls", child.name);
                }
                Turn::Resting { until } => {
                    let timer = self.child_timers.deadline(child.id.0.into());
                    assert!(timer <= until, "{} is called when its rest ends", child.name);
                }
                Turn::AwaitingName => {}
            }
        }
        assert_eq!(queued, self.polls_waiting.len(), "children that wait are queued");
        assert_eq!(polling, self.polls_under_way, "polls under way are counted");
        assert!(self.polls_under_way <= self.limits.polls_max, "polls are bounded");
    }
}
