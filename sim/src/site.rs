//! Which machines and actors a run has, with which documents and bounds: drawn once.

use crate::entropy::Stream;
use crate::home::Home;
use crate::plan::{
    Asking, Backend, Check, Document, Kind, Matcher, Middleware, Router, Service, Step, Term,
    Uplink,
};
use crate::secure::authority::Authority;
use crate::secure::wardrobe::Leg;
use crate::wiring::{self, Wiring};
use engine::base::limits::{ControlLimits, Limits};
use engine::base::time::Span;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A run's cast.
#[derive(Clone, Debug)]
pub struct Site {
    pub parent: Instance,
    pub children: Vec<Child>,
    pub servers: Vec<Origin>,
    pub asking: Asking,
    /// Requests of each client.
    pub clients: Vec<u32>,
    pub limits: Limits,
    pub control_limits: ControlLimits,
    /// Some bound is so tight that requests are turned away.
    pub tight: bool,
    /// Polls and probes may fail for want of room.
    pub control_tight: bool,
    /// Inputs that a machine takes at once.
    pub batch: usize,
    pub attackers: u16,
    pub wiring: Wiring,
    pub patience: Patience,
    pub home: Home,
    /// The server that documents are asked from, by position.
    pub librarian: Option<usize>,
}

/// How long the parent is told to wait for others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Patience {
    /// For the head and body of a request, by entry point.
    pub request: Vec<Span>,
    /// For the head of a response; nothing is for ever.
    pub response_head: Span,
    /// With a connection to a server that nobody uses.
    pub idle: Span,
}

/// One of our own instances.
#[derive(Clone, Debug)]
pub struct Instance {
    pub name: String,
    pub ip: IpAddr,
    pub startup: String,
    pub document: Document,
    pub workers: u16,
    /// By path.
    pub files: BTreeMap<String, Arc<str>>,
}

#[derive(Clone, Debug)]
pub enum Child {
    Ours(Instance),
    /// Played by the server of that position.
    Played {
        server: usize,
        uplinks: Vec<Uplink>,
    },
}

#[derive(Clone, Debug)]
pub struct Origin {
    pub name: String,
    pub addr: SocketAddr,
    pub mirror: bool,
    pub leg: Leg,
}

impl Origin {
    fn new(name: String, addr: SocketAddr, leg: Leg) -> Self {
        Self { name, addr, mirror: false, leg }
    }

    /// The URL of a host that this server has.
    fn url(&self, host: &str) -> String {
        format!("{}://{host}", Wiring::scheme(self.leg))
    }
}

pub const PARENT_IP: [u8; 4] = [10, 0, 0, 1];
const UPLINKS: [&str; 2] = ["shop", "bank"];

/// Actors are numbered: servers first, from here.
pub const FIRST_SERVER: u16 = 100;

fn ip(group: u8, number: usize) -> IpAddr {
    [10, 0, group, u8::try_from(number + 1).expect("a run has few hosts")].into()
}

/// Whence a client comes.
pub fn client_ip(actor: u16) -> IpAddr {
    [10, 9, 0, u8::try_from(actor + 1).expect("a run has few clients")].into()
}

fn number(position: usize) -> u16 {
    FIRST_SERVER + u16::try_from(position).expect("a run has few servers")
}

/// Everything in clear text.
pub fn draw(chance: &mut Stream, with_limits: bool) -> Site {
    draw_wired(chance, with_limits, &Wiring::default())
}

