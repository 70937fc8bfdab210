//! Counting in Redis. A worker asks each Redis over one connection, one question behind another;
//! requests are held until their answers come. Where none comes in time, or Redis is away, they
//! are refused, and for a second nobody is asked.
//!
//! ```text
//! Absent ─▶ Dialing ─▶ Greeting ─▶ Ready ─▶ (idle for long) Absent
//! ```

use super::answer::Answer;
use super::conn::Role;
use super::exchange::Phase;
use super::{Worker, key_of};
use crate::base::id::{ConnId, TargetId};
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::boundary::{Close, Effect, LedgerFault, OpKind, Report};
use crate::net::secure::Secure;
use crate::net::wire::{Cover, Due, Link};
use crate::service::middleware::Verdict;
use crate::service::middleware::ledger::{self, Ledger};
use crate::service::middleware::rate::{Counts, Grant, Limiter};
use crate::service::middleware::resp::{self, Reply};
use crate::tls::Session;
use crate::view::Cover as Covered;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Nobody is asked for so long who could not be asked.
const REST: Span = Span::secs(1);

/// One Redis: the connection to it, and who waits for what it says.
#[derive(Debug)]
pub(super) struct Clerk {
    ledger: Ledger,
    pub(super) conn: Option<ConnId>,
    stage: Stage,
    /// Addresses that were dialed.
    dialed: usize,
    dial_by: Time,
    /// The name under which it knows what it is asked.
    script: Vec<u8>,
    /// On their way, in the order of the answers.
    asked: VecDeque<Question>,
    /// Until there is a connection.
    waiting: VecDeque<Question>,
    /// It has answered on this connection.
    proven: bool,
    /// Half of an answer.
    partial: Vec<u8>,
    rests_until: Time,
    failing: bool,
    tells_from: Time,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Absent,
    Dialing,
    /// So many answers to what we said of ourselves are on their way.
    Greeting(u8),
    Ready,
}

#[derive(Debug)]
struct Question {
    exchange: Key,
    limiter: Arc<Limiter>,
    bucket: Vec<u8>,
    /// It was asked before, on a connection that was lost.
    again: bool,
    /// It was asked with the whole script.
    whole: bool,
}

impl Clerk {
    fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            conn: None,
            stage: Stage::Absent,
            dialed: 0,
            dial_by: Time::NEVER,
            script: Vec::new(),
            asked: VecDeque::new(),
            waiting: VecDeque::new(),
            proven: false,
            partial: Vec::new(),
            rests_until: Time::ZERO,
            failing: false,
            tells_from: Time::ZERO,
        }
    }

    fn questions(&self) -> usize {
        self.asked.len() + self.waiting.len()
    }

    fn is_needed(&self, now: Time) -> bool {
        let known = self.failing || self.rests_until > now;
        self.conn.is_some() || self.questions() > 0 || known
    }

    /// Forgets the connection; what it was doing.
    fn detach(&mut self) -> Stage {
        self.conn = None;
        self.partial.clear();
        std::mem::replace(&mut self.stage, Stage::Absent)
    }
}

