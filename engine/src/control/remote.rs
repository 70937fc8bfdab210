//! The HTTP provider: when to ask, and which answer to believe.
//!
//! ```text
//!   Resting ──due──▶ Polling ──ended──▶ Resting (one interval later)
//!                └─no address─▶ AwaitingName ──resolved──▶ Resting (until at once)
//! ```
//!
//! What was good last stays in effect while polls fail or answers are no configuration. Answers
//! that take effect are `providersThrottleDuration` apart, the first one excepted.

use super::child::host_field;
use super::conns::{Owner, Request, Speaks};
use super::discovery::Whereabouts;
use super::failure::Failure;
use super::file::Complete;
use super::machine::Control;
use super::reload::Layer;
use crate::base::diag::{Diagnostic, Severity};
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::config::fixed::{HttpProvider, IdleConns, Provider, Scheme};
use crate::config::typed::Dynamic;
use crate::config::{Setting, dynamic_in};
use crate::http::framing::Asked;
use crate::net::fetch::{Again, Ask, Reply, Want};
use crate::view::Cover;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Remote {
    /// How people know it.
    url: String,
    host: String,
    request: Arc<[u8]>,
    turn: Turn,
    /// A connection kept for the next poll.
    kept: Option<Key>,
    /// The answer in effect.
    text: Option<String>,
    failure: Option<Failure>,
    next_apply: Time,
    /// Whether a poll has ended.
    heard: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Resting { until: Time },
    AwaitingName,
    Polling { exchange: Key },
}

impl Remote {
    pub(super) fn new(provider: &HttpProvider, now: Time) -> Self {
        let authority = &provider.endpoint.authority;
        let own_field = host_field(authority);
        let scheme = if authority.scheme == Scheme::Https { "https" } else { "http" };
        let mut fields = Vec::new();
        for (name, value) in [("Accept", "*/*"), ("User-Agent", "tieline")] {
            if !provider.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                fields.push((name.to_owned(), value.to_owned()));
            }
        }
        fields.extend(provider.headers.iter().cloned());
        let path = provider.endpoint.path.as_str();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{path}");
        let ask = Ask {
            method: "GET",
            target: &target,
            host: provider.host.as_deref().unwrap_or(&own_field),
            fields: &fields,
            again: Again::Keep,
        };
        Self {
            url: format!("{scheme}://{own_field}{path}"),
            host: authority.host.clone(),
            request: ask.to_bytes(),
            turn: Turn::Resting { until: now },
            kept: None,
            text: None,
            failure: None,
            next_apply: now,
            heard: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match self.turn {
            Turn::Resting { until } => Some(until),
            Turn::AwaitingName | Turn::Polling { .. } => None,
        }
    }

    pub(super) fn is_heard(&self) -> bool {
        self.heard
    }

    pub(super) fn is_at(&self, host: &str) -> bool {
        self.host == host
    }

    /// Whether the last answer was no configuration.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.failure, Some(Failure::Content(_)))
    }

    /// The text of an answer.
    fn content(result: Result<Reply, Failure>) -> Result<String, Failure> {
        let reply = result?;
        if reply.status != 200 && !planted(Mutant::RemoteBelieved) {
            return Err(Failure::Status(reply.status));
        }
        let text = String::from_utf8(reply.body)
            .map_err(|_| Failure::Content("the answer is no text in UTF-8".to_owned()))?;
        if text.trim().is_empty() {
            return Err(Failure::Content("the answer is empty".to_owned()));
        }
        Ok(text)
    }

    fn kept_note(&self) -> &'static str {
        if self.text.is_some() { "; the last good configuration stays" } else { "" }
    }

    pub(super) fn diagnose(&self, out: &mut Vec<Diagnostic>) {
        let Some(failure) = &self.failure else { return };
        let text = format!("{failure}{}", self.kept_note());
        let mut problem = Diagnostic::warning(failure.code(), "providers.http", text);
        if self.text.is_none() || self.is_refused() {
            problem.severity = Severity::Error;
        }
        out.push(problem.at(&self.url, 0, 0));
    }
}

impl Control {
    pub(super) fn tick_remote(&mut self, now: Time) {
        let due = |remote: &Remote| remote.deadline().is_some_and(|until| until <= now);
        if self.remote.as_ref().is_some_and(due) {
            self.ask_remote(now);
        }
    }

    fn ask_remote(&mut self, now: Time) {
        let fixed = Arc::clone(&self.fixed);
        let Some(provider) = &fixed.http else { return };
        let authority = &provider.endpoint.authority;
        let settled = self.material.is_complete() && self.publisher.is_secure_settled();
        let unsettled = authority.scheme == Scheme::Https && !settled;
        if unsettled || !self.conns.has_room() {
            return self.rest_remote(now + self.limits.file_debounce);
        }
        let tls = match self.publisher.cover(authority, &provider.transport) {
            Cover::Clear => None,
            Cover::Tls(connector) => Some((connector, authority.host.as_str().into())),
            Cover::Unusable(why) => {
                return self.remote_failed(Failure::Unusable(why.to_string()), now);
            }
        };
        let addrs = match self.whereabouts(authority) {
            Whereabouts::At(addrs) => addrs,
            Whereabouts::Pending => return self.turn_remote(Turn::AwaitingName),
            Whereabouts::Nowhere(failure) => return self.remote_failed(failure, now),
        };
        let Some(remote) = &mut self.remote else { return };
        let request = Request {
            owner: Owner::Provider,
            addrs,
            speaks: if tls.is_some() { Speaks::Either } else { Speaks::Http1 },
            bytes: Arc::clone(&remote.request),
            content: &[],
            asked: Asked::Plain,
            want: Want::Body { bytes_max: self.limits.document_bytes },
            dial_timeout: provider.transport.dial_timeout,
            deadline: now + provider.poll_timeout,
            reuse: remote.kept.take(),
            tls,
        };
        let exchange = self.conns.start(request, now);
        self.turn_remote(Turn::Polling { exchange });
    }

