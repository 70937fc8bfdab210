//! What a route's middlewares make of a request head and of a response head. Everything works on
//! memory that the caller keeps, so that a steady stream of requests allocates nothing.

pub mod basic;
pub mod breaker;
pub mod client_cert;
pub mod compress;
pub mod digest;
mod errors;
pub mod forward;
pub mod grpc_web;
mod headers;
pub mod ledger;
pub mod passing;
pub mod path;
pub mod rate;
mod redirect;
pub mod resp;
pub mod sniff;
pub mod squeeze;
pub mod words;

use crate::base::mutant::{Mutant, planted};
use crate::base::time::Span;
use crate::config::encoded::EncodedRefused;
use crate::config::typed::{
    AllowList, Buffering, Compress, GrpcWeb, PassClientCert, Redirect, Retry, Rewrite, StripPrefix,
};
use crate::rule::{Captures, Pattern};
use basic::{Basic, Claim, Presented};
use breaker::Breaker;
use digest::{Digest, Outcome};
pub use errors::Pages;
use forward::Forward;
pub use headers::{
    Headers, Told, decides_request, decides_response, names_origin, put_response, request_fields,
    request_host, takes_line, varies,
};
use passing::Passing;
use rate::{Gauge, Grant, Limiter};
use std::sync::Arc;

/// A middleware in a route's chain.
#[derive(Clone, Debug)]
pub enum Step {
    StripPrefix(Arc<StripPrefix>),
    StripPrefixRegex(Vec<Pattern>),
    AddPrefix(String),
    ReplacePath(String),
    ReplacePathRegex(Arc<Rewrite>),
    Redirect(Arc<Redirect>),
    AllowList(Arc<AllowList>),
    Encoded(EncodedRefused),
    RateLimit(Arc<Limiter>),
    InFlight(Arc<Gauge>),
    BasicAuth(Arc<Basic>),
    DigestAuth(Arc<Digest>),
    ForwardAuth(Arc<Forward>),
    Breaker(Arc<Breaker>),
    Headers(Arc<Headers>),
    Retry(Arc<Retry>),
    Buffering(Arc<Buffering>),
    Errors(Arc<Pages>),
    Compress(Arc<Compress>),
    ContentType,
    ClientCert(Arc<PassClientCert>),
    GrpcWeb(Arc<GrpcWeb>),
}

/// `inFlightReq` in one route, and as many in services behind it.
pub const GAUGES_MAX: usize = 4;

impl Step {
    /// Whether [`judge`] may do anything but let a request pass.
    pub fn may_answer(&self) -> bool {
        match self {
            Self::Redirect(_)
            | Self::AllowList(_)
            | Self::Encoded(_)
            | Self::RateLimit(_)
            | Self::InFlight(_)
            | Self::BasicAuth(_)
            | Self::DigestAuth(_)
            | Self::ForwardAuth(_)
            | Self::Breaker(_)
            | Self::Buffering(_)
            | Self::Compress(_)
            | Self::GrpcWeb(_) => true,
            Self::Headers(headers) => headers.looks_at_requests(),
            Self::StripPrefix(_)
            | Self::StripPrefixRegex(_)
            | Self::AddPrefix(_)
            | Self::ReplacePath(_)
            | Self::ReplacePathRegex(_)
            | Self::Errors(_)
            | Self::ContentType
            | Self::ClientCert(_)
            | Self::Retry(_) => false,
        }
    }
}

pub const AUTHORIZATION: &str = "Authorization";

impl Step {
    /// The field that tells the server who asks.
    pub fn user_field(&self) -> Option<&str> {
        if let Self::BasicAuth(basic) = self {
            basic.header_field.as_deref()
        } else if let Self::DigestAuth(digest) = self {
            digest.header_field.as_deref()
        } else {
            None
        }
    }

    /// Who asks, by credentials that were found right.
    pub fn user<'d>(&self, authorization: &'d [u8], decoded: &'d mut Vec<u8>) -> Option<&'d str> {
        if let Self::DigestAuth(_) = self {
            return digest::user(authorization);
        }
        basic::user_and_password(authorization, decoded).map(|(user, _)| user)
    }

    /// What a request claims, where [`judge`] says that it is to be verified.
    pub fn claim(&self, passing: &Passing<'_>, decoded: &mut Vec<u8>) -> Option<Claim> {
        let Self::BasicAuth(basic) = self else { return None };
        match basic.present(passing.field(AUTHORIZATION), decoded) {
            Presented::Claim(claim) => Some(claim),
            Presented::Known | Presented::Nothing => None,
        }
    }

