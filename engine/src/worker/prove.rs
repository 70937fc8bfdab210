//! Passwords on their way to be compared. A request waits meanwhile, and so do others that present
//! the same; the worker goes on.

use super::Worker;
use super::answer::Answer;
use super::exchange::Phase;
use crate::base::id::JobId;
use crate::base::mark::Mark;
use crate::base::page::Chunk;
use crate::base::slab::Key;
use crate::boundary::{self, Effect, Job};
use crate::service::middleware::basic::{Basic, Claim};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Claims that are being proved.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    under_way: BTreeMap<JobId, Proof>,
    next: u64,
}

#[derive(Debug)]
struct Proof {
    basic: Arc<Basic>,
    claim: Claim,
    waiting: Vec<Key>,
}

impl Worker {
    /// Holds a request until its claim is proved or refuted.
    pub(super) fn prove(&mut self, key: Key, basic: &Arc<Basic>, claim: Claim) {
        let same = |proof: &&mut Proof| {
            Arc::ptr_eq(&proof.basic, basic) && proof.claim == claim && proof.claim.genuine
        };
        if let Some(proof) = self.proofs.under_way.values_mut().find(same) {
            proof.waiting.push(key);
            self.mark(Mark::ProofShared);
        } else if self.proofs.under_way.len() >= self.limits.proofs_max as usize {
            self.mark(Mark::PasswordsWaited);
            let fields = [("Retry-After", "1")];
            self.answer(key, &Answer { fields: &fields, ..Answer::bare(503) });
            return;
        } else {
            let job = JobId(self.proofs.next);
            self.proofs.next += 1;
            let proof = Proof { basic: Arc::clone(basic), claim, waiting: vec![key] };
            self.proofs.under_way.insert(job, proof);
            self.effects.push(Effect::Job { job });
        }
        let exchange = self.exchanges.get_mut(key).expect("a passing exchange exists");
        exchange.phase = Phase::Held;
    }

    pub(super) fn proof_job(&self, job: JobId) -> Option<Job> {
        let claim = &self.proofs.under_way.get(&job)?.claim;
        Some(Job::Verify { hash: claim.hash.clone(), password: claim.password.clone() })
    }

    pub(super) fn on_proof(&mut self, job: JobId, answer: &boundary::Answer) {
        let Some(proof) = self.proofs.under_way.remove(&job) else {
            debug_assert!(false, "{job:?} was not asked for");
            return;
        };
        let right = proof.claim.genuine && *answer == boundary::Answer::Verified(true);
        if right {
            proof.basic.remember(&proof.claim);
        }
        for key in proof.waiting {
            if !self.is_held(key) {
                continue;
            }
            let exchange = self.exchanges.get_mut(key).expect("a held exchange exists");
            if right {
                exchange.passed += 1;
                self.pass_on(key);
            } else {
                self.mark(Mark::PasswordWrong);
                self.challenge(key, &proof.basic.challenge);
            }
        }
    }

    /// Asks who it is that asks.
    pub(super) fn challenge(&mut self, key: Key, challenge: &str) {
        let fields = [("WWW-Authenticate", challenge)];
        let body = Chunk::Static(b"401 Unauthorized\n");
        self.answer(
            key,
            &Answer { status: 401, content_type: "text/plain", fields: &fields, body },
        );
    }
}