pub fn draw_wired(chance: &mut Stream, with_limits: bool, wiring: &Wiring) -> Site {
    let workers = u16::try_from(chance.between(1, 3)).expect("few workers");
    let mut servers = Vec::new();
    for n in 0..usize::try_from(chance.between(2, 4)).expect("few servers") {
        let addr = SocketAddr::new(ip(2, n), 8080);
        servers.push(Origin::new(format!("origin-{n}"), addr, wiring.origin(n)));
    }
    let mirror = servers.len();
    let addr = SocketAddr::new(ip(2, mirror), 8080);
    let leg = wiring.origin(mirror);
    servers.push(Origin { name: "mirror".into(), addr, mirror: true, leg });
    let children = draw_children(chance, &mut servers, wiring);
    let mut document = draw_document(chance, &servers, mirror, &children);
    if wiring.on {
        wiring::document(&mut document);
    }
    let two_entries = chance.one_in(2);
    let default_only = chance.one_in(3);
    let web = SocketAddr::new(PARENT_IP.into(), 80);
    let extra = SocketAddr::new(PARENT_IP.into(), 81);
    let entries = Entries { two: two_entries, default_only };
    let (startup, patience) = parent_startup(chance, entries, &children, &servers, wiring);
    let (limits, tight) =
        if with_limits { draw_limits(chance) } else { (Limits::default(), false) };
    let (control_limits, control_tight) =
        if with_limits { draw_control_limits(chance) } else { (control_limits(), false) };
    let control_tight = control_tight || deafens(&limits);
    let asking = Asking {
        entries: if two_entries { vec![web, extra] } else { vec![web] },
        hosts: vec!["shop.test".into(), "other.test:80".into(), "SHOP.test".into()],
        prefixes: prefixes(&document),
        cookies: document.cookies(),
        body_max: *chance.pick(&[5_000, 20_000, 300, 200_000]),
        codings: false,
        upgrades: chance.one_in(2) && !wiring.multiplexes(),
        wiring: wiring.clone(),
    };
    let clients = (0..chance.between(2, 8)).map(|_| 4 + small(chance.size(40))).collect();
    Site {
        parent: Instance {
            name: "parent".into(),
            ip: PARENT_IP.into(),
            startup,
            document,
            workers,
            files: files_of("parent", PARENT_IP.into(), wiring),
        },
        children,
        servers,
        asking,
        clients,
        limits,
        control_limits,
        control_tight,
        tight,
        batch: *chance.pick(&[64, 1, 4, 1_000]),
        attackers: 1,
        wiring: wiring.clone(),
        patience,
        home: Home::File,
        librarian: None,
    }
}

/// The section about documents of an instance that reads them itself.
const READS: &str = "  file:\n    filename: /dynamic.yml\n";

impl Instance {
    /// Where it asks for its document.
    pub fn page(&self) -> String {
        format!("/documents/{}.yml", self.name)
    }

    fn polls(&mut self, from: SocketAddr, every: Span) {
        let (page, every) = (self.page(), every.as_millis());
        let section = format!(
            "  http:\n    endpoint: \"http://{from}{page}\"\n    pollInterval: {every}ms\n    \
             pollTimeout: 2s\n"
        );
        let startup = self.startup.replacen(READS, &section, 1);
        self.startup = startup.replace("options: parents", "options: parents@http");
    }
}

impl Site {
    /// All instances ask a server for their documents instead of reading files.
    pub fn ask_for_documents(&mut self, chance: &mut Stream) {
        let addr = SocketAddr::new(ip(4, 0), 8080);
        self.servers.push(Origin::new("librarian".into(), addr, Leg::default()));
        (self.home, self.librarian) = (Home::Http, Some(self.servers.len() - 1));
        let every = Span::millis(chance.between(500, 3_000));
        let own = self.children.iter_mut().filter_map(|child| match child {
            Child::Ours(instance) => Some(instance),
            Child::Played { .. } => None,
        });
        own.chain([&mut self.parent]).for_each(|instance| instance.polls(addr, every));
    }
}

fn files_of(name: &str, ip: IpAddr, wiring: &Wiring) -> BTreeMap<String, Arc<str>> {
    let shown = wiring.on.then(|| wiring::shown(name, ip, wiring.spiffe));
    shown.map_or_else(BTreeMap::new, |shown| wiring::files(&shown, &[Authority::Old]))
}

/// Which entry points the parent has.
#[derive(Clone, Copy)]
struct Entries {
    two: bool,
    default_only: bool,
}

fn small(value: u64) -> u32 {
    u32::try_from(value).expect("drawn small")
}

fn draw_check(chance: &mut Stream) -> Option<Check> {
    chance.one_in(2).then(|| Check {
        interval: Span::millis(chance.between(1_000, 4_000)),
        timeout: Span::millis(chance.between(500, 2_000)),
    })
}