    /// Whether a field of this name comes from nobody but this step, if at all.
    fn owns(&self, name: &[u8]) -> bool {
        let hides = matches!(self, Self::BasicAuth(basic) if basic.remove_header)
            || matches!(self, Self::DigestAuth(digest) if digest.remove_header);
        matches!(self, Self::ForwardAuth(forward) if forward.owns(name))
            || matches!(self, Self::ClientCert(pass) if client_cert::owns(pass, name))
            || self.user_field().is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(name))
            || hides && AUTHORIZATION.as_bytes().eq_ignore_ascii_case(name)
    }
}

/// What a step makes of a request that comes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Pass,
    /// Answer with this status and its phrase.
    Refuse(u16),
    /// Answer with this status alone.
    Bare(u16),
    /// Answer with this status and where to go instead: [`Memory::location`].
    Redirect(u16),
    /// Answer whether a script may ask what it wants to: [`Headers::preflight`].
    Preflight,
    /// Let it pass once it is complete.
    Collect,
    /// Let it pass after this time.
    Hold(Span),
    /// Too many came: there is room after this time.
    TooMany(Span),
    /// It passes, and is counted at this place until it is over.
    Entered(u32),
    /// Too many are there.
    Full,
    /// Who asks has to say who it is.
    Unauthorized,
    /// As [`Verdict::Unauthorized`], because what it was given to prove itself with is too old.
    Stale,
    /// Who asks may be who it says: [`Basic::present`].
    Verify,
    /// Nobody passes for now: answer with this status.
    Open(u16),
    /// Another server decides: [`Forward`].
    Consult,
    /// Redis counts: [`Memory::bucket`].
    Count,
}

/// Memory for judging, kept by the caller for the next request.
#[derive(Default, Debug)]
pub struct Memory {
    pub location: String,
    pub after: String,
    pub decoded: Vec<u8>,
    /// Under what name a request is counted.
    pub bucket: Vec<u8>,
    url: String,
    captures: Captures,
}

/// Lets a request pass, or answers it. Paths are not changed here: see [`path::apply`].
pub fn judge(step: &Step, passing: &Passing<'_>, memory: &mut Memory) -> Verdict {
    match step {
        Step::Redirect(_) if passing.authority().is_empty() => Verdict::Refuse(400),
        Step::Redirect(redirect) => {
            let Memory { location, url, captures, .. } = memory;
            redirect::redirected(redirect, passing, captures, url, location)
                .map_or(Verdict::Pass, Verdict::Redirect)
        }
        Step::AllowList(list) => {
            let ip = passing.client_ip(&list.strategy);
            let allowed = ip.is_some_and(|ip| list.ranges.iter().any(|range| range.contains(ip)));
            if allowed || planted(Mutant::AllowListOpen) {
                Verdict::Pass
            } else {
                Verdict::Refuse(list.status)
            }
        }
        Step::RateLimit(limiter) => match limiter.draw(passing, &mut memory.bucket) {
            Some(Grant::Now) => Verdict::Pass,
            Some(Grant::After(wait)) => Verdict::Hold(wait),
            Some(Grant::Refused(wait)) => Verdict::TooMany(wait),
            None => Verdict::Count,
        },
        Step::InFlight(gauge) => gauge.enter(passing).map_or(Verdict::Full, Verdict::Entered),
        Step::BasicAuth(basic) => {
            match basic.present(passing.field(AUTHORIZATION), &mut memory.decoded) {
                Presented::Known => Verdict::Pass,
                Presented::Nothing => Verdict::Unauthorized,
                Presented::Claim(_) => Verdict::Verify,
            }
        }
        Step::DigestAuth(digest) => match digest.judge(passing.field(AUTHORIZATION), passing) {
            Outcome::Right => Verdict::Pass,
            Outcome::Wrong => Verdict::Unauthorized,
            Outcome::Stale => Verdict::Stale,
        },
        Step::ForwardAuth(_) => Verdict::Consult,
        Step::Breaker(breaker) if !breaker.admits(passing.now) => {
            Verdict::Open(breaker.settings().status)
        }
        Step::Encoded(refused) if refused.refuses(path::path_of(passing.path)) => {
            Verdict::Bare(400)
        }
        Step::Headers(headers) => headers.judge(passing),
        Step::GrpcWeb(_) => GrpcWeb::judge(passing, memory),
        Step::Encoded(_)
        | Step::Breaker(_)
        | Step::StripPrefix(_)
        | Step::StripPrefixRegex(_)
        | Step::AddPrefix(_)
        | Step::ReplacePath(_)
        | Step::ReplacePathRegex(_)
        | Step::Retry(_)
        | Step::Buffering(_)
        | Step::Errors(_)
        | Step::Compress(_)
        | Step::ContentType
        | Step::ClientCert(_) => Verdict::Pass,
    }
}
