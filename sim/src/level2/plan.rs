//! A run of level 2, drawn from its seed beforehand: clusters with their documents, what goes wrong
//! when, and how far clusters are apart.

use engine::base::prng::Prng;
use engine::base::time::{Span, Time};
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How finely the network counts time.
    pub tick: Span,
    /// Workers of the parent.
    pub workers: u16,
    pub children: Vec<Child>,
    /// Clients that ask at the same time.
    pub clients: u16,
    pub strokes: Vec<Stroke>,
    /// The parent's own origin speaks HTTP/2.
    pub two: bool,
}

#[derive(Clone, Debug)]
pub struct Child {
    pub workers: u16,
    pub weight: u32,
    /// Interval and timeout of the parent's probes.
    pub check: Option<(Span, Span)>,
    /// One way to the parent, at most.
    pub latency: Span,
    /// The parent speaks HTTP/2 with it.
    pub two: bool,
    /// Its origin speaks HTTP/2.
    pub origin_two: bool,
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, Debug)]
pub struct Stroke {
    pub kind: Kind,
    pub on: Target,
    pub from: Time,
    pub to: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Both ways; what is connected stays dead for good.
    Partition,
    /// From the parent's side only.
    OneWayOut,
    /// Towards the parent's side only.
    OneWayBack,
    /// Held, and delivered at the end.
    Hold,
    /// The process dies and starts again.
    Crash,
}

/// What is struck: a link or a host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// Between the parent and this child.
    Uplink(usize),
    /// Between this child and its origin.
    Backend(usize),
    /// Between the parent and its own origin.
    Local,
    Child(usize),
    Parent,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Partition, Self::OneWayOut, Self::OneWayBack, Self::Hold, Self::Crash];
}

/// What clients ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The parent's own origin.
    Local,
    /// All children by weight.
    All,
    /// The first child, or the parent's own origin.
    Failover,
    /// This child alone.
    Only(usize),
}

/// Everything has started and is known by then.
pub const WARM: Span = Span::secs(3);
/// Clients ask until then.
pub const STORM: Span = Span::secs(16);
/// The last fault ends by then.
const FAULTS_END: Span = Span::secs(15);
/// Idle connections live no longer, so that dead ones are not found for ever.
pub const IDLE: Span = Span::secs(2);
/// Whole rounds of all weights that are asked for in the calm.
pub const ROUNDS: u32 = 2;
/// How often the parent asks its children.
const POLL_SECS: u64 = 1;
/// Publication, latency, ticks.
pub const SLACK: Span = Span::millis(600);
/// A dead link is noticed after so long at most: dialing or waiting for an answer.
pub const ANSWER_MAX: Span = Span::secs(5);

pub const PARENT: IpAddr = ip(1, 1);
pub const CLIENTS: IpAddr = ip(9, 1);
pub const LOCAL: IpAddr = ip(2, 1);

const fn ip(group: u8, number: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(10, 1, group, number))
}

fn small(number: usize) -> u8 {
    u8::try_from(number + 1).expect("a run has few children")
}

pub fn child_ip(child: usize) -> IpAddr {
    ip(3, small(child))
}

pub fn origin_ip(child: usize) -> IpAddr {
    ip(4, small(child))
}

pub fn entry() -> SocketAddr {
    SocketAddr::new(PARENT, 80)
}