fn draw_children(chance: &mut Stream, servers: &mut Vec<Origin>, wiring: &Wiring) -> Vec<Child> {
    let mut children = Vec::new();
    for n in 0..usize::try_from(chance.below(4)).expect("few children") {
        let address = ip(1, n);
        let uplinks = draw_uplinks(chance);
        if chance.one_in(2) {
            let addr = SocketAddr::new(address, 9443);
            servers.push(Origin::new(format!("child-{n}"), addr, wiring.child(n)));
            children.push(Child::Played { server: servers.len() - 1, uplinks });
            continue;
        }
        let position = servers.len();
        let addr = SocketAddr::new(ip(3, n), 8080);
        let leg = wiring.origin(position);
        let origin = Origin::new(format!("child-{n}-origin"), addr, leg);
        let backend =
            Backend { server: number(position), url: origin.url(&addr.to_string()), weight: 1 };
        servers.push(origin);
        children.push(Child::Ours(child_instance(chance, n, address, backend, uplinks, wiring)));
    }
    children
}

fn draw_uplinks(chance: &mut Stream) -> Vec<Uplink> {
    let mut uplinks = Vec::new();
    for name in UPLINKS {
        if !chance.one_in(3) {
            uplinks.push(Uplink {
                name: name.into(),
                weight: small(chance.between(1, 4)),
                check: draw_check(chance),
                passive: chance.one_in(6),
            });
        }
    }
    uplinks
}

fn child_instance(
    chance: &mut Stream,
    n: usize,
    address: IpAddr,
    backend: Backend,
    uplinks: Vec<Uplink>,
    wiring: &Wiring,
) -> Instance {
    let routers = uplinks.iter().map(|uplink| Router {
        name: format!("r-{}", uplink.name),
        rule: vec![vec![Term::is(Matcher::PathPrefix("/".into()))]],
        priority: None,
        entries: Vec::new(),
        middlewares: vec!["mark".into()],
        service: "origin".into(),
        uplinks: vec![uplink.name.clone()],
    });
    let request = vec![("X-Child".to_owned(), format!("child-{n}"))];
    let mut document = Document {
        version: 1,
        routers: routers.collect(),
        services: vec![Service::new(
            "origin",
            Kind::Balancer { servers: vec![backend], check: None, passive: false, pass_host: true },
        )],
        middlewares: vec![Middleware {
            name: "mark".into(),
            kind: Step::Headers { request, response: Vec::new() },
        }],
        uplinks,
        tls: String::new(),
    };
    let mut tls = "";
    if wiring.on {
        wiring::document(&mut document);
        tls = wiring::TRANSPORT;
    }
    // A dial that nobody answers is over when all has to be well again.
    let dial = "forwardingTimeouts: {dialTimeout: 5s}";
    let transport = format!("serversTransport: {{{dial}{tls}}}\n");
    let secure = match wiring.child(n).tls {
        true if wiring.spiffe => wiring::callers(n),
        true => "      http: {tls: {options: parents}}\n".to_owned(),
        false => String::new(),
    };
    let source = wiring::source(wiring.spiffe);
    let startup = format!(
        "{source}entryPoints:\n  web:\n    address: \"{address}:80\"\n\
         hub:\n  uplinkEntryPoints:\n    up:\n      address: \"{address}:9443\"\n{secure}\
         \x20     transport:\n        respondingTimeouts:\n          readTimeout: 120s\n\
         \x20 providers:\n    multicluster: {{}}\n\
         providers:\n  providersThrottleDuration: 100ms\n{READS}\
         {transport}accessLog:\n  format: json\n  fields: {{headers: {{defaultMode: drop, names: \
         {{x-probe: keep, cookie: keep}}}}}}\n\
         tieline:\n  instance: child-{n}\n"
    );
    let workers = u16::try_from(chance.between(1, 2)).expect("few workers");
    let name = format!("child-{n}");
    let files = files_of(&name, address, wiring);
    Instance { name, ip: address, startup, document, workers, files }
}

/// Writes a line; writing to a string cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("writing to a string")
    };
}

