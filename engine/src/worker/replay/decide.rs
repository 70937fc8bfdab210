//! One request, decided again by a view.

use super::Request;
use crate::base::id::{EntryId, ServiceId};
use crate::base::limits::Limits;
use crate::base::time::Time;
use crate::http::method::Method;
use crate::http::request::RequestInfo;
use crate::service::choosing::Session;
use crate::service::middleware::passing::Passing;
use crate::service::middleware::{Memory, Step, Verdict, judge, path};
use crate::service::signed::Claims;
use crate::view::{Destination, NodeKind, Route, ServiceNode, Turns, View};
use crate::worker::choose::{Pick, Walk};
use crate::worker::dispatch::{self, Routed};
use crate::worker::exchange::{Choices, route_of, server_of, service_of};
use crate::worker::explain::{self, Ask, Asked};
use crate::worker::fields;
use crate::worker::pass::write_target;
use crate::worker::recording::event::{Chosen, Sent, To, What};
use std::collections::BTreeSet;

/// What was decided about a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decision {
    /// Empty if none took it.
    pub router: String,
    /// Given by us, without a server being asked.
    pub end: Option<End>,
    /// Each time it was sent.
    pub ways: Vec<Sent>,
}

/// An answer of our own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct End {
    /// The middleware that gave it; none if nobody takes the request.
    pub step: Option<u16>,
    pub status: u16,
}

impl Eq for Sent {}

impl Decision {
    /// As it was recorded.
    pub(super) fn recorded(request: &Request) -> Self {
        let done = request.done.as_ref();
        let router = match (done, request.sent.last()) {
            (Some(done), _) => done.router.clone(),
            (None, Some(sent)) => sent.router.clone(),
            (None, None) => String::new(),
        };
        let ended = request.answered().filter(|_| request.is_before_steps());
        let behind = request.sent.len();
        let mut judged = request.judged.iter().filter(|(sent, _)| *sent == behind);
        let step = judged.next_back().map(|(_, judged)| judged.step);
        let end = ended.map(|done| End { step, status: done.status });
        let ways = request.sent.iter().map(plain).collect();
        Self { router, end, ways }
    }
}

/// A way without what was only an input.
fn plain(sent: &Sent) -> Sent {
    let mut sent = sent.clone();
    sent.choices.iter_mut().for_each(|choice| choice.loads.clear());
    sent
}

/// Steps that are met together: those of a route, or of a service on the way down.
pub(super) struct Segment<'a> {
    /// By which what they count is known.
    pub(super) counts: &'a str,
    pub(super) from: usize,
    /// How often the request had been sent before.
    pub(super) behind: usize,
}

/// Decides about one request.
pub(super) struct Judge<'a> {
    pub(super) view: &'a View,
    pub(super) request: &'a Request,
    /// Whether it is decided by the view that it was decided by.
    pub(super) same: bool,
}

