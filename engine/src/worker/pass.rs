//! A request on its way through the middlewares of its route, outermost first, until one answers
//! it or all let it pass.

use super::Worker;
use super::answer::Answer;
use super::dispatch::range_in;
use super::exchange::{Exchange, Phase, route_of};
use super::fields;
use crate::base::mark::Mark;
use crate::base::slab::{Key, Slab};
use crate::base::time::Span;
use crate::config::duration;
use crate::http::fields as http_fields;
use crate::http::head::RequestHead;
use crate::http::target::Target;
use crate::net::wire::Due;
use crate::service::middleware::basic::Claim;
use crate::service::middleware::compress;
use crate::service::middleware::forward::Grant;
use crate::service::middleware::passing::Passing;
use crate::service::middleware::{AUTHORIZATION, Step, Verdict, judge, path};
use crate::view::{Destination, Route, View};
use std::fmt::Write as _;
use std::rc::Rc;

/// How far a request has come.
enum Came {
    Through,
    /// A rewritten path is not one that may be sent on.
    Unclean,
    /// This step has something to say.
    To(u16, Verdict, Option<Claim>),
}

impl Worker {
    /// Goes on behind the steps that the request has passed, and to `service` behind the last.
    pub(super) fn pass(&mut self, key: Key, head: &RequestHead<'_>, target: &Target<'_>) {
        if !self.begin_web(key, head) {
            self.answer(key, &Answer::bare(415));
            return;
        }
        let exchange = self.exchanges.get_mut(key).expect("a directed exchange exists");
        let view = Rc::clone(&exchange.view);
        let route = exchange.route.and_then(|route| route_of(&view, exchange.entry, route));
        let route = route.expect("a directed exchange has its route");
        let laid = exchange.laid.clone();
        let steps = laid.as_deref().unwrap_or(&route.steps);
        let all = u16::try_from(steps.len()).expect("steps are counted in thousands");
        if !steps.iter().any(Step::may_answer) {
            exchange.passed = all;
            self.go_on(key, &route.to, head, target);
            return;
        }
        let grants = std::mem::take(&mut exchange.grants);
        let mut asked = std::mem::take(&mut self.scratch.target);
        let mut user = std::mem::take(&mut self.scratch.user);
        write_target(&mut asked, target);
        let way = Way { head, target, route, steps, view: &view, grants: &grants };
        let came = self.go(key, &way, &mut asked, &mut user);
        (self.scratch.target, self.scratch.user) = (asked, user);
        let exchange = exchange_of(&mut self.exchanges, key);
        exchange.grants = grants;
        match came {
            Came::Through => {
                exchange.passed = all;
                self.go_on(key, &route.to, head, target);
            }
            Came::Unclean => {
                self.mark(Mark::UncleanPath);
                self.answer(key, &Answer::empty(400));
            }
            Came::To(at, verdict, claim) => {
                self.record_judged(key, verdict);
                self.conclude(key, &steps[usize::from(at)], verdict, claim);
            }
        }
    }

    fn go(&mut self, key: Key, way: &Way<'_>, asked: &mut String, user: &mut String) -> Came {
        let steps = way.steps;
        let exchange = exchange_of(&mut self.exchanges, key);
        let guards = exchange.guards;
        let settings = &way.view.entries[usize::from(exchange.entry.0)].settings;
        let peer = exchange.peer.ip();
        let trusted = fields::is_trusted(settings, peer);
        let secure = exchange.asking.over_tls;
        let before = exchange.passed;
        for (at, step) in (0..).zip(steps) {
            let counts = guards.name_at(at, way);
            let passing = Passing {
                head: way.head,
                target: way.target,
                peer,
                trusted,
                secure,
                passed: &steps[..usize::from(at)],
                path: asked,
                route: counts,
                now: self.now,
                user,
                grants: way.grants,
            };
            if at >= before {
                let verdict = self.judge_at(key, at, step, &passing);
                if let Some((verdict, claim)) = verdict {
                    return Came::To(at, verdict, claim);
                }
            }
            if step.user_field().is_some() {
                let authorization = http_fields::first(way.head.fields, AUTHORIZATION);
                write_user(step, user, authorization, &mut self.scratch.judging.decoded);
            }
            if path::apply(step, asked, &mut self.scratch.memory, &mut |_, _| {}).is_err() {
                return Came::Unclean;
            }
        }
        Came::Through
    }

