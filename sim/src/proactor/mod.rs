//! The driver of level 1: it performs what machines want and ends each operation when and how
//! chance says, and it holds machines to their side of the contract.

mod carry;
mod close;
mod open;

use crate::fault::Kind;
use crate::net::{Event, Net};
use crate::oracle::Oracle;
use crate::oracle::health::Heard;
use crate::wire::EndId;
use engine::base::id::{ConnId, ListenerId};
use engine::base::time::{Span, Time};
use engine::boundary::{Batch, Close, Effect, Fault, Input, Lent, Machine, OpId, OpKind, Outcome};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// The sockets of one machine, and what it has yet to be told.
#[derive(Debug)]
pub struct Port {
    pub(crate) ip: IpAddr,
    /// By [`ListenerId`].
    pub(crate) listeners: Vec<SocketAddr>,
    socks: Vec<Sock>,
    pub(crate) inbox: VecDeque<Input>,
    /// When the machine is called next.
    pub(crate) wake: Time,
    /// The machine is not called before.
    pub(crate) paused: Time,
    stopped: Vec<ListenerId>,
    /// What happens on its connections, for machines whose probes are judged.
    pub heard: Option<Vec<Heard>>,
    /// Steps that ended with a deadline in the past and had nothing to do, in a row.
    pub(crate) idle_spins: u32,
    /// How far its clock is ahead of the network's.
    pub(crate) ahead: Span,
}

/// One connection slot of a machine.
#[derive(Debug, Default)]
struct Sock {
    generation: u32,
    used: bool,
    end: Option<EndId>,
    ops: [OpState; OPS],
    closing: Option<Close>,
    closed: bool,
    lent: Option<Lent>,
    batch: Batch,
    to: Option<SocketAddr>,
    listener: Option<ListenerId>,
    /// What chance decided about the operation that opens this socket.
    verdict: Option<(Kind, Fault)>,
}

const OPS: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum OpState {
    #[default]
    Idle,
    /// Asked for, cannot end yet.
    Waiting,
    /// Will end at an instant that is in the queue.
    Due,
}

impl Port {
    pub fn new(ip: IpAddr, listeners: Vec<SocketAddr>) -> Self {
        Self {
            ip,
            listeners,
            socks: Vec::new(),
            inbox: VecDeque::new(),
            wake: Time::NEVER,
            paused: Time::ZERO,
            stopped: Vec::new(),
            heard: None,
            idle_spins: 0,
            ahead: Span::ZERO,
        }
    }

    /// Operations that have not ended, and sockets that are open.
    pub fn outstanding(&self) -> (usize, usize) {
        let pending = |sock: &Sock| sock.ops.iter().filter(|op| **op != OpState::Idle).count();
        let ops = self.socks.iter().map(pending).sum();
        (ops, self.socks.iter().filter(|sock| sock.end.is_some()).count())
    }

    /// Writes down an input that is about to be handled, if somebody listens.
    pub(crate) fn hear(&mut self, input: &Input) {
        let (Some(heard), Input::Done { op, outcome }) = (&mut self.heard, input) else { return };
        let conn = op.conn;
        match outcome {
            Outcome::Received(Lent::One(page)) => {
                heard.push(Heard::Got { conn, bytes: page.bytes().to_vec() });
            }
            Outcome::Received(Lent::Many(pages)) => {
                let bytes = pages.iter().flat_map(|page| page.bytes().to_vec()).collect();
                heard.push(Heard::Got { conn, bytes });
            }
            // A write that fails decides nothing: an answer may be there already.
            Outcome::Failed(fault) if matches!(op.kind, OpKind::Recv | OpKind::Connect) => {
                heard.push(Heard::Failed { conn, fault: *fault });
            }
            Outcome::Sent(count) => {
                heard.push(Heard::Sent { conn, count: *count as usize });
            }
            Outcome::Failed(_)
            | Outcome::Accepted { .. }
            | Outcome::Connected
            | Outcome::Shut
            | Outcome::Closed => {}
        }
    }

