//! One active check: a request at intervals, and one verdict per request. One failure is down, one
//! success is up. A probe goes to the address of its server and nowhere else, whatever a redirect
//! or a child says.

use super::child::{host_field, is_field_value};
use super::conns::Speaks;
use super::failure::Failure;
use super::grpc;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::prng::Prng;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::config::fixed::{Authority, Scheme, Transport};
use crate::config::typed::{CheckMode, ExpectedStatus, HealthCheck};
use crate::http::fields::is_token;
use crate::http::framing::Asked;
use crate::http::reference::{Resolved, resolve};
use crate::net::fetch::{Again, Ask, Reply, Want};
use crate::service::standing::Health;
use crate::view::UplinkRef;
use crate::view::stats::Stats;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) subject: Subject,
    pub(super) turn: Turn,
    pub(super) health: Health,
    /// Since when it has been so.
    pub(super) since: Time,
    /// Why it is not up; empty when it is.
    pub(super) reason: String,
    check: Arc<HealthCheck>,
    plan: Result<Plan, String>,
    /// The probe under way, or the last one.
    attempt: Attempt,
}

/// Who is probed.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Subject {
    /// Qualified.
    pub(super) service: Arc<str>,
    /// As written.
    pub(super) url: Arc<str>,
    pub(super) authority: Authority,
    /// Of the server's own URL, or empty: relative paths are resolved beside it.
    pub(super) path: String,
    pub(super) transport: Transport,
    /// Set when the check came from a child.
    pub(super) uplink: Option<UplinkRef>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The check cannot be carried out: no probe is ever sent.
    Never,
    Resting {
        until: Time,
    },
    Queued,
    AwaitingName,
    Probing {
        exchange: Key,
    },
}

/// The request as the definition has it.
#[derive(Clone, Debug)]
struct Plan {
    mode: CheckMode,
    speaks: Speaks,
    address: Authority,
    target: String,
    method: String,
    host: String,
    fields: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
struct Attempt {
    began: Time,
    redirects: u32,
    method: String,
    target: String,
}

/// What follows from an ended exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Send [`Probe::request`] again: it leads elsewhere on the same server now.
    Redirected,
    /// A verdict was reached.
    Judged { flipped: bool },
}

impl Probe {
    pub(super) fn new(
        subject: Subject,
        check: Arc<HealthCheck>,
        prng: &mut Prng,
        now: Time,
    ) -> Self {
        let plan = Plan::of(&subject, &check);
        let spread = check.interval.min(Span::secs(1)).divided(10);
        let first = now + Span::from_nanos(prng.below(spread.nanos()));
        let (turn, reason) = match &plan {
            Ok(_) => (Turn::Resting { until: first }, "not probed yet".to_owned()),
            Err(why) => (Turn::Never, why.clone()),
        };
        let attempt = Attempt { began: now, ..Attempt::default() };
        Self { subject, turn, health: Health::Unknown, since: now, reason, check, plan, attempt }
    }

    /// Whether a wanted check is the one that is carried out, so that everything known stays true.
    pub(super) fn is_as(&self, subject: &Subject, check: &HealthCheck) -> bool {
        self.subject == *subject && *self.check == *check
    }

    pub(super) fn due(&self) -> Time {
        match self.turn {
            Turn::Resting { until } => until,
            Turn::Never | Turn::Queued | Turn::AwaitingName | Turn::Probing { .. } => Time::NEVER,
        }
    }

    /// The server's address; `None` if the check cannot be carried out.
    pub(super) fn address(&self) -> Option<&Authority> {
        self.plan.as_ref().ok().map(|plan| &plan.address)
    }

    /// A new probe begins.
    pub(super) fn begin(&mut self, now: Time) {
        let Ok(plan) = &self.plan else { return };
        self.attempt = Attempt {
            began: now,
            redirects: 0,
            method: plan.method.clone(),
            target: plan.target.clone(),
        };
    }

    /// What to send now.
    pub(super) fn request(&self) -> Arc<[u8]> {
        let (fields, host) = match &self.plan {
            Ok(plan) => (plan.fields.as_slice(), plan.host.as_str()),
            Err(_) => (&[][..], ""),
        };
        let Attempt { method, target, .. } = &self.attempt;
        Ask { method, target, host, fields, again: Again::Close }.to_bytes()
    }

