//! Discovery of one child: when to poll it, what its answers mean, and how old its last good answer
//! is.
//!
//! ```text
//!   Resting ──due──▶ Queued ──turn──▶ Polling ──ended──▶ Resting (one interval later)
//!                      ▲  └─no address─▶ AwaitingName ─┐
//!                      └───────────── resolved ────────┘
//! ```

use super::failure::Failure;
use super::journal::Journal;
use crate::base::diag::{Diagnostic, Severity};
use crate::base::id::ChildId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::prng::Prng;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::config::fixed::{self, Authority, OnStale, Scheme, Transport};
use crate::net::fetch::{Again, Ask, Reply};
use crate::service::stale::Freshness;
use crate::uplink::advert::{self, Advert};
use crate::view::stats::{ChildStats, Stats};
use crate::view::status::{ChildPhase, ChildStatus};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[derive(Debug)]
pub(super) struct Child {
    pub(super) id: ChildId,
    pub(super) name: Arc<str>,
    pub(super) address: Authority,
    pub(super) transport: Transport,
    pub(super) turn: Turn,
    /// A connection kept for the next poll.
    pub(super) kept: Option<Key>,
    pub(super) stats: Arc<ChildStats>,
    pub(super) freshness: Freshness,
    on_stale: OnStale,
    interval: Span,
    host_field: String,
    etag: Option<String>,
    request: Arc<[u8]>,
    /// Stands for the body of the last good answer.
    body_tag: String,
    uplinks: usize,
    notes: Vec<String>,
    last_good: Option<Time>,
    began: Time,
    phase: ChildPhase,
    since: Time,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Resting {
        until: Time,
    },
    /// Waits until fewer polls are under way.
    Queued,
    AwaitingName,
    Polling {
        exchange: Key,
    },
}

/// What an ended poll changed.
#[derive(Debug, Default)]
pub(super) struct News {
    /// A new set of offers.
    pub(super) adverts: Option<Vec<Advert>>,
    /// The child's status reads differently now.
    pub(super) status: bool,
}

impl Child {
    pub(super) fn new(
        id: ChildId,
        child: &fixed::Child,
        interval: Span,
        stats: Arc<ChildStats>,
        now: Time,
    ) -> Self {
        let host_field = host_field(&child.address);
        Self {
            id,
            name: child.name.as_str().into(),
            address: child.address.clone(),
            transport: child.transport.clone(),
            turn: Turn::Resting { until: now },
            kept: None,
            stats,
            freshness: Freshness::Fresh,
            on_stale: child.on_stale,
            interval,
            request: request(&host_field, None),
            host_field,
            etag: None,
            body_tag: String::new(),
            uplinks: 0,
            notes: Vec::new(),
            last_good: None,
            began: now,
            phase: ChildPhase::Pending,
            since: now,
            failure: None,
        }
    }

    /// The poll, ready to send.
    pub(super) fn begin(&mut self, now: Time) -> Arc<[u8]> {
        self.began = now;
        self.stats.last_attempt.store(now.nanos(), Relaxed);
        Arc::clone(&self.request)
    }

    /// When this child wants to be looked at.
    pub(super) fn due(&self, now: Time) -> Time {
        let poll = match self.turn {
            Turn::Resting { until } => until,
            Turn::Queued | Turn::AwaitingName | Turn::Polling { .. } => Time::NEVER,
        };
        poll.min(self.next_staleness(now))
    }

    fn later(&self, uneven: [u32; 2], prng: &mut Prng) -> Span {
        let part = |parts: u32| self.interval.nanos() / 1_000 * u64::from(parts);
        let [least, most] = uneven.map(part);
        let more = most.saturating_sub(least);
        Span::from_nanos(least + if more == 0 { 0 } else { prng.below(more) })
    }

