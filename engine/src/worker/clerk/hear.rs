//! What Redis says, and what becomes of the requests that it is said of.

use super::Stage;
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::base::time::Time;
use crate::boundary::LedgerFault;
use crate::net::wire::{Due, Link};
use crate::service::middleware::Verdict;
use crate::service::middleware::ledger;
use crate::service::middleware::rate::Grant;
use crate::service::middleware::resp::{self, Reply};
use crate::worker::answer::Answer;
use crate::worker::client::after;
use crate::worker::conn::Role;
use crate::worker::{Worker, key_of};

impl Worker {
    pub(in crate::worker) fn advance_clerk(&mut self, id: ConnId) {
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
                conn.wire.set(Due::Write, after(now, transport.write_timeout));
            }
            false => {}
        }
        if idle && closing {
            self.dismiss(at);
        } else if idle && conn.wire.at(Due::Idle) == Time::NEVER {
            conn.wire.set(Due::ResponseHead, Time::NEVER);
            conn.wire.set(Due::Idle, after(now, transport.idle_timeout));
        } else if !idle && heard {
            conn.wire.set(Due::ResponseHead, after(now, transport.read_timeout));
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
    pub(super) fn leave_uncounted(&mut self, key: Key) {
        if !self.is_held(key) {
            return;
        }
        self.mark(Mark::CountFailed);
        self.counts().uncounted.add(1);
        self.answer(key, &Answer::bare(500));
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
