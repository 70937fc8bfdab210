//! Bytes as the world of a worker: which operation ends next, how, and what is read. Whatever
//! happens within the contract of the boundary, the worker's invariants hold after each input.

#![no_main]

use engine::base::limits::{ControlLimits, Limits};
use engine::base::prng::Prng;
use engine::base::time::{Span, Time, Wall};
use engine::boundary::{Effect, Fault, Input, Lent, Machine, OpId, OpKind, Outcome};
use engine::config;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::sync::Arc;

const STATIC: &str = "entryPoints: {web: {address: '127.0.0.1:80'}}\nproviders: {file: {filename: \
                      'd.yml'}}\nping: {}\n";
const DYNAMIC: &str = "
http:
  routers:
    shop: {rule: 'PathPrefix(`/s`)', service: shop, middlewares: [strip]}
    spare: {rule: 'PathPrefix(`/f`)', service: spare}
    shown: {rule: 'PathPrefix(`/m`)', service: shown}
  middlewares:
    strip: {stripPrefix: {prefixes: [/s]}}
  services:
    shop: {weighted: {services: [{name: east, weight: 3}, {name: west}]}}
    spare: {failover: {service: east, fallback: west, errors: {status: ['500-599']}}}
    shown: {mirroring: {service: east, mirrors: [{name: west, percent: 50}]}}
    east: {loadBalancer: {servers: [{url: 'http://10.0.0.1:81'}]}}
    west: {loadBalancer: {servers: [{url: 'http://10.0.0.2:82'}]}}
";

/// What connections may receive, whole or in part, beside the input's own bytes.
const PHRASES: [&[u8]; 12] = [
    b"GET /s/a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /f HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 204 No\r\nConnection: keep-alive\r\n\r\n",
];

const FAULTS: [Fault; 6] = [
    Fault::Refused,
    Fault::Reset,
    Fault::TimedOut,
    Fault::Unreachable,
    Fault::NoDescriptors,
    Fault::Other(5),
];

struct World<'a> {
    worker: Worker,
    now: Time,
    under_way: Vec<OpId>,
    todo: Vec<Effect>,
    input: &'a [u8],
}

impl<'a> World<'a> {
    fn new(input: &'a [u8]) -> Self {
        let (fixed, _) = config::fixed_from_file("static.yml", STATIC);
        let fixed = Arc::new(fixed);
        let entries = u16::try_from(fixed.entry_points.len()).expect("two entry points");
        let stats = Arc::new(Stats::new(1, entries, Wall(0)));
        let (limits, mut prng) = (ControlLimits::default(), Prng::new(1));
        let mut compiler = Compiler::new(Arc::clone(&fixed), limits, Arc::clone(&stats), &mut prng);
        compiler.set_dynamic(config::dynamic(&[("d.yml", DYNAMIC)]).dynamic);
        let view = compiler.build().expect("the first build is always new").view;
        let limits = Limits {
            small_page_bytes: 64,
            large_page_bytes: 256,
            large_pages_max: 24,
            clients_max: 6,
            upstreams_max: 4,
            outbox_bytes: 512,
            ..Limits::default()
        };
        let setup = Setup { limits, index: 0, wall: Wall(0), view: Arc::new(view), stats };
        let worker = Worker::new(setup);
        let now = Time::from_nanos(1);
        Self { worker, now, under_way: Vec::new(), todo: Vec::new(), input }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(*first)
    }

    /// Notes what the worker asked for.
    fn collect(&mut self) {
        self.worker.effects(&mut self.todo);
        for effect in self.todo.drain(..) {
            let (conn, kind) = match effect {
                Effect::Accept { conn, .. } => (conn, OpKind::Accept),
                Effect::Connect { conn, .. } => (conn, OpKind::Connect),
                Effect::Recv { conn } => (conn, OpKind::Recv),
                Effect::Send { conn } => (conn, OpKind::Send),
                Effect::Shut { conn } => (conn, OpKind::Shut),
                Effect::Close { conn, .. } => (conn, OpKind::Close),
                _ => continue,
            };
            let op = OpId { conn, kind };
            assert!(!self.under_way.contains(&op), "{op:?} was asked for twice");
            self.under_way.push(op);
        }
    }

    /// One thing happens; nothing once the input is spent.
    fn step(&mut self) -> Option<()> {
        let (choice, how) = (self.byte()?, self.byte()?);
        if choice >= 250 {
            self.now = self.now + Span::millis(1 << (how % 20));
            self.worker.tick(self.now);
        } else if !self.under_way.is_empty() {
            let at = usize::from(choice) % self.under_way.len();
            let closing = self.under_way.iter().position(|op| self.may_end_first(at, op));
            let op = self.under_way.remove(closing.unwrap_or(at));
            let outcome = self.outcome(op, how);
            self.now = self.now + Span::micros(1);
            self.worker.handle(Input::Done { op, outcome }, self.now);
        }
        self.collect();
        self.worker.check();
        Some(())
    }

    /// A close ends after everything else on its connection.
    fn may_end_first(&self, at: usize, other: &OpId) -> bool {
        let chosen = self.under_way[at];
        chosen.kind == OpKind::Close && other.conn == chosen.conn && other.kind != OpKind::Close
    }

    fn outcome(&mut self, op: OpId, how: u8) -> Outcome {
        let close = OpId { kind: OpKind::Close, ..op };
        if op.kind != OpKind::Close && self.under_way.contains(&close) {
            return Outcome::Failed(Fault::Cancelled);
        }
        let fails = how >= 240;
        match op.kind {
            OpKind::Close => Outcome::Closed,
            _ if fails => Outcome::Failed(FAULTS[usize::from(how - 240) % FAULTS.len()]),
            OpKind::Accept => Outcome::Accepted { peer: SocketAddr::from(([192, 0, 2, 1], 4000)) },
            OpKind::Connect => Outcome::Connected,
            OpKind::Shut => Outcome::Shut,
            OpKind::Send => {
                let mut batch = Vec::new();
                self.worker.gather(op.conn, &mut batch);
                let all: usize = batch.iter().map(|chunk| chunk.len()).sum();
                let sent = if how % 3 == 0 { all.min(1 + usize::from(how)) } else { all };
                Outcome::Sent(u32::try_from(sent).expect("a batch is small"))
            }
            OpKind::Recv => self.receive(op, how),
        }
    }

    fn receive(&mut self, op: OpId, how: u8) -> Outcome {
        let Some(mut lent) = self.worker.lend(op.conn) else {
            return Outcome::Failed(Fault::NoPages);
        };
        let phrase = PHRASES.get(usize::from(how) / 16).copied();
        let own = self.input.len().min(usize::from(how % 16));
        let mut bytes = phrase.unwrap_or(&self.input[..own]);
        if phrase.is_some() && how % 16 > 8 {
            bytes = &bytes[..bytes.len() * usize::from(how % 16 - 8) / 8];
        }
        let pages = match &mut lent {
            Lent::One(page) => std::slice::from_mut(page),
            Lent::Many(pages) => pages,
        };
        for page in pages {
            bytes = &bytes[page.append(bytes)..];
        }
        Outcome::Received(lent)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut world = World::new(input);
    world.collect();
    while world.step().is_some() {}
});
