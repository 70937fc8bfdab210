//! What keeps its number, its position and its figures from one view to the next.
//!
//! A service is known by its qualified name, a server by its service and URL, a target by its
//! address and transport, a router by its name. As long as a definition or a reference names it,
//! it keeps its number, and with it whatever others remember by that number. A balancer's position
//! belongs to the service's name and kind: new weights or members go on from where the old ones
//! were, so that a child that comes and goes does not send the first request to the heaviest again
//! and again.

use super::stats::Scope;
use crate::base::id::{ServerId, ServiceId, TargetId};
use crate::base::intern::Interner;
use crate::config::fixed::{Authority, Transport};
use crate::config::typed::{RateLimit, Source};
use crate::service::middleware::breaker::Breaker;
use crate::service::middleware::words::Words;
use crate::uplink::materialise::ServiceNames;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Registry {
    pub services: ServiceNames,
    servers: Interner<(ServiceId, Arc<str>)>,
    targets: Interner<(Authority, Transport)>,
    routers: BTreeMap<Arc<str>, Arc<Scope>>,
    /// By middleware: whom its words count, and the words.
    words: BTreeMap<String, (Counted, Arc<Words>)>,
    /// By middleware, and by whom it is before.
    breakers: BTreeMap<(String, User), Arc<Breaker>>,
}

/// What a middleware is before, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum User {
    Router(Arc<str>),
    Service(Arc<str>),
}

impl User {
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Router(name) | Self::Service(name) => name,
        }
    }

    /// What it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Router(_) => "router",
            Self::Service(_) => "service",
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(name) => f.write_str(name),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

/// What the words of a middleware count. Words of something else are of no use.
#[derive(Clone, PartialEq, Debug)]
pub enum Counted {
    Rate(RateLimit),
    InFlight(Source),
    /// Credentials that were proved: these say themselves what they are.
    Proofs,
}

impl Registry {
    pub fn hold_service(&mut self, name: &Arc<str>) -> ServiceId {
        ServiceId(self.services.hold(name))
    }

    pub fn hold_server(&mut self, service: ServiceId, url: &Arc<str>) -> ServerId {
        ServerId(self.servers.hold(&(service, Arc::clone(url))))
    }

    pub fn release_server(&mut self, server: ServerId) -> bool {
        self.servers.release(server.0)
    }

    pub fn server_holds(&self, server: ServerId) -> u32 {
        self.servers.holds(server.0)
    }

    pub fn target_holds(&self, target: TargetId) -> u32 {
        self.targets.holds(target.0)
    }

    /// How many servers and targets are held.
    pub fn counts(&self) -> (usize, usize) {
        (self.servers.len(), self.targets.len())
    }

    pub fn hold_target(&mut self, authority: &Authority, transport: &Transport) -> TargetId {
        TargetId(self.targets.hold(&(authority.clone(), transport.clone())))
    }

    pub fn release_target(&mut self, target: TargetId) -> bool {
        self.targets.release(target.0)
    }

    /// The figures of a router.
    pub fn router(&mut self, name: &Arc<str>) -> Arc<Scope> {
        Arc::clone(self.routers.entry(Arc::clone(name)).or_default())
    }

    /// The words of a middleware. False if those that it had were of no more use.
    pub fn words(
        &mut self,
        name: &str,
        counted: Counted,
        make: impl FnOnce() -> Words,
    ) -> (Arc<Words>, bool) {
        match self.words.get(name) {
            Some((old, words)) if *old == counted => (Arc::clone(words), true),
            other => {
                let is_new = other.is_none();
                let words = Arc::new(make());
                self.words.insert(name.to_owned(), (counted, Arc::clone(&words)));
                (words, is_new)
            }
        }
    }

    /// The breaker that a middleware is to one user. False if the one that it was is of no more
    /// use.
    pub fn breaker(&mut self, template: &Breaker, user: &User) -> (Arc<Breaker>, bool) {
        let key = (template.middleware().to_owned(), user.clone());
        let old = self.breakers.get(&key);
        if let Some(same) = old.filter(|old| old.settings() == template.settings()) {
            return (Arc::clone(same), true);
        }
        let is_new = old.is_none();
        let made = Arc::new(Breaker::new(template.middleware(), template.settings()));
        self.breakers.insert(key, Arc::clone(&made));
        (made, is_new)
    }

    /// What a middleware is to each of its users, if it is a breaker.
    pub fn breakers_of(&self, name: &str) -> Vec<(User, Arc<Breaker>)> {
        let from = (name.to_owned(), User::Router("".into()));
        let own = self.breakers.range(from..).take_while(|((middleware, _), _)| middleware == name);
        own.map(|((_, user), breaker)| (user.clone(), Arc::clone(breaker))).collect()
    }

    /// Forgets breakers that nobody uses, and tells which.
    pub fn keep_breakers(&mut self, in_use: impl Fn(&str, &User) -> bool) -> Vec<(String, User)> {
        let used = |(middleware, user): &(String, User)| in_use(middleware, user);
        let gone = self.breakers.keys().filter(|key| !used(key)).cloned().collect();
        self.breakers.retain(|key, _| used(key));
        gone
    }

    /// Forgets the words of other middlewares, and tells which.
    pub fn keep_words(&mut self, in_use: impl Fn(&str) -> bool) -> Vec<String> {
        let gone: Vec<String> = self.words.keys().filter(|name| !in_use(name)).cloned().collect();
        self.words.retain(|name, _| in_use(name));
        gone
    }

    /// Forgets the figures of a router.
    pub fn forget_router(&mut self, name: &str) {
        self.routers.remove(name);
    }
}