fn parent_startup(
    chance: &mut Stream,
    entries: Entries,
    children: &[Child],
    servers: &[Origin],
    wiring: &Wiring,
) -> (String, Patience) {
    let mut patience = Patience::default();
    let mut out = wiring::source(wiring.spiffe);
    line!(out, "entryPoints:");
    let both = [("web", 80), ("extra", 81)].into_iter().zip(wiring.entries);
    for ((name, port), secure) in both.take(1 + usize::from(entries.two)) {
        line!(out, "  {name}:\n    address: \"10.0.0.1:{port}\"");
        if entries.default_only && name == "web" {
            line!(out, "    asDefault: true");
        }
        if secure {
            line!(out, "    http: {{tls: {{}}}}");
        }
        line!(out, "    transport:\n      respondingTimeouts:");
        let read = *chance.pick(&[120, 8]);
        patience.request.push(Span::secs(read));
        line!(out, "        readTimeout: {read}s");
        line!(out, "        writeTimeout: {}s", chance.pick(&[0, 0, 12]));
        line!(out, "        idleTimeout: {}s", chance.pick(&[180, 30, 5]));
        line!(out, "      lifeCycle:\n        graceTimeOut: {}s", chance.pick(&[10, 3]));
    }
    let idle = chance.pick(&["0", "0", "-1", "1"]);
    let secure = if wiring.on { wiring::TRANSPORT } else { "" };
    let (unused, head) = (*chance.pick(&[90, 2]), *chance.pick(&[0, 0, 6]));
    (patience.idle, patience.response_head) = (Span::secs(unused), Span::secs(head));
    let timeouts = format!(
        "maxIdleConnsPerHost: {idle}, forwardingTimeouts: {{dialTimeout: 5s, \
         idleConnTimeout: {unused}s, responseHeaderTimeout: {head}s}}"
    );
    if !children.is_empty() {
        line!(out, "hub:\n  providers:\n    multicluster:");
        line!(out, "      pollInterval: {}s\n      pollTimeout: 2s", chance.pick(&[2, 1, 4]));
        line!(out, "      children:");
    }
    for (n, child) in children.iter().enumerate() {
        let addr = match child {
            Child::Ours(instance) => SocketAddr::new(instance.ip, 9443),
            Child::Played { server, .. } => servers[*server].addr,
        };
        let leg = wiring.child(n);
        let scheme = Wiring::scheme(leg);
        let plain = if leg.tls && !leg.two { ", disableHTTP2: true" } else { "" };
        let secure = match leg.tls {
            true if wiring.spiffe => wiring::transport_to(n),
            true => secure.to_owned(),
            false => String::new(),
        };
        line!(out, "        c{n}:\n          address: \"{scheme}://{addr}\"");
        line!(out, "          serversTransport: {{{timeouts}{secure}{plain}}}");
        let policy = *chance.pick(&["", "demote", "withdraw", "decay"]);
        if !policy.is_empty() {
            let over = if policy == "decay" { ", over: 4s" } else { "" };
            let policy = format!("{{policy: {policy}, after: 5s{over}}}");
            line!(out, "          tieline: {{onStale: {policy}}}");
        }
    }
    line!(out, "providers:\n  providersThrottleDuration: {}ms", chance.pick(&[100, 2_000]));
    out.push_str(READS);
    line!(out, "serversTransport: {{{timeouts}{secure}}}");
    let fields = "{headers: {defaultMode: drop, names: {x-probe: keep, cookie: keep}}}";
    line!(out, "accessLog:\n  format: json\n  fields: {fields}\ntieline:\n  instance: parent");
    (out, patience)
}

fn draw_document(
    chance: &mut Stream,
    servers: &[Origin],
    mirror: usize,
    children: &[Child],
) -> Document {
    let mut services = Vec::new();
    for n in 0..chance.between(1, 3) {
        let kind = draw_balancer(chance, servers, mirror);
        services.push(Service::new(format!("lb{n}"), kind));
    }
    let url = servers[mirror].url(&servers[mirror].addr.to_string());
    let servers = vec![Backend { server: number(mirror), url, weight: 1 }];
    let kind = Kind::Balancer { servers, check: None, passive: false, pass_host: true };
    services.push(Service::new("shadow", kind));
    let names = members(&services, children);
    for n in 0..chance.below(4) {
        let kind = draw_tree(chance, &names);
        services.push(Service::new(format!("tree{n}"), kind));
    }
    if chance.one_in(8) {
        for (name, next) in [("round0", "round1"), ("round1", "round0")] {
            let kind = Kind::Weighted(vec![(next.into(), 1)]);
            services.push(Service::new(name, kind));
        }
    }
    let middlewares = draw_middlewares(chance);
    for service in services.iter_mut().filter(|service| service.name != "shadow") {
        service.middlewares = draw_guard(chance);
    }
    let routers = draw_routers(chance, &services, children, &middlewares);
    let (uplinks, tls) = (Vec::new(), String::new());
    Document { version: 1, routers, services, middlewares, uplinks, tls }
}

