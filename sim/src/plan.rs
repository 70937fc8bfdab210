//! What a run is made of: gateways with their documents, servers, children; drawn once from the
//! topology stream. Documents are rendered as the YAML that an operator would write.

use crate::entropy::Stream;
use crate::home;
use crate::ledger::{BodyKind, Frame, Meant, Want};
use crate::oracle::breaker::Settings;
use crate::oracle::{coding, signed};
use crate::secure::wardrobe::Leg;
use crate::wiring::Wiring;
use engine::base::time::Span;
use std::fmt::Write;
use std::net::SocketAddr;

/// A dynamic document, as a person means it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Document {
    /// Told apart in views by a service of that name.
    pub version: u32,
    pub routers: Vec<Router>,
    pub services: Vec<Service>,
    pub middlewares: Vec<Middleware>,
    pub uplinks: Vec<Uplink>,
    /// The section about certificates, as text.
    pub tls: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Router {
    pub name: String,
    /// Any of these, all parts of one.
    pub rule: Vec<Vec<Term>>,
    pub priority: Option<i64>,
    pub entries: Vec<String>,
    pub middlewares: Vec<String>,
    pub service: String,
    pub uplinks: Vec<String>,
}

/// One matcher, perhaps negated.
#[derive(Clone, PartialEq, Debug)]
pub struct Term {
    pub not: bool,
    pub matcher: Matcher,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Matcher {
    Path(String),
    PathPrefix(String),
    Host(String),
    Header(String, String),
    Method(String),
    Query(String, String),
    /// Text that is no rule.
    Broken(String),
}

/// Where the key stands that signs a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// In the document.
    Told,
    /// In a file beside it.
    Filed,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    pub name: String,
    pub kind: Kind,
    /// Its own, whoever leads to it.
    pub middlewares: Vec<String>,
    pub strategy: Strategy,
    /// A signed cookie keeps sessions here and at all that is below.
    pub signed: Option<Key>,
}

/// How a member is chosen where no cookie says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    #[default]
    Turns,
    /// The less busy of two.
    Two,
    /// By the client's address; for services over services, too.
    Client,
    LeastTime,
}

impl Strategy {
    /// Another one, unless it is the plainest: that stays.
    pub const fn next(self) -> Self {
        match self {
            Self::Client => Self::Two,
            Self::Two => Self::LeastTime,
            Self::LeastTime | Self::Turns => Self::Turns,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Turns => "wrr",
            Self::Two => "p2c",
            Self::Client => "hrw",
            Self::LeastTime => "leasttime",
        }
    }
}

impl Service {
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        let (middlewares, strategy) = (Vec::new(), Strategy::Turns);
        Self { name: name.into(), kind, middlewares, strategy, signed: None }
    }

    /// What is shared by addresses among services knows no sessions.
    pub fn is_sticky(&self) -> bool {
        let by_address =
            matches!(self.kind, Kind::Weighted(_)) && self.strategy == Strategy::Client;
        self.kind.is_sticky() && !by_address && self.signed.is_none()
    }

    /// What its servers are asked for: what two services ask of one can be told apart.
    pub fn check_path(&self) -> String {
        format!("/health/{}", self.name)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    Balancer { servers: Vec<Backend>, check: Option<Check>, passive: bool, pass_host: bool },
    Weighted(Vec<(String, u32)>),
    Failover { main: String, fallback: String, errors: bool },
    Mirroring { main: String, mirrors: Vec<(String, u8)>, body: bool, max: Option<u64> },
}

/// Names of cookies: of services over services, and of those over servers.
pub const TREE: &str = "tree";
pub const SERVER: &str = "lb";

