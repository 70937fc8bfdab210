//! What Control has to find out so that a view can be right: which servers to check, how, and
//! which host names to resolve. The compiler lists it; Control keeps what it knows of entries that
//! did not change.

use super::UplinkRef;
use crate::base::id::ServerId;
use crate::base::time::Span;
use crate::config::fixed::Authority;
use crate::config::typed::{HealthCheck, PassiveCheck};
use std::sync::Arc;

/// A server with a check. Two that are equal are checked alike, so whatever is known of one stays
/// true.
#[derive(Clone, PartialEq, Debug)]
pub struct Watched {
    pub server: ServerId,
    /// Of the service it belongs to, qualified.
    pub service: Arc<str>,
    /// As written: what is shown to the operator.
    pub url: Arc<str>,
    pub authority: Authority,
    /// The path of the server's own URL, or empty: relative check paths are resolved beside it.
    pub path: String,
    pub dial_timeout: Span,
    pub active: Option<Arc<HealthCheck>>,
    pub passive: Option<PassiveCheck>,
    /// Set when the check came from a child.
    pub uplink: Option<UplinkRef>,
    /// Servers of one group stand in for one another: the aggregate of an uplink, or the service.
    /// Passive checks never eject the last one of a group, so a group with a passive check is
    /// listed whole, servers without any check included.
    pub group: Arc<str>,
    /// Zero stands in for nobody.
    pub weight: u32,
}