fn draw_balancer(chance: &mut Stream, servers: &[Origin], mirror: usize) -> Kind {
    let mut backends = Vec::new();
    for (n, server) in servers.iter().enumerate().take(mirror) {
        if chance.one_in(3) && !(n + 1 == mirror && backends.is_empty()) {
            continue;
        }
        let name = server.name.as_str();
        let url = match chance.one_in(4) {
            true => server.url(&format!("{name}.test:8080")),
            false => server.url(&server.addr.to_string()),
        };
        let weight = if chance.one_in(12) { 70_001 } else { small(chance.between(1, 5)) };
        backends.push(Backend { server: number(n), url, weight });
    }
    Kind::Balancer {
        check: draw_check(chance),
        servers: backends,
        passive: chance.one_in(8),
        pass_host: !chance.one_in(4),
    }
}

/// Names that trees may be built of.
fn members(services: &[Service], children: &[Child]) -> Vec<String> {
    let own = services.iter().filter(|at| at.name != "shadow").map(|at| at.name.clone());
    let mut names: Vec<String> = own.collect();
    for (n, child) in children.iter().enumerate() {
        let uplinks = match child {
            Child::Ours(instance) => &instance.document.uplinks,
            Child::Played { uplinks, .. } => uplinks,
        };
        for uplink in uplinks {
            names.push(format!("{}@multicluster", uplink.name));
            names.push(format!("{}-c{n}@multicluster", uplink.name));
        }
    }
    names
}

fn draw_tree(chance: &mut Stream, names: &[String]) -> Kind {
    let mut name = || chance.pick(names).clone();
    let (first, second, third) = (name(), name(), name());
    match chance.below(3) {
        0 => {
            let mut list = vec![(first, small(chance.between(1, 9)))];
            for name in [second, third] {
                if !list.iter().any(|(at, _)| *at == name) {
                    list.push((name, small(chance.below(10))));
                }
            }
            Kind::Weighted(list)
        }
        1 => Kind::Failover { main: first, fallback: second, errors: chance.one_in(2) },
        _ => Kind::Mirroring {
            main: first,
            mirrors: vec![("shadow".into(), *chance.pick(&[100, 10, 50, 100]))],
            body: !chance.one_in(3),
            max: chance.one_in(3).then_some(1_000),
        },
    }
}

fn draw_middlewares(chance: &mut Stream) -> Vec<Middleware> {
    let strip = Step::Strip((0..12).map(|n| format!("/s{n}")).collect());
    let fields = Step::Headers {
        request: vec![("X-Added".into(), "yes".into()), ("cookie".into(), String::new())],
        response: vec![("X-Tagged".into(), "out".into())],
    };
    let mut list = vec![
        Middleware { name: "strip".into(), kind: strip },
        Middleware { name: "add".into(), kind: Step::Add("/pre".into()) },
        Middleware { name: "fields".into(), kind: fields },
        Middleware { name: "deny".into(), kind: Step::Allow("192.0.2.0/24".into()) },
        Middleware { name: "away".into(), kind: Step::Secure },
        Middleware { name: "share".into(), kind: Step::Share },
        Middleware { name: "rate".into(), kind: Step::Rate },
        Middleware { name: "gauge".into(), kind: Step::Gauge },
    ];
    if chance.one_in(2) {
        let kind = Step::Chain(vec!["strip".into(), "add".into(), "fields".into()]);
        list.push(Middleware { name: "all".into(), kind });
    }
    list
}

