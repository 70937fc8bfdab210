//! Which route takes a request.

use super::Route;
use crate::http::request::RequestInfo;
use crate::rule::Rule;
use std::sync::Arc;

/// The routes of one entry point or uplink, best first.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<(Arc<Rule>, Arc<Route>)>,
}

impl RouteTable {
    /// Orders by priority, highest first, then by name.
    pub fn new(mut routes: Vec<(Arc<Rule>, Arc<Route>)>) -> Self {
        routes.sort_by(|(_, a), (_, b)| {
            b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name))
        });
        Self { routes }
    }

    /// The first route in order whose rule matches.
    pub fn find(&self, request: &RequestInfo<'_>) -> Option<&Arc<Route>> {
        self.find_at(request).and_then(|at| self.at(at))
    }

    /// The position of the first route in order whose rule matches: what a request in flight
    /// keeps, because counting references would be shared by all cores.
    pub fn find_at(&self, request: &RequestInfo<'_>) -> Option<u32> {
        let at = self.routes.iter().position(|(rule, _)| rule.matches(request))?;
        u32::try_from(at).ok()
    }

    pub fn at(&self, position: u32) -> Option<&Arc<Route>> {
        self.routes.get(position as usize).map(|(_, route)| route)
    }

    /// All routes, best first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter().map(|(_, route)| route)
    }
}
