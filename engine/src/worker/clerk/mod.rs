//! Counting in Redis. A worker asks each Redis over one connection, one question behind another;
//! requests are held until their answers come. Where none comes in time, or Redis is away, they
//! are refused, and for a second nobody is asked.
//!
//! ```text
//! Absent ─▶ Dialing ─▶ Greeting ─▶ Ready ─▶ (idle for long) Absent
//! ```

mod ask;
mod hear;
mod lose;

use super::Worker;
use super::conn::Role;
use crate::base::id::ConnId;
use crate::base::slab::Key;
use crate::base::time::{Span, Time};
use crate::service::middleware::ledger::Ledger;
use crate::service::middleware::rate::Limiter;
use std::collections::VecDeque;
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

impl Worker {
    /// Each connection to a Redis has its clerk, and the other way round.
    pub(in crate::worker) fn sweep_clerks(&self) {
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
