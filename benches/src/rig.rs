//! One worker in steady state: clients that ask the same again and again, an origin that answers
//! the same, every operation done at once and whole. What remains is the cost of the engine.

use engine::base::id::{ConnId, ListenerId};
use engine::base::limits::{ControlLimits, Limits};
use engine::base::page::Chunk;
use engine::base::prng::Prng;
use engine::base::time::{Time, Wall};
use engine::boundary::{Batch, Effect, Input, Lent, Machine, OpId, OpKind, Outcome};
use engine::config;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use std::net::SocketAddr;
use std::sync::Arc;

/// The configuration of the rig.
const STATIC: &str = "entryPoints: {web: {address: '127.0.0.1:80'}}\nproviders: {file: {filename: \
                      'd.yml'}}\n";
/// What it may write down besides.
const OBSERVED: &str =
    "accessLog: {format: json}\nmetrics: {prometheus: {addRoutersLabels: true}}\n";
const DYNAMIC: &str = "
http:
  routers:
    api: {rule: 'Host(`api.example.com`) && PathPrefix(`/api`)', service: api}
    banking: {rule: 'PathPrefix(`/banking`)', service: banking, middlewares: [strip]}
  middlewares:
    strip: {stripPrefix: {prefixes: [/banking]}}
  services:
    api: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9001'}]}}
    banking:
      weighted: {services: [{name: east, weight: 90}, {name: west, weight: 10}]}
    east: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9001'}]}}
    west: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9002'}]}}
";

/// A request as a browser-like client sends it, about 290 bytes.
pub const REQUEST: &[u8] = b"GET /banking/accounts/17?currency=eur HTTP/1.1\r\nHost: \
bank.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) bench/1.0\r\nAccept: \
application/json\r\nAccept-Language: en\r\nAccept-Encoding: identity\r\nCookie: \
session=0123456789abcdef\r\nX-Request-Id: 7b1c2d3e\r\nCache-Control: no-cache\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sat, 21 Nov 2026 10:00:00 \
GMT\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: \
128\r\n\r\n{................................................................................\
..............................................}";

/// What a connection is to the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Nobody,
    Client,
    Origin,
}

#[derive(Clone, Copy, Debug)]
struct Conn {
    id: ConnId,
    side: Side,
    reading: bool,
    /// Whether the script owes this connection its bytes.
    owed: bool,
}

/// The worker and its world.
pub struct Rig {
    worker: Worker,
    now: Time,
    todo: Vec<Effect>,
    batch: Batch,
    lines: Vec<u8>,
    logged: u64,
    conns: Vec<Conn>,
    clients: Vec<usize>,
    clients_max: usize,
    answered: u64,
}

impl Rig {
    /// A worker with `clients` connections, each accepted and waiting.
    pub fn new(clients: usize) -> Self {
        Self::with(STATIC, clients)
    }

    /// The same with an access log and metrics of everything.
    pub fn observed(clients: usize) -> Self {
        Self::with(&[STATIC, OBSERVED].concat(), clients)
    }

    fn with(configuration: &str, clients: usize) -> Self {
        let (fixed, problems) = config::fixed_from_file("static.yml", configuration);
        assert!(problems.is_empty(), "{problems:?}");
        let reading = config::dynamic(&[("d.yml", DYNAMIC)]);
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        let fixed = Arc::new(fixed);
        let stats = Arc::new(Stats::new(1, 1, Wall(0)));
        let mut compiler = Compiler::new(
            Arc::clone(&fixed),
            ControlLimits::default(),
            Arc::clone(&stats),
            &mut Prng::new(1),
        );
        compiler.set_dynamic(reading.dynamic);
        let build = compiler.build().expect("the first build is always new");
        let setup = Setup {
            limits: Limits::default(),
            index: 0,
            wall: Wall(0),
            view: Arc::new(build.view),
            stats,
        };
        let nobody = Conn {
            id: ConnId { slot: 0, generation: 0 },
            side: Side::Nobody,
            reading: false,
            owed: false,
        };
        let mut rig = Self {
            worker: Worker::new(setup),
            now: Time::from_nanos(1),
            todo: Vec::with_capacity(256),
            batch: Vec::with_capacity(64),
            lines: Vec::new(),
            logged: 0,
            conns: vec![nobody; 1024],
            clients: Vec::with_capacity(clients),
            clients_max: clients,
            answered: 0,
        };
        rig.settle();
        rig
    }

