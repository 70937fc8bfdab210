//! `forwardAuth`: who decides whether a request may pass, and what both are told of each other.

use crate::config::address::Url;
use crate::config::fixed::Transport;
use crate::rule::Pattern;

#[derive(Clone, PartialEq, Debug)]
pub struct ForwardAuth {
    /// As written.
    pub address: String,
    pub url: Url,
    pub transport: Transport,
    /// What a trusted peer says in `X-Forwarded-*` is handed on.
    pub trust_forwarded: bool,
    /// Fields of the answer that the server gets.
    pub response_fields: Vec<String>,
    pub response_pattern: Option<Pattern>,
    /// Fields of the request that are handed on; all if none is named.
    pub request_fields: Vec<String>,
    /// Names of cookies of the answer that the client gets.
    pub cookies: Vec<String>,
    /// The field of the answer that says who asks, for the access log.
    pub header_field: Option<String>,
    pub forward_body: bool,
    /// `None` is no limit of its own.
    pub body_bytes_max: Option<u64>,
    /// `None` is no limit of its own.
    pub response_bytes_max: Option<u64>,
    pub preserve_location: bool,
    pub preserve_method: bool,
    /// Where a client goes that is told to sign in; empty is to tell it so.
    pub signin_url: String,
}
