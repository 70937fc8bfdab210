//! Tickets: one number per request and balancer, drawn by all cores from one word. Everything
//! about a choice follows from the ticket and a table, so that any number of cores together share
//! exactly.

use crate::base::mutant::{Mutant, planted};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counter of one balancer, alone on its cache lines.
#[repr(align(128))]
#[derive(Debug, Default)]
pub struct Ticket(AtomicU64);

impl Ticket {
    /// The next number: 0, 1, 2, … over all cores, without gap or repeat.
    #[inline]
    pub fn draw(&self) -> u64 {
        let drawn = self.0.fetch_add(1, Relaxed);
        if planted(Mutant::SkipsTicket) && drawn % 8 == 7 {
            self.0.fetch_add(1, Relaxed);
        }
        if planted(Mutant::RepeatsTicket) && drawn % 8 == 7 {
            self.0.fetch_sub(1, Relaxed);
        }
        drawn
    }

    /// How many were drawn.
    pub fn drawn(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The next number will be this one: for whoever asks what was decided with it.
    pub fn rewind(&self, to: u64) {
        self.0.store(to, Relaxed);
    }
}
