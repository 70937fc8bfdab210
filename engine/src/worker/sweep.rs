//! Everything that must hold between two calls.

use super::conn::{Role, Talk, Usage};
use super::exchange::Phase;
use super::session::Side;
use super::{Worker, id_of, key_of};
use crate::base::page::PageSize;
use crate::base::time::Time;
use crate::boundary::{Holdings, OpKind};
use crate::net::wire::Link;

/// What a worker holds. After a drain, and once the driver has let go of its batches, nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Census {
    /// Slots of connections, those of waiting accepts included.
    pub conns: usize,
    pub exchanges: usize,
    pub upstreams_idle: usize,
    pub small_pages: u32,
    pub middle_pages: u32,
    pub large_pages: u32,
    pub kept_bytes: u64,
    pub deadlines: usize,
}

impl Worker {
    pub fn census(&self) -> Census {
        Census {
            conns: self.conns.len(),
            exchanges: self.exchanges.len(),
            upstreams_idle: self.idle_upstreams.len(),
            small_pages: self.pool.held(PageSize::Small),
            middle_pages: self.pool.held(PageSize::Middle),
            large_pages: self.pool.held(PageSize::Large),
            kept_bytes: self.kept_bytes,
            deadlines: self.timers.armed(),
        }
    }

    pub(super) fn count_holdings(&self) -> Holdings {
        Holdings {
            small_pages: self.pool.held(PageSize::Small),
            middle_pages: self.pool.held(PageSize::Middle),
            large_pages: self.pool.held(PageSize::Large),
            page_bytes: self.pool.resident_bytes(),
            head_bytes: self.grown_bytes,
            log_bytes: self.lines.bytes.len() as u64,
            clients: self.clients,
            upstreams: self.upstreams,
            exchanges: u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX),
            compressors: self.compressors,
        }
    }

    pub(super) fn sweep(&self) {
        assert!(self.touched.is_empty(), "every touched connection was settled");
        assert!(self.woken.is_empty() && self.switching.is_empty(), "every exchange went on");
        assert!(self.concluded.is_empty(), "every answer was acted on");
        self.sweep_conns();
        self.sweep_exchanges();
        self.sweep_pools();
        self.sweep_clerks();
        let held = u64::from(self.pool.held(PageSize::Large));
        assert!(held <= u64::from(self.limits.large_pages_max));
    }

    fn sweep_conns(&self) {
        let (mut clients, mut upstreams, mut streams, mut waiting_large) = (0, 0, 0, 0);
        let mut pending = vec![0; self.listeners.len()];
        let mut dialing = vec![0; self.targets.len()];
        for (key, conn) in self.conns.iter() {
            let id = id_of(key);
            assert_eq!(conn.id(), id, "a connection knows its slot");
            conn.wire.check();
            waiting_large += u32::from(conn.wire.waits_large);
            streams += u32::from(conn.stream.is_some());
            let gone = conn.wire.link == Link::Gone;
            assert!(!gone || conn.wire.has_operations(), "{id:?} has a slot for nothing");
            let deadline = if gone { Time::NEVER } else { conn.wire.deadline() };
            assert_eq!(self.timers.deadline(id.slot), deadline, "{id:?} keeps its deadline");
            if let Some(exchange) = conn.exchange() {
                let exchange = self.exchanges.get(exchange).expect("its exchange exists");
                assert!(exchange.client == Some(id) || exchange.upstream == Some(id));
            }
            match &conn.role {
                Role::Accepting(entry) => {
                    if conn.wire.is_under_way(OpKind::Accept) {
                        pending[usize::from(entry.0)] += 1;
                    }
                }
                Role::Session(session) => {
                    session.link.check();
                    match session.side {
                        Side::Client { .. } => clients += u32::from(!gone),
                        Side::Server(_) => upstreams += u32::from(!gone),
                    }
                }
                Role::Client(client) => {
                    clients += u32::from(!gone && conn.stream.is_none());
                    let idle = self.idle_clients.contains(id.slot);
                    let listens = client.talk == Talk::Listening && !gone;
                    assert!(!idle || listens, "{id:?} is idle while it is not");
                }
                Role::Clerk(_) => {}
                Role::Upstream(upstream) => {
                    upstreams += u32::from(!gone && conn.stream.is_none());
                    let may_share = upstream.multiplexed && conn.stream.is_none();
                    dialing[upstream.target.0 as usize] += u32::from(!gone && may_share);
                    let idle = self.idle_upstreams.contains(id.slot);
                    assert_eq!(idle, upstream.usage == Usage::Idle, "{id:?} is idle or not");
                }
            }
        }
        assert_eq!(clients, self.clients, "clients are counted");
        assert_eq!(upstreams, self.upstreams, "upstreams are counted");
        assert_eq!(streams, self.streams, "streams are counted");
        assert_eq!(waiting_large, self.waiting_large, "waiting pages are counted");
        for (pool, dialing) in self.targets.iter().zip(dialing) {
            assert_eq!(pool.dialing, dialing, "connections that may be shared are counted");
        }
        for (listener, pending) in self.listeners.iter().zip(pending) {
            assert_eq!(listener.pending, pending, "accepts are counted");
        }
    }

    fn sweep_exchanges(&self) {
        let (mut mirrors, mut compressors) = (0, 0);
        for (key, exchange) in self.exchanges.iter() {
            compressors += u32::from(exchange.is_squeezing());
            mirrors += u32::from(exchange.is_mirror());
            for id in [exchange.client, exchange.upstream].into_iter().flatten() {
                let conn = self.conns.get(key_of(id)).expect("its connection exists");
                assert_eq!(conn.exchange(), Some(key), "{id:?} serves it");
            }
            let errand = exchange.consulting.and_then(|errand| self.exchanges.get(errand));
            let consults = errand.is_some_and(|errand| errand.errand.is_some());
            assert_eq!(exchange.phase == Phase::Consulting, consults, "{key:?} waits for advice");
            let connected = exchange.upstream.is_some();
            match exchange.phase {
                Phase::Held
                | Phase::Gathering
                | Phase::Consulting
                | Phase::Waiting
                | Phase::Discarding => assert!(!connected),
                Phase::Dialing
                | Phase::AwaitingHead
                | Phase::Collecting
                | Phase::Relaying
                | Phase::Tunnel => {
                    assert!(connected, "{key:?} waits for a connection it has not");
                }
            }
        }
        assert_eq!(mirrors, self.mirrors, "mirrors are counted");
        assert_eq!(compressors, self.compressors, "compressors are counted");
        let partial = self.conns.iter().filter_map(|(_, conn)| conn.client());
        let partial = partial.map(|client| client.partial.len() as u64).sum::<u64>();
        let asked = self.exchanges.iter().filter(|(_, exchange)| exchange.client.is_some());
        let asked = asked.map(|(_, exchange)| exchange.asking.head.grown()).sum::<u64>();
        assert_eq!(partial + asked, self.grown_bytes, "grown heads are counted");
        if self.exchanges.is_empty() {
            assert_eq!(self.kept_bytes, 0, "nothing is kept for nobody");
        }
    }

    fn sweep_pools(&self) {
        let mut open = 0;
        let sessions = self.conns.iter().filter(|(_, conn)| matches!(conn.role, Role::Session(_)));
        let mut idle = sessions.filter(|(key, _)| self.idle_upstreams.contains(key.slot)).count();
        for pool in &self.targets {
            open += pool.open;
            idle += pool.idle();
            for id in pool.idle_conns() {
                let conn = self.conns.get(key_of(id)).expect("an idle connection exists");
                assert!(conn.upstream().is_some_and(|it| it.usage == Usage::Idle));
            }
        }
        assert_eq!(open, self.upstreams, "open connections are counted per target");
        assert_eq!(idle, self.idle_upstreams.len(), "idle connections are listed twice");
    }
}