impl Kind {
    /// Decided by what was drawn anyway.
    fn is_sticky(&self) -> bool {
        let first = match self {
            Self::Balancer { servers, .. } => servers.first().map(|at| at.weight),
            Self::Weighted(members) => members.first().map(|(_, weight)| *weight),
            Self::Failover { .. } | Self::Mirroring { .. } => None,
        };
        first.is_some_and(|weight| weight % 2 == 1)
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Backend {
    /// Number of the server actor.
    pub server: u16,
    pub url: String,
    pub weight: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    pub interval: Span,
    pub timeout: Span,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Middleware {
    pub name: String,
    pub kind: Step,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    Strip(Vec<String>),
    Add(String),
    Headers {
        request: Vec<(String, String)>,
        response: Vec<(String, String)>,
    },
    Chain(Vec<String>),
    /// Only these addresses may pass: none of a client is among them.
    Allow(String),
    /// Everybody is sent to the encrypted scheme.
    Secure,
    /// Scripts of any origin may ask, and are told so beforehand.
    Share,
    /// Few requests in a second.
    Rate,
    /// Few requests at once.
    Gauge,
    Break(Settings),
    /// What is long enough is compressed for those that ask for it.
    Squeeze,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Uplink {
    pub name: String,
    pub weight: u32,
    pub check: Option<Check>,
    pub passive: bool,
}

impl Router {
    pub fn rule_text(&self) -> String {
        let alternatives = self.rule.iter().map(|terms| {
            let terms: Vec<String> = terms.iter().map(Term::text).collect();
            terms.join(" && ")
        });
        alternatives.collect::<Vec<_>>().join(" || ")
    }

    pub fn effective_priority(&self) -> i64 {
        let length = i64::try_from(self.rule_text().len()).expect("a rule is short");
        self.priority.filter(|priority| *priority != 0).unwrap_or(length)
    }
}

impl Term {
    pub fn is(matcher: Matcher) -> Self {
        Self { not: false, matcher }
    }

    fn text(&self) -> String {
        let matcher = match &self.matcher {
            Matcher::Path(path) => format!("Path(`{path}`)"),
            Matcher::PathPrefix(path) => format!("PathPrefix(`{path}`)"),
            Matcher::Host(host) => format!("Host(`{host}`)"),
            Matcher::Header(name, value) => format!("Header(`{name}`, `{value}`)"),
            Matcher::Method(method) => format!("Method(`{method}`)"),
            Matcher::Query(key, value) => format!("Query(`{key}`, `{value}`)"),
            Matcher::Broken(text) => text.clone(),
        };
        if self.not { format!("!{matcher}") } else { matcher }
    }
}

/// Adds a line; writing to a string cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("writing to a string")
    };
}

impl Document {
    pub fn yaml(&self) -> String {
        let mut out = String::from("http:\n  routers:\n");
        let version = self.version;
        line!(out, "    version-{version}:\n      rule: 'Path(`/version/{version}`)'");
        line!(out, "      priority: 1\n      service: version-{version}");
        self.routers.iter().for_each(|router| router_yaml(&mut out, router));
        line!(out, "  services:\n    version-{version}:\n      weighted:\n        services: []");
        self.services.iter().for_each(|service| service_yaml(&mut out, service));
        if !self.middlewares.is_empty() {
            line!(out, "  middlewares:");
            self.middlewares.iter().for_each(|step| middleware_yaml(&mut out, step));
        }
        if !self.uplinks.is_empty() {
            line!(out, "  uplinks:");
        }
        for uplink in &self.uplinks {
            line!(out, "    {}:\n      weight: {}", uplink.name, uplink.weight);
            check_yaml(&mut out, uplink.check, "/health", uplink.passive);
        }
        out.push_str(&self.tls);
        out
    }

    /// Cookies that clients may hold: one that means nothing here, and those that name members of
    /// sticky services in the plainest of the forms that Traefik ever gave out.
    pub fn cookies(&self) -> Vec<String> {
        let (mut trees, mut servers) = (Vec::new(), Vec::new());
        for service in self.services.iter().filter(|service| service.is_sticky()) {
            match &service.kind {
                Kind::Balancer { servers: all, .. } => {
                    servers.extend(all.iter().map(|at| at.url.as_str()));
                }
                Kind::Weighted(all) => trees.extend(all.iter().map(|(name, _)| name.as_str())),
                Kind::Failover { .. } | Kind::Mirroring { .. } => {}
            }
        }
        let mut cookies = vec!["a=1; b=2".to_owned()];
        for n in 0..trees.len().max(servers.len()) {
            let at = |list: &[&str]| {
                list.get(n % list.len().max(1)).copied().unwrap_or("none").to_owned()
            };
            cookies.push(format!("{TREE}={}; x=1; {SERVER}={}", at(&trees), at(&servers)));
        }
        if let Some(root) = self.signed() {
            cookies.extend(signed::cookies(self, root));
        }
        cookies
    }

    /// The service with a signed cookie, if there is one.
    pub fn signed(&self) -> Option<&str> {
        let root = self.services.iter().find(|service| service.signed.is_some())?;
        Some(&root.name)
    }

    /// Whether it has circuit breakers.
    pub fn breaks(&self) -> bool {
        self.middlewares.iter().any(|step| matches!(step.kind, Step::Break(_)))
    }

    /// What the circuit breaker of a router is told, if it has one.
    pub fn breaker_of(&self, router: &str) -> Option<Settings> {
        let router = home::bare(router);
        let router = self.routers.iter().find(|at| at.name == router)?;
        self.breaker_among(&router.middlewares)
    }

    /// The same of a service.
    pub fn breaker_before(&self, service: &str) -> Option<Settings> {
        let service = self.service(service)?;
        self.breaker_among(&service.middlewares)
    }

    fn breaker_among(&self, names: &[String]) -> Option<Settings> {
        let named = |at: &&Middleware| names.contains(&at.name);
        self.middlewares.iter().filter(named).find_map(|step| match step.kind {
            Step::Break(settings) => Some(settings),
            Step::Strip(_)
            | Step::Add(_)
            | Step::Headers { .. }
            | Step::Chain(_)
            | Step::Allow(_)
            | Step::Secure
            | Step::Share
            | Step::Rate
            | Step::Gauge
            | Step::Squeeze => None,
        })
    }

    /// By its name, with or without where it is from.
    pub fn service(&self, name: &str) -> Option<&Service> {
        let name = home::bare(name);
        self.services.iter().find(|service| service.name == name)
    }
}

fn list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn router_yaml(out: &mut String, router: &Router) {
    line!(out, "    {}:\n      rule: '{}'", router.name, router.rule_text());
    if let Some(priority) = router.priority {
        line!(out, "      priority: {priority}");
    }
    for (key, items) in [
        ("entryPoints", &router.entries),
        ("middlewares", &router.middlewares),
        ("uplinks", &router.uplinks),
    ] {
        if !items.is_empty() {
            line!(out, "      {key}: {}", list(items));
        }
    }
    line!(out, "      service: \"{}\"", router.service);
}

fn check_yaml(out: &mut String, check: Option<Check>, path: &str, passive: bool) {
    let indent = "      ";
    if let Some(Check { interval, timeout }) = check {
        let (interval, timeout) = (interval.as_millis(), timeout.as_millis());
        line!(out, "{indent}healthCheck:\n{indent}  path: {path}");
        line!(out, "{indent}  interval: {interval}ms\n{indent}  timeout: {timeout}ms");
    }
    if passive {
        line!(out, "{indent}passiveHealthCheck:\n{indent}  failureWindow: 2s");
        line!(out, "{indent}  maxFailedAttempts: 2");
    }
}

fn service_yaml(out: &mut String, service: &Service) {
    line!(out, "    {}:", service.name);
    if !service.middlewares.is_empty() {
        line!(out, "      middlewares: {}", list(&service.middlewares));
    }
    match &service.kind {
        Kind::Balancer { servers, check, passive, pass_host } => {
            line!(out, "      loadBalancer:\n        passHostHeader: {pass_host}");
            if service.strategy != Strategy::Turns {
                line!(out, "        strategy: {}", service.strategy.name());
            }
            sticky_yaml(out, service, SERVER);
            line!(out, "        servers:");
            for backend in servers {
                line!(
                    out,
                    "        - url: \"{}\"\n          weight: {}",
                    backend.url,
                    backend.weight
                );
            }
            let mut checks = String::new();
            check_yaml(&mut checks, *check, &service.check_path(), *passive);
            checks.lines().for_each(|text| line!(out, "  {text}"));
        }
        Kind::Weighted(services) => {
            let by_address = service.strategy == Strategy::Client;
            let kind = if by_address { "highestRandomWeight" } else { "weighted" };
            line!(out, "      {kind}:");
            sticky_yaml(out, service, TREE);
            line!(out, "        services:");
            for (name, weight) in services {
                line!(out, "        - name: \"{name}\"\n          weight: {weight}");
            }
        }
        Kind::Failover { main, fallback, errors } => {
            line!(out, "      failover:\n        service: \"{main}\"");
            line!(out, "        fallback: \"{fallback}\"");
            if *errors {
                line!(out, "        errors:\n          status: [\"500-599\"]");
            }
        }
        Kind::Mirroring { main, mirrors, body, max } => {
            line!(out, "      mirroring:\n        service: \"{main}\"\n        mirrorBody: {body}");
            if let Some(max) = max {
                line!(out, "        maxBodySize: {max}");
            }
            line!(out, "        mirrors:");
            for (name, percent) in mirrors {
                line!(out, "        - name: \"{name}\"\n          percent: {percent}");
            }
        }
    }
}

fn sticky_yaml(out: &mut String, service: &Service, name: &str) {
    if service.is_sticky() {
        line!(out, "        sticky: {{cookie: {{name: {name}}}}}");
    }
    let Some(key) = service.signed else { return };
    let key = match key {
        Key::Told => format!("key: \"{}\"", signed::KEY),
        Key::Filed => format!("keyFile: {}", signed::KEY_FILE),
    };
    line!(out, "        sticky:\n          cookie: {{name: {}}}", signed::COOKIE);
    line!(out, "          tieline: {{allLevels: {{{key}}}}}");
}

fn middleware_yaml(out: &mut String, middleware: &Middleware) {
    line!(out, "    {}:", middleware.name);
    match &middleware.kind {
        Step::Strip(prefixes) => {
            line!(out, "      stripPrefix:\n        prefixes: {}", list(prefixes));
        }
        Step::Add(prefix) => line!(out, "      addPrefix:\n        prefix: \"{prefix}\""),
        Step::Allow(range) => {
            line!(out, "      ipAllowList:\n        sourceRange: [\"{range}\"]");
        }
        Step::Secure => line!(out, "      redirectScheme:\n        scheme: https"),
        Step::Rate => {
            line!(out, "      rateLimit:\n        average: 2\n        burst: 1");
        }
        Step::Gauge => line!(out, "      inFlightReq:\n        amount: 1"),
        Step::Squeeze => line!(out, "      compress: {{}}"),
        Step::Break(settings) => breaker_yaml(out, *settings),
        Step::Share => {
            line!(out, "      headers:\n        accessControlAllowOriginList: [\"*\"]");
            line!(out, "        accessControlAllowMethods: [GET, POST]");
        }
        Step::Chain(names) => line!(out, "      chain:\n        middlewares: {}", list(names)),
        Step::Headers { request, response } => {
            line!(out, "      headers:");
            for (key, fields) in
                [("customRequestHeaders", request), ("customResponseHeaders", response)]
            {
                if !fields.is_empty() {
                    line!(out, "        {key}:");
                }
                for (name, value) in fields {
                    line!(out, "          {name}: \"{value}\"");
                }
            }
        }
    }
}

fn breaker_yaml(out: &mut String, settings: Settings) {
    let Settings { network, percent, .. } = settings;
    let what = if network { "NetworkErrorRatio()" } else { "ResponseCodeRatio(500, 600, 0, 600)" };
    let [period, fallback, recovery] =
        [Settings::PERIOD, Settings::FALLBACK, Settings::RECOVERY].map(Span::as_millis);
    line!(out, "      circuitBreaker:\n        expression: {what} > 0.{percent:02}");
    line!(out, "        checkPeriod: {period}ms\n        fallbackDuration: {fallback}ms");
    line!(out, "        recoveryDuration: {recovery}ms");
    line!(out, "        responseCode: {}", settings.status());
}

/// What clients may ask for.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// Addresses of the parent's entry points, in the order of their numbers.
    pub entries: Vec<SocketAddr>,
    pub hosts: Vec<String>,
    /// First path segments that some router knows, and one that none does.
    pub prefixes: Vec<String>,
    /// What clients may hold.
    pub cookies: Vec<String>,
    /// How large bodies may get.
    pub body_max: u64,
    pub upgrades: bool,
    /// Clients say which codings they take.
    pub codings: bool,
    pub wiring: Wiring,
}

/// Where a client says that its request comes from, and which uplink it says that it wants.
pub const CLAIMED_ADDRESS: &str = "198.51.100.66";
pub const CLAIMED_UPLINK: &str = "claimed";

impl Asking {
    /// How a client meets an entry. An old client knows no version of TLS but 1.2.
    pub fn draw_leg(&self, chance: &mut Stream, entry: u16) -> (Leg, bool) {
        if !self.wiring.on {
            return (Leg::default(), false);
        }
        let tls = self.wiring.entries[usize::from(entry)];
        let two = self.wiring.two && !chance.one_in(3);
        (Leg { tls, two }, tls && chance.one_in(4))
    }

