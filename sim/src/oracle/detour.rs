//! Ways past circuit breakers before services: C4. Whoever takes the turn of another member or
//! side, or leaves that of its session, does so because a breaker keeps that one off; whoever is
//! refused had no other way; and those who are left share these turns by their weights.

use super::breaker::{Breakers, Shut};
use super::choice::{Known, known};
use super::share;
use super::strategy::{self, Picked};
use super::{Oracle, Verdict};
use crate::gateway::Gateway;
use crate::home;
use crate::model::qualified;
use crate::plan::{Document, Kind, Strategy};
use engine::base::time::Time;
use engine::config::typed;
use engine::view::{NodeKind, ServiceNode, View};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a line tells of a request that came to services with breakers.
#[derive(Clone, Debug)]
pub struct Way {
    /// Instance and life.
    pub of: (String, u64),
    pub epoch: u64,
    pub router: String,
    pub client: Option<IpAddr>,
    pub started: Time,
    pub ended: Time,
    /// A breaker has answered.
    pub refused: bool,
    pub forks: Vec<Fork>,
}

/// A choice on the way.
#[derive(Clone, Debug)]
pub struct Fork {
    pub service: String,
    /// None if a session was kept.
    pub ticket: Option<u64>,
    pub turn: u16,
    /// Somebody else would have had the turn.
    pub instead: bool,
    /// Whom the session was with that was not kept.
    pub left: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Detours(Vec<Way>);

impl Detours {
    pub fn note(&mut self, way: Way) {
        self.0.push(way);
    }

    /// Of an instance's life of which every line was read, and all its breakers were judged.
    pub fn judge(&self, gateway: &Gateway, breakers: &Breakers, now: Time, verdict: &mut Verdict) {
        let own = |way: &&Way| way.of.0 == gateway.instance.name && way.of.1 == gateway.lives;
        let mut turns: BTreeMap<&str, Vec<Turn>> = BTreeMap::new();
        for way in self.0.iter().filter(own) {
            let (Some(document), Some(view)) =
                (gateway.document_of(way.epoch), gateway.views.get(&way.epoch))
            else {
                continue;
            };
            let sight = Sight { way, document, view, gateway, breakers };
            for fork in &way.forks {
                if let Some(text) = sight.problem(fork) {
                    verdict.add(Oracle::C4, now, || format!("{fork:?} of {way:?}: {text}"));
                }
                if fork.instead && !sight.waits(fork) {
                    turns.entry(&fork.service).or_default().push(sight.turn(fork));
                }
            }
        }
        for (service, turns) in turns {
            for text in unfair(turns) {
                let name = &gateway.instance.name;
                verdict.add(Oracle::C4, now, || {
                    format!("{name}, in turns passed on by {service}: {text}")
                });
            }
        }
    }
}

/// A turn that somebody else had: when, who, and by which weights, as far as that is known.
#[derive(Clone, PartialEq, Debug)]
struct Turn {
    at: Time,
    member: u16,
    weights: Option<Vec<u32>>,
}

/// What is wrong with who had the turns of others. They go by a ticket of their own, so a stretch
/// in which the same ones are left follows one rotation.
fn unfair(mut turns: Vec<Turn>) -> Vec<String> {
    turns.sort_by_key(|turn| turn.at);
    let twins: Vec<Time> =
        turns.windows(2).filter(|two| two[0].at == two[1].at).map(|two| two[0].at).collect();
    for turn in turns.iter_mut().filter(|turn| twins.contains(&turn.at)) {
        // Which of them came first is not told.
        turn.weights = None;
    }
    let stretches = turns.chunk_by(|one, two| one.weights == two.weights);
    let problem = |stretch: &[Turn]| {
        let members: Vec<u16> = stretch.iter().map(|turn| turn.member).collect();
        share::run_problem(&members, stretch[0].weights.as_ref()?)
    };
    stretches.filter_map(problem).collect()
}

struct Sight<'a> {
    way: &'a Way,
    document: &'a Document,
    view: &'a View,
    gateway: &'a Gateway,
    breakers: &'a Breakers,
}

