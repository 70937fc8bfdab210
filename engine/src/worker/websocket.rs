//! WebSocket between the versions of HTTP. Over HTTP/1.1 it is an Upgrade with a key that is
//! answered, over HTTP/2 an extended CONNECT without one (RFC 8441 §5). A client's stream becomes a
//! head that asks for the Upgrade, with a key of ours; what a server is sent depends on what it
//! speaks, and whether it has said that its streams take other protocols. Once both sides agreed it
//! is a tunnel like any other.

use super::Worker;
use super::exchange::{Asking, Exchange, Multiplex};
use super::fields::put_field;
use super::session::Side;
use super::{conn::Role, key_of};
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::http::fields;
use crate::http::head::{ResponseHead, Version};
use crate::http::websocket::{ACCEPT, PROTOCOL, write_accept, write_key};

/// Which connection a WebSocket may have a stream of.
pub(super) enum Carrier {
    Session(ConnId),
    /// The server has not said yet what its streams take.
    Silent,
    Nobody,
}

impl Worker {
    /// Settles which way a request to switch protocols goes: on a stream if that can be asked there
    /// and the server takes it, or may; otherwise over HTTP/1.1.
    pub(super) fn settle_upgrade(&mut self, key: Key, target: TargetId) {
        let exchange = self.exchanges.get(key).expect("a connecting exchange exists");
        if exchange.asking.upgrade.is_none() {
            return;
        }
        let refused_by = exchange.refused_by;
        let takes = match self.carrier(target, refused_by) {
            Carrier::Session(_) | Carrier::Silent => true,
            Carrier::Nobody => !self.targets[target.0 as usize].refuses_tunnels,
        };
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        exchange.over_streams = exchange.asking.translates();
        let would = exchange.multiplex() != Multiplex::Never;
        exchange.over_streams &= takes;
        if would && !takes {
            self.mark(Mark::WebSocketFellBack);
        }
    }

    /// Who may carry a WebSocket to a target, of the sessions that take one more stream.
    pub(super) fn carrier(&self, target: TargetId, except: Option<ConnId>) -> Carrier {
        let mut silent = false;
        let sessions = self.targets[target.0 as usize].sessions.iter().copied();
        for id in sessions.filter(|id| Some(*id) != except) {
            let Some(Role::Session(session)) = self.conn(id).map(|conn| &conn.role) else {
                continue;
            };
            if !session.link.may_open() || session.over || !self.is_current(id, target) {
                continue;
            }
            if session.link.takes_tunnels() {
                return Carrier::Session(id);
            }
            silent |= !session.link.is_greeted();
        }
        if silent { Carrier::Silent } else { Carrier::Nobody }
    }

    /// A server said what it takes: whoever waits for that tries again.
    pub(super) fn on_greeted(&mut self, id: ConnId) {
        let Some(session) = self.session_mut(id) else { return };
        let Side::Server(served) = session.side else { return };
        let refuses = !session.link.takes_tunnels();
        let pool = &mut self.targets[served.target.0 as usize];
        pool.refuses_tunnels = refuses;
        while let Some(waiter) = self.targets[served.target.0 as usize].next_waiter() {
            self.woken.push(waiter);
        }
    }

    /// Whether what the server says makes it the tunnel that was asked for.
    pub(super) fn is_switch(&self, key: Key, head: &ResponseHead<'_>) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        if self.is_on_stream(exchange) {
            return true;
        }
        let keyed = exchange.key_of_ours().is_none_or(|ours| {
            let mut accept = Vec::new();
            write_accept(&ours, &mut accept);
            let answered = fields::first(head.fields, ACCEPT) == Some(&*accept);
            if !answered {
                self.mark(Mark::WebSocketKeyWrong);
            }
            answered
        });
        keyed && exchange.switches_as_asked(head)
    }

    /// Whether the exchange's request went out on a stream.
    pub(super) fn is_on_stream(&self, exchange: &Exchange) -> bool {
        let upstream = exchange.upstream.and_then(|id| self.conns.get(key_of(id)));
        upstream.is_some_and(|conn| conn.stream.is_some())
    }
}

impl Exchange {
    /// The key that the server is asked for a client that has none.
    pub(super) fn key_of_ours(&self) -> Option<Vec<u8>> {
        let streams = self.asking.version == Version::Http2 && self.asking.upgrade.is_some();
        streams.then(|| {
            let words = [0u8, 1].map(|half| {
                let hash = self.view.key.start().write(&self.serial.to_le_bytes());
                hash.write(&self.started.nanos().to_le_bytes()).write(&[half]).finish()
            });
            let mut text = Vec::new();
            write_key(words, &mut text);
            text
        })
    }

    /// What the client is told of a tunnel that opens, by the rules of its own version.
    pub(super) fn switched<'a>(
        &self,
        head: &ResponseHead<'a>,
        on_stream: bool,
    ) -> ResponseHead<'a> {
        let streams = self.asking.version == Version::Http2;
        if !streams && !on_stream {
            return *head;
        }
        let mut told = head.without(ACCEPT).without("content-length");
        (told.status, told.reason, told.upgrade) = match streams {
            true => (200, "OK", None),
            false => (101, "Switching Protocols", Some(PROTOCOL)),
        };
        told
    }

    /// Answers the client's key at the end of a complete head, in the place of a server that was
    /// not shown it.
    pub(super) fn insert_accept(&self, out: &mut Vec<u8>) {
        let key = self.asking.key.start as usize..self.asking.key.end as usize;
        let mut accept = Vec::new();
        write_accept(&self.asking.head.bytes()[key], &mut accept);
        out.truncate(out.len() - 2);
        put_field(out, ACCEPT, &accept);
        out.extend_from_slice(b"\r\n");
    }
}

impl Asking {
    /// Whether it can be asked on a stream.
    fn translates(&self) -> bool {
        self.websocket && (self.version == Version::Http2 || !self.key.is_empty())
    }
}