    pub(super) fn speaks(&self) -> Speaks {
        self.plan.as_ref().map_or(Speaks::Http1, |plan| plan.speaks)
    }

    fn mode(&self) -> CheckMode {
        self.plan.as_ref().map_or(CheckMode::Http, |plan| plan.mode)
    }

    /// What follows the head, and what of the answer decides.
    pub(super) fn content(&self) -> (&'static [u8], Want) {
        match self.mode() {
            CheckMode::Http => (&[], Want::Head),
            CheckMode::Grpc => (grpc::REQUEST, Want::Body { bytes_max: grpc::ANSWER_MAX }),
        }
    }

    pub(super) fn asked(&self) -> Asked {
        if self.attempt.method == "HEAD" { Asked::Head } else { Asked::Plain }
    }

    /// When the probe under way has failed.
    pub(super) fn deadline(&self) -> Time {
        self.attempt.began + self.check.timeout
    }

    pub(super) fn on_ended(
        &mut self,
        result: Result<Reply, Failure>,
        redirects_max: u32,
        stats: &Stats,
        now: Time,
    ) -> Next {
        let followed = match (self.mode(), result) {
            (CheckMode::Grpc, Ok(reply)) => grpc::judge(&reply).map(|()| Some(None)),
            (CheckMode::Http, Ok(reply)) => {
                self.follow(reply, redirects_max).map(|status| status.map(Some))
            }
            (_, Err(failure)) => Err(failure),
        };
        let verdict = match followed {
            Ok(None) => {
                stats.control.marks.hit(Mark::ProbeRedirected);
                return Next::Redirected;
            }
            Ok(Some(_)) if planted(Mutant::AnyStatusIsUp) => Ok(()),
            Ok(Some(status)) => status.map_or(Ok(()), |status| self.judge(status)),
            // That this process is out of means says nothing about the server.
            Err(Failure::Overloaded) => {
                stats.control.marks.hit(Mark::ProbeInconclusive);
                self.turn = Turn::Resting { until: now + self.check.unhealthy_interval };
                return Next::Judged { flipped: false };
            }
            Err(failure) => Err(failure),
        };
        let flipped = self.conclude(verdict.map_err(|failure| failure.to_string()), now);
        if flipped {
            stats.control.marks.hit(Mark::HealthFlipped);
        }
        let times = if planted(Mutant::ProbesSeldom) { 2 } else { 1 };
        let until = self.attempt.began + self.pause().times(times);
        self.turn = Turn::Resting { until: until.max(now) };
        Next::Judged { flipped }
    }

    /// The next probe is wanted at the pace of a server that is down.
    pub(super) fn hasten(&mut self, now: Time) {
        if let Turn::Resting { until } = self.turn {
            let soon = now + self.check.unhealthy_interval.min(self.check.interval);
            self.turn = Turn::Resting { until: until.min(soon) };
        }
    }

    /// The final status, or nothing if there is a redirect to follow first.
    fn follow(&mut self, reply: Reply, redirects_max: u32) -> Result<Option<u16>, Failure> {
        let redirects = matches!(reply.status, 301 | 302 | 303 | 307 | 308);
        let location = reply.location.filter(|_| redirects && self.check.follow_redirects);
        let Some(location) = location else { return Ok(Some(reply.status)) };
        let Ok(plan) = &self.plan else { return Ok(Some(reply.status)) };
        let to = resolve(&self.attempt.target, &location)
            .ok_or_else(|| Failure::Content("it redirects to what is no address".to_owned()))?;
        plan.refuse_elsewhere(&to)?;
        if self.attempt.redirects == redirects_max {
            return Err(Failure::Content(format!("it redirects more than {redirects_max} times")));
        }
        self.attempt.redirects += 1;
        self.attempt.target = to.target;
        // RFC 9110 §15.4: only 307 and 308 keep every method.
        if !matches!(reply.status, 307 | 308) && self.attempt.method != "HEAD" {
            "GET".clone_into(&mut self.attempt.method);
        }
        Ok(None)
    }

    fn judge(&self, status: u16) -> Result<(), Failure> {
        let good = match self.check.status {
            ExpectedStatus::Success => (200..400).contains(&status),
            ExpectedStatus::Exactly(expected) => status == expected,
        };
        if good { Ok(()) } else { Err(Failure::Status(status)) }
    }