    /// A poll has ended: rest, then judge it.
    pub(super) fn on_poll(
        &mut self,
        result: Result<Reply, Failure>,
        (uneven, prng): ([u32; 2], &mut Prng),
        stats: &Stats,
        now: Time,
    ) -> News {
        let later = self.later(uneven, prng);
        self.turn = Turn::Resting { until: now + self.interval + later };
        self.stats.duration.store(now.since(self.began).nanos(), Relaxed);
        match result.and_then(|reply| self.judge(reply, stats)) {
            Ok(adverts) => self.succeeded(adverts, now),
            Err(failure) => self.failed(failure, stats, now),
        }
    }

    /// The new set of offers, or nothing if it is the old one.
    fn judge(&mut self, reply: Reply, stats: &Stats) -> Result<Option<Vec<Advert>>, Failure> {
        match reply.status {
            304 if self.etag.is_some() => {
                self.stats.polls_unchanged.fetch_add(1, Relaxed);
                Ok(None)
            }
            200 => {
                let tag = advert::etag(&reply.body);
                let same = self.last_good.is_some() && self.body_tag == tag;
                let adverts = if same {
                    stats.control.marks.hit(Mark::PollSameWithoutTag);
                    None
                } else {
                    Some(self.decode(&reply.body, tag)?)
                };
                if reply.etag != self.etag {
                    self.etag = reply.etag.filter(|etag| is_field_value(etag));
                    self.request = request(&self.host_field, self.etag.as_deref());
                }
                Ok(adverts)
            }
            status => Err(Failure::Status(status)),
        }
    }

    fn decode(&mut self, body: &[u8], tag: String) -> Result<Vec<Advert>, Failure> {
        let decoded =
            advert::decode(body).map_err(|problems| Failure::Content(problems.join("; ")))?;
        self.body_tag = tag;
        self.uplinks = decoded.adverts.len();
        self.notes = decoded.notes;
        Ok(decoded.adverts)
    }

    fn succeeded(&mut self, adverts: Option<Vec<Advert>>, now: Time) -> News {
        self.stats.polls_ok.fetch_add(1, Relaxed);
        self.stats.last_good.store(now.nanos(), Relaxed);
        self.last_good = Some(now);
        self.failure = None;
        self.stats.uplinks.store(self.uplinks as u64, Relaxed);
        let turned = self.enter(ChildPhase::Fresh, now);
        News { status: turned || adverts.is_some(), adverts }
    }

    fn failed(&mut self, failure: Failure, stats: &Stats, now: Time) -> News {
        stats.control.marks.hit(Mark::PollFailed);
        self.stats.polls_failed.fetch_add(1, Relaxed);
        let changed = self.failure.as_ref() != Some(&failure);
        self.failure = Some(failure);
        let turned = match self.phase {
            ChildPhase::Fresh => self.enter(ChildPhase::Stale, now),
            ChildPhase::Pending => self.enter(ChildPhase::Unseen, now),
            ChildPhase::Stale | ChildPhase::Overdue | ChildPhase::Unseen => false,
        };
        let adverts = planted(Mutant::AdvertsForgotten).then(Vec::new);
        News { adverts, status: turned || changed }
    }

    /// Looks at the age of the last good answer; true if the child counts differently now.
    pub(super) fn on_age(&mut self, now: Time) -> bool {
        let freshness = self.freshness_at(now);
        if freshness == self.freshness {
            return false;
        }
        self.freshness = freshness;
        if freshness != Freshness::Fresh && self.phase == ChildPhase::Stale {
            self.enter(ChildPhase::Overdue, now);
        }
        true
    }

    fn freshness_at(&self, now: Time) -> Freshness {
        match self.last_good {
            Some(at) if self.failure.is_some() => Freshness::of(self.on_stale, now.since(at)),
            Some(_) | None => Freshness::Fresh,
        }
    }

    fn next_staleness(&self, now: Time) -> Time {
        let Some(at) = self.last_good.filter(|_| self.failure.is_some()) else {
            return Time::NEVER;
        };
        let next = Freshness::next_change(self.on_stale, now.since(at));
        next.map_or(Time::NEVER, |age| at + age)
    }

