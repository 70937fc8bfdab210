//! Middlewares of services themselves, met on the way down the tree of services. What one of them
//! answers is, to the services above it, the answer of the service that it stands before: another
//! side of a failover, another attempt, or another member in the place of one that a breaker keeps
//! from serving.
//!
//! ```text
//! walk ─▶ Guarded(service) ─▶ its steps ─┬─ pass ─▶ walk on below the service
//!                                        └─ answer ─▶ above, as from the service
//! ```

use super::Worker;
use super::choose::{self, Sight};
use super::exchange::{Exchange, Phase, route_of, service_of};
use super::pass::Way;
use super::retry::Cause;
use crate::base::id::ServiceId;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::service::middleware::Step;
use crate::service::middleware::breaker::Counted;
use crate::view::stats::MirrorSkip;
use crate::view::{GUARDS_MAX, Route, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A service whose middlewares a request came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    pub(super) service: ServiceId,
    /// Choices before.
    pub(super) choices: u8,
    /// Steps up to behind its own.
    steps: u16,
    at: Time,
}

/// Those on a request's way, outermost first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guards {
    list: [Met; GUARDS_MAX],
    len: u8,
}

impl Default for Guards {
    fn default() -> Self {
        let none = Met { service: ServiceId(0), choices: 0, steps: 0, at: Time::ZERO };
        Self { list: [none; GUARDS_MAX], len: 0 }
    }
}

impl Guards {
    pub(super) fn as_slice(&self) -> &[Met] {
        &self.list[..usize::from(self.len)]
    }

    pub(super) fn last(&self) -> Option<&Met> {
        self.as_slice().last()
    }

    /// Whose counts a step keeps.
    pub(super) fn name_at<'v>(&self, step: u16, way: &Way<'v>) -> &'v str {
        if usize::from(step) < way.route.steps.len() {
            return &way.route.name;
        }
        let met = self.as_slice().iter().find(|met| step < met.steps);
        let node = met.and_then(|met| service_of(way.view, met.service));
        node.and_then(|node| node.guard.as_ref()).map_or("", |guard| &guard.counts)
    }

    fn push(&mut self, met: Met) {
        self.list[usize::from(self.len)] = met;
        self.len += 1;
    }

    fn truncate(&mut self, len: usize) {
        self.len = u8::try_from(len).map_or(self.len, |len| len.min(self.len));
    }

    /// How many stand before the choice at this place, or before what chose there.
    pub(super) fn down_to(&self, choice: usize) -> usize {
        self.as_slice().iter().filter(|met| usize::from(met.choices) <= choice).count()
    }
}

/// Chains of steps one behind the other, by where their parts are in memory. A part stays there
/// for as long as it is kept here.
#[derive(Debug, Default)]
pub(super) struct Chains(BTreeMap<(usize, usize), Chain>);

#[derive(Debug)]
struct Chain {
    _parts: (Arc<[Step]>, Arc<[Step]>),
    whole: Arc<[Step]>,
}

impl Chains {
    fn of(&mut self, outer: &Arc<[Step]>, inner: &Arc<[Step]>, room: usize) -> Arc<[Step]> {
        let place = |steps: &Arc<[Step]>| steps.as_ptr() as usize;
        // All chains without a step may stand at one place.
        if outer.is_empty() {
            return Arc::clone(inner);
        }
        if inner.is_empty() {
            return Arc::clone(outer);
        }
        let key = (place(outer), place(inner));
        if self.0.len() >= room && !self.0.contains_key(&key) {
            self.0.clear();
        }
        let chain = self.0.entry(key).or_insert_with(|| Chain {
            _parts: (Arc::clone(outer), Arc::clone(inner)),
            whole: outer.iter().chain(inner.iter()).cloned().collect(),
        });
        Arc::clone(&chain.whole)
    }

    /// Those of a view that is gone are of no more use.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl Exchange {
    /// All steps on its way so far: of the route, and of services.
    pub(super) fn steps(&self) -> &[Step] {
        match &self.laid {
            Some(laid) => laid,
            None => self.route().map_or(&[], |route| &route.steps),
        }
    }