    /// One request and its answer on each client connection; how many were answered.
    pub fn round(&mut self) -> u64 {
        let before = self.answered;
        for at in 0..self.clients.len() {
            self.conns[self.clients[at]].owed = true;
            self.feed(self.clients[at]);
            self.settle();
        }
        self.answered - before
    }

    /// Bytes of log lines so far.
    pub fn logged(&self) -> u64 {
        self.logged
    }

    /// Carries out effects until there are none.
    fn settle(&mut self) {
        loop {
            let mut todo = std::mem::take(&mut self.todo);
            self.worker.effects(&mut todo);
            if todo.is_empty() {
                self.todo = todo;
                return;
            }
            for effect in todo.drain(..) {
                self.perform(effect);
            }
            self.todo = todo;
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Accept { conn, listener: ListenerId(0) }
                if self.clients.len() < self.clients_max =>
            {
                let slot = self.open(conn, Side::Client);
                self.clients.push(slot);
                let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
                self.done(conn, OpKind::Accept, Outcome::Accepted { peer });
            }
            Effect::Connect { conn, .. } => {
                self.open(conn, Side::Origin);
                self.done(conn, OpKind::Connect, Outcome::Connected);
            }
            Effect::Recv { conn } => {
                self.conns[conn.slot as usize].reading = true;
                self.feed(conn.slot as usize);
            }
            Effect::Send { conn } => self.send(conn),
            Effect::Log => {
                self.lines.clear();
                self.worker.log(&mut self.lines);
                self.logged += self.lines.len() as u64;
            }
            Effect::Accept { .. } | Effect::Publish | Effect::Report(_) => {}
            Effect::Shut { .. }
            | Effect::Close { .. }
            | Effect::StopListening { .. }
            | Effect::Job { .. }
            | Effect::Finished => unreachable!("{effect:?} is no part of a steady state"),
        }
    }

    fn open(&mut self, id: ConnId, side: Side) -> usize {
        let slot = id.slot as usize;
        self.conns[slot] = Conn { id, side, reading: false, owed: false };
        slot
    }

    /// Gives a connection what it is owed, if it reads.
    fn feed(&mut self, slot: usize) {
        let conn = &mut self.conns[slot];
        if !conn.reading || !conn.owed {
            return;
        }
        (conn.reading, conn.owed) = (false, false);
        let (id, bytes) = match conn.side {
            Side::Client => (conn.id, REQUEST),
            Side::Origin => (conn.id, RESPONSE),
            Side::Nobody => return,
        };
        let Some(Lent::One(mut page)) = self.worker.lend(id) else {
            unreachable!("a waiting connection reads into one page");
        };
        assert_eq!(page.append(bytes), bytes.len(), "a head fits the page it is read into");
        self.done(id, OpKind::Recv, Outcome::Received(Lent::One(page)));
    }

    /// Takes all that is offered. A request that reached the origin is answered at once.
    fn send(&mut self, id: ConnId) {
        let mut batch = std::mem::take(&mut self.batch);
        self.worker.gather(id, &mut batch);
        let sent: usize = batch.iter().map(Chunk::len).sum();
        batch.clear();
        self.batch = batch;
        let slot = id.slot as usize;
        match self.conns[slot].side {
            Side::Client => self.answered += 1,
            Side::Origin => self.conns[slot].owed = true,
            Side::Nobody => {}
        }
        let count = u32::try_from(sent).expect("a batch is below 4 GiB");
        self.done(id, OpKind::Send, Outcome::Sent(count));
        self.feed(slot);
    }

    fn done(&mut self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.now = Time::from_nanos(self.now.nanos() + 1_000);
        self.worker.handle(Input::Done { op: OpId { conn, kind }, outcome }, self.now);
    }
}
