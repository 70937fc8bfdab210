//! Connections that end, by halves or whole.

use super::OpState;
use crate::net::{Accepts, Net};
use crate::oracle::health::Heard;
use engine::base::id::ConnId;
use engine::boundary::{Close, Effect, Input, OpId, OpKind, Outcome};

impl Net {
    pub(super) fn shut_op(&mut self, host: u16, conn: ConnId) {
        if self.begin(host, conn, OpKind::Shut, &Effect::Shut { conn }) {
            self.due(host, conn, OpKind::Shut);
        }
    }

    pub(super) fn complete_shut(&mut self, host: u16, op: OpId) {
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

    pub(super) fn close_op(&mut self, host: u16, conn: ConnId, how: Close) {
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

    pub(super) fn complete_close(&mut self, host: u16, op: OpId) {
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
}
