//! Failover by status: a side that answers what counts as a failure is replaced, once, by the
//! other, if the request can be sent again without harm.

use super::Worker;
use super::choose;
use super::exchange::Phase;
use super::record::{Choice, Session};
use super::retry::Cause;
use crate::base::mark::Mark;
use crate::base::slab::Key;

impl Worker {
    /// Sends the request to the other side of a failover that counts `status` as a failure. False
    /// if there is none or the request cannot be sent again.
    pub(super) fn switch_side(&mut self, key: Key, cause: Cause, status: u16) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        if !exchange.judged || exchange.has_answered() || exchange.paging.is_some() {
            return false;
        }
        let Some(other) = choose::other_side(&exchange.view, &exchange.choices, status) else {
            return false;
        };
        let harmless =
            cause == Cause::Barred || exchange.asking.idempotent || other.replay_non_idempotent;
        let fits = other.body_bytes_max.is_none_or(|max| exchange.up.bytes <= max);
        if !harmless || !fits || !exchange.can_replay() {
            self.mark(Mark::ReplayImpossible);
            return false;
        }
        self.mark(Mark::SwitchedSide);
        let guards = exchange.guards.down_to(other.at);
        self.record_again(key, None, status);
        self.drop_response(key);
        self.retreat(key, guards, status);
        let exchange = self.exchanges.get_mut(key).expect("just seen");
        exchange.choices.truncate(other.at);
        let choice = Choice {
            service: other.failover,
            ticket: 0,
            turn: 1,
            session: Session::None,
            instead: false,
        };
        exchange.choices.push(choice, u32::MAX);
        exchange.phase = Phase::Waiting;
        exchange.retried = false;
        exchange.retries += 1;
        self.switching.push((key, other.fallback));
        true
    }

    /// Sends requests that changed sides on their way.
    pub(super) fn run_switches(&mut self) {
        while let Some((key, service)) = self.switching.pop() {
            if self.exchanges.get(key).is_some() {
                self.with_head(key, |worker, head, target| {
                    worker.send_to(key, service, head, target);
                });
            }
        }
    }
}