    /// Whether it stands before a service of which the middlewares have not let it pass yet.
    fn is_before_service(&self) -> bool {
        self.guards.last().is_some_and(|met| self.passed < met.steps)
    }

    /// The service that a step stands before; none if it is one of the route.
    pub(super) fn met_at(&self, step: u16) -> Option<&Met> {
        let of_route = self.route().map_or(0, |route| route.steps.len());
        if usize::from(step) < of_route {
            return None;
        }
        self.guards.as_slice().iter().find(|met| step < met.steps)
    }

    /// How many steps there are up to behind so many services.
    fn steps_behind(&self, guards: usize) -> u16 {
        let met = guards.checked_sub(1).and_then(|at| self.guards.as_slice().get(at));
        let of_route = self.route().map_or(0, |route| route.steps.len());
        let of_route = u16::try_from(of_route).expect("steps are counted in hundreds");
        met.map_or(of_route, |met| met.steps)
    }
}

impl Worker {
    /// Takes a request to the middlewares of a service.
    pub(super) fn meet(&mut self, key: Key, service: ServiceId) {
        let now = self.now;
        let exchange = self.exchanges.get(key).expect("a directed exchange exists");
        let view = exchange.view.clone();
        let mut guards = exchange.guards;
        let (steps, choices) = (exchange.steps().len(), exchange.choices.as_slice().len());
        let guard = service_of(&view, service).and_then(|node| node.guard.as_ref());
        let own = guard.map_or(0, |guard| guard.steps.len());
        guards.push(Met {
            service,
            choices: u8::try_from(choices).expect("levels are few"),
            steps: u16::try_from(steps + own).expect("steps are counted in thousands"),
            at: now,
        });
        let route = exchange.route.and_then(|route| route_of(&view, exchange.entry, route));
        let laid = self.lay(&view, route, &guards);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        exchange.guards = guards;
        exchange.laid = laid;
        exchange.phase = Phase::Waiting;
        self.mark(Mark::GuardMet);
        self.with_head(key, |worker, head, target| worker.pass(key, head, target));
    }

    pub(super) fn guards_down_to(&self, key: Key, choice: usize) -> usize {
        self.exchanges.get(key).map_or(0, |exchange| exchange.guards.down_to(choice))
    }

