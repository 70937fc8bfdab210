//! What the control machine knows besides routes: problems, reloads, how each child and server is
//! doing. Workers only show it.

pub use crate::service::standing::Health;

use super::table::Table;
use crate::base::diag::Diagnostic;
use crate::base::time::Time;
use std::sync::Arc;

/// A snapshot. Cloning is cheap: the large parts are shared.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Everything that is wrong now, of all documents and children.
    pub diagnostics: Arc<[Diagnostic]>,
    pub reloads: Reloads,
    /// By worker: what became of the last document that it was given.
    pub offers: Vec<Judged>,
    /// By `ChildId`.
    pub children: Table<ChildStatus>,
    /// By `ServerId`; servers with a check, active or passive.
    pub servers: Table<ServerStatus>,
}

/// How reading the dynamic configuration went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reloads {
    /// Configurations that took effect.
    pub applied: u64,
    /// Attempts after which the last good configuration stayed.
    pub refused: u64,
    /// Whether some provider has not been heard yet.
    pub awaited: bool,
    /// Whether the newest attempt was refused.
    pub last_refused: bool,
    /// When the configuration in effect took effect.
    pub applied_at: Option<Time>,
    pub refused_at: Option<Time>,
    /// What the last change kept, reset and dropped, with reasons.
    pub report: Arc<[String]>,
}

/// What became of a document that a worker was given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Judged {
    /// Zero is none.
    pub serial: u64,
    pub accepted: bool,
    /// Problems that it has, or why it was not accepted.
    pub problems: Arc<[String]>,
}

/// How discovery of one child goes, beyond the figures of `ChildStats`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildStatus {
    pub phase: ChildPhase,
    /// Since when it has been in this phase.
    pub since: Time,
    /// The cause of the last failure; empty while polls succeed.
    pub error: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChildPhase {
    /// No poll has ended yet.
    Pending,
    Fresh,
    /// The last good set is in use although polls fail.
    Stale,
    /// The last good set is old enough for `onStale` to act.
    Overdue,
    /// Polls fail and none has ever succeeded.
    Unseen,
}

impl ChildPhase {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Overdue => "overdue",
            Self::Unseen => "unseen",
        }
    }
}

/// What checks say about one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerStatus {
    pub health: Health,
    /// Taken out by its passive check.
    pub ejected: bool,
    pub since: Time,
    /// Why it is down or ejected; empty otherwise.
    pub reason: String,
}
