//! The way of one request down the tree of services, followed again: through the middlewares of
//! services on it, and as often as the request was sent.

use super::decide::{Decision, End, Judge, Segment};
use crate::base::id::ServiceId;
use crate::base::limits::Limits;
use crate::base::time::Time;
use crate::service::choosing::{Asker, Session};
use crate::service::middleware::Step;
use crate::view::{Route, View};
use crate::worker::choose::{self, Pick, Sight, Start};
use crate::worker::exchange::{Again as Before, Choices, service_of};
use crate::worker::explain::Asked;
use crate::worker::record::Choice;
use crate::worker::recording::event::{Again, Why};
use crate::worker::retry::{Cause, wanted};

/// With another configuration a request is followed so far.
const WALKS_MAX: usize = 32;

/// A service whose middlewares the request came to.
struct Met {
    service: ServiceId,
    /// Choices before.
    choices: usize,
    /// Steps up to behind its own.
    steps: usize,
}

/// How far a request has come.
struct Path {
    /// Of the route and of services.
    laid: Vec<Step>,
    of_route: usize,
    met: Vec<Met>,
    choices: Choices,
    before: Option<Before>,
    /// A breaker kept it from these.
    shut: Vec<ServiceId>,
    anew: Option<Choice>,
}

/// What comes of it.
enum Next {
    From(ServiceId),
    Answered(End),
    Over,
}

impl Path {
    fn new(route: &Route) -> Self {
        Self {
            laid: route.steps.to_vec(),
            of_route: route.steps.len(),
            met: Vec::new(),
            choices: Choices::default(),
            before: None,
            shut: Vec::new(),
            anew: None,
        }
    }

    fn push(&mut self, view: &View, service: ServiceId) {
        let guard = service_of(view, service).and_then(|node| node.guard.as_ref());
        self.laid.extend(guard.iter().flat_map(|guard| guard.steps.iter().cloned()));
        let (choices, steps) = (self.choices.as_slice().len(), self.laid.len());
        self.met.push(Met { service, choices, steps });
    }

    /// Back to before this choice, and to behind the middlewares that stand before it.
    fn retreat(&mut self, choice: usize) {
        self.met.truncate(self.met.iter().filter(|met| met.choices <= choice).count());
        self.laid.truncate(self.met.last().map_or(self.of_route, |met| met.steps));
        self.choices.truncate(choice);
    }

    /// The service that asks for another attempt by middlewares of its own, and the choices before
    /// it; none if the route does.
    fn resender(&self) -> Option<(ServiceId, usize)> {
        let resends = |step: &Step| {
            matches!(step, Step::Buffering(limits) if limits.repeat.is_some())
                || matches!(step, Step::Retry(_))
        };
        let at = self.laid.iter().rposition(resends).filter(|at| *at >= self.of_route)?;
        let met = self.met.iter().find(|met| at < met.steps)?;
        Some((met.service, met.choices))
    }
}

