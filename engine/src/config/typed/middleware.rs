//! Middlewares, each as far as it can be carried out.

use super::{
    Buffering, CircuitBreaker, Compress, ErrorPages, ForwardAuth, GrpcWeb, PassClientCert, Place,
    Redis, Retry,
};
use crate::base::cidr::Cidr;
use crate::base::time::Span;
use crate::config::encoded::EncodedRefused;
use crate::config::fixed::{Scheme, Transport};
use crate::rule::{Pattern, Replacement};
use std::sync::Arc;

#[derive(Clone, PartialEq, Debug)]
pub struct Middleware {
    pub name: String,
    pub place: Place,
    pub kind: MiddlewareKind,
}

#[derive(Clone, PartialEq, Debug)]
pub enum MiddlewareKind {
    StripPrefix(StripPrefix),
    StripPrefixRegex {
        patterns: Vec<Pattern>,
    },
    AddPrefix {
        prefix: String,
    },
    ReplacePath {
        path: String,
    },
    ReplacePathRegex(Rewrite),
    Redirect(Redirect),
    IpAllowList(AllowList),
    EncodedCharacters(EncodedRefused),
    RateLimit(RateLimit),
    InFlightReq(InFlight),
    BasicAuth(Credentials),
    DigestAuth(Credentials),
    ForwardAuth(Box<ForwardAuth>),
    CircuitBreaker(Box<CircuitBreaker>),
    Headers(Box<HeadersEdit>),
    Retry(Retry),
    Buffering(Buffering),
    Errors(ErrorPages),
    Compress(Compress),
    ContentType {
        detects: Option<bool>,
    },
    PassClientCert(PassClientCert),
    GrpcWeb(GrpcWeb),
    /// Qualified names.
    Chain(Vec<String>),
    /// Could not be read, or its kind is not built yet; routers that use it answer 503.
    Broken(String),
}

/// `stripPrefix`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StripPrefix {
    pub prefixes: Vec<String>,
    /// Where nothing is left, a slash stands there for the middlewares behind, too.
    pub force_slash: bool,
}

/// An expression, and what stands for what it matches.
#[derive(Clone, PartialEq, Debug)]
pub struct Rewrite {
    pub pattern: Pattern,
    pub replacement: Replacement,
}

/// `redirectRegex` and `redirectScheme`.
#[derive(Clone, PartialEq, Debug)]
pub struct Redirect {
    pub aim: Aim,
    pub permanent: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Aim {
    Regex(Rewrite),
    Scheme { scheme: String, port: Option<u16> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowList {
    pub ranges: Vec<Cidr>,
    pub strategy: IpStrategy,
    /// What others are answered (`rejectStatusCode`, default 403).
    pub status: u16,
}

/// Which address is the client's: by default the connection's other end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IpStrategy {
    /// Position from the right in `X-Forwarded-For`, from 1; 0 is not to look there.
    pub depth: u32,
    /// With depth 0: the first from the right that is not in these.
    pub excluded: Vec<Cidr>,
    /// Leading bits of an IPv6 address that tell clients apart.
    pub ipv6_bits: Option<u8>,
}

/// `rateLimit`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// Requests per period; 0 is no limit.
    pub average: u64,
    pub period: Span,
    /// Requests at once, at least 1.
    pub burst: u64,
    pub source: Source,
    /// Where it is counted, if not in this process.
    pub redis: Option<Arc<Redis>>,
}

/// `inFlightReq`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    pub amount: u64,
    pub source: Source,
}

/// `basicAuth` and `digestAuth`: who may pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    /// Names with what is stored of their passwords.
    pub users: Vec<(String, String)>,
    /// More of them, one a line.
    pub users_file: Option<Arc<str>>,
    pub realm: String,
    /// The server is not shown the password.
    pub remove_header: bool,
    /// The field that tells the server who asks.
    pub header_field: Option<String>,
}

/// What tells the senders of requests apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Ip(IpStrategy),
    /// The first value of this field.
    Header(String),
    Host,
}

/// `headers`. Custom fields: an empty value deletes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HeadersEdit {
    pub request: Vec<(String, String)>,
    pub response: Vec<(String, String)>,
    pub cors: Cors,
    pub security: Security,
}

/// Which scripts of other origins may ask for what. The default is to say nothing about it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cors {
    pub credentials: bool,
    /// Joined by commas, as this and the others are sent.
    pub headers: String,
    pub methods: String,
    pub expose: String,
    /// `*` is every origin.
    pub origins: Vec<String>,
    pub patterns: Vec<Pattern>,
    /// In seconds.
    pub max_age: String,
    /// Add `Origin` to `Vary`.
    pub vary: bool,
}

/// What browsers are told to be careful about, and which hosts may be asked for. Empty and zero
/// are not to say anything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Security {
    pub allowed_hosts: Vec<String>,
    /// Fields that name the host that was asked for, best first.
    pub hosts_proxy_headers: Vec<String>,
    /// Fields with the values that mean TLS was spoken in front of us.
    pub ssl_proxy_headers: Vec<(String, String)>,
    pub sts_seconds: u64,
    pub sts_subdomains: bool,
    pub sts_preload: bool,
    /// To clients without TLS too.
    pub force_sts: bool,
    pub frame_deny: bool,
    pub frame_options: String,
    pub nosniff: bool,
    pub xss_filter: bool,
    pub xss_value: String,
    pub csp: String,
    pub csp_report_only: String,
    pub public_key: String,
    pub referrer_policy: String,
    pub permissions_policy: String,
    /// No guarding of hosts and no word of TLS.
    pub is_development: bool,
}

impl MiddlewareKind {
    /// The file that a middleware has its users from.
    pub fn users_file(&self) -> Option<&Arc<str>> {
        if let Self::BasicAuth(credentials) | Self::DigestAuth(credentials) = self {
            credentials.users_file.as_ref()
        } else {
            None
        }
    }

    /// How a middleware that asks somebody reaches it.
    pub fn transport(&self) -> Option<(Scheme, &Transport)> {
        if let Self::ForwardAuth(auth) = self {
            Some((auth.url.authority.scheme, &auth.transport))
        } else if let Self::RateLimit(RateLimit { redis: Some(redis), .. }) = self {
            Some((redis.endpoint.scheme, &redis.transport))
        } else {
            None
        }
    }
}
