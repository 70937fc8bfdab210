//! A request as rules see it.

use std::net::IpAddr;

/// What a routing rule may look at. Borrowed from the head that is being routed.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'a> {
    pub method: &'a str,
    /// The `Host` or `:authority` value as received, port included.
    pub authority: &'a str,
    /// Lower-case host without port and brackets (semantics §2.2); empty if there was none.
    pub host: &'a str,
    /// The routing path: percent-triplets decoded except reserved ones (semantics §2.3).
    pub path: &'a str,
    /// Raw query without `?`; empty if there was none.
    pub query: &'a str,
    pub fields: &'a [(&'a str, &'a [u8])],
    pub peer: IpAddr,
}