impl Judge<'_> {
    pub(super) fn send(
        &self,
        asked: &Asked<'_>,
        route: &Route,
        service: ServiceId,
        decision: &mut Decision,
    ) {
        let mut path = Path::new(route);
        let mut from = service;
        let times = if self.same { self.request.sent.len() } else { WALKS_MAX };
        for at in 0..times {
            let known = self.request.sent.get(at).filter(|_| self.same);
            known.iter().for_each(|sent| self.rewind(&sent.choices));
            let peeks = known.is_some();
            let asker =
                Asker { fields: asked.head.fields, ip: asked.peer(), now: asked.now, peeks };
            let start = Start {
                from,
                behind: path.met.last().is_some_and(|met| met.service == from),
                anew: path.anew.take(),
                again: path.before.as_ref(),
                depth_max: Limits::default().service_depth,
            };
            let sight = Sight { view: self.view, now: asked.now, shut: &path.shut };
            let walk = choose::walk(&sight, &start, &mut path.choices, &asker);
            decision.ways.push(self.way(route, from, &path.choices, &walk));
            let next = match walk.pick {
                Pick::Guarded(guarded) => self.meet(asked, &mut path, guarded, service, at + 1),
                Pick::Server(_) | Pick::Internal(_) | Pick::Nobody(_) => {
                    self.sent_again(&mut path, service, at + 1)
                }
            };
            match next {
                Next::From(next) => from = next,
                Next::Answered(end) => {
                    decision.end = Some(end);
                    return;
                }
                Next::Over => return,
            }
        }
    }

    /// Takes it through the middlewares of a service.
    fn meet(
        &self,
        asked: &Asked<'_>,
        path: &mut Path,
        guarded: ServiceId,
        service: ServiceId,
        behind: usize,
    ) -> Next {
        let from = path.laid.len();
        path.push(self.view, guarded);
        let last = self.same && behind == self.request.sent.len();
        if last && self.request.answered().is_none() {
            return Next::Over;
        }
        let guard = service_of(self.view, guarded).and_then(|node| node.guard.as_ref());
        let counts = guard.map_or("", |guard| &*guard.counts);
        let here = Segment { counts, from, behind };
        let Some(end) = self.pass(asked, &path.laid, &here) else { return Next::From(guarded) };
        if self.again_behind(behind).is_some() {
            return self.sent_again(path, service, behind);
        }
        let elsewhere = if self.same {
            let breaks = end.step.and_then(|step| path.laid.get(usize::from(step)));
            let breaks = matches!(breaks, Some(Step::Breaker(_)));
            if breaks && !last { self.passed_by(asked, path, guarded) } else { None }
        } else {
            self.other_side(path, end.status)
        };
        elsewhere.map_or(Next::Answered(end), Next::From)
    }

    pub(super) fn again_behind(&self, behind: usize) -> Option<&Again> {
        let mut again = self.request.again.iter().filter(|_| self.same);
        again.find(|(sent, _)| *sent == behind).map(|(_, again)| again)
    }

    /// Another member or side than one that a breaker keeps from serving.
    fn passed_by(
        &self,
        asked: &Asked<'_>,
        path: &mut Path,
        guarded: ServiceId,
    ) -> Option<ServiceId> {
        path.shut.push(guarded);
        let sight = Sight { view: self.view, now: asked.now, shut: &path.shut };
        let at = sight.choice_with_others(path.choices.as_slice())?;
        let choice = path.choices.as_slice()[at];
        path.retreat(at);
        path.anew = Some(choice);
        Some(choice.service)
    }

    /// The other side of a failover that counts this status as a failure.
    fn other_side(&self, path: &mut Path, status: u16) -> Option<ServiceId> {
        let other = choose::other_side(self.view, &path.choices, status)?;
        path.retreat(other.at);
        let side = Choice {
            service: other.failover,
            ticket: 0,
            turn: 1,
            session: Session::None,
            instead: false,
        };
        path.choices.push(side, u32::MAX);
        Some(other.fallback)
    }

    /// Where a request goes that is sent again, if it was and would be.
    fn sent_again(&self, path: &mut Path, service: ServiceId, behind: usize) -> Next {
        let Some(again) = self.again_behind(behind) else { return Next::Over };
        let cause = match again.why {
            Why::OtherSide => {
                return self.other_side(path, again.status).map_or(Next::Over, Next::From);
            }
            Why::Unreached => Cause::Unreached,
            Why::Lost => Cause::Lost,
            Why::Answered => Cause::Answered,
            Why::Barred => Cause::Barred,
        };
        let failures = path.before.as_ref().map_or(0, |before| before.failures) + 1;
        let method = &self.request.asked.method;
        let wanted = wanted(&path.laid, method, cause, again.status, failures);
        if !wanted.is_some_and(|wanted| wanted.again) {
            return Next::Over;
        }
        let (next, choices) = path.resender().unwrap_or((service, 0));
        let mut tried = path.before.take().map(|before| before.tried).unwrap_or_default();
        let ways = path.choices.as_slice().iter();
        tried.extend(ways.map(|choice| (choice.service, choice.turn)));
        path.before = Some(Before { tried, before: path.choices, failures, since: Time::ZERO });
        match path.resender() {
            Some(_) => path.retreat(choices),
            None => {
                path.met.clear();
                path.laid.truncate(path.of_route);
                path.choices.truncate(0);
            }
        }
        Next::From(next)
    }
}
