//! Connections that are made: accepted, or dialed.

use super::OpState;
use crate::fault::Kind;
use crate::net::{Accepts, Net};
use crate::oracle::health::Heard;
use crate::terrain::Way;
use crate::wire::Owner;
use engine::base::id::{ConnId, ListenerId};
use engine::base::time::Span;
use engine::boundary::{Close, Effect, Fault, OpId, OpKind, Outcome};
use std::net::SocketAddr;

impl Net {
    pub(super) fn accept(&mut self, host: u16, conn: ConnId, listener: ListenerId) {
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

    pub(super) fn complete_accept(&mut self, host: u16, op: OpId) {
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

    pub(super) fn stop_listening(&mut self, host: u16, listener: ListenerId) {
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

    pub(super) fn dial(&mut self, host: u16, conn: ConnId, to: SocketAddr) {
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

    pub(super) fn complete_connect(&mut self, host: u16, op: OpId) {
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
}
