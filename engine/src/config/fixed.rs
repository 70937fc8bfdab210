//! The static configuration: what a process reads once, at start. The `Default` of each type is
//! what the reference in `docs/` says.

use super::address::Url;
use super::encoded::EncodedRefused;
use super::spiffe::{Allowed, Source};
use super::template::Environment;
use super::tls::ClientTls;
use crate::base::cidr::Cidr;
use crate::base::time::Span;
use crate::http::alias::Aliases;
use crate::http::target::Reading;
use crate::rule::Syntax;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Everything a process is started with.
#[derive(Clone, PartialEq, Debug)]
pub struct Fixed {
    pub entry_points: Vec<EntryPoint>,
    pub uplink_entry_points: Vec<EntryPoint>,
    /// Names of those that are configured but must not serve, for diagnostics.
    pub refused_entry_points: Vec<String>,
    /// Present on parents, and on children that only switch their own advertising on.
    pub multicluster: Option<Multicluster>,
    pub file: Option<FileProvider>,
    pub http: Option<HttpProvider>,
    pub rest: Option<RestProvider>,
    /// Names of providers: of equal routers, those of the first are asked first.
    pub precedence: Vec<String>,
    pub api: Option<Api>,
    pub ping: Option<Ping>,
    pub prometheus: Option<Prometheus>,
    pub access_log: Option<AccessLog>,
    pub log: Log,
    /// Changes of one provider closer together than this become one (default 2 s).
    pub throttle: Span,
    /// Transport of every server that names no other.
    pub servers_transport: Transport,
    /// Where SPIFFE identities come from.
    pub spiffe: Option<Source>,
    /// Of rules that do not say theirs (`core.defaultRuleSyntax`).
    pub rule_syntax: Syntax,
    /// Our own settings, under the root key `tieline`.
    pub tieline: Settings,
    /// For templates in dynamic documents.
    pub environment: Environment,
    /// What all this was read from, without secrets, as a document.
    pub written: Written,
}

impl Default for Fixed {
    fn default() -> Self {
        Self {
            entry_points: Vec::new(),
            uplink_entry_points: Vec::new(),
            refused_entry_points: Vec::new(),
            multicluster: None,
            file: None,
            http: None,
            rest: None,
            precedence: vec!["file".to_owned(), "http".to_owned()],
            api: None,
            ping: None,
            prometheus: None,
            access_log: None,
            log: Log::default(),
            throttle: Span::secs(2),
            servers_transport: Transport::default(),
            spiffe: None,
            rule_syntax: Syntax::V3,
            tieline: Settings::default(),
            environment: Environment::default(),
            written: Written::default(),
        }
    }
}

/// The text of a document. Two settings that say the same are the same, however they are written.
#[derive(Clone, Default)]
pub struct Written(pub Arc<str>);

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Written")
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Our own process-wide settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Worker threads; 0 means one per core.
    pub workers: u32,
    /// This instance's name in the hop header; empty means drawn at start.
    pub instance: String,
    /// Whether decisions are recorded (`recording`, default yes).
    pub recording: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { workers: 0, instance: String::new(), recording: true }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct EntryPoint {
    pub name: String,
    pub address: SocketAddr,
    pub as_default: bool,
    /// Whole request, body included (`readTimeout`, default 60 s); zero is none.
    pub read_timeout: Span,
    /// Whole response (`writeTimeout`, default none).
    pub write_timeout: Span,
    /// Between requests of a connection (`idleTimeout`, default 180 s).
    pub idle_timeout: Span,
    /// Keep accepting for this long after the signal (`requestAcceptGraceTimeout`, default 0).
    pub accept_grace: Span,
    /// Finish what is in flight for this long (`graceTimeOut`, default 10 s).
    pub drain_grace: Span,
    /// 0 is no limit.
    pub keep_alive_requests_max: u32,
    /// Zero is no limit.
    pub keep_alive_time_max: Span,
    /// Streams of one HTTP/2 connection (`http2.maxConcurrentStreams`, default 250).
    pub streams_max: u32,
    pub forwarded: Forwarded,
    /// Prepended to the middlewares of every root router here, qualified names.
    pub middlewares: Vec<String>,
    /// Bytes of a request head (`http.maxHeaderBytes`, default 1 MiB).
    pub header_bytes_max: u32,
    /// Everything that reaches this entry point is sent elsewhere.
    pub redirection: Option<Redirection>,
    pub encoded_refused: EncodedRefused,
    /// What a request target is made of before anything looks at it.
    pub reading: Reading,
    /// The name of the options for routers here that say nothing about TLS: they answer TLS
    /// clients only (`http.tls`).
    pub tls: Option<String>,
    /// The SPIFFE ids that may call at this uplink entry point (`tieline.spiffe`).
    pub callers: Option<Allowed>,
    /// What becomes of fields whose names look like others to some servers.
    pub aliases: Aliases,
    /// Balancers that say in the PROXY protocol who a connection is from.
    pub proxied: Option<Proxied>,
    /// What requests here are recorded in, unless their router says otherwise.
    pub observed: Observed,
}