fn draw_routers(
    chance: &mut Stream,
    services: &[Service],
    children: &[Child],
    middlewares: &[Middleware],
) -> Vec<Router> {
    let mut targets: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    targets.retain(|name| name != "shadow" && !name.starts_with("round"));
    if !children.is_empty() {
        targets.extend(UPLINKS.iter().map(|name| format!("{name}@multicluster")));
    }
    let mut routers = Vec::new();
    for (n, service) in targets.iter().enumerate() {
        let mut rule = vec![Term::is(Matcher::PathPrefix(format!("/s{n}")))];
        if chance.one_in(4) {
            rule.push(draw_term(chance));
        }
        routers.push(Router {
            name: format!("r{n}"),
            rule: vec![rule],
            priority: None,
            entries: if chance.one_in(6) { vec!["web".into()] } else { Vec::new() },
            middlewares: draw_steps(chance, middlewares),
            service: service.clone(),
            uplinks: Vec::new(),
        });
    }
    for n in 0..chance.below(3) {
        routers.push(draw_odd_router(chance, n, &targets, middlewares));
    }
    routers
}

/// What a service has of its own: nothing that turns everybody away.
fn draw_guard(chance: &mut Stream) -> Vec<String> {
    let mut names = Vec::new();
    while chance.one_in(4) && names.len() < 2 {
        names.push((*chance.pick(&["add", "fields", "rate", "gauge"])).to_owned());
    }
    names
}