    pub fn draw_entry(&self, chance: &mut Stream) -> u16 {
        let at = chance.below(self.entries.len() as u64);
        u16::try_from(at).expect("few entries")
    }

    pub fn draw_last(&self, chance: &mut Stream) -> bool {
        chance.one_in(6)
    }

    /// A request, and what it wants to be answered.
    pub fn draw(&self, chance: &mut Stream, entry: u16) -> (Meant, Want) {
        let method = *chance.pick(&["GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS"]);
        let upgrade = self.upgrades && method == "GET" && chance.one_in(8);
        let old_version = !upgrade && chance.one_in(16);
        let body = match method {
            "POST" | "PUT" if old_version => BodyKind::Length,
            "POST" | "PUT" => *chance.pick(&[BodyKind::Length, BodyKind::Chunked]),
            _ => BodyKind::None,
        };
        let body_bytes = if body == BodyKind::None { 0 } else { chance.size(self.body_max) };
        let trailers = body == BodyKind::Chunked && chance.one_in(4);
        let target = self.draw_target(chance);
        let host = chance.pick(&self.hosts).clone();
        let mut fields = draw_fields(chance);
        if let Some((_, value)) = fields.iter_mut().find(|(name, _)| name == "cookie")
            && !self.cookies.is_empty()
        {
            value.clone_from(&self.cookies[target.len() % self.cookies.len()]);
        }
        if self.codings && !chance.one_in(4) {
            let (text, _) = *chance.pick(&coding::ASKED);
            fields.push((coding::FIELD.into(), text.into()));
        }
        // What nobody from outside may say. Drawn by what was drawn anyway.
        if target.len() % 5 == 2 {
            fields.push(("x-forwarded-for".into(), CLAIMED_ADDRESS.into()));
            fields.push(("x-uplink-name".into(), CLAIMED_UPLINK.into()));
        }
        let meant = Meant {
            method,
            target,
            host,
            fields,
            body,
            body_bytes,
            trailers,
            upgrade,
            old_version,
            secure: self.wiring.entries[usize::from(entry)],
        };
        let want = self.draw_want(chance, upgrade, method);
        (meant, want)
    }

