//! The data-plane machine: owns the connections of one core and moves HTTP between them.
//!
//! An input is applied to the connection it is about and marks that connection as touched. Then
//! touched connections are settled, one by one, until none is left: each reads what came in, moves
//! the exchange on, touches its peer if it has something for it, and asks for the operations that
//! its state calls for. One request's way through the files: `accept` (a connection), `client` (its
//! head), `dispatch` (route, middlewares, service), `choose` (server), `origin` (connection to it),
//! `fields` (what the head becomes), `forward` (bodies), `response`, `finish` (its record).

mod accept;
pub mod accounts;
mod announced;
mod answer;
mod api;
mod body;
pub mod capsule;
mod choose;
mod clerk;
mod client;
mod collect;
mod conn;
mod consult;
mod dashboard;
mod date;
mod descend;
mod dispatch;
mod drain;
mod exchange;
pub mod explain;
mod failover;
mod fields;
mod finish;
#[cfg(test)]
mod fixture;
mod forward;
mod grpc_web;
mod guards;
pub mod internal;
pub mod log;
mod metrics;
mod mirrors;
mod offer;
mod origin;
mod pages;
mod pass;
mod pool;
mod prove;
mod question;
pub mod record;
pub mod recording;
pub mod replay;
mod response;
mod retry;
mod secure;
mod served;
mod session;
mod settle;
mod shed;
mod sniff;
mod squeeze;
mod sticky;
mod stream;
mod sweep;
mod websocket;

use crate::base::id::{ConnId, JobId, ServiceId};
use crate::base::limits::Limits;
use crate::base::mark::Mark;
use crate::base::mutant::{Mutant, planted};
use crate::base::page::{Page, Pool};
use crate::base::slab::{Key, Slab};
use crate::base::time::{Time, Wall};
use crate::base::timers::Timers;
use crate::boundary::{
    Batch, Deadline, Effect, Holdings, Input, Job, Lent, Machine, Offer, OpId, OpKind, Outcome,
};
use crate::h2::message::Gather;
use crate::http::target::Rewritten;
use crate::net::queue::Queue;
use crate::net::upstream::Upstreams;
use crate::service::middleware::{self, path};
use crate::view::View;
use crate::view::stats::{Stats, WorkerStats};
use accept::Listener;
use accounts::Accounts;
use clerk::Clerk;
use conn::Conn;
use consult::Concluded;
use date::Date;
use drain::Draining;
use exchange::{CoreView, Exchange, Kept};
use guards::Chains;
use log::AccessLines;
use offer::Offers;
use prove::Proofs;
use recording::Draft;
use retry::Budget;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use stream::Remains;
pub use sweep::Census;

/// What a worker is built with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub limits: Limits,
    /// Which of the workers that `stats` was made for this is.
    pub index: u16,
    pub wall: Wall,
    pub view: Arc<View>,
    /// Shared by all machines of the process.
    pub stats: Arc<Stats>,
}

/// The machine of one core.
#[derive(Debug)]
pub struct Worker {
    limits: Limits,
    accounts: Accounts,
    now: Time,
    pool: Pool,
    view: CoreView,
    conns: Slab<Conn>,
    exchanges: Slab<Exchange>,
    /// By `TargetId`.
    targets: Vec<Upstreams>,
    listeners: Vec<Listener>,
    timers: Timers,
    effects: Vec<Effect>,
    touched: Vec<ConnId>,
    /// Exchanges that may try once more to get a connection.
    woken: Vec<Key>,
    /// Errands that are over and not acted on yet.
    concluded: Vec<Concluded>,
    /// Exchanges on their way to another service.
    switching: Vec<(Key, ServiceId)>,
    /// Steps of routes and of services behind them.
    chains: Chains,
    /// By `ServerId`: the last request to a passively checked server failed.
    failing: Vec<bool>,
    /// Responses being compressed.
    compressors: u32,
    /// Bytes compressed since the last tick.
    squeezed: u32,
    /// Exchanges whose turn to compress comes, and when.
    resting: VecDeque<Key>,
    rested: Time,
    /// By `ServiceId`: what may be sent again.
    budgets: Vec<Budget>,
    idle_clients: Queue,
    idle_upstreams: Queue,
    clients: u32,
    upstreams: u32,
    mirrors: u32,
    /// Streams of HTTP/2 connections.
    streams: u32,
    /// Memory of those that are over.
    remains: Vec<Remains>,
    /// Client connections that wait for bytes with a large page.
    waiting_large: u32,
    /// Bytes of request bodies kept for mirrors and replays.
    kept_bytes: u64,
    /// Memory of those that are not needed any more.
    spare_kept: Vec<Rc<Kept>>,
    /// Bytes of request heads that outgrew their page.
    grown_bytes: u64,
    /// No refused handshake is reported before this.
    refusals_from: Time,
    /// Requests so far.
    serial: u64,
    date: Date,
    drain: Option<Draining>,
    /// Absent if no access log is kept.
    access: Option<AccessLines>,
    lines: Lines,
    /// Passwords being compared.
    proofs: Proofs,
    /// Where requests are counted that this process does not count.
    clerks: Slab<Clerk>,
    offers: Offers,
    scratch: Scratch,
    /// Vectors of reads into many pages, for the next such read.
    spare: Vec<Vec<Page>>,
}

