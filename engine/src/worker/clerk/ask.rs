//! Questions on their way to Redis, and the connection that they need.

use super::{Clerk, Question, Stage};
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, LedgerFault, OpKind};
use crate::net::secure::Secure;
use crate::net::wire::{Cover, Due};
use crate::service::middleware::ledger::{self, Ledger};
use crate::service::middleware::rate::{Counts, Limiter};
use crate::tls::Session;
use crate::view::Cover as Covered;
use crate::worker::client::after;
use crate::worker::conn::Role;
use crate::worker::exchange::Phase;
use crate::worker::{Worker, key_of};
use std::net::SocketAddr;
use std::sync::Arc;

impl Worker {
    /// Holds a request until Redis has said whether there is a token for it; under which name it
    /// is counted is in the scratch.
    pub(in crate::worker) fn count_elsewhere(&mut self, key: Key, limiter: &Arc<Limiter>) {
        let Counts::InRedis(ledger) = &limiter.counts else { return };
        self.exchanges.get_mut(key).expect("a passing exchange exists").phase = Phase::Held;
        let at = self.clerk_of(ledger);
        let clerk = self.clerks.get_mut(at).expect("just found");
        let full = clerk.questions() >= self.limits.questions_max as usize;
        if full || clerk.rests_until > self.now {
            self.leave_uncounted(key);
            return;
        }
        let bucket = self.scratch.judging.bucket.clone();
        let limiter = Arc::clone(limiter);
        let question = Question { exchange: key, limiter, bucket, again: false, whole: false };
        clerk.waiting.push_back(question);
        self.mark(Mark::Counted);
        self.attend(at);
    }

    fn clerk_of(&mut self, ledger: &Ledger) -> Key {
        let found = self.clerks.iter().find(|(_, clerk)| clerk.ledger.is_beside(ledger));
        if let Some((key, _)) = found {
            return key;
        }
        let now = self.now;
        let idle = self.clerks.iter().filter(|(_, clerk)| !clerk.is_needed(now));
        let idle: Vec<Key> = idle.map(|(key, _)| key).collect();
        for key in idle {
            self.clerks.remove(key);
        }
        self.clerks.insert(Clerk::new(ledger.clone()))
    }

    /// Sends what waits, if there is a connection to send it on, or else makes one.
    pub(super) fn attend(&mut self, at: Key) {
        let clerk = self.clerks.get(at).expect("a clerk that is attended exists");
        let (stage, conn, target) = (clerk.stage, clerk.conn, clerk.ledger.target);
        match (stage, conn) {
            (Stage::Ready, Some(id)) if clerk.asked.is_empty() && !self.is_current(id, target) => {
                self.mark(Mark::IdleOutdated);
                self.dismiss(at);
                self.dial_clerk(at);
            }
            (Stage::Ready, Some(id)) => self.put_questions(at, id),
            (Stage::Dialing | Stage::Greeting(_), _) => {}
            (Stage::Absent | Stage::Ready, _) => self.dial_clerk(at),
        }
    }

    fn put_questions(&mut self, at: Key, id: ConnId) {
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        let mut out = std::mem::take(&mut self.scratch.head);
        out.clear();
        while let Some(question) = clerk.waiting.pop_front() {
            let script = (!question.whole).then_some(clerk.script.as_slice());
            ledger::question(&question.limiter.rate, &question.bucket, script, &mut out);
            clerk.asked.push_back(question);
        }
        let timeout = clerk.ledger.redis.transport.read_timeout;
        self.say(id, &out, timeout);
        self.scratch.head = out;
    }

    /// Writes, and expects an answer.
    fn say(&mut self, id: ConnId, bytes: &[u8], timeout: Span) {
        let by = after(self.now, timeout);
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.set(Due::Idle, Time::NEVER);
        if conn.wire.at(Due::ResponseHead) == Time::NEVER {
            conn.wire.set(Due::ResponseHead, by);
        }
        self.touch(id);
        self.put_head(id, bytes, false);
    }

    pub(super) fn dial_clerk(&mut self, at: Key) {
        let now = self.now;
        let clerk = self.clerks.get_mut(at).expect("a clerk that is dialed exists");
        let redis = &clerk.ledger.redis;
        if clerk.dialed == 0 {
            clerk.dial_by = after(now, redis.transport.dial_timeout);
        }
        let aim = self.view.targets.get(clerk.ledger.target.0);
        let Some(aim) = aim.filter(|aim| aim.authority == redis.endpoint) else {
            self.give_up_counting(at, LedgerFault::NoAddress);
            return;
        };
        let left = aim.addrs.len().saturating_sub(clerk.dialed);
        let Some(addr) = aim.addrs.get(clerk.dialed).copied() else {
            let nowhere = clerk.dialed == 0;
            let fault = if nowhere { LedgerFault::NoAddress } else { LedgerFault::Unreached };
            self.give_up_counting(at, fault);
            return;
        };
        let cover = match &aim.cover {
            Covered::Clear => Some(Cover::Clear),
            Covered::Unusable(_) => None,
            Covered::Tls(connector) => Session::client(connector, &aim.authority.host, &[])
                .ok()
                .map(|session| Cover::Tls(Box::new(Secure::new(session)))),
        };
        let Some(cover) = cover else {
            self.mark(Mark::TargetUnusable);
            self.give_up_counting(at, LedgerFault::Unusable);
            return;
        };
        clerk.dialed += 1;
        clerk.stage = Stage::Dialing;
        let share = clerk.dial_by.since(now).divided(u64::try_from(left).unwrap_or(1));
        self.connect_clerk(at, addr, cover, now + share);
    }

    fn connect_clerk(&mut self, at: Key, addr: SocketAddr, cover: Cover, by: Time) {
        let id = self.insert(Role::Clerk(at));
        let conn = self.conn_mut(id).expect("just inserted");
        conn.wire.start(OpKind::Connect);
        conn.wire.set(Due::Dial, by);
        conn.wire.cover = cover;
        self.effects.push(Effect::Connect { conn: id, to: addr });
        self.clerks.get_mut(at).expect("a dialing clerk exists").conn = Some(id);
        self.touch(id);
    }

    /// Whom it dialed last.
    pub(in crate::worker) fn dialed_by_clerk(&self, at: Key) -> Option<(TargetId, SocketAddr)> {
        let clerk = self.clerks.get(at)?;
        let aim = self.view.targets.get(clerk.ledger.target.0)?;
        let addr = aim.addrs.get(clerk.dialed.checked_sub(1)?)?;
        Some((clerk.ledger.target, *addr))
    }

    /// The socket is there: TLS has the time that is left.
    pub(in crate::worker) fn clerk_handshake_by(&self, at: Key) -> Time {
        self.clerks.get(at).map_or(self.now, |clerk| clerk.dial_by)
    }

    /// The way to Redis is open.
    pub(in crate::worker) fn on_clerk_reachable(&mut self, id: ConnId, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            self.end(id, Close::Gentle);
            return;
        };
        let (bytes, answers) = ledger::greeting(&clerk.ledger.redis);
        clerk.stage = Stage::Greeting(answers);
        clerk.proven = false;
        let timeout = clerk.ledger.redis.transport.read_timeout;
        self.say(id, &bytes, timeout);
    }
}
