//! Connections to Redis that are lost or of no more use; what was asked is asked again or refused.

use super::{Clerk, REST, Stage};
use crate::base::id::ConnId;
use crate::base::mark::Mark;
use crate::base::slab::Key;
use crate::boundary::{Close, Effect, LedgerFault, Report};
use crate::net::wire::Due;
use crate::worker::conn::Role;
use crate::worker::{Worker, key_of};

impl Worker {
    /// A connection is of no more use, or never came to be.
    pub(in crate::worker) fn lose_clerk(&mut self, id: ConnId, fault: LedgerFault) {
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
    pub(super) fn give_up_counting(&mut self, at: Key, fault: LedgerFault) {
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
    pub(in crate::worker) fn on_clerk_ended(&mut self, id: ConnId, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at).filter(|clerk| clerk.conn == Some(id)) else {
            return;
        };
        clerk.detach();
        self.refuse_uncounted(at);
    }

    /// Lets go of a connection that nobody needs.
    pub(super) fn dismiss(&mut self, at: Key) {
        let Some(clerk) = self.clerks.get_mut(at) else { return };
        clerk.dialed = 0;
        let conn = clerk.conn;
        clerk.detach();
        if let Some(id) = conn {
            self.end(id, Close::Gentle);
        }
    }

    /// At the end of everything.
    pub(in crate::worker) fn dismiss_idle_clerks(&mut self) {
        let idle = |clerk: &Clerk| clerk.conn.is_some() && clerk.questions() == 0;
        let idle = self.clerks.iter().filter(|(_, clerk)| idle(clerk));
        let idle: Vec<Key> = idle.map(|(key, _)| key).collect();
        idle.into_iter().for_each(|at| self.dismiss(at));
    }

    pub(in crate::worker) fn on_clerk_due(&mut self, id: ConnId, due: Due) {
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
    pub(super) fn tell_of_ledger(&mut self, at: Key, fault: Option<LedgerFault>) {
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
}
