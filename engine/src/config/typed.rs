//! The dynamic configuration: routers, services, middlewares and uplinks, after validation.
//! Values are in range; references are names, not yet resolved.

mod bodies;
mod breaker;
mod client_cert;
mod forward;
mod manner;
mod middleware;
mod redis;

pub use bodies::*;
pub use breaker::*;
pub use client_cert::*;
pub use forward::*;
pub use manner::*;
pub use middleware::*;
pub use redis::*;

use crate::base::time::Span;
use crate::config::fixed::{Authority, Observed, Scheme, Transport};
use crate::config::tls::{Certificate, ServerTls};
use crate::rule::{Rule, Syntax};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// One provider's definitions, each sorted by name. Names are qualified: `shop@file`.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    pub routers: Vec<Arc<Router>>,
    pub services: Vec<Arc<Service>>,
    pub middlewares: Vec<Arc<Middleware>>,
    pub uplinks: Vec<Arc<Uplink>>,
    pub transports: Vec<Arc<NamedTransport>>,
    pub options: Vec<Arc<ServerTls>>,
    /// In the order of the documents.
    pub certificates: Vec<Arc<Certificate>>,
    pub default_certificate: Option<Arc<Certificate>>,
}

/// A member of `http.serversTransports`.
#[derive(Clone, PartialEq, Debug)]
pub struct NamedTransport {
    pub name: String,
    pub place: Place,
    pub transport: Transport,
    /// Services that use it do not work.
    pub broken: Vec<String>,
}

/// Where a definition stands, for diagnostics about its references.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Router {
    pub name: String,
    pub place: Place,
    /// The text as written.
    pub rule_text: String,
    /// Absent when the text does not parse: then nobody knows which requests it meant, and the
    /// router is disabled.
    pub rule: Option<Arc<Rule>>,
    /// Of the text; the default unless set.
    pub syntax: Syntax,
    /// Effective: as set, or the length of the text.
    pub priority: i64,
    /// Of its provider, among routers of equal priority: lower is asked first.
    pub rank: u8,
    pub entry_points: Vec<String>,
    /// Qualified names.
    pub middlewares: Vec<String>,
    /// Qualified name; empty if there is none, as in a router with others under it.
    pub service: String,
    pub uplinks: Vec<String>,
    /// Qualified names of the routers that this one is under.
    pub parents: Vec<String>,
    /// Answers TLS clients only.
    pub tls: Option<RouterTls>,
    pub observability: Observability,
    /// Why this router must not serve, found while reading it: it then answers 503.
    pub broken: Vec<String>,
}

/// Where requests of a router leave a trace; what is not said is as the entry point has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Observability {
    pub access_logs: Option<bool>,
    pub metrics: Option<bool>,
}