/// Asking.
impl Worker {
    /// Holds a request until Redis has said whether there is a token for it; under which name it
    /// is counted is in the scratch.
    pub(super) fn count_elsewhere(&mut self, key: Key, limiter: &Arc<Limiter>) {
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
    fn attend(&mut self, at: Key) {
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
        let by = super::client::after(self.now, timeout);
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        conn.wire.set(Due::Idle, Time::NEVER);
        if conn.wire.at(Due::ResponseHead) == Time::NEVER {
            conn.wire.set(Due::ResponseHead, by);
        }
        self.touch(id);
        self.put_head(id, bytes, false);
    }

    fn dial_clerk(&mut self, at: Key) {
        let now = self.now;
        let clerk = self.clerks.get_mut(at).expect("a clerk that is dialed exists");
        let redis = &clerk.ledger.redis;
        if clerk.dialed == 0 {
            clerk.dial_by = super::client::after(now, redis.transport.dial_timeout);
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
    pub(super) fn dialed_by_clerk(&self, at: Key) -> Option<(TargetId, SocketAddr)> {
        let clerk = self.clerks.get(at)?;
        let aim = self.view.targets.get(clerk.ledger.target.0)?;
        let addr = aim.addrs.get(clerk.dialed.checked_sub(1)?)?;
        Some((clerk.ledger.target, *addr))
    }

    /// The socket is there: TLS has the time that is left.
    pub(super) fn clerk_handshake_by(&self, at: Key) -> Time {
        self.clerks.get(at).map_or(self.now, |clerk| clerk.dial_by)
    }

    /// The way to Redis is open.
    pub(super) fn on_clerk_reachable(&mut self, id: ConnId, at: Key) {
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

/// Hearing.
impl Worker {
    pub(super) fn advance_clerk(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        let Role::Clerk(at) = conn.role else { return };
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            return;
        };
        while let Some(slice) = conn.wire.inbox.take(usize::MAX) {
            clerk.partial.extend_from_slice(slice.bytes());
        }
        let eof = conn.wire.eof;
        let mut heard = std::mem::take(&mut clerk.partial);
        let (used, fault) = self.hear(at, &heard);
        heard.drain(..used);
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            return;
        };
        clerk.partial = heard;
        if let Some(fault) = fault.or_else(|| eof.then_some(LedgerFault::Lost)) {
            self.lose_clerk(id, fault);
            return;
        }
        self.wind_clerk(id, at, used > 0);
    }

    /// Takes every answer that is whole: how many bytes they were, and what ended it.
    fn hear(&mut self, at: Key, bytes: &[u8]) -> (usize, Option<LedgerFault>) {
        let mut used = 0;
        loop {
            match resp::read(&bytes[used..]) {
                Ok(Some((reply, length))) => {
                    used += length;
                    if let Err(fault) = self.on_reply(at, &reply) {
                        return (used, Some(fault));
                    }
                }
                Ok(None) => return (used, None),
                Err(resp::Garbled) => return (used, Some(LedgerFault::Garbled)),
            }
        }
    }

    fn on_reply(&mut self, at: Key, reply: &Reply<'_>) -> Result<(), LedgerFault> {
        let Some(clerk) = self.clerks.get_mut(at) else { return Ok(()) };
        match clerk.stage {
            Stage::Greeting(1) => {
                let Reply::Text(name) = reply else { return Err(fault_of(reply)) };
                clerk.script = name.to_vec();
                clerk.stage = Stage::Ready;
                self.attend(at);
                Ok(())
            }
            Stage::Greeting(more) => {
                let Reply::Text(_) = reply else { return Err(fault_of(reply)) };
                clerk.stage = Stage::Greeting(more - 1);
                Ok(())
            }
            Stage::Ready => self.on_answer(at, reply),
            Stage::Absent | Stage::Dialing => Err(LedgerFault::Garbled),
        }
    }

    fn on_answer(&mut self, at: Key, reply: &Reply<'_>) -> Result<(), LedgerFault> {
        let clerk = self.clerks.get_mut(at).expect("a clerk that answers exists");
        let mut question = clerk.asked.pop_front().ok_or(LedgerFault::Garbled)?;
        clerk.proven = true;
        match reply {
            Reply::Pair(passes, wait) => {
                let Some(grant) = ledger::grant(*passes, *wait) else {
                    self.leave_uncounted(question.exchange);
                    return Err(LedgerFault::Garbled);
                };
                self.tell_of_ledger(at, None);
                self.on_counted(question.exchange, grant);
                Ok(())
            }
            Reply::Error(text) if text.starts_with(b"NOSCRIPT") && !question.whole => {
                question.whole = true;
                clerk.waiting.push_back(question);
                self.mark(Mark::ScriptForgotten);
                self.attend(at);
                Ok(())
            }
            Reply::Error(_) => {
                self.leave_uncounted(question.exchange);
                self.tell_of_ledger(at, Some(fault_of(reply)));
                Ok(())
            }
            Reply::Text(_) | Reply::Number(_) | Reply::Nothing => {
                self.leave_uncounted(question.exchange);
                Err(LedgerFault::Garbled)
            }
        }
    }

    /// Sets the clocks of a connection by what it waits for.
    fn wind_clerk(&mut self, id: ConnId, at: Key, heard: bool) {
        let (now, closing) = (self.now, self.is_closing_down());
        let Some(clerk) = self.clerks.get(at) else { return };
        let transport = &clerk.ledger.redis.transport;
        let idle = clerk.stage == Stage::Ready && clerk.questions() == 0;
        let Some(conn) = self.conns.get_mut(key_of(id)) else { return };
        if conn.wire.link != Link::Open {
            return;
        }
        match conn.wire.is_flushed() {
            true => conn.wire.set(Due::Write, Time::NEVER),
            false if conn.wire.at(Due::Write) == Time::NEVER => {
                conn.wire.set(Due::Write, super::client::after(now, transport.write_timeout));
            }
            false => {}
        }
        if idle && closing {
            self.dismiss(at);
        } else if idle && conn.wire.at(Due::Idle) == Time::NEVER {
            conn.wire.set(Due::ResponseHead, Time::NEVER);
            conn.wire.set(Due::Idle, super::client::after(now, transport.idle_timeout));
        } else if !idle && heard {
            conn.wire.set(Due::ResponseHead, super::client::after(now, transport.read_timeout));
        }
    }

    /// What Redis said of a request.
    fn on_counted(&mut self, key: Key, grant: Grant) {
        if !self.is_held(key) {
            return;
        }
        let exchange = self.exchanges.get_mut(key).expect("a held exchange exists");
        match grant {
            Grant::Now => {
                exchange.passed += 1;
                self.pass_on(key);
            }
            Grant::After(wait) if !exchange.is_mirror() => self.hold_for(key, wait),
            Grant::After(wait) | Grant::Refused(wait) => {
                self.record_judged(key, Verdict::TooMany(wait));
                self.answer_too_many(key, wait);
            }
        }
    }

    /// Refuses a request that nobody has counted.
    fn leave_uncounted(&mut self, key: Key) {
        if !self.is_held(key) {
            return;
        }
        self.mark(Mark::CountFailed);
        self.counts().uncounted.add(1);
        self.answer(key, &Answer::bare(500));
    }
}

/// Losing.
impl Worker {
    /// A connection is of no more use, or never came to be.
    pub(super) fn lose_clerk(&mut self, id: ConnId, fault: LedgerFault) {
        let Some(conn) = self.conns.get(key_of(id)) else { return };
        let Role::Clerk(at) = conn.role else { return };
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            self.end(id, Close::Abort);
            return;
        };
        let stage = clerk.detach();
        if stage == Stage::Ready && clerk.questions() == 0 && fault == LedgerFault::Lost {
            clerk.dialed = 0;
            self.end(id, Close::Gentle);
            return;
        }
        let more = stage == Stage::Dialing && clerk.dial_by > self.now;
        let again = stage == Stage::Ready && clerk.proven && fault == LedgerFault::Lost;
        let lost = if again { self.ask_again(at) } else { Vec::new() };
        self.end(id, Close::Abort);
        lost.into_iter().for_each(|key| self.leave_uncounted(key));
        let quiet = self.clerks.get(at).is_none_or(|clerk| clerk.questions() == 0);
        if more || again && !quiet {
            self.dial_clerk(at);
        } else if !again {
            self.give_up_counting(at, fault);
        }
    }

    /// Puts what was asked before what waits; who was asked about twice already is given back.
    fn ask_again(&mut self, at: Key) -> Vec<Key> {
        let Some(clerk) = self.clerks.get_mut(at) else { return Vec::new() };
        clerk.dialed = 0;
        let mut lost = Vec::new();
        let mut asked_again = false;
        while let Some(mut question) = clerk.asked.pop_back() {
            if question.again {
                lost.push(question.exchange);
                continue;
            }
            question.again = true;
            asked_again = true;
            clerk.waiting.push_front(question);
        }
        if asked_again {
            self.mark(Mark::CountedAgain);
        }
        lost
    }

    /// Nobody can be asked for now.
    fn give_up_counting(&mut self, at: Key, fault: LedgerFault) {
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        clerk.rests_until = self.now + REST;
        clerk.dialed = 0;
        self.tell_of_ledger(at, Some(fault));
        self.refuse_uncounted(at);
    }

    fn refuse_uncounted(&mut self, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        let asked = std::mem::take(&mut clerk.asked);
        let waiting = std::mem::take(&mut clerk.waiting);
        for question in asked.into_iter().chain(waiting) {
            self.leave_uncounted(question.exchange);
        }
    }

    /// The connection ends for a reason that is not its own.
    pub(super) fn on_clerk_ended(&mut self, id: ConnId, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            return;
        };
        clerk.detach();
        self.refuse_uncounted(at);
    }

    /// Lets go of a connection that nobody needs.
    fn dismiss(&mut self, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        clerk.dialed = 0;
        let conn = clerk.conn;
        clerk.detach();
        if let Some(id) = conn {
            self.end(id, Close::Gentle);
        }
    }

    /// At the end of everything.
    pub(super) fn dismiss_idle_clerks(&mut self) {
        let idle = |clerk: &Clerk| clerk.conn.is_some() && clerk.questions() == 0;
        let idle = self.clerks.iter().filter(|(_, clerk)| idle(clerk));
        let idle: Vec<Key> = idle.map(|(key, _)| key).collect();
        idle.into_iter().for_each(|at| self.dismiss(at));
    }

    pub(super) fn on_clerk_due(&mut self, id: ConnId, due: Due) {
        match due {
            Due::Pages => {}
            Due::Idle => {
                self.mark(Mark::IdleUpstreamClosed);
                if let Some(Role::Clerk(at)) = self.conn(id).map(|conn| &conn.role) {
                    self.dismiss(*at);
                }
            }
            Due::Dial
            | Due::Handshake
            | Due::ResponseHead
            | Due::Read
            | Due::Write
            | Due::Request
            | Due::Response
            | Due::Continue
            | Due::Whole
            | Due::Linger
            | Due::Ping => self.lose_clerk(id, LedgerFault::TimedOut),
        }
    }

    /// Tells the control machine when it begins and when it ends, and now and then meanwhile.
    fn tell_of_ledger(&mut self, at: Key, fault: Option<LedgerFault>) {
        let now = self.now;
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        let news = clerk.failing != fault.is_some();
        if !news && (fault.is_none() || now < clerk.tells_from) {
            return;
        }
        clerk.failing = fault.is_some();
        clerk.tells_from = now + REST;
        let target = clerk.ledger.target;
        self.effects.push(Effect::Report(Report::Ledger { target, fault }));
    }

    /// Each connection to a Redis has its clerk, and the other way round.
    pub(super) fn sweep_clerks(&self) {
        for (at, clerk) in self.clerks.iter() {
            assert_eq!(clerk.conn.is_none(), clerk.stage == Stage::Absent, "{at:?} and its stage");
            assert!(clerk.conn.is_some() || clerk.questions() == 0, "{at:?} waits for nobody");
            assert!(clerk.stage == Stage::Ready || clerk.asked.is_empty(), "{at:?} asks too early");
            let Some(id) = clerk.conn else { continue };
            let conn = self.conn(id).expect("the connection of a clerk exists");
            assert!(matches!(conn.role, Role::Clerk(of) if of == at), "{id:?} is its own");
            let gone = conn.wire.is_ending();
            assert!(!gone, "{id:?} ends and is not forgotten");
        }
    }
}

/// What an answer that is none says.
fn fault_of(reply: &Reply<'_>) -> LedgerFault {
    let Reply::Error(text) = reply else { return LedgerFault::Garbled };
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
    if begins(&["NOAUTH", "WRONGPASS", "NOPERM", "ERR invalid password", "ERR AUTH"]) {
        LedgerFault::Denied
    } else if begins(&["MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT"]) {
        LedgerFault::Cluster
    } else if begins(&["READONLY"]) {
        LedgerFault::Replica
    } else {
        LedgerFault::Refused
    }
}
