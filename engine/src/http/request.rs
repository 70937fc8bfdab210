//! A request as rules see it.

use super::fields::Field;
use super::head::RequestHead;
use super::target::Target;
use std::net::IpAddr;

/// What a routing rule may look at. Borrowed from the head that is being routed.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'a> {
    pub method: &'a str,
    /// The `Host` or `:authority` value as received, port included.
    pub authority: &'a str,
    /// Lower-case host without port and brackets; empty if there was none.
    pub host: &'a str,
    /// The routing path: percent-triplets decoded except reserved ones.
    pub path: &'a str,
    /// Raw query without `?`; empty if there was none.
    pub query: &'a str,
    pub fields: &'a [Field<'a>],
    pub peer: IpAddr,
}

impl<'a> RequestInfo<'a> {
    pub fn new(head: &RequestHead<'a>, target: &Target<'a>, peer: IpAddr) -> Self {
        Self {
            method: head.method.as_str(),
            authority: target.authority,
            host: target.host,
            path: target.routing_path,
            query: target.query.unwrap_or(""),
            fields: head.fields,
            peer,
        }
    }
}