    fn draw_target(&self, chance: &mut Stream) -> String {
        let mut target = chance.pick(&self.prefixes).clone();
        if chance.one_in(24) {
            target.push_str("..");
        }
        for _ in 0..chance.below(3) {
            let pieces = ["/a", "/items", "/7", "/x-y_z", "/%7Euser", "/"];
            let piece = *chance.pick(&pieces);
            target.push_str(piece);
        }
        if chance.one_in(3) {
            let queries = ["?q=1", "?q=2&z", "?", "?a=%20b"];
            let query = *chance.pick(&queries);
            target.push_str(query);
        }
        if target.is_empty() { "/".into() } else { target }
    }

    fn draw_want(&self, chance: &mut Stream, upgrade: bool, method: &str) -> Want {
        let status = if upgrade {
            101
        } else {
            *chance.pick(&[200, 200, 200, 201, 204, 304, 302, 404, 500, 503])
        };
        let framing =
            *chance.pick(&[Frame::Length, Frame::Length, Frame::Chunked, Frame::UntilClose]);
        let bodiless = matches!(status, 204 | 304) || method == "HEAD";
        let bytes = if bodiless { 0 } else { chance.size(self.body_max) };
        let framing = if bodiless { Frame::Length } else { framing };
        Want {
            status,
            bytes,
            framing,
            interim: u8::try_from(chance.below(16).saturating_sub(12)).expect("small"),
            trailers: framing == Frame::Chunked && chance.one_in(3),
            delay: Span::micros(if chance.one_in(3) { chance.size(1_500_000) } else { 0 }),
            early: !upgrade && chance.one_in(10),
            close: !upgrade && chance.one_in(10),
        }
    }
}

fn draw_fields(chance: &mut Stream) -> Vec<(String, String)> {
    let known = [
        ("accept", "*/*"),
        ("x-route", "a"),
        ("x-route", "b"),
        ("user-agent", "sim/1"),
        ("cookie", "a=1; b=2"),
        ("x-list", "one, two"),
        ("x-empty", ""),
        ("authorization", "Bearer abc"),
    ];
    let count = chance.below(4);
    let mut fields: Vec<(String, String)> = Vec::new();
    for _ in 0..count {
        let (name, value) = *chance.pick(&known);
        if !fields.iter().any(|(at, _)| at == name) {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    if chance.one_in(12) {
        fields.push(("origin".into(), "http://script.test".into()));
        fields.push(("access-control-request-method".into(), "POST".into()));
    }
    if chance.one_in(24) {
        let ways =
            ["a", "a, parent", "child-0, b", "1, 2, 3, 4, 5, 6, 7, 8", "1, 2, 3, 4, 5, 6, 7, 8, 9"];
        fields.push((crate::model::HOPS.to_owned(), (*chance.pick(&ways)).to_owned()));
    }
    fields
}