impl Observability {
    pub fn over(self, entry: Observed) -> Observed {
        Observed {
            log: self.access_logs.unwrap_or(entry.log),
            metrics: self.metrics.unwrap_or(entry.metrics),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterTls {
    /// Qualified; those of the entry point if absent.
    pub options: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    pub name: String,
    pub place: Place,
    /// Before it, outermost first; qualified.
    pub middlewares: Vec<String>,
    pub kind: ServiceKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum ServiceKind {
    Balancer(Balancer),
    /// By rendezvous hashing it is a `highestRandomWeight`.
    Weighted {
        services: Vec<WeightedRef>,
        manner: Manner,
    },
    Failover(Failover),
    Mirroring(Mirroring),
    /// Could not be read; whatever references it leaves it out.
    Broken(String),
}

impl ServiceKind {
    pub fn manner(&self) -> Option<&Manner> {
        match self {
            Self::Balancer(balancer) => Some(&balancer.manner),
            Self::Weighted { manner, .. } => Some(manner),
            Self::Failover(_) | Self::Mirroring(_) | Self::Broken(_) => None,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Balancer {
    pub servers: Vec<Server>,
    pub health_check: Option<HealthCheck>,
    pub passive: Option<PassiveCheck>,
    pub pass_host: bool,
    /// Qualified; empty is the process's own.
    pub transport: String,
    pub manner: Manner,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Server {
    /// As written: the key in `serverStatus`.
    pub url: String,
    pub authority: Authority,
    /// Of the URL, with leading slash, or empty. Requests get it with `preserve_path`; relative
    /// paths of checks stand beside it.
    pub path: String,
    pub preserve_path: bool,
    pub weight: Weight,
}

/// Share among siblings. Zero takes no new requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(u32);

impl Weight {
    pub const MAX: u32 = 1 << 20;
    pub const ONE: Self = Self(1);
    pub const ZERO: Self = Self(0);

    /// `None` if the value is negative or above [`Weight::MAX`].
    pub fn new(value: i64) -> Option<Self> {
        u32::try_from(value).ok().filter(|value| *value <= Self::MAX).map(Self)
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct WeightedRef {
    /// Qualified name.
    pub name: String,
    /// The name as written: what cookies and rendezvous hashing know it by.
    pub key: String,
    pub weight: Weight,
    pub place: Place,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Failover {
    pub service: String,
    pub fallback: String,
    pub errors: Option<FailoverErrors>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailoverErrors {
    pub status: Vec<RangeInclusive<u16>>,
    /// `None` is no limit of its own: the worker's budget for kept bodies applies.
    pub body_bytes_max: Option<u64>,
    /// `tieline.replayNonIdempotent`.
    pub replay_non_idempotent: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Mirroring {
    pub service: String,
    pub mirrors: Vec<Mirror>,
    pub mirror_body: bool,
    /// `None` is no limit of its own: the worker's budget for kept bodies applies.
    pub body_bytes_max: Option<u64>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Mirror {
    /// Qualified name.
    pub name: String,
    /// 0 to 100.
    pub percent: u8,
    pub place: Place,
}

/// An active check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthCheck {
    /// Path and query, resolved against the server's URL.
    pub path: String,
    pub scheme: Option<Scheme>,
    pub mode: CheckMode,
    pub method: String,
    pub status: ExpectedStatus,
    pub port: Option<u16>,
    pub interval: Span,
    pub unhealthy_interval: Span,
    pub timeout: Span,
    /// Value of `Host`.
    pub hostname: Option<String>,
    pub follow_redirects: bool,
    pub headers: Vec<(String, String)>,
}

impl HealthCheck {
    /// With the defaults of an uplink.
    pub fn of_uplink() -> Self {
        Self {
            path: String::new(),
            scheme: None,
            mode: CheckMode::Http,
            method: "GET".to_owned(),
            status: ExpectedStatus::Exactly(200),
            port: None,
            interval: Span::secs(30),
            unhealthy_interval: Span::secs(30),
            timeout: Span::secs(5),
            hostname: None,
            follow_redirects: true,
            headers: Vec::new(),
        }
    }

    /// With the defaults of a `loadBalancer`.
    pub fn of_server() -> Self {
        Self { status: ExpectedStatus::Success, ..Self::of_uplink() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckMode {
    Http,
    Grpc,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpectedStatus {
    /// 200 to 399: a `loadBalancer` that names none.
    Success,
    Exactly(u16),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassiveCheck {
    pub failure_window: Span,
    pub failed_attempts_max: u32,
}

impl Default for PassiveCheck {
    fn default() -> Self {
        Self { failure_window: Span::secs(10), failed_attempts_max: 1 }
    }
}

/// A workload offered to parents.
#[derive(Clone, PartialEq, Debug)]
pub struct Uplink {
    /// Without provider: uplinks are global on a child.
    pub name: String,
    pub place: Place,
    /// Empty means the default uplink entry points.
    pub entry_points: Vec<String>,
    pub weight: Weight,
    pub health_check: Option<HealthCheck>,
    pub passive: Option<PassiveCheck>,
}