    /// What a step has to say, unless it lets the request pass.
    fn judge_at(
        &mut self,
        key: Key,
        at: u16,
        step: &Step,
        passing: &Passing<'_>,
    ) -> Option<(Verdict, Option<Claim>)> {
        if let Step::Headers(headers) = step {
            let asking = &mut exchange_of(&mut self.exchanges, key).asking;
            let origin = passing.field("Origin").unwrap_or_default();
            asking.origin = range_in(asking.head.bytes(), origin);
            asking.secure |= passing.secure || headers.is_secure(passing);
        }
        if let Step::Compress(settings) = step {
            let coding = compress::coding_for(settings, passing.head.fields);
            exchange_of(&mut self.exchanges, key).coding = coding;
        }
        if let Step::Buffering(limits) = step {
            exchange_of(&mut self.exchanges, key).passed = at;
            return self.wants_whole(key, limits).map(|verdict| (verdict, None));
        }
        let verdict = judge(step, passing, &mut self.scratch.judging);
        let exchange = exchange_of(&mut self.exchanges, key);
        exchange.passed = at;
        if verdict == Verdict::Pass {
            return None;
        }
        if let Verdict::Entered(place) = verdict {
            exchange.entered.push(at, place);
            return None;
        }
        if verdict == Verdict::Consult {
            self.prepare_question(key, step, passing);
        }
        let decoded = &mut self.scratch.judging.decoded;
        let claim = (verdict == Verdict::Verify).then(|| step.claim(passing, decoded));
        Some((verdict, claim.flatten()))
    }

    fn prepare_question(&mut self, key: Key, step: &Step, passing: &Passing<'_>) {
        let Step::ForwardAuth(forward) = step else { return };
        let exchange = exchange_of(&mut self.exchanges, key);
        let target = exchange.view.targets.get(forward.target.0);
        let host = target.map(|target| target.host_field.clone()).unwrap_or_default();
        let body = exchange.kept.as_ref().filter(|_| forward.auth.forward_body);
        let body = body.map(|kept| kept.bytes).filter(|bytes| *bytes > 0);
        self.write_question(forward, passing, &host, body);
    }

    /// Behind the last step of a route, or of a service.
    fn go_on(&mut self, key: Key, to: &Destination, head: &RequestHead<'_>, target: &Target<'_>) {
        if let Some(met) = exchange_of(&mut self.exchanges, key).guards.last().copied() {
            self.send_to(key, met.service, head, target);
            return;
        }
        match to {
            Destination::Service(service) => self.send_to(key, *service, head, target),
            Destination::Layer(layer) => self.descend(key, *layer, head, target),
            Destination::Broken(_) => {
                let name = exchange_of(&mut self.exchanges, key).route().map(|it| it.name.clone());
                self.answer_broken(key, &name.unwrap_or_default());
            }
        }
    }

    fn conclude(&mut self, key: Key, step: &Step, verdict: Verdict, claim: Option<Claim>) {
        match verdict {
            Verdict::Pass | Verdict::Entered(_) => {}
            Verdict::Unauthorized | Verdict::Stale | Verdict::Verify => {
                if let Step::DigestAuth(digest) = step {
                    let mut challenge = std::mem::take(&mut self.scratch.judging.location);
                    challenge.clear();
                    digest.write_challenge(self.now, verdict == Verdict::Stale, &mut challenge);
                    self.challenge(key, &challenge);
                    self.scratch.judging.location = challenge;
                }
                let Step::BasicAuth(basic) = step else { return };
                match claim {
                    Some(claim) => self.prove(key, basic, claim),
                    None => self.challenge(key, &basic.challenge),
                }
            }
            Verdict::Consult => {
                let Step::ForwardAuth(forward) = step else { return };
                if !self.gathers(key, forward) {
                    self.consult(key, forward);
                }
            }
            Verdict::Count => {
                let Step::RateLimit(limiter) = step else { return };
                self.count_elsewhere(key, limiter);
            }
            Verdict::Collect => {
                let Step::Buffering(limits) = step else { return };
                self.await_whole(key, limits);
            }
            // Nobody waits for a mirrored request, so it does not either.
            Verdict::Hold(wait) if exchange_of(&mut self.exchanges, key).is_mirror() => {
                self.answer_too_many(key, wait);
            }
            Verdict::Hold(wait) => self.hold_for(key, wait),
            Verdict::TooMany(wait) => self.answer_too_many(key, wait),
            Verdict::Full => {
                self.mark(Mark::GaugeFull);
                self.answer(key, &Answer::bare(429));
            }
            Verdict::Open(status) => {
                self.mark(Mark::BreakerRefused);
                if self.passes_by(key, status) {
                    return;
                }
                self.answer(key, &Answer::bare(status));
            }
            Verdict::Refuse(status) => {
                self.mark(Mark::MiddlewareRefused);
                self.answer(key, &Answer::bare(status));
            }
            Verdict::Bare(status) => {
                self.mark(Mark::MiddlewareRefused);
                self.answer(key, &Answer::empty(status));
            }
            Verdict::Preflight => self.answer_preflight(key, step),
            Verdict::Redirect(status) => {
                self.mark(Mark::Redirected);
                let location = std::mem::take(&mut self.scratch.judging.location);
                let fields = [("Location", location.as_str())];
                self.answer(key, &Answer { fields: &fields, ..Answer::bare(status) });
                self.scratch.judging.location = location;
            }
        }
    }
}

