//! The immutable view: everything a worker needs to route, compiled by the control machine.

pub mod compile;
mod index;
pub mod latency;
mod map;
pub mod model;
pub mod past;
pub mod registry;
mod routes;
pub mod series;
pub mod stats;
pub mod status;
pub mod table;

pub use crate::service::failover::Side;
pub use crate::service::middleware::Step;
pub use crate::service::standing::Standing;
pub use routes::RouteTable;

use crate::base::id::{ChildId, EntryId, ServerId, ServiceId, TargetId};
use crate::base::sip::SipKey;
use crate::config::fixed::{Authority, EntryPoint, Fixed, Observed, Transport};
use crate::config::typed::FailoverErrors;
use crate::service::choosing::Choosing;
use crate::service::rest::Rest;
use crate::service::rotation::Rotation;
use crate::service::signed::Claims;
use crate::service::ticket::Ticket;
use crate::tls::{Clock, Connector, Door, Listed};
use model::Model;
use past::Past;
use stats::{ChildStats, Scope};
use status::Status;
use std::net::SocketAddr;
use std::sync::Arc;
use table::Table;

/// One generation of decisions. Requests finish under the view they started with.
#[derive(Clone, Debug)]
pub struct View {
    pub epoch: u64,
    pub fixed: Arc<Fixed>,
    /// By [`EntryId`]; the driver's listener of an entry point has the same number.
    pub entries: Vec<Arc<EntryView>>,
    /// Routers under routers, by [`Destination::Layer`].
    pub layers: Arc<[Arc<RouteTable>]>,
    pub services: Table<ServiceNode>,
    pub targets: Table<Target>,
    pub children: Vec<Arc<ChildView>>,
    pub model: Model,
    pub status: Arc<Status>,
    /// Sorted by where they come from.
    pub certificates: Arc<[Listed]>,
    /// By which handshakes tell the time.
    pub clock: Arc<Clock>,
    /// Of what is to look like chance to strangers.
    pub key: SipKey,
    /// Views before this one, and this one; empty unless they are kept.
    pub past: Past,
}

/// What one entry point offers.
#[derive(Debug)]
pub struct EntryView {
    pub id: EntryId,
    pub settings: Arc<EntryPoint>,
    /// Kept by the registry under the entry point's name.
    pub stats: Arc<Scope>,
    /// With [`EntryPoint::tls`] uplinks are for TLS clients only; of routes these are the ones for
    /// clear text.
    pub offer: Offer,
    /// Absent if TLS is not spoken here.
    pub secure: Option<SecureSide>,
}

/// What TLS clients find at an entry point.
#[derive(Clone, Debug)]
pub struct SecureSide {
    pub door: Arc<Door>,
    pub routes: Arc<RouteTable>,
}

#[derive(Clone, Debug)]
pub enum Offer {
    /// Routers that name this entry point, or none and it is a default.
    Routes(Arc<RouteTable>),
    /// Uplinks only: chosen by `X-Uplink-Name`, then by the routers of that uplink.
    Uplinks { uplinks: Vec<UplinkRoutes>, advert: Arc<Advertised> },
}

#[derive(Clone, Debug)]
pub struct UplinkRoutes {
    /// As advertised.
    pub name: Arc<str>,
    pub routes: Arc<RouteTable>,
}

/// The answer to `GET /api/uplinks`, ready to send.
#[derive(Debug)]
pub struct Advertised {
    pub body: Arc<[u8]>,
    /// A strong validator with its quotes.
    pub etag: String,
}

/// A router, ready to serve.
#[derive(Debug)]
pub struct Route {
    /// Qualified; under other routers with their names before it.
    pub name: Arc<str>,
    pub priority: i64,
    /// Of its provider, among routes of equal priority.
    pub rank: u8,
    pub to: Destination,
    /// Entry-point middlewares first, then those of the routers above, chains unrolled.
    pub steps: Arc<[Step]>,
    /// `@internal`: left out of logs and metrics unless asked for.
    pub internal: bool,
    /// Kept by the registry under the router's name.
    pub stats: Arc<Scope>,
    /// The options that a TLS client must have come in by; empty on the side of clear text.
    pub options: Arc<str>,
    pub observed: Observed,
}

#[derive(Clone, Debug)]
pub enum Destination {
    Service(ServiceId),
    /// The routers under this one, which see the request as the middlewares left it: a position
    /// in [`View::layers`].
    Layer(u32),
    /// Answers 503 in place. The text is for the operator.
    Broken(Arc<str>),
}

