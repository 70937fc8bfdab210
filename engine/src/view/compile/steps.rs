//! Middlewares, made into steps. What they count survives as long as it means the same.

use super::Compiler;
use crate::config::typed::{Middleware, MiddlewareKind, RateLimit};
use crate::config::users::Format;
use crate::service::middleware::basic::Basic;
use crate::service::middleware::breaker::Breaker;
use crate::service::middleware::digest::Digest;
use crate::service::middleware::forward::Forward;
use crate::service::middleware::ledger::Ledger;
use crate::service::middleware::rate::{Counts, Gauge, Limiter};
use crate::service::middleware::words::Words;
use crate::service::middleware::{Headers, Pages, Step};
use crate::view::registry::{Counted, User};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Compiler {
    /// The step of each middleware that is one, by name.
    pub(super) fn steps(&mut self, all: &[Arc<Middleware>]) -> BTreeMap<String, Step> {
        let named = |it: &Arc<Middleware>| Some((it.name.clone(), self.step(it)?));
        let steps: BTreeMap<String, Step> = all.iter().filter_map(named).collect();
        let counts = |name: &str| match steps.get(name) {
            Some(Step::RateLimit(limiter)) => matches!(limiter.counts, Counts::Here(_)),
            Some(step) => matches!(step, Step::InFlight(_) | Step::BasicAuth(_)),
            None => false,
        };
        for name in self.registry.keep_words(counts) {
            self.pending.report.push(format!("dropped: counts of middleware {name}: it is gone"));
        }
        steps
    }

    fn step(&mut self, middleware: &Middleware) -> Option<Step> {
        Some(match &middleware.kind {
            MiddlewareKind::StripPrefix(strip) => Step::StripPrefix(Arc::new(strip.clone())),
            MiddlewareKind::StripPrefixRegex { patterns } => {
                Step::StripPrefixRegex(patterns.clone())
            }
            MiddlewareKind::AddPrefix { prefix } => Step::AddPrefix(prefix.clone()),
            MiddlewareKind::ReplacePath { path } => Step::ReplacePath(path.clone()),
            MiddlewareKind::ReplacePathRegex(it) => Step::ReplacePathRegex(Arc::new(it.clone())),
            MiddlewareKind::Headers(edit) => Step::Headers(Arc::new(Headers::new(edit))),
            MiddlewareKind::Redirect(redirect) => Step::Redirect(Arc::new(redirect.clone())),
            MiddlewareKind::IpAllowList(list) => Step::AllowList(Arc::new(list.clone())),
            MiddlewareKind::EncodedCharacters(refused) => Step::Encoded(*refused),
            // No limit at all.
            MiddlewareKind::RateLimit(limit) if limit.average == 0 => return None,
            MiddlewareKind::RateLimit(limit) => {
                let counts = self.counts(&middleware.name, limit);
                Step::RateLimit(Arc::new(Limiter::new(limit, counts)))
            }
            MiddlewareKind::InFlightReq(limit) => {
                let source = limit.source.clone();
                let words = self.words(&middleware.name, Counted::InFlight(source.clone()));
                Step::InFlight(Arc::new(Gauge { amount: limit.amount, source, words }))
            }
            MiddlewareKind::BasicAuth(credentials) => {
                let words = self.words(&middleware.name, Counted::Proofs);
                let credentials = self.with_users(credentials, Format::Htpasswd);
                Step::BasicAuth(Arc::new(Basic::new(&credentials, words)))
            }
            MiddlewareKind::DigestAuth(credentials) => {
                let format = Format::Htdigest(credentials.realm.clone());
                let credentials = self.with_users(credentials, format);
                Step::DigestAuth(Arc::new(Digest::new(&credentials, self.key)))
            }
            // The first attempt is none.
            MiddlewareKind::Retry(retry) if retry.attempts == 1 => return None,
            MiddlewareKind::Retry(retry) => Step::Retry(Arc::new(retry.clone())),
            MiddlewareKind::CircuitBreaker(settings) => {
                Step::Breaker(Arc::new(Breaker::new(&middleware.name, settings)))
            }
            MiddlewareKind::ForwardAuth(auth) => {
                let target = self.hold_target(&auth.url.authority, &auth.transport);
                self.asked.push(target);
                Step::ForwardAuth(Arc::new(Forward { target, auth: (**auth).clone() }))
            }
            MiddlewareKind::Errors(pages) => {
                let service = self.hold_service(&pages.service);
                self.slots.get_mut(service).pages += 1;
                self.pages.push(service);
                Step::Errors(Arc::new(Pages::new(pages.clone(), service)))
            }
            MiddlewareKind::ContentType { detects } if *detects != Some(false) => Step::ContentType,
            MiddlewareKind::PassClientCert(it) => Step::ClientCert(Arc::new(it.clone())),
            MiddlewareKind::GrpcWeb(it) => Step::GrpcWeb(Arc::new(it.clone())),
            MiddlewareKind::Compress(it) => Step::Compress(Arc::new(it.clone())),
            MiddlewareKind::Buffering(it) => Step::Buffering(Arc::new(it.clone())),
            MiddlewareKind::ContentType { .. }
            | MiddlewareKind::Chain(_)
            | MiddlewareKind::Broken(_) => return None,
        })
    }

    /// The same steps with breakers of their own: what fails behind one router or service says
    /// nothing about what is behind another.
    pub(super) fn own_breakers(&mut self, steps: Arc<[Step]>, user: &User) -> Arc<[Step]> {
        if !steps.iter().any(|step| matches!(step, Step::Breaker(_))) {
            return steps;
        }
        let own = |step: &Step| {
            let Step::Breaker(template) = step else { return step.clone() };
            let (breaker, kept) = self.registry.breaker(template, user);
            if !kept {
                let name = template.middleware();
                let text =
                    format!("reset: circuit breaker {name} of {user}: its definition changed");
                self.pending.report.push(text);
            }
            Step::Breaker(breaker)
        };
        steps.iter().map(own).collect()
    }

    /// Forgets breakers that nobody goes through any more.
    pub(super) fn forget_breakers(&mut self) {
        let (routing, guards) = (&self.routing, &self.guards);
        let in_use = |name: &str, user: &User| match user {
            User::Router(router) => routing.uses(name, router),
            User::Service(service) => guards.uses(name, service),
        };
        for (name, user) in self.registry.keep_breakers(in_use) {
            let text = format!("dropped: circuit breaker {name} of {user}: it is gone");
            self.pending.report.push(text);
        }
    }

    /// Where a middleware counts.
    fn counts(&mut self, name: &str, limit: &RateLimit) -> Counts {
        let Some(redis) = &limit.redis else {
            return Counts::Here(self.words(name, Counted::Rate(limit.clone())));
        };
        let target = self.hold_target(&redis.endpoint, &redis.transport);
        self.asked.push(target);
        Counts::InRedis(Ledger::new(name, Arc::clone(redis), target))
    }

    fn words(&mut self, name: &str, counted: Counted) -> Arc<Words> {
        let count = match counted {
            Counted::Rate(_) | Counted::InFlight(_) => self.limits.source_words,
            Counted::Proofs => self.limits.proof_words,
        };
        let key = self.key;
        let (words, kept) = self.registry.words(name, counted, || Words::new(key, count));
        if !kept {
            let text = format!("reset: counts of middleware {name}: its definition changed");
            self.pending.report.push(text);
        }
        words
    }
}
