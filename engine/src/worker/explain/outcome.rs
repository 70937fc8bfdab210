//! What becomes of requests like one, without what differs from the one to the next: for comparing
//! two configurations.

use super::steps::Line;
use super::{Asked, steps};
use crate::base::id::ServiceId;
use crate::base::limits::Limits;
use crate::http::request::RequestInfo;
use crate::view::model::Definition;
use crate::view::{Destination, NodeKind, Route, ServerNode, ServiceNode, Side, Turns, View};
use crate::worker::api;
use crate::worker::dispatch::{self, Routed};
use crate::worker::exchange::{route_of, service_of};
use std::collections::BTreeMap;

/// Parts of a whole.
pub const WHOLE: u64 = 1_000_000;

/// The end of requests like one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Outcome {
    /// Empty if no router takes them.
    pub router: String,
    /// By which TLS options a client must have come in; empty for none in particular.
    pub policy: String,
    /// What the middlewares are and do, outermost first.
    pub middlewares: Vec<String>,
    /// The outermost; empty if none is reached.
    pub service: String,
    /// What the middlewares of services that serve them are and do, by service.
    pub guards: BTreeMap<String, Vec<String>>,
    /// The status, where no server is asked.
    pub status: Option<u16>,
    /// Who is asked, in parts per million.
    pub shares: BTreeMap<String, u64>,
    /// Who gets copies, in percent.
    pub mirrors: BTreeMap<String, u8>,
    /// The path that a server is asked for.
    pub path: String,
}

impl Asked<'_> {
    pub(super) fn outcome(&self) -> Outcome {
        let info = RequestInfo::new(self.head, self.target, self.peer());
        let secure = self.ask.secure;
        let route = match dispatch::route(self.view, self.entry, secure, &info, self.head) {
            Routed::To(route) => route_of(self.view, self.entry, route),
            Routed::Advert(_) => return Outcome::answered(200),
            Routed::Undiscovered => return Outcome::answered(503),
            Routed::Nowhere => return Outcome::answered(404),
        };
        let Some(route) = route else { return Outcome::default() };
        let settings = &self.view.entries[usize::from(self.entry.0)].settings;
        let mut outcome = Outcome {
            policy: route.options.to_string(),
            middlewares: self.defined(&settings.middlewares),
            ..Outcome::default()
        };
        self.follow(route, &mut outcome);
        outcome
    }

    /// Goes on at `route`, and at the routers under it.
    fn follow(&self, route: &Route, outcome: &mut Outcome) {
        outcome.router = route.name.to_string();
        let routers = &self.view.model.routers;
        let at = routers.binary_search_by(|it| it.definition.name.as_str().cmp(&route.name));
        let own = at.map_or(&[][..], |at| &routers[at].definition.middlewares);
        outcome.middlewares.extend(self.defined(own));
        if let Destination::Broken(_) = route.to {
            outcome.status = Some(503);
            return;
        }
        let passage = steps::pass(self, &Line::of(route));
        if let Some(answer) = passage.answer {
            outcome.status = answer["status"].as_u64().and_then(|status| status.try_into().ok());
            return;
        }
        match route.to {
            Destination::Service(service) => {
                outcome.path = passage.path;
                let node = service_of(self.view, service);
                outcome.service = node.map_or("", |node| &node.name).to_owned();
                self.spread(outcome, service, WHOLE, Limits::default().service_depth);
                outcome.status = outcome.shares.is_empty().then_some(503);
            }
            Destination::Layer(layer) => match self.below(route, layer) {
                Ok(route) => self.follow(route, outcome),
                Err(status) => outcome.status = Some(status),
            },
            Destination::Broken(_) => {}
        }
    }

    /// Middlewares with what they are.
    fn defined(&self, names: &[String]) -> Vec<String> {
        let defined = names.iter().map(|name| match api::steps::defined(self.view, name) {
            Some(definition) => format!("{name} {definition}"),
            None => name.clone(),
        });
        defined.collect()
    }
}

impl Asked<'_> {
    /// Adds what a service makes of its part.
    fn spread(&self, to: &mut Outcome, service: ServiceId, part: u64, depth: u32) {
        let view = self.view;
        let Some(node) = service_of(view, service).filter(|_| depth > 0) else { return };
        let below = depth - 1;
        self.note_guard(to, node);
        match &node.kind {
            NodeKind::Balancer { turns, servers, .. } => {
                for (at, share) in shares(turns, part) {
                    let Some(server) = servers.get(usize::from(at)) else { continue };
                    *to.shares.entry(name_of(view, server)).or_default() += share;
                }
            }
            NodeKind::Weighted { turns, services } => {
                for (at, share) in shares(turns, part) {
                    let Some(service) = services.get(usize::from(at)) else { continue };
                    self.spread(to, *service, share, below);
                }
            }
            NodeKind::Failover { main, fallback, side, .. } => match side {
                Side::Main => self.spread(to, *main, part, below),
                Side::Fallback => self.spread(to, *fallback, part, below),
                Side::Neither => {}
            },
            NodeKind::Mirroring(mirroring) => {
                for mirror in &mirroring.mirrors {
                    let name = service_of(view, mirror.service).map_or("", |node| &node.name);
                    to.mirrors.insert(name.to_owned(), mirror.percent);
                }
                self.spread(to, mirroring.main, part, below);
            }
            NodeKind::Internal(internal) => {
                *to.shares.entry(format!("{internal:?}").to_lowercase()).or_default() += part;
            }
            NodeKind::Unavailable(_) => {}
        }
    }

    fn note_guard(&self, to: &mut Outcome, node: &ServiceNode) {
        let info = self.view.model.services.get(node.id.0);
        if let Some(Definition::Written(service)) = info.map(|info| &info.definition)
            && !service.middlewares.is_empty()
        {
            to.guards.insert(node.name.to_string(), self.defined(&service.middlewares));
        }
    }
}

impl Outcome {
    pub(super) fn answered(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

/// What each member of a rotation gets of `part`.
fn shares(turns: &Turns, part: u64) -> BTreeMap<u16, u64> {
    let turns = turns.rotation.turns();
    let mut counts = BTreeMap::new();
    turns.iter().for_each(|turn| *counts.entry(*turn).or_default() += 1_u64);
    counts.values_mut().for_each(|count| *count = *count * part / turns.len() as u64);
    counts
}

/// A child by name and uplink, another server by its URL.
fn name_of(view: &View, server: &ServerNode) -> String {
    let child = server.uplink.as_ref().and_then(|uplink| {
        let child = view.children.get(usize::from(uplink.child.0))?;
        Some(format!("{} of {}", uplink.name, child.name))
    });
    child.unwrap_or_else(|| server.url.to_string())
}