    /// Nothing waits to be handled.
    pub fn is_told(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Gives up everything; returns the open ends and the listeners.
    pub(crate) fn retire(&mut self) -> (Vec<EndId>, Vec<SocketAddr>) {
        self.inbox.clear();
        self.wake = Time::NEVER;
        self.stopped = (0..self.listeners.len()).map(listener).collect();
        let ends = std::mem::take(&mut self.socks).into_iter().filter_map(|sock| sock.end);
        (ends.collect(), self.listeners.clone())
    }

    /// The end that a connection of this machine is.
    pub fn end(&self, conn: ConnId) -> Option<EndId> {
        self.socks.get(conn.slot as usize).filter(|sock| sock.generation == conn.generation)?.end
    }
}

impl Sock {
    fn state(&mut self, kind: OpKind) -> &mut OpState {
        &mut self.ops[kind as usize]
    }

    fn pending(&self) -> bool {
        self.ops.iter().any(|op| *op != OpState::Idle)
    }

    fn others_pending(&self) -> bool {
        (0..OPS).any(|at| at != OpKind::Close as usize && self.ops[at] != OpState::Idle)
    }
}

impl Net {
    /// Adds a machine's port; its number is the host's.
    pub fn plug(&mut self, port: Port) -> u16 {
        for &addr in &port.listeners {
            if !self.listeners.contains_key(&addr) {
                self.listen_for_machines(addr);
            }
        }
        self.ports.push(port);
        u16::try_from(self.ports.len() - 1).expect("a world has few machines")
    }

    pub fn port(&self, host: u16) -> &Port {
        &self.ports[host as usize]
    }

    /// Gives `input` to a machine when it is next called, which is soon.
    pub fn tell(&mut self, host: u16, input: Input) {
        self.ports[host as usize].inbox.push_back(input);
        self.wake_at(host, self.now);
    }

    /// Calls the machine at `at` unless it is called earlier.
    pub fn wake_at(&mut self, host: u16, at: Time) {
        let port = &mut self.ports[host as usize];
        let at = at.max(port.paused);
        if at < port.wake {
            port.wake = at;
            self.at(at, Event::Step { host });
        }
    }

    /// The machine is not called for a while.
    pub fn pause(&mut self, host: u16, span: Span) {
        let until = self.now + span;
        let port = &mut self.ports[host as usize];
        port.paused = port.paused.max(until);
        if port.wake < until {
            port.wake = until;
            self.at(until, Event::Step { host });
        }
    }

    /// Machines that are paused are called again.
    pub(crate) fn resume(&mut self) {
        for host in 0..self.ports.len() {
            if self.ports[host].paused > self.now {
                self.ports[host].paused = self.now;
                self.wake_at(u16::try_from(host).expect("a run has few hosts"), self.now);
            }
        }
    }

    fn broken_rule(&mut self, host: u16, what: &str, effect: &Effect) {
        self.verdict.add(Oracle::D1, self.now, || format!("machine {host}: {what}: {effect:?}"));
    }

    /// Performs one effect that concerns sockets; returns false for the others.
    pub fn perform(&mut self, host: u16, effect: Effect, machine: &mut dyn Machine) -> bool {
        match effect {
            Effect::Accept { conn, listener } => self.accept(host, conn, listener),
            Effect::Connect { conn, to } => self.dial(host, conn, to),
            Effect::Recv { conn } => self.recv(host, conn, machine),
            Effect::Send { conn } => self.send(host, conn, machine),
            Effect::Shut { conn } => self.shut_op(host, conn),
            Effect::Close { conn, how } => self.close_op(host, conn, how),
            Effect::StopListening { listener } => self.stop_listening(host, listener),
            Effect::Job { .. }
            | Effect::Publish
            | Effect::Report(_)
            | Effect::Offer
            | Effect::Log
            | Effect::Finished => return false,
        }
        true
    }

