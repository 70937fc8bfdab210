//! The way of a request that nobody sent down the tree of services, through the middlewares that
//! it meets there.

use super::Asked;
use super::steps::{self, Line};
use crate::base::id::ServiceId;
use crate::service::choosing::Asker;
use crate::view::{Route, Step};
use crate::worker::choose::{self, Pick, Sight, Start};
use crate::worker::exchange::{Choices, service_of};
use crate::worker::record::{Choice, Session};
use serde_json::{Value, json};

pub(super) struct Descent {
    pub(super) choices: Choices,
    pub(super) pick: Pick,
    /// The innermost service reached.
    pub(super) end: ServiceId,
    /// What the middlewares on the way do.
    pub(super) told: Vec<Value>,
    /// Given by one of them.
    pub(super) answer: Option<Value>,
    /// Path and query behind the last.
    pub(super) path: String,
}

/// A service with middlewares on the way: choices before it, and steps up to behind its own.
struct Met {
    choices: usize,
    steps: usize,
}

impl Descent {
    pub(super) fn of(
        asked: &Asked<'_>,
        route: &Route,
        service: ServiceId,
        path: &str,
        depth_max: u32,
    ) -> Self {
        let mut descent = Self {
            choices: Choices::default(),
            pick: Pick::Guarded(service),
            end: service,
            told: Vec::new(),
            answer: None,
            path: path.to_owned(),
        };
        let mut laid = route.steps.to_vec();
        let mut met: Vec<Met> = Vec::new();
        let asker =
            Asker { fields: asked.head.fields, ip: asked.peer(), now: asked.now, peeks: true };
        let sight = Sight { view: asked.view, now: asked.now, shut: &[] };
        let (mut from, mut behind) = (service, false);
        loop {
            let start = Start { from, behind, anew: None, again: None, depth_max };
            let walk = choose::walk(&sight, &start, &mut descent.choices, &asker);
            (descent.pick, descent.end) = (walk.pick, walk.service);
            let Pick::Guarded(guarded) = walk.pick else { return descent };
            let passed = laid.len();
            let choices = descent.choices.as_slice().len();
            let status = descent.pass(asked, guarded, &mut laid);
            met.push(Met { choices, steps: laid.len() });
            let Some(status) = status else {
                (from, behind) = (guarded, true);
                continue;
            };
            debug_assert!(passed <= laid.len(), "steps are added");
            let Some(other) = choose::other_side(asked.view, &descent.choices, status) else {
                return descent;
            };
            descent.answer = None;
            descent.choices.truncate(other.at);
            descent.choices.push(switched(other.failover), u32::MAX);
            met.retain(|met| met.choices <= other.at);
            laid.truncate(met.last().map_or(route.steps.len(), |met| met.steps));
            (from, behind) = (other.fallback, false);
        }
    }

    /// Goes through the middlewares of one service. The status, if one answers.
    fn pass(&mut self, asked: &Asked<'_>, service: ServiceId, laid: &mut Vec<Step>) -> Option<u16> {
        let node = service_of(asked.view, service)?;
        let guard = node.guard.as_ref()?;
        let passed = laid.len();
        laid.extend(guard.steps.iter().cloned());
        let passage = steps::pass(asked, &Line { steps: laid, passed, name: &guard.counts });
        self.told.push(json!({ "service": &*node.name, "middlewares": passage.told }));
        self.path = passage.path;
        self.answer = passage.answer;
        let status = self.answer.as_ref().and_then(|answer| answer["status"].as_u64());
        status.and_then(|status| u16::try_from(status).ok())
    }
}

fn switched(failover: ServiceId) -> Choice {
    Choice { service: failover, ticket: 0, turn: 1, session: Session::None, instead: false }
}