/// Who may say in the PROXY protocol who a connection is from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxied {
    /// Everybody.
    pub insecure: bool,
    pub trusted: Vec<Cidr>,
}

impl Proxied {
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        self.insecure || self.trusted.iter().any(|range| range.contains(peer))
    }
}

/// Where a request leaves a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observed {
    pub log: bool,
    pub metrics: bool,
}

impl Default for Observed {
    fn default() -> Self {
        Self { log: true, metrics: true }
    }
}

impl EntryPoint {
    /// With every setting at its default.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            as_default: false,
            read_timeout: Span::secs(60),
            write_timeout: Span::ZERO,
            idle_timeout: Span::secs(180),
            accept_grace: Span::ZERO,
            drain_grace: Span::secs(10),
            keep_alive_requests_max: 0,
            keep_alive_time_max: Span::ZERO,
            streams_max: 250,
            forwarded: Forwarded::default(),
            middlewares: Vec::new(),
            header_bytes_max: 1 << 20,
            redirection: None,
            encoded_refused: EncodedRefused::NONE,
            reading: Reading::default(),
            tls: None,
            callers: None,
            aliases: Aliases::default(),
            proxied: None,
            observed: Observed::default(),
        }
    }

    /// Whether its routes are not those of other entry points.
    pub fn shapes_routes(&self) -> bool {
        !self.middlewares.is_empty()
            || !self.encoded_refused.is_none()
            || self.observed != Observed::default()
    }
}

/// `http.redirections.entryPoint` of an entry point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirection {
    /// As written: an entry point, or `:port`.
    pub to: String,
    pub port: u16,
    pub scheme: String,
    pub permanent: bool,
    pub priority: i64,
}

/// Whom to believe about `X-Forwarded-*`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forwarded {
    pub insecure: bool,
    pub trusted: Vec<Cidr>,
    /// Fields that a client's `Connection` may strip although they are managed.
    pub connection: Vec<String>,
    pub append_for: AppendFor,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AppendFor {
    #[default]
    Yes,
    No,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Multicluster {
    pub poll_interval: Span,
    pub poll_timeout: Span,
    /// Sorted by name: the position is the `ChildId`.
    pub children: Vec<Child>,
}

impl Default for Multicluster {
    fn default() -> Self {
        Self { poll_interval: Span::secs(5), poll_timeout: Span::secs(5), children: Vec::new() }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Child {
    pub name: String,
    pub address: Authority,
    pub transport: Transport,
    pub on_stale: OnStale,
}

/// What to do with a child whose polls fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnStale {
    #[default]
    Keep,
    /// Use it only while no fresh child is up.
    Demote {
        after: Span,
    },
    /// Lower its weight linearly to zero over `over`, beginning at `after`.
    Decay {
        after: Span,
        over: Span,
    },
    Withdraw {
        after: Span,
    },
}

/// Scheme, host and port of a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Authority {
    pub scheme: Scheme,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Scheme {
    #[default]
    Http,
    Https,
    H2c,
}

/// How to talk to servers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Transport {
    pub idle: IdleConns,
    pub dial_timeout: Span,
    /// Zero is none.
    pub response_header_timeout: Span,
    pub idle_timeout: Span,
    /// Silence while something is being read; zero is none.
    pub read_timeout: Span,
    /// No progress while something is being written; zero is none.
    pub write_timeout: Span,
    /// Settings of TLS, for servers that are reached over it. None is all defaults.
    pub tls: Option<Arc<ClientTls>>,
    /// HTTP/2 is offered to servers over TLS.
    pub multiplexes: bool,
    /// An HTTP/2 connection that was silent for this long is asked for a sign of life; zero never.
    pub ping_after: Span,
    /// How long it may take to give one.
    pub ping_timeout: Span,
}

/// Connections kept for reuse, per process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IdleConns {
    UpTo(u32),
    NoReuse,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            idle: IdleConns::UpTo(200),
            dial_timeout: Span::secs(30),
            response_header_timeout: Span::ZERO,
            idle_timeout: Span::secs(90),
            read_timeout: Span::ZERO,
            write_timeout: Span::ZERO,
            tls: None,
            multiplexes: true,
            ping_after: Span::ZERO,
            ping_timeout: Span::secs(15),
        }
    }
}