    fn enter(&mut self, phase: ChildPhase, now: Time) -> bool {
        if self.phase == phase {
            return false;
        }
        self.phase = phase;
        self.since = now;
        true
    }

    /// One line about where the child stands now.
    pub(super) fn report(&self, journal: &mut Journal, now: Time) {
        let name = &*self.name;
        let Some(failure) = &self.failure else {
            let uplinks = self.uplinks.to_string();
            journal.info(now, "child answers", &[("child", name), ("uplinks", &uplinks)]);
            return;
        };
        let error = failure.to_string();
        let fields = [("child", name), ("code", failure.code()), ("error", &error)];
        match self.phase {
            ChildPhase::Overdue => journal.warn(now, "child is overdue", &fields),
            ChildPhase::Stale => {
                journal.warn(now, "poll failed, the last good answer stays in use", &fields);
            }
            ChildPhase::Pending | ChildPhase::Fresh | ChildPhase::Unseen => {
                journal.warn(now, "poll failed, nothing is known of this child", &fields);
            }
        }
    }

    pub(super) fn phase(&self) -> ChildPhase {
        self.phase
    }

    /// The class of the last failure; empty while polls succeed.
    pub(super) fn failure_code(&self) -> &'static str {
        self.failure.as_ref().map_or("", Failure::code)
    }

    pub(super) fn status(&self) -> ChildStatus {
        let error = self.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        ChildStatus { phase: self.phase, since: self.since, error }
    }

    pub(super) fn diagnose(&self, out: &mut Vec<Diagnostic>) {
        let path = format!("hub.providers.multicluster.children.{}", self.name);
        if let Some(failure) = &self.failure {
            let kept = match self.phase {
                ChildPhase::Unseen | ChildPhase::Pending | ChildPhase::Fresh => "",
                ChildPhase::Stale | ChildPhase::Overdue => "; its last good answer stays in use",
            };
            let text = format!("poll failed: {failure}{kept}");
            let mut problem =
                Diagnostic::warning(failure.code(), path.as_str(), text).help(failure.poll_help());
            if kept.is_empty() {
                problem.severity = Severity::Error;
            }
            out.push(problem);
        }
        let note = |note: &String| Diagnostic::warning("uplink-adjusted", path.as_str(), note);
        out.extend(self.notes.iter().map(note));
    }

    pub(super) fn check(&self) {
        assert_eq!(
            self.failure.is_some(),
            matches!(self.phase, ChildPhase::Stale | ChildPhase::Overdue | ChildPhase::Unseen),
            "{} has a failure exactly while it fails",
            self.name
        );
        assert_eq!(
            self.last_good.is_some(),
            matches!(self.phase, ChildPhase::Fresh | ChildPhase::Stale | ChildPhase::Overdue),
            "{} was seen exactly if it once answered",
            self.name
        );
    }
}

/// `host` or `host:port`, with brackets around an IPv6 address.
pub(super) fn host_field(address: &Authority) -> String {
    let host = if address.host.contains(':') {
        format!("[{}]", address.host)
    } else {
        address.host.clone()
    };
    let default = match address.scheme {
        Scheme::Http | Scheme::H2c => 80,
        Scheme::Https => 443,
    };
    if address.port == default { host } else { format!("{host}:{}", address.port) }
}

fn request(host: &str, etag: Option<&str>) -> Arc<[u8]> {
    let mut fields = vec![
        ("Accept".to_owned(), "application/json".to_owned()),
        ("User-Agent".to_owned(), "tieline".to_owned()),
    ];
    fields.extend(etag.map(|etag| ("If-None-Match".to_owned(), etag.to_owned())));
    let target = "/api/uplinks";
    Ask { method: "GET", target, host, fields: &fields, again: Again::Keep }.to_bytes()
}

/// Whether a text that came from outside can be sent as the value of a field.
pub(super) fn is_field_value(text: &str) -> bool {
    text.len() <= 1024 && text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