    /// The slot of `conn`, fresh: for the operations that open a connection.
    fn open(&mut self, host: u16, conn: ConnId, effect: &Effect) -> &mut Sock {
        let socks = &mut self.ports[host as usize].socks;
        let at = conn.slot as usize;
        if at >= socks.len() {
            socks.resize_with(at + 1, Sock::default);
        }
        let sock = &socks[at];
        let problem = if sock.pending() {
            Some("rule 3: a slot is reused while an operation on it is outstanding")
        } else if sock.used && sock.end.is_some() {
            Some("rule 3: a slot is reused while its socket is open")
        } else if sock.used && sock.generation == conn.generation {
            Some("rule 3: a slot is reused without a new generation")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.broken_rule(host, problem, effect);
        }
        let sock = &mut self.ports[host as usize].socks[at];
        let batch = std::mem::take(&mut sock.batch);
        *sock = Sock { generation: conn.generation, used: true, batch, ..Sock::default() };
        sock
    }

    /// The slot of `conn` for an operation on an open connection; checks the contract.
    fn begin(&mut self, host: u16, conn: ConnId, kind: OpKind, effect: &Effect) -> bool {
        let Some(sock) = self.ports[host as usize].socks.get_mut(conn.slot as usize) else {
            self.broken_rule(host, "rule 3: an operation on a slot that was never opened", effect);
            return false;
        };
        let problem = if sock.generation != conn.generation || !sock.used {
            Some("rule 3: an operation on an earlier generation")
        } else if *sock.state(kind) != OpState::Idle {
            Some("rule 2: the same kind of operation is outstanding")
        } else if sock.closed {
            Some("rule 3: an operation after the connection was closed")
        } else if sock.closing.is_some() {
            Some("rule 2: an operation after Close")
        } else if sock.end.is_none() && kind != OpKind::Close {
            Some("an operation on a connection that is not open")
        } else if kind == OpKind::Shut && *sock.state(OpKind::Send) != OpState::Idle {
            Some("Shut while a Send is outstanding")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.broken_rule(host, problem, effect);
            return false;
        }
        *sock.state(kind) = OpState::Waiting;
        true
    }

    fn sock(&mut self, host: u16, conn: ConnId) -> &mut Sock {
        &mut self.ports[host as usize].socks[conn.slot as usize]
    }

    /// Lets an operation end soon.
    fn due(&mut self, host: u16, conn: ConnId, kind: OpKind) {
        self.due_after(Span::ZERO, host, conn, kind);
    }

    fn due_after(&mut self, span: Span, host: u16, conn: ConnId, kind: OpKind) {
        let state = self.sock(host, conn).state(kind);
        if *state != OpState::Waiting {
            return;
        }
        *state = OpState::Due;
        let mut delay = Span::micros(1 + self.chance.below(20));
        if self.faults.strikes(Kind::LateCompletion) {
            self.faults.observed(Kind::LateCompletion);
            delay = Span::micros(self.faults.chance.size(2_000_000));
        }
        self.after(span + delay, Event::Complete { host, op: OpId { conn, kind } });
    }

    fn end_op(&mut self, host: u16, op: OpId, outcome: Outcome) {
        *self.sock(host, op.conn).state(op.kind) = OpState::Idle;
        self.tell(host, Input::Done { op, outcome });
        let sock = self.sock(host, op.conn);
        if sock.closing.is_some() && !sock.others_pending() {
            self.due(host, op.conn, OpKind::Close);
        }
    }

    /// An operation's instant has come.
    pub fn complete(&mut self, host: u16, op: OpId) {
        let Some(sock) = self.ports[host as usize].socks.get_mut(op.conn.slot as usize) else {
            return;
        };
        if sock.generation != op.conn.generation || *sock.state(op.kind) != OpState::Due {
            return;
        }
        match op.kind {
            OpKind::Accept => self.complete_accept(host, op),
            OpKind::Connect => self.complete_connect(host, op),
            OpKind::Recv => self.complete_recv(host, op),
            OpKind::Send => self.complete_send(host, op),
            OpKind::Shut => self.complete_shut(host, op),
            OpKind::Close => self.complete_close(host, op),
        }
    }
}

fn listener(at: usize) -> ListenerId {
    ListenerId(u16::try_from(at).expect("few listeners"))
}
