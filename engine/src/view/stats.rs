//! Figures that move without a new view: words with one writer that anybody may read.

use std::sync::atomic::AtomicU64;

/// How polling one child goes. Written by the control machine only; times are nanoseconds of
/// [`crate::base::time::Time`], 0 for never.
#[derive(Debug, Default)]
pub struct ChildStats {
    pub polls_ok: AtomicU64,
    pub polls_unchanged: AtomicU64,
    pub polls_failed: AtomicU64,
    pub last_good: AtomicU64,
    pub last_attempt: AtomicU64,
    /// Of the last poll, in nanoseconds.
    pub duration: AtomicU64,
    /// Offered by the last good answer.
    pub uplinks: AtomicU64,
}
