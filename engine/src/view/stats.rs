//! Figures that move without a new view: words with one writer that anybody may read. Every worker
//! and the control machine hold the same [`Stats`]; whoever answers a scrape adds up.

use crate::base::limits::Limits;
use crate::base::mark::Marks;
use crate::base::tape::Tape;
use crate::base::time::Wall;
use crate::config::tls::Suite;
use crate::tls::Refusal;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use super::latency::Latency;
pub use super::series::{Scope, Series, SeriesKey};

/// A number that one machine writes and everybody may read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    /// For gauges. Never below zero.
    #[inline]
    pub fn take(&self, less: u64) {
        self.set(self.get().saturating_sub(less));
    }

    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Which of how many workers writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writer {
    pub index: u16,
    pub of: u16,
}

/// Everything one process counts.
#[derive(Debug)]
pub struct Stats {
    /// The wall clock at the start.
    pub started: Wall,
    pub workers: Box<[WorkerStats]>,
    pub control: ControlStats,
    /// Written by the driver, from any thread.
    pub log_lines_dropped: AtomicU64,
}

impl Stats {
    pub fn new(workers: u16, entries: u16, started: Wall) -> Self {
        let worker = |_| WorkerStats {
            clients: (0..entries).map(|_| Count::default()).collect(),
            secure_requests: (0..entries).map(|_| Default::default()).collect(),
            ..WorkerStats::default()
        };
        Self {
            started,
            workers: (0..workers).map(worker).collect(),
            control: ControlStats::default(),
            log_lines_dropped: AtomicU64::new(0),
        }
    }

    /// With room for each worker to record what it decides.
    #[must_use]
    pub fn recording(mut self, limits: &Limits) -> Self {
        self.workers.iter_mut().for_each(|worker| worker.tape = Tape::new(limits.tape_bytes));
        self
    }
}

/// Written by one worker only, and aligned so that no two workers share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    pub marks: Marks,
    /// Epoch of the view in use.
    pub epoch: Count,
    /// Requests whose head was complete.
    pub requests: Count,
    /// Open client connections, by `EntryId`.
    pub clients: Box<[Count]>,
    /// Open upstream connections, idle ones included.
    pub upstreams: Count,
    pub upstreams_idle: Count,
    /// Requests sent to an origin on a fresh connection.
    pub dialed: Count,
    /// Requests sent on a kept connection.
    pub reused: Count,
    pub retries: Count,
    /// Requests that Redis did not count.
    pub uncounted: Count,
    /// Bytes of page memory in existence.
    pub page_bytes: Count,
    pub mirrors: Count,
    pub mirrors_skipped: [Count; MirrorSkip::ALL.len()],
    pub shed: [Count; Shed::ALL.len()],
    /// Requests over TLS, by `EntryId` and suite.
    pub secure_requests: Box<[[Count; Suite::ALL.len()]]>,
    /// Handshakes with clients that came to nothing.
    pub refused_clients: [Count; Refusal::ALL.len()],
    /// Handshakes with servers that came to nothing.
    pub refused_servers: [Count; Refusal::ALL.len()],
    /// What was decided last, and by what.
    pub tape: Tape,
}

impl WorkerStats {
    pub fn mirror_skipped(&self, why: MirrorSkip) {
        self.mirrors_skipped[why as usize].add(1);
    }

    pub fn shed(&self, what: Shed) {
        self.shed[what as usize].add(1);
    }
}

/// Written by the control machine only. What it knows besides is in the view's status.
#[derive(Debug, Default)]
pub struct ControlStats {
    pub marks: Marks,
}

macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($reason:ident $label:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum $name { $($reason,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            pub const fn label(self) -> &'static str {
                match self { $(Self::$reason => $label,)* }
            }
        }
    };
}

reasons! {
    /// Why a request that should have been mirrored was not.
    MirrorSkip {
        BodyTooLarge "body_too_large",
        NoBudget "no_budget",
        TooMany "too_many",
        Upgrade "upgrade",
        ClientGone "client_gone",
        NoServer "no_server",
        Refused "refused",
    }
}

reasons! {
    /// What was given up for want of memory or descriptors.
    Shed {
        IdleUpstream "idle_upstream",
        IdleClient "idle_client",
        Mirror "mirror",
        Request "request",
        Connection "connection",
    }
}

/// How polling one child goes, and what its requests look like. Poll figures are written by the
/// control machine only; times are nanoseconds of [`crate::base::time::Time`], 0 for never.
#[derive(Debug, Default)]
pub struct ChildStats {
    pub polls_ok: AtomicU64,
    /// Of those that were good, how many found nothing new.
    pub polls_unchanged: AtomicU64,
    pub polls_failed: AtomicU64,
    pub last_good: AtomicU64,
    pub last_attempt: AtomicU64,
    /// Of the last poll, in nanoseconds.
    pub duration: AtomicU64,
    /// Offered by the last good answer.
    pub uplinks: AtomicU64,
    /// Requests answered by this child, and how long they took; written by the workers.
    pub latency: Latency,
}