    fn turn_remote(&mut self, turn: Turn) {
        if let Some(remote) = &mut self.remote {
            remote.turn = turn;
        }
    }

    fn rest_remote(&mut self, until: Time) {
        self.turn_remote(Turn::Resting { until });
    }

    pub(super) fn on_remote(
        &mut self,
        result: Result<Reply, Failure>,
        kept: Option<Key>,
        now: Time,
    ) {
        self.keep_remote(kept);
        match Remote::content(result) {
            Ok(text) => self.judge_remote(text, now),
            Err(failure) => self.remote_failed(failure, now),
        }
    }

    /// Keeps the connection if the other side would keep it too until the next poll.
    fn keep_remote(&mut self, kept: Option<Key>) {
        let (Some(conn), Some(provider)) = (kept, &self.fixed.http) else { return };
        let transport = &provider.transport;
        let reuses = transport.idle != IdleConns::NoReuse;
        let keeps = reuses && provider.poll_interval < transport.idle_timeout;
        match &mut self.remote {
            Some(remote) if keeps => remote.kept = Some(conn),
            _ => self.conns.drop_kept(conn),
        }
    }

    fn judge_remote(&mut self, text: String, now: Time) {
        let fixed = Arc::clone(&self.fixed);
        let Some(remote) = &mut self.remote else { return };
        if remote.text.as_ref() == Some(&text) {
            return self.remote_answered(now);
        }
        if now < remote.next_apply {
            // What it says by then counts.
            self.stats.control.marks.hit(Mark::ProviderThrottled);
            remote.turn = Turn::Resting { until: remote.next_apply };
            return;
        }
        let setting = Setting::of(&fixed, Provider::Http);
        let reading = dynamic_in(&[(&*remote.url, &*text)], &setting);
        if !reading.complete {
            let said: Vec<String> = reading.diagnostics.iter().map(ToString::to_string).collect();
            return self.remote_failed(Failure::Content(said.join("; ")), now);
        }
        remote.text = Some(text);
        remote.next_apply = now + fixed.throttle;
        self.remote_answered(now);
        let layer = Layer {
            dynamic: reading.dynamic,
            problems: reading.diagnostics,
            complete: Complete::Yes,
        };
        self.take_over(Provider::Http, layer, now);
    }

    fn remote_answered(&mut self, now: Time) {
        let Some(remote) = &mut self.remote else { return };
        let failed = remote.failure.take().is_some();
        if failed || !remote.heard {
            self.journal.info(now, "the HTTP provider answers", &[("endpoint", &*remote.url)]);
        }
        self.remote_ended(failed, now);
    }

    fn remote_failed(&mut self, failure: Failure, now: Time) {
        let Some(remote) = &mut self.remote else { return };
        let refused = matches!(failure, Failure::Content(_));
        let mark = if refused { Mark::ProviderRefused } else { Mark::ProviderFailed };
        self.stats.control.marks.hit(mark);
        let changed = remote.failure.as_ref() != Some(&failure);
        let forgets = planted(Mutant::RemoteForgotten);
        if changed {
            let error = format!("{failure}{}", remote.kept_note());
            let fields = [("endpoint", &*remote.url), ("code", failure.code()), ("error", &error)];
            self.journal.warn(now, "the HTTP provider tells no configuration", &fields);
            remote.failure = Some(failure);
        }
        if changed && refused {
            self.publisher.refused_more(now);
        }
        self.remote_ended(changed, now);
        if forgets {
            let (dynamic, problems) = (Dynamic::default(), Vec::new());
            let layer = Layer { dynamic, problems, complete: Complete::Yes };
            self.take_over(Provider::Http, layer, now);
        }
    }

    fn remote_ended(&mut self, news: bool, now: Time) {
        let (Some(remote), Some(provider)) = (&mut self.remote, &self.fixed.http) else { return };
        let first = !std::mem::replace(&mut remote.heard, true);
        remote.turn = Turn::Resting { until: now + provider.poll_interval };
        if news || first {
            self.publisher.problems_changed();
        }
    }

    pub(super) fn wake_remote(&mut self, host: &str, now: Time) {
        let Some(remote) = self.remote.as_mut().filter(|remote| remote.is_at(host)) else { return };
        let missed = matches!(remote.failure, Some(Failure::Unresolved { .. }))
            && matches!(remote.turn, Turn::Resting { .. });
        if missed || remote.turn == Turn::AwaitingName {
            remote.turn = Turn::Resting { until: now };
        }
    }

    pub(super) fn check_remote(&self) {
        let Some(remote) = &self.remote else { return };
        if let Turn::Polling { exchange } = remote.turn {
            assert!(self.conns.is_under_way(exchange), "the HTTP provider is being asked");
        }
        assert!(remote.text.is_none() || remote.heard, "an answer in effect was heard");
    }
}