/// Of URLs of servers in clear text.
fn scheme(two: bool) -> &'static str {
    if two { "h2c" } else { "http" }
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut root = Prng::new(seed);
        let (mut chance, mut wires) = (root.split(1), Prng::new(seed).split(5));
        let mut children = Vec::new();
        for _ in 0..2 + chance.below(2) {
            let interval = Span::millis(1_000 + chance.below(1_000));
            let timeout = Span::millis(400 + chance.below(500));
            children.push(Child {
                workers: 1 + u16::try_from(chance.below(2)).expect("few"),
                weight: 1 + u32::try_from(chance.below(4)).expect("few"),
                check: (!chance.one_in(4)).then_some((interval, timeout)),
                latency: Span::millis(chance.below(40)),
                two: wires.one_in(2),
                origin_two: wires.one_in(2),
            });
        }
        let strokes = draw_strokes(&mut root.split(2), children.len());
        Self {
            seed,
            tick: Span::millis(2 + chance.below(4)),
            workers: 1 + u16::try_from(chance.below(2)).expect("few"),
            clients: 2 + u16::try_from(chance.below(4)).expect("few"),
            children,
            strokes,
            two: wires.one_in(2),
        }
    }

    pub fn parent_startup(&self) -> String {
        let timeouts = "{forwardingTimeouts: {dialTimeout: 1s, idleConnTimeout: 2s, \
                        responseHeaderTimeout: 3s, readIdleTimeout: 1s, pingTimeout: 1s}}";
        let child = |n: usize| {
            let (scheme, address) = (scheme(self.children[n].two), child_ip(n));
            format!(
                "        c{n}:\n          address: \"{scheme}://{address}:9443\"\n          \
                 serversTransport: {timeouts}\n"
            )
        };
        let children: String = (0..self.children.len()).map(child).collect();
        format!(
            "entryPoints:\n  web:\n    address: \":80\"\nhub:\n  providers:\n    multicluster:\n      \
             pollInterval: {POLL_SECS}s\n      pollTimeout: 1s\n      children:\n{children}\
             providers:\n  providersThrottleDuration: 100ms\n  file:\n    filename: /dynamic.yml\n\
             serversTransport: {timeouts}\naccessLog:\n  format: json\n\
             tieline:\n  instance: parent\n"
        )
    }

    pub fn parent_document(&self) -> String {
        let only = |n: usize| {
            let rule = format!("PathPrefix(`/only{n}`)");
            format!("    only{n}: {{rule: \"{rule}\", service: shop-c{n}@multicluster}}\n")
        };
        let only: String = (0..self.children.len()).map(only).collect();
        let scheme = scheme(self.two);
        format!(
            "http:\n  routers:\n    \
             local: {{rule: \"PathPrefix(`/local`)\", service: local}}\n    \
             all: {{rule: \"PathPrefix(`/all`)\", service: shop@multicluster}}\n    \
             failover: {{rule: \"PathPrefix(`/failover`)\", service: first}}\n{only}  services:\n    \
             local: {{loadBalancer: {{servers: [{{url: \"{scheme}://local.test:8080\"}}]}}}}\n    \
             first: {{failover: {{service: shop-c0@multicluster, fallback: local}}}}\n"
        )
    }

    pub fn child_startup(&self, child: usize) -> String {
        format!(
            "entryPoints:\n  web:\n    address: \":80\"\nhub:\n  uplinkEntryPoints:\n    up:\n      \
             address: \":9443\"\n  providers:\n    multicluster: {{}}\n\
             providers:\n  providersThrottleDuration: 100ms\n  file:\n    filename: /dynamic.yml\n\
             serversTransport: {{forwardingTimeouts: {{dialTimeout: 1s, idleConnTimeout: 2s, \
             responseHeaderTimeout: 2s, readIdleTimeout: 1s, pingTimeout: 1s}}}}\n\
             accessLog:\n  format: json\n\
             tieline:\n  instance: child-{child}\n"
        )
    }

    pub fn child_document(&self, child: usize) -> String {
        let Child { weight, check, origin_two, .. } = self.children[child];
        let scheme = scheme(origin_two);
        let origin = origin_ip(child);
        let check = check.map_or_else(String::new, |(interval, timeout)| {
            let (interval, timeout) = (interval.as_millis(), timeout.as_millis());
            format!(
                "      healthCheck: {{path: /health, interval: {interval}ms, timeout: {timeout}ms}}\n"
            )
        });
        format!(
            "http:\n  routers:\n    \
             shop: {{rule: \"PathPrefix(`/`)\", service: origin, middlewares: [mark], uplinks: [shop]}}\n  \
             services:\n    \
             origin: {{loadBalancer: {{servers: [{{url: \"{scheme}://{origin}:8080\"}}]}}}}\n  \
             middlewares:\n    \
             mark: {{headers: {{customRequestHeaders: {{X-Child: child-{child}}}}}}}\n  \
             uplinks:\n    shop:\n      weight: {weight}\n{check}"
        )
    }
}

/// A tenth of runs is quiet, a third knows one kind of fault.
fn draw_strokes(chance: &mut Prng, children: usize) -> Vec<Stroke> {
    let mut strokes: Vec<Stroke> = Vec::new();
    let roll = chance.below(30);
    if roll < 3 {
        return strokes;
    }
    let pick = |chance: &mut Prng| Kind::ALL[index(chance.below(Kind::ALL.len() as u64))];
    let only = (roll < 13).then(|| pick(chance));
    for _ in 0..1 + chance.below(5) {
        let kind = only.unwrap_or_else(|| pick(chance));
        let child = index(chance.below(children as u64));
        let on = match (kind, chance.below(8)) {
            (Kind::Crash, 0 | 1) => Target::Parent,
            (Kind::Crash, _) => Target::Child(child),
            (_, 0) => Target::Local,
            (_, 1 | 2) => Target::Backend(child),
            (_, _) => Target::Uplink(child),
        };
        let begin = (WARM + Span::millis(500)).as_millis();
        let from = begin + chance.below(FAULTS_END.as_millis() - begin - 200);
        let long = if chance.one_in(2) { 6_000 } else { 900 };
        let to = (from + 50 + chance.below(long)).min(FAULTS_END.as_millis());
        let at = |millis| Time::ZERO + Span::millis(millis);
        let stroke = Stroke { kind, on, from: at(from), to: at(to) };
        // Turmoil's states of one link do not add up.
        let overlaps =
            |other: &Stroke| other.on == on && other.from <= stroke.to && stroke.from <= other.to;
        if !strokes.iter().any(overlaps) {
            strokes.push(stroke);
        }
    }
    strokes
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("below a length")
}