/// A service, ready to choose.
#[derive(Debug)]
pub struct ServiceNode {
    pub id: ServiceId,
    /// Qualified.
    pub name: Arc<str>,
    /// Whether something below can serve. A node without checks is up.
    pub up: bool,
    pub kind: NodeKind,
    /// For services that choose otherwise than by turns alone.
    pub choosing: Option<Box<Choosing>>,
    /// Middlewares of its own.
    pub guard: Option<Arc<Guard>>,
    pub before: Before,
    /// What a cookie for all levels may say here; where there are such cookies.
    pub leash: Option<Box<Leash>>,
    /// Who serves instead of members that a breaker keeps from it; where there are breakers below.
    pub rest: Option<Box<Rest>>,
    /// Kept by the registry under the service's name; requests count where they were answered,
    /// at a balancer.
    pub stats: Arc<Scope>,
}

/// Middlewares before a service, whoever leads to it.
#[derive(Debug)]
pub struct Guard {
    /// By which what they count is known.
    pub counts: Arc<str>,
    /// Chains unrolled.
    pub steps: Arc<[Step]>,
}

impl Guard {
    /// Whether a breaker is among them.
    pub fn breaks(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Breaker(_)))
    }
}

/// How a cookie for all levels names a service and its members.
#[derive(PartialEq, Debug)]
pub struct Leash {
    pub service: u64,
    /// By position.
    pub members: Box<[u64]>,
    /// By position: whether a session may stay.
    pub stays: Box<[bool]>,
}

impl Leash {
    /// Whom such a cookie names.
    pub fn find(&self, claims: &Claims) -> Option<u16> {
        let named = claims.member_of(self.service)?;
        let at = self.members.iter().position(|member| *member == named)?;
        u16::try_from(at).ok()
    }
}

/// Services with middlewares of their own that one request may meet.
pub const GUARDS_MAX: usize = 8;

/// The most that a request may meet at a service and below it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Before {
    pub guards: usize,
    /// `inFlightReq` among them.
    pub gauges: usize,
    /// Some are circuit breakers.
    pub breaks: bool,
}

#[derive(Debug)]
pub enum NodeKind {
    Balancer {
        turns: Turns,
        servers: Box<[Arc<ServerNode>]>,
        pass_host: bool,
    },
    Weighted {
        turns: Turns,
        services: Box<[ServiceId]>,
    },
    Failover {
        main: ServiceId,
        fallback: ServiceId,
        side: Side,
        errors: Option<FailoverErrors>,
    },
    Mirroring(MirroringNode),
    Internal(Internal),
    /// Not discovered, broken, or nothing left: 503. The text is for the operator.
    Unavailable(Arc<str>),
}

/// Who takes which ticket.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    pub rotation: Arc<Rotation>,
    pub ticket: Arc<Ticket>,
}

#[derive(PartialEq, Debug)]
pub struct ServerNode {
    pub id: ServerId,
    pub target: TargetId,
    /// As written, or the child's address.
    pub url: Arc<str>,
    /// Path to put before the request's, or empty.
    pub prefix: String,
    /// Report failures of requests to the control machine.
    pub passive: bool,
    /// Set when this server is a child's offer.
    pub uplink: Option<UplinkRef>,
}

/// Which workload of which child a server is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UplinkRef {
    pub child: ChildId,
    /// Sent as `X-Uplink-Name`.
    pub name: Arc<str>,
}

#[derive(Debug)]
pub struct MirroringNode {
    pub main: ServiceId,
    pub mirrors: Box<[MirrorNode]>,
    pub mirror_body: bool,
    /// `None` is no limit of its own: the worker's budget applies.
    pub body_bytes_max: Option<u64>,
    /// One ticket per request decides about all mirrors.
    pub ticket: Arc<Ticket>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MirrorNode {
    pub service: ServiceId,
    pub percent: u8,
}

/// Services the process offers itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Internal {
    Api,
    Dashboard,
    Ping,
    Prometheus,
    Rest,
    Noop,
}

impl Internal {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Dashboard => "dashboard",
            Self::Ping => "ping",
            Self::Prometheus => "prometheus",
            Self::Rest => "rest",
            Self::Noop => "noop",
        }
    }
}

/// An address to send to.
#[derive(Debug)]
pub struct Target {
    pub id: TargetId,
    pub authority: Authority,
    /// `host` or `host:port`, as `Host` wants it.
    pub host_field: String,
    /// Empty while the name is unresolved or does not resolve.
    pub addrs: Arc<[SocketAddr]>,
    pub transport: Transport,
    pub cover: Cover,
}

/// What protects the way to a target.
#[derive(Clone, Debug)]
pub enum Cover {
    Clear,
    Tls(Arc<Connector>),
    /// It should be TLS, and cannot be as it was configured. The text is for the operator.
    Unusable(Arc<str>),
}

/// A child as the parent sees it.
#[derive(Debug)]
pub struct ChildView {
    pub id: ChildId,
    pub name: Arc<str>,
    pub address: String,
    pub stats: Arc<ChildStats>,
    /// Uplinks of the last good poll, with their weights and whether they are up.
    pub uplinks: Vec<ChildUplink>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildUplink {
    pub name: Arc<str>,
    pub weight: u32,
    pub standing: Standing,
    pub service: ServiceId,
}
