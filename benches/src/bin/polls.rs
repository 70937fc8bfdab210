//! What discovery costs one parent: many children with many uplinks, polled on a virtual clock by
//! an answering machine. Prints the CPU time of the control machine alone; sockets come on top.
//!
//! `polls [children] [uplinks]`, 1,000 and 100 unless given.

#![expect(clippy::print_stdout, reason = "the output is what it is for")]

use engine::base::id::ConnId;
use engine::base::limits::ControlLimits;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{Batch, Effect, Input, Lent, Machine, OpId, OpKind, Outcome};
use engine::config::fixed::{Authority, Child, Fixed, Multicluster, OnStale, Scheme, Transport};
use engine::control::Control;
use engine::uplink::advert::etag;
use engine::view::stats::Stats;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

fn main() {
    let mut args = std::env::args().skip(1).filter_map(|arg| arg.parse::<u32>().ok());
    let (children, uplinks) = (args.next().unwrap_or(1_000), args.next().unwrap_or(100));
    let mut world = World::new(children, uplinks);
    println!("{children} children with {uplinks} uplinks each, polled every 5 s");

    let before = cpu();
    world.run(Span::secs(1));
    let first = cpu() - before;
    println!("first round       {:>9.1?} CPU, {} views", first, world.views);

    let (before, views, polls) = (cpu(), world.views, world.polls);
    world.run(Span::secs(60));
    let spent = cpu() - before;
    println!(
        "a quiet minute    {:>9.1?} CPU, {} polls, {} views: {:.4} core",
        spent,
        world.polls - polls,
        world.views - views,
        spent.as_secs_f64() / 60.0
    );

    world.bodies[0] = body(0, uplinks, 7);
    let mut slowest = Duration::ZERO;
    let views = world.views;
    while world.views == views {
        let before = cpu();
        world.step();
        slowest = slowest.max(cpu() - before);
    }
    println!("one changed child {slowest:>9.1?} CPU from answer to view");
    println!("resident memory   {:>9} MiB", resident_bytes() >> 20);
}

struct World {
    control: Control,
    now: Time,
    inputs: VecDeque<Input>,
    bodies: Vec<String>,
    conns: BTreeMap<ConnId, Conn>,
    views: u64,
    polls: u64,
}

#[derive(Default)]
struct Conn {
    child: usize,
    answer: Vec<u8>,
    reads: bool,
}

impl World {
    fn new(children: u32, uplinks: u32) -> Self {
        let fixed = Fixed {
            multicluster: Some(Multicluster {
                children: (0..children).map(child).collect(),
                ..Multicluster::default()
            }),
            ..Fixed::default()
        };
        let stats = Arc::new(Stats::new(1, 0, Wall(0)));
        let limits = ControlLimits::default();
        Self {
            control: Control::new(Arc::new(fixed), limits, stats, 1, Time::ZERO),
            now: Time::ZERO,
            inputs: VecDeque::new(),
            bodies: (0..children).map(|n| body(n, uplinks, 1)).collect(),
            conns: BTreeMap::new(),
            views: 0,
            polls: 0,
        }
    }

    fn run(&mut self, span: Span) {
        let until = self.now + span;
        while self.control.deadline().is_some_and(|deadline| deadline.at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// On to the next deadline, and everything that follows from it.
    fn step(&mut self) {
        let next = self.control.deadline().map_or(self.now, |deadline| deadline.at);
        self.now = self.now.max(next);
        let mut effects = Vec::new();
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.control.handle(input, self.now);
            }
            self.control.tick(self.now);
            self.control.effects(&mut effects);
            if effects.is_empty() {
                return;
            }
            for effect in effects.drain(..) {
                self.perform(effect);
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { conn, to } => {
                let child = Conn { child: index(to), ..Conn::default() };
                self.conns.insert(conn, child);
                self.done(conn, OpKind::Connect, Outcome::Connected);
            }
            Effect::Send { conn } => self.send(conn),
            Effect::Recv { conn } => {
                self.conns.get_mut(&conn).expect("open").reads = true;
                self.feed(conn);
            }
            Effect::Close { conn, .. } => {
                if self.conns.remove(&conn).is_some_and(|conn| conn.reads) {
                    let fault = engine::boundary::Fault::Cancelled;
                    self.done(conn, OpKind::Recv, Outcome::Failed(fault));
                }
                self.done(conn, OpKind::Close, Outcome::Closed);
            }
            Effect::Publish => {
                self.views += 1;
                drop(self.control.published());
            }
            Effect::Log => self.control.log(&mut Vec::new()),
            Effect::Accept { .. }
            | Effect::Shut { .. }
            | Effect::StopListening { .. }
            | Effect::Job { .. }
            | Effect::Report(_)
            | Effect::Offer
            | Effect::Finished => panic!("{effect:?} was not expected"),
        }
    }

    fn send(&mut self, conn: ConnId) {
        let mut batch = Batch::new();
        self.control.gather(conn, &mut batch);
        let request: Vec<u8> = batch.iter().flat_map(|chunk| chunk.bytes().to_vec()).collect();
        let sent = u32::try_from(request.len()).expect("small");
        self.done(conn, OpKind::Send, Outcome::Sent(sent));
        let request = String::from_utf8(request).expect("text");
        let state = self.conns.get_mut(&conn).expect("open");
        let body = &self.bodies[state.child];
        let tag = etag(body.as_bytes());
        state.answer = if request.contains(&tag) {
            format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n").into_bytes()
        } else {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {length}\r\n");
            format!("{head}\r\n{body}").into_bytes()
        };
        self.polls += 1;
        self.feed(conn);
    }

    fn feed(&mut self, id: ConnId) {
        let conn = self.conns.get_mut(&id).expect("open");
        if !conn.reads || conn.answer.is_empty() {
            return;
        }
        let Some(Lent::One(mut page)) = self.control.lend(id) else { panic!("no page") };
        let taken = page.append(&conn.answer);
        conn.answer.drain(..taken);
        conn.reads = false;
        self.done(id, OpKind::Recv, Outcome::Received(Lent::One(page)));
    }

    fn done(&mut self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.inputs.push_back(Input::Done { op: OpId { conn, kind }, outcome });
    }
}

fn child(n: u32) -> Child {
    let host = Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
    Child {
        name: format!("child-{n}"),
        address: Authority { scheme: Scheme::Http, host, port: 80 },
        transport: Transport::default(),
        on_stale: OnStale::Keep,
    }
}

fn index(to: SocketAddr) -> usize {
    let IpAddr::V4(ip) = to.ip() else { panic!("children have IPv4 addresses") };
    (ip.to_bits() & 0xff_ffff) as usize
}

/// Every uplink name is offered by ten children.
fn body(child: u32, uplinks: u32, weight: u32) -> String {
    let first = child / 10 * uplinks;
    let one = |n: u32| {
        format!(
            r#"{{"name":"app-{}","entryPoints":["multicluster"],"weight":{weight}}}"#,
            first + n
        )
    };
    format!("[{}]", (0..uplinks).map(one).collect::<Vec<_>>().join(","))
}

/// CPU time of this process.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<u64> = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    pages.unwrap_or(0) * 4_096
}
