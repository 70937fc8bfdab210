//! One worker in steady state: clients that ask the same again and again, an origin that answers
//! the same, every operation done at once and whole. What remains is the cost of the engine.

pub mod kits;
mod speech;

use engine::base::id::{ConnId, ListenerId};
use engine::base::limits::{ControlLimits, Limits};
use engine::base::prng::Prng;
use engine::base::time::{Time, Wall};
use engine::boundary::{Answer, Batch, Effect, Input, Lent, Machine, OpId, OpKind, Outcome};
use engine::config;
use engine::view::compile::Compiler;
use engine::view::stats::Stats;
use engine::worker::{Setup, Worker};
use speech::Mouth;
pub use speech::{REQUEST, Speech};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a rig is made of.
#[derive(Clone, Copy, Debug)]
pub struct Kit {
    pub name: &'static str,
    pub fixed: &'static str,
    pub dynamic: &'static str,
    pub clients: Speech,
    pub origins: Speech,
    /// Field lines that clients of HTTP/1.1 add.
    pub more: &'static str,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    reading: bool,
    mouth: Mouth,
}

/// The worker and its world.
pub struct Rig {
    kit: Kit,
    worker: Worker,
    /// Where clients come in.
    web: ListenerId,
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
    pub fn new(kit: Kit, clients: usize) -> Self {
        let (worker, web) = worker(&kit);
        let mut rig = Self {
            kit,
            worker,
            web,
            now: Time::from_nanos(1),
            todo: Vec::with_capacity(256),
            batch: Vec::with_capacity(64),
            lines: Vec::new(),
            logged: 0,
            conns: (0..1024).map(|_| Conn::nobody()).collect(),
            clients: Vec::with_capacity(clients),
            clients_max: clients,
            answered: 0,
        };
        rig.settle();
        rig
    }

    /// One turn of each client connection; how many requests were answered.
    pub fn round(&mut self) -> u64 {
        let before = self.answered;
        for at in 0..self.clients.len() {
            self.conns[self.clients[at]].mouth.ask();
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
            Effect::Accept { conn, listener }
                if listener == self.web && self.clients.len() < self.clients_max =>
            {
                self.open(conn, Mouth::client(self.kit.clients, self.kit.more));
                self.clients.push(conn.slot as usize);
                let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
                self.done(conn, OpKind::Accept, Outcome::Accepted { peer });
            }
            Effect::Connect { conn, .. } => {
                self.open(conn, Mouth::origin(self.kit.origins));
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
            // The only one that a worker asks for: is this the password?
            Effect::Job { job } => {
                self.worker.job(job).expect("a job is pulled once");
                let answer = Answer::Verified(true);
                self.worker.handle(Input::Job { job, answer }, self.now);
            }
            Effect::Accept { .. } | Effect::Publish | Effect::Report(_) | Effect::Offer => {}
            Effect::Shut { .. }
            | Effect::Close { .. }
            | Effect::StopListening { .. }
            | Effect::Finished => unreachable!("{effect:?} is no part of a steady state"),
        }
    }

    fn open(&mut self, id: ConnId, mouth: Mouth) {
        self.conns[id.slot as usize] = Conn { id, reading: false, mouth };
    }

    /// Gives a connection what there is for it, if it reads.
    fn feed(&mut self, slot: usize) {
        let conn = &mut self.conns[slot];
        if !conn.reading || conn.mouth.out.is_empty() {
            return;
        }
        conn.reading = false;
        let id = conn.id;
        let mut lent = self.worker.lend(id).expect("a waiting connection is read");
        let out = &mut self.conns[slot].mouth.out;
        let pages = match &mut lent {
            Lent::One(page) => std::slice::from_mut(page),
            Lent::Many(pages) => pages,
        };
        for page in pages {
            let count = page.append(out);
            out.drain(..count);
        }
        self.done(id, OpKind::Recv, Outcome::Received(lent));
    }

    /// Takes all that is offered. A request that reached the origin is answered at once.
    fn send(&mut self, id: ConnId) {
        let mut batch = std::mem::take(&mut self.batch);
        self.worker.gather(id, &mut batch);
        let slot = id.slot as usize;
        let conn = &mut self.conns[slot];
        let mut sent = 0;
        for chunk in &batch {
            sent += chunk.len();
            conn.mouth.hear(chunk.bytes());
        }
        self.answered += conn.mouth.answers();
        batch.clear();
        self.batch = batch;
        let count = u32::try_from(sent).expect("a batch is below 4 GiB");
        self.done(id, OpKind::Send, Outcome::Sent(count));
        self.feed(slot);
    }

    fn done(&mut self, conn: ConnId, kind: OpKind, outcome: Outcome) {
        self.now = Time::from_nanos(self.now.nanos() + 1_000);
        self.worker.handle(Input::Done { op: OpId { conn, kind }, outcome }, self.now);
    }
}

impl Conn {
    fn nobody() -> Self {
        Self {
            id: ConnId { slot: 0, generation: 0 },
            reading: false,
            mouth: Mouth::origin(Speech::Http1),
        }
    }
}

/// The worker of a kit, under its first view, and the listener of its clients.
fn worker(kit: &Kit) -> (Worker, ListenerId) {
    let (fixed, problems) = config::fixed_from_file("static.yml", kit.fixed);
    assert!(problems.is_empty(), "{problems:?}");
    let reading = config::dynamic(&[("d.yml", kit.dynamic)]);
    assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
    let fixed = Arc::new(fixed);
    let stats = Stats::new(1, 1, Wall(0));
    let stats = Arc::new(match fixed.tieline.recording {
        true => stats.recording(&Limits::default()),
        false => stats,
    });
    let mut compiler = Compiler::new(
        Arc::clone(&fixed),
        ControlLimits::default(),
        Arc::clone(&stats),
        &mut Prng::new(1),
    );
    compiler.set_dynamic(reading.dynamic);
    let build = compiler.build().expect("the first build is always new");
    let view = Arc::new(build.view);
    let web = view.entries.iter().position(|entry| entry.settings.name == "web");
    let web = web.and_then(|at| u16::try_from(at).ok()).expect("clients have an entry point");
    let setup = Setup { limits: Limits::default(), index: 0, wall: Wall(0), view, stats };
    (Worker::new(setup), ListenerId(web))
}