    fn conclude(&mut self, verdict: Result<(), String>, now: Time) -> bool {
        let (health, reason) = match verdict {
            Ok(()) => (Health::Up, String::new()),
            Err(why) => (Health::Down, why),
        };
        let flipped = self.health != health;
        if flipped {
            self.since = now;
        }
        self.health = health;
        self.reason = reason;
        flipped
    }

    fn pause(&self) -> Span {
        match self.health {
            Health::Up => self.check.interval,
            Health::Unknown | Health::Down => self.check.unhealthy_interval,
        }
    }

    pub(super) fn check(&self) {
        assert_eq!(self.plan.is_err(), self.turn == Turn::Never, "only what can be probed is");
        assert!(
            self.turn != Turn::Never || self.health == Health::Unknown,
            "what cannot be probed is unknown"
        );
    }
}

impl Plan {
    fn of(subject: &Subject, check: &HealthCheck) -> Result<Self, String> {
        let scheme = check.scheme.unwrap_or(subject.authority.scheme);
        let over_tls = scheme == Scheme::Https;
        let grpc = check.mode == CheckMode::Grpc;
        if grpc && over_tls && !subject.transport.multiplexes {
            return Err("gRPC needs HTTP/2, which its serversTransport disables".to_owned());
        }
        let speaks = match scheme {
            _ if grpc => Speaks::Http2,
            Scheme::H2c => Speaks::Http2,
            Scheme::Https if subject.transport.multiplexes => Speaks::Either,
            Scheme::Https | Scheme::Http => Speaks::Http1,
        };
        let target = resolve(&subject.path, &check.path)
            .filter(|to| to.scheme.is_none() && to.authority.is_none())
            .ok_or_else(|| format!("{:?} is not a path on the server", check.path))?
            .target;
        if !is_token(check.method.as_bytes()) {
            return Err(format!("{:?} is not a method", check.method));
        }
        let address = Authority {
            scheme,
            host: subject.authority.host.clone(),
            port: check.port.unwrap_or(subject.authority.port),
        };
        let host = check.hostname.clone().unwrap_or_else(|| host_field(&address));
        if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{host:?} is not a host name"));
        }
        let mut fields = fields(subject, check)?;
        let (method, target) = match check.mode {
            CheckMode::Http => (check.method.clone(), target),
            CheckMode::Grpc => {
                fields.extend(grpc::fields(check.timeout));
                ("POST".to_owned(), grpc::TARGET.to_owned())
            }
        };
        Ok(Self { mode: check.mode, speaks, address, target, method, host, fields })
    }

    /// A probe stays at its server, by the name it is asked under or by its address.
    fn refuse_elsewhere(&self, to: &Resolved) -> Result<(), Failure> {
        let elsewhere = |what: &str| {
            Err(Failure::Content(format!(
                "it redirects to {what}, and probes stay at their server"
            )))
        };
        let scheme = if self.address.scheme == Scheme::Https { "https" } else { "http" };
        if let Some(scheme) = to.scheme.as_deref().filter(|other| *other != scheme) {
            return elsewhere(scheme);
        }
        let Some(authority) = &to.authority else { return Ok(()) };
        let own = host_field(&self.address);
        let same = |name: &str| {
            let port = if scheme == "https" { ":443" } else { ":80" };
            let bare = |text: &str| text.trim_end_matches(port).to_ascii_lowercase();
            bare(name) == bare(authority)
        };
        if same(&own) || same(&self.host) { Ok(()) } else { elsewhere(authority) }
    }
}

fn fields(subject: &Subject, check: &HealthCheck) -> Result<Vec<(String, String)>, String> {
    let named =
        |name: &str| check.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    let mut fields = Vec::new();
    if !named("user-agent") {
        fields.push(("User-Agent".to_owned(), "tieline".to_owned()));
    }
    for (name, value) in &check.headers {
        if !is_token(name.as_bytes()) || !is_field_value(value) {
            return Err(format!("{name:?} cannot be sent as a header field"));
        }
        if !name.eq_ignore_ascii_case("x-uplink-name") {
            fields.push((name.clone(), value.clone()));
        }
    }
    if let Some(uplink) = &subject.uplink {
        if !is_field_value(&uplink.name) {
            return Err("the name of the uplink cannot be sent".to_owned());
        }
        fields.push(("X-Uplink-Name".to_owned(), uplink.name.to_string()));
    }
    Ok(fields)
}
