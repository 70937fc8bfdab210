//! What the configuration became, for people to look at: every definition with its state, its
//! problems and who uses it. A flip of health does not touch it.

use super::Internal;
use super::registry::User;
use super::table::Table;
use crate::base::id::{ChildId, ServiceId};
use crate::config::typed::{Middleware, Router, Service};
use crate::service::middleware::breaker::Breaker;
use crate::uplink::advert::Advert;
use std::sync::Arc;

/// A snapshot. Cloning is cheap: everything is shared.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Sorted by name.
    pub routers: Arc<[Arc<RouterInfo>]>,
    /// By [`ServiceId`].
    pub services: Table<ServiceInfo>,
    /// Every service, sorted by name.
    pub services_by_name: Arc<[ServiceId]>,
    /// Sorted by name.
    pub middlewares: Arc<[Arc<MiddlewareInfo>]>,
}

/// Whether a definition does what it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Condition {
    Enabled,
    /// Works, but not all of it.
    Warning,
    /// Does not serve: requests that reach it get 503.
    Disabled,
}

impl Condition {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Warning => "warning",
            Self::Disabled => "disabled",
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct RouterInfo {
    pub definition: Arc<Router>,
    pub condition: Condition,
    pub errors: Vec<String>,
    /// Names of the entry points where it is in effect.
    pub using: Vec<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct ServiceInfo {
    /// Qualified.
    pub name: Arc<str>,
    pub definition: Definition,
    pub condition: Condition,
    pub errors: Vec<String>,
    /// Routers that name it.
    pub used_by: Vec<Arc<str>>,
}

/// Where a service comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Definition {
    Written(Arc<Service>),
    /// `<uplink>-<child>@multicluster`: a balancer over the child's address alone.
    Child {
        child: ChildId,
        address: Arc<str>,
        advert: Arc<Advert>,
    },
    /// `<uplink>@multicluster`: weighted over the services of its children.
    Aggregate {
        members: Arc<[(ServiceId, u32)]>,
    },
    Internal(Internal),
}

#[derive(Clone, PartialEq, Debug)]
pub struct MiddlewareInfo {
    pub definition: Arc<Middleware>,
    pub condition: Condition,
    pub errors: Vec<String>,
    /// If it is one: by whom it is before, each with its own state.
    pub breakers: Vec<(User, Arc<Breaker>)>,
    /// Routers and services that name it, directly or through a chain or an entry point.
    pub used_by: Vec<Arc<str>>,
}