/// What is the same for all steps on a request's way.
pub(super) struct Way<'a> {
    head: &'a RequestHead<'a>,
    target: &'a Target<'a>,
    pub(super) route: &'a Route,
    steps: &'a [Step],
    pub(super) view: &'a View,
    grants: &'a [Grant],
}

impl Worker {
    /// Lets a request pass this step after a while.
    pub(super) fn hold_for(&mut self, key: Key, wait: Span) {
        self.mark(Mark::RateHeld);
        let exchange = exchange_of(&mut self.exchanges, key);
        exchange.passed += 1;
        exchange.phase = Phase::Held;
        let client = exchange.client.expect("a mirrored request is not held");
        self.set_due(client, Due::Dial, self.now + wait);
    }

    pub(super) fn is_held(&self, key: Key) -> bool {
        self.exchanges.get(key).is_some_and(|exchange| exchange.phase == Phase::Held)
    }

    /// What a request waited for is there.
    pub(super) fn pass_on(&mut self, key: Key) {
        exchange_of(&mut self.exchanges, key).phase = Phase::Waiting;
        self.with_head(key, |worker, head, target| worker.pass(key, head, target));
    }

    fn answer_preflight(&mut self, key: Key, step: &Step) {
        self.mark(Mark::PreflightAnswered);
        if let Step::GrpcWeb(_) = step {
            self.answer_web_preflight(key);
            return;
        }
        let exchange = exchange_of(&mut self.exchanges, key);
        let asking = exchange.asking.head.clone();
        let origin = exchange.asking.origin.start as usize..exchange.asking.origin.end as usize;
        let origin = std::str::from_utf8(&asking.bytes()[origin]).unwrap_or_default();
        let Step::Headers(headers) = step else { return };
        let mut fields = headers.preflight(origin);
        let told = sorted(&mut fields);
        self.answer(key, &Answer { fields: told, ..Answer::empty(200) });
    }

    pub(super) fn answer_too_many(&mut self, key: Key, wait: Span) {
        self.mark(Mark::RateLimited);
        let (mut seconds, mut exact) = (
            std::mem::take(&mut self.scratch.judging.after),
            std::mem::take(&mut self.scratch.judging.location),
        );
        seconds.clear();
        exact.clear();
        write!(seconds, "{}", wait.nanos().div_ceil(1_000_000_000)).expect("room for a number");
        duration::show(wait, &mut exact);
        let fields = [("Retry-After", seconds.as_str()), ("X-Retry-In", exact.as_str())];
        self.answer(key, &Answer { fields: &fields, ..Answer::bare(429) });
        self.scratch.judging.after = seconds;
        self.scratch.judging.location = exact;
    }

    /// A request that middlewares counted is over.
    pub(super) fn leave_gauges(&mut self, exchange: &mut Exchange) {
        for (at, place) in exchange.entered.take_from(0) {
            if let Some(Step::InFlight(gauge)) = exchange.steps().get(usize::from(at)) {
                gauge.leave(place);
            }
        }
    }
}

/// Those that have a value.
fn sorted<'a, 'f>(fields: &'f mut [(&'a str, &'a str)]) -> &'f [(&'a str, &'a str)] {
    fields.sort_by_key(|(_, value)| value.is_empty());
    let end = fields.iter().position(|(_, value)| value.is_empty()).unwrap_or(fields.len());
    &fields[..end]
}

fn exchange_of(exchanges: &mut Slab<Exchange>, key: Key) -> &mut Exchange {
    exchanges.get_mut(key).expect("a passing exchange exists")
}

/// The user of credentials that were found right.
pub(super) fn write_user(
    step: &Step,
    out: &mut String,
    authorization: Option<&[u8]>,
    decoded: &mut Vec<u8>,
) {
    out.clear();
    let found = authorization.and_then(|value| step.user(value, decoded));
    out.push_str(found.unwrap_or_default());
}

/// Path and query as they came, in their canonical form.
pub(super) fn write_target(out: &mut String, target: &Target<'_>) {
    out.clear();
    out.push_str(target.path);
    if let Some(query) = target.query {
        out.push('?');
        out.push_str(query);
    }
}