    /// Goes back to where only so many services with middlewares are on the way: those behind
    /// learn how it ended for them.
    pub(super) fn retreat(&mut self, key: Key, guards: usize, status: u16) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let end = exchange.steps_behind(guards);
        if exchange.guards.as_slice().len() <= guards {
            return;
        }
        if !exchange.is_mirror() {
            self.count_steps(exchange, end, status);
        }
        let view = exchange.view.clone();
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        for (at, place) in exchange.entered.take_from(end) {
            if let Some(Step::InFlight(gauge)) = exchange.steps().get(usize::from(at)) {
                gauge.leave(place);
            }
        }
        exchange.grants.retain(|grant| grant.step < end);
        exchange.guards.truncate(guards);
        exchange.passed = exchange.passed.min(end);
        let (route, guards) = (exchange.route, exchange.guards);
        let route = route.and_then(|route| route_of(&view, exchange.entry, route));
        let laid = self.lay(&view, route, &guards);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        exchange.laid = laid;
    }

    /// The steps of a route and of services behind it; none of its own if there are no services.
    fn lay(&mut self, view: &View, route: Option<&Route>, guards: &Guards) -> Option<Arc<[Step]>> {
        let room = self.limits.chains_max as usize;
        let mut laid: Option<Arc<[Step]>> = None;
        for met in guards.as_slice() {
            let guard = service_of(view, met.service).and_then(|node| node.guard.as_ref())?;
            let outer = laid.or_else(|| Some(Arc::clone(&route?.steps)));
            let outer = outer.unwrap_or_else(|| Arc::new([]));
            laid = Some(self.chains.of(&outer, &guard.steps, room));
        }
        laid
    }

    /// Gives a mirrored request what the main one went through before this choice.
    pub(super) fn inherit(&mut self, mirror: &mut Exchange, main: &Exchange, choice: usize) {
        let guards = main.guards.down_to(choice);
        let end = main.steps_behind(guards);
        mirror.route = main.route;
        mirror.guards = main.guards;
        mirror.guards.truncate(guards);
        mirror.passed = main.passed.min(end);
        mirror.inherited = mirror.passed;
        let grants = main.grants.iter().filter(|grant| grant.step < end);
        mirror.grants = grants.cloned().collect();
        let route = main.route.and_then(|route| route_of(&main.view, main.entry, route));
        mirror.laid = self.lay(&main.view, route, &mirror.guards);
    }

    /// What middlewares before a service answer is judged by the services above as if the service
    /// had answered so. True if that sends the request elsewhere.
    pub(super) fn is_guards_answer(&mut self, key: Key, status: u16) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        if !exchange.is_before_service() || exchange.paging.is_some() {
            return false;
        }
        self.mark(Mark::GuardAnswered);
        if exchange.is_mirror() {
            self.skip_mirror(MirrorSkip::Refused);
            return false;
        }
        self.goes_elsewhere(key, Cause::Barred, status)
    }

    /// Another side of a failover or another attempt, whichever is further in.
    pub(super) fn goes_elsewhere(&mut self, key: Key, cause: Cause, status: u16) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        let other = choose::other_side(&exchange.view, &exchange.choices, status);
        let inner = exchange.resends().and_then(|(at, _)| exchange.met_at(at));
        let retries_first =
            other.zip(inner).is_some_and(|(other, met)| usize::from(met.choices) > other.at);
        if retries_first {
            return self.retry(key, cause, status) || self.switch_side(key, cause, status);
        }
        self.switch_side(key, cause, status) || self.retry(key, cause, status)
    }

    /// A breaker keeps a request from its service: another member or side takes it, if there is
    /// one above that nothing keeps from serving.
    pub(super) fn passes_by(&mut self, key: Key, status: u16) -> bool {
        let now = self.now;
        let Some(exchange) = self.exchanges.get_mut(key) else { return false };
        let barred = exchange.guards.last().filter(|_| exchange.paging.is_none());
        let barred = barred.filter(|_| !planted(Mutant::DetourRefused));
        let Some(barred) = barred.map(|met| met.service) else { return false };
        exchange.shut.push(barred);
        let sight = Sight { view: &exchange.view, now, shut: &exchange.shut };
        let Some(at) = sight.choice_with_others(exchange.choices.as_slice()) else { return false };
        let (choice, guards) = (exchange.choices.as_slice()[at], exchange.guards.down_to(at));
        self.retreat(key, guards, status);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        exchange.choices.truncate(at);
        exchange.anew = Some(choice);
        exchange.phase = Phase::Waiting;
        self.switching.push((key, choice.service));
        true
    }

    /// Lets breakers know how a request ended that they let pass; a mirrored one tells only those
    /// that the main one did not meet. Tunnels are left out: how long one lasts says nothing about
    /// the server.
    pub(super) fn count_answer(&self, exchange: &Exchange) {
        let status = match exchange.status {
            0 if exchange.is_mirror() => exchange.origin_status,
            status => status,
        };
        if status != 0 && exchange.phase != Phase::Tunnel {
            self.count_steps(exchange, exchange.inherited, status);
        }
    }

    fn count_steps(&self, exchange: &Exchange, from: u16, status: u16) {
        let all = (0..exchange.passed).zip(exchange.steps());
        for (at, step) in all.filter(|(at, _)| *at >= from) {
            if let Step::Breaker(breaker) = step {
                let since = exchange.met_at(at).map_or(exchange.started, |met| met.at);
                let took = self.now.since(since);
                if breaker.count(status, took, self.now) == Counted::Opened {
                    self.mark(Mark::BreakerOpened);
                }
            }
        }
    }
}