impl Sight<'_> {
    fn shut(&self, service: &str) -> Shut {
        if self.document.breaker_before(service).is_none() {
            return Shut::No;
        }
        let (instance, life) = self.way.of.clone();
        let place = (instance, life, qualified(service));
        self.breakers.shut(&place, self.way.started, self.way.ended)
    }

    fn kind(&self, fork: &Fork) -> Option<(&Kind, Strategy)> {
        let service = self.document.service(&fork.service)?;
        Some((&service.kind, service.strategy))
    }

    fn node(&self, service: &str) -> Option<&ServiceNode> {
        let found = self.view.services.iter().find(|node| *node.name == *service)?;
        Some(found)
    }

    fn problem(&self, fork: &Fork) -> Option<String> {
        match self.kind(fork)? {
            (Kind::Weighted(members), strategy) => {
                let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                self.member_problem(fork, &names, strategy)
            }
            (Kind::Failover { main, fallback, .. }, _) => self.side_problem(fork, main, fallback),
            (Kind::Balancer { .. } | Kind::Mirroring { .. }, _) => {
                fork.instead.then(|| "it passes nobody by".into())
            }
        }
    }

    fn side_problem(&self, fork: &Fork, main: &str, fallback: &str) -> Option<String> {
        if fork.instead && self.shut(main) == Shut::No {
            return Some(format!("nothing kept {main} from serving"));
        }
        let refused = self.way.refused && fork.turn == 0;
        let other = self.node(&qualified(fallback)).filter(|_| refused)?;
        let serves = known(self.view, other.id, 0) == Known::Up && self.shut(fallback) == Shut::No;
        serves.then(|| format!("it was refused, and {fallback} would have served"))
    }

    fn member_problem(&self, fork: &Fork, names: &[&str], strategy: Strategy) -> Option<String> {
        let open =
            |member: &usize| names.get(*member).is_none_or(|name| self.shut(name) == Shut::No);
        if let Some(left) = fork.left.filter(open) {
            return Some(format!("nothing kept member {left} from serving its session"));
        }
        let weights = self.gateway.weights(&fork.service, self.way.epoch)?;
        if self.way.refused {
            let serves = |member: &usize| weights[*member] > 0 && open(member);
            let other = (0..weights.len()).find(serves)?;
            return Some(format!("it was refused, and member {other} would have served"));
        }
        if !fork.instead {
            return None;
        }
        let turn = usize::from(fork.turn);
        let ticket = fork.ticket?;
        if strategy == Strategy::Client {
            // Whoever would be better has to be kept off.
            let left = |(at, weight): (usize, &u32)| {
                if at == turn || open(&at) { *weight } else { 0 }
            };
            let weights: Vec<u32> = weights.iter().enumerate().map(left).collect();
            let (turn, client) = (fork.turn, self.way.client);
            let strategy = typed::Strategy::Hrw;
            let weights = &weights[..];
            return strategy::problem(&Picked { strategy, ticket, turn, weights, names, client });
        }
        let NodeKind::Weighted { turns, .. } = &self.node(&fork.service)?.kind else { return None };
        let passed = usize::from(turns.rotation.turn(ticket)?);
        let wrong = passed == turn || open(&passed) || weights.get(turn).is_none_or(|it| *it == 0);
        wrong.then(|| format!("it was the turn of member {passed}, whom nothing kept from serving"))
    }

    /// Whether it may have been held up on its way to this choice.
    fn waits(&self, fork: &Fork) -> bool {
        let name = home::bare(&self.way.router);
        let router = self.document.routers.iter().find(|router| router.name == name);
        let service = self.document.service(&fork.service);
        let of_router = router.map(|router| &router.middlewares);
        let of_service = service.map(|service| &service.middlewares);
        of_router.into_iter().chain(of_service).flatten().any(|name| name == "rate")
    }

    fn turn(&self, fork: &Fork) -> Turn {
        Turn { at: self.way.started, member: fork.turn, weights: self.left(fork) }
    }

    /// The weights of those who are left, if it is known who is.
    fn left(&self, fork: &Fork) -> Option<Vec<u32>> {
        let (Kind::Weighted(members), Strategy::Turns) = self.kind(fork)? else { return None };
        let weights = self.gateway.shares(&fork.service, self.way.epoch)?;
        let of = |((name, _), weight): (&(String, u32), &u32)| match self.shut(name) {
            Shut::No => Some(*weight),
            Shut::Perhaps if *weight > 0 => None,
            Shut::Perhaps | Shut::Surely => Some(0),
        };
        members.iter().zip(weights).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::base::time::Span;

    #[track_caller]
    fn check(members: &[(u64, u16)], right: bool) {
        let turn = |(at, member): &(u64, u16)| Turn {
            at: Time::ZERO + Span::millis(*at),
            member: *member,
            weights: Some(vec![0, 2, 1]),
        };
        let problems = unfair(members.iter().map(turn).collect());
        assert_eq!(problems.is_empty(), right, "{members:?}: {problems:?}");
    }

    #[test]
    fn those_who_are_left_share_what_falls_to_them() {
        check(&[(1, 1), (2, 2), (3, 1), (4, 1), (5, 2)], true);
        check(&[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], false);
        check(&[(1, 2), (2, 2), (3, 2)], false);
        check(&[(1, 0), (2, 0)], false);
        // Of two at once nobody can tell which came first.
        check(&[(1, 1), (2, 2), (2, 2), (3, 1)], true);
    }
}
