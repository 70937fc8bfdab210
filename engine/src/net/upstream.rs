//! Connections to one server address, and who waits for one.

use crate::base::id::ConnId;
use crate::base::slab::Key;
use std::collections::VecDeque;

/// Connections and waiters of one target.
#[derive(Debug, Default)]
pub struct Upstreams {
    /// Ready for a request, most recently used last.
    idle: VecDeque<ConnId>,
    /// HTTP/2 connections that may take one more stream, oldest first.
    pub sessions: Vec<ConnId>,
    /// Connections being dialed that are or may be HTTP/2.
    pub dialing: u32,
    /// Streams that an HTTP/2 connection took when it refused one.
    pub streams_known: Option<u32>,
    /// The server took HTTP/1.1 when it last could choose.
    pub declined: bool,
    /// Its streams took no other protocols when it last said what they take.
    pub refuses_tunnels: bool,
    /// Exchanges that wait for a connection, oldest first.
    waiters: VecDeque<Key>,
    /// Dialing, busy and idle ones.
    pub open: u32,
}

impl Upstreams {
    /// The connection used most recently, so that those used least grow old and go.
    pub fn take_idle(&mut self) -> Option<ConnId> {
        self.idle.pop_back()
    }

    pub fn put_idle(&mut self, conn: ConnId) {
        debug_assert!(!self.idle.contains(&conn), "{conn:?} is idle once");
        self.idle.push_back(conn);
    }

    /// The connection unused for longest.
    pub fn oldest_idle(&self) -> Option<ConnId> {
        self.idle.front().copied()
    }

    /// False if it was not idle.
    pub fn remove_idle(&mut self, conn: ConnId) -> bool {
        let Some(at) = self.idle.iter().position(|idle| *idle == conn) else { return false };
        self.idle.remove(at);
        true
    }

    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    pub fn idle_conns(&self) -> impl Iterator<Item = ConnId> {
        self.idle.iter().copied()
    }

    pub fn wait(&mut self, exchange: Key) {
        self.waiters.push_back(exchange);
    }

    pub fn next_waiter(&mut self) -> Option<Key> {
        self.waiters.pop_front()
    }

    pub fn give_up(&mut self, exchange: Key) {
        self.waiters.retain(|waiter| *waiter != exchange);
    }

    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }
}