impl Judge<'_> {
    pub(super) fn decide(&self) -> Result<Decision, String> {
        let mut ask = self.request.ask();
        self.restore_cookies(&mut ask);
        self.restore_signed(&mut ask);
        let now = Time::from_nanos(self.request.at);
        explain::asked(self.view, now, &ask, |asked| match asked {
            Ok(asked) => self.direct(asked),
            Err((_, wrong)) => answered(wrong.status()),
        })
    }

    /// What a cookie said is known by whom it led to, the first time that its service was met.
    fn restore_cookies(&self, ask: &mut Ask) {
        let mut met = BTreeSet::new();
        let choices = self.request.sent.iter().flat_map(|sent| &sent.choices);
        let first = choices.filter(|choice| met.insert(&choice.service));
        for choice in first.filter(|choice| choice.session.follows_cookie()) {
            let sticking = self.service(&choice.service).and_then(|node| {
                node.choosing.as_ref().and_then(|choosing| choosing.sticky.as_ref())
            });
            let line = sticking.and_then(|it| match choice.session {
                Session::Renewed => it.cookie.earlier(choice.turn),
                Session::None | Session::Kept | Session::Begun => {
                    it.cookie.line(choice.turn).map(str::to_owned)
                }
            });
            if let Some(line) = line {
                let pair = line.split(';').next().unwrap_or_default().to_owned();
                ask.fields.push(("Cookie".to_owned(), pair));
            }
        }
    }

    /// What a cookie for all levels said is known in the same way. It is signed with the key that
    /// is here, in the place of the one that is told to nobody.
    fn restore_signed(&self, ask: &mut Ask) {
        let (mut claims, mut signed) = (Claims::default(), None);
        let mut met = BTreeSet::new();
        for choice in self.request.sent.iter().flat_map(|sent| &sent.choices) {
            let Some(node) = self.service(&choice.service) else { continue };
            signed = signed.or_else(|| node.choosing.as_ref()?.signed.as_ref());
            let kept = signed.is_some() && choice.session == Session::Kept;
            if let Some(leash) = node.leash.as_ref().filter(|_| kept)
                && let Some(member) = leash.members.get(usize::from(choice.turn))
                && met.insert(leash.service)
            {
                claims.push(leash.service, *member);
            }
        }
        if let Some(line) = signed.filter(|_| !met.is_empty()).and_then(|it| it.line(&claims)) {
            let pair = line.split(';').next().unwrap_or_default().to_owned();
            ask.fields.push(("Cookie".to_owned(), pair));
        }
    }

    fn service(&self, name: &str) -> Option<&ServiceNode> {
        let names = &self.view.model.services_by_name;
        let of = |id: &ServiceId| service_of(self.view, *id).map_or("", |node| &*node.name);
        let at = names.binary_search_by(|id| of(id).cmp(name)).ok();
        let found =
            at.map(|at| names[at]).or_else(|| names.iter().copied().find(|id| of(id) == name));
        service_of(self.view, found?)
    }

    fn direct(&self, asked: &Asked<'_>) -> Decision {
        if asked.head.method == Method::Connect {
            return answered(501);
        }
        let instance = &self.view.fixed.tieline.instance;
        if fields::is_loop(asked.head.fields, instance, Limits::default().hops_max) {
            return answered(508);
        }
        let info = RequestInfo::new(asked.head, asked.target, asked.peer());
        let routed = dispatch::route(self.view, asked.entry, asked.ask.secure, &info, asked.head);
        match routed {
            Routed::To(route) => match route_of(self.view, asked.entry, route) {
                Some(route) if self.is_misdirected(&route.options) => answered(421),
                Some(route) => self.follow(asked, route),
                None => Decision::default(),
            },
            Routed::Advert(_) if self.is_misplaced(asked.entry) => answered(421),
            Routed::Advert(advert) => {
                let fields = asked.head.fields;
                let tags = crate::http::fields::all(fields, "if-none-match");
                // Its tags were hidden; what was answered says whether one was ours.
                let status = self.request.done.as_ref().map_or(200, |done| done.status);
                let told = tags.count() > 0 && status == 304 && !advert.etag.is_empty();
                answered(if told { 304 } else { 200 })
            }
            Routed::Undiscovered => answered(503),
            Routed::Nowhere => answered(404),
        }
    }

    fn is_misdirected(&self, wanted: &str) -> bool {
        !wanted.is_empty() && self.request.asked.options != wanted
    }

    fn is_misplaced(&self, entry: EntryId) -> bool {
        let wanted = self.view.entries[usize::from(entry.0)].settings.tls.as_deref();
        wanted.is_some_and(|wanted| wanted != self.request.asked.options)
    }

    fn follow(&self, asked: &Asked<'_>, route: &Route) -> Decision {
        let mut decision = Decision { router: route.name.to_string(), ..Decision::default() };
        if let Destination::Broken(_) = route.to {
            decision.end = Some(End { step: None, status: 503 });
            return decision;
        }
        let here = Segment { counts: &route.name, from: 0, behind: 0 };
        decision.end = self.pass(asked, &route.steps, &here);
        if decision.end.is_some() {
            return decision;
        }
        match route.to {
            Destination::Service(service) => {
                self.send(asked, route, service, &mut decision);
                decision
            }
            Destination::Layer(layer) => match asked.below(route, layer) {
                Ok(route) => self.follow(asked, route),
                Err(status) => {
                    decision.end = Some(End { step: None, status });
                    decision
                }
            },
            Destination::Broken(_) => decision,
        }
    }

    /// The answer of the first middleware that gives one, of those from there on.
    pub(super) fn pass(
        &self,
        asked: &Asked<'_>,
        steps: &[Step],
        here: &Segment<'_>,
    ) -> Option<End> {
        if !steps.iter().any(Step::may_answer) {
            return None;
        }
        let (mut memory, mut captures) = (Memory::default(), path::Memory::default());
        let mut way = String::new();
        write_target(&mut way, asked.target);
        for (at, step) in (0..).zip(steps) {
            let passing = asked.passing(here.counts, &steps[..usize::from(at)], &way);
            let end = match counts(step) {
                _ if usize::from(at) < here.from => None,
                true => self.remembered(at, step, &passing, &mut memory, here.behind),
                false => status_of(judge(step, &passing, &mut memory)),
            };
            if let Some(status) = end {
                return Some(End { step: Some(at), status });
            }
            if path::apply(step, &mut way, &mut captures, &mut |_, _| {}).is_err() {
                return Some(End { step: None, status: 400 });
            }
        }
        None
    }

    /// What a step says that counts, remembers or asks: what it said then; with another
    /// configuration, a limit of rates counts anew, and whatever else lets the request pass.
    fn remembered(
        &self,
        at: u16,
        step: &Step,
        passing: &Passing<'_>,
        memory: &mut Memory,
        behind: usize,
    ) -> Option<u16> {
        if !self.same {
            let anew = matches!(step, Step::RateLimit(_));
            return anew.then(|| judge(step, passing, memory)).and_then(status_of);
        }
        let here = || self.request.judged.iter().filter(|(sent, _)| *sent == behind);
        let (_, judged) = here().rev().find(|(_, judged)| judged.step == at)?;
        let last = here().next_back().is_some_and(|(_, last)| last.step == at);
        match judged.what {
            What::Answered | What::Refused => Some(judged.status),
            What::Held if !last => None,
            What::Held => match self.again_behind(behind) {
                Some(again) => Some(again.status),
                None if self.request.sent.len() > behind => None,
                None => {
                    let ended = self.request.done.as_ref();
                    ended.filter(|done| done.passed <= at).map(|done| done.status)
                }
            },
        }
    }

    /// Shared words are what they were.
    pub(super) fn rewind(&self, choices: &[Chosen]) {
        for choice in choices {
            let Some(node) = self.service(&choice.service) else { continue };
            match &node.kind {
                NodeKind::Balancer { turns: Turns { ticket, .. }, .. }
                | NodeKind::Weighted { turns: Turns { ticket, .. }, .. } => {
                    ticket.rewind(choice.ticket);
                }
                NodeKind::Mirroring(mirroring) => mirroring.ticket.rewind(choice.ticket),
                NodeKind::Failover { .. } | NodeKind::Internal(_) | NodeKind::Unavailable(_) => {}
            }
            if let Some(choosing) = &node.choosing {
                let known = choosing.loads.iter().zip(&choice.loads);
                known.for_each(|(load, words)| load.become_as(*words));
            }
        }
    }

    pub(super) fn way(
        &self,
        route: &Route,
        from: ServiceId,
        choices: &Choices,
        walk: &Walk,
    ) -> Sent {
        let name = |id| service_of(self.view, id).map_or("", |node| &node.name).to_owned();
        let to = match walk.pick {
            Pick::Server(at) => {
                let server = server_of(self.view, at.service, at.position);
                To::Server(server.map_or_else(String::new, |server| server.url.to_string()))
            }
            Pick::Internal(internal) => To::Internal(internal.name().to_owned()),
            Pick::Guarded(service) => To::Guarded(name(service)),
            Pick::Nobody(_) => To::Nobody,
        };
        let choices = choices.as_slice().iter().map(|choice| Chosen {
            service: name(choice.service),
            ticket: choice.ticket,
            turn: choice.turn,
            session: choice.session,
            instead: choice.instead,
            loads: Vec::new(),
        });
        Sent {
            router: route.name.to_string(),
            service: name(from),
            choices: choices.collect(),
            to,
            mirrored: walk.mirrored,
            passed_by: walk.passed_by,
        }
    }
}

fn answered(status: u16) -> Decision {
    Decision { end: Some(End { step: None, status }), ..Decision::default() }
}

/// Whether what a step says depends on more than the request.
fn counts(step: &Step) -> bool {
    matches!(
        step,
        Step::RateLimit(_)
            | Step::InFlight(_)
            | Step::BasicAuth(_)
            | Step::DigestAuth(_)
            | Step::ForwardAuth(_)
            | Step::Breaker(_)
            | Step::Buffering(_)
    )
}

/// The status, where a verdict is an answer.
fn status_of(verdict: Verdict) -> Option<u16> {
    match verdict {
        Verdict::Refuse(status)
        | Verdict::Bare(status)
        | Verdict::Redirect(status)
        | Verdict::Open(status) => Some(status),
        Verdict::Preflight => Some(200),
        Verdict::TooMany(_) | Verdict::Full => Some(429),
        Verdict::Unauthorized | Verdict::Stale => Some(401),
        Verdict::Pass
        | Verdict::Hold(_)
        | Verdict::Entered(_)
        | Verdict::Verify
        | Verdict::Collect
        | Verdict::Consult
        | Verdict::Count => None,
    }
}