/// Log lines on their way out.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// When the oldest line was written.
    since: Option<Time>,
    announced: bool,
}

/// Memory that one step uses and leaves for the next.
#[derive(Debug, Default)]
struct Scratch {
    head: Vec<u8>,
    /// Path and query after the middlewares.
    target: String,
    /// What path middlewares tell the server, as field lines.
    noted: Vec<u8>,
    memory: path::Memory,
    judging: middleware::Memory,
    /// Who asks.
    user: String,
    /// What middlewares put on an answer of our own, as field lines.
    edits: Vec<u8>,
    rewritten: Rewritten,
    /// Heads and trailers on their way from and to HTTP/2.
    gather: Gather,
    /// The record that is being made.
    draft: Draft,
}

impl Worker {
    pub fn new(setup: Setup) -> Self {
        let Setup { limits, index, wall, view, stats } = setup;
        let accounts = Accounts::new(stats, index, &view.fixed);
        let access = view.fixed.access_log.as_ref().map(|log| AccessLines::new(log, wall));
        let listeners = view.entries.iter().map(|_| Listener::default()).collect();
        let small_max = limits.small_pages_max();
        let mut worker = Self {
            pool: Pool::of_three([
                (limits.small_page_bytes, small_max),
                (limits.middle_page_bytes, limits.middle_pages_max),
                (limits.large_page_bytes, limits.large_pages_max),
            ]),
            limits,
            accounts,
            now: Time::ZERO,
            view: Rc::new(view),
            conns: Slab::default(),
            exchanges: Slab::default(),
            targets: Vec::new(),
            listeners,
            timers: Timers::default(),
            effects: Vec::new(),
            touched: Vec::new(),
            woken: Vec::new(),
            concluded: Vec::new(),
            switching: Vec::new(),
            chains: Chains::default(),
            failing: Vec::new(),
            compressors: 0,
            squeezed: 0,
            resting: VecDeque::new(),
            rested: Time::ZERO,
            budgets: Vec::new(),
            idle_clients: Queue::default(),
            idle_upstreams: Queue::default(),
            clients: 0,
            upstreams: 0,
            mirrors: 0,
            streams: 0,
            remains: Vec::new(),
            waiting_large: 0,
            kept_bytes: 0,
            spare_kept: Vec::new(),
            grown_bytes: 0,
            refusals_from: Time::ZERO,
            serial: 0,
            date: Date::new(wall),
            drain: None,
            access,
            lines: Lines::default(),
            proofs: Proofs::default(),
            clerks: Slab::default(),
            offers: Offers::new(index),
            scratch: Scratch::default(),
            spare: Vec::new(),
        };
        worker.counts().epoch.set(worker.view.epoch);
        if worker.counts().tape.is_on() {
            worker.scratch.draft = Draft::new(worker.limits.record_bytes);
        }
        worker.run();
        worker
    }

    fn counts(&self) -> &WorkerStats {
        self.accounts.mine()
    }

    fn mark(&self, mark: Mark) {
        self.counts().marks.hit(mark);
    }

    fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(key_of(id))
    }

    fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(key_of(id))
    }

    fn on_view(&mut self, view: Arc<View>) {
        let ignored = planted(Mutant::ViewIgnored) && view.epoch.is_multiple_of(3);
        let older = view.epoch <= self.view.epoch && !planted(Mutant::EpochGoesBack);
        if older || ignored {
            return;
        }
        self.counts().epoch.set(view.epoch);
        self.view = Rc::new(view);
        self.chains.forget();
        self.conclude_offer();
    }

    fn on_done(&mut self, op: OpId, outcome: Outcome) {
        let Some(conn) = self.conns.get_mut(key_of(op.conn)) else {
            debug_assert!(false, "{op:?} is done for nobody");
            return;
        };
        let was = conn.wire.finish(op.kind);
        debug_assert!(was, "{op:?} was not under way");
        if op.kind == OpKind::Recv && conn.wire.waits_large {
            conn.wire.waits_large = false;
            self.waiting_large -= 1;
        }
        self.touch(op.conn);
        let Some(conn) = self.conns.get(key_of(op.conn)) else { return };
        if conn.wire.is_ending() {
            return;
        }
        match outcome {
            Outcome::Accepted { peer } => self.on_accepted(op.conn, peer),
            Outcome::Connected => self.on_connected(op.conn),
            Outcome::Received(lent) => self.on_received(op.conn, lent),
            Outcome::Sent(count) => self.on_sent(op.conn, count as usize),
            Outcome::Shut | Outcome::Closed => {}
            Outcome::Failed(fault) => match op.kind {
                OpKind::Accept => self.on_accept_failed(op.conn, fault),
                OpKind::Connect => self.on_connect_failed(op.conn, fault),
                OpKind::Recv => self.on_recv_failed(op.conn, fault),
                OpKind::Send => self.on_send_failed(op.conn),
                OpKind::Shut | OpKind::Close => {}
            },
        }
    }
}

impl Machine for Worker {
    fn handle(&mut self, input: Input, now: Time) {
        debug_assert!(now >= self.now, "time does not go backwards");
        self.now = now;
        match input {
            Input::Done { op, outcome } => self.on_done(op, outcome),
            Input::View(view) => self.on_view(view),
            Input::Drain { by } => self.on_drain(by),
            Input::Job { job, answer } => self.on_proof(job, &answer),
            Input::Report(_) | Input::Workload(_) | Input::Changed | Input::Offer(_) => {
                debug_assert!(false, "only the control machine takes reports");
            }
        }
        self.run();
    }

    fn tick(&mut self, now: Time) {
        debug_assert!(now >= self.now, "time does not go backwards");
        self.now = now;
        self.end_rest();
        while let Some(slot) = self.timers.pop_due(now) {
            self.on_deadline(slot);
        }
        self.on_own_deadlines();
        self.counts().page_bytes.set(self.pool.resident_bytes());
        self.run();
    }

    fn effects(&mut self, out: &mut Vec<Effect>) {
        out.append(&mut self.effects);
    }

    fn lend(&mut self, conn: ConnId) -> Option<Lent> {
        self.lend_pages(conn)
    }

    fn gather(&mut self, conn: ConnId, out: &mut Batch) {
        let limit = self.limits.chunks_per_write as usize;
        if let Some(conn) = self.conn_mut(conn) {
            conn.wire.gather(limit, out);
        }
    }

    fn job(&mut self, job: JobId) -> Option<Job> {
        self.proof_job(job)
    }

    fn offered(&mut self) -> Option<Offer> {
        self.take_offer()
    }

    fn log(&mut self, out: &mut Vec<u8>) {
        self.take_lines(out);
    }

    fn deadline(&self) -> Option<Deadline> {
        let timer = self.timers.first().map(|(at, slot)| {
            let who = self.conns.at(slot).map_or("nobody", |(_, conn)| conn.wire.who());
            Deadline { at, who }
        });
        [timer, self.own_deadline()].into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    fn holdings(&self) -> Holdings {
        self.count_holdings()
    }

    fn check(&self) {
        self.sweep();
    }
}

fn key_of(id: ConnId) -> Key {
    Key { slot: id.slot, generation: id.generation }
}

fn id_of(key: Key) -> ConnId {
    ConnId { slot: key.slot, generation: key.generation }
}
