//! The driver of level 1: it performs what machines want and ends each operation when and how
//! chance says, and it holds machines to their side of the contract.

use crate::fault::Kind;
use crate::net::{Accepts, Event, Net};
use crate::oracle::Oracle;
use crate::oracle::health::Heard;
use crate::terrain::Way;
use crate::wire::{EndId, Owner, Read};
use engine::base::id::{ConnId, ListenerId};
use engine::base::page::{Chunk, Page};
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

    // Accepting.

    fn accept(&mut self, host: u16, conn: ConnId, listener: ListenerId) {
        let effect = Effect::Accept { conn, listener };
        let sock = self.open(host, conn, &effect);
        sock.listener = Some(listener);
        *sock.state(OpKind::Accept) = OpState::Waiting;
        let port = &self.ports[host as usize];
        let Some(&addr) = port.listeners.get(listener.0 as usize) else {
            return self.broken_rule(host, "an accept on an unknown listener", &effect);
        };
        if port.stopped.contains(&listener) {
            self.sock(host, conn).verdict = Some((Kind::AcceptFails, Fault::Cancelled));
            return self.due(host, conn, OpKind::Accept);
        }
        let op = OpId { conn, kind: OpKind::Accept };
        if let Some(Accepts::Machines(pending)) =
            self.listeners.get_mut(&addr).map(|listener| &mut listener.accepts)
        {
            pending.push((host, op));
        }
        self.offer(addr);
    }

    /// Matches waiting connections with waiting accepts.
    pub(crate) fn offer(&mut self, addr: SocketAddr) {
        loop {
            let Some(listener) = self.listeners.get_mut(&addr) else { return };
            let Accepts::Machines(pending) = &mut listener.accepts else { return };
            if pending.is_empty() || listener.backlog.is_empty() {
                return;
            }
            let at = self.chance.below(pending.len() as u64);
            let (host, op) = pending.remove(usize::try_from(at).expect("below a length"));
            self.match_accept(addr, host, op);
        }
    }

    fn match_accept(&mut self, addr: SocketAddr, host: u16, op: OpId) {
        let verdict = if self.faults.strikes(Kind::NoDescriptors) {
            Some((Kind::NoDescriptors, Fault::NoDescriptors))
        } else if self.faults.strikes(Kind::AcceptFails) {
            let fault = *self.faults.chance.pick(&[Fault::Reset, Fault::Other(71)]);
            Some((Kind::AcceptFails, fault))
        } else {
            None
        };
        if verdict.is_none_or(|(kind, _)| kind == Kind::AcceptFails) {
            let listener = self.listeners.get_mut(&addr).expect("somebody accepts there");
            let end = listener.backlog.pop_front().expect("somebody waits there");
            match verdict {
                Some(_) => self.close(end, Close::Abort),
                None => self.sock(host, op.conn).end = Some(end),
            }
        }
        self.sock(host, op.conn).verdict = verdict;
        self.due(host, op.conn, OpKind::Accept);
    }

    fn complete_accept(&mut self, host: u16, op: OpId) {
        let closing = self.sock(host, op.conn).closing.is_some();
        let sock = self.sock(host, op.conn);
        if let Some((kind, fault)) = sock.verdict.take() {
            self.faults.observed(kind);
            return self.end_op(host, op, Outcome::Failed(fault));
        }
        let Some(end) = sock.end else {
            return self.end_op(host, op, Outcome::Failed(Fault::Cancelled));
        };
        if closing {
            return self.end_op(host, op, Outcome::Failed(Fault::Cancelled));
        }
        self.own(end, Owner::Machine { host, conn: op.conn });
        let peer = self.addr(end.peer()).expect("an accepted link is open");
        self.end_op(host, op, Outcome::Accepted { peer });
    }

    fn stop_listening(&mut self, host: u16, listener: ListenerId) {
        let port = &mut self.ports[host as usize];
        port.stopped.push(listener);
        let addr = port.listeners[listener.0 as usize];
        let Some(entry) = self.listeners.get_mut(&addr) else { return };
        let Accepts::Machines(pending) = &mut entry.accepts else { return };
        let stopped: Vec<_> = pending.extract_if(.., |(who, _)| *who == host).collect();
        for (_, op) in stopped {
            self.due(host, op.conn, OpKind::Accept);
        }
        self.unlisten_if_all_stopped(addr);
    }

    /// Nobody accepts there in this machine's name any more.
    pub(crate) fn forget_accepts(&mut self, host: u16, addr: SocketAddr) {
        let Some(entry) = self.listeners.get_mut(&addr) else { return };
        let Accepts::Machines(pending) = &mut entry.accepts else { return };
        pending.retain(|(who, _)| *who != host);
        self.unlisten_if_all_stopped(addr);
    }

    fn unlisten_if_all_stopped(&mut self, addr: SocketAddr) {
        let all_stopped = self.ports.iter().all(|port| {
            let at = port.listeners.iter().position(|at| *at == addr);
            at.is_none_or(|at| port.stopped.iter().any(|stopped| stopped.0 as usize == at))
        });
        if all_stopped {
            self.unlisten(addr);
        }
    }

    // Connecting.

    fn dial(&mut self, host: u16, conn: ConnId, to: SocketAddr) {
        if let Some(heard) = &mut self.ports[host as usize].heard {
            heard.push(Heard::Dialed { conn, to });
        }
        let verdict = self.draw_dial();
        let sock = self.open(host, conn, &Effect::Connect { conn, to });
        sock.to = Some(to);
        sock.verdict = verdict;
        *sock.state(OpKind::Connect) = OpState::Waiting;
        if !matches!(verdict, Some((Kind::ConnectSilent, _))) {
            self.answer_dial(host, conn, to);
        }
    }

    /// A dial is answered after a round trip, and not at all while the way is cut.
    fn answer_dial(&mut self, host: u16, conn: ConnId, to: SocketAddr) {
        let from = self.ports[host as usize].ip;
        let there = self.terrain.real(from, to).ip();
        let lost = self.terrain.way(from, there) == Way::Lost;
        if self.terrain.cut_until(from, there) <= self.now && !lost {
            let way = self.terrain.latency(from, there).unwrap_or(Span::ZERO);
            self.due_after(way.times(2), host, conn, OpKind::Connect);
        }
    }

    /// Dials that were not answered while a way was cut are answered where it is open again.
    pub fn redial(&mut self) {
        for host in (0..).take(self.ports.len()) {
            for slot in (0..).take(self.ports[host as usize].socks.len()) {
                let sock = &mut self.ports[host as usize].socks[slot as usize];
                let waits = *sock.state(OpKind::Connect) == OpState::Waiting;
                if let Some(to) = sock.to.filter(|_| waits) {
                    let conn = ConnId { slot, generation: sock.generation };
                    self.answer_dial(host, conn, to);
                }
            }
        }
    }

    fn draw_dial(&mut self) -> Option<(Kind, Fault)> {
        let choices = [Fault::Unreachable, Fault::TimedOut, Fault::Other(99), Fault::Reset];
        if self.faults.strikes(Kind::ConnectSilent) {
            Some((Kind::ConnectSilent, Fault::Cancelled))
        } else if self.faults.strikes(Kind::ConnectRefused) {
            Some((Kind::ConnectRefused, Fault::Refused))
        } else if self.faults.strikes(Kind::ConnectFails) {
            Some((Kind::ConnectFails, *self.faults.chance.pick(&choices)))
        } else if self.faults.strikes(Kind::NoDescriptors) {
            Some((Kind::NoDescriptors, Fault::NoDescriptors))
        } else {
            None
        }
    }

    fn complete_connect(&mut self, host: u16, op: OpId) {
        let sock = self.sock(host, op.conn);
        let (closing, verdict) = (sock.closing.is_some(), sock.verdict.take());
        let to = sock.to.expect("a dialing slot knows where to");
        if let Some((kind, fault)) = verdict {
            self.faults.observed(kind);
            let fault = if closing { Fault::Cancelled } else { fault };
            return self.end_op(host, op, Outcome::Failed(fault));
        }
        if closing {
            return self.end_op(host, op, Outcome::Failed(Fault::Cancelled));
        }
        let ip = self.ports[host as usize].ip;
        let to = self.terrain.real(ip, to);
        if self.terrain.way(ip, to.ip()) == Way::Refused {
            return self.end_op(host, op, Outcome::Failed(Fault::Refused));
        }
        match self.connect(ip, Owner::Machine { host, conn: op.conn }, to) {
            Ok(end) => {
                self.sock(host, op.conn).end = Some(end);
                self.end_op(host, op, Outcome::Connected);
            }
            Err(fault) => self.end_op(host, op, Outcome::Failed(fault)),
        }
    }

    // Reading.

    fn recv(&mut self, host: u16, conn: ConnId, machine: &mut dyn Machine) {
        if !self.begin(host, conn, OpKind::Recv, &Effect::Recv { conn }) {
            return;
        }
        let lent = machine.lend(conn);
        let empty = lent.is_none();
        if let Some(lent) = &lent
            && lent_spare(lent) == 0
        {
            self.broken_rule(host, "a read is lent no room", &Effect::Recv { conn });
        }
        self.sock(host, conn).lent = lent;
        let end = self.sock(host, conn).end.expect("begin saw an open connection");
        let Some(link) = self.link(end) else { return };
        let broken = link.end(end.side).broken.is_some();
        if link.incoming(end.side).readable() || broken || empty {
            self.due(host, conn, OpKind::Recv);
        }
    }

    pub(crate) fn recv_ready(&mut self, host: u16, conn: ConnId) {
        self.due(host, conn, OpKind::Recv);
    }

    fn complete_recv(&mut self, host: u16, op: OpId) {
        let sock = self.sock(host, op.conn);
        let closing = sock.closing.is_some();
        let end = sock.end.expect("a reading slot has its end");
        let Some(lent) = sock.lent.take() else {
            let fault = if closing { Fault::Cancelled } else { Fault::NoPages };
            return self.end_op(host, op, Outcome::Failed(fault));
        };
        if closing {
            return self.recv_while_closing(host, op, end, lent);
        }
        if let Some(fault) = self.broken(end) {
            return self.end_op(host, op, Outcome::Failed(fault));
        }
        if self.faults.strikes(Kind::RecvFails) {
            let fault = self.draw_broken(end);
            self.faults.observed(Kind::RecvFails);
            return self.end_op(host, op, Outcome::Failed(fault));
        }
        let (lent, read) = self.fill(end, lent);
        let outcome = match read {
            Read::Bytes(_) | Read::End => Outcome::Received(lent),
            Read::Reset => Outcome::Failed(Fault::Reset),
            Read::Nothing => {
                let sock = self.sock(host, op.conn);
                sock.lent = Some(lent);
                *sock.state(OpKind::Recv) = OpState::Waiting;
                return;
            }
        };
        self.end_op(host, op, outcome);
    }

    fn recv_while_closing(&mut self, host: u16, op: OpId, end: EndId, lent: Lent) {
        let readable = self.link(end).is_some_and(|link| link.incoming(end.side).ready > 0);
        // Few reads are cancelled with bytes waiting, so that each of them counts.
        let races = readable && self.faults.on(Kind::DataRacesClose);
        if races && self.faults.chance.one_in(2) {
            self.faults.injected(Kind::DataRacesClose);
            self.faults.observed(Kind::DataRacesClose);
            let (lent, _) = self.fill(end, lent);
            return self.end_op(host, op, Outcome::Received(lent));
        }
        self.end_op(host, op, Outcome::Failed(Fault::Cancelled));
    }

    /// Fills lent pages in order, all of them or less.
    fn fill(&mut self, end: EndId, mut lent: Lent) -> (Lent, Read) {
        let mut most = usize::MAX;
        let available = self.link(end).map_or(0, |link| link.incoming(end.side).ready);
        let offered = available.min(lent_spare(&lent));
        if offered > 1 && self.faults.strikes(Kind::ShortRead) {
            self.faults.observed(Kind::ShortRead);
            let any = 1 + index(self.faults.chance.below(offered as u64 - 1));
            most = *self.faults.chance.pick(&[1, offered - 1, any]);
        }
        let pages = match &mut lent {
            Lent::One(page) => std::slice::from_mut(page),
            Lent::Many(pages) => pages,
        };
        let mut total = 0;
        for page in pages {
            let room = page.spare().min(most - total);
            if room == 0 {
                break;
            }
            match self.read(end, &mut page.spare_mut()[..room]) {
                Read::Bytes(count) => {
                    page.advance(count);
                    total += count;
                }
                other if total == 0 => return (lent, other),
                Read::Nothing | Read::End | Read::Reset => break,
            }
        }
        (lent, Read::Bytes(total))
    }

    fn broken(&mut self, end: EndId) -> Option<Fault> {
        self.link(end)?.end(end.side).broken
    }

    /// The connection dies: this end fails from now on, the other sees a reset.
    fn draw_broken(&mut self, end: EndId) -> Fault {
        let choices = [Fault::Reset, Fault::TimedOut, Fault::Unreachable, Fault::Other(5)];
        let fault = *self.faults.chance.pick(&choices);
        if let Some(link) = self.link(end) {
            link.end(end.side).broken = Some(fault);
        }
        self.break_off(end);
        fault
    }

    // Writing.

    fn send(&mut self, host: u16, conn: ConnId, machine: &mut dyn Machine) {
        if !self.begin(host, conn, OpKind::Send, &Effect::Send { conn }) {
            return;
        }
        let mut batch = std::mem::take(&mut self.sock(host, conn).batch);
        debug_assert!(batch.is_empty(), "a finished write has given its chunks back");
        machine.gather(conn, &mut batch);
        if let Some(heard) = &mut self.ports[host as usize].heard {
            let bytes = batch.iter().flat_map(|chunk| chunk.bytes().to_vec()).collect();
            heard.push(Heard::Asked { conn, bytes });
        }
        self.sock(host, conn).batch = batch;
        self.due(host, conn, OpKind::Send);
    }

    pub(crate) fn send_ready(&mut self, host: u16, conn: ConnId) {
        self.due(host, conn, OpKind::Send);
    }

    fn complete_send(&mut self, host: u16, op: OpId) {
        let sock = self.sock(host, op.conn);
        let closing = sock.closing.is_some();
        let end = sock.end.expect("a writing slot has its end");
        let mut batch = std::mem::take(&mut sock.batch);
        if !closing && batch.iter().all(Chunk::is_empty) {
            self.broken_rule(host, "a write offers nothing", &Effect::Send { conn: op.conn });
        }
        let outcome = self.send_outcome(end, closing, &batch);
        let Some(outcome) = outcome else {
            let sock = self.sock(host, op.conn);
            sock.batch = batch;
            *sock.state(OpKind::Send) = OpState::Waiting;
            return;
        };
        batch.clear();
        self.sock(host, op.conn).batch = batch;
        self.end_op(host, op, outcome);
    }

    fn send_outcome(&mut self, end: EndId, closing: bool, batch: &Batch) -> Option<Outcome> {
        let room = match self.room(end) {
            Ok(room) => room,
            Err(fault) => return Some(Outcome::Failed(fault)),
        };
        if closing && (room == 0 || self.chance.one_in(2)) {
            return Some(Outcome::Failed(Fault::Cancelled));
        }
        if room == 0 {
            return None;
        }
        if !closing && self.faults.strikes(Kind::SendFails) {
            self.faults.observed(Kind::SendFails);
            return Some(Outcome::Failed(self.draw_broken(end)));
        }
        let offered: usize = batch.iter().map(|chunk| chunk.bytes().len()).sum();
        let mut most = offered;
        if offered > 1 && self.faults.strikes(Kind::ShortWrite) {
            self.faults.observed(Kind::ShortWrite);
            let any = 1 + index(self.faults.chance.below(offered as u64 - 1));
            most = *self.faults.chance.pick(&[1, offered - 1, any]);
        }
        let mut sent = 0;
        for chunk in batch {
            let bytes = chunk.bytes();
            let part = &bytes[..bytes.len().min(most - sent)];
            let taken = self.write(end, part).unwrap_or(0);
            sent += taken;
            if taken < part.len() || sent == most {
                break;
            }
        }
        Some(Outcome::Sent(u32::try_from(sent).expect("a window is below 4 GiB")))
    }

    // Closing.

    fn shut_op(&mut self, host: u16, conn: ConnId) {
        if self.begin(host, conn, OpKind::Shut, &Effect::Shut { conn }) {
            self.due(host, conn, OpKind::Shut);
        }
    }

    fn complete_shut(&mut self, host: u16, op: OpId) {
        let sock = self.sock(host, op.conn);
        let end = sock.end.expect("a shutting slot has its end");
        let outcome = match self.room(end) {
            Ok(_) => Outcome::Shut,
            Err(fault) => Outcome::Failed(fault),
        };
        if matches!(outcome, Outcome::Shut) {
            self.shut(end);
        }
        self.end_op(host, op, outcome);
    }

    fn close_op(&mut self, host: u16, conn: ConnId, how: Close) {
        if !self.begin(host, conn, OpKind::Close, &Effect::Close { conn, how }) {
            return;
        }
        if let Some(heard) = &mut self.ports[host as usize].heard {
            heard.push(Heard::Closed { conn });
        }
        let listener = self.sock(host, conn).listener;
        if let Some(listener) = listener {
            let addr = self.ports[host as usize].listeners[listener.0 as usize];
            if let Some(entry) = self.listeners.get_mut(&addr)
                && let Accepts::Machines(pending) = &mut entry.accepts
            {
                pending.retain(|(who, op)| *who != host || op.conn != conn);
            }
        }
        self.sock(host, conn).closing = Some(how);
        for kind in [OpKind::Accept, OpKind::Connect, OpKind::Recv, OpKind::Send, OpKind::Shut] {
            self.due(host, conn, kind);
        }
        if !self.sock(host, conn).others_pending() {
            self.due(host, conn, OpKind::Close);
        }
    }

    fn complete_close(&mut self, host: u16, op: OpId) {
        let sock = self.sock(host, op.conn);
        let how = sock.closing.expect("a closing slot knows how");
        sock.closed = true;
        if let Some(end) = sock.end.take() {
            self.close(end, how);
        }
        self.end_op_closed(host, op);
    }

    fn end_op_closed(&mut self, host: u16, op: OpId) {
        *self.sock(host, op.conn).state(op.kind) = OpState::Idle;
        self.tell(host, Input::Done { op, outcome: Outcome::Closed });
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

/// Bytes that fit into lent pages.
fn lent_spare(lent: &Lent) -> usize {
    match lent {
        Lent::One(page) => page.spare(),
        Lent::Many(pages) => pages.iter().map(Page::spare).sum(),
    }
}

fn listener(at: usize) -> ListenerId {
    ListenerId(u16::try_from(at).expect("few listeners"))
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a length fits a length")
}
