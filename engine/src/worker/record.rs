//! What is known about a request when it has ended: the source of its log line and its metrics.

use crate::base::id::{EntryId, ServiceId};
use crate::base::time::{Span, Time};
use crate::config::tls::Suite;
pub use crate::service::choosing::Session;
use crate::view::series::Protocol;
use crate::view::{Route, ServerNode, View};
use std::net::SocketAddr;

/// One balancer's decision. With the view of that epoch anybody can recompute it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    pub service: ServiceId,
    pub ticket: u64,
    /// Position in the service's list.
    pub turn: u16,
    /// What the client's cookie had to do with it. What a cookie decides draws no ticket.
    pub session: Session,
    /// Others had failed this request: it is not the ticket alone that says whose turn it was.
    pub instead: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// A request that has ended, well or not. Everything is borrowed; a field that nobody can know
/// (no router matched, no server was reached) is empty or zero.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// The view it was routed by.
    pub view: &'a View,
    pub entry: EntryId,
    pub route: Option<&'a Route>,
    /// The innermost service that answered or should have.
    pub service: Option<ServiceId>,
    pub server: Option<&'a ServerNode>,
    /// Where the server was reached.
    pub server_addr: Option<SocketAddr>,
    /// Outermost first.
    pub choices: &'a [Choice],
    pub client: SocketAddr,
    /// Who asked, where a middleware knows; empty otherwise.
    pub user: &'a str,
    /// `X-Forwarded-For` as a trusted peer sent it; empty otherwise.
    pub forwarded_for: &'a [u8],
    pub version: Version,
    pub protocol: Protocol,
    /// Callers before the client, as a parent told them.
    pub callers: &'a [u8],
    /// What the client is called by its certificate; empty if none was verified.
    pub caller: &'a str,
    /// What was agreed on, if it came over TLS.
    pub suite: Option<Suite>,
    pub method: &'a [u8],
    /// Path and query as received.
    pub target: &'a [u8],
    /// `Host` as received.
    pub authority: &'a [u8],
    /// Field lines as received, without the start line. Only needed when the log asks for fields
    /// (`AccessLines::wants_fields`); may be empty.
    pub request_fields: &'a [u8],
    /// Field lines of the origin's response, as received.
    pub origin_fields: &'a [u8],
    /// Field lines of the response as sent to the client.
    pub response_fields: &'a [u8],
    pub started: Time,
    pub ended: Time,
    /// From the request's being sent to the end of the origin's response.
    pub origin_took: Span,
    /// Bytes of bodies.
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub origin_bytes: u64,
    /// As sent to the client; 499 if the client left before.
    pub status: u16,
    /// 0 if no origin answered.
    pub origin_status: u16,
    pub retries: u32,
    /// Number of the request among those of its worker, from 1.
    pub serial: u64,
}

impl Version {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }
}

impl AccessRecord<'_> {
    pub fn took(&self) -> Span {
        self.ended.since(self.started)
    }
}
