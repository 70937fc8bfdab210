//! Bytes between machines and the network.

use super::OpState;
use crate::fault::Kind;
use crate::net::Net;
use crate::oracle::health::Heard;
use crate::wire::{EndId, Read};
use engine::base::id::ConnId;
use engine::base::page::{Chunk, Page};
use engine::boundary::{Batch, Effect, Fault, Lent, Machine, OpId, OpKind, Outcome};

impl Net {
    pub(super) fn recv(&mut self, host: u16, conn: ConnId, machine: &mut dyn Machine) {
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

    pub(super) fn complete_recv(&mut self, host: u16, op: OpId) {
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

    pub(super) fn send(&mut self, host: u16, conn: ConnId, machine: &mut dyn Machine) {
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

    pub(super) fn complete_send(&mut self, host: u16, op: OpId) {
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
}

/// Bytes that fit into lent pages.
fn lent_spare(lent: &Lent) -> usize {
    match lent {
        Lent::One(page) => page.spare(),
        Lent::Many(pages) => pages.iter().map(Page::spare).sum(),
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a length fits a length")
}