fn draw_steps(chance: &mut Stream, middlewares: &[Middleware]) -> Vec<String> {
    let count = chance.below(3);
    let mut names: Vec<String> = Vec::new();
    for _ in 0..count {
        let name = &chance.pick(middlewares).name;
        let odd = ["deny", "away", "share", "rate", "gauge"].contains(&name.as_str());
        if !odd && !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn draw_term(chance: &mut Stream) -> Term {
    let matcher = match chance.below(4) {
        0 => Matcher::Header("X-Route".into(), "a".into()),
        1 => Matcher::Method("GET".into()),
        2 => Matcher::Host("shop.test".into()),
        _ => Matcher::Query("q".into(), "1".into()),
    };
    Term { not: chance.one_in(3), matcher }
}

/// A router that overlaps others, or is broken in one way.
fn draw_odd_router(
    chance: &mut Stream,
    n: u64,
    targets: &[String],
    middlewares: &[Middleware],
) -> Router {
    let path = format!("/s{}", chance.below(targets.len() as u64));
    let mut router = Router {
        name: format!("odd{n}"),
        rule: vec![vec![Term::is(Matcher::PathPrefix(path)), draw_term(chance)]],
        priority: chance.one_in(2).then(|| i64::try_from(chance.below(60)).expect("small")),
        entries: Vec::new(),
        middlewares: draw_steps(chance, middlewares),
        service: chance.pick(targets).clone(),
        uplinks: Vec::new(),
    };
    match chance.below(10) {
        1 => router.service = "missing".into(),
        2 => router.middlewares.push("missing".into()),
        3 => router.rule = vec![vec![Term::is(Matcher::Broken("PathPrefix(".into()))]],
        4 => router.rule.push(vec![Term::is(Matcher::Path("/alone".into())), draw_term(chance)]),
        5 => router.middlewares.insert(0, "deny".into()),
        6 => router.middlewares.insert(0, "away".into()),
        7 => router.middlewares.insert(0, "share".into()),
        8 => router.middlewares.insert(0, "rate".into()),
        9 => router.middlewares.insert(0, "gauge".into()),
        _ => {}
    }
    router
}

fn prefixes(document: &Document) -> Vec<String> {
    let routers = document.routers.iter().filter(|router| router.name.starts_with('r'));
    let mut prefixes: Vec<String> = routers.enumerate().map(|(n, _)| format!("/s{n}")).collect();
    prefixes.push("/nowhere".into());
    prefixes.push("/alone".into());
    prefixes
}

/// Bounds of a worker: usual ones, or some absurd. The second part tells whether requests may be
/// turned away for want of room.
fn draw_limits(chance: &mut Stream) -> (Limits, bool) {
    let mut limits = Limits::default();
    if !chance.one_in(2) {
        return (limits, false);
    }
    let mut set = |field: &mut u32, choices: &[u32]| {
        if chance.one_in(5) {
            *field = *chance.pick(choices);
        }
    };
    set(&mut limits.small_page_bytes, &[64, 1, 200]);
    set(&mut limits.middle_page_bytes, &[64, 20, 500]);
    set(&mut limits.middle_pages_max, &[0, 1, 10]);
    set(&mut limits.large_page_bytes, &[64, 300, 2_000]);
    set(&mut limits.idle_large_pages, &[0, 1]);
    set(&mut limits.bulk_pages, &[1, 2]);
    set(&mut limits.chunks_per_write, &[1, 2, 5]);
    set(&mut limits.outbox_bytes, &[1, 64, 4_096]);
    set(&mut limits.stream_outbox_bytes, &[1, 64, 4_096]);
    set(&mut limits.stream_bulk_pages, &[1, 2]);
    set(&mut limits.accepts_per_listener, &[1, 2]);
    set(&mut limits.kept_bytes, &[0, 100, 10_000]);
    set(&mut limits.refused_bytes, &[0, 100, 10_000]);
    set(&mut limits.mirrors_max, &[0, 1]);
    set(&mut limits.log_bytes, &[1, 300]);
    set(&mut limits.linger_bytes, &[0, 100]);
    set(&mut limits.compressors_max, &[0, 1]);
    set(&mut limits.squeezed_bytes, &[1, 500]);
    let loose = limits;
    set(&mut limits.grown_head_bytes, &[0, 100, 1_000]);
    set(&mut limits.large_pages_max, &[1, 3, 8, 20]);
    set(&mut limits.clients_max, &[1, 3]);
    set(&mut limits.upstreams_max, &[1, 2, 4]);
    set(&mut limits.waiters_per_target, &[1, 2]);
    set(&mut limits.conns_per_target, &[1, 2]);
    set(&mut limits.streams_max, &[2, 1, 4]);
    if chance.one_in(4) {
        starve(chance, &mut limits);
    }
    (limits, limits != loose)
}

/// Whether a child with these bounds may turn polls and probes away: it lets no head grow that
/// comes in pieces, or is starved of pages for an answer.
fn deafens(limits: &Limits) -> bool {
    let starved = limits.streams_max < Limits::default().streams_max;
    starved || limits.grown_head_bytes < 2_000
}

/// So few connections and pages that one slow reader holds all of them.
fn starve(chance: &mut Stream, limits: &mut Limits) {
    limits.clients_max = *chance.pick(&[2, 1, 4]);
    limits.upstreams_max = *chance.pick(&[3, 2, 1]);
    limits.middle_pages_max = *chance.pick(&[1, 0, 2]);
    limits.large_pages_max = *chance.pick(&[2, 1, 4]);
    limits.streams_max = *chance.pick(&[1, 0]);
}

/// The usual bounds, but for the words of counting middlewares: few sources are busy in a world,
/// and half a megabyte of zeros per view costs more than most of what happens in it.
fn control_limits() -> ControlLimits {
    ControlLimits { source_words: 8_192, ..ControlLimits::default() }
}

/// Bounds of a control machine; whether polls and probes may fail for want of room.
fn draw_control_limits(chance: &mut Stream) -> (ControlLimits, bool) {
    let mut limits = control_limits();
    if !chance.one_in(3) {
        return (limits, false);
    }
    let mut set = |field: &mut u32, choices: &[u32]| {
        if chance.one_in(4) {
            *field = *chance.pick(choices);
        }
    };
    set(&mut limits.polls_max, &[1]);
    set(&mut limits.probes_max, &[1, 2]);
    set(&mut limits.resolves_max, &[1]);
    set(&mut limits.large_page_bytes, &[64, 700]);
    set(&mut limits.small_page_bytes, &[64]);
    let loose = limits;
    set(&mut limits.large_pages_max, &[0, 1]);
    set(&mut limits.collected_bytes, &[0, 100]);
    if chance.one_in(4) {
        limits.large_pages_max = *chance.pick(&[1, 0]);
        limits.small_pages_max = *chance.pick(&[1, 0]);
    }
    (limits, limits != loose)
}