/// Who defines what a document says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Provider {
    #[default]
    File,
    Http,
    Rest,
}

impl Provider {
    /// What names of its definitions end in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "http",
            Self::Rest => "rest",
        }
    }
}

impl Fixed {
    /// Of a provider among others; what is not listed comes last.
    pub fn rank(&self, provider: Provider) -> u8 {
        let at = self.precedence.iter().position(|name| name == provider.name());
        u8::try_from(at.unwrap_or(self.precedence.len())).unwrap_or(u8::MAX)
    }
}

/// A URL that is asked for a dynamic document.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpProvider {
    pub endpoint: Url,
    pub poll_interval: Span,
    pub poll_timeout: Span,
    /// Value of `Host`, if it is not the endpoint's.
    pub host: Option<String>,
    pub headers: Vec<(String, String)>,
    pub transport: Transport,
}

/// Documents that clients put in the place of the last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestProvider {
    /// Whoever reaches the entry point `traefik` may.
    pub insecure: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileProvider {
    /// A file, or a directory read recursively.
    pub path: String,
    pub watch: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Api {
    /// Serve without a router on the `traefik` entry point.
    pub insecure: bool,
    /// `/` unless set.
    pub base_path: String,
    /// Pages for people too.
    pub dashboard: bool,
    /// Stands on top of them; may be empty.
    pub dashboard_name: String,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            insecure: false,
            base_path: "/".to_owned(),
            dashboard: true,
            dashboard_name: String::new(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ping {
    pub entry_point: String,
    pub manual_routing: bool,
    pub terminating_status: u16,
}

impl Default for Ping {
    fn default() -> Self {
        Self { entry_point: "traefik".to_owned(), manual_routing: false, terminating_status: 503 }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prometheus {
    /// Upper bounds of the duration histogram in microseconds, ascending.
    pub buckets_micros: Vec<u64>,
    pub entry_point: String,
    pub manual_routing: bool,
    pub entry_point_labels: bool,
    pub router_labels: bool,
    pub service_labels: bool,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self {
            buckets_micros: vec![100_000, 300_000, 1_200_000, 5_000_000],
            entry_point: "traefik".to_owned(),
            manual_routing: false,
            entry_point_labels: true,
            router_labels: false,
            service_labels: true,
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct AccessLog {
    /// Standard output when absent.
    pub file: Option<String>,
    pub format: AccessFormat,
    /// Empty logs everything; otherwise a line needs one of the three reasons.
    pub status: Vec<std::ops::RangeInclusive<u16>>,
    pub retry_attempts: bool,
    pub min_duration: Span,
    pub default_keep: bool,
    /// JSON field name to kept or dropped.
    pub names: BTreeMap<String, bool>,
    pub header_default: HeaderMode,
    /// Lower-case field name to mode.
    pub headers: BTreeMap<String, HeaderMode>,
    pub add_internals: bool,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            file: None,
            format: AccessFormat::Common,
            status: Vec::new(),
            retry_attempts: false,
            min_duration: Span::ZERO,
            default_keep: true,
            names: BTreeMap::new(),
            header_default: HeaderMode::Drop,
            headers: BTreeMap::new(),
            add_internals: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessFormat {
    Common,
    GenericClf,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderMode {
    Keep,
    Drop,
    Redact,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// `trace`, `debug`, `info`, `warn`, `error`; default `info`, so that a refused
    /// configuration is never silent.
    pub level: String,
    pub json: bool,
    pub file: Option<String>,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false, file: None }
    }
}
